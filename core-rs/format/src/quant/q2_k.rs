//! Q2_K: 256 elements in 84 bytes: 16 sub-blocks of 16, each with a scale and a minimum of 4 bits.
//!
//! ```text
//! byte   0 … 15                           16 … 79            80 81    82 83
//!      ┌────────────────────────────────┬──────────────────┬────────┬───────────┐
//!      │ byte j: low nibble scale of    │ 2 × 32 bytes of  │ d: f16 │ dmin: f16 │
//!      │ sub-block j, high its minimum  │ four 2-bit codes │        │           │
//!      └────────────────────────────────┴──────────────────┴────────┴───────────┘
//!
//! Byte j of half h: bits 0, 1 element 128h + j; bits 2, 3 element 128h + j + 32; and so on to j + 96.
//!
//! x = (d · scale) · q - (dmin · minimum)
//! ```

use super::search::{Fitted, Grid, Lines};
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 15.0 * F16_MAX,
};

const BLOCK: usize = 256;
const BYTES: usize = 84;
const SUB: usize = 16;
const CODES_AT: usize = 16;
const D_AT: usize = 80;

/// Where sub-block `j` keeps its bits: the first of 16 bytes, and the shift in each.
pub(crate) fn place(j: usize) -> (usize, usize) {
    (32 * (j / 8) + 16 * (j % 2), 2 * (j / 2 % 4))
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (d, dmin) = (read_f16(&block[D_AT..]), read_f16(&block[D_AT + 2..]));
        for (j, out) in out.chunks_exact_mut(SUB).enumerate() {
            let step = d * f32::from(block[j] & 15);
            let low = dmin * f32::from(block[j] >> 4);
            let (first, shift) = place(j);
            for (x, byte) in out.iter_mut().zip(&block[CODES_AT + first..]) {
                *x = step * f32::from(byte >> shift & 3) - low;
            }
        }
    }
}

/// Fits a line to each sub-block, rounds the 16 slopes and 16 minima to 4 bits on two common units, and
/// then rounds the elements to what the rounded lines can say.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (first, second) = x.split_at(BLOCK / 2);
        let halves = [first, second].map(Lines::<SUB>::new);
        let fitted = halves.each_ref().map(|half| half.fit(Grid::Q2));
        block.fill(0);
        let units = Fitted::units(&fitted, Grid::Q2, &mut block[D_AT..]);
        for (h, half) in halves.iter().enumerate() {
            let lines = half.round(&fitted[h], units, Grid::Q2);
            for j in 0..8 {
                block[8 * h + j] = lines.scales[j] | lines.minima[j] << 4;
                let x = &x[h * BLOCK / 2 + j * SUB..][..SUB];
                let codes = lines.codes::<SUB>(j, x, Grid::Q2.q_max);
                let (first, shift) = place(8 * h + j);
                let bytes = &mut block[CODES_AT + first..][..SUB];
                for (byte, code) in bytes.iter_mut().zip(codes) {
                    *byte |= code << shift;
                }
            }
        }
    }
}
