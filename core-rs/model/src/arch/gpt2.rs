//! GPT-2: learned positions, layer norms, a plain MLP (Radford et al. 2019, "Language Models are
//! Unsupervised Multitask Learners").

use puna_graph::{Act, NormKind};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Embed, Ffn, Layer, Position};

pub const ARCH: Arch = Arch {
    name: "gpt2",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::None,
                ..Attention::default()
            },
            ffn: Ffn::Plain(Act::Gelu),
        };
        Ok(Decoder {
            embed: Embed {
                positions: true,
                ..Embed::default()
            },
            norm: NormKind::Layer,
            layers: vec![layer; h.n_layer],
            ..Decoder::default()
        })
    },
    tiny: Sample {
        has: &["attn_qkv.weight"],
        biases: &["norm", "attn", "ffn"],
        ..Sample::PLAIN
    },
};
