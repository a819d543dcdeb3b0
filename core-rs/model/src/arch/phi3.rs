//! Phi 3, 3.5 and 4: QKV in one matrix, gate and up in another, rope stretched by factors that the
//! file carries (Abdin et al. 2024, arXiv 2404.14219).

use puna_format::Value;
use puna_graph::{Act, RopeLayout};

use crate::arch::{Arch, Sample};
use crate::block::{Attention, Decoder, Ffn, Layer, Position};

pub const ARCH: Arch = Arch {
    name: "phi3",
    tree: |h| {
        let layer = |window| Layer {
            attention: Attention {
                position: Position::LongRope {
                    layout: RopeLayout::Neox,
                    original_context: h.rope_original_context,
                    attn_factor: h.rope_attn_factor,
                },
                window,
                ..Attention::default()
            },
            ffn: Ffn::Packed(Act::Silu),
        };
        Ok(Decoder {
            layers: h.windows(0).into_iter().map(layer).collect(),
            ..Decoder::default()
        })
    },
    tiny: Sample {
        keys: &[("attention.sliding_window", Value::U32(8))],
        has: &["output.weight", "attn_qkv.weight"],
        ..Sample::PLAIN
    },
};
