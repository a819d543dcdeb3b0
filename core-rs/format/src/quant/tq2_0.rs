//! TQ2_0: 256 ternary elements in 66 bytes.
//!
//! ```text
//! byte   0 … 63                               64 65
//!      ┌────────────────────────────────────┬────────┐
//!      │ 2 × 32 bytes of four 2-bit codes   │ d: f16 │     x = d · (t - 1)
//!      └────────────────────────────────────┴────────┘
//!
//! Byte j of half h: bits 0, 1 element 128h + j; bits 2, 3 element 128h + j + 32; and so on to j + 96.
//! ```

use super::lanes::{LANES, Lanes, largest_size};
use super::{Codec, F16_MAX, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 66;
const HALF: usize = 128;
const D_AT: usize = 64;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (codes, d) = block.split_at(D_AT);
        let d = read_f16(d);
        for (codes, out) in codes.chunks_exact(32).zip(out.chunks_exact_mut(HALF)) {
            for (n, out) in out.chunks_exact_mut(32).enumerate() {
                for (x, byte) in out.iter_mut().zip(codes) {
                    *x = d * f32::from((byte >> (2 * n) & 3) as i8 - 1);
                }
            }
        }
    }
}

/// The scale and the elements as 0, 1, 2: the largest size becomes ±1, and what is nearer to it than
/// to nothing too.
#[inline(always)]
pub(crate) fn digits(x: &[f32]) -> (f32, [u8; BLOCK]) {
    let d = largest_size(x);
    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
    let mut digits = [0; BLOCK];
    for (x, digits) in x.chunks_exact(LANES).zip(digits.chunks_exact_mut(LANES)) {
        let q = (Lanes::load(x) * Lanes::of(inverse)).round_away();
        let t = (q + Lanes::of(1.0)).within(0.0, 2.0);
        digits.copy_from_slice(&t.to_bytes());
    }
    (d, digits)
}

fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (d, digits) = digits(x);
        let parts = digits.chunks_exact(HALF).zip(block.chunks_exact_mut(32));
        for (digits, codes) in parts {
            for (j, byte) in codes.iter_mut().enumerate() {
                *byte = (0..4).fold(0, |bits, n| bits | digits[j + 32 * n] << (2 * n));
            }
        }
        write_f16(d, &mut block[D_AT..]);
    }
}
