//! Any bytes as safetensors, and as an index whose every file is another half of the bytes: opening and
//! reading everything may fail, but never panics. `cargo fuzz run safetensors`; seeds: any small file.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use puna_format::safetensors::SafeTensors;
use puna_format::{Bytes, Result, Source};

/// The index up to the first zero byte; every file beside it is the rest.
struct Index {
    text: Bytes,
    file: Vec<u8>,
}

impl Source for Index {
    fn len(&self) -> u64 {
        self.text.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.text.read_at(offset, buf)
    }

    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        self.text.slice(offset, len)
    }

    fn beside(&self, name: &str) -> Result<Arc<dyn Source>> {
        assert!(!name.is_empty() && !name.contains(['/', '\\', ':', '\0']) && name != "..");
        Ok(Arc::new(Bytes::new(&self.file[..])))
    }
}

fn read_all(file: Result<SafeTensors>) {
    let Ok(file) = file else { return };
    for tensor in file.tensors() {
        let bytes = file
            .read_tensor(tensor)
            .expect("a tensor that was checked reads");
        let n_bits = tensor.shape.iter().product::<u64>() * tensor.dtype.bits();
        assert_eq!(bytes.len() as u64 * 8, n_bits);
        if let Ok(values) = file.to_f32(&tensor.name) {
            assert_eq!(values.len() as u64, tensor.shape.iter().product::<u64>());
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    read_all(SafeTensors::from_source(Arc::new(Bytes::new(bytes))));
    let cut = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let (text, file) = bytes.split_at(cut);
    let file = file.get(1..).unwrap_or_default().to_vec();
    read_all(SafeTensors::from_source(Arc::new(Index {
        text: Bytes::new(text),
        file,
    })));
});
