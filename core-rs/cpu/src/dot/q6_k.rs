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

const LOW: usize = 0;
const HIGH: usize = 1;
const SCALES: usize = 2;
const D: usize = 3;

impl Quant for Q6_K {
    const DTYPE: DType = DType::Q6_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 210;
    const FIELDS: &'static [Field] = &[
        Field::words(0, 32),
        Field::words(128, 16),
        Field::words(192, 4),
        Field::half(208),
    ];
    const N_SCALES: usize = 2;
    const MAX: i32 = 63;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        Some(5)
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, _: &()) -> Sub<S> {
        let (half, part) = (i / 4, i % 4);
        let low = g.block::<S>(LOW, b, 32 * 4);
        let high = g.block::<S>(HIGH, b, 16 * 4);
        let (at, shift) = (half * 16 + part % 2 * 8, 4 * (part as u32 / 2));
        let two = s.splat_i(0x0303_0303);
        let bits = |j: usize| {
            let word = s.load(high, (half * 8 + j) * 4 * S::ROWS);
            s.shl(s.and(s.shr(word, 2 * part as u32), two), 4)
        };
        let (a, c) = (nibbles(s, low, at, shift), nibbles(s, low, at + 4, shift));
        let d = s.load_f16(g.block::<S>(D, b, 2), 0);
        // Two scales of this sub-block: bytes 2i and 2i + 1 of the row's sixteen.
        let word = s.load(g.block::<S>(SCALES, b, 4 * 4), i / 2 * 4 * S::ROWS);
        let word = s.shl(word, 16 * (1 - i as u32 % 2));
        let second = s.to_f(s.sar(word, 24));
        let first = s.to_f(s.sar(s.shl(word, 8), 24));
        Sub {
            w: [
                [
                    s.or(a[0], bits(0)),
                    s.or(a[1], bits(1)),
                    s.or(a[2], bits(2)),
                    s.or(a[3], bits(3)),
                ],
                [
                    s.or(c[0], bits(4)),
                    s.or(c[1], bits(5)),
                    s.or(c[2], bits(6)),
                    s.or(c[3], bits(7)),
                ],
            ],
            scale: [s.mul(d, first), s.mul(d, second)],
            min: s.splat(0.0),
        }
    }
}
