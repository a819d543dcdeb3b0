//! Floats times a whole tile of tokens, where an instruction set gets by with a broadcast for each product.
//!
//! Slow algorithm: `y[t][r] = sum over k of w[r][k] * x[t][k]`. Departures:
//! 1. Lanes are tokens, `V` vectors of them: the activations are transposed, once for all weights, and no sum
//!    crosses lanes.
//! 2. A block of [`COLUMNS`] rows is converted to f32, so that its elements can be broadcast: by the first
//!    tile, for which memory is waited anyway, and for all that follow.
//! 3. As many rows go together as have room for their sums in registers: `A`, then `B` at a time. With AVX-512,
//!    where the broadcast is a part of the product, all sixteen; with AVX2 six, five and five.
//!
//! ```text
//! activations  [n_in / ROWS][ROWS elements][V * ROWS tokens]   lines of `float.rs`, each block transposed
//! weights      [n_in / ROWS][COLUMNS rows][ROWS elements]      the last square filled up with zeros
//! ```
//!
//! The strips of `float.rs` read all activations of a tile once for every four rows, 32 bytes a cycle from the
//! second cache with AVX-512, and convert weights for every few tokens. This has 31 % more products a second
//! there, 15 % with AVX2 (`bench_kernels F16 n=512` on a Zen 5 server).

use super::float::{Float, MAX_LANES, last};
use crate::columns::{COLUMNS, MAX_TILE};
use crate::pack::LINE;
use crate::simd::Simd;

/// How far ahead of its conversion a row is fetched: measured, 4 to 20 lines tried.
const ROW_AHEAD_BYTES: usize = 4 * LINE;

/// Room for what [`first`] converts of rows of `n_in` elements, with any instruction set.
pub(crate) fn room(n_in: usize) -> usize {
    n_in.next_multiple_of(MAX_LANES) * COLUMNS
}

/// Transposes the blocks of a tile's lines, `T` tokens: `[token][element]` becomes `[element][token]`.
#[inline(always)]
pub(crate) fn transpose<S: Simd, const T: usize>(lines: &mut [f32]) {
    const { assert!(T.is_multiple_of(S::ROWS) && T <= MAX_TILE) };
    let mut copy = [0.0; MAX_TILE * MAX_LANES];
    for block in lines.chunks_exact_mut(T * S::ROWS) {
        let copy = &mut copy[..T * S::ROWS];
        copy.copy_from_slice(block);
        for (k, tokens) in block.chunks_exact_mut(T).enumerate() {
            for (t, x) in tokens.iter_mut().enumerate() {
                *x = copy[t * S::ROWS + k];
            }
        }
    }
}

/// Products of up to [`COLUMNS`] whole rows of `n_in` elements with the first tile, `out[t * COLUMNS + r]`, and
/// in `squares` the rows for [`next`], which has the others. The last row stands in for those missing.
#[inline(always)]
pub(crate) fn first<S: Simd, W: Float, const A: usize, const B: usize, const V: usize>(
    s: S,
    w: &[u8],
    n_in: usize,
    x: &[f32],
    squares: &mut [f32],
    out: &mut [f32],
) {
    let row_bytes = n_in * W::BYTES;
    let last_row = w.len() / row_bytes - 1;
    let mut acc = [[s.splat(0.0); V]; A];
    let of_weights = squares.chunks_exact_mut(COLUMNS * S::ROWS);
    let blocks = of_weights.zip(x.chunks_exact(S::ROWS * V * S::ROWS));
    for (b, (square, x)) in blocks.enumerate() {
        let at = b * S::ROWS * W::BYTES;
        for r in 0..COLUMNS {
            let row = &w[r.min(last_row) * row_bytes..][..row_bytes];
            if at.is_multiple_of(LINE) {
                s.prefetch(row, at + ROW_AHEAD_BYTES);
            }
            let w = match at + S::ROWS * W::BYTES <= row_bytes {
                true => W::load(s, row, at),
                false => last::<S, W>(s, row, b),
            };
            s.store_f(w, square, r * S::ROWS);
        }
        acc = add_products(s, square, x, acc);
    }
    put(s, acc, out);
    for r in (A..COLUMNS).step_by(B) {
        rows::<S, B, V>(s, squares, r, x, &mut out[r..]);
    }
}

/// Products of what [`first`] converted with another tile: `out[t * COLUMNS + r]`.
#[inline(always)]
pub(crate) fn next<S: Simd, const A: usize, const B: usize, const V: usize>(
    s: S,
    w: &[f32],
    x: &[f32],
    out: &mut [f32],
) {
    const { assert!((COLUMNS - A).is_multiple_of(B)) };
    rows::<S, A, V>(s, w, 0, x, out);
    for r in (A..COLUMNS).step_by(B) {
        rows::<S, B, V>(s, w, r, x, &mut out[r..]);
    }
}

/// The same of rows `first ..+ R`; `out` begins with the first of them.
#[inline(always)]
fn rows<S: Simd, const R: usize, const V: usize>(
    s: S,
    w: &[f32],
    first: usize,
    x: &[f32],
    out: &mut [f32],
) {
    let mut acc = [[s.splat(0.0); V]; R];
    let of_weights = w.chunks_exact(COLUMNS * S::ROWS);
    for (w, x) in of_weights.zip(x.chunks_exact(S::ROWS * V * S::ROWS)) {
        acc = add_products(s, &w[first * S::ROWS..], x, acc);
    }
    put(s, acc, out);
}

/// Adds the products of the first `R` rows of a square with a block of activations.
#[inline(always)]
fn add_products<S: Simd, const R: usize, const V: usize>(
    s: S,
    w: &[f32],
    x: &[f32],
    mut acc: [[S::F; V]; R],
) -> [[S::F; V]; R] {
    const { assert!(R <= 16, "for_tokens goes to 16") };
    let (w, x) = (&w[..R * S::ROWS], &x[..S::ROWS * V * S::ROWS]);
    for k in 0..S::ROWS {
        let mut tokens = [s.splat(0.0); V];
        for (v, tokens) in tokens.iter_mut().enumerate() {
            *tokens = s.load_f(x, (k * V + v) * S::ROWS);
        }
        for_tokens!(I < R, {
            let w = s.splat(w[I * S::ROWS + k]);
            for (acc, x) in acc[I].iter_mut().zip(tokens) {
                *acc = s.fma(x, w, *acc);
            }
        });
    }
    acc
}

/// The sums of `R` rows, put down by token.
#[inline(always)]
fn put<S: Simd, const R: usize, const V: usize>(s: S, acc: [[S::F; V]; R], out: &mut [f32]) {
    let mut sums = [[0.0; MAX_TILE]; R]; // [row][token]
    for_tokens!(I < R, {
        for (v, acc) in acc[I].into_iter().enumerate() {
            s.store_f(acc, &mut sums[I], v * S::ROWS);
        }
    });
    for (t, out) in out.chunks_mut(COLUMNS).take(V * S::ROWS).enumerate() {
        for (out, sums) in out.iter_mut().zip(&sums) {
            *out = sums[t];
        }
    }
}
