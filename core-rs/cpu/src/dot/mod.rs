//! Matrix products with quantized weights: one file a type, one loop for all.
//!
//! The slow algorithm, for a weight matrix `w` and a token's activations `x`:
//!
//! ```text
//! for each row r: y[r] = sum over k of w[r][k] * x[k]
//! ```
//!
//! Departures from it:
//! 1. Activations are int8 with one scale for 32 elements (`activations.rs`), so 32 products are
//!    summed as integers and scaled once: `y += (d_w * d_x) * sum(q_w * q_x)`.
//! 2. [`Simd::ROWS`] rows go side by side, one in each lane: four activations are broadcast, and
//!    no sum ever crosses lanes. `pack.rs` lays the weights out that way.
//! 3. Weights are unsigned in the product. What they are too large by (`8` for Q4_0) is put right
//!    by starting the integer sum at `-8 * sum(q_x)`, which is known beforehand.
//! 4. `T` tokens share what was unpacked from one block; their sums stay in registers, but for AVX2's of
//!    sixteen tokens, whose way through the cache costs less than unpacking four times.
//! 5. Few tokens are bound by memory: weights are fetched ahead ([`AHEAD_BYTES`]). For one token, what
//!    a whole block is scaled by ([`Quant::d`]) is multiplied once, behind its sub-blocks.

use puna_format::DType;

use crate::activations::Tile;
use crate::pack::{CHUNK, Field, Form, Group, LINE, Layout};
use crate::simd::Simd;

#[macro_use]
mod spelled;

#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) mod amx;
pub(crate) mod float;
pub(crate) mod iq4_nl;
pub(crate) mod iq4_xs;
pub(crate) mod mxfp4;
pub(crate) mod q2_k;
pub(crate) mod q3_k;
pub(crate) mod q4_0;
pub(crate) mod q4_1;
#[allow(dead_code)] // see `in_bytes`
pub(crate) mod q4_k;
#[allow(dead_code)] // see `in_bytes`
pub(crate) mod q4_k_bytes;
pub(crate) mod q5_0;
pub(crate) mod q5_1;
pub(crate) mod q5_k;
#[allow(dead_code)] // see `in_bytes`
pub(crate) mod q6_k;
#[allow(dead_code)] // see `in_bytes`
pub(crate) mod q6_k_bytes;
pub(crate) mod q8_0;
mod scale;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
// room is asked for, and no kernel fills it
pub(crate) mod squares;
#[cfg(test)]
mod tests;
mod unpack;

use scale::{add_scaled, negative, scaled, subtract_mins};
pub(crate) use unpack::{byte, look_up, nibbles, parts, six_bits, table_plus, with_bit};

/// Types packed as the file has them.
#[allow(unused_imports)]
pub(crate) mod in_bits {
    pub(crate) use super::{q4_k::Q4_K, q6_k::Q6_K};
}

/// The same types with parts of a few bits spread to bytes: more to read, less to compute. Which of the
/// two forms is in use depends on the target.
#[allow(unused_imports)]
pub(crate) mod in_bytes {
    pub(crate) use super::{q4_k_bytes::Q4_K, q6_k_bytes::Q6_K};
}

/// Runs a macro over the types with integer kernels: the registry. A new type is its file, its
/// `mod` line above, and its name here. `$forms` says in which of two forms some are multiplied.
macro_rules! for_quants {
    ($run:ident, $forms:ident) => {
        $run!(
            q4_0::Q4_0,
            q4_1::Q4_1,
            q5_0::Q5_0,
            q5_1::Q5_1,
            q8_0::Q8_0,
            $forms::Q4_K,
            q5_k::Q5_K,
            $forms::Q6_K,
            iq4_nl::IQ4_NL,
            iq4_xs::IQ4_XS,
            mxfp4::MXFP4,
            q3_k::Q3_K,
            q2_k::Q2_K
        )
    };
}
pub(crate) use for_quants;

/// The elements that share an activation scale.
pub(crate) const SUB: usize = 32;

