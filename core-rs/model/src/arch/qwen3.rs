//! Qwen 3, dense: each head of Q and K normalised before it is rotated
//! (Yang et al. 2025, arXiv 2505.09388).

use puna_graph::{NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Layer, Position, QkNorm};

pub const ARCH: Arch = Arch {
    name: "qwen3",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Neox),
                qk_norm: QkNorm::Heads(NormKind::Rms),
                ..Attention::default()
            },
            ..Layer::default()
        };
        Ok(Decoder {
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample::PLAIN,
};
