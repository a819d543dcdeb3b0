//! Llama 1, 2, 3.x and its many relatives: Mistral 7B, Yi, SmolLM, TinyLlama; with experts, Mixtral
//! (Touvron et al. 2023, arXiv 2302.13971; Dubey et al. 2024, arXiv 2407.21783; Jiang et al. 2023,
//! arXiv 2310.06825; Jiang et al. 2024, arXiv 2401.04088).

use crate::arch::{Arch, Sample, experts_or_dense};
use crate::block::{Attention, Decoder, Layer};

pub const ARCH: Arch = Arch {
    name: "llama",
    tree: |h| {
        let windows = h.windows(0);
        Ok(Decoder {
            layers: (0..h.n_layer)
                .map(|i| Layer {
                    attention: Attention {
                        window: windows[i],
                        ..Attention::default()
                    },
                    ffn: experts_or_dense(h, i),
                })
                .collect(),
            ..Decoder::default()
        })
    },
    tiny: Sample::PLAIN,
};
