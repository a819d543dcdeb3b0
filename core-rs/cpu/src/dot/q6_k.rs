//! Q6_K: 256 elements in 16 sub-blocks of 16 with signed scales of 8 bits, on one f16 scale of the
//! block; codes of 6 bits that are too large by 32.
//!
//! Four groups of 32 in each half of a block: group `g` has its low bits in the low (g < 2) or high
//! nibbles of words `8 * (g % 2) ..+ 8`, its high bits at bit `2g` of the bytes of eight words.

use puna_format::DType;

use super::{Quant, Sub, nibbles};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q6_K;

const SCALES: usize = 0;
/// Of the first half; two fields on is that of the second.
const HIGH: usize = 1;
const LOW: usize = 2;
const D: usize = 5;

impl Quant for Q6_K {
    const DTYPE: DType = DType::Q6_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 210;
    const FIELDS: &'static [Field] = &[
        Field::words(192, 4),
        Field::words(128, 8),
        Field::words(0, 16),
        Field::words(160, 8),
        Field::words(64, 16),
        Field::half(208),
    ];
    const N_SCALES: usize = 2;
    const IN_STEPS: bool = true;
    const MAX: i32 = 63;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        Some(5)
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        (s.load_f16(g.block::<S>(D, b, 2), 0), s.splat(0.0))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, _: &()) -> Sub<S> {
        let (half, part) = (i / 4, i % 4);
        let low = g.block::<S>(LOW + 2 * half, b, 16 * 4);
        let high = g.block::<S>(HIGH + 2 * half, b, 8 * 4);
        let (at, shift) = (part % 2 * 8, 4 * (part as u32 / 2));
        let word = s.load(g.block::<S>(SCALES, b, 4 * 4), i / 2 * 4 * S::ROWS);
        Sub {
            w: [
                six(s, nibbles(s, low, at, shift), high, 0, part),
                six(s, nibbles(s, low, at + 4, shift), high, 4, part),
            ],
            // Bytes `2i` and `2i + 1` of the row's sixteen.
            scale: [signed(s, word, i % 2 * 2), signed(s, word, i % 2 * 2 + 1)],
            min: s.splat(0.0),
        }
    }
}

/// Adds the high bits of group `part`, which are in words `at ..+ 4`, to four words of nibbles.
#[inline(always)]
fn six<S: Simd>(s: S, low: [S::I; 4], high: &[u8], at: usize, part: usize) -> [S::I; 4] {
    let mask = s.splat_i(0x0303_0303 << (2 * part));
    let mut out = low;
    for (j, out) in out.iter_mut().enumerate() {
        let word = s.and(s.load(high, (at + j) * 4 * S::ROWS), mask);
        let word = match part {
            0..2 => s.shl(word, 4 - 2 * part as u32),
            _ => s.shr(word, 2 * part as u32 - 4),
        };
        *out = s.or(*out, word);
    }
    out
}

/// Byte `i` of every lane, signed.
#[inline(always)]
pub(super) fn signed<S: Simd>(s: S, word: S::I, i: usize) -> S::F {
    s.to_f(s.sar(s.shl(word, 8 * (3 - i as u32)), 24))
}
