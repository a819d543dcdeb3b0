//! Qwen 1.5, 2 and 2.5, and what was distilled into them: Llama with biases on Q, K and V, which the
//! file shows (Yang et al. 2024, arXiv 2407.10671).

use puna_graph::RopeLayout;

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Layer, Position};

pub const ARCH: Arch = Arch {
    name: "qwen2",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Neox),
                ..Attention::default()
            },
            ..Layer::default()
        };
        Ok(Decoder {
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample {
        biases: &["attn_q.", "attn_k.", "attn_v."],
        ..Sample::PLAIN
    },
};
