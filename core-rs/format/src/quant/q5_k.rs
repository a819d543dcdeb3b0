//! Q5_K: 256 elements in 176 bytes: Q4_K with a fifth bit.
//!
//! ```text
//! byte   0 … 15                  16 … 47                             48 … 175
//!      ┌───────────────────────┬───────────────────────────────────┬──────────────────┐
//!      │ d, dmin, scales and   │ byte i, bit j: the fifth bit of   │ lower 4 bits, as │
//!      │ minima, as in Q4_K    │ element i of sub-block j          │ in Q4_K          │
//!      └───────────────────────┴───────────────────────────────────┴──────────────────┘
//!
//! x = (d · scale) · q - (dmin · minimum)
//! ```

use super::q4_k::{BLOCK, N_SUB, SCALE_BYTES, SUB, pack_scales, unpack_scale};
use super::search::{Fitted, Grid, Lines};
use super::{Codec, F16_MAX, read_f16};

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: 63.0 * F16_MAX,
};

const BYTES: usize = 176;
const Q_MAX: f32 = 31.0;

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let (head, codes) = block.split_at(4 + SCALE_BYTES);
        let (fifths, nibbles) = codes.split_at(SUB);
        let (d, dmin) = (read_f16(head), read_f16(&head[2..]));
        for (j, out) in out.chunks_exact_mut(SUB).enumerate() {
            let (scale, min) = unpack_scale(&head[4..], j);
            let (step, low) = (d * f32::from(scale), dmin * f32::from(min));
            let part = &nibbles[j / 2 * SUB..][..SUB];
            for ((x, &pair), &fifth) in out.iter_mut().zip(part).zip(fifths) {
                let q = if j % 2 == 0 { pair & 15 } else { pair >> 4 };
                *x = step * f32::from(q | (fifth >> j & 1) << 4) - low;
            }
        }
    }
}

fn encode(values: &[f32], out: &mut [u8]) {
    for (x, block) in values.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BYTES)) {
        block.fill(0);
        let (head, codes) = block.split_at_mut(4 + SCALE_BYTES);
        let (fifths, nibbles) = codes.split_at_mut(SUB);
        let lines = Lines::<SUB>::new(x);
        let fitted = lines.fit(Grid::Q5);
        let units = Fitted::units(std::slice::from_ref(&fitted), Grid::Q5, head);
        let lines = lines.round(&fitted, units, Grid::Q5);
        pack_scales(&lines.scales, &lines.minima, &mut head[4..]);
        for j in 0..N_SUB {
            let codes = lines.codes::<SUB>(j, &x[j * SUB..][..SUB], Q_MAX);
            let part = &mut nibbles[j / 2 * SUB..][..SUB];
            for ((code, pair), fifth) in codes.iter().zip(part).zip(fifths.iter_mut()) {
                *pair |= (code & 15) << (4 * (j % 2));
                *fifth |= (code >> 4) << j;
            }
        }
    }
}
