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

use super::{Codec, F16_MAX, iq4_nl, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
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
            iq4_nl::decode_codes(d * f32::from(unpack_scale(block, j)), codes, out);
        }
    }
}
