//! Attention of a few queries over the cells of one K/V head, in one pass.
//!
//! The slow algorithm: scores of all cells, softmax, weighted sum of V. Departures from it:
//! 1. Cells come in tiles of [`CELLS`]; the largest score so far, the sum of weights and the
//!    weighted sum are carried along and rescaled when a larger score turns up (Milakov and
//!    Gimelshein 2018, arXiv 1805.02867).
//! 2. K is stored with [`Simd::ROWS`] cells side by side, so lanes are cells and a score never
//!    needs a sum across lanes; V is stored a cell a row, so lanes are elements of the output.
//! 3. `NQ` queries (heads of a group, neighbouring tokens) share each loaded K and V.
//! 4. Types other than f16 and f32 are decoded a tile at a time, for all queries of the call.
//! 5. There is no mask: each query has runs of visible cells; what lies outside gets -infinity in
//!    the tiles at their edges, and tiles that no query sees are skipped.

use std::ops::Range;

use puna_graph::Cell;

use crate::kv::Cells;
use crate::rows::{exp, softcap};
use crate::simd::Simd;

/// Cells of a tile; the cache is a whole number of tiles.
pub(crate) const CELLS: usize = 64;
/// Most queries of a call.
pub(crate) const MAX_QUERIES: usize = 8;

/// One call.
pub(crate) struct Attend<'a> {
    /// `[dim_k][NQ]`, scaled.
    pub(crate) q: &'a [f32],
    /// `[cells / ROWS][dim_k][ROWS]` of one head.
    pub(crate) k: Cells<'a>,
    /// `[cells][stride_v]` of one head.
    pub(crate) v: Cells<'a>,
    pub(crate) dim_k: usize,
    /// `dim_v` rounded up to whole vectors.
    pub(crate) stride_v: usize,
    /// Visible cells of each query, ascending.
    pub(crate) runs: [&'a [(u32, u32)]; MAX_QUERIES],
    /// First and end of the cells that this call looks at.
    pub(crate) cells: (usize, usize),
    pub(crate) softcap: Option<f32>,
    pub(crate) alibi: Option<Alibi<'a>>,
    /// Whether V of a tile is fetched while its K is used, and K of the next while V is: for one token's
    /// queries both come from memory. Exact where both are of one type and size; off where tiles are decoded.
    pub(crate) ahead: bool,
}

/// What scores fall by: the slope of each query's head, its position, and those of all cells.
pub(crate) struct Alibi<'a> {
    pub(crate) slopes: [f32; MAX_QUERIES],
    pub(crate) pos: [i32; MAX_QUERIES],
    pub(crate) cells: &'a [Cell],
}

/// What is carried from tile to tile, a query each.
#[derive(Clone, Copy)]
pub(crate) struct Carry {
    pub(crate) max: [f32; MAX_QUERIES],
    pub(crate) sum: [f32; MAX_QUERIES],
}

/// Number types of the cache as kernels meet them.
pub(crate) trait Element {
    const BYTES: usize;
    fn load<S: Simd>(s: S, bytes: &[u8], at: usize) -> S::F;
}

pub(crate) struct Half;
pub(crate) struct Single;

impl Element for Half {
    const BYTES: usize = 2;
    #[inline(always)]
    fn load<S: Simd>(s: S, bytes: &[u8], at: usize) -> S::F {
        s.load_f16(bytes, at * 2)
    }
}

impl Element for Single {
    const BYTES: usize = 4;
    #[inline(always)]
    fn load<S: Simd>(s: S, bytes: &[u8], at: usize) -> S::F {
        s.load_f32(bytes, at * 4)
    }
}

/// Fills `out`, `[NQ][stride_v]`, with sums of V that are still to be divided by `Carry::sum`; behind
/// them is the room of a decoded tile.
#[inline(always)]
pub(crate) fn attend<S: Simd, K: Element, V: Element, const NQ: usize>(
    s: S,
    a: &Attend<'_>,
    out: &mut [f32],
) -> Carry {
    let mut carry = Carry {
        max: [f32::NEG_INFINITY; MAX_QUERIES],
        sum: [0.0; MAX_QUERIES],
    };
    let (out, room) = out.split_at_mut(NQ * a.stride_v);
    out.fill(0.0);
    let mut scores = [[0.0f32; CELLS]; NQ];
    let (first, end) = a.cells;
    for tile in (first / CELLS * CELLS..end).step_by(CELLS) {
        let (from, to) = (tile.max(first), (tile + CELLS).min(end));
        if !a.runs[..NQ].iter().any(|runs| overlaps(runs, from, to)) {
            continue;
        }
        let k = a.k.tile(s, S::ROWS, tile, room);
        let (values, keys) = (a.v.stored(tile), a.k.stored(tile + CELLS));
        score::<S, K, NQ>(s, a, (k, values), to - tile, &mut scores);
        for (t, scores) in scores.iter_mut().enumerate() {
            if let Some(cap) = a.softcap {
                softcap(scores, cap);
            }
            if let Some(alibi) = &a.alibi {
                lean(&mut scores[from - tile..to - tile], alibi, t, from);
            }
            mask(scores, tile, from, to, a.runs[t]);
            let out = &mut out[t * a.stride_v..][..a.stride_v];
            weigh(scores, &mut carry.max[t], &mut carry.sum[t], out);
        }
        let v = a.v.tile(s, 1, tile, room);
        mix::<S, V, NQ>(s, a, (v, keys), from - tile..to - tile, &scores, out);
    }
    carry
}

