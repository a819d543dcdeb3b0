//! Q3_K: 256 elements in 110 bytes: 16 sub-blocks of 16, each with a signed scale of 6 bits.
//!
//! ```text
//! byte   0 … 31              32 … 95            96 … 107           108 109
//!      ┌───────────────────┬──────────────────┬──────────────────┬────────┐
//!      │ byte j, bit k:    │ 2 × 32 bytes of  │ 16 scales, below │ d: f16 │     x = (d · (scale - 32)) · (q - 4)
//!      │ the third bit of  │ four times the   │                  │        │
//!      │ element 32k + j   │ low 2 bits, as   │                  │        │
//!      │                   │ in Q2_K          │                  │        │
//!      └───────────────────┴──────────────────┴──────────────────┴────────┘
//!
//! scale bytes, bits 7 … 0:  0–7   s s s s s s s s    low 4 bits: of scale j in the low, j+8 in the high nibble
//!                           8–11  S S S S S S S S    high 2 bits of scales j, j+4, j+8, j+12, from bit 0 on
//! ```

use super::search_signed::{Even, Signed, signed_codes};
use super::{Codec, F16_MAX, lanes, q2_k, read_f16, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 3.0 * 32.0 * F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 110;
const SUB: usize = 16;
const LOW_AT: usize = 32;
const SCALES_AT: usize = 96;
const D_AT: usize = 108;
const CODES: Even = Even {
    q_max: 4.0,
    by: 0.6,
    n_side: 1,
};
const N_SUB: usize = BLOCK / SUB;

/// Scale of sub-block `j`, from -32 to 31, out of the 12 packed bytes.
fn unpack_scale(packed: &[u8], j: usize) -> i8 {
    let low = packed[j % 8] >> (4 * (j / 8)) & 15;
    let high = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
    (low | high << 4) as i8 - 32
}

/// The reverse: 16 scales from -32 to 31, as bytes of an i8, into 12 bytes.
fn pack_scales(scales: &[u8; N_SUB], packed: &mut [u8]) {
    let scales = scales.map(|scale| scale.wrapping_add(32));
    for (j, byte) in packed[..8].iter_mut().enumerate() {
        *byte = scales[j] & 15 | scales[j + 8] << 4;
    }
    for (j, byte) in packed[8..12].iter_mut().enumerate() {
        *byte = (0..4).fold(0, |bits, k| bits | (scales[j + 4 * k] >> 4) << (2 * k));
    }
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let d = read_f16(&block[D_AT..]);
        for (j, out) in out.chunks_exact_mut(SUB).enumerate() {
            let step = d * f32::from(unpack_scale(&block[SCALES_AT..], j));
            let (first, shift) = q2_k::place(j);
            let low = &block[LOW_AT + first..][..SUB];
            let high = &block[16 * (j % 2)..][..SUB];
            for (x, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
                let q = (low >> shift & 3) | (high >> (j / 2) & 1) << 2;
                *x = step * f32::from(q as i8 - 4);
            }
        }
    }
}

/// Finds each sub-block's best scale, rounds the 16 scales to 6 bits so that the largest is -32, and
/// then rounds the elements to what the rounded scales can say.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (first, second) = x.split_at(BLOCK / 2);
        let halves = [first, second].map(|x| Signed::<SUB, _>::new(x, CODES));
        let mut steps = [0.0; N_SUB];
        for (half, steps) in halves.iter().zip(steps.chunks_exact_mut(N_SUB / 2)) {
            steps.copy_from_slice(&half.steps());
        }
        block.fill(0);
        let d = write_f16(lanes::extreme(&steps) / -32.0, &mut block[D_AT..]);
        let mut scales = [0; N_SUB];
        for (i, half) in halves.iter().enumerate() {
            let first = i * N_SUB / 2;
            scales[first..][..N_SUB / 2].copy_from_slice(&half.round(&steps[first..], d, 32.0));
        }
        pack_scales(&scales, &mut block[SCALES_AT..]);
        for (j, x) in x.chunks_exact(SUB).enumerate() {
            let step = d * f32::from(scales[j] as i8);
            put_codes(j, &signed_codes::<SUB>(x, step, CODES.q_max), block);
        }
    }
}

/// Adds the bits of sub-block `j`.
#[inline(always)]
fn put_codes(j: usize, sub_block: &[u8; SUB], block: &mut [u8]) {
    let (first, shift) = q2_k::place(j);
    for (byte, code) in block[LOW_AT + first..].iter_mut().zip(sub_block) {
        *byte |= (code & 3) << shift;
    }
    for (byte, code) in block[16 * (j % 2)..].iter_mut().zip(sub_block) {
        *byte |= (code >> 2) << (j / 2);
    }
}
