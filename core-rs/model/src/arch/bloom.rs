//! BLOOM: ALiBi, a norm of the embeddings, layer norms and biases everywhere
//! (Le Scao et al. 2022, arXiv 2211.05100).

use puna_graph::{Act, NormKind};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Embed, Ffn, Layer, Position};

pub const ARCH: Arch = Arch {
    name: "bloom",
    tree: |h| {
        let max_bias = h.max_alibi_bias.unwrap_or(8.0);
        let layer = Layer {
            attention: Attention {
                position: Position::Alibi { max_bias },
                ..Attention::default()
            },
            ffn: Ffn::Plain(Act::Gelu),
        };
        Ok(Decoder {
            embed: Embed {
                norm: true,
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
