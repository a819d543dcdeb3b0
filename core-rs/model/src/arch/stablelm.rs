//! StableLM 3B, 2 1.6B and 2 12B: layer norms and a part of each head rotated; the 12B model has
//! attention and MLP side by side and a norm for each head of Q and K
//! (Bellagente et al. 2024, arXiv 2402.17834).

use puna_format::Value;
use puna_graph::{NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Layer, Norms, Position, QkNorm};

pub const ARCH: Arch = Arch {
    name: "stablelm",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Neox),
                qk_norm: QkNorm::EachHead(NormKind::Layer),
                ..Attention::default()
            },
            ..Layer::default()
        };
        Ok(Decoder {
            norm: NormKind::Layer,
            norms: Norms::PreOrShared,
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[("rope.dimension_count", Value::U32(16))],
        has: &["output.weight"],
        biases: &["norm"],
    },
};
