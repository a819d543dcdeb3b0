//! Q3_K: 256 elements in 110 bytes: 16 sub-blocks of 16, each with a signed scale of 6 bits.
//!
//! ```text
//! byte   0 … 31              32 … 95            96 … 107           108 109
//!      ┌───────────────────┬──────────────────┬──────────────────┬────────┐
//!      │ byte j, bit k:    │ 2 × 32 bytes of  │ 16 scales, below │ d: f16 │     x = (d · (scale - 32)) · (q - 4)
//!      │ the third bit of  │ four times the   │                  │        │
//!      │ element 32k + j   │ low 2 bits, as   │                  │        │
//!      │                   │ in Q2_K          │                  │        │
//!      └───────────────────┴──────────────────┴──────────────────┴────────┘
//!
//! scale bytes, bits 7 … 0:  0–7   s s s s s s s s    low 4 bits: of scale j in the low, j+8 in the high nibble
//!                           8–11  S S S S S S S S    high 2 bits of scales j, j+4, j+8, j+12, from bit 0 on
//! ```

use super::{Codec, F16_MAX, q2_k, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: 3.0 * 32.0 * F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 110;
const SUB: usize = 16;
const LOW_AT: usize = 32;
const SCALES_AT: usize = 96;
const D_AT: usize = 108;

/// Scale of sub-block `j`, from -32 to 31, out of the 12 packed bytes.
fn unpack_scale(packed: &[u8], j: usize) -> i8 {
    let low = packed[j % 8] >> (4 * (j / 8)) & 15;
    let high = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
    (low | high << 4) as i8 - 32
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(&block[D_AT..]);
        for (j, out) in out.chunks_exact_mut(SUB).enumerate() {
            let step = d * f32::from(unpack_scale(&block[SCALES_AT..], j));
            let (first, shift) = q2_k::place(j);
            let low = &block[LOW_AT + first..][..SUB];
            let high = &block[16 * (j % 2)..][..SUB];
            for (x, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
                let q = (low >> shift & 3) | (high >> (j / 2) & 1) << 2;
                *x = step * f32::from(q as i8 - 4);
            }
        }
    }
}
