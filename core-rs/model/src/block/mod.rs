//! The blocks that architectures are made of. Each lowers itself: asks for its weights by their
//! GGUF names and writes its ops.
//!
//! Rules: a block gains a field only when a second architecture needs it; choices that exclude
//! each other are an enum; biases and fused matrices are found in the file, not declared; blocks
//! have a `Default`, the plain Llama, so that an architecture says only what differs.

mod attention;
mod decoder;
mod embed;
mod experts;
mod ffn;
mod head;

pub use attention::{Attention, Position, QkNorm};
pub use decoder::{Decoder, Layer, Norms};
pub use embed::Embed;
pub use experts::Experts;
pub use ffn::Ffn;
pub use head::Head;
