//! The unpackings that several types share.

use crate::simd::Simd;

/// Low nibbles (`shift` 0) or high ones (4) of four words from word `at` of a plane's block.
#[inline(always)]
pub(crate) fn nibbles<S: Simd>(s: S, words: &[u8], at: usize, shift: u32) -> [S::I; 4] {
    parts(s, words, at, shift, 0x0f0f_0f0f)
}

/// What `mask` leaves of four words from word `at` of a plane's block, moved down by `shift`.
#[inline(always)]
pub(crate) fn parts<S: Simd>(s: S, words: &[u8], at: usize, shift: u32, mask: i32) -> [S::I; 4] {
    let mask = s.splat_i(mask);
    let get = |j| s.and(s.shr(s.load(words, (at + j) * 4 * S::ROWS), shift), mask);
    [get(0), get(1), get(2), get(3)]
}

/// What 32 nibbles in four words from word `at` of a plane's block stand for: low ones are the first
/// sixteen elements.
#[inline(always)]
pub(crate) fn look_up<S: Simd>(s: S, table: &[u8; 16], words: &[u8], at: usize) -> [[S::I; 4]; 2] {
    [
        look_up_four(s, table, nibbles(s, words, at, 0)),
        look_up_four(s, table, nibbles(s, words, at, 4)),
    ]
}

/// A function, for a closure in a closure would not be inlined.
#[inline(always)]
fn look_up_four<S: Simd>(s: S, table: &[u8; 16], [a, b, c, d]: [S::I; 4]) -> [S::I; 4] {
    [
        s.lookup16(table, a),
        s.lookup16(table, b),
        s.lookup16(table, c),
        s.lookup16(table, d),
    ]
}

/// A table of signed bytes, plus an offset that makes them unsigned.
pub(crate) const fn table_plus(values: [i8; 16], offset: u8) -> [u8; 16] {
    let mut out = [0; 16];
    let mut i = 0;
    while i < out.len() {
        out[i] = (values[i] as u8).wrapping_add(offset);
        i += 1;
    }
    out
}

/// Sets bit 4 of the bytes of four words to bit `at[j]` of the bytes of `bits[j]`.
#[inline(always)]
pub(crate) fn with_bit<S: Simd>(
    s: S,
    words: [S::I; 4],
    bits: [S::I; 4],
    at: [usize; 4],
) -> [S::I; 4] {
    let mut out = words;
    for (j, out) in out.iter_mut().enumerate() {
        let bit = s.and(bits[j], s.splat_i(0x0101_0101 << at[j]));
        let bit = match at[j] {
            0..4 => s.shl(bit, 4 - at[j] as u32),
            _ => s.shr(bit, at[j] as u32 - 4),
        };
        *out = s.or(*out, bit);
    }
    out
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
