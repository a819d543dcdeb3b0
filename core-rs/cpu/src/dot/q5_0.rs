//! Q5_0: 32 codes of 5 bits that are too large by 16, one f16 scale.
//!
//! Low bits lie as in Q4_0. The fifth bit of element `e` is bit `e` of a word, which packing turns
//! so that each byte has the bits of its own elements ([`Field::bits`]).

use puna_format::DType;

use super::{Quant, Sub, nibbles, with_bit};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q5_0;

const D: usize = 0;
const HIGH: usize = 1;
const CODES: usize = 2;

impl Quant for Q5_0 {
    const DTYPE: DType = DType::Q5_0;
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 22;
    const FIELDS: &'static [Field] = &[Field::half(0), Field::bits(2), Field::words(6, 4)];

    const MAX: i32 = 31;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        Some(4)
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        (s.load_f16(g.block::<S>(D, b, 2), 0), s.splat(0.0))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, _: usize, _: &()) -> Sub<S> {
        let codes = g.block::<S>(CODES, b, 4 * 4);
        let bits = [s.load(g.block::<S>(HIGH, b, 4), 0); 4];
        Sub {
            w: [
                with_bit(s, nibbles(s, codes, 0, 0), bits, [0, 1, 2, 3]),
                with_bit(s, nibbles(s, codes, 0, 4), bits, [4, 5, 6, 7]),
            ],
            scale: [s.splat(1.0); 2],
            min: s.splat(0.0),
        }
    }
}
