//! Files that are written read back as they were meant, appear whole or not at all, and quantize.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::Folder;
use puna_format::quantize::{FileType, Options, Step, plan, quantize_file};
use puna_format::{Bytes, DType, Error, FileSource, Gguf, Metadata, Value, Writer, quant};

fn values(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i * 7919 + 13) % 1009) as f32 / 500.0 - 1.0)
        .collect()
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// A model of two layers with rows of 256.
fn model() -> Gguf {
    let bytes = f32_bytes(&values(256 * 3));
    let mut writer = Writer::new();
    writer
        .set("general.architecture", "llama")
        .set("llama.block_count", 2u32);
    writer.set("llama.attention.head_count", 4u32);
    let mut names = vec!["token_embd.weight".to_string(), "output.weight".to_string()];
    for layer in 0..2 {
        let parts = ["attn_q", "attn_v", "attn_output", "ffn_down", "ffn_up"];
        names.extend(parts.map(|part| format!("blk.{layer}.{part}.weight")));
    }
    for name in &names {
        writer
            .add_tensor(name, DType::F32, &[256, 3], &bytes[..])
            .unwrap();
    }
    let norm = f32_bytes(&[1.0; 256]);
    writer
        .add_tensor("output_norm.weight", DType::F32, &[256], norm)
        .unwrap();
    let mut file = Vec::new();
    writer.write_to(&mut file, &mut |_| {}).unwrap();
    Gguf::from_source(Arc::new(Bytes::new(file))).unwrap()
}

#[test]
fn every_kind_of_value_comes_back() {
    let mut metadata = Metadata::new();
    metadata.set("u8", 1u8);
    metadata.set("i8", -1i8);
    metadata.set("u16", 2u16);
    metadata.set("i16", -2i16);
    metadata.set("u32", 3u32);
    metadata.set("i32", -3i32);
    metadata.set("f32", 1.5f32);
    metadata.set("bool", true);
    metadata.set("string", "é");
    metadata.set("not text", Value::String(vec![0xff, 0]));
    metadata.set("u64", u64::MAX);
    metadata.set("i64", i64::MIN);
    metadata.set("f64", 0.1f64);
    metadata.set("u8s", vec![1u8, 2]);
    metadata.set("bools", vec![true, false]);
    metadata.set("f64s", vec![0.1f64]);
    metadata.set("none", Vec::<i32>::new());
    let words: puna_format::Strings = ["", "a", "bc"].into_iter().collect();
    metadata.set("words", words);
    let mut bytes = Vec::new();
    let writer = Writer::with_metadata(metadata.clone());
    writer.write_to(&mut bytes, &mut |_| {}).unwrap();
    let read = Gguf::from_source(Arc::new(Bytes::new(bytes))).unwrap();
    assert_eq!(read.metadata, metadata);
}

#[test]
fn getters_take_any_width_that_holds_the_value_and_name_what_does_not() {
    let mut metadata = Metadata::new();
    metadata.set("small", 7u8);
    metadata.set("negative", -1i64);
    metadata.set("heads", vec![4i32, 2]);
    assert_eq!(metadata.u64("small").unwrap(), 7);
    assert_eq!(metadata.f32("negative").unwrap(), -1.0);
    assert_eq!(metadata.get_u32("absent").unwrap(), None);
    assert_eq!(
        metadata.get_u32_per_layer("small", 3).unwrap(),
        Some(vec![7; 3])
    );
    assert_eq!(
        metadata.get_u32_per_layer("heads", 2).unwrap(),
        Some(vec![4, 2])
    );
    let wrong_type = metadata.u32("negative").unwrap_err().to_string();
    assert!(
        wrong_type.contains("\"negative\" is i64 -1"),
        "{wrong_type}"
    );
    let wrong_length = metadata
        .get_u32_per_layer("heads", 3)
        .unwrap_err()
        .to_string();
    assert!(wrong_length.contains("2 elements"), "{wrong_length}");
    assert!(matches!(
        metadata.str("absent"),
        Err(Error::MissingKey { .. })
    ));
}

