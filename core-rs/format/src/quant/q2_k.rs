//! Q2_K: 256 elements in 84 bytes: 16 sub-blocks of 16, each with a scale and a minimum of 4 bits.
//!
//! ```text
//! byte   0 … 15                           16 … 79            80 81    82 83
//!      ┌────────────────────────────────┬──────────────────┬────────┬───────────┐
//!      │ byte j: low nibble scale of    │ 2 × 32 bytes of  │ d: f16 │ dmin: f16 │
//!      │ sub-block j, high its minimum  │ four 2-bit codes │        │           │
//!      └────────────────────────────────┴──────────────────┴────────┴───────────┘
//!
//! Byte j of half h: bits 0, 1 element 128h + j; bits 2, 3 element 128h + j + 32; and so on to j + 96.
//!
//! x = (d · scale) · q - (dmin · minimum)
//! ```

use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: 15.0 * F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 84;
const SUB: usize = 16;
const CODES_AT: usize = 16;
const D_AT: usize = 80;

/// Where sub-block `j` keeps its bits: the first of 16 bytes, and the shift in each.
pub(crate) fn place(j: usize) -> (usize, usize) {
    (32 * (j / 8) + 16 * (j % 2), 2 * (j / 2 % 4))
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (d, dmin) = (read_f16(&block[D_AT..]), read_f16(&block[D_AT + 2..]));
        for (j, out) in out.chunks_exact_mut(SUB).enumerate() {
            let step = d * f32::from(block[j] & 15);
            let low = dmin * f32::from(block[j] >> 4);
            let (first, shift) = place(j);
            for (x, byte) in out.iter_mut().zip(&block[CODES_AT + first..]) {
                *x = step * f32::from(byte >> shift & 3) - low;
            }
        }
    }
}
