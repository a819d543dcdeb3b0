//! Q4_0: 32 elements in 18 bytes.
//!
//! ```text
//! byte   0 1        2 … 17
//!      ┌──────────┬────────────────────────────────────────────┐
//!      │ d: f16   │ byte j: low nibble x[j], high nibble x[j+16] │     x = d · (q - 8)
//!      └──────────┴────────────────────────────────────────────┘
//! ```

use super::lanes::{LANES, Lanes};
use super::{Codec, F16_MAX, lanes, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 8.0 * F16_MAX,
};

const BLOCK: usize = 32;
const BYTES: usize = 18;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(block);
        let (low, high) = out.split_at_mut(BLOCK / 2);
        for (j, q) in block[2..].iter().enumerate() {
            low[j] = d * f32::from((q & 15) as i8 - 8);
            high[j] = d * f32::from((q >> 4) as i8 - 8);
        }
    }
}

/// The value of the largest size, with its sign, becomes -8: the one code without a counterpart.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let extreme = lanes::extreme(x);
        let d = extreme / -8.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        write_f16(d, block);
        let code = |x: &[f32]| {
            let q = Lanes::load(x) * Lanes::of(inverse) + Lanes::of(8.5);
            q.within(0.0, 15.0)
        };
        for i in [0, 8] {
            let (low, high) = (code(&x[i..]), code(&x[i + BLOCK / 2..]));
            block[2 + i..][..LANES].copy_from_slice(&low.nibbles(high));
        }
    }
}
