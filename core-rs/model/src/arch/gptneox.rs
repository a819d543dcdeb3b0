//! GPT-NeoX and Pythia: attention and MLP side by side, each with its norm, a part of each head
//! rotated (Black et al. 2022, arXiv 2204.06745; Biderman et al. 2023, arXiv 2304.01373).

use puna_format::Value;
use puna_graph::{Act, NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Ffn, Layer, Norms, Position};

pub const ARCH: Arch = Arch {
    name: "gptneox",
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
            norms: match h.use_parallel_residual {
                true => Norms::Parallel,
                false => Norms::Pre,
            },
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[
            ("rope.dimension_count", Value::U32(16)),
            ("use_parallel_residual", Value::Bool(true)),
        ],
        has: &["output.weight", "attn_qkv.weight"],
        biases: &["norm", "attn", "ffn"],
    },
};
