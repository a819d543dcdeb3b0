//! What several tests need: files put together field by field, folders that go away, golden files.
#![allow(dead_code)] // each test takes what it needs

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use puna_format::{Bytes, Gguf, Source};

pub fn open(bytes: Vec<u8>) -> puna_format::Result<Gguf> {
    Gguf::from_source(Arc::new(Bytes::new(bytes)))
}

/// A buffer as a source.
pub fn source(bytes: Vec<u8>) -> Arc<dyn Source> {
    Arc::new(Bytes::new(bytes))
}

/// A file of `tests/golden/containers`.
pub fn golden(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    tests.join("golden/containers").join(name)
}

/// The words of the error that there should be.
#[track_caller]
pub fn words<T>(result: puna_format::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it went well"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
pub fn says<T>(result: puna_format::Result<T>, expected: &str) {
    let error = words(result);
    assert!(
        error.contains(expected),
        "{error:?} does not say {expected:?}"
    );
}

/// A directory of its own for each test, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let n = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("puna-format-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// What lies in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// What is written after the magic number.
#[derive(Clone, Default)]
pub struct File {
    pub version: Option<u32>,
    pub n_tensors: u64,
    pub n_pairs: u64,
    pub body: Vec<u8>,
    pub n_data: usize,
}

impl File {
    pub fn string(mut self, text: &str) -> Self {
        self.body.extend((text.len() as u64).to_le_bytes());
        self.body.extend(text.as_bytes());
        self
    }

    pub fn u32(mut self, x: u32) -> Self {
        self.body.extend(x.to_le_bytes());
        self
    }

    pub fn u64(mut self, x: u64) -> Self {
        self.body.extend(x.to_le_bytes());
        self
    }

    pub fn pair(mut self, key: &str, type_id: u32) -> Self {
        self.n_pairs += 1;
        self.string(key).u32(type_id)
    }

    pub fn tensor(mut self, name: &str, shape: &[u64], type_id: u32, offset: u64) -> Self {
        self.n_tensors += 1;
        let mut file = self.string(name).u32(shape.len() as u32);
        for &n in shape {
            file = file.u64(n);
        }
        file.u32(type_id).u64(offset)
    }

    pub fn data(mut self, n: usize) -> Self {
        self.n_data = n;
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.unwrap_or(3).to_le_bytes());
        out.extend(self.n_tensors.to_le_bytes());
        out.extend(self.n_pairs.to_le_bytes());
        out.extend(self.body);
        out.resize(out.len().next_multiple_of(32) + self.n_data, 0);
        out
    }

    /// The error's words.
    pub fn error(self) -> String {
        match open(self.bytes()) {
            Ok(_) => panic!("the file opened"),
            Err(error) => error.to_string(),
        }
    }
}

pub fn file() -> File {
    File::default()
}

#[track_caller]
pub fn refused(file: File, words: &str) {
    let error = file.error();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
}
