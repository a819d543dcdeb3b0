//! F16: IEEE half precision, little-endian, rounded to nearest even; what is too large becomes
//! infinite.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::Codec;

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: f32::INFINITY,
};

/// Elements converted at a time, so that `half` can use the CPU's conversions on whole slices.
const PIECE: usize = 64;

fn decode(bytes: &[u8], out: &mut [f32]) {
    let mut piece = [f16::ZERO; PIECE];
    for (raw, out) in bytes.chunks(2 * PIECE).zip(out.chunks_mut(PIECE)) {
        for (pair, x) in raw.chunks_exact(2).zip(&mut piece) {
            *x = f16::from_le_bytes([pair[0], pair[1]]);
        }
        piece[..out.len()].convert_to_f32_slice(out);
    }
}

fn encode(values: &[f32], out: &mut [u8]) {
    let mut piece = [f16::ZERO; PIECE];
    for (values, raw) in values.chunks(PIECE).zip(out.chunks_mut(2 * PIECE)) {
        piece[..values.len()].convert_from_f32_slice(values);
        for (pair, x) in raw.chunks_exact_mut(2).zip(&piece) {
            pair.copy_from_slice(&x.to_le_bytes());
        }
    }
}
