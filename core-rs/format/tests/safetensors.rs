//! Safetensors: files of the `safetensors` package and of torch (`tests/golden/make_containers.py`)
//! read, and broken ones are errors that say what is wrong.

mod common;

use std::sync::Arc;

use common::{Folder, golden, says, source};
use proptest::prelude::*;
use puna_format::safetensors::{Dtype, SafeTensors};
use puna_format::{DType, FileSource, Source};

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

fn check_plain(file: &SafeTensors) {
    for (name, dtype) in [
        ("float64", Dtype::F64),
        ("float32", Dtype::F32),
        ("float16", Dtype::F16),
    ] {
        let tensor = file.require_tensor(name).unwrap();
        assert_eq!((tensor.dtype, &tensor.shape[..]), (dtype, &[3, 4][..]));
        assert_eq!(file.to_f32(name).unwrap(), numbers(12));
    }
    let ids = file.require_tensor("int64").unwrap();
    let bytes: Vec<u8> = (0..12i64).flat_map(i64::to_le_bytes).collect();
    assert_eq!(file.read_tensor(ids).unwrap(), bytes);
    assert_eq!(ids.dtype.gguf(), Some(DType::I64));
}

#[test]
fn a_file_reads_mapped_in_pieces_and_from_memory() {
    let path = golden("plain.safetensors");
    let mapped = SafeTensors::open(&path).unwrap();
    assert_eq!(mapped.metadata, [("format".to_string(), "np".to_string())]);
    assert_eq!((mapped.tensors().len(), mapped.n_files()), (6, 1));
    let scalar = mapped.require_tensor("scalar").unwrap();
    assert!(scalar.shape.is_empty());
    assert_eq!(mapped.to_f32("scalar").unwrap(), [2.5]);
    says(mapped.to_f32("uint8"), "tensor \"uint8\": its type is U8");
    says(
        mapped.to_f32("none"),
        "tensor \"none\" is missing: the file has 6",
    );
    let pieces = Arc::new(FileSource::open(&path).unwrap());
    let buffer = source(std::fs::read(&path).unwrap());
    for source in [pieces as Arc<dyn Source>, buffer] {
        check_plain(&SafeTensors::from_source(source).unwrap());
    }
    check_plain(&mapped);
}

const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 2] = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];

fn sharded() -> Folder {
    let folder = Folder::new();
    for name in [INDEX, SHARDS[0], SHARDS[1]] {
        std::fs::copy(golden(name), folder.0.join(name)).unwrap();
    }
    folder
}

#[test]
fn an_index_or_its_folder_opens_all_files() {
    let folder = sharded();
    for path in [folder.0.join(INDEX), folder.0.clone()] {
        let model = SafeTensors::open(&path).unwrap();
        assert_eq!((model.n_files(), model.tensors().len()), (2, 5));
        check_plain(&model);
    }
    std::fs::remove_file(folder.0.join(INDEX)).unwrap();
    says(
        SafeTensors::open(&folder.0),
        "the folder is without such a model",
    );
    std::fs::copy(
        golden("plain.safetensors"),
        folder.0.join("model.safetensors"),
    )
    .unwrap();
    check_plain(&SafeTensors::open(&folder.0).unwrap());
}

#[test]
fn floats_of_8_bits_mean_what_torch_says() {
    let file = SafeTensors::open(&golden("f8.safetensors")).unwrap();
    for name in ["e4m3fn", "e5m2"] {
        let ours = file.to_f32(name).unwrap();
        let theirs = file.to_f32(&format!("{name}.f32")).unwrap();
        assert_eq!(ours.len(), 256);
        for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
            assert!(
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
                "{name} {i}: {a} {b}"
            );
        }
    }
}

#[test]
fn a_missing_or_wrong_file_of_an_index_is_named() {
    let folder = sharded();
    let index = folder.0.join(INDEX);
    std::fs::copy(folder.0.join(SHARDS[0]), folder.0.join(SHARDS[1])).unwrap();
    let expected = format!("{}: tensor \"float16\" is missing", SHARDS[1]);
    says(SafeTensors::open(&index), &expected);
    std::fs::remove_file(folder.0.join(SHARDS[1])).unwrap();
    says(
        SafeTensors::open(&index),
        &format!("{}: cannot open the file", SHARDS[1]),
    );
    let buffer = source(std::fs::read(&index).unwrap());
    says(
        SafeTensors::from_source(buffer),
        "a buffer or stream without a folder",
    );
}

#[test]
fn an_index_does_not_lead_out_of_its_folder() {
    let folder = sharded();
    let index = folder.0.join(INDEX);
    for file in ["../x.safetensors", "/etc/passwd", "..", "", "a\\b", "C:x"] {
        let text = serde_json::json!({"weight_map": {"t": file}}).to_string();
        std::fs::write(&index, text).unwrap();
        says(
            SafeTensors::open(&index),
            "the name of a file beside the index",
        );
    }
    for (text, expected) in [
        ("{\"weight_map\": {}}", "weight_map is empty"),
        ("{}   ", "missing field `weight_map`"),
        (
            "{\"weight_map\": {\"a\": \"x\", \"a\": \"y\"}}",
            "\"a\" appears twice",
        ),
        (
            "{\"weight_map\": {\"a\": 1}}",
            "invalid type: integer `1`, expected a string",
        ),
    ] {
        std::fs::write(&index, text).unwrap();
        says(SafeTensors::open(&index), expected);
    }
}

