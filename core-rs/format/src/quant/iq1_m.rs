//! IQ1_M: 256 elements in 56 bytes: 16 sub-blocks of 16, each two patterns of 8 ternary elements from
//! the book of IQ1_S, each moved up or down by an eighth.
//!
//! ```text
//! byte   0 … 31            32 … 47                           48 … 55
//!      ┌─────────────────┬─────────────────────────────────┬───────────────────────────────────────┐
//!      │ byte k: low 8   │ nibble k, low ones first: bits  │ 4 × u16: bits 3i … 3i+2 scale of sub- │
//!      │ bits of index k │ 0–2 high bits of index k; bit 3 │ block 4j + i; bits 12–15 of word j:   │
//!      │                 │ set: pattern k is moved down    │ bits 4j … 4j+3 of d, an f16           │
//!      └─────────────────┴─────────────────────────────────┴───────────────────────────────────────┘
//!
//! x = d · (1 + 2 · scale) · (pattern[i] ± 1/8)
//! ```

use super::codebook::read_u16;
use super::iq1_s::{DELTA, put};
use super::{Codec, F16_MAX};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 56;
const HIGH_AT: usize = 32;
const SCALES_AT: usize = 48;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let word = |j: usize| read_u16(&block[SCALES_AT + 2 * j..]);
        let d = (0..4).fold(0, |bits, j| bits | word(j) >> 12 << (4 * j));
        let d = half::f16::from_bits(d).to_f32();
        for (k, out) in out.chunks_exact_mut(8).enumerate() {
            let j = k / 2; // the sub-block
            let scale = d * f32::from(1 + 2 * (word(j / 4) >> (3 * (j % 4)) & 7));
            let high = block[HIGH_AT + k / 2] >> (4 * (k % 2)) & 15;
            let index = usize::from(block[k]) | usize::from(high & 7) << 8;
            let delta = if high & 8 == 0 { DELTA } else { -DELTA };
            put(index, scale, delta, out);
        }
    }
}
