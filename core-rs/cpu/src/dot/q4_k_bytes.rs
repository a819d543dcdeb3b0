//! Q4_K with a byte for each scale and minimum, for WASM: a loop over pairs of sub-blocks finds them
//! by their number alone, for 3 % more bytes.
//!
//! ```text
//! file  144 bytes  d d_min | 8 scales and 8 minima of 6 bits: 12 bytes            | codes 128
//! here  148 bytes  d d_min | for sub-blocks 2p, 2p + 1: two scales, two minima: 16 | codes 128
//! ```

use puna_format::DType;
use puna_format::quant::{pack_scales, unpack_scale};

use super::{Quant, Sub, byte, nibbles};
use crate::pack::{Field, Form, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q4_K;

const SCALES: usize = 0;
const CODES: usize = 1;
const D: usize = 2;
const D_MIN: usize = 3;

/// Where scales and codes are in this form, and where codes are in the file.
const SCALES_AT: usize = 4;
const CODES_AT: usize = SCALES_AT + 16;
const FILE_CODES_AT: usize = SCALES_AT + 12;

impl Quant for Q4_K {
    const DTYPE: DType = DType::Q4_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = CODES_AT + 128;
    const FORM: Option<Form> = Some(Form {
        file_bytes: FILE_CODES_AT + 128,
        from_file,
        to_file,
    });
    const FIELDS: &'static [Field] = &[
        Field::words(SCALES_AT, 4),
        Field::words(CODES_AT, 32),
        Field::half(0),
        Field::half(2),
    ];
    const MINS: bool = true;
    const STEP: usize = 2;
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
        (load(D), load(D_MIN))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, _: &()) -> Sub<S> {
        let codes = g.block::<S>(CODES, b, 32 * 4);
        let word = s.load(g.block::<S>(SCALES, b, 4 * 4), i / 2 * 4 * S::ROWS);
        let (at, shift) = (i / 2 * 8, 4 * (i as u32 % 2));
        let scale = byte(s, word, i % 2);
        Sub {
            w: [
                nibbles(s, codes, at, shift),
                nibbles(s, codes, at + 4, shift),
            ],
            scale: [scale, scale],
            min: byte(s, word, 2 + i % 2),
        }
    }
}

fn from_file(file: &[u8], out: &mut [u8]) {
    let (head, codes) = file.split_at(FILE_CODES_AT);
    out[..SCALES_AT].copy_from_slice(&head[..SCALES_AT]);
    for (p, pair) in out[SCALES_AT..CODES_AT].chunks_exact_mut(4).enumerate() {
        for k in 0..2 {
            (pair[k], pair[2 + k]) = unpack_scale(&head[SCALES_AT..], 2 * p + k);
        }
    }
    out[CODES_AT..].copy_from_slice(codes);
}

fn to_file(block: &[u8], file: &mut [u8]) {
    let (head, codes) = file.split_at_mut(FILE_CODES_AT);
    let (mut scales, mut minima) = ([0; 8], [0; 8]);
    for (p, pair) in block[SCALES_AT..CODES_AT].chunks_exact(4).enumerate() {
        scales[2 * p..2 * p + 2].copy_from_slice(&pair[..2]);
        minima[2 * p..2 * p + 2].copy_from_slice(&pair[2..]);
    }
    head[..SCALES_AT].copy_from_slice(&block[..SCALES_AT]);
    pack_scales(&scales, &minima, &mut head[SCALES_AT..]);
    codes.copy_from_slice(&block[CODES_AT..]);
}
