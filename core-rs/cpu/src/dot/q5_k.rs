//! Q5_K: Q4_K with a fifth bit: the scales and codes are those of `q4_k.rs`, and bit `i` of byte `k`
//! of eight more words is that of element `k` of sub-block `i`.

use puna_format::DType;

use super::q4_k::Head;
use super::{Quant, Sub, nibbles, with_bit};
use crate::pack::{Field, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q5_K;

const SCALES: usize = 0;
const HIGH: usize = 1;
const CODES: usize = 2;
const D: usize = 3;
const D_MIN: usize = 4;

impl Quant for Q5_K {
    const DTYPE: DType = DType::Q5_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 176;
    const FIELDS: &'static [Field] = &[
        Field::words(4, 3),
        Field::words(16, 8),
        Field::words(48, 32),
        Field::half(0),
        Field::half(2),
    ];
    const MINS: bool = true;
    const IN_STEPS: bool = true;
    const MAX: i32 = 31;
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
        let high = g.block::<S>(HIGH, b, 8 * 4);
        let (at, shift) = (i / 2 * 8, 4 * (i as u32 % 2));
        let (scale, min) = head.sub(s, i);
        Sub {
            w: [
                five(s, nibbles(s, codes, at, shift), high, 0, i),
                five(s, nibbles(s, codes, at + 4, shift), high, 4, i),
            ],
            scale: [scale, scale],
            min,
        }
    }
}

/// Adds bit `i` of the bytes of words `at ..+ 4` to four words of nibbles.
#[inline(always)]
fn five<S: Simd>(s: S, low: [S::I; 4], high: &[u8], at: usize, i: usize) -> [S::I; 4] {
    let mut bits = low;
    for (j, bits) in bits.iter_mut().enumerate() {
        *bits = s.load(high, (at + j) * 4 * S::ROWS);
    }
    with_bit(s, low, bits, [i; 4])
}
