//! Self-attention with grouped heads.

use puna_graph::build::Heads;
use puna_graph::{Mask, NormKind, Operand, RopeLayout, Rows};

use crate::error::Result;
use crate::lower::Lower;

/// How attention knows where a token stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position {
    /// Not at all: positions were added to the embeddings, or the layer goes without.
    None,
    /// Rotary, as the hyper-parameters say; divided by `rope_freqs.weight` where the file has it.
    Rope(RopeLayout),
    /// Rotary with a base of its own and no scaling, for layers that see only what is near.
    LocalRope { layout: RopeLayout, base: f32 },
    /// Rotary, divided by `rope_factors_long.weight` where the context is longer than what the model
    /// was first trained for, else by `rope_factors_short.weight`; plain in files without them
    /// (LongRoPE, Ding et al. 2024, arXiv 2402.13753).
    LongRope {
        layout: RopeLayout,
        original_context: usize,
        /// Factor on rotated vectors.
        attn_factor: f32,
    },
    /// Scores fall with distance (Press et al. 2022, arXiv 2108.12409).
    Alibi { max_bias: f32 },
}

/// Norms of Q and K before they are rotated: `attn_q_norm`, `attn_k_norm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    None,
    /// One vector of `n_embd_head_k` for all heads.
    Heads(NormKind),
    /// A vector for each head, `[n_embd_head_k, n_head]`, where the file has them.
    EachHead(NormKind),
}

/// Weights: `attn_q`, `attn_k`, `attn_v` or the fused `attn_qkv`, then `attn_output`; each with
/// its bias where the file has one.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub position: Position,
    pub qk_norm: QkNorm,
    /// Factor on `q·k`; `None` is `1 / sqrt(n_embd_head_k)`.
    pub scale: Option<f32>,
    pub softcap: Option<f32>,
    pub window: Option<u32>,
    /// Whether a token sees only what is before it; false in encoders, and in any model whose file
    /// says so. A file can make an encoder of
    /// any architecture (`attention.causal`).
    pub causal: bool,
}

impl Default for Attention {
    fn default() -> Self {
        Attention {
            position: Position::Rope(RopeLayout::Norm),
            qk_norm: QkNorm::None,
            scale: None,
            softcap: None,
            window: None,
            causal: true,
        }
    }
}

/// Heads side by side and how many: `[n_tokens, n * dim]`.
type Many = (Operand, usize);

impl Attention {
    /// `x` is the normed state `[n_tokens, n_embd]`; answers the heads side by side,
    /// `[n_tokens, n_head * n_embd_head_v]`, before the output matrix.
    pub fn heads(&self, l: &mut Lower, layer: usize, x: Operand) -> Result<Operand> {
        let h = &l.hparams;
        let (n_head, n_head_kv) = (h.n_head[layer], h.n_head_kv[layer]);
        let (dim_k, dim_v) = (h.n_embd_head_k, h.n_embd_head_v);
        let heads = Heads {
            n_head,
            scale: self
                .scale
                .or(h.attention_scale)
                .unwrap_or(1.0 / (dim_k as f32).sqrt()),
            softcap: self.softcap,
            mask: Mask {
                causal: self.causal && h.causal,
                window: self.window,
            },
            alibi: match self.position {
                Position::Alibi { max_bias } => Some(max_bias),
                _ => None,
            },
        };
        let name = |what: &str| format!("blk.{layer}.{what}");
        let [q, k, v] = self.qkv(l, layer, x)?;
        let [q, k] = self.normed(l, layer, [(q, n_head), (k, n_head_kv)])?;
        let (q, k) = match l.position(self.position)? {
            None => (q, k),
            Some(rope) => (
                l.b.rope(&name("q_rope"), q, n_head, rope),
                l.b.rope(&name("k_rope"), k, n_head_kv, rope),
            ),
        };
        let kv = l.b.kv_layer(n_head_kv, dim_k, dim_v);
        l.b.kv_store(k, v, kv);
        Ok(l.b.attention(&name("attn_heads"), q, kv, heads))
    }

    /// Q, K and V, side by side in one value.
    fn qkv(&self, l: &mut Lower, layer: usize, x: Operand) -> Result<[Operand; 3]> {
        let h = &l.hparams;
        let (n_head, n_head_kv) = (h.n_head[layer], h.n_head_kv[layer]);
        let (n_q, n_k) = (n_head * h.n_embd_head_k, n_head_kv * h.n_embd_head_k);
        let n_v = n_head_kv * h.n_embd_head_v;
        let name = |what: &str| format!("blk.{layer}.{what}");
        let qkv = l.b.value(&name("attn_qkv"), Rows::Tokens, n_q + n_k + n_v);
        let q = qkv.columns(0, n_q);
        let k = qkv.columns(n_q, n_k);
        let v = qkv.columns(n_q + n_k, n_v);
        if l.has(&name("attn_qkv.weight")) {
            l.linear_into(&name("attn_qkv"), x, qkv)?;
        } else {
            l.linear_into(&name("attn_q"), x, q)?;
            l.linear_into(&name("attn_k"), x, k)?;
            l.linear_into(&name("attn_v"), x, v)?;
        }
        Ok([q, k, v])
    }

    /// Q and K with their norms, side by side again, so that rotating and storing them stays one op.
    fn normed(&self, l: &mut Lower, layer: usize, [q, k]: [Many; 2]) -> Result<[Operand; 2]> {
        let name = |what: &str| format!("blk.{layer}.{what}");
        let (kind, each) = match self.qk_norm {
            QkNorm::EachHead(kind) if l.has(&name("attn_q_norm.weight")) => (kind, true),
            QkNorm::None | QkNorm::EachHead(_) => return Ok([q.0, k.0]),
            QkNorm::Heads(kind) => (kind, false),
        };
        let width = q.0.width + k.0.width;
        let both = l.b.value(&name("attn_qk_norm"), Rows::Tokens, width);
        let out = [
            both.columns(0, q.0.width),
            both.columns(q.0.width, k.0.width),
        ];
        for ((x, n), (what, out)) in [q, k].into_iter().zip(["q", "k"].into_iter().zip(out)) {
            let dim = x.width / n;
            let shape = if each { vec![dim, n] } else { vec![dim] };
            let norm = l.norm_of(&name(&format!("attn_{what}_norm")), kind, &shape)?;
            l.b.head_norm_into(x, n, norm, out);
        }
        Ok(out)
    }
}
