//! Floats times a whole tile of tokens, where an instruction set has as many lanes as a tile has tokens and
//! broadcasts one factor of a product from memory at no cost ([`Simd::BROADCASTS`]).
//!
//! Slow algorithm: `y[t][r] = sum over k of w[r][k] * x[t][k]`. Departures:
//! 1. Lanes are tokens: the activations are turned, once for all weights, and no sum crosses lanes.
//! 2. A block of [`COLUMNS`] rows is converted to f32, so that its elements can be broadcast: by the first
//!    tile, for which memory is waited anyway, and for all that follow.
//! 3. All sums of a tile stay in registers: each loaded vector meets [`COLUMNS`] elements.
//!
//! ```text
//! activations  [n_in / ROWS][ROWS elements][ROWS tokens]    lines of `float.rs`, each square turned
//! weights      [n_in / ROWS][COLUMNS rows][ROWS elements]   the last square filled up with zeros
//! ```
//!
//! The strips of `float.rs` read all activations of a tile once for every four rows, 32 bytes a cycle from the
//! second cache. Here it is 16 with the weights, and prompts are a quarter faster (F16 on a Zen 5 server).

use super::float::{Float, MAX_LANES, last};
use crate::columns::COLUMNS;
use crate::pack::LINE;
use crate::simd::Simd;

/// How far ahead of its conversion a row is fetched: measured, 4 to 20 lines tried.
const AHEAD_BYTES: usize = 4 * LINE;

/// Elements that [`first`] converts, of rows of `n_in`.
pub(crate) fn room(n_in: usize, n_lanes: usize) -> usize {
    n_in.next_multiple_of(n_lanes) * COLUMNS
}

/// Turns the squares of a tile's lines: `[token][element]` becomes `[element][token]`.
#[inline(always)]
pub(crate) fn turn<S: Simd>(lines: &mut [f32]) {
    for square in lines.chunks_exact_mut(S::ROWS * S::ROWS) {
        for i in 0..S::ROWS {
            for j in 0..i {
                square.swap(i * S::ROWS + j, j * S::ROWS + i);
            }
        }
    }
}

/// Products of up to [`COLUMNS`] whole rows of `n_in` elements with the first tile, `out[t * COLUMNS + r]`, and
/// in `squares` the rows for [`tile`], which has the others. The last row stands in for those missing.
#[inline(always)]
pub(crate) fn first<S: Simd, W: Float>(
    s: S,
    w: &[u8],
    n_in: usize,
    x: &[f32],
    squares: &mut [f32],
    out: &mut [f32],
) {
    let row_bytes = n_in * W::BYTES;
    let last_row = w.len() / row_bytes - 1;
    let mut acc = [s.splat(0.0); COLUMNS];
    let of_weights = squares.chunks_exact_mut(COLUMNS * S::ROWS);
    for (b, (square, x)) in of_weights
        .zip(x.chunks_exact(S::ROWS * S::ROWS))
        .enumerate()
    {
        let at = b * S::ROWS * W::BYTES;
        for r in 0..COLUMNS {
            let row = &w[r.min(last_row) * row_bytes..][..row_bytes];
            if at.is_multiple_of(LINE) {
                s.prefetch(row, at + AHEAD_BYTES);
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
}

/// Products of what [`first`] converted with what [`turn`] turned: `out[t * COLUMNS + r]` for `ROWS` tokens.
#[inline(always)]
pub(crate) fn tile<S: Simd>(s: S, w: &[f32], x: &[f32], out: &mut [f32]) {
    let mut acc = [s.splat(0.0); COLUMNS];
    let of_weights = w.chunks_exact(COLUMNS * S::ROWS);
    for (w, x) in of_weights.zip(x.chunks_exact(S::ROWS * S::ROWS)) {
        acc = add_products(s, w, x, acc);
    }
    put(s, acc, out);
}

/// Adds the products of a square of weights with one of activations.
#[inline(always)]
fn add_products<S: Simd>(s: S, w: &[f32], x: &[f32], mut acc: [S::F; COLUMNS]) -> [S::F; COLUMNS] {
    let (w, x) = (&w[..COLUMNS * S::ROWS], &x[..S::ROWS * S::ROWS]);
    for k in 0..S::ROWS {
        let x = s.load_f(x, k * S::ROWS);
        for_tokens!(R < COLUMNS, {
            acc[R] = s.fma(x, s.splat(w[R * S::ROWS + k]), acc[R]);
        });
    }
    acc
}

/// The sums of each row, put down by token.
#[inline(always)]
fn put<S: Simd>(s: S, acc: [S::F; COLUMNS], out: &mut [f32]) {
    let mut sums = [0.0; COLUMNS * MAX_LANES]; // [row][token]
    for_tokens!(R < COLUMNS, {
        s.store_f(acc[R], &mut sums, R * S::ROWS);
    });
    for (t, out) in out.chunks_exact_mut(COLUMNS).take(S::ROWS).enumerate() {
        for (r, out) in out.iter_mut().enumerate() {
            *out = sums[r * S::ROWS + t];
        }
    }
}
