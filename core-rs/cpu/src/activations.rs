//! Activations as integer products want them: int8 with a scale for every 32 elements, laid out in
//! tiles of a few tokens that share each unpacked weight.
//!
//! ```text
//! x ≈ d * q       d = max|x| / 127 over 32 elements, q rounded to nearest, ties to even
//!
//! tile of T tokens:  q    [n_in / 32][T][32]   i8
//!                    d    [n_in / 32][T]       f32
//!                    sums [n_in / 32][T]       f32   d * sum(q): what a weight's minimum multiplies
//!                    neg  [n_in / 32][3][T]    i32   -sum(q) of the 32, the first 16, the last 16:
//!                                                    what a weight's offset multiplies
//! ```
//!
//! llama.cpp has one scale for 256 elements before K types; 32 are nearer to the unrounded product.
//! A block with a NaN or an infinity gets the scale NaN, so that broken numbers stay visible.

use std::ops::Range;

use crate::dot::SUB;
use crate::dot::float::Lines;
use crate::simd::{Kernels, Shared, Simd};

/// One tile, cut to its elements.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    pub(crate) q: &'a [i8],
    pub(crate) d: &'a [f32],
    pub(crate) sums: &'a [f32],
    pub(crate) neg: &'a [i32],
}

impl<'a> Tile<'a> {
    /// Sub-blocks `first .. first + n` of a tile of `size` tokens.
    #[inline(always)]
    pub(crate) fn cut(&self, first: usize, n: usize, size: usize) -> Tile<'a> {
        let (at, n) = (first * size, n * size);
        Tile {
            q: &self.q[at * SUB..][..n * SUB],
            d: &self.d[at..][..n],
            sums: &self.sums[at..][..n],
            neg: &self.neg[3 * at..][..3 * n],
        }
    }
}

/// One tile to be filled.
pub(crate) struct TileMut<'a> {
    pub(crate) q: &'a mut [i8],
    pub(crate) d: &'a mut [f32],
    pub(crate) sums: &'a mut [f32],
    pub(crate) neg: &'a mut [i32],
}

/// Tokens that are multiplied together: `n_used` of them are real, `size` have room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileSpan {
    /// Row of the batch.
    pub(crate) first: usize,
    pub(crate) n_used: usize,
    pub(crate) size: usize,
    /// Rows of room before this tile.
    pub(crate) at: usize,
}

/// Cuts `n` rows into tiles of `widest`, 4 and 1: what is left over never costs a wide tile's work.
pub(crate) fn tiling(n: usize, widest: usize) -> Vec<TileSpan> {
    let mut tiles = vec![];
    let (mut first, mut at) = (0, 0);
    while first < n {
        let left = n - first;
        let size = match left {
            1 => 1,
            2..=4 => 4,
            // Half a wide tile or less is cheaper in fours.
            _ if left < widest && left * 2 <= widest + 4 => 4,
            _ => widest,
        };
        let n_used = left.min(size);
        tiles.push(TileSpan {
            first,
            n_used,
            size,
            at,
        });
        first += n_used;
        at += size;
    }
    tiles
}

/// Most rows of room that a tiling of up to `n` rows needs.
pub(crate) fn padded(n: usize, widest: usize) -> usize {
    n + widest
}

/// Room for the quantized and the plain rows of one op.
pub(crate) struct Activations {
    q: Shared<i8>,
    d: Shared<f32>,
    sums: Shared<f32>,
    neg: Shared<i32>,
    /// For weights that are floats, see [`Lines`] and `dot/squares.rs`.
    lines: Shared<f32>,
    /// Elements of a line.
    n_lanes: usize,
}

impl Activations {
    /// Room for `n_rows` (padded) rows of up to `quantized` elements as int8, `plain` as f32 in lines of
    /// `n_lanes`.
    pub(crate) fn new(n_rows: usize, quantized: usize, plain: usize, n_lanes: usize) -> Self {
        let n_subs = n_rows * quantized.div_ceil(SUB);
        Activations {
            q: Shared::zeroed(n_subs * SUB),
            d: Shared::zeroed(n_subs),
            sums: Shared::zeroed(n_subs),
            neg: Shared::zeroed(3 * n_subs),
            lines: Shared::zeroed(n_rows * plain.next_multiple_of(n_lanes)),
            n_lanes,
        }
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        let scales = self.d.n_bytes() + self.sums.n_bytes() + self.neg.n_bytes();
        self.q.n_bytes() + scales + self.lines.n_bytes()
    }

