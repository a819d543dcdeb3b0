//! Falcon 7B, 40B and 11B: attention and MLP side by side behind one layer norm, or one each where
//! the file has two (Almazrouei et al. 2023, arXiv 2311.16867).

use puna_format::Value;
use puna_graph::{Act, NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Ffn, Layer, Norms, Position};

pub const ARCH: Arch = Arch {
    name: "falcon",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Neox),
                ..Attention::default()
            },
            ffn: Ffn::Plain(Act::GeluErf),
        };
        Ok(Decoder {
            norm: NormKind::Layer,
            norms: Norms::ParallelShared,
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[("attention.head_count_kv", Value::U32(1))],
        has: &["attn_qkv.weight"],
        biases: &["norm"],
    },
};
