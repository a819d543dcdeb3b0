//! IQ1_S: 256 elements in 50 bytes: 8 sub-blocks of 32, each four patterns of 8 ternary elements from a
//! book of 2048, all moved up or down by an eighth.
//!
//! ```text
//! byte   0 1      2 … 33            34 … 49
//!      ┌────────┬─────────────────┬────────────────────────────┐
//!      │ d: f16 │ byte k: low 8   │ 8 × u16, one a sub-block   │
//!      │        │ bits of index k │                            │
//!      └────────┴─────────────────┴────────────────────────────┘
//!
//! a u16, bits 15 … 0:   m s s s  4 × 3 bits    m: down; scale; high bits of the indices 3, 2, 1, 0
//!
//! x = d · (1 + 2 · scale) · (pattern[i] ± 1/8)
//! ```

use super::codebook::{IQ1, read_u16};
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 50;
const HIGH_AT: usize = 34;

/// How far patterns are moved.
pub(crate) const DELTA: f32 = 0.125;

/// `out[i] = scale · (pattern[i] + delta)`.
pub(crate) fn put(index: usize, scale: f32, delta: f32, out: &mut [f32]) {
    for (x, ternary) in out.iter_mut().zip(IQ1.entry(index)) {
        *x = scale * (ternary + delta);
    }
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (j, out) in out.chunks_exact_mut(32).enumerate() {
            let rest = read_u16(&block[HIGH_AT + 2 * j..]);
            let scale = d * f32::from(1 + 2 * (rest >> 12 & 7));
            let delta = if rest >> 15 == 0 { DELTA } else { -DELTA };
            for (k, out) in out.chunks_exact_mut(8).enumerate() {
                let high = usize::from(rest >> (3 * k) & 7);
                let index = usize::from(block[2 + 4 * j + k]) | high << 8;
                put(index, scale, delta, out);
            }
        }
    }
}
