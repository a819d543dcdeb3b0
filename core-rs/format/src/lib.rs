//! Bytes: where a model's weights lie and what they mean. GGUF files are read through a [`Source`] and
//! written by a [`Writer`]; [`safetensors`] reads the other format that models come in. [`DType`] is
//! the table of tensor types; [`quant`] decodes and encodes them in plain code, which is the oracle for
//! every faster kernel; [`quantize`] turns one file into another.

mod bytes;
mod byteswap;
mod dtype;
mod error;
mod gguf;
mod header;
mod joined;
mod metadata;
mod new_file;
mod parts;
pub mod quant;
pub mod quantize;
pub mod safetensors;
mod source;
mod split;
mod value;
mod writer;

pub use dtype::DType;
pub use error::{Error, Result};
pub use gguf::{Gguf, TensorInfo};
pub use metadata::Metadata;
pub use parts::PartName;
#[cfg(not(target_family = "wasm"))]
pub use source::Mmap;
pub use source::{Bytes, FileSource, Source};
pub use split::{PartLimit, SplitOptions, merge_file, plan_split, split_file};
pub use value::{Array, Strings, Value};
pub use writer::{WriteProgress, Writer};
