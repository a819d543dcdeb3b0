//! BF16: the upper half of an f32, little-endian.

use super::Codec;

pub(crate) const CODEC: Codec = Codec {
    decode,
    encode: Some(encode),
    limit: f32::INFINITY,
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (raw, x) in bytes.chunks_exact(2).zip(out) {
        *x = f32::from_bits(u32::from(u16::from_le_bytes([raw[0], raw[1]])) << 16);
    }
}

fn encode(values: &[f32], out: &mut [u8]) {
    for (x, raw) in values.iter().zip(out.chunks_exact_mut(2)) {
        raw.copy_from_slice(&round(*x).to_le_bytes());
    }
}

/// To nearest, ties to even. NaN keeps its upper bits and is made quiet, lest rounding turn it into
/// infinity.
fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}
