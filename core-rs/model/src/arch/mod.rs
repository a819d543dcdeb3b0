//! The architectures, one file each. See `README.md` here for how to add one.

mod baichuan;
mod bert;
mod bloom;
mod chatglm;
mod falcon;
mod gemma2;
mod gemma3;
mod gpt2;
mod gptneox;
mod llama;
mod nomic_bert;
mod phi2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3moe;
mod stablelm;
mod starcoder2;

use puna_format::Value;
use puna_graph::{Act, Gating};

use crate::block::{Decoder, Experts, Ffn};
use crate::error::{Error, Result};
use crate::hparams::Hparams;

/// An architecture: GGUF's name for it and the tree it stands for.
pub struct Arch {
    /// `general.architecture`
    pub name: &'static str,
    pub tree: fn(&Hparams) -> Result<Decoder>,
    /// What its tiny test model has besides the common.
    pub tiny: Sample,
}

/// What a file may have or not, as real files of an architecture have it and llama.cpp wants it.
pub struct Sample {
    /// Keys below `{name}.`.
    pub keys: &'static [(&'static str, Value)],
    /// Names of tensors; those of layers without their `blk.N.`.
    pub has: &'static [&'static str],
    /// What is in the names of tensors that have a bias.
    pub biases: &'static [&'static str],
}

impl Sample {
    /// Nothing.
    pub const PLAIN: Sample = Sample {
        keys: &[],
        has: &[],
        biases: &[],
    };
}

/// Every architecture, in alphabetical order.
pub const ARCHS: &[Arch] = &[
    baichuan::ARCH,
    bert::ARCH,
    bloom::ARCH,
    chatglm::ARCH,
    falcon::ARCH,
    gemma2::ARCH,
    gemma3::ARCH,
    gpt2::ARCH,
    gptneox::ARCH,
    llama::ARCH,
    nomic_bert::ARCH,
    phi2::ARCH,
    phi3::ARCH,
    qwen2::ARCH,
    qwen3::ARCH,
    qwen3moe::ARCH,
    stablelm::ARCH,
    starcoder2::ARCH,
];

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

/// SwiGLU, or where the file counts experts a mixture of them whose chosen weights sum to 1.
fn experts_or_dense(h: &Hparams, layer: usize) -> Ffn {
    let Some(e) = h.experts else {
        return Ffn::default();
    };
    Ffn::Experts(Experts {
        n_expert: e.n_expert,
        n_used: e.n_used,
        n_ff: e.n_ff.unwrap_or(h.n_ff[layer]),
        act: Act::Silu,
        gating: Gating::Softmax,
        normalize: true,
        scale: 1.0,
    })
}
