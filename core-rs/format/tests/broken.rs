//! The broken files of llama.cpp's `test-gguf` (`research/llamacpp.md` 7), by its names: a sound file
//! with metadata of every type and tensors of several, and one thing wrong. Each is an error that says
//! what. Where this reader is meant to differ, the table says why.

mod common;

use common::{File, file, open, words};

const KEY: &str = "general.alignment";
/// (variant, type id, bytes of a value)
const SCALARS: [(u32, usize); 11] = [
    (0, 1),
    (1, 1),
    (2, 2),
    (3, 2),
    (4, 4),
    (5, 4),
    (6, 4),
    (7, 1),
    (10, 8),
    (11, 8),
    (12, 8),
];

fn bytes(mut file: File, n: usize) -> File {
    file.body.extend((0..n).map(|i| i as u8 + 1));
    file
}

/// Metadata: each scalar type, a string, an array of each, an array of strings.
fn pairs() -> File {
    let mut file = file();
    for (id, n_bytes) in SCALARS {
        file = bytes(file.pair(&format!("my_key_{id}"), id), n_bytes);
        let list = file.pair(&format!("my_list_{id}"), 9).u32(id).u64(3);
        file = bytes(list, 3 * n_bytes);
    }
    let file = file.pair("my_string", 8).string("text");
    let file = file.pair("my_strings", 9).u32(8).u64(2);
    file.string("").string("word")
}

/// F32, Q8_0, Q4_K and I64, laid out by an alignment. `(name, shape, type, bytes)`
const TENSORS: [(&str, &[u64], u32, u64); 4] = [
    ("my_tensor_0", &[3], 0, 12),
    ("my_tensor_1", &[32, 2, 3], 8, 204),
    ("my_tensor_2", &[256], 12, 144),
    ("my_tensor_3", &[2, 1, 1, 2], 27, 32),
];

fn tensors(mut file: File, alignment: u64) -> File {
    let mut offset = 0u64;
    for (name, shape, type_id, n_bytes) in TENSORS {
        file = file.tensor(name, shape, type_id, offset);
        offset += n_bytes.next_multiple_of(alignment);
    }
    file.data(offset as usize)
}

fn aligned_by(alignment: u32) -> File {
    pairs().pair(KEY, 4).u32(alignment)
}

fn version(version: u32) -> File {
    File {
        version: Some(version),
        ..file()
    }
}

/// One tensor of this shape and type behind the metadata.
fn tensor(name: &str, shape: &[u64], type_id: u32) -> File {
    pairs().tensor(name, shape, type_id, 0).data(4096)
}

