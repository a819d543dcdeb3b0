//! Any bytes as a GGUF file, of either byte order: opening and reading everything may fail, but never
//! panics; what opens is written and read back the same, and any piece of it reads as the whole does.
//! `cargo fuzz run gguf`; seeds: any small model, in corpus/gguf.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use puna_format::{Bytes, Gguf, PartLimit, SplitOptions, Writer, plan_split};

fuzz_target!(|bytes: &[u8]| {
    let Ok(gguf) = Gguf::from_source(Arc::new(Bytes::new(bytes))) else {
        return;
    };
    let mut writer = Writer::with_metadata(gguf.metadata.clone());
    for tensor in gguf.tensors() {
        let data = gguf
            .read_tensor(tensor)
            .expect("a tensor that was checked reads");
        let (from, to) = (data.len() / 3, data.len() - data.len() / 5);
        let piece = gguf.read_range(tensor.offset + from as u64, (to - from) as u64);
        assert_eq!(*piece.expect("a piece of it reads"), data[from..to]);
        let added = writer.add_tensor(&tensor.name, tensor.dtype, &tensor.shape, data);
        added.expect("a tensor that was read can be written");
        let _values = gguf.dequantize(&tensor.name);
    }
    let options = SplitOptions {
        limit: PartLimit::Bytes(100),
        no_tensor_first: true,
    };
    let parts = plan_split(&gguf, &options).expect("so few tensors can be cut");
    assert_eq!(
        parts.last().expect("one at least").end,
        gguf.tensors().len()
    );
    let mut out = Vec::new();
    let written = writer.write_to(&mut out, &mut |_| {});
    written.expect("what was read can be written");
    let again = Gguf::from_source(Arc::new(Bytes::new(out))).expect("a written file opens");
    // Not `==`: metadata may hold NaN.
    assert_eq!(again.metadata.len(), gguf.metadata.len());
    assert_eq!(again.tensors().len(), gguf.tensors().len());
    for (new, old) in again.tensors().zip(gguf.tensors()) {
        let (new, old) = (again.read_tensor(new), gguf.read_tensor(old));
        assert_eq!(new.expect("reads"), old.expect("reads"));
    }
});
