//! Weights that are floats: read where the file has them, one row after the other.
//!
//! Slow algorithm: `y[r] = sum over k of w[r][k] * x[k]`. Departures: lanes are neighbouring `k`;
//! `R` rows and `T` tokens go together so that each loaded vector is used several times; the last
//! `k` that do not fill a vector are copied into a padded one.

use puna_format::DType;

use crate::pack::LINE;
use crate::simd::Simd;

/// Rows of a strip: what one call multiplies.
pub(crate) const STRIP: usize = 4;
/// Most lanes of any instruction set.
const MAX_LANES: usize = 16;

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

/// Products of up to [`STRIP`] rows of `n_in` elements with `T` tokens: `out[t * STRIP + r]`.
///
/// `w` is `n_rows` whole rows; `x` is `T` rows of `n_in`. With fewer rows than a strip the last
/// one stands in for those missing.
#[inline(always)]
pub(crate) fn strip<S: Simd, W: Float, const T: usize>(
    s: S,
    w: &[u8],
    n_in: usize,
    x: &[f32],
    out: &mut [f32],
) {
    let row_bytes = n_in * W::BYTES;
    let n_rows = w.len() / row_bytes;
    assert!(n_rows > 0 && x.len() >= T * n_in && out.len() >= T * STRIP);
    let row = |r: usize| &w[r.min(n_rows - 1) * row_bytes..][..row_bytes];
    let rows = [row(0), row(1), row(2), row(3)];
    let mut acc = [[s.splat(0.0); STRIP]; T];
    let whole = n_in / S::ROWS * S::ROWS;
    for k in (0..whole).step_by(S::ROWS) {
        let at = k * W::BYTES;
        // As much of the next strip, which lies behind this one, as is read of this one. F32 gains nothing
        // by it, and its prompts lose a tenth.
        if W::BYTES < 4 {
            for line in (0..STRIP * S::ROWS * W::BYTES).step_by(LINE) {
                s.prefetch(w, STRIP * (row_bytes + at) + line);
            }
        }
        let columns = [
            W::load(s, rows[0], at),
            W::load(s, rows[1], at),
            W::load(s, rows[2], at),
            W::load(s, rows[3], at),
        ];
        for (t, acc) in acc.iter_mut().enumerate() {
            let x = s.load_f(x, t * n_in + k);
            for (acc, w) in acc.iter_mut().zip(columns) {
                *acc = s.fma(w, x, *acc);
            }
        }
    }
    if whole < n_in {
        rest::<S, W, T>(s, &rows, n_in, whole, x, &mut acc);
    }
    for (t, acc) in acc.iter().enumerate() {
        for (r, acc) in acc.iter().enumerate() {
            out[t * STRIP + r] = s.sum(*acc);
        }
    }
}

/// The elements from `whole` on, padded with zeros.
#[inline(always)]
fn rest<S: Simd, W: Float, const T: usize>(
    s: S,
    rows: &[&[u8]; STRIP],
    n_in: usize,
    whole: usize,
    x: &[f32],
    acc: &mut [[S::F; STRIP]; T],
) {
    for (t, acc) in acc.iter_mut().enumerate() {
        let mut padded = [0.0f32; MAX_LANES];
        padded[..n_in - whole].copy_from_slice(&x[t * n_in + whole..(t + 1) * n_in]);
        let x = s.load_f(&padded, 0);
        for (acc, row) in acc.iter_mut().zip(rows) {
            let mut padded = [0u8; 4 * MAX_LANES];
            let bytes = &row[whole * W::BYTES..];
            padded[..bytes.len()].copy_from_slice(bytes);
            *acc = s.fma(W::load(s, &padded, 0), x, *acc);
        }
    }
}
