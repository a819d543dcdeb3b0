//! Phi 1, 1.5 and 2: attention and MLP side by side behind one layer norm, biases everywhere
//! (Li et al. 2023, arXiv 2309.05463).

use puna_format::Value;
use puna_graph::{Act, NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Ffn, Layer, Norms, Position};

pub const ARCH: Arch = Arch {
    name: "phi2",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Neox),
                ..Attention::default()
            },
            ffn: Ffn::Plain(Act::Gelu),
        };
        Ok(Decoder {
            norm: NormKind::Layer,
            norms: Norms::ParallelShared,
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[("rope.dimension_count", Value::U32(32))],
        has: &["output.weight"],
        biases: &["norm", "attn", "ffn", "output"],
    },
};
