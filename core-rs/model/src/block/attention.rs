//! Self-attention with grouped heads and rotary positions.

use puna_graph::build::Heads;
use puna_graph::{Operand, RopeLayout, Rows};

use crate::error::Result;
use crate::lower::Lower;

/// Weights: `attn_q`, `attn_k`, `attn_v` or the fused `attn_qkv`, then `attn_output`; each with
/// its bias where the file has one.
#[derive(Clone, Debug)]
pub struct Attention {
    pub rope: RopeLayout,
    /// Factor on `q·k`; `None` is `1 / sqrt(n_embd_head_k)`.
    pub scale: Option<f32>,
    pub softcap: Option<f32>,
    pub window: Option<u32>,
}

impl Attention {
    /// `x` is the normed state `[n_tokens, n_embd]`; answers the heads side by side,
    /// `[n_tokens, n_head * n_embd_head_v]`, before the output matrix.
    pub fn heads(&self, l: &mut Lower, layer: usize, x: Operand) -> Result<Operand> {
        let h = &l.hparams;
        let (n_head, n_head_kv) = (h.n_head[layer], h.n_head_kv[layer]);
        let (dim_k, dim_v) = (h.n_embd_head_k, h.n_embd_head_v);
        let widths = [n_head * dim_k, n_head_kv * dim_k, n_head_kv * dim_v];
        let scale = self
            .scale
            .or(h.attention_scale)
            .unwrap_or(1.0 / (dim_k as f32).sqrt());
        let name = |what: &str| format!("blk.{layer}.{what}");

        let n_qkv = widths.iter().sum();
        let qkv = l.b.value(&name("attn_qkv"), Rows::Tokens, n_qkv);
        let q = qkv.columns(0, widths[0]);
        let k = qkv.columns(widths[0], widths[1]);
        let v = qkv.columns(widths[0] + widths[1], widths[2]);
        if l.has(&name("attn_qkv.weight")) {
            l.linear_into(&name("attn_qkv"), x, qkv)?;
        } else {
            l.linear_into(&name("attn_q"), x, q)?;
            l.linear_into(&name("attn_k"), x, k)?;
            l.linear_into(&name("attn_v"), x, v)?;
        }

        let rope = l.rope(self.rope)?;
        let q = l.b.rope(&name("q_rope"), q, n_head, rope);
        let k = l.b.rope(&name("k_rope"), k, n_head_kv, rope);
        let kv = l.b.kv_layer(n_head_kv, dim_k, dim_v);
        l.b.kv_store(k, v, kv);
        let heads = Heads {
            n_head,
            scale,
            softcap: self.softcap,
            window: self.window,
        };
        Ok(l.b.attention(&name("attn_heads"), q, kv, heads))
    }
}
