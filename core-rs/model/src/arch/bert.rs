//! BERT, RoBERTa and the embedding models built on them (bge, e5, MiniLM): an encoder, where every
//! token sees every other (Devlin et al. 2018, arXiv 1810.04805).

use puna_format::Value;
use puna_graph::{Act, NormKind};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Embed, Ffn, Head, Layer, Norms, Position};

pub const ARCH: Arch = Arch {
    name: "bert",
    tree: |h| {
        let layer = Layer {
            attention: Attention {
                position: Position::None,
                causal: false,
                ..Attention::default()
            },
            ffn: Ffn::Plain(Act::GeluErf),
        };
        Ok(Decoder {
            embed: Embed {
                positions: true,
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
            ("pooling_type", Value::U32(2)),
        ],
        biases: &["norm", "attn", "ffn"],
        ..Sample::PLAIN
    },
};
