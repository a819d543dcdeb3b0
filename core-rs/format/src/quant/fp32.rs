//! F32: IEEE single precision, little-endian. Any bits go through unchanged, NaN payloads too.

use super::Codec;

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: f32::INFINITY,
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (raw, x) in bytes.chunks_exact(4).zip(out) {
        *x = f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
    }
}

fn encode(values: &[f32], out: &mut [u8]) {
    for (x, raw) in values.iter().zip(out.chunks_exact_mut(4)) {
        raw.copy_from_slice(&x.to_le_bytes());
    }
}
