//! Q4_1: 32 elements in 20 bytes.
//!
//! ```text
//! byte   0 1        2 3        4 … 19
//!      ┌──────────┬──────────┬────────────────────────────────────────────┐
//!      │ d: f16   │ m: f16   │ byte j: low nibble x[j], high nibble x[j+16] │     x = d · q + m
//!      └──────────┴──────────┴────────────────────────────────────────────┘
//! ```

use super::lanes::{LANES, Lanes};
use super::{Codec, F16_MAX, lanes, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    // m may be as large as the values.
    limit: F16_MAX,
};

const BLOCK: usize = 32;
const BYTES: usize = 20;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (d, m) = (read_f16(block), read_f16(&block[2..]));
        let (low, high) = out.split_at_mut(BLOCK / 2);
        for (j, q) in block[4..].iter().enumerate() {
            low[j] = d * f32::from(q & 15) + m;
            high[j] = d * f32::from(q >> 4) + m;
        }
    }
}

/// The smallest value becomes 0 and the largest 15.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (min, max) = lanes::min_max(x);
        let d = (max - min) / 15.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        write_f16(d, block);
        write_f16(min, &mut block[2..]);
        let code = |x: &[f32]| {
            let q = (Lanes::load(x) - Lanes::of(min)) * Lanes::of(inverse) + Lanes::of(0.5);
            q.within(0.0, 15.0)
        };
        for i in [0, 8] {
            let (low, high) = (code(&x[i..]), code(&x[i + BLOCK / 2..]));
            block[4 + i..][..LANES].copy_from_slice(&low.nibbles(high));
        }
    }
}
