//! IQ2_XXS: 256 elements in 66 bytes: 8 sub-blocks of 32, each four patterns of 8 from a book of 256.
//!
//! ```text
//! byte   0 1      2 … 65
//!      ┌────────┬──────────────────────────────────────────────────────────────────────┐
//!      │ d: f16 │ 8 × 8 bytes: 4 indices of a byte each, then a u32                    │
//!      └────────┴──────────────────────────────────────────────────────────────────────┘
//!
//! the u32, bits 31 … 0:   s s s s  4 × 7 bits    scale of the sub-block; signs of pattern 3, 2, 1, 0
//!
//! x = d · (0.5 + scale) / 4 · ±pattern[i]     the eighth sign makes the number of minuses even
//! ```

use super::codebook::{IQ2_XXS, even_signs, read_u32};
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 66;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (part, out) in block[2..].chunks_exact(8).zip(out.chunks_exact_mut(32)) {
            let rest = read_u32(&part[4..]);
            let scale = d * (0.5 + (rest >> 28) as f32) * 0.25;
            for (k, out) in out.chunks_exact_mut(8).enumerate() {
                let signs = even_signs(rest >> (7 * k));
                IQ2_XXS.put(usize::from(part[k]), scale, signs, out);
            }
        }
    }
}
