//! Every type that can be decoded or encoded, against what the `gguf` package made of the same bytes
//! (`tests/golden/make_format.py`), and against limits on the error that encoding may add.

use std::path::{Path, PathBuf};

use puna_format::quant::{decode_row, encode_row};
use puna_format::quantize::FileType;
use puna_format::{DType, Error};

fn golden(name: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/format");
    std::fs::read(path.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / 4];
    decode_row(DType::F32, bytes, &mut values).unwrap();
    values
}

fn encode(dtype: DType, values: &[f32]) -> Vec<u8> {
    let mut blocks = vec![0; dtype.row_bytes(values.len()).unwrap()];
    encode_row(dtype, values, &mut blocks).unwrap();
    blocks
}

fn decode(dtype: DType, blocks: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; blocks.len() / dtype.block_bytes() * dtype.block_len()];
    decode_row(dtype, blocks, &mut values).unwrap();
    values
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Types whose blocks are their own golden data.
fn is_decoded(dtype: &DType) -> bool {
    dtype.can_decode() && *dtype != DType::F32
}

#[test]
fn decoding_equals_the_gguf_package_to_the_bit() {
    for &dtype in DType::all().iter().filter(|t| is_decoded(t)) {
        let expected = floats(&golden(&format!("{dtype}.decoded")));
        let decoded = decode(dtype, &golden(&format!("{dtype}.blocks")));
        assert_eq!(bits(&decoded), bits(&expected), "{dtype}");
    }
}

#[test]
fn encoding_equals_the_gguf_package_where_it_has_an_encoder() {
    let values = floats(&golden("values.f32"));
    for dtype in [
        DType::F16,
        DType::BF16,
        DType::Q4_0,
        DType::Q4_1,
        DType::Q5_0,
        DType::Q5_1,
        DType::Q8_0,
        DType::MXFP4,
        DType::TQ1_0,
        DType::TQ2_0,
        DType::Q1_0,
        DType::Q2_0,
    ] {
        let expected = golden(&format!("{dtype}.encoded"));
        assert_eq!(encode(dtype, &values), expected, "{dtype}");
    }
}

/// The input of llama.cpp's test-quantize-fns.
fn wave(n: usize) -> Vec<f32> {
    (0..n).map(|i| 0.1 + 2.0 * (i as f32).cos()).collect()
}

#[test]
fn encoding_adds_no_more_error_than_llama_cpp_allows_itself() {
    // Of the root of summed squares over n, as in that test.
    let limit = |dtype| match dtype {
        DType::Q1_0 => 0.025,
        DType::TQ1_0 | DType::TQ2_0 | DType::Q2_0 => 0.01,
        DType::Q2_K => 0.0075,
        DType::Q3_K => 0.004,
        _ => 0.002,
    };
    let values = wave(4096);
    for &dtype in DType::all().iter().filter(|t| t.can_encode()) {
        let decoded = decode(dtype, &encode(dtype, &values));
        let pairs = values.iter().zip(&decoded);
        let squares: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let error = squares.sqrt() / values.len() as f64;
        assert!(error < limit(dtype), "{dtype}: {error}");
    }
}

/// How far, relative to it, a value may be from what stands for it where all of a block are alike.
fn coarseness(dtype: DType) -> f32 {
    match dtype {
        DType::MXFP4 => 0.25, // nearly 8 becomes 6
        _ => 0.01,
    }
}

#[test]
fn silent_tiny_and_constant_rows_survive() {
    for &dtype in DType::all().iter().filter(|t| t.can_encode()) {
        for x in [0.0, -0.0, 1e-40, -1e-30, 1.0, -2.5, 1000.0] {
            let row = vec![x; 256];
            let decoded = decode(dtype, &encode(dtype, &row));
            let close = |y: &f32| (y - x).abs() <= coarseness(dtype) * x.abs() + 1e-7;
            assert!(
                decoded.iter().all(close),
                "{dtype} of {x}: {:?}",
                &decoded[..4]
            );
        }
    }
}

#[test]
fn the_largest_value_allowed_stays_finite() {
    for &dtype in DType::all()
        .iter()
        .filter(|t| t.is_quantized() && t.can_encode())
    {
        let mut row = wave(256);
        row[3] = f32::MAX;
        let Err(Error::OutOfRange {
            limit, index: 3, ..
        }) = encode_row(dtype, &row, &mut vec![0; dtype.row_bytes(256).unwrap()])
        else {
            panic!("{dtype}: expected an error about value 3");
        };
        for sign in [1.0, -1.0] {
            row[3] = sign * limit;
            row[4] = -row[3];
            let decoded = decode(dtype, &encode(dtype, &row));
            assert!(
                decoded.iter().all(|x| x.is_finite()),
                "{dtype}: {decoded:?}"
            );
        }
    }
}

#[test]
fn nan_is_refused_where_it_would_spoil_a_block() {
    let mut row = wave(256);
    row[7] = f32::NAN;
    let error = encode_row(DType::Q4_K, &row, &mut [0; 144]).unwrap_err();
    assert!(
        error.to_string().contains("value 7 of the row is NaN"),
        "{error}"
    );
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let mut out = [0.0; 32];
    assert!(decode_row(DType::Q4_0, &[0; 17], &mut out).is_err());
    assert!(decode_row(DType::Q4_0, &[0; 18], &mut out[..31]).is_err());
    assert!(encode_row(DType::Q4_0, &out, &mut [0; 19]).is_err());
    assert!(DType::Q4_K.row_bytes(255).is_err());
}

#[test]
fn a_type_without_a_decoder_is_named_with_those_that_have_one() {
    let error = decode_row(DType::Q8_K, &[0; 292], &mut [0.0; 256]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Q8_K") && text.contains("Q6_K"), "{text}");
}

#[test]
fn the_table_of_types_is_consistent() {
    for &dtype in DType::all() {
        assert_eq!(DType::from_id(dtype.id()), Some(dtype));
        assert_eq!(DType::from_name(&dtype.name().to_lowercase()), Some(dtype));
        let json = serde_json::to_string(&dtype).unwrap();
        assert_eq!(json, format!("\"{}\"", dtype.name()));
    }
    assert_eq!(DType::from_id(4), None);
    assert_eq!(DType::from_id(43), None);
}

#[test]
fn file_types_that_cannot_be_made_say_why() {
    let refused: Vec<&str> = FileType::all()
        .filter(|t| t.check().is_err())
        .map(FileType::name)
        .collect();
    let expected = "IQ2_XXS IQ2_XS IQ3_XS IQ3_XXS IQ1_S IQ3_S IQ3_M IQ2_S IQ2_M IQ1_M";
    assert_eq!(refused.join(" "), expected);
    let text = FileType::IQ2_M.check().unwrap_err().to_string();
    assert!(text.starts_with("file type is IQ2_M, expected one of F32, F16, Q4_0"));
    assert!(text.ends_with("(IQ2_S needs an importance matrix, which is not supported)"));
}
