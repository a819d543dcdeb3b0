//! The model room: from a GGUF file's metadata to a graph.
//!
//! An architecture is a tree of blocks, described as data ([`arch`]); [`lower`] walks the tree,
//! asks for the weights the blocks need by their GGUF names, and writes the graph. No backend is
//! mentioned here, and no code outside `arch/` tests an architecture's name.
//!
//! From the same walk come the list of missing and unused tensors, and [`tiny`]'s models with
//! random weights.

pub mod arch;
pub mod block;
mod error;
mod hparams;
mod keys;
mod lower;
mod rope;
pub mod tiny;
mod weights;

pub use arch::{ARCHS, Arch, Sample};
pub use error::{Error, Result};
pub use hparams::{ExpertCounts, Hparams, Pooling, RopeScaling};
pub use lower::{Model, Options, lower};
