//! Weights that are floats: read where the file has them, one row after the other.
//!
//! Slow algorithm: `y[r] = sum over k of w[r][k] * x[k]`. Departures: lanes are neighbouring `k`;
//! [`STRIP`] rows and `T` tokens go together so that each loaded vector is used several times; the last
//! `k` that do not fill a vector are copied into a padded one. `squares.rs` has another way for whole tiles.

use puna_format::DType;

use super::AHEAD_BYTES;
use crate::pack::LINE;
use crate::simd::Simd;

/// Rows of a strip: what one call multiplies.
pub(crate) const STRIP: usize = 4;
/// Sums of one row that are kept apart: an instruction waits for the one before it in its sum.
const CHAINS: usize = 4;
/// Most lanes of any instruction set.
pub(super) const MAX_LANES: usize = 16;

/// A float type: how `ROWS` of its elements become f32 lanes.
pub(crate) trait Float {
    const DTYPE: DType;
    const BYTES: usize;
    fn load<S: Simd>(s: S, bytes: &[u8], at: usize) -> S::F;
}

macro_rules! float {
    ($name:ident, $bytes:literal, $load:ident) => {
        pub(crate) struct $name;
        impl Float for $name {
            const DTYPE: DType = DType::$name;
            const BYTES: usize = $bytes;
            #[inline(always)]
            fn load<S: Simd>(s: S, bytes: &[u8], at: usize) -> S::F {
                s.$load(bytes, at)
            }
        }
    };
}
float!(F32, 4, load_f32);
float!(F16, 2, load_f16);
float!(BF16, 2, load_bf16);

/// Some tokens of a tile of activations, see `activations.rs`: block `b` of token `t` is `ROWS` elements
/// from `x[(b * size + t) * ROWS]` on, the last one filled up with zeros.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) size: usize,
}

/// Products of up to [`STRIP`] rows of `n_in` elements with `T` tokens: `out[t * STRIP + r]`.
///
/// `w` is `n_rows` whole rows. With fewer rows than a strip the last one stands in for those missing.
#[inline(always)]
pub(crate) fn strip<S: Simd, W: Float, const T: usize>(
    s: S,
    w: &[u8],
    n_in: usize,
    x: Lines<'_>,
    out: &mut [f32],
) {
    let row_bytes = n_in * W::BYTES;
    let n_rows = w.len() / row_bytes;
    assert!(n_rows > 0 && out.len() >= T * STRIP);
    let row = |r: usize| &w[r.min(n_rows - 1) * row_bytes..][..row_bytes];
    let rows = [row(0), row(1), row(2), row(3)];
    if T == 1 {
        for (row, out) in rows.iter().zip(out) {
            *out = one::<S, W>(s, row, n_in, x);
        }
        return;
    }
    let mut acc = [[s.splat(0.0); STRIP]; T];
    let n_blocks = n_in / S::ROWS;
    for b in 0..n_blocks {
        let at = b * S::ROWS * W::BYTES;
        if W::BYTES < 4 {
            ahead(s, w, STRIP * (row_bytes + at), STRIP * S::ROWS * W::BYTES);
        }
        let columns = [
            W::load(s, rows[0], at),
            W::load(s, rows[1], at),
            W::load(s, rows[2], at),
            W::load(s, rows[3], at),
        ];
        acc = add_products::<S, T>(s, columns, x, b, acc);
    }
    if !n_in.is_multiple_of(S::ROWS) {
        let columns = rows.map(|row| last::<S, W>(s, row, n_blocks));
        acc = add_products::<S, T>(s, columns, x, n_blocks, acc);
    }
    for_tokens!(N < T, {
        for r in 0..STRIP {
            out[N * STRIP + r] = s.sum(acc[N][r]);
        }
    });
}

/// Asks for `n` bytes from `at` on: as much of the next strip, which lies behind this one, as is read of
/// this one. F32 gains nothing by it, and its prompts lose a tenth.
#[inline(always)]
fn ahead<S: Simd>(s: S, w: &[u8], at: usize, n: usize) {
    for line in (0..n).step_by(LINE) {
        s.prefetch(w, at + line);
    }
}

/// Adds the products of block `b` of some rows with that of each token.
#[inline(always)]
fn add_products<S: Simd, const T: usize>(
    s: S,
    w: [S::F; STRIP],
    x: Lines<'_>,
    b: usize,
    mut acc: [[S::F; STRIP]; T],
) -> [[S::F; STRIP]; T] {
    let x = &x.x[b * x.size * S::ROWS..][..T * S::ROWS];
    for_tokens!(N < T, {
        let x = s.load_f(x, N * S::ROWS);
        acc[N] = [
            s.fma(w[0], x, acc[N][0]),
            s.fma(w[1], x, acc[N][1]),
            s.fma(w[2], x, acc[N][2]),
            s.fma(w[3], x, acc[N][3]),
        ];
    });
    acc
}

/// Block `b` of a row that has less than a whole one left, filled up with zeros.
#[inline(always)]
pub(super) fn last<S: Simd, W: Float>(s: S, row: &[u8], b: usize) -> S::F {
    let mut padded = [0u8; 4 * MAX_LANES];
    let bytes = &row[b * S::ROWS * W::BYTES..];
    padded[..bytes.len()].copy_from_slice(bytes);
    W::load(s, &padded, 0)
}

/// One row with one token. Rows are read one after the other, as memory has them.
#[inline(always)]
fn one<S: Simd, W: Float>(s: S, row: &[u8], n_in: usize, x: Lines<'_>) -> f32 {
    assert!(
        x.size == 1,
        "lines of one token have no others between them"
    );
    let n_blocks = n_in / S::ROWS;
    let mut acc = [s.splat(0.0); CHAINS];
    let product = |b: usize, acc: S::F| {
        let at = b * S::ROWS;
        s.fma(W::load(s, row, at * W::BYTES), s.load_f(x.x, at), acc)
    };
    let whole = n_blocks / CHAINS * CHAINS;
    for first in (0..whole).step_by(CHAINS) {
        let at = first * S::ROWS * W::BYTES;
        for line in (0..CHAINS * S::ROWS * W::BYTES).step_by(LINE) {
            s.prefetch(row, at + AHEAD_BYTES + line);
        }
        acc = [
            product(first, acc[0]),
            product(first + 1, acc[1]),
            product(first + 2, acc[2]),
            product(first + 3, acc[3]),
        ];
    }
    for b in whole..n_blocks {
        acc[0] = product(b, acc[0]);
    }
    if !n_in.is_multiple_of(S::ROWS) {
        let x = s.load_f(x.x, n_blocks * S::ROWS);
        acc[0] = s.fma(last::<S, W>(s, row, n_blocks), x, acc[0]);
    }
    acc.into_iter().map(|acc| s.sum(acc)).sum()
}
