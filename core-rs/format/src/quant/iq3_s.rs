//! IQ3_S: 256 elements in 110 bytes: 8 sub-blocks of 32, each eight patterns of 4 from a book of 512,
//! with a sign for every element.
//!
//! ```text
//! byte   0 1      2 … 65            66 … 73             74 … 105              106 … 109
//!      ┌────────┬─────────────────┬───────────────────┬─────────────────────┬──────────────────────┐
//!      │ d: f16 │ byte k: low 8   │ byte j, bit i:    │ byte n, bit i: sign │ byte j: scale of sub-│
//!      │        │ bits of index k │ ninth bit of      │ of element 8n + i   │ block 2j in the low, │
//!      │        │                 │ index 8j + i      │                     │ 2j+1 in the high     │
//!      └────────┴─────────────────┴───────────────────┴─────────────────────┴──────────────────────┘
//!
//! x = d · (1 + 2 · scale) · ±pattern[i]
//! ```

use super::codebook::IQ3_S;
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 110;
const HIGH_AT: usize = 66;
const SIGNS_AT: usize = 74;
const SCALES_AT: usize = 106;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (k, out) in out.chunks_exact_mut(4).enumerate() {
            let scale = block[SCALES_AT + k / 16] >> (4 * (k / 8 % 2)) & 15;
            let scale = d * f32::from(1 + 2 * scale);
            let high = block[HIGH_AT + k / 8] >> (k % 8) & 1;
            let index = usize::from(block[2 + k]) | usize::from(high) << 8;
            let signs = block[SIGNS_AT + k / 2] >> (4 * (k % 2));
            IQ3_S.put(index, scale, signs, out);
        }
    }
}