    pub(crate) fn tile(&self, span: TileSpan, n_in: usize) -> Tile<'_> {
        let n = n_in / SUB;
        let (from, to) = (span.at * n, (span.at + span.size) * n);
        Tile {
            q: self.q.get(from * SUB..to * SUB),
            d: self.d.get(from..to),
            sums: self.sums.get(from..to),
            neg: self.neg.get(3 * from..3 * to),
        }
    }

    /// The same to be written, by the worker that owns this tile.
    pub(crate) fn tile_mut(&self, span: TileSpan, n_in: usize) -> TileMut<'_> {
        let n = n_in / SUB;
        let (from, to) = (span.at * n, (span.at + span.size) * n);
        TileMut {
            q: self.q.get_mut(from * SUB..to * SUB),
            d: self.d.get_mut(from..to),
            sums: self.sums.get_mut(from..to),
            neg: self.neg.get_mut(3 * from..3 * to),
        }
    }

    /// Where the lines of a tile are.
    fn places(&self, span: TileSpan, n_in: usize) -> Range<usize> {
        let n = n_in.next_multiple_of(self.n_lanes);
        span.at * n..(span.at + span.size) * n
    }

    /// All tokens of a tile whose lines were transposed, see `dot/squares.rs`.
    pub(crate) fn transposed(&self, span: TileSpan, n_in: usize) -> &[f32] {
        self.lines.get(self.places(span, n_in))
    }

    /// Tokens of a tile from `first` on, for weights that are floats; of a tile that was not transposed.
    pub(crate) fn lines(&self, span: TileSpan, first: usize, n_in: usize) -> Lines<'_> {
        let Range { start, end } = self.places(span, n_in);
        Lines {
            x: self.lines.get(start + first * self.n_lanes..end),
            size: span.size,
        }
    }

    /// Puts row `x` in as token `t` of a tile, by the worker that owns it.
    pub(crate) fn put_lines(&self, span: TileSpan, t: usize, x: &[f32]) {
        let lines = self.lines.get_mut(self.places(span, x.len()));
        let of_token = lines.chunks_exact_mut(self.n_lanes).skip(t);
        for (line, x) in of_token.step_by(span.size).zip(x.chunks(self.n_lanes)) {
            let (whole, rest) = line.split_at_mut(x.len());
            whole.copy_from_slice(x);
            rest.fill(0.0);
        }
    }

    /// Transposes the lines of a tile whose rows are all in, where kernels want that; by its worker.
    pub(crate) fn transpose_lines(&self, span: TileSpan, n_in: usize, kernels: &Kernels) {
        if let Some(transpose) = kernels.transpose(span.size) {
            transpose(self.lines.get_mut(self.places(span, n_in)));
        }
    }
}

/// Adding this to a float of small size, and subtracting it, leaves the nearest integer.
const ROUND: f32 = 12_582_912.0;

/// Quantizes a row of whole blocks of 32 into place `t` of a tile of `size` tokens.
#[inline(always)]
pub(crate) fn quantize<S: Simd>(s: S, x: &[f32], t: usize, size: usize, out: &mut TileMut<'_>) {
    for (b, x) in x.as_chunks::<SUB>().0.iter().enumerate() {
        // As integers sizes compare in any order, so this loop becomes vectors; NaN and infinity
        // are the largest.
        let max = x.iter().fold(0, |m, x| m.max(x.to_bits() & 0x7fff_ffff));
        let max = f32::from_bits(max);
        let d = max / 127.0;
        let usable = d >= f32::MIN_POSITIVE;
        let inverse = if usable { 127.0 / max } else { 0.0 };
        let d = if usable { d } else { 0.0 } + max * 0.0;
        let mut rounded = [0.0; SUB];
        for (r, x) in rounded.iter_mut().zip(x) {
            *r = x * inverse + ROUND;
        }
        let q = &mut out.q[(b * size + t) * SUB..][..SUB];
        for (q, r) in q.iter_mut().zip(&rounded) {
            *q = r.to_bits() as i8;
        }
        // Small integers: exact in any order.
        for r in &mut rounded {
            *r -= ROUND;
        }
        let half = |h: usize| {
            let mut sum = s.load_f(&rounded, h * SUB / 2);
            for at in (S::ROWS..SUB / 2).step_by(S::ROWS) {
                sum = s.fma(s.load_f(&rounded, h * SUB / 2 + at), s.splat(1.0), sum);
            }
            s.sum(sum)
        };
        let halves = [half(0), half(1)];
        let sum = halves[0] + halves[1];
        out.d[b * size + t] = d;
        out.sums[b * size + t] = d * sum;
        out.neg[(b * 3) * size + t] = -sum as i32;
        out.neg[(b * 3 + 1) * size + t] = -halves[0] as i32;
        out.neg[(b * 3 + 2) * size + t] = -halves[1] as i32;
    }
}
