//! ChatGLM 2 and 3, GLM-4 9B: half of each head rotated in neighbouring pairs, gate and up in one
//! matrix (Team GLM 2024, arXiv 2406.12793).

use puna_format::Value;
use puna_graph::{Act, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Ffn, Layer, Position};

pub const ARCH: Arch = Arch {
    name: "chatglm",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Norm),
                ..Attention::default()
            },
            ffn: Ffn::Packed(Act::Silu),
        };
        Ok(Decoder {
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[("rope.dimension_count", Value::U32(32))],
        has: &["output.weight", "attn_qkv.weight"],
        biases: &["attn_qkv"],
    },
};