/// A file with this header and so many bytes of data.
fn file(json: &str, n_data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + n_data, 0);
    bytes
}

fn open(bytes: Vec<u8>) -> puna_format::Result<SafeTensors> {
    SafeTensors::from_source(source(bytes))
}

fn tensor(dtype: &str, shape: &str, offsets: &str) -> String {
    format!("{{\"t\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}")
}

#[test]
fn sound_headers_open() {
    assert_eq!(open(file("{}", 0)).unwrap().tensors().len(), 0);
    assert!(open(file("{\"__metadata__\":null}   ", 0)).is_ok());
    let odd = open(file(&tensor("F6_E2M3", "[4]", "[0,3]"), 3)).unwrap();
    assert_eq!(odd.tensor("t").unwrap().n_bytes, 3);
    let none = open(file(&tensor("F32", "[3,0]", "[0,0]"), 0)).unwrap();
    assert!(none.to_f32("t").unwrap().is_empty());
    // A header whose length ends in the byte of "{".
    let padded = format!("{{}}{}", " ".repeat(0x7b - 2));
    assert!(open(file(&padded, 0)).is_ok());
}

#[test]
fn broken_headers_are_named() {
    let cases = [
        (
            vec![1, 2, 3],
            "the length of the header at byte 0 needs 8 bytes",
        ),
        (
            vec![255; 16],
            "the length of the header is 18446744073709551615",
        ),
        (
            file("{}", 0)[..9].to_vec(),
            "the header at byte 8 needs 2 bytes",
        ),
        (
            file("{]", 0),
            "the header is key must be a string at line 1 column 2",
        ),
        (file("[]", 0), "expected an object of tensors"),
        (file("{} x", 0), "trailing characters"),
        (file("{\"t\":{}}", 0), "tensor \"t\": missing field `dtype`"),
        (file("{\"t\":[1]}", 0), "tensor \"t\""),
        (file("{\"__metadata__\":{\"a\":1}}", 0), "expected a string"),
        (
            file("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0),
            "\"a\" appears twice",
        ),
        (file("{}", 4), "the size of the file is 14, expected 10"),
    ];
    for (bytes, expected) in cases {
        says(open(bytes), expected);
    }
    let t = tensor("F32", "[1]", "[0,4]");
    let twice = format!("{{{},{}}}", &t[1..t.len() - 1], &t[1..t.len() - 1]);
    says(open(file(&twice, 4)), "\"t\" appears twice");
    let deep = "[".repeat(100_000);
    says(open(file(&format!("{{\"t\":{deep}"), 0)), "the header is");
}

#[test]
fn broken_tensors_are_named() {
    let max = u64::MAX;
    let cases = [
        (
            tensor("F33", "[1]", "[0,4]"),
            "dtype of tensor \"t\" is \"F33\", expected one of F4 ",
        ),
        (
            tensor("F32", "[-1]", "[0,4]"),
            "invalid value: integer `-1`",
        ),
        (
            tensor("F32", "[1.5]", "[0,4]"),
            "invalid type: floating point",
        ),
        (
            tensor("F32", "[2]", "[0,4]"),
            "is [0, 4], expected 8 bytes apart, by F32 [2]",
        ),
        (
            tensor("F32", "[1]", "[4,0]"),
            "is [4, 0], expected 4 bytes apart",
        ),
        (tensor("F32", "[1]", "[0,4,8]"), "tensor \"t\""),
        (
            tensor("F4", "[3]", "[0,2]"),
            "shape of tensor \"t\" is [3], expected whole bytes of F4",
        ),
        (
            tensor("F32", "[4294967296,4294967296]", "[0,0]"),
            "shape of tensor \"t\"",
        ),
        (
            tensor("F32", "[1]", &format!("[{},{max}]", max - 4)),
            "data_offsets of tensor \"t\"",
        ),
        (
            tensor("F32", "[1]", "[4,8]"),
            "first of data_offsets of tensor \"t\" is 4, expected 0",
        ),
        (
            tensor("F32", "[3]", "[0,12]"),
            "it ends before the data of tensor \"t\" does",
        ),
    ];
    for (json, expected) in cases {
        says(open(file(&json, 8)), expected);
    }
    let two = |a: &str, b: &str| {
        let (a, b) = (
            tensor("F32", "[1]", a),
            tensor("F32", "[1]", b).replace("\"t\"", "\"u\""),
        );
        open(file(
            &format!("{{{},{}}}", &a[1..a.len() - 1], &b[1..b.len() - 1]),
            12,
        ))
    };
    says(
        two("[0,4]", "[0,4]"),
        "expected 4, where the one before ends",
    );
    says(two("[0,4]", "[8,12]"), "is 8, expected 4");
    says(two("[0,4]", "[4,8]"), "the size of the file");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = std::fs::read(golden("plain.safetensors")).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        if let Ok(file) = open(bytes) {
            for tensor in file.tensors() {
                let n = file.read_tensor(tensor).unwrap().len();
                assert_eq!(n as u64, tensor.n_bytes);
                let _numbers = file.to_f32(&tensor.name);
            }
        }
    }
}
