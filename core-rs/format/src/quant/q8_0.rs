//! Q8_0: 32 elements in 34 bytes.
//!
//! ```text
//! byte   0 1        2 … 33
//!      ┌──────────┬─────────────────┐
//!      │ d: f16   │ byte j: q[j] i8 │     x = q · d
//!      └──────────┴─────────────────┘
//! ```

use super::lanes::{LANES, Lanes};
use super::{Codec, F16_MAX, lanes, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 127.0 * F16_MAX,
};

const BLOCK: usize = 32;
const BYTES: usize = 34;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        for (x, &q) in out.iter_mut().zip(&block[2..]) {
            *x = f32::from(q as i8) * d;
        }
    }
}

fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let largest = lanes::largest_size(x);
        let d = largest / 127.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        write_f16(d, block);
        for (x, q) in x
            .chunks_exact(LANES)
            .zip(block[2..].chunks_exact_mut(LANES))
        {
            let scaled = Lanes::load(x) * Lanes::of(inverse);
            q.copy_from_slice(&scaled.round_away().to_bytes());
        }
    }
}
