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
//! 4. `T` tokens share what was unpacked from one block; their sums stay in registers.

use puna_format::DType;

use crate::activations::Tile;
use crate::pack::{Field, Group, prefetch};
use crate::simd::Simd;

pub(crate) mod float;
pub(crate) mod q4_0;
pub(crate) mod q4_k;
pub(crate) mod q6_k;
pub(crate) mod q8_0;
#[cfg(test)]
mod tests;

/// Runs a macro over the types with integer kernels: the registry. A new type is its file, its
/// `mod` line above, and its name here.
macro_rules! for_quants {
    ($run:ident) => {
        $run!(q4_0::Q4_0, q8_0::Q8_0, q4_k::Q4_K, q6_k::Q6_K)
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
    /// Bytes of a block in the file.
    const BLOCK_BYTES: usize;
    /// The parts of a block, in the order of their planes.
    const FIELDS: &'static [Field];
    /// Scales in 32 elements: 1 or 2.
    const N_SCALES: usize = 1;
    /// Whether [`Sub::min`] is to be subtracted.
    const MINS: bool = false;
    /// Largest unsigned weight.
    const MAX: i32;
    /// How far ahead of the products of one token weights are fetched: far enough for memory, near
    /// enough for the first-level cache (measured on a Zen 5 server: 4 to 24 KiB tried).
    const AHEAD_BYTES: usize = 12 << 10;

    /// What is decoded once a block.
    type Block<S: Simd>: Copy;

    /// `log2` of what unsigned weights are too large by; `None` where they are not.
    fn offset_log2<S: Simd>() -> Option<u32>;

    fn block<S: Simd>(s: S, g: &Group, b: usize) -> Self::Block<S>;

    /// Elements `32 * i .. 32 * i + 32` of block `b`.
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, block: &Self::Block<S>) -> Sub<S>;

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
/// `r`, one a byte. Weights are `scale[h] * (w - offset) - min`.
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
    x: Tile<'_>,
    out: &mut [f32],
) {
    let group = Group::split(w, Q::FIELDS, n_blocks, S::ROWS);
    let mut acc = [s.splat(0.0); T];
    let ahead = (Q::AHEAD_BYTES / (Q::BLOCK_BYTES * S::ROWS)).max(1);
    for b in 0..n_blocks {
        if T == 1 {
            prefetch(s, w, Q::FIELDS, n_blocks, b, ahead);
        }
        let block = Q::block(s, &group, b);
        for i in 0..Q::BLOCK / SUB {
            let sub = Q::sub(s, &group, b, i, &block);
            add_sub::<S, Q, T>(s, &sub, &x, b * (Q::BLOCK / SUB) + i, &mut acc);
        }
    }
    for (t, acc) in acc.into_iter().enumerate() {
        s.store_f(acc, out, t * S::ROWS);
    }
}

/// Repeats a body for token 0, 1, … below `$n`, spelled out: sums stay in registers only where
/// their index is a constant, and compilers leave a loop of this size rolled up.
macro_rules! for_tokens {
    ($t:ident < $n:expr, $body:block) => {
        for_tokens!(@ $t, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    (@ $t:ident, $n:expr, $body:block, $($i:literal)*) => { $({
        const $t: usize = $i;
        if $t < $n $body
    })* };
}

/// Adds the products of 32 elements to the sums of all tokens.
#[inline(always)]
fn add_sub<S: Simd, Q: Quant, const T: usize>(
    s: S,
    sub: &Sub<S>,
    x: &Tile<'_>,
    at: usize,
    acc: &mut [S::F; T],
) {
    const { assert!(T <= 12, "for_tokens goes to 12") };
    let q = &x.q[at * T * SUB..][..T * SUB];
    let d = &x.d[at * T..][..T];
    let sums = if Q::MINS { &x.sums[at * T..][..T] } else { d };
    let neg = match Q::offset_log2::<S>() {
        Some(_) => &x.neg[at * 3 * T..][..3 * T],
        None => &[],
    };
    for_tokens!(N < T, {
        let (low, high) = halves(&q[N * SUB..][..SUB]);
        if Q::N_SCALES == 1 {
            let sum = start::<S, Q>(s, neg, N);
            let sum = Q::dot(s, sum, &sub.w[0], low);
            let sum = Q::dot(s, sum, &sub.w[1], high);
            let scale = s.mul(sub.scale[0], s.splat(d[N]));
            acc[N] = s.fma(s.to_f(sum), scale, acc[N]);
        } else {
            let first = Q::dot(s, start::<S, Q>(s, neg, T + N), &sub.w[0], low);
            let second = Q::dot(s, start::<S, Q>(s, neg, 2 * T + N), &sub.w[1], high);
            let sum = s.mul(s.to_f(first), sub.scale[0]);
            let sum = s.fma(s.to_f(second), sub.scale[1], sum);
            acc[N] = s.fma(sum, s.splat(d[N]), acc[N]);
        }
        if Q::MINS {
            acc[N] = s.fnma(sub.min, s.splat(sums[N]), acc[N]);
        }
    });
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

/// The next two are the unpackings that several types share.
///
/// Low nibbles (`shift` 0) or high ones (4) of four words from word `at` of a plane's block.
#[inline(always)]
pub(crate) fn nibbles<S: Simd>(s: S, words: &[u8], at: usize, shift: u32) -> [S::I; 4] {
    let mask = s.splat_i(0x0f0f_0f0f);
    let get = |j| s.and(s.shr(s.load(words, (at + j) * 4 * S::ROWS), shift), mask);
    [get(0), get(1), get(2), get(3)]
}

/// Scales and minima of 6 bits of a K type's block, four a word: `[scales 0..4, 4..8]`, then the
/// minima; the bits are drawn in `puna_format`'s `q4_k.rs`.
#[inline(always)]
pub(crate) fn six_bits<S: Simd>(s: S, words: &[u8]) -> ([S::I; 2], [S::I; 2]) {
    let word = |i: usize| s.load(words, i * 4 * S::ROWS);
    let (a, b, c) = (word(0), word(1), word(2));
    let (six, four, two) = (
        s.splat_i(0x3f3f_3f3f),
        s.splat_i(0x0f0f_0f0f),
        s.splat_i(0x3030_3030),
    );
    let high = |x| s.and(s.shr(x, 2), two);
    let scales = [s.and(a, six), s.or(s.and(c, four), high(a))];
    let minima = [s.and(b, six), s.or(s.and(s.shr(c, 4), four), high(b))];
    (scales, minima)
}

/// Byte `i` of every lane as a float.
#[inline(always)]
pub(crate) fn byte<S: Simd>(s: S, x: S::I, i: usize) -> S::F {
    s.to_f(s.and(s.shr(x, 8 * i as u32), s.splat_i(0xff)))
}
