//! Broken files: each is a good one with one thing wrong, and the error says what.

mod common;

use common::{File, file, open, refused};
use proptest::prelude::*;
use puna_format::{DType, Writer};

#[test]
fn good_files_open() {
    assert!(open(file().bytes()).is_ok());
    let good = file()
        .tensor("a", &[32, 2], 8, 0)
        .tensor("b", &[3], 0, 96)
        .data(108);
    let gguf = open(good.bytes()).unwrap();
    assert_eq!(gguf.tensor("a").unwrap().n_bytes, 68);
    assert_eq!(gguf.dequantize("b").unwrap(), [0.0; 3]);
}

#[test]
fn magic_and_version() {
    let error = open(b"GGML\x03\0\0\0".to_vec()).err().unwrap();
    assert!(error.to_string().contains("not a GGUF file"));
    for version in [0, 4, 1000] {
        let bad = File {
            version: Some(version),
            ..file()
        };
        refused(bad, "expected 1, 2 or 3");
    }
    let big = File {
        version: Some(4 << 24),
        ..file()
    };
    refused(big, "GGUF version 4 is not readable here");
}

#[test]
fn counts_beyond_the_file() {
    refused(
        File {
            n_tensors: u64::MAX,
            ..file()
        },
        "number of tensors",
    );
    refused(
        File {
            n_pairs: 1 << 40,
            ..file()
        },
        "number of metadata pairs",
    );
}

#[test]
fn metadata() {
    refused(
        file().pair("k", 13).u64(0),
        "value type of the metadata key \"k\" is 13",
    );
    refused(
        file().pair("k", 4).u32(1).pair("k", 4).u32(1),
        "appears twice",
    );
    refused(
        file().pair("k", 8).u64(u64::MAX),
        "needs 18446744073709551615 bytes",
    );
}

#[test]
fn arrays_and_keys() {
    refused(
        file().pair("k", 9).u32(9).u64(0),
        "element type of the array \"k\" is array",
    );
    refused(file().pair("k", 9).u32(99).u64(0), "is 99");
    refused(
        file().pair("k", 9).u32(12).u64(1 << 29),
        "needs 4294967296 bytes",
    );
    refused(file().pair("k", 9).u32(0).u64(1 << 31), "at most 2^30");
    refused(
        file().pair("k", 9).u32(8).u64(1 << 29).u64(0),
        "needs 8 bytes",
    );
    refused(
        File {
            n_pairs: 1,
            ..file()
        }
        .u64(1 << 62)
        .u64(0),
        "length of a metadata key",
    );
    let bad_text = File {
        n_pairs: 1,
        ..file()
    }
    .u64(4)
    .u32(u32::MAX)
    .u32(4)
    .u32(4);
    refused(bad_text, "valid UTF-8");
}

#[test]
fn alignment() {
    for bad in [0, 3, 33, 1 << 30] {
        refused(
            file().pair("general.alignment", 4).u32(bad),
            "a power of two",
        );
    }
    refused(
        file().pair("general.alignment", 8).u64(0),
        "is string, expected u32",
    );
    let wide = file().pair("general.alignment", 4).u32(64);
    let wide = wide
        .tensor("a", &[1], 0, 0)
        .tensor("b", &[1], 0, 32)
        .data(128);
    refused(wide, "a multiple of the alignment 64");
}

#[test]
fn shapes() {
    refused(file().tensor("t", &[1; 5], 0, 0), "number of dimensions");
    for shape in [&[0][..], &[4, 0, 4]] {
        let file = file().tensor("t", shape, 0, 0);
        refused(file, "a tensor without elements is for no model");
    }
    for shape in [&[u64::MAX][..], &[1 << 32, 1 << 31], &[1 << 63, 2]] {
        refused(file().tensor("t", shape, 0, 0), "a product below 2^63");
    }
    refused(file().tensor("t", &[1 << 62], 0, 0), "less than 2^63 bytes");
    refused(file().tensor("t", &[31], 8, 0), "rows of a multiple of 32");
}

