//! Q5_1: 32 elements in 24 bytes.
//!
//! ```text
//! byte   0 1        2 3        4 … 7                    8 … 23
//!      ┌──────────┬──────────┬────────────────────────┬──────────────────────────────────┐
//!      │ d: f16   │ m: f16   │ bit j of a u32: the    │ byte j: lower 4 bits of x[j] in  │   x = d · q + m
//!      │          │          │ fifth bit of x[j]      │ the low, x[j+16] in the high nibble │
//!      └──────────┴──────────┴────────────────────────┴──────────────────────────────────┘
//! ```

use super::lanes::{LANES, Lanes};
use super::{Codec, F16_MAX, lanes, q5_0, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    // m may be as large as the values.
    limit: F16_MAX,
};

const BLOCK: usize = 32;
const BYTES: usize = 24;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (d, m) = (read_f16(block), read_f16(&block[2..]));
        let (low, high) = out.split_at_mut(BLOCK / 2);
        for (j, q) in block[8..].iter().enumerate() {
            let fifth = |i: usize| (block[4 + i / 8] >> (i % 8) & 1) << 4;
            low[j] = d * f32::from(q & 15 | fifth(j)) + m;
            high[j] = d * f32::from(q >> 4 | fifth(j + 16)) + m;
        }
    }
}

/// The smallest value becomes 0 and the largest 31.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (min, max) = lanes::min_max(x);
        let d = (max - min) / 31.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        write_f16(d, block);
        write_f16(min, &mut block[2..]);
        let mut codes = [0; BLOCK];
        for (x, codes) in x.chunks_exact(LANES).zip(codes.chunks_exact_mut(LANES)) {
            let q = (Lanes::load(x) - Lanes::of(min)) * Lanes::of(inverse) + Lanes::of(0.5);
            codes.copy_from_slice(&q.within(0.0, 31.0).whole_bytes());
        }
        q5_0::put_codes(&codes, &mut block[4..]);
    }
}
