//! Gemma 3: Gemma 2 with norms of Q and K in place of soft caps, and five layers with a window and
//! their own rope to one that sees everything (Gemma Team 2025, arXiv 2503.19786).

use puna_format::Value;
use puna_graph::{Act, NormKind, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Embed, Ffn, Layer, Norms, Position, QkNorm};

/// The 27B model alone scales its queries by `n_embd / n_head` instead of the head size.
const N_LAYER_27B: usize = 62;

pub const ARCH: Arch = Arch {
    name: "gemma3",
    tree: |h| {
        let per_head = h.n_embd as f32 / h.n_head[0] as f32;
        let layout = RopeLayout::Neox;
        let base = h.rope_freq_base_swa.unwrap_or(10_000.0);
        let layer = |window: Option<u32>| Layer {
            attention: Attention {
                position: match window {
                    Some(_) => Position::LocalRope { layout, base },
                    None => Position::Rope(layout),
                },
                qk_norm: QkNorm::Heads(NormKind::Rms),
                scale: (h.n_layer == N_LAYER_27B).then(|| 1.0 / per_head.sqrt()),
                window,
                ..Attention::default()
            },
            ffn: Ffn::Gated(Act::Gelu),
        };
        Ok(Decoder {
            embed: Embed {
                scale: (h.n_embd as f32).sqrt(),
                ..Embed::default()
            },
            norms: Norms::PreAndPost,
            layers: h.windows(6).into_iter().map(layer).collect(),
            softcap: h.final_logit_softcapping,
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[
            ("attention.sliding_window", Value::U32(8)),
            ("attention.sliding_window_pattern", Value::U32(2)),
        ],
        ..Sample::PLAIN
    },
};
