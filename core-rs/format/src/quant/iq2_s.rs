//! IQ2_S: 256 elements in 82 bytes: 16 sub-blocks of 16, each two patterns of 8 from a book of 1024,
//! with a sign for every element.
//!
//! ```text
//! byte   0 1      2 … 33            34 … 65              66 … 73                   74 … 81
//!      ┌────────┬─────────────────┬────────────────────┬─────────────────────────┬──────────────────────┐
//!      │ d: f16 │ byte k: low 8   │ byte k, bit i:     │ byte j: high 2 bits of  │ byte j: scale of sub-│
//!      │        │ bits of index k │ sign of element i  │ index 4j, 4j+1, 4j+2,   │ block 2j in the low, │
//!      │        │                 │ of pattern k       │ 4j+3, from bit 0 on     │ 2j+1 in the high     │
//!      └────────┴─────────────────┴────────────────────┴─────────────────────────┴──────────────────────┘
//!
//! x = d · (0.5 + scale) / 4 · ±pattern[i]
//! ```

use super::codebook::IQ2_S;
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 82;
const SIGNS_AT: usize = 34;
const HIGH_AT: usize = 66;
const SCALES_AT: usize = 74;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (k, out) in out.chunks_exact_mut(8).enumerate() {
            let scale = block[SCALES_AT + k / 4] >> (4 * (k / 2 % 2)) & 15;
            let scale = d * (0.5 + f32::from(scale)) * 0.25;
            let high = block[HIGH_AT + k / 4] >> (2 * (k % 4)) & 3;
            let index = usize::from(block[2 + k]) | usize::from(high) << 8;
            IQ2_S.put(index, scale, block[SIGNS_AT + k], out);
        }
    }
}
