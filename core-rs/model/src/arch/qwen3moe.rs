//! Qwen 3 with experts, 30B-A3B and larger (Yang et al. 2025, arXiv 2505.09388).

use puna_format::Value;
use puna_graph::{NormKind, RopeLayout};

use crate::arch::{Arch, Sample, experts_or_dense};
use crate::block::{Attention, Decoder, Layer, Position, QkNorm};

pub const ARCH: Arch = Arch {
    name: "qwen3moe",
    tree: |h| {
        let attention = Attention {
            position: Position::Rope(RopeLayout::Neox),
            qk_norm: QkNorm::Heads(NormKind::Rms),
            ..Attention::default()
        };
        Ok(Decoder {
            layers: (0..h.n_layer)
                .map(|i| Layer {
                    attention,
                    ffn: experts_or_dense(h, i),
                })
                .collect(),
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[
            ("expert_count", Value::U32(5)),
            ("expert_used_count", Value::U32(2)),
            ("expert_feed_forward_length", Value::U32(256)),
        ],
        ..Sample::PLAIN
    },
};