/// The first run that ends behind `cell`.
#[inline(always)]
fn first_run(runs: &[(u32, u32)], cell: usize) -> usize {
    runs.partition_point(|run| run.1 as usize <= cell)
}

#[inline(always)]
fn overlaps(runs: &[(u32, u32)], from: usize, to: usize) -> bool {
    runs.get(first_run(runs, from))
        .is_some_and(|run| (run.0 as usize) < to)
}

/// Scores of the first `n` cells of a tile.
#[inline(always)]
fn score<S: Simd, K: Element, const NQ: usize>(
    s: S,
    a: &Attend<'_>,
    (k, next): (&[u8], &[u8]),
    n: usize,
    scores: &mut [[f32; CELLS]; NQ],
) {
    for block in 0..n.div_ceil(S::ROWS) {
        let n_elements = a.dim_k * S::ROWS;
        let first = block * n_elements * K::BYTES;
        let k = &k[first..][..n_elements * K::BYTES];
        let mut acc = [s.splat(0.0); NQ];
        for (d, q) in a.q.chunks_exact(NQ).enumerate() {
            if a.ahead {
                s.prefetch(next, first + d * S::ROWS * K::BYTES);
            }
            let k = K::load(s, k, d * S::ROWS);
            for t in 0..NQ {
                acc[t] = s.fma(k, s.splat(q[t]), acc[t]);
            }
        }
        for (acc, scores) in acc.into_iter().zip(scores.iter_mut()) {
            s.store_f(acc, scores, block * S::ROWS);
        }
    }
}

/// Takes `slope * distance` off the scores of the cells from `from` on.
#[inline(always)]
fn lean(scores: &mut [f32], alibi: &Alibi<'_>, t: usize, from: usize) {
    let (slope, pos) = (alibi.slopes[t], alibi.pos[t]);
    for (score, cell) in scores.iter_mut().zip(&alibi.cells[from..]) {
        *score -= slope * (pos - cell.pos).abs() as f32;
    }
}

/// Sets the scores of all cells outside `from .. to` and outside the runs to -infinity.
#[inline(always)]
fn mask(scores: &mut [f32; CELLS], tile: usize, from: usize, to: usize, runs: &[(u32, u32)]) {
    let mut at = 0;
    for run in &runs[first_run(runs, from)..] {
        let (start, end) = (from.max(run.0 as usize), to.min(run.1 as usize));
        if start >= to {
            break;
        }
        scores[at..start - tile].fill(f32::NEG_INFINITY);
        at = end - tile;
    }
    scores[at..].fill(f32::NEG_INFINITY);
}

/// Turns scores into weights `e^(score - max)`, and rescales what was summed under a smaller max.
#[inline(always)]
fn weigh(scores: &mut [f32; CELLS], max: &mut f32, sum: &mut f32, out: &mut [f32]) {
    let mut tops = [f32::NEG_INFINITY; 16];
    for chunk in scores.as_chunks::<16>().0 {
        for (top, &x) in tops.iter_mut().zip(chunk) {
            *top = if x > *top { x } else { *top };
        }
    }
    let top = tops.iter().fold(*max, |a, &b| if b > a { b } else { a });
    if top > *max {
        let by = exp(*max - top);
        *sum *= by;
        out.iter_mut().for_each(|x| *x *= by);
        *max = top;
    }
    // Nothing visible yet: -inf - -inf would be NaN.
    let base = if top == f32::NEG_INFINITY { 0.0 } else { top };
    let mut sums = [0.0f32; 16];
    for chunk in scores.as_chunks_mut::<16>().0 {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *x = exp(*x - base);
            *sum += *x;
        }
    }
    *sum += sums.iter().sum::<f32>();
}

/// Adds the weighted V of some cells of a tile.
#[inline(always)]
fn mix<S: Simd, V: Element, const NQ: usize>(
    s: S,
    a: &Attend<'_>,
    (v, next): (&[u8], &[u8]),
    cells: Range<usize>,
    weights: &[[f32; CELLS]; NQ],
    out: &mut [f32],
) {
    for e in (0..a.stride_v).step_by(S::ROWS) {
        let mut acc = [s.splat(0.0); NQ];
        for (t, acc) in acc.iter_mut().enumerate() {
            *acc = s.load_f(out, t * a.stride_v + e);
        }
        for cell in cells.clone() {
            if a.ahead {
                s.prefetch(next, (cell * a.stride_v + e) * V::BYTES);
            }
            let v = V::load(s, v, cell * a.stride_v + e);
            for t in 0..NQ {
                acc[t] = s.fma(v, s.splat(weights[t][cell]), acc[t]);
            }
        }
        for (t, acc) in acc.into_iter().enumerate() {
            s.store_f(acc, out, t * a.stride_v + e);
        }
    }
}
