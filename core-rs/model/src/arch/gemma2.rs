//! Gemma 2: norms before and after each half, soft caps on scores and logits, a sliding window in
//! every other layer (Gemma Team 2024, arXiv 2408.00118).

use puna_format::Value;
use puna_graph::{Act, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Embed, Ffn, Layer, Norms, Position};

/// The 27B model alone scales its queries by `n_embd / n_head` instead of the head size.
const N_LAYER_27B: usize = 46;

pub const ARCH: Arch = Arch {
    name: "gemma2",
    tree: |h| {
        let per_head = h.n_embd as f32 / h.n_head[0] as f32;
        let window = h.sliding_window.unwrap_or(4096) as u32;
        Ok(Decoder {
            embed: Embed {
                scale: (h.n_embd as f32).sqrt(),
                ..Embed::default()
            },
            norms: Norms::PreAndPost,
            layers: (0..h.n_layer)
                .map(|i| Layer {
                    attention: Attention {
                        position: Position::Rope(RopeLayout::Neox),
                        scale: (h.n_layer == N_LAYER_27B).then(|| 1.0 / per_head.sqrt()),
                        softcap: Some(h.attn_logit_softcapping.unwrap_or(50.0)),
                        window: (i % 2 == 0).then_some(window),
                        ..Attention::default()
                    },
                    ffn: Ffn::Gated(Act::Gelu),
                })
                .collect(),
            softcap: Some(h.final_logit_softcapping.unwrap_or(30.0)),
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[("attention.sliding_window", Value::U32(8))],
        ..Sample::PLAIN
    },
};
