//! Q4_0: 32 elements, one f16 scale, nibbles that are too large by 8.
//!
//! A byte's low nibble is element `i`, its high nibble element `i + 16`; so word `j` of the codes has
//! elements `4j ..` in its low nibbles and `16 + 4j ..` in its high ones, and packing is a
//! transposition of words.

use puna_format::DType;

use super::{Quant, Sub};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q4_0;

const D: usize = 0;
const CODES: usize = 1;

impl Quant for Q4_0 {
    const DTYPE: DType = DType::Q4_0;
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 18;
    const FIELDS: &'static [Field] = &[Field::half(0), Field::words(2, 4)];
    const IN_STEPS: bool = true;
    const MAX: i32 = 15;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        Some(3)
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
        let mask = s.splat_i(0x0f0f_0f0f);
        let word = |j: usize| s.load(codes, j * 4 * S::ROWS);
        let w = [word(0), word(1), word(2), word(3)];
        let low = |j: usize| s.and(w[j], mask);
        let high = |j: usize| s.and(s.shr(w[j], 4), mask);
        Sub {
            w: [
                [low(0), low(1), low(2), low(3)],
                [high(0), high(1), high(2), high(3)],
            ],
            scale: [s.splat(1.0); 2],
            min: s.splat(0.0),
        }
    }
}
