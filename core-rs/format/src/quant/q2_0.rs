//! Q2_0: 64 elements of 2 bits in 18 bytes.
//!
//! ```text
//! byte   0 1      2 … 17
//!      ┌────────┬──────────────────────────────────────────────────────────┐
//!      │ d: f16 │ byte j: x[4j] in bits 0, 1, x[4j+1] in bits 2, 3, and so │     x = d · (q - 1)
//!      └────────┴──────────────────────────────────────────────────────────┘
//! ```

use super::lanes::{LANES, Lanes, largest_size};
use super::{Codec, F16_MAX, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: F16_MAX,
};

const BLOCK: usize = 64;
const BYTES: usize = 18;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (byte, out) in block[2..].iter().zip(out.chunks_exact_mut(4)) {
            for (i, x) in out.iter_mut().enumerate() {
                *x = d * f32::from((byte >> (2 * i) & 3) as i8 - 1);
            }
        }
    }
}

/// The largest size becomes ±1: the type is for ternary weights, which it keeps as they are. The code
/// for 2 stays unused.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let d = largest_size(x);
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        write_f16(d, block);
        let parts = x.chunks_exact(LANES).zip(block[2..].chunks_exact_mut(2));
        for (x, bytes) in parts {
            let q = (Lanes::load(x) * Lanes::of(inverse)).round_away();
            let codes = (q + Lanes::of(1.0)).within(0.0, 3.0).to_bytes();
            for (byte, codes) in bytes.iter_mut().zip(codes.chunks_exact(4)) {
                *byte = (0..4).fold(0, |bits, i| bits | codes[i] << (2 * i));
            }
        }
    }
}
