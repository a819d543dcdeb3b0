//! Q6_K with a byte for each code, for instruction sets on which putting codes together costs more
//! than reading a third more bytes: WASM, whose vectors are short and whose engine cannot be asked to
//! fetch memory ahead.
//!
//! ```text
//! file  210 bytes  low nibbles 128 | high pairs of bits 64 | scales 16 | d
//! here  274 bytes  scales 16 | codes 256, in the order of the elements | d
//! ```

use puna_format::DType;

use super::q6_k::signed;
use super::{Quant, Sub};
use crate::pack::{Field, Form, Group};
use crate::simd::Simd;

#[allow(non_camel_case_types)]
pub(crate) struct Q6_K;

const SCALES: usize = 0;
const CODES: usize = 1;
const D: usize = 2;

/// Where codes and scales are in this form, and where scales are in the file.
const CODES_AT: usize = 16;
const D_AT: usize = CODES_AT + 256;
const FILE_SCALES_AT: usize = 192;

impl Quant for Q6_K {
    const DTYPE: DType = DType::Q6_K;
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = D_AT + 2;
    const FORM: Option<Form> = Some(Form {
        file_bytes: 210,
        from_file,
        to_file,
    });
    const FIELDS: &'static [Field] = &[
        Field::words(0, 4),
        Field::words(CODES_AT, 64),
        Field::half(D_AT),
    ];
    const N_SCALES: usize = 2;
    const STEP: usize = 2;

    const MAX: i32 = 63;
    type Block<S: Simd> = ();

    #[inline(always)]
    fn offset_log2<S: Simd>() -> Option<u32> {
        Some(5)
    }

    #[inline(always)]
    fn block<S: Simd>(_: S, _: &Group, _: usize) {}

    #[inline(always)]
    fn d<S: Simd>(s: S, g: &Group, b: usize) -> (S::F, S::F) {
        (s.load_f16(g.block::<S>(D, b, 2), 0), s.splat(0.0))
    }

    #[inline(always)]
    fn sub<S: Simd>(s: S, g: &Group, b: usize, i: usize, _: &()) -> Sub<S> {
        let codes = g.block::<S>(CODES, b, 64 * 4);
        let word = s.load(g.block::<S>(SCALES, b, 4 * 4), i / 2 * 4 * S::ROWS);
        let four = |at: usize| {
            let get = |j| s.load(codes, (at + j) * 4 * S::ROWS);
            [get(0), get(1), get(2), get(3)]
        };
        Sub {
            w: [four(8 * i), four(8 * i + 4)],
            // Bytes `2i` and `2i + 1` of the row's sixteen.
            scale: [signed(s, word, i % 2 * 2), signed(s, word, i % 2 * 2 + 1)],
            min: s.splat(0.0),
        }
    }
}

/// Where element `e` of a block has its bits in the file: the bytes of its low four and of its high
/// two bits, with their shifts.
fn bits(e: usize) -> [(usize, usize); 2] {
    let (half, group, l) = (e / 128, e / 32 % 4, e % 32);
    let low = (64 * half + 32 * (group % 2) + l, 4 * (group / 2));
    let high = (128 + 32 * half + l, 2 * group);
    [low, high]
}

fn from_file(file: &[u8], out: &mut [u8]) {
    out[..CODES_AT].copy_from_slice(&file[FILE_SCALES_AT..][..16]);
    for (e, code) in out[CODES_AT..D_AT].iter_mut().enumerate() {
        let [low, high] = bits(e);
        *code = file[low.0] >> low.1 & 15 | (file[high.0] >> high.1 & 3) << 4;
    }
    out[D_AT..].copy_from_slice(&file[208..]);
}

fn to_file(block: &[u8], file: &mut [u8]) {
    file.fill(0);
    for (e, code) in block[CODES_AT..D_AT].iter().enumerate() {
        let [low, high] = bits(e);
        file[low.0] |= (code & 15) << low.1;
        file[high.0] |= (code >> 4) << high.1;
    }
    file[FILE_SCALES_AT..][..16].copy_from_slice(&block[..CODES_AT]);
    file[208..].copy_from_slice(&block[D_AT..]);
}
