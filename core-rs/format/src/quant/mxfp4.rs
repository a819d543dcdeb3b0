//! MXFP4: 32 elements in 17 bytes: floats of 4 bits with a common power of two
//! (OCP Microscaling Formats, <https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf>).
//!
//! ```text
//! byte   0          1 … 16
//!      ┌──────────┬────────────────────────────────────────────┐
//!      │ e: E8M0  │ byte j: low nibble x[j], high nibble x[j+16] │     x = 2^(e - 127) · VALUES[q] / 2
//!      └──────────┴────────────────────────────────────────────┘
//!
//! a code, E2M1:   s e e m    sign, exponent, one bit of mantissa: ±0 0.5 1 1.5 2 3 4 6
//! ```

use super::lanes::{LANES, Lanes};
use super::{Codec, lanes};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    // The largest code at the largest scale that the encoder chooses, 2^125.
    limit: 6.0 * f32::from_bits(252 << 23),
};

const BLOCK: usize = 32;
const BYTES: usize = 17;

/// Twice what the codes stand for.
pub const VALUES: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Between two neighbours of the first half of `VALUES`.
const MIDDLES: [f32; 7] = [0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0];

/// Half of 2^(e - 127), for `VALUES` are doubled; exact, subnormal where e < 2.
fn half_scale(e: u8) -> f32 {
    f32::from_bits(match e {
        0 | 1 => 0x0020_0000 << e,
        _ => u32::from(e - 1) << 23,
    })
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = half_scale(block[0]);
        let (low, high) = out.split_at_mut(BLOCK / 2);
        for (j, q) in block[1..].iter().enumerate() {
            low[j] = d * f32::from(VALUES[usize::from(q & 15)]);
            high[j] = d * f32::from(VALUES[usize::from(q >> 4)]);
        }
    }
}

/// The largest value lies between 4 and 8 times the power of two, as the standard has it.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let exponent = lanes::largest_size(x).to_bits() >> 23;
        block[0] = exponent.saturating_sub(2) as u8;
        let d = half_scale(block[0]);
        for i in [0, 8] {
            let (low, high) = (codes(&x[i..], d), codes(&x[i + BLOCK / 2..], d));
            block[1 + i..][..LANES].copy_from_slice(&low.nibbles(high));
        }
    }
}

/// The nearest codes of eight values; of two, that of the smaller number.
#[inline(always)]
fn codes(x: &[f32], d: f32) -> Lanes {
    let (zero, one) = (Lanes::of(0.0), Lanes::of(1.0));
    let x = Lanes::load(x);
    let size = x.abs();
    let mut code = zero;
    for middle in MIDDLES {
        code = code + Lanes::if_less(Lanes::of(middle * d), size, one, zero);
    }
    // What rounds to nothing has no sign.
    let negative = Lanes::if_less(
        x,
        zero,
        Lanes::if_less(zero, code, Lanes::of(8.0), zero),
        zero,
    );
    code + negative
}
