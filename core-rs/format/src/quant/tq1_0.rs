//! TQ1_0: 256 ternary elements in 54 bytes, five to a byte.
//!
//! ```text
//! byte   0 … 31             32 … 47              48 … 51               52 53
//!      ┌──────────────────┬────────────────────┬─────────────────────┬────────┐
//!      │ byte j: elements │ byte j: elements   │ byte j: elements    │ d: f16 │     x = d · (t - 1)
//!      │ j + 32n, n < 5   │ 160 + j + 16n, n<5 │ 240 + j + 4n, n < 4 │        │
//!      └──────────────────┴────────────────────┴─────────────────────┴────────┘
//!
//! A byte holds a fraction of 256: 0.t₀t₁t₂t₃t₄ in base 3, rounded up. Multiplied by 3ⁿ, what is left
//! of the point drops out of the byte, and the next digit is the whole part of three times the rest.
//! ```

use super::{Codec, F16_MAX, read_f16, tq2_0, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 54;
const D_AT: usize = 52;

/// Runs of bytes: the first byte, how many, and the first element. Digit `n` of byte `j` is element
/// `first + j + n_bytes · n`.
const RUNS: [(usize, usize, usize); 3] = [(0, 32, 0), (32, 16, 160), (48, 4, 240)];
const N_DIGITS: usize = 5;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(&block[D_AT..]);
        for (at, n_bytes, first) in RUNS {
            let mut rests = [0; 32];
            rests[..n_bytes].copy_from_slice(&block[at..][..n_bytes]);
            // The last run ends with the block, after four digits.
            for out in out[first..].chunks_exact_mut(n_bytes).take(N_DIGITS) {
                for (x, rest) in out.iter_mut().zip(&mut rests) {
                    let digit = ((u16::from(*rest) * 3) >> 8) as i8;
                    *x = d * f32::from(digit - 1);
                    *rest = rest.wrapping_mul(3);
                }
            }
        }
    }
}

/// The largest size becomes 1; what is nearer to it than to nothing too.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (d, digits) = tq2_0::digits(x);
        for (at, n_bytes, first) in RUNS {
            for j in 0..n_bytes {
                let digit = |n| digits.get(first + j + n_bytes * n).copied().unwrap_or(0);
                let number = (0..N_DIGITS).fold(0, |sum, n| 3 * sum + u16::from(digit(n)));
                block[at + j] = (number * 256).div_ceil(243) as u8;
            }
        }
        write_f16(d, &mut block[D_AT..]);
    }
}
