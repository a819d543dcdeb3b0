//! Big-endian files read as their little-endian twins do. Both are made with the `gguf` package
//! (`tests/golden/make_containers.py`).

mod common;

use std::sync::Arc;

use common::{Folder, file, golden, open, says};
use puna_format::{Bytes, FileSource, Gguf, merge_file};

#[test]
fn a_converted_file_holds_what_it_did() {
    let little = Gguf::open(&golden("little.gguf")).unwrap();
    let big_bytes = std::fs::read(golden("big.gguf")).unwrap();
    let ways = [
        Gguf::open(&golden("big.gguf")).unwrap(),
        Gguf::from_source(Arc::new(FileSource::open(&golden("big.gguf")).unwrap())).unwrap(),
        Gguf::from_source(Arc::new(Bytes::new(big_bytes))).unwrap(),
    ];
    for big in &ways {
        assert!(big.big_endian && !little.big_endian);
        assert_eq!(big.metadata, little.metadata);
        assert_eq!(big.tensors().len(), 8);
        for (ours, theirs) in big.tensors().zip(little.tensors()) {
            assert_eq!(ours, theirs);
            let (a, b) = (big.read_tensor(ours), little.read_tensor(theirs));
            assert_eq!(a.unwrap(), b.unwrap(), "{}", ours.name);
        }
    }
}

#[test]
fn numbers_of_every_width_are_turned() {
    let gguf = Gguf::open(&golden("big-written.gguf")).unwrap();
    assert_eq!(gguf.metadata.u64("u64").unwrap(), (1 << 63) + 1);
    assert_eq!(gguf.metadata.i32s("ids").unwrap(), [1, -2, 3]);
    assert_eq!(gguf.metadata.f32s("floats").unwrap(), [0.5, -2.0]);
    let read = |name: &str| {
        let tensor = gguf.require_tensor(name).unwrap();
        gguf.read_tensor(tensor).unwrap().into_owned()
    };
    let expected = |of: fn(i8) -> Vec<u8>| (-6..6).flat_map(of).collect::<Vec<_>>();
    assert_eq!(read("int8"), expected(|x| x.to_le_bytes().to_vec()));
    assert_eq!(
        read("int16"),
        expected(|x| i16::from(x).to_le_bytes().to_vec())
    );
    assert_eq!(
        read("int32"),
        expected(|x| i32::from(x).to_le_bytes().to_vec())
    );
    assert_eq!(
        read("int64"),
        expected(|x| i64::from(x).to_le_bytes().to_vec())
    );
    assert_eq!(
        read("float32"),
        expected(|x| f32::from(x).to_le_bytes().to_vec())
    );
    assert_eq!(
        read("float64"),
        expected(|x| f64::from(x).to_le_bytes().to_vec())
    );
    let values: Vec<f32> = (-6..6i8).map(f32::from).collect();
    assert_eq!(gguf.dequantize("float16").unwrap(), values);
}

#[test]
fn a_copy_is_little_endian() {
    let folder = Folder::new();
    let copies = ["big.gguf", "little.gguf"].map(|name| {
        let path = folder.0.join(name);
        let src = Gguf::open(&golden(name)).unwrap();
        merge_file(&src, &path, &mut |_| {}).unwrap();
        std::fs::read(path).unwrap()
    });
    assert!(copies[0] == copies[1]);
    assert_eq!(copies[0][4..8], [3, 0, 0, 0]);
}

/// Every `u32` and `u64` of a file built here turned round.
fn big_endian(type_id: u32, n_data: usize) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_be_bytes());
    out.extend([1u64.to_be_bytes(), 0u64.to_be_bytes()].concat());
    out.extend([&1u64.to_be_bytes()[..], b"t", &1u32.to_be_bytes()].concat());
    out.extend(256u64.to_be_bytes());
    out.extend([&type_id.to_be_bytes()[..], &0u64.to_be_bytes()].concat());
    out.resize(out.len().next_multiple_of(32) + n_data, 0);
    out
}

#[test]
fn a_type_without_a_known_layout_is_refused_by_name() {
    assert!(open(big_endian(17, 74)).is_ok()); // IQ2_XS
    says(
        open(big_endian(16, 66)),
        "tensor \"t\": cannot read big-endian data of type IQ2_XXS, supported: F32, F16, Q4_0",
    );
    // The same type is as good as any other in a little-endian file.
    assert!(open(file().tensor("t", &[256], 16, 0).data(66).bytes()).is_ok());
}