#[test]
fn data_is_laid_out_by_the_alignment_asked_for() {
    let mut writer = Writer::new();
    writer.set("general.alignment", 128u32);
    writer
        .add_tensor("a", DType::F32, &[3], f32_bytes(&[1.0, 2.0, 3.0]))
        .unwrap();
    writer
        .add_tensor_with("b", DType::F32, &[1], |out| {
            out.write_all(&4.0f32.to_le_bytes())
                .expect("writes to memory succeed");
            Ok(())
        })
        .unwrap();
    let mut bytes = Vec::new();
    let mut told = Vec::new();
    writer
        .write_to(&mut bytes, &mut |p| told.push(p.bytes_done))
        .unwrap();
    assert_eq!(told, [0, 12, 16]);
    let read = Gguf::from_source(Arc::new(Bytes::new(bytes))).unwrap();
    assert_eq!(read.tensor("b").unwrap().offset - read.data_offset, 128);
    assert_eq!(read.dequantize("b").unwrap(), [4.0]);
}

#[test]
fn wrong_tensors_are_refused() {
    let mut writer = Writer::new();
    assert!(
        writer
            .add_tensor("a", DType::F32, &[2], vec![0; 7])
            .is_err()
    );
    assert!(
        writer
            .add_tensor("a", DType::Q8_0, &[31], vec![0; 34])
            .is_err()
    );
    assert!(
        writer
            .add_tensor(&"n".repeat(64), DType::F32, &[1], vec![0; 4])
            .is_err()
    );
    writer
        .add_tensor("a", DType::F32, &[1], vec![0; 4])
        .unwrap();
    assert!(
        writer
            .add_tensor("a", DType::F32, &[1], vec![0; 4])
            .is_err()
    );
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.0.join("model.gguf");
    std::fs::write(&path, "old").unwrap();
    let mut writer = Writer::new();
    writer
        .add_tensor_with("a", DType::F32, &[1], |_| Ok(()))
        .unwrap(); // writes too little
    let error = writer.write(&path, &mut |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("number of bytes of tensor \"a\" is 0, expected 4"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(folder.names(), ["model.gguf"]);
}

#[test]
fn mapped_and_unmapped_reads_agree() {
    let folder = Folder::new();
    let path = folder.0.join("model.gguf");
    let bytes = f32_bytes(&values(100_000));
    let mut writer = Writer::new();
    writer
        .add_tensor("a", DType::F32, &[100_000], &bytes[..])
        .unwrap();
    writer.write(&path, &mut |_| {}).unwrap();
    let mapped = Gguf::open(&path).unwrap();
    let unmapped = Gguf::from_source(Arc::new(FileSource::open(&path).unwrap())).unwrap();
    let tensor = mapped.tensor("a").unwrap();
    let before = mapped.read_tensor(tensor).unwrap();
    mapped.source().release(tensor.offset, tensor.n_bytes);
    assert!(before == bytes && unmapped.read_tensor(tensor).unwrap() == bytes);
    assert!(
        unmapped
            .read_range(tensor.offset, tensor.n_bytes + 99)
            .is_err()
    );
    assert!(mapped.read_range(u64::MAX, 2).is_err());
}

fn types(steps: &[Step]) -> Vec<(&str, &str)> {
    steps
        .iter()
        .map(|s| (s.name.as_str(), s.to.name()))
        .collect()
}

#[test]
fn the_mixture_of_q4_k_m_spends_bits_where_llama_cpp_does() {
    let steps = plan(&model(), &Options::new(FileType::Q4_K_M)).unwrap();
    let expected = [
        ("token_embd.weight", "Q4_K"),
        ("output.weight", "Q6_K"),
        ("blk.0.attn_q.weight", "Q4_K"),
        ("blk.0.attn_v.weight", "Q4_K"),
        ("blk.0.attn_output.weight", "Q4_K"),
        ("blk.0.ffn_down.weight", "Q4_K"),
        ("blk.0.ffn_up.weight", "Q4_K"),
        ("blk.1.attn_q.weight", "Q4_K"),
        ("blk.1.attn_v.weight", "Q6_K"),
        ("blk.1.attn_output.weight", "Q4_K"),
        ("blk.1.ffn_down.weight", "Q6_K"),
        ("blk.1.ffn_up.weight", "Q4_K"),
        ("output_norm.weight", "F32"),
    ];
    assert_eq!(types(&steps), expected);
}

#[test]
fn options_override_the_mixture() {
    let options = Options {
        token_embedding_type: Some(DType::Q8_0),
        leave_output_tensor: true,
        pure: true,
        ..Options::new(FileType::Q4_K_M)
    };
    let steps = plan(&model(), &options).unwrap();
    assert_eq!(
        types(&steps)[..2],
        [("token_embd.weight", "Q8_0"), ("output.weight", "F32")]
    );
    assert_eq!(types(&steps)[10], ("blk.1.ffn_down.weight", "Q4_K"));
}

#[test]
fn a_quantized_file_holds_what_encoding_gives_with_any_number_of_threads() {
    let (folder, src) = (Folder::new(), model());
    let never = AtomicBool::new(false);
    let mut files = Vec::new();
    for n_threads in [1, 2, 5] {
        let path = folder.0.join(format!("{n_threads}.gguf"));
        let options = Options {
            n_threads,
            ..Options::new(FileType::Q4_K_M)
        };
        let mut told = 0;
        quantize_file(&src, &path, &options, &mut |_| told += 1, &never).unwrap();
        assert_eq!(told, 13);
        files.push(std::fs::read(path).unwrap());
    }
    assert!(files[0] == files[1] && files[0] == files[2]);
    let read = Gguf::from_source(Arc::new(Bytes::new(files.remove(0)))).unwrap();
    assert_eq!(read.metadata.u32("general.file_type").unwrap(), 15);
    assert_eq!(
        read.metadata.u32("general.quantization_version").unwrap(),
        2
    );
    let mut blocks = vec![0; 3 * 210];
    quant::encode_row(DType::Q6_K, &values(256 * 3), &mut blocks).unwrap();
    let tensor = read.require_tensor("output.weight").unwrap();
    assert_eq!(read.read_tensor(tensor).unwrap(), blocks);
}

#[test]
fn quantizing_twice_must_be_asked_for() {
    let (folder, src) = (Folder::new(), model());
    let path = folder.0.join("q8.gguf");
    let never = AtomicBool::new(false);
    quantize_file(
        &src,
        &path,
        &Options::new(FileType::Q8_0),
        &mut |_| {},
        &never,
    )
    .unwrap();
    let again = Gguf::open(&path).unwrap();
    let mut options = Options::new(FileType::Q4_0);
    let error = plan(&again, &options).unwrap_err().to_string();
    assert!(
        error.contains("\"token_embd.weight\": its type is Q8_0"),
        "{error}"
    );
    options.allow_requantize = true;
    assert!(plan(&again, &options).is_ok());
}

#[test]
fn a_value_without_a_scale_is_named_by_tensor_row_and_place() {
    let (n_rows, row_len) = (1000, 256);
    let mut spoiled = vec![1.0; n_rows * row_len];
    spoiled[650 * row_len + 37] = f32::NAN;
    spoiled[900 * row_len] = f32::INFINITY;
    let mut writer = Writer::new();
    writer.set("general.architecture", "llama");
    let shape = [row_len as u64, n_rows as u64];
    let bytes = f32_bytes(&spoiled);
    writer
        .add_tensor("blk.0.ffn_up.weight", DType::F32, &shape, bytes)
        .unwrap();
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes, &mut |_| {}).unwrap();
    let gguf = common::open(bytes).unwrap();
    let folder = Folder::new();
    for n_threads in [1, 2, 3] {
        let mut options = Options::new(FileType::Q4_K_S);
        options.n_threads = n_threads;
        let never = AtomicBool::new(false);
        let path = folder.0.join("q.gguf");
        let error = quantize_file(&gguf, &path, &options, &mut |_| {}, &never).unwrap_err();
        let expected =
            "tensor \"blk.0.ffn_up.weight\": value 37 of row 650 is NaN, expected at most";
        assert!(error.to_string().contains(expected), "{error}");
        assert!(folder.names().is_empty());
    }
}

#[test]
fn cancelling_leaves_no_file() {
    let (folder, src) = (Folder::new(), model());
    let cancel = AtomicBool::new(false);
    let mut stop_at_third = |p: puna_format::quantize::Progress| {
        cancel.store(p.done == 2, Ordering::Relaxed);
    };
    let options = Options::new(FileType::Q8_0);
    let path = folder.0.join("new.gguf");
    let error = quantize_file(&src, &path, &options, &mut stop_at_third, &cancel).unwrap_err();
    assert!(
        matches!(error.root(), Error::Cancelled { done: 2, total: 13 }),
        "{error}"
    );
    assert!(folder.names().is_empty());
}
