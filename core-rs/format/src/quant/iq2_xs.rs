//! IQ2_XS: 256 elements in 74 bytes: 16 sub-blocks of 16, each two patterns of 8 from a book of 512.
//!
//! ```text
//! byte   0 1      2 … 65                                       66 … 73
//!      ┌────────┬────────────────────────────────────────────┬──────────────────────────────────┐
//!      │ d: f16 │ 32 × u16: bits 0–8 index, 9–15 seven signs │ byte j: scale of sub-block 2j in │
//!      │        │                                            │ the low, 2j+1 in the high nibble │
//!      └────────┴────────────────────────────────────────────┴──────────────────────────────────┘
//!
//! x = d · (0.5 + scale) / 4 · ±pattern[i]     the eighth sign makes the number of minuses even
//! ```

use super::codebook::{IQ2_XS, even_signs, read_u16};
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 74;
const SCALES_AT: usize = 66;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        let (patterns, scales) = block.split_at(SCALES_AT);
        let patterns = patterns[2..].chunks_exact(2);
        for (k, (pattern, out)) in patterns.zip(out.chunks_exact_mut(8)).enumerate() {
            let scale = scales[k / 4] >> (4 * (k / 2 % 2)) & 15;
            let scale = d * (0.5 + f32::from(scale)) * 0.25;
            let pattern = read_u16(pattern);
            let signs = even_signs(u32::from(pattern >> 9));
            IQ2_XS.put(usize::from(pattern & 511), scale, signs, out);
        }
    }
}
