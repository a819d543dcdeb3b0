//! The architectures, one file each. See `README.md` here for how to add one.

mod gemma2;
mod llama;
mod qwen2;
mod qwen3;

use crate::block::Decoder;
use crate::error::{Error, Result};
use crate::hparams::Hparams;

/// An architecture: GGUF's name for it and the tree it stands for.
pub struct Arch {
    /// `general.architecture`
    pub name: &'static str,
    pub tree: fn(&Hparams) -> Result<Decoder>,
    /// Keys below `{name}.` that its tiny test model sets besides the common ones.
    pub tiny: &'static [(&'static str, f32)],
}

/// Every architecture, in alphabetical order.
pub const ARCHS: &[Arch] = &[gemma2::ARCH, llama::ARCH, qwen2::ARCH, qwen3::ARCH];

/// # Errors
/// A name that is not in [`ARCHS`]; the message lists those that are.
pub fn find(name: &str) -> Result<&'static Arch> {
    ARCHS
        .iter()
        .find(|a| a.name == name)
        .ok_or_else(|| Error::Architecture {
            name: name.into(),
            known: ARCHS.iter().map(|a| a.name).collect::<Vec<_>>().join(", "),
        })
}
