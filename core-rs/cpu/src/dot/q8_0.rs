//! Q8_0: 32 signed bytes, one f16 scale. Where products want unsigned weights they are packed as
//! `w + 128` ([`Simd::BIASED`]).

use puna_format::DType;

use super::{Quant, Sub};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q8_0;

const D: usize = 0;
const CODES: usize = 1;

impl Quant for Q8_0 {
    const DTYPE: DType = DType::Q8_0;
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 34;
    const FIELDS: &'static [Field] = &[Field::half(0), Field::words(2, 8).signed()];
    const IN_STEPS: bool = true;
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
    fn sub<S: Simd>(s: S, g: &Group, b: usize, _: usize, _: &()) -> Sub<S> {
        let codes = g.block::<S>(CODES, b, 8 * 4);
        let word = |j: usize| s.load(codes, j * 4 * S::ROWS);
        Sub {
            w: [
                [word(0), word(1), word(2), word(3)],
                [word(4), word(5), word(6), word(7)],
            ],
            scale: [s.splat(1.0); 2],
            min: s.splat(0.0),
        }
    }

    #[inline(always)]
    fn dot<S: Simd>(s: S, acc: S::I, w: &[S::I; 4], x: &[i8; 16]) -> S::I {
        s.dot8(acc, w, x)
    }
}
