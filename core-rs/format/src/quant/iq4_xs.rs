//! IQ4_XS: 256 elements in 136 bytes: 8 sub-blocks of 32, each with a signed scale of 6 bits, and the
//! uneven values of IQ4_NL.
//!
//! ```text
//! byte   0 1      2 3                      4 … 7                        8 … 135
//!      ┌────────┬────────────────────────┬────────────────────────────┬──────────────────────────────┐
//!      │ d: f16 │ bits 2j, 2j+1 of a u16:│ byte j: low 4 bits, scale  │ 8 × 16 bytes: byte j of      │
//!      │        │ high 2 bits, scale j   │ 2j in the low, 2j+1 in the │ sub-block p: low nibble its  │
//!      │        │                        │ high nibble                │ x[j], high nibble its x[j+16]│
//!      └────────┴────────────────────────┴────────────────────────────┴──────────────────────────────┘
//!
//! x = (d · (scale - 32)) · VALUES[q]
//! ```

use super::search_signed::Signed;
use super::uneven::{self, Uneven};
use super::{Codec, F16_MAX, lanes, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 31.0 * 113.0 * F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 136;
const SUB: usize = 32;
const CODES_AT: usize = 8;

/// Scale of sub-block `j`, from -32 to 31.
fn unpack_scale(block: &[u8], j: usize) -> i8 {
    let low = block[4 + j / 2] >> (4 * (j % 2)) & 15;
    let high = block[2 + j / 4] >> (2 * (j % 4)) & 3;
    (low | high << 4) as i8 - 32
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        let codes = block[CODES_AT..].chunks_exact(SUB / 2);
        for (j, (codes, out)) in codes.zip(out.chunks_exact_mut(SUB)).enumerate() {
            uneven::decode(d * f32::from(unpack_scale(block, j)), codes, out);
        }
    }
}

/// Finds each sub-block's best scale, rounds the 8 scales to 6 bits so that the largest is -32, and
/// then rounds the elements to what the rounded scales can say.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let lines = Signed::<SUB, _>::new(x, Uneven);
        let steps = lines.steps();
        block.fill(0);
        let d = write_f16(lanes::extreme(&steps) / -32.0, block);
        let scales = lines.round(&steps, d, 32.0);
        let (head, codes) = block.split_at_mut(CODES_AT);
        let parts = x.chunks_exact(SUB).zip(codes.chunks_exact_mut(SUB / 2));
        for (j, (x, codes)) in parts.enumerate() {
            let scale = scales[j].wrapping_add(32);
            head[4 + j / 2] |= (scale & 15) << (4 * (j % 2));
            head[2 + j / 4] |= (scale >> 4) << (2 * (j % 4));
            uneven::encode(x, d * f32::from(scales[j] as i8), codes);
        }
    }
}
