//! IQ3_XXS: 256 elements in 98 bytes: 8 sub-blocks of 32, each eight patterns of 4 from a book of 256.
//!
//! ```text
//! byte   0 1      2 … 65                    66 … 97
//!      ┌────────┬─────────────────────────┬──────────────────────────┐
//!      │ d: f16 │ index of each pattern   │ 8 × u32                  │
//!      └────────┴─────────────────────────┴──────────────────────────┘
//!
//! a u32, bits 31 … 0:   s s s s  4 × 7 bits    scale of the sub-block; signs of elements 24–31, …, 0–7
//!
//! x = d · (0.5 + scale) / 2 · ±pattern[i]     each eighth sign makes the number of minuses even
//! ```

use super::codebook::{IQ3_XXS, even_signs, read_u32};
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 98;
const SCALES_AT: usize = 66;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (j, out) in out.chunks_exact_mut(32).enumerate() {
            let rest = read_u32(&block[SCALES_AT + 4 * j..]);
            let scale = d * (0.5 + (rest >> 28) as f32) * 0.5;
            for (k, out) in out.chunks_exact_mut(4).enumerate() {
                let signs = even_signs(rest >> (7 * (k / 2))) >> (4 * (k % 2));
                IQ3_XXS.put(usize::from(block[2 + 8 * j + k]), scale, signs, out);
            }
        }
    }
}
