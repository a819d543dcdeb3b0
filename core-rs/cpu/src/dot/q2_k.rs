//! Q2_K: 256 elements in 16 sub-blocks of 16 with a scale and a minimum of 4 bits each, on two f16
//! scales of the block; codes of 2 bits.
//!
//! Group `i` of 32 elements has its codes at `2 * (i % 4)` of the bytes of words `8 * (i / 4) ..+ 8`.
//! Byte `j` of the sixteen scales has that of sub-block `j` in its low nibble, its minimum in the
//! high one.

use puna_format::DType;

use super::{Quant, Sub, parts};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q2_K;

const SCALES: usize = 0;
const CODES: usize = 1;
const D: usize = 2;
const D_MIN: usize = 3;

/// The lowest two bits of each byte.
const TWO: i32 = 0x0303_0303;

impl Quant for Q2_K {
    const DTYPE: DType = DType::Q2_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 84;
    const FIELDS: &'static [Field] = &[
        Field::words(0, 4),
        Field::words(16, 16),
        Field::half(80),
        Field::half(82),
    ];
    const N_SCALES: usize = 2;
    const MINS: bool = true;
    const HALF_MINS: bool = true;
    const MAX: i32 = 3;
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
        (load(D), load(D_MIN))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, _: &()) -> Sub<S> {
        let codes = &g.block::<S>(CODES, b, 16 * 4)[i / 4 * 8 * 4 * S::ROWS..];
        let shift = i as u32 % 4 * 2;
        Sub {
            w: [
                parts(s, codes, 0, shift, TWO),
                parts(s, codes, 4, shift, TWO),
            ],
            scale: four(s, g, b, i, 0),
            min: s.splat(0.0),
        }
    }

    #[inline(always)]
    fn half_mins<S: Simd>(s: S, g: &Group, b: usize, i: usize) -> [S::F; 2] {
        four(s, g, b, i, 4)
    }
}

/// The nibbles from bit `shift` on of the two bytes of group `i`.
#[inline(always)]
fn four<S: Simd>(s: S, g: &Group, b: usize, i: usize, shift: u32) -> [S::F; 2] {
    let word = s.load(g.block::<S>(SCALES, b, 4 * 4), i / 2 * 4 * S::ROWS);
    let at = i as u32 % 2 * 16 + shift;
    let nibble = |at| s.to_f(s.and(s.shr(word, at), s.splat_i(0x0f)));
    [nibble(at), nibble(at + 8)]
}