/// How a type is packed and unpacked; the product around it is [`tile`].
pub(crate) trait Quant {
    const DTYPE: DType;
    /// Elements in a block of the file.
    const BLOCK: usize;
    /// Bytes of a block, in the file or in its [`Quant::FORM`].
    const BLOCK_BYTES: usize;
    /// The form in which blocks are packed, if it is not that of the file.
    const FORM: Option<Form> = None;
    /// The parts of a block, in the order of their planes: that in which [`Quant::sub`] and
    /// [`Quant::d`] read them.
    const FIELDS: &'static [Field];
    /// Scales in 32 elements: 1 or 2.
    const N_SCALES: usize = 1;
    /// Whether [`Sub::min`] is to be subtracted.
    const MINS: bool = false;
    /// Whether minima are of 16 elements: [`Quant::half_mins`] in place of [`Sub::min`].
    const HALF_MINS: bool = false;
    /// Whether sub-blocks are read in their order, see [`Simd::end_step`]. Left alone, compilers read all
    /// of a block first, and ask for memory in bursts, faster than it can answer. Where a type asks for
    /// less than memory gives anyway, this costs more than it gains.
    const IN_STEPS: bool = false;
    /// Sub-blocks that are spelled out in a row when one token is multiplied; a loop goes over them. Fewer
    /// than the block has do for WASM what `IN_STEPS` does elsewhere: there LLVM multiplies the whole
    /// block with its first vector of rows, then with the second, whatever stands in between.
    const STEP: usize = Self::BLOCK / SUB;
    /// Largest unsigned weight.
    const MAX: i32;
    /// What is decoded once a block.
    type Block<S: Simd>: Copy;

    /// `log2` of what unsigned weights are too large by; `None` where they are not.
    fn offset_log2<S: Simd>() -> Option<u32>;

    fn block<S: Simd>(s: S, g: &Group, b: usize) -> Self::Block<S>;

    /// What the scales and the minima of a block's sub-blocks are multiplied by.
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F);

    /// Elements `32 * i .. 32 * i + 32` of block `b`.
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, block: &Self::Block<S>) -> Sub<S>;

    /// The minima of both halves of what [`Quant::sub`] answers.
    #[inline(always)]
    fn half_mins<S: Simd>(s: S, _: &Group, _: usize, _: usize) -> [S::F; 2] {
        [s.splat(0.0); 2]
    }

    /// The integer product; types of eight bits have another.
    #[inline(always)]
    fn dot<S: Simd>(s: S, acc: S::I, w: &[S::I; 4], x: &[i8; 16]) -> S::I {
        if Self::MAX <= 15 {
            s.dot7::<15>(acc, w, x)
        } else {
            s.dot7::<63>(acc, w, x)
        }
    }
}

/// 32 elements of `ROWS` rows: lane `r` of `w[h][j]` has elements `16 * h + 4 * j ..+ 4` of row
/// `r`, one a byte. Weights are `d * scale[h] * (w - offset) - d_min * min`, see [`Quant::d`].
pub(crate) struct Sub<S: Simd> {
    pub(crate) w: [[S::I; 4]; 2],
    pub(crate) scale: [S::F; 2],
    pub(crate) min: S::F,
}

/// Products of one packed group with `T` tokens: `out[t * ROWS + r]`.
///
/// `w` is the group (`pack.rs`), `x` a tile of `T` tokens of the same `n_blocks * BLOCK` elements.
#[inline(always)]
pub(crate) fn tile<S: Simd, Q: Quant, const T: usize>(
    s: S,
    w: &[u8],
    n_blocks: usize,
    x: &Tile<'_>,
    out: &mut [f32],
) {
    if T == 2 * HALF && Q::BLOCK == SUB {
        // Little is unpacked here, and with fewer sums LLVM keeps all in registers.
        part::<S, Q, T, HALF>(s, w, n_blocks, x, 0, out);
        part::<S, Q, T, HALF>(s, w, n_blocks, x, HALF, out);
    } else {
        part::<S, Q, T, T>(s, w, n_blocks, x, 0, out);
    }
}

/// Half of the widest tile.
const HALF: usize = 8;

