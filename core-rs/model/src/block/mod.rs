//! The blocks that architectures are made of. Each lowers itself: asks for its weights by their
//! GGUF names and writes its ops.
//!
//! Rules: a block gains a field only when a second architecture needs it; choices that exclude
//! each other are an enum; biases and fused matrices are found in the file, not declared.

mod attention;
mod decoder;
mod ffn;

pub use attention::Attention;
pub use decoder::{Decoder, Layer, Norms};
pub use ffn::Ffn;