#[test]
fn types_names_and_places() {
    for bad in [4, 5, 31, 43, u32::MAX] {
        refused(file().tensor("t", &[32], bad, 0), "type of tensor \"t\"");
    }
    refused(file().tensor(&"n".repeat(64), &[1], 0, 0), "at most 63");
    let twice = file().tensor("t", &[1], 0, 0).tensor("t", &[1], 0, 32);
    refused(twice.data(64), "\"t\" appears twice");
    refused(
        file().tensor("t", &[1], 0, 7).data(64),
        "a multiple of the alignment",
    );
    refused(
        file().tensor("t", &[9], 0, 0).data(32),
        "the file has 96 bytes, expected at least 100: it ends before the data of tensor \"t\" does",
    );
    refused(
        file().tensor("t", &[1], 0, u64::MAX - 31),
        "offset of tensor \"t\" is 18446744073709551584, expected one whose data ends below 2^64",
    );
    // What is named is the end of the last, and the first that is not all there.
    let three = file().tensor("t", &[1], 0, 0).tensor("u", &[9], 0, 32);
    refused(
        three.tensor("v", &[1], 0, 96).data(60),
        "the file has 188 bytes, expected at least 228: it ends before the data of tensor \"u\" does",
    );
    let overlap = file().tensor("t", &[32], 0, 0).tensor("u", &[1], 0, 96);
    refused(overlap.data(128), "where \"t\" ends");
}

#[test]
fn unknown_tensors_and_types_are_named() {
    let gguf = open(file().tensor("t", &[32], 9, 0).data(64).bytes()).unwrap();
    assert!(
        gguf.dequantize("t")
            .unwrap_err()
            .to_string()
            .contains("Q8_1")
    );
    assert!(
        gguf.dequantize("x")
            .unwrap_err()
            .to_string()
            .contains("\"x\" is missing")
    );
}

/// A file with one of everything.
fn sample() -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .set("general.architecture", "llama")
        .set("n", 7u32)
        .set("f", 0.5f32);
    writer
        .set("flags", vec![true, false])
        .set("ids", vec![1i32, -2, 3]);
    let words: puna_format::Strings = ["a", "bc", ""].into_iter().collect();
    writer.set("words", words);
    writer
        .add_tensor("a.weight", DType::F32, &[4, 2], vec![0; 32])
        .unwrap();
    writer
        .add_tensor("b.weight", DType::Q8_0, &[32], vec![1; 34])
        .unwrap();
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes, &mut |_| {}).unwrap();
    bytes
}

#[test]
fn no_truncation_opens_as_the_whole() {
    let whole = sample();
    let end = open(whole.clone())
        .unwrap()
        .tensors()
        .map(|t| t.offset + t.n_bytes)
        .max();
    for n in 0..end.unwrap() as usize {
        assert!(
            open(whole[..n].to_vec()).is_err(),
            "{n} bytes of {}",
            whole.len()
        );
    }
}

/// Opens, and if that goes well reads everything: errors are fine, panics are not.
fn exercise(bytes: Vec<u8>) {
    if let Ok(gguf) = open(bytes) {
        for tensor in gguf.tensors() {
            let _values = gguf.dequantize(&tensor.name);
        }
        for (key, _) in gguf.metadata.iter() {
            let _numbers = (gguf.metadata.get_u32(key), gguf.metadata.get_f32s(key));
            let _others = (
                gguf.metadata.get_str(key),
                gguf.metadata.get_u32_per_layer(key, 2),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn changed_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        exercise(bytes);
    }

    #[test]
    fn extreme_fields_never_panic(
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![0, 1, 1 << 31, 1 << 32, 1 << 62, 1 << 63, u64::MAX, u64::MAX - 31]),
    ) {
        let mut bytes = sample();
        let at = at.index(bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        exercise(bytes);
    }

    #[test]
    fn noise_after_a_good_beginning_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200), version in 1u32..4) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(noise);
        exercise(bytes);
    }
}