/// The products with tokens `first ..+ N` of the tile.
#[inline(always)]
fn part<S: Simd, Q: Quant, const T: usize, const N: usize>(
    s: S,
    w: &[u8],
    n_blocks: usize,
    x: &Tile<'_>,
    first: usize,
    out: &mut [f32],
) {
    let mut acc = [s.splat(0.0); N];
    let (per_chunk, n_subs) = (CHUNK / Q::BLOCK, CHUNK / SUB);
    let chunk_bytes = Layout::of::<S, Q>().chunk_bytes();
    let n_chunks = n_blocks / per_chunk;
    for c in 0..n_chunks {
        // Of constant length, so that the compiler sees that no index is out of bounds.
        let w = (&w[c * chunk_bytes..][..chunk_bytes], w, c * chunk_bytes);
        let x = x.cut(c * n_subs, n_subs, T);
        chunk::<S, Q, T, N>(s, w, per_chunk, (&x, first), &mut acc);
    }
    let n_left = n_blocks % per_chunk;
    if n_left > 0 {
        let w = (&w[n_chunks * chunk_bytes..], w, n_chunks * chunk_bytes);
        let x = x.cut(n_chunks * n_subs, n_left * Q::BLOCK / SUB, T);
        chunk::<S, Q, T, N>(s, w, n_left, (&x, first), &mut acc);
    }
    for (t, acc) in acc.into_iter().enumerate() {
        s.store_f(acc, out, (first + t) * S::ROWS);
    }
}

