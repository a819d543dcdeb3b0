//! Q8_0: 32 elements in 34 bytes.
//!
//! ```text
//! byte   0 1        2 … 33
//!      ┌──────────┬─────────────────┐
//!      │ d: f16   │ byte j: q[j] i8 │     x = q · d
//!      └──────────┴─────────────────┘
//! ```

use super::{Codec, F16_MAX, read_f16, write_f16};

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
        let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let d = largest / 127.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        write_f16(d, block);
        for (q, v) in block[2..].iter_mut().zip(x) {
            *q = round_away(v * inverse) as i8 as u8;
        }
    }
}

/// To nearest, halves away from zero, by truncation: unlike `f32::round` this needs no library call
/// on CPUs without a rounding instruction. The sum is exact enough, as |x| ≤ 127.5.
fn round_away(x: f32) -> i32 {
    let whole = x as i32;
    let rest = x - whole as f32;
    whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5)
}
