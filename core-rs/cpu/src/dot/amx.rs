//! Products of a packed group with sixteen tokens by tiles of bytes ([`Tiles`]: Intel's AMX).
//!
//! The numbers are those of [`super::tile`], bit by bit. Departures from it:
//! 1. One instruction sums the products of 32 weights of every row with sixteen tokens. A packed group is
//!    its second factor as it is: a vector has four elements of every row, and so has a row of a tile.
//! 2. Weights are signed: what they are too large by is subtracted as they are unpacked, once for all
//!    tokens, and sums start at zero.
//! 3. First the whole sums of [`AT_ONCE`] sub-blocks, then their scales: a product takes some fifty cycles,
//!    in which others run (by Intel's figures).

use super::scale::{Scales, add_scaled, scaled, subtract_mins};
use super::{Quant, SUB, prefetch};
use crate::activations::Tile;
use crate::pack::{Group, Layout};
use crate::simd::Simd;
use crate::simd::amx::{Aligned, MAX_COLUMNS, TOKENS, Tiles};

/// Sub-blocks whose whole sums wait for their scales.
const AT_ONCE: usize = 4;

/// Words of a sub-block.
const WORDS: usize = SUB / 4;

/// Whole sums `[TOKENS][ROWS]` of both halves, or of the whole in the first place.
type Sums = [Aligned<[i32; TOKENS * MAX_COLUMNS]>; 2];

/// Sub-blocks that wait for their scales.
struct Waiting<S: Simd> {
    sums: [Sums; AT_ONCE],
    scales: [Scales<S>; AT_ONCE],
}

/// Products of one packed group with [`TOKENS`] tokens; arguments are those of [`super::tile`]. `tiles` has
/// the shape `S::ROWS` by `SUB / Q::N_SCALES`.
#[inline(always)]
pub(crate) fn tile<S: Simd, Q: Quant, M: Tiles>(
    s: S,
    tiles: &M,
    w: &[u8],
    n_blocks: usize,
    x: &Tile<'_>,
    out: &mut [f32],
) {
    let mut acc = [s.splat(0.0); TOKENS];
    let mut waiting = Waiting {
        sums: [[Aligned([0; _]); 2]; AT_ONCE],
        scales: [Scales::zero(s); AT_ONCE],
    };
    let layout = Layout::of::<S, Q>();
    let (n_subs, per_chunk) = (Q::BLOCK / SUB, layout.chunk_blocks());
    for (c, first) in (0..n_blocks).step_by(per_chunk).enumerate() {
        let at = c * layout.chunk_bytes();
        let n = per_chunk.min(n_blocks - first);
        let planes = Group::split(&w[at..], Q::FIELDS, n, S::ROWS);
        for b in 0..n {
            let (block, d) = (Q::block(s, &planes, b), Q::d(s, &planes, b));
            for i in 0..n_subs {
                prefetch::<S, Q, TOKENS>(s, w, at + b * Q::BLOCK_BYTES * S::ROWS, i);
                let k = (first + b) * n_subs + i;
                let sub = Q::sub(s, &planes, b, i, &block);
                let x_k = &x.q[k * TOKENS * SUB..][..TOKENS * SUB];
                whole_sums::<S, Q, M>(s, tiles, sub.w, x_k, &mut waiting.sums[k % AT_ONCE]);
                waiting.scales[k % AT_ONCE] = scaled::<S, Q>(s, &planes, (b, i), &sub, d);
                if k % AT_ONCE == AT_ONCE - 1 || k + 1 == n_blocks * n_subs {
                    let n = k % AT_ONCE + 1;
                    let x = x.cut(k + 1 - n, n, TOKENS);
                    add::<S, Q>(s, &waiting, n, &x, &mut acc);
                }
            }
        }
    }
    for (t, acc) in acc.into_iter().enumerate() {
        s.store_f(acc, out, t * S::ROWS);
    }
}

/// Multiplies a sub-block's weights with the sixteen tokens' activations, `[TOKENS][SUB]`.
#[inline(always)]
fn whole_sums<S: Simd, Q: Quant, M: Tiles>(
    s: S,
    tiles: &M,
    w: [[S::I; 4]; 2],
    x: &[i8],
    sums: &mut Sums,
) {
    let mut room = Aligned([0.0; WORDS * MAX_COLUMNS]);
    for (j, &w) in w.as_flattened().iter().enumerate() {
        s.store_f(s.as_f(w), &mut room.0, j * S::ROWS);
    }
    let w: &mut [i8] = bytemuck::cast_slice_mut(&mut room.0[..WORDS * S::ROWS]);
    if let Some(log2) = Q::offset_log2::<S>() {
        w.iter_mut()
            .for_each(|w| *w = w.wrapping_sub((1u8 << log2) as i8));
    }
    if Q::N_SCALES == 1 {
        tiles.product(x, w, &mut sums[0].0);
    } else {
        let (low, high) = w.split_at(SUB / 2 * S::ROWS);
        tiles.product(x, low, &mut sums[0].0);
        tiles.product(&x[SUB / 2..], high, &mut sums[1].0);
    }
}

/// Adds the sums of `n` waiting sub-blocks, those of `x`, times their scales.
#[inline(always)]
fn add<S: Simd, Q: Quant>(
    s: S,
    waiting: &Waiting<S>,
    n: usize,
    x: &Tile<'_>,
    acc: &mut [S::F; TOKENS],
) {
    for i in 0..n {
        // Of constant length, so that no index below is checked.
        let x = x.cut(i, 1, TOKENS);
        let (sums, scales) = (&waiting.sums[i], &waiting.scales[i]);
        let low: &[u8] = bytemuck::cast_slice(&sums[0].0);
        let high: &[u8] = bytemuck::cast_slice(&sums[Q::N_SCALES - 1].0);
        for_tokens!(N < TOKENS, {
            let at = N * 4 * S::ROWS;
            let sums = [s.load(low, at), s.load(high, at)];
            let d = s.splat(x.d[N]);
            acc[N] = add_scaled::<S, Q>(s, sums, scales.scale, d, acc[N]);
            acc[N] = subtract_mins::<S, Q, TOKENS>(s, scales, &x, 0, N, acc[N]);
        });
    }
}
