//! Q4_K: 256 elements in 8 sub-blocks of 32 with a scale and a minimum of 6 bits each, on two f16
//! scales of the block. Scales stay packed; three words hold all sixteen of a row.
//!
//! Words `8p .. 8p + 8` of the codes have sub-block `2p` in their low nibbles and `2p + 1` in their
//! high ones.

use puna_format::DType;

use super::{Quant, Sub, byte, nibbles, six_bits};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q4_K;

const SCALES: usize = 0;
const CODES: usize = 1;
const D: usize = 2;
const D_MIN: usize = 3;

/// The decoded head of a block: what one sub-block's scale and minimum are made of.
pub(crate) struct Head<S: Simd> {
    scales: [S::I; 2],
    minima: [S::I; 2],
}

impl<S: Simd> Clone for Head<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Simd> Copy for Head<S> {}

impl<S: Simd> Head<S> {
    #[inline(always)]
    pub(super) fn load(s: S, scales: &[u8]) -> Self {
        let (scales, minima) = six_bits(s, scales);
        Head { scales, minima }
    }

    /// Scale and minimum of sub-block `i`, see [`Quant::d`].
    #[inline(always)]
    pub(super) fn sub(&self, s: S, i: usize) -> (S::F, S::F) {
        let (scales, minima) = match i {
            0..4 => (self.scales[0], self.minima[0]),
            _ => (self.scales[1], self.minima[1]),
        };
        (byte(s, scales, i % 4), byte(s, minima, i % 4))
    }
}

impl Quant for Q4_K {
    const DTYPE: DType = DType::Q4_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 144;
    const FIELDS: &'static [Field] = &[
        Field::words(4, 3),
        Field::words(16, 32),
        Field::half(0),
        Field::half(2),
    ];
    const MINS: bool = true;
    const IN_STEPS: bool = true;
    const MAX: i32 = 15;
    type Block<S: Simd> = Head<S>;

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        None
    }

    #[inline(always)]
    fn block<S: Simd>(s: S, g: &Group, b: usize) -> Head<S> {
        Head::load(s, g.block::<S>(SCALES, b, 3 * 4))
    }

    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        let load = |plane| s.load_f16(g.block::<S>(plane, b, 2), 0);
        (load(D), load(D_MIN))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, head: &Head<S>) -> Sub<S> {
        let codes = g.block::<S>(CODES, b, 32 * 4);
        let (at, shift) = (i / 2 * 8, 4 * (i as u32 % 2));
        let (scale, min) = head.sub(s, i);
        Sub {
            w: [
                nibbles(s, codes, at, shift),
                nibbles(s, codes, at + 4, shift),
            ],
            scale: [scale, scale],
            min,
        }
    }
}
