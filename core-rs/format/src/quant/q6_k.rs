//! Q6_K: 256 elements in 210 bytes: 16 sub-blocks of 16, each with a signed scale of 8 bits.
//!
//! ```text
//! byte   0 … 127           128 … 191          192 … 207       208 209
//!      ┌─────────────────┬──────────────────┬───────────────┬────────┐
//!      │ low 4 bits      │ high 2 bits      │ 16 scales, i8 │ d: f16 │     x = (d · scale) · (q - 32)
//!      └─────────────────┴──────────────────┴───────────────┴────────┘
//!
//! Each half of 128 elements has 64 low bytes and 32 high bytes; for j = 0 … 31 its elements are
//!   j       low nibble of low[j]         bits 0, 1 of high[j]
//!   j + 32  low nibble of low[j + 32]    bits 2, 3
//!   j + 64  high nibble of low[j]        bits 4, 5
//!   j + 96  high nibble of low[j + 32]   bits 6, 7
//! ```

use super::search_signed::{Even, Signed, signed_codes};
use super::{Codec, F16_MAX, lanes, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    // The coarsest grid tried puts the largest value at code 31.1, and its scale at -128.
    limit: 31.0 * 128.0 * F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 210;
const SUB: usize = 16;
const N_SUB: usize = BLOCK / SUB;
const CODES: Even = Even {
    q_max: 32.0,
    by: 0.2,
    n_side: 4,
};
const HALF: usize = 128;
const SCALES_AT: usize = 192;
const D_AT: usize = 208;

/// Where element `i` of a half keeps its bits: (low byte, shift, high byte, shift).
fn place(i: usize) -> (usize, usize, usize, usize) {
    let (quarter, j) = (i / 32, i % 32);
    (j + 32 * (quarter % 2), 4 * (quarter / 2), j, 2 * quarter)
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(&block[D_AT..]);
        for (half, out) in out.chunks_exact_mut(HALF).enumerate() {
            let low = &block[64 * half..][..64];
            let high = &block[128 + 32 * half..][..32];
            let scales = &block[SCALES_AT + 8 * half..][..8];
            for (i, x) in out.iter_mut().enumerate() {
                let (l, l_shift, h, h_shift) = place(i);
                let q = (low[l] >> l_shift & 15) | (high[h] >> h_shift & 3) << 4;
                *x = (d * f32::from(scales[i / SUB] as i8)) * f32::from(q as i8 - 32);
            }
        }
    }
}

/// Finds each sub-block's best scale, rounds the 16 scales to 8 bits so that the largest is -128, and
/// then rounds the elements to what the rounded scales can say.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (first, second) = x.split_at(HALF);
        let halves = [first, second].map(|half| Signed::<SUB, _>::new(half, CODES));
        let mut steps = [0.0; N_SUB];
        for (half, steps) in halves.iter().zip(steps.chunks_exact_mut(N_SUB / 2)) {
            steps.copy_from_slice(&half.steps());
        }
        block.fill(0);
        let d = write_f16(lanes::extreme(&steps) / -128.0, &mut block[D_AT..]);
        let (codes, scales) = block.split_at_mut(SCALES_AT);
        for (i, half) in halves.iter().enumerate() {
            let n = N_SUB / 2;
            scales[i * n..][..n].copy_from_slice(&half.round(&steps[i * n..], d, 128.0));
        }
        for (j, x) in x.chunks_exact(SUB).enumerate() {
            let step = d * f32::from(scales[j] as i8);
            put_codes(j, &signed_codes::<SUB>(x, step, CODES.q_max), codes);
        }
    }
}

/// Adds the bits of sub-block `j` to `codes`, which begins with the low bits.
#[inline(always)]
fn put_codes(j: usize, sub_block: &[u8; SUB], codes: &mut [u8]) {
    let (half, first) = (j * SUB / HALF, j * SUB % HALF);
    let (low, low_shift, high, high_shift) = place(first);
    let low = &mut codes[64 * half + low..][..SUB];
    for (byte, code) in low.iter_mut().zip(sub_block) {
        *byte |= (code & 15) << low_shift;
    }
    let high = &mut codes[128 + 32 * half + high..][..SUB];
    for (byte, code) in high.iter_mut().zip(sub_block) {
        *byte |= (code >> 4) << high_shift;
    }
}