#[test]
fn sound_files_open() {
    let cases = [
        ("HEADER_EMPTY", file()),
        ("KV_SUCCESS", pairs()),
        ("TENSORS_SUCCESS", tensors(pairs(), 32)),
        ("TENSORS_CUSTOM_ALIGN", tensors(aligned_by(1), 1)),
        ("DATA_SUCCESS", tensors(pairs(), 32)),
        ("DATA_CUSTOM_ALIGN", tensors(aligned_by(1), 1)),
        // A version 1 file without anything: llama.cpp no longer reads that version.
        ("HEADER_BAD_VERSION_1", version(1)),
    ];
    for (name, file) in cases {
        let n = (file.n_tensors, file.n_pairs);
        let gguf = open(file.bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = (gguf.tensors().len() as u64, gguf.metadata.len() as u64);
        assert_eq!(found, n, "{name}");
        for tensor in gguf.tensors() {
            let bytes = gguf.read_tensor(tensor).unwrap();
            assert_eq!(bytes.len() as u64, tensor.n_bytes, "{name}");
        }
    }
}

#[test]
fn broken_headers_are_named() {
    let bad_magic = [&b"FUGG"[..], &file().bytes()[4..]].concat();
    assert!(words(open(bad_magic)).contains("it begins with [46, 55, 47, 47]"));
    let too_many = |n_tensors, n_pairs| File {
        n_tensors,
        n_pairs,
        ..file()
    };
    check(&[
        ("HEADER_BAD_VERSION_0", version(0), "GGUF version 0"),
        ("HEADER_BAD_VERSION_FUTURE", version(4), "GGUF version 4"),
        (
            "HEADER_BAD_N_TENSORS",
            too_many(u64::MAX, 0),
            "the number of tensors is 18446744073709551615",
        ),
        (
            "HEADER_BAD_N_KV",
            too_many(0, u64::MAX),
            "the number of metadata pairs is 18446744073709551615",
        ),
    ]);
}

#[test]
fn broken_metadata_is_named() {
    let mut no_key = file().u64(u64::MAX).u32(4).u32(0).u64(0);
    no_key.n_pairs = 1;
    let twice = pairs().pair("my_key_4", 4).u32(1);
    let bad_list = pairs().pair("k", 9).u32(13).u64(1).u64(0);
    check(&[
        (
            "KV_BAD_KEY_SIZE",
            no_key,
            "length of a metadata key is 18446744073709551615",
        ),
        (
            "KV_EMPTY_KEY",
            pairs().pair("", 4).u32(1),
            "a metadata key is empty",
        ),
        (
            "KV_BAD_TYPE",
            pairs().pair("k", 13).u64(0),
            "value type of the metadata key \"k\" is 13",
        ),
        (
            "KV_BAD_TYPE",
            bad_list,
            "value type of the metadata key \"k\" is 13",
        ),
        ("KV_DUPLICATE_KEY", twice, "\"my_key_4\" appears twice"),
        ("KV_BAD_ALIGN", aligned_by(13), "general.alignment is 13"),
        (
            "KV_WRONG_TYPE_ALIGN",
            pairs().pair(KEY, 5).u32(32),
            "\"general.alignment\" is i32, expected u32",
        ),
    ]);
}

#[test]
fn broken_tensors_are_named() {
    let long =
        "my_tensor_0_with_a_very_long_name_which_is_longer_than_what_is_allowed_for_ggml_tensors";
    let big = 4 * (u64::from(u32::MAX) / 2);
    let root = 1 << 31; // its square elements of 8 bytes are one byte too many
    let twice = tensors(pairs(), 32).tensor("my_tensor_0", &[1], 0, 448);
    check(&[
        (
            "TENSORS_BAD_NAME_SIZE",
            tensor(long, &[3], 0),
            "length of a tensor name is 87",
        ),
        (
            "TENSORS_BAD_N_DIMS",
            tensor("t", &[1; 5], 0),
            "number of dimensions of tensor \"t\" is 5",
        ),
        (
            "TENSORS_BAD_SHAPE",
            tensor("t", &[u64::MAX; 2], 0),
            "shape of tensor \"t\"",
        ),
        // llama.cpp loads this one; nothing can be computed from it, and rows of it cannot be counted.
        (
            "TENSORS_ZERO_DIM",
            tensor("t", &[4, 0], 0),
            "shape of tensor \"t\" is [4, 0], expected sizes from 1",
        ),
        (
            "TENSORS_NE_TOO_BIG",
            tensor("t", &[big; 2], 0),
            "shape of tensor \"t\"",
        ),
        (
            "TENSORS_NBYTES_TOO_BIG",
            tensor("t", &[root; 2], 27),
            "less than 2^63 bytes",
        ),
        (
            "TENSORS_BAD_TYPE",
            tensor("t", &[32], 43),
            "type of tensor \"t\" is 43",
        ),
        (
            "TENSORS_BAD_OFFSET",
            pairs().tensor("t", &[3], 0, u64::MAX),
            "offset of tensor \"t\"",
        ),
        (
            "TENSORS_DUPLICATE_NAME",
            twice.data(512),
            "\"my_tensor_0\" appears twice",
        ),
        (
            "TENSORS_BAD_ALIGN",
            tensors(aligned_by(13), 13),
            "general.alignment is 13",
        ),
        (
            "TENSORS_INCONSISTENT_ALIGN",
            tensors(pairs(), 1),
            "is 12, expected a multiple of the alignment 32",
        ),
        (
            "row of no whole blocks",
            tensor("t", &[33], 8),
            "rows of a multiple of 32 elements",
        ),
    ]);
}

#[test]
fn broken_data_is_named() {
    let mut short = tensors(pairs(), 32);
    short.n_data = 12 + 20 + 204 + 20 + 144 + 16 + 31;
    let huge = 0x7fff_ffff_ffff_ffc0;
    let overflow = pairs()
        .tensor("t", &[huge], 24, 0)
        .tensor("u", &[huge], 24, huge);
    check(&[
        (
            "DATA_NOT_ENOUGH_DATA",
            short,
            "it ends before the data of tensor \"my_tensor_3\" does",
        ),
        (
            "DATA_BAD_ALIGN",
            tensors(aligned_by(13), 13),
            "general.alignment is 13",
        ),
        (
            "DATA_INCONSISTENT_ALIGN",
            tensors(pairs(), 1),
            "a multiple of the alignment 32",
        ),
        (
            "DATA_MEM_SIZE_OVERFLOW",
            overflow.data(32),
            "offset of tensor \"u\" is 9223372036854775744, expected one whose data ends below 2^64",
        ),
    ]);
}

/// Every file fails, and its error has the words.
#[track_caller]
fn check(cases: &[(&str, File, &str)]) {
    for (name, file, expected) in cases {
        let error = words(open(file.clone().bytes()));
        assert!(
            error.contains(expected),
            "{name}: {error:?} does not say {expected:?}"
        );
    }
}
