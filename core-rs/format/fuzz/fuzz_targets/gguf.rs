//! Any bytes as a GGUF file: opening and reading everything may fail, but never panics, and what opens
//! is written and read back the same. `cargo fuzz run gguf`; seeds: any small model, in corpus/gguf.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use puna_format::{Bytes, Gguf, Writer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(gguf) = Gguf::from_source(Arc::new(Bytes::new(bytes))) else {
        return;
    };
    let mut writer = Writer::with_metadata(gguf.metadata.clone());
    for tensor in gguf.tensors() {
        let data = gguf.read_tensor(tensor).expect("a tensor that was checked reads");
        let added = writer.add_tensor(&tensor.name, tensor.dtype, &tensor.shape, data);
        added.expect("a tensor that was read can be written");
        let _values = gguf.dequantize(&tensor.name);
    }
    let mut out = Vec::new();
    // The alignment may be of a type that is read but not written; that is an error, and fine.
    if writer.write_to(&mut out, &mut |_| {}).is_ok() {
        let again = Gguf::from_source(Arc::new(Bytes::new(out))).expect("a written file opens");
        // Not `==`: metadata may hold NaN.
        assert_eq!(again.metadata.len(), gguf.metadata.len());
        assert_eq!(again.tensors().len(), gguf.tensors().len());
    }
});
