//! Q5_1: 32 codes of 5 bits, an f16 scale and an f16 minimum, which is added.
//!
//! Low bits lie as in Q4_1; the fifth bits as in Q5_0.

use puna_format::DType;

use super::{Quant, Sub, nibbles, with_bit};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q5_1;

const D: usize = 0;
const M: usize = 1;
const HIGH: usize = 2;
const CODES: usize = 3;

impl Quant for Q5_1 {
    const DTYPE: DType = DType::Q5_1;
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 24;
    const FIELDS: &'static [Field] = &[
        Field::half(0),
        Field::half(2),
        Field::bits(4),
        Field::words(8, 4),
    ];
    const MINS: bool = true;
    const MAX: i32 = 31;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        None
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        let load = |plane| s.load_f16(g.block::<S>(plane, b, 2), 0);
        (load(D), load(M))
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
            min: s.splat(-1.0),
        }
    }
}
