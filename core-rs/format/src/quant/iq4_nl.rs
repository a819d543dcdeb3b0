//! IQ4_NL: 32 elements in 18 bytes, as Q4_0, but the 16 codes stand for unevenly spaced values, close
//! together near zero where most weights are.
//!
//! ```text
//! byte   0 1        2 … 17
//!      ┌──────────┬────────────────────────────────────────────┐
//!      │ d: f16   │ byte j: low nibble x[j], high nibble x[j+16] │     x = d · VALUES[q]
//!      └──────────┴────────────────────────────────────────────┘
//! ```

use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: 113.0 * F16_MAX,
};

const BLOCK: usize = 32;
const BYTES: usize = 18;

/// What the codes stand for (`kvalues` of the `gguf` package).
pub(crate) const VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// 32 elements of scale `d` from 16 bytes.
pub(crate) fn decode_codes(d: f32, codes: &[u8], out: &mut [f32]) {
    let (low, high) = out.split_at_mut(BLOCK / 2);
    for ((q, low), high) in codes.iter().zip(low).zip(high) {
        *low = d * f32::from(VALUES[usize::from(q & 15)]);
        *high = d * f32::from(VALUES[usize::from(q >> 4)]);
    }
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        decode_codes(read_f16(block), &block[2..], out);
    }
}
