//! The whole of a decoder: embedding, layers of attention and feed-forward, output head.

use puna_graph::{NormKind, Operand};

use crate::block::{Attention, Ffn};
use crate::error::Result;
use crate::lower::Lower;

/// Where a layer normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Before attention and before feed-forward: `attn_norm`, `ffn_norm`.
    Pre,
    /// Also behind each, before the residual sum: `post_attention_norm`, `post_ffw_norm`.
    PreAndPost,
}

#[derive(Clone, Debug)]
pub struct Layer {
    pub attention: Attention,
    pub ffn: Ffn,
}

/// Weights: `token_embd`, the layers', `output_norm`, `output` (else `token_embd` again).
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Factor on the embeddings.
    pub embed_scale: f32,
    pub norm: NormKind,
    pub norms: Norms,
    pub layers: Vec<Layer>,
    /// Soft cap on the logits.
    pub softcap: Option<f32>,
}

impl Decoder {
    /// Writes the whole graph; answers the final state (if it is to be kept) and the logits.
    pub fn lower(&self, l: &mut Lower, keep_hidden: bool) -> Result<(Option<Operand>, Operand)> {
        let (n_embd, n_vocab) = (l.hparams.n_embd, l.hparams.n_vocab);
        let table = l.matrix("token_embd.weight", n_embd, n_vocab)?;
        let mut x = l.b.embed("embd", table, self.embed_scale); // [n_tokens, n_embd]
        for (i, layer) in self.layers.iter().enumerate() {
            l.b.begin_layer();
            let last = i + 1 == self.layers.len();
            x = self.layer(l, i, layer, x, last)?;
        }
        let x = l.norm("output_norm", self.norm, x)?; // [n_outputs, n_embd]
        let head = match l.has("output.weight") {
            true => l.matrix("output.weight", n_embd, n_vocab)?,
            false => table,
        };
        let mut logits = l.b.linear("logits", x, head, None); // [n_outputs, n_vocab]
        if let Some(cap) = self.softcap {
            logits = l.b.softcap("logits_capped", logits, cap);
        }
        Ok((keep_hidden.then_some(x), logits))
    }

    fn layer(
        &self,
        l: &mut Lower,
        i: usize,
        layer: &Layer,
        mut x: Operand,
        last: bool,
    ) -> Result<Operand> {
        let n_embd = l.hparams.n_embd;
        let name = |what: &str| format!("blk.{i}.{what}");
        let normed = l.norm(&name("attn_norm"), self.norm, x)?;
        let mut heads = layer.attention.heads(l, i, normed)?;
        if last {
            // Behind the last attention only the rows whose logits are wanted go on.
            heads = l.b.select(&name("attn_heads_out"), heads);
            x = l.b.select(&name("residual_out"), x);
        }
        let attn = l.linear(&name("attn_output"), heads, n_embd)?;
        let attn = self.post_norm(l, &name("post_attention_norm"), attn)?;
        let x = l.b.add(&name("attn_residual"), x, attn);
        let normed = l.norm(&name("ffn_norm"), self.norm, x)?;
        let ffn = layer.ffn.lower(l, i, normed)?;
        let ffn = self.post_norm(l, &name("post_ffw_norm"), ffn)?;
        Ok(l.b.add(&name("ffn_residual"), x, ffn))
    }

    fn post_norm(&self, l: &mut Lower, name: &str, x: Operand) -> Result<Operand> {
        match self.norms {
            Norms::Pre => Ok(x),
            Norms::PreAndPost => l.norm(name, self.norm, x),
        }
    }
}
