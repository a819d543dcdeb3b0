//! IQ4_XS: 256 elements in 8 sub-blocks of 32 with signed scales of 6 bits, on one f16 scale of the
//! block, and the uneven values of `iq4_nl.rs`.
//!
//! Of scale `i` the low four bits are at `4 * i` of a word, the high two at `2 * i` of a half; words
//! `4 * i ..+ 4` of the codes are sub-block `i`.

use puna_format::DType;

use super::iq4_nl::uneven;
use super::{Quant, Sub};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct IQ4_XS;

/// Two planes of halves first: words then start where vectors may.
const HIGH: usize = 0;
const D: usize = 1;
const LOW: usize = 2;
const CODES: usize = 3;

impl Quant for IQ4_XS {
    const DTYPE: DType = DType::IQ4_XS;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 136;
    const FIELDS: &'static [Field] = &[
        Field::half(2),
        Field::half(0),
        Field::words(4, 1),
        Field::words(8, 32),
    ];
    const MAX: i32 = 255;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        S::BIASED.then_some(7)
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        (s.load_f16(g.block::<S>(D, b, 2), 0), s.splat(0.0))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, _: &()) -> Sub<S> {
        let low = s.shr(s.load(g.block::<S>(LOW, b, 4), 0), 4 * i as u32);
        let high = s.load_u16(g.block::<S>(HIGH, b, 2), 0);
        let high = match i {
            0..2 => s.shl(high, 4 - 2 * i as u32),
            _ => s.shr(high, 2 * i as u32 - 4),
        };
        let scale = s.or(s.and(low, s.splat_i(0x0f)), s.and(high, s.splat_i(0x30)));
        let scale = s.to_f(s.add_i(scale, s.splat_i(-32)));
        Sub {
            w: uneven(s, g.block::<S>(CODES, b, 32 * 4), 4 * i),
            scale: [scale, scale],
            min: s.splat(0.0),
        }
    }

    #[inline(always)]
    fn dot<S: Simd>(s: S, acc: S::I, w: &[S::I; 4], x: &[i8; 16]) -> S::I {
        s.dot8(acc, w, x)
    }
}