/// Adds the products of the `n` blocks of a chunk: its bytes, those of its group, and where in them
/// it starts.
#[inline(always)]
fn chunk<S: Simd, Q: Quant, const T: usize, const N: usize>(
    s: S,
    (w, group, at): (&[u8], &[u8], usize),
    n: usize,
    (x, first): (&Tile<'_>, usize),
    acc: &mut [S::F; N],
) {
    let planes = Group::split(w, Q::FIELDS, n, S::ROWS);
    let n_subs = Q::BLOCK / SUB;
    for b in 0..n {
        let x = x.cut(b * n_subs, n_subs, T);
        let at = at + b * Q::BLOCK_BYTES * S::ROWS;
        let ahead = |i| prefetch::<S, Q, T>(s, group, at, i);
        if T == 1 {
            acc[0] = one::<S, Q>(s, &planes, b, &x, acc[0], ahead);
        } else {
            several::<S, Q, T, N>(s, &planes, b, (&x, first), acc, ahead);
        }
    }
}

/// How far ahead of the products of one token weights are fetched: far enough for memory, near
/// enough for the first-level cache (measured on a Zen 5 server: 2 to 40 KiB tried).
const AHEAD_BYTES: usize = 8 << 10;

/// Asks for what is read [`AHEAD_BYTES`] after sub-block `i` of the block `at` bytes from the
/// start of group `w`; it may lie in the group behind it. Products of few tokens are bound by memory,
/// and the CPU's own prefetcher stops at the end of a page.
///
/// Blocks of several sub-blocks ask with the first for what comes after all of them, by
/// [`Simd::prefetch_run`]: a Zen 5 server streams one token's Q4_K and Q6_K 10 % faster by it, IQ4_XS 25 %;
/// prompts change by 1 to 3 %. Not for four tokens, which are 5 % faster with a few lines at a time.
#[inline(always)]
fn prefetch<S: Simd, Q: Quant, const T: usize>(s: S, w: &[u8], at: usize, i: usize) {
    let n_subs = Q::BLOCK / SUB;
    let n_lines = (Q::BLOCK_BYTES * S::ROWS).div_ceil(LINE);
    if n_subs > 1 && T != 4 {
        if i == 0 {
            s.prefetch_run(w, at + AHEAD_BYTES, n_lines);
        }
        return;
    }
    for line in i * n_lines / n_subs..(i + 1) * n_lines / n_subs {
        s.prefetch(w, at + AHEAD_BYTES + line * LINE);
    }
}

/// Adds the products of block `b` with one token. Scales and minima meet those of the block once,
/// behind all sub-blocks.
#[inline(always)]
fn one<S: Simd, Q: Quant>(
    s: S,
    group: &Group,
    b: usize,
    x: &Tile<'_>,
    acc: S::F,
    ahead: impl Fn(usize),
) -> S::F {
    let (block, zero) = (Q::block(s, group, b), s.splat(0.0));
    // A block of one sub-block has nothing to gain.
    let whole = Q::BLOCK == SUB;
    let (mut sum, mut min) = (if whole { acc } else { zero }, zero);
    for first in (0..Q::BLOCK / SUB).step_by(Q::STEP) {
        for_subs!(k < Q::STEP, {
            let i = first + k;
            ahead(i);
            let mut sub = Q::sub(s, group, b, i, &block);
            if whole {
                let (d, _) = Q::d(s, group, b);
                sub.scale = [s.mul(sub.scale[0], d), s.mul(sub.scale[1], d)];
            }
            sum = add_products::<S, Q, 1>(s, &sub.w, sub.scale, x, i, 0, sum);
            if Q::IN_STEPS {
                s.end_step();
            }
            if Q::HALF_MINS {
                let mins = Q::half_mins(s, group, b, i);
                min = s.fnma(negative::<S, 1>(s, mins, x, i, 0), s.splat(x.d[i]), min);
            } else if Q::MINS {
                min = s.fma(sub.min, s.splat(x.sums[i]), min);
            }
        });
    }
    let (d, d_min) = Q::d(s, group, b);
    let acc = if whole { sum } else { s.fma(sum, d, acc) };
    match Q::MINS {
        true => s.fnma(min, d_min, acc),
        false => acc,
    }
}

/// Adds the products of block `b` with tokens `first ..+ N`, which share its scales; `ahead` as in [`one`].
#[inline(always)]
fn several<S: Simd, Q: Quant, const T: usize, const N: usize>(
    s: S,
    group: &Group,
    b: usize,
    (x, first): (&Tile<'_>, usize),
    acc: &mut [S::F; N],
    ahead: impl Fn(usize),
) {
    const { assert!(N <= 16, "for_tokens goes to 16") };
    let block = Q::block(s, group, b);
    let d = Q::d(s, group, b);
    for i in 0..Q::BLOCK / SUB {
        ahead(i);
        let sub = Q::sub(s, group, b, i, &block);
        let scales = scaled::<S, Q>(s, group, (b, i), &sub, d);
        for_tokens!(K < N, {
            let n = first + K;
            acc[K] = add_products::<S, Q, T>(s, &sub.w, scales.scale, x, i, n, acc[K]);
            acc[K] = subtract_mins::<S, Q, T>(s, &scales, x, i, n, acc[K]);
        });
    }
}

/// Adds the products of sub-block `i` with token `n` of `T`, times the scales of both.
#[inline(always)]
fn add_products<S: Simd, Q: Quant, const T: usize>(
    s: S,
    w: &[[S::I; 4]; 2],
    scale: [S::F; 2],
    x: &Tile<'_>,
    i: usize,
    n: usize,
    acc: S::F,
) -> S::F {
    let (low, high) = halves(&x.q[(i * T + n) * SUB..][..SUB]);
    let neg = &x.neg[i * 3 * T..][..3 * T];
    let sums = if Q::N_SCALES == 1 {
        let sum = Q::dot(s, start::<S, Q>(s, neg, n), &w[0], low);
        let sum = if S::SHORT_CHAINS {
            s.add_i(sum, Q::dot(s, s.splat_i(0), &w[1], high))
        } else {
            Q::dot(s, sum, &w[1], high)
        };
        [sum; 2]
    } else {
        let first = Q::dot(s, start::<S, Q>(s, neg, T + n), &w[0], low);
        let second = Q::dot(s, start::<S, Q>(s, neg, 2 * T + n), &w[1], high);
        [first, second]
    };
    add_scaled::<S, Q>(s, sums, scale, s.splat(x.d[i * T + n]), acc)
}

/// Where an integer sum starts: at what the offset of the weights will have added too much.
#[inline(always)]
fn start<S: Simd, Q: Quant>(s: S, neg: &[i32], i: usize) -> S::I {
    match Q::offset_log2::<S>() {
        Some(log2) => s.shl(s.splat_i(neg[i]), log2),
        None => s.splat_i(0),
    }
}

#[inline(always)]
fn halves(x: &[i8]) -> (&[i8; 16], &[i8; 16]) {
    let (low, rest) = x.split_first_chunk::<16>().expect("32 elements");
    (low, rest.first_chunk::<16>().expect("32 elements"))
}
