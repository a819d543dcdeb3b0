//! Q4_1: 32 codes of 4 bits, an f16 scale and an f16 minimum, which is added.
//!
//! Byte `k` of the sixteen has element `k` in its low nibble and `16 + k` in its high one.

use puna_format::DType;

use super::{Quant, Sub, nibbles};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q4_1;

const D: usize = 0;
const M: usize = 1;
const CODES: usize = 2;

impl Quant for Q4_1 {
    const DTYPE: DType = DType::Q4_1;
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 20;
    const FIELDS: &'static [Field] = &[Field::half(0), Field::half(2), Field::words(4, 4)];
    const MINS: bool = true;
    const MAX: i32 = 15;
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
        Sub {
            w: [nibbles(s, codes, 0, 0), nibbles(s, codes, 0, 4)],
            scale: [s.splat(1.0); 2],
            min: s.splat(-1.0),
        }
    }
}
