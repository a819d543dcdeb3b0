//! Nomic Embed 1 and 1.5: BERT with rope and SwiGLU (Nussbaum et al. 2024, arXiv 2402.01613).

use puna_format::Value;
use puna_graph::{NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Embed, Head, Layer, Norms, Position};

pub const ARCH: Arch = Arch {
    name: "nomic-bert",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Neox),
                causal: false,
                ..Attention::default()
            },
            ..Layer::default()
        };
        Ok(Decoder {
            embed: Embed {
                token_types: h.n_token_types,
                norm: true,
                ..Embed::default()
            },
            norm: NormKind::Layer,
            norms: Norms::Post,
            layers: vec![layer; h.n_layer],
            head: Head::Embeddings,
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[
            ("attention.causal", Value::Bool(false)),
            ("pooling_type", Value::U32(1)),
        ],
        biases: &["norm"],
        ..Sample::PLAIN
    },
};
