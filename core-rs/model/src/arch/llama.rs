//! Llama 1, 2, 3.x and its many relatives: Mistral 7B, Yi, SmolLM, TinyLlama
//! (Touvron et al. 2023, arXiv 2302.13971; Dubey et al. 2024, arXiv 2407.21783).

use crate::arch::Arch;
use crate::block::{Decoder, Layer};

pub const ARCH: Arch = Arch {
    name: "llama",
    tree: |h| {
        Ok(Decoder {
            layers: vec![Layer::default(); h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: &[],
};
