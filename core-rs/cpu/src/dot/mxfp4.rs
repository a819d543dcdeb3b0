//! MXFP4: 32 floats of four bits, whose common power of two is a byte.
//!
//! Nibbles lie as in `q4_0.rs`. A look into a table makes integers of them, twice what they stand for
//! and too large by 16: so they are 4 … 28.

use puna_format::DType;
use puna_format::quant::MXFP4_VALUES;

use super::{Quant, Sub, look_up, table_plus};
use crate::pack::{Field, Group};
use crate::simd::Simd;

pub(crate) struct MXFP4;

const EXPONENT: usize = 0;
const CODES: usize = 1;

const OFFSET_LOG2: u32 = 4;

impl Quant for MXFP4 {
    const DTYPE: DType = DType::MXFP4;
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 17;
    const FIELDS: &'static [Field] = &[Field::byte(0), Field::words(1, 4)];
    const MAX: i32 = 28;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        Some(OFFSET_LOG2)
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    /// Half of 2^(e - 127), for the table has doubles: subnormal where e < 2, and as in llama.cpp an
    /// ordinary power for 255, which the standard has for NaN. No float has room for all these
    /// exponents in its field, so this is the product of two powers of half the size.
    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        let e = s.load_u8(g.block::<S>(EXPONENT, b, 1), 0);
        // 2^(n - 64)
        let power = |n| s.as_f(s.shl(s.add_i(n, s.splat_i(127 - 64)), 23));
        let (half, rest) = (s.shr(e, 1), s.shr(s.add_i(e, s.splat_i(1)), 1));
        (s.mul(power(half), power(rest)), s.splat(0.0))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, _: usize, _: &()) -> Sub<S> {
        let table = const { &table_plus(MXFP4_VALUES, 1 << OFFSET_LOG2) };
        Sub {
            w: look_up(s, table, g.block::<S>(CODES, b, 4 * 4), 0),
            scale: [s.splat(1.0); 2],
            min: s.splat(0.0),
        }
    }
}
