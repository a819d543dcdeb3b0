//! IQ4_NL: 32 elements, one f16 scale, nibbles that stand for uneven values of eight bits.
//!
//! Nibbles lie as in `q4_0.rs`; a look into a table of sixteen bytes makes of them what `q8_0.rs` has
//! in memory, plus 128 where products want unsigned weights.

use puna_format::DType;
use puna_format::quant::IQ4_VALUES;

use super::{Quant, Sub, look_up, table_plus};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct IQ4_NL;

const D: usize = 0;
const CODES: usize = 1;

impl Quant for IQ4_NL {
    const DTYPE: DType = DType::IQ4_NL;
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 18;
    const FIELDS: &'static [Field] = &[Field::half(0), Field::words(2, 4)];
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
        Sub {
            w: uneven(s, g.block::<S>(CODES, b, 4 * 4), 0),
            scale: [s.splat(1.0); 2],
            min: s.splat(0.0),
        }
    }

    #[inline(always)]
    fn dot<S: Simd>(s: S, acc: S::I, w: &[S::I; 4], x: &[i8; 16]) -> S::I {
        s.dot8(acc, w, x)
    }
}

/// The values of the nibbles of four words from word `at` on, as [`Simd::dot8`] wants them.
#[inline(always)]
pub(super) fn uneven<S: Simd>(s: S, codes: &[u8], at: usize) -> [[S::I; 4]; 2] {
    let table = const { &table_plus(IQ4_VALUES, if S::BIASED { 128 } else { 0 }) };
    look_up(s, table, codes, at)
}
