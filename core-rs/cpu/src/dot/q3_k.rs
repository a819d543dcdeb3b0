//! Q3_K: 256 elements in 16 sub-blocks of 16 with signed scales of 6 bits, on one f16 scale of the
//! block; codes of 3 bits that are too large by 4.
//!
//! Group `i` of 32 elements has its low bits at `2 * (i % 4)` of the bytes of words `8 * (i / 4) ..+ 8`,
//! its third bit at bit `i` of the bytes of eight other words. Scale `j` of sixteen has its low bits
//! in a nibble of word `j / 4 % 2`, its high ones at `2 * (j / 4)` of byte `j % 4` of the third word.

use puna_format::DType;

use super::{Quant, Sub};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q3_K;

const SCALES: usize = 0;
const HIGH: usize = 1;
const LOW: usize = 2;
const D: usize = 3;

impl Quant for Q3_K {
    const DTYPE: DType = DType::Q3_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 110;
    const FIELDS: &'static [Field] = &[
        Field::words(96, 3),
        Field::words(0, 8),
        Field::words(32, 16),
        Field::half(108),
    ];
    const N_SCALES: usize = 2;
    const MAX: i32 = 7;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        Some(2)
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        (s.load_f16(g.block::<S>(D, b, 2), 0), s.splat(0.0))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, _: &()) -> Sub<S> {
        let scales = g.block::<S>(SCALES, b, 3 * 4);
        let high = g.block::<S>(HIGH, b, 8 * 4);
        let low = &g.block::<S>(LOW, b, 16 * 4)[i / 4 * 8 * 4 * S::ROWS..];
        Sub {
            w: [three(s, low, high, 0, i), three(s, low, high, 4, i)],
            scale: [scale(s, scales, 2 * i), scale(s, scales, 2 * i + 1)],
            min: s.splat(0.0),
        }
    }
}

/// The codes of group `i` in words `at ..+ 4` of its low and its high bits.
#[inline(always)]
fn three<S: Simd>(s: S, low: &[u8], high: &[u8], at: usize, i: usize) -> [S::I; 4] {
    let mut out = [s.splat_i(0); 4];
    for (j, out) in out.iter_mut().enumerate() {
        let low = s.shr(s.load(low, (at + j) * 4 * S::ROWS), i as u32 % 4 * 2);
        let high = s.load(high, (at + j) * 4 * S::ROWS);
        let high = match i {
            0..2 => s.shl(high, 2 - i as u32),
            _ => s.shr(high, i as u32 - 2),
        };
        let (two, third) = (s.splat_i(0x0303_0303), s.splat_i(0x0404_0404));
        *out = s.or(s.and(low, two), s.and(high, third));
    }
    out
}

/// Scale `j` of a block.
#[inline(always)]
fn scale<S: Simd>(s: S, words: &[u8], j: usize) -> S::F {
    let (byte, part) = (8 * (j as u32 % 4), j as u32 / 4);
    let low = s.load(words, j / 4 % 2 * 4 * S::ROWS);
    let low = s.shr(low, byte + part / 2 * 4);
    let high = s.load(words, 2 * 4 * S::ROWS);
    let high = match byte + 2 * part {
        at @ 0..4 => s.shl(high, 4 - at),
        at => s.shr(high, at - 4),
    };
    let six = s.or(s.and(low, s.splat_i(0x0f)), s.and(high, s.splat_i(0x30)));
    s.to_f(s.add_i(six, s.splat_i(-32)))
}
