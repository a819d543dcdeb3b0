//! StarCoder 2: layer norms, biases and a plain MLP around rope and grouped heads
//! (Lozhkov et al. 2024, arXiv 2402.19173).

use puna_graph::{Act, NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Ffn, Layer, Position};

pub const ARCH: Arch = Arch {
    name: "starcoder2",
    tree: |h| {
        let layer = |window| Layer {
            attention: Attention {
                position: Position::Rope(RopeLayout::Neox),
                window,
                ..Attention::default()
            },
            ffn: Ffn::Plain(Act::Gelu),
        };
        Ok(Decoder {
            norm: NormKind::Layer,
            layers: h.windows(0).into_iter().map(layer).collect(),
            ..Decoder::default()
        })
    },
    tiny: Sample {
        biases: &["norm", "attn", "ffn"],
        ..Sample::PLAIN
    },
};
