//! Baichuan 1 and 2: Llama, but that the 13B model, known by its 40 layers, has ALiBi in place of
//! rope (Yang et al. 2023, arXiv 2309.10305).

use puna_graph::RopeLayout;

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Layer, Position};

const N_LAYER_13B: usize = 40;

pub const ARCH: Arch = Arch {
    name: "baichuan",
    tree: |h| {
        let alibi = h
            .max_alibi_bias
            .or((h.n_layer == N_LAYER_13B).then_some(8.0));
        let layer = Layer {
            attention: Attention {
                position: match alibi {
                    Some(max_bias) => Position::Alibi { max_bias },
                    None => Position::Rope(RopeLayout::Norm),
                },
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
        has: &["output.weight"],
        ..Sample::PLAIN
    },
};
