//! Q1_0: 128 signs in 18 bytes.
//!
//! ```text
//! byte   0 1      2 … 17
//!      ┌────────┬──────────────────────────────────────┐
//!      │ d: f16 │ byte j, bit i: 1 where x[8j + i] ≥ 0 │     x = ±d
//!      └────────┴──────────────────────────────────────┘
//! ```

use super::{Codec, F16_MAX, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: F16_MAX,
};

const BLOCK: usize = 128;
const BYTES: usize = 18;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (byte, out) in block[2..].iter().zip(out.chunks_exact_mut(8)) {
            for (i, x) in out.iter_mut().enumerate() {
                *x = if byte >> i & 1 == 1 { d } else { -d };
            }
        }
    }
}

/// The mean size has the least squared error.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let sum: f32 = x.iter().map(|x| x.abs()).sum();
        write_f16(sum / BLOCK as f32, block);
        for (byte, x) in block[2..].iter_mut().zip(x.chunks_exact(8)) {
            *byte = (0..8).fold(0, |bits, i| bits | u8::from(x[i] >= 0.0) << i);
        }
    }
}
