//! NVFP4: 64 elements in 36 bytes: floats of 4 bits, 16 to a scale that is a float of 8 bits.
//!
//! ```text
//! byte   0 … 3                    4 … 35
//!      ┌────────────────────────┬──────────────────────────────────────────────────────┐
//!      │ scale of 16 elements   │ 4 × 8 bytes: byte j of sub-block p: low nibble its   │
//!      │ each: UE4M3            │ x[j], high nibble its x[j + 8]: E2M1 as in MXFP4     │
//!      └────────────────────────┴──────────────────────────────────────────────────────┘
//!
//! a scale:   – e e e e m m m     2^(e - 7) · (1 + m/8), or 2^-6 · m/8 where e is 0; 0 for 0x7F
//!
//! x = scale · VALUES[q] / 2
//! ```
//!
//! The second scale of the format, one a tensor, is a tensor of its own beside this one.

use super::{Codec, F16_MAX, mxfp4};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: None,
    limit: F16_MAX,
};

const BLOCK: usize = 64;
const BYTES: usize = 36;
const SUB: usize = 16;

/// Half of what the byte says, for `VALUES` are doubled.
fn half_scale(byte: u8) -> f32 {
    let (exponent, mantissa) = (byte >> 3 & 15, f32::from(byte & 7));
    match (byte, exponent) {
        (0x7F, _) => 0.0,
        (_, 0) => mantissa * 0.5f32.powi(10),
        _ => (1.0 + mantissa / 8.0) * 2.0f32.powi(i32::from(exponent) - 8),
    }
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (scales, codes) = block.split_at(4);
        let parts = codes.chunks_exact(SUB / 2).zip(out.chunks_exact_mut(SUB));
        for (&scale, (codes, out)) in scales.iter().zip(parts) {
            let d = half_scale(scale);
            let (low, high) = out.split_at_mut(SUB / 2);
            for (j, q) in codes.iter().enumerate() {
                low[j] = d * f32::from(mxfp4::VALUES[usize::from(q & 15)]);
                high[j] = d * f32::from(mxfp4::VALUES[usize::from(q >> 4)]);
            }
        }
    }
}
