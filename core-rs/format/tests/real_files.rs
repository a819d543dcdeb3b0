//! The files of `PUNA_DATA` that others made: all of them open, and say what is known of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use puna_format::{FileSource, Gguf};

/// The data folder, or `None` (with a word to whoever reads the log) where it is absent.
fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("PUNA_DATA").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: PUNA_DATA is not set and {} is absent",
        folder.display()
    );
    None
}

#[test]
fn versions_1_and_3_hold_the_same_model() {
    let Some(data) = data() else { return };
    let new = Gguf::open(&data.join("models/stories260K.gguf")).unwrap();
    let old = Gguf::open(&data.join("models/stories260K-v1.gguf")).unwrap();
    assert_eq!((new.version, old.version), (3, 1));
    assert_eq!(new.metadata.str("general.architecture").unwrap(), "llama");
    assert_eq!(old.metadata.u32("llama.block_count").unwrap(), 5);
    for tensor in old.tensors() {
        let twin = new.require_tensor(&tensor.name).unwrap();
        assert_eq!(tensor.shape, twin.shape, "{}", tensor.name);
    }
    let name = "blk.0.ffn_norm.weight";
    assert_eq!(old.dequantize(name).unwrap(), new.dequantize(name).unwrap());
}

#[test]
fn every_vocabulary_opens_mapped_and_read_in_pieces() {
    let Some(data) = data() else { return };
    let mut n = 0;
    for entry in std::fs::read_dir(data.join("llamacpp/vocab")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "gguf") {
            continue;
        }
        let mapped = Gguf::open(&path).unwrap();
        let pieces = Gguf::from_source(Arc::new(FileSource::open(&path).unwrap())).unwrap();
        assert!(mapped.metadata == pieces.metadata, "{}", path.display());
        let tokens = mapped.metadata.strings("tokenizer.ggml.tokens").unwrap();
        assert!(
            tokens.len() > 30_000,
            "{}: {}",
            path.display(),
            tokens.len()
        );
        n += 1;
    }
    assert!(n > 0, "no vocabulary in {}", data.display());
}
