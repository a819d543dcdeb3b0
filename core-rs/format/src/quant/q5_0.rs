//! Q5_0: 32 elements in 22 bytes.
//!
//! ```text
//! byte   0 1        2 … 5                    6 … 21
//!      ┌──────────┬────────────────────────┬────────────────────────────────────────────┐
//!      │ d: f16   │ bit j of a u32: the    │ byte j: lower 4 bits of x[j] in the low,    │   x = d · (q - 16)
//!      │          │ fifth bit of x[j]      │ of x[j+16] in the high nibble               │
//!      └──────────┴────────────────────────┴────────────────────────────────────────────┘
//! ```

use super::lanes::{LANES, Lanes};
use super::{Codec, F16_MAX, lanes, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 16.0 * F16_MAX,
};

const BLOCK: usize = 32;
const BYTES: usize = 22;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        let (low, high) = out.split_at_mut(BLOCK / 2);
        for (j, q) in block[6..].iter().enumerate() {
            let fifth = |i: usize| (block[2 + i / 8] >> (i % 8) & 1) << 4;
            low[j] = d * f32::from((q & 15 | fifth(j)) as i8 - 16);
            high[j] = d * f32::from((q >> 4 | fifth(j + 16)) as i8 - 16);
        }
    }
}

/// The value of the largest size, with its sign, becomes -16: the one code without a counterpart.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let d = lanes::extreme(x) / -16.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        write_f16(d, block);
        let mut codes = [0; BLOCK];
        for (x, codes) in x.chunks_exact(LANES).zip(codes.chunks_exact_mut(LANES)) {
            let q = Lanes::load(x) * Lanes::of(inverse) + Lanes::of(16.5);
            codes.copy_from_slice(&q.within(0.0, 31.0).whole_bytes());
        }
        put_codes(&codes, &mut block[2..]);
    }
}

/// 32 codes of 5 bits into the 20 bytes of fifth bits and nibbles.
pub(crate) fn put_codes(codes: &[u8; BLOCK], bytes: &mut [u8]) {
    let (fifths, nibbles) = bytes.split_at_mut(4);
    for (byte, codes) in fifths.iter_mut().zip(codes.chunks_exact(8)) {
        *byte = (0..8).fold(0, |bits, i| bits | (codes[i] >> 4) << i);
    }
    for (j, pair) in nibbles.iter_mut().enumerate() {
        *pair = codes[j] & 15 | codes[j + BLOCK / 2] << 4;
    }
}
