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

use super::{Codec, F16_MAX, read_f16, search, write_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 32.0 * 127.0 * F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 210;
const SUB: usize = 16;
const N_SUB: usize = BLOCK / SUB;
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
        let mut steps = [0.0f32; N_SUB];
        for (step, x) in steps.iter_mut().zip(x.chunks_exact(SUB)) {
            *step = search::fit_scale::<SUB>(x, 32.0);
        }
        let extreme = steps
            .iter()
            .fold(0.0f32, |m, &v| if v.abs() > m.abs() { v } else { m });
        block.fill(0);
        let inverse = if extreme == 0.0 {
            0.0
        } else {
            -128.0 / extreme
        };
        let d = write_f16(extreme / -128.0, &mut block[D_AT..]);
        for (j, (step, x)) in steps.iter().zip(x.chunks_exact(SUB)).enumerate() {
            let scale = (step * inverse).round_ties_even().min(127.0) as i8;
            block[SCALES_AT + j] = scale as u8;
            let codes = search::signed_codes::<SUB>(x, d * f32::from(scale), 32.0);
            let first = j * SUB;
            for (i, code) in codes.iter().enumerate() {
                let (half, i) = ((first + i) / HALF, (first + i) % HALF);
                let (l, l_shift, h, h_shift) = place(i);
                block[64 * half + l] |= (code & 15) << l_shift;
                block[128 + 32 * half + h] |= (code >> 4) << h_shift;
            }
        }
    }
}
