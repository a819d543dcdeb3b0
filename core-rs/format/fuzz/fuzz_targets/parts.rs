//! Any bytes as a model in parts: two bytes say how long each part is. Opening and reading everything may
//! fail, but never panics, whether the parts are handed over or found by name. `cargo fuzz run parts`;
//! seeds: parts of a small model, each behind its length.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use puna_format::{Bytes, Error, Gguf, PartName, Result, Source};

/// A part that finds the others by name, as a file does.
struct Part {
    no: usize,
    names: Arc<Vec<String>>,
    parts: Arc<Vec<Vec<u8>>>,
}

impl Source for Part {
    fn len(&self) -> u64 {
        self.parts[self.no].len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        Bytes::new(&self.parts[self.no][..]).read_at(offset, buf)
    }

    fn slice(&self, _offset: u64, _len: u64) -> Option<&[u8]> {
        None
    }

    fn name(&self) -> Option<&str> {
        self.names.get(self.no).map(String::as_str)
    }

    fn beside(&self, name: &str) -> Result<Arc<dyn Source>> {
        let no = self.names.iter().position(|n| n == name);
        let (names, parts) = (self.names.clone(), self.parts.clone());
        match no {
            Some(no) => Ok(Arc::new(Part { no, names, parts })),
            None => Err(Error::MissingTensor {
                name: name.into(),
                n_tensors: 0,
            }),
        }
    }
}

fn read_all(gguf: Result<Gguf>) {
    let Ok(gguf) = gguf else { return };
    for tensor in gguf.tensors() {
        let data = gguf
            .read_tensor(tensor)
            .expect("a tensor that was checked reads");
        assert_eq!(data.len() as u64, tensor.n_bytes);
        let _values = gguf.dequantize(&tensor.name);
    }
    assert!(gguf.read_range(0, gguf.source().len()).is_ok());
    gguf.source().release(0, u64::MAX);
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let [low, high, after @ ..] = rest {
        let n = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        parts.push(after[..n].to_vec());
        rest = &after[n..];
        if parts.len() == 8 {
            break;
        }
    }
    if parts.is_empty() {
        return;
    }
    let buffers = parts
        .iter()
        .map(|p| Arc::new(Bytes::new(&p[..])) as Arc<dyn Source>);
    read_all(Gguf::from_parts(buffers.collect()));
    let count = parts.len();
    let name = |no| PartName {
        prefix: "m",
        no,
        count,
    };
    let names = (0..count).map(|no| name(no).to_string()).collect();
    let (names, parts) = (Arc::new(names), Arc::new(parts));
    read_all(Gguf::from_source(Arc::new(Part {
        no: 0,
        names,
        parts,
    })));
});
