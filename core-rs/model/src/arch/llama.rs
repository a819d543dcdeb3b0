//! Llama 1, 2, 3.x and its many relatives: Mistral 7B, Yi, SmolLM, TinyLlama
//! (Touvron et al. 2023, arXiv 2302.13971; Dubey et al. 2024, arXiv 2407.21783).

use puna_graph::{Act, NormKind, RopeLayout};

use crate::arch::Arch;
use crate::block::{Attention, Decoder, Ffn, Layer, Norms};

pub const ARCH: Arch = Arch {
    name: "llama",
    tree: |h| {
        Ok(Decoder {
            embed_scale: 1.0,
            norm: NormKind::Rms,
            norms: Norms::Pre,
            layers: (0..h.n_layer)
                .map(|_| Layer {
                    attention: Attention {
                        rope: RopeLayout::Norm,
                        scale: None,
                        softcap: None,
                        window: None,
                    },
                    ffn: Ffn::Gated(Act::Silu),
                })
                .collect(),
            softcap: None,
        })
    },
    tiny: &[],
};
