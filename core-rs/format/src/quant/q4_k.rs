//! Q4_K: 256 elements in 144 bytes: 8 sub-blocks of 32, each with a scale and a minimum of 6 bits.
//!
//! ```text
//! byte   0 1      2 3         4 … 15                       16 … 143
//!      ┌────────┬───────────┬───────────────────────────┬──────────────────────────────────┐
//!      │ d: f16 │ dmin: f16 │ 8 scales, 8 minima, below │ 4 × 32 bytes: byte j of part p is │
//!      └────────┴───────────┴───────────────────────────┴──────────────────────────────────┘
//!                     low nibble: element j of sub-block 2p; high nibble: of sub-block 2p + 1
//!
//! scale bytes, bits 7 … 0:     0–3   S S s s s s s s    scale of sub-block j; S: upper bits of scale j+4
//!                              4–7   M M m m m m m m    minimum of sub-block j; M: upper bits of min. j+4
//!                              8–11  m m m m s s s s    lower bits of minimum and scale of j+4
//!
//! x = (d · scale) · q - (dmin · minimum)
//! ```

use super::search::{Fitted, Grid, Lines};
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    // The largest minimum is 63 · dmin, and the range of 15 steps of 63 · d is larger still.
    limit: 63.0 * F16_MAX,
};

pub(crate) const BLOCK: usize = 256;
const BYTES: usize = 144;
pub(crate) const SUB: usize = 32;
pub const N_SUB: usize = BLOCK / SUB;
const Q_MAX: f32 = 15.0;
pub(crate) const SCALE_BYTES: usize = 12;

/// Scale and minimum of sub-block `j` from the 12 packed bytes.
pub fn unpack_scale(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        return (packed[j] & 63, packed[j + 4] & 63);
    }
    let low = packed[j + 4];
    (
        (low & 15) | (packed[j - 4] >> 6) << 4,
        (low >> 4) | (packed[j] >> 6) << 4,
    )
}

/// The reverse: 8 scales and 8 minima, each below 64, into 12 bytes.
pub fn pack_scales(scales: &[u8; N_SUB], minima: &[u8; N_SUB], packed: &mut [u8]) {
    for j in 0..4 {
        packed[j] = scales[j] | (scales[j + 4] >> 4) << 6;
        packed[j + 4] = minima[j] | (minima[j + 4] >> 4) << 6;
        packed[j + 8] = (scales[j + 4] & 15) | (minima[j + 4] & 15) << 4;
    }
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (head, codes) = block.split_at(4 + SCALE_BYTES);
        let (d, dmin) = (read_f16(head), read_f16(&head[2..]));
        for (j, out) in out.chunks_exact_mut(SUB).enumerate() {
            let (scale, min) = unpack_scale(&head[4..], j);
            let (step, low) = (d * f32::from(scale), dmin * f32::from(min));
            let part = &codes[j / 2 * SUB..][..SUB];
            for (x, &pair) in out.iter_mut().zip(part) {
                let q = if j % 2 == 0 { pair & 15 } else { pair >> 4 };
                *x = step * f32::from(q) - low;
            }
        }
    }
}

/// Fits a line to each sub-block, rounds the 8 slopes and 8 minima to 6 bits on two common units, and
/// then rounds the elements to what the rounded lines can say.
fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        let (head, codes) = block.split_at_mut(4 + SCALE_BYTES);
        let lines = Lines::<SUB>::new(x);
        let fitted = lines.fit(Grid::Q4);
        let units = Fitted::units(std::slice::from_ref(&fitted), Grid::Q4, head);
        let lines = lines.round(&fitted, units, Grid::Q4);
        pack_scales(&lines.scales, &lines.minima, &mut head[4..]);
        let parts = x.chunks_exact(2 * SUB).zip(codes.chunks_exact_mut(SUB));
        for (p, (x, part)) in parts.enumerate() {
            let (x_even, x_odd) = x.split_at(SUB);
            let even = lines.codes::<SUB>(2 * p, x_even, Q_MAX);
            let odd = lines.codes::<SUB>(2 * p + 1, x_odd, Q_MAX);
            for i in 0..SUB {
                part[i] = even[i] | odd[i] << 4;
            }
        }
    }
}
