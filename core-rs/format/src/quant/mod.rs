//! Tensor types as code: one file a type, which draws its bits and turns rows into f32 and back.
//! Plain loops on purpose: this is what every faster kernel is compared with. Decoding equals the
//! `gguf` package's numpy decoders bit for bit.
//!
//! A new type is a file with a [`Codec`] here and that codec's name in its row of `dtype.rs`.

use crate::DType;
use crate::error::{Error, Result};

pub(crate) mod bf16;
mod codebook;
pub(crate) mod fp16;
pub(crate) mod fp32;
pub(crate) mod iq1_m;
pub(crate) mod iq1_s;
pub(crate) mod iq2_s;
pub(crate) mod iq2_xs;
pub(crate) mod iq2_xxs;
pub(crate) mod iq3_s;
pub(crate) mod iq3_xxs;
pub(crate) mod iq4_nl;
pub(crate) mod iq4_xs;
mod lanes;
pub(crate) mod mxfp4;
pub(crate) mod nvfp4;
pub(crate) mod q1_0;
pub(crate) mod q2_0;
pub(crate) mod q2_k;
pub(crate) mod q3_k;
pub(crate) mod q4_0;
pub(crate) mod q4_1;
pub(crate) mod q4_k;
pub(crate) mod q5_0;
pub(crate) mod q5_1;
pub(crate) mod q5_k;
pub(crate) mod q6_k;
pub(crate) mod q8_0;
mod search;
mod search_signed;
pub(crate) mod tq1_0;
pub(crate) mod tq2_0;
mod uneven;

/// What the codes of MXFP4 stand for, doubled, and those of IQ4_NL and IQ4_XS.
pub use mxfp4::VALUES as MXFP4_VALUES;
pub use q4_k::{pack_scales, unpack_scale};
pub use uneven::VALUES as IQ4_VALUES;

/// Whole rows of f32 into blocks of exactly the right length.
pub(crate) type Encode = fn(&[f32], &mut [u8]);

/// The two directions of a type. Both functions get whole rows whose lengths have been checked.
pub(crate) struct Codec {
    pub(crate) decode: fn(&[u8], &mut [f32]),
    pub(crate) encode: Option<Encode>,
    /// The largest absolute value whose scale still fits in the block; infinite where any f32 goes.
    pub(crate) limit: f32,
}

/// Where scales are f16, this is the largest.
pub(crate) const F16_MAX: f32 = 65504.0;

/// Decodes whole blocks into f32. A row of several blocks, or several rows at once, are all the same.
///
/// Errors: no decoder for this type, `out` is not a multiple of the block, or `bytes` is not as long
/// as `out` needs.
pub fn decode_row(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let codec = check_decode(dtype)?;
    check_bytes(dtype, out.len(), bytes.len())?;
    (codec.decode)(bytes, out);
    Ok(())
}

/// Encodes f32 into whole blocks.
///
/// Errors: no encoder for this type, `values` is not a multiple of the block, `out` has not the length
/// that `values` needs, or a value is not finite or too large for a type with scales.
pub fn encode_row(dtype: DType, values: &[f32], out: &mut [u8]) -> Result<()> {
    let (codec, encode) = check_encode(dtype)?;
    check_bytes(dtype, values.len(), out.len())?;
    check_values(dtype, codec.limit, values)?;
    encode(values, out);
    Ok(())
}

pub(crate) fn check_decode(dtype: DType) -> Result<&'static Codec> {
    dtype.codec().ok_or_else(|| Error::Unsupported {
        action: "decode",
        dtype,
        supported: supported(DType::can_decode),
    })
}

pub(crate) fn check_encode(dtype: DType) -> Result<(&'static Codec, Encode)> {
    let codec = dtype.codec();
    let encode = codec.and_then(|codec| Some((codec, codec.encode?)));
    encode.ok_or_else(|| Error::Unsupported {
        action: "encode",
        dtype,
        supported: supported(DType::can_encode),
    })
}

fn supported(can: fn(DType) -> bool) -> Vec<DType> {
    DType::all().iter().copied().filter(|&t| can(t)).collect()
}

fn check_bytes(dtype: DType, n_values: usize, n_bytes: usize) -> Result<()> {
    let expected = dtype.row_bytes(n_values)?;
    if n_bytes == expected {
        return Ok(());
    }
    let what = format!("number of bytes for {n_values} elements of {dtype}");
    Err(Error::invalid(what, n_bytes, expected.to_string()))
}

/// The comparison is false for NaN too, so one pass catches all that has no scale.
fn check_values(dtype: DType, limit: f32, values: &[f32]) -> Result<()> {
    if limit == f32::INFINITY || values.iter().fold(true, |ok, x| ok & (x.abs() <= limit)) {
        return Ok(());
    }
    let bad = values.iter().position(|x| x.is_nan() || x.abs() > limit);
    let index = bad.unwrap_or_default();
    Err(Error::OutOfRange {
        dtype,
        row: None,
        index,
        value: values.get(index).copied().unwrap_or_default(),
        limit,
    })
}

/// A little-endian f16 at the start of `bytes`, as f32.
pub(crate) fn read_f16(bytes: &[u8]) -> f32 {
    half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Writes `value` as f16, the largest there is for what is larger, and returns what was really stored.
pub(crate) fn write_f16(value: f32, out: &mut [u8]) -> f32 {
    let stored = half::f16::from_f32(value.clamp(-F16_MAX, F16_MAX));
    out[..2].copy_from_slice(&stored.to_le_bytes());
    stored.to_f32()
}
