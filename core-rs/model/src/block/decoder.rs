//! The whole of a model: embedding, layers of attention and feed-forward, head.

use puna_graph::{NormKind, Operand};

use crate::block::head::Answers;
use crate::block::{Attention, Embed, Ffn, Head};
use crate::error::Result;
use crate::lower::Lower;

/// Where a layer normalises, and what goes beside what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norms {
    /// Before attention and before feed-forward: `attn_norm`, `ffn_norm`.
    #[default]
    Pre,
    /// Also behind each, before the residual sum: `post_attention_norm`, `post_ffw_norm`.
    PreAndPost,
    /// Only behind each residual sum: `attn_output_norm`, `layer_output_norm`.
    Post,
    /// Attention and feed-forward side by side, each with its norm:
    /// `x + attn(attn_norm x) + ffn(ffn_norm x)`.
    Parallel,
    /// The same with one norm for both, `attn_norm`; where the file has `attn_norm_2`, attention
    /// takes that one.
    ParallelShared,
    /// `Pre` where the file has `ffn_norm`, else `ParallelShared`.
    PreOrShared,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Layer {
    pub attention: Attention,
    pub ffn: Ffn,
}

/// Weights: the embedding's, the layers', the head's.
#[derive(Clone, Debug)]
pub struct Decoder {
    pub embed: Embed,
    pub norm: NormKind,
    pub norms: Norms,
    pub layers: Vec<Layer>,
    pub head: Head,
    /// Factor on the logits.
    pub logit_scale: f32,
    /// Soft cap on the logits.
    pub softcap: Option<f32>,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            embed: Embed::default(),
            norm: NormKind::Rms,
            norms: Norms::Pre,
            layers: vec![],
            head: Head::Logits,
            logit_scale: 1.0,
            softcap: None,
        }
    }
}

impl Decoder {
    /// Writes the whole graph; `keep_hidden` asks for the state before the logits too.
    pub fn lower(&self, l: &mut Lower, keep_hidden: bool) -> Result<Answers> {
        let mut x = self.embed.lower(l, self.norm)?; // [n_tokens, n_embd]
        for (i, layer) in self.layers.iter().enumerate() {
            l.b.begin_layer();
            let last = i + 1 == self.layers.len();
            x = self.layer(l, i, layer, x, last)?;
        }
        let of_logits = (self.logit_scale, self.softcap);
        self.head.lower(l, self.norm, x, of_logits, keep_hidden)
    }

    fn layer(
        &self,
        l: &mut Lower,
        i: usize,
        layer: &Layer,
        x: Operand,
        last: bool,
    ) -> Result<Operand> {
        let name = |what: &str| format!("blk.{i}.{what}");
        let norms = match self.norms {
            Norms::PreOrShared if l.has(&name("ffn_norm.weight")) => Norms::Pre,
            Norms::PreOrShared => Norms::ParallelShared,
            other => other,
        };
        let normed = match norms {
            Norms::Post => x,
            _ => l.norm(&name("attn_norm"), self.norm, x)?,
        };
        let attn_in = match norms {
            Norms::ParallelShared if l.has(&name("attn_norm_2.weight")) => {
                l.norm(&name("attn_norm_2"), self.norm, x)?
            }
            _ => normed,
        };
        let heads = layer.attention.heads(l, i, attn_in)?;
        // Behind the last attention only the rows whose logits are wanted go on.
        let mut rows = |what: &str, x: Operand| match last {
            true => l.b.select(&name(what), x),
            false => x,
        };
        let heads = rows("attn_heads_out", heads);
        let x = rows("residual_out", x);
        let shared = match norms {
            Norms::ParallelShared => rows("attn_norm_out", normed),
            _ => normed,
        };
        let attn = l.linear(&name("attn_output"), heads, l.hparams.n_embd)?;
        let ffn = |l: &mut Lower, x: Operand| layer.ffn.lower(l, i, x);
        self.close(l, i, norms, [x, attn, shared], &ffn)
    }

    /// What follows the attention: residual sums, norms, feed-forward.
    fn close(
        &self,
        l: &mut Lower,
        i: usize,
        norms: Norms,
        [x, attn, shared]: [Operand; 3],
        ffn: &dyn Fn(&mut Lower, Operand) -> Result<Operand>,
    ) -> Result<Operand> {
        let name = |what: &str| format!("blk.{i}.{what}");
        let norm = |l: &mut Lower, what: &str, x: Operand| l.norm(&name(what), self.norm, x);
        let attn = match norms {
            Norms::PreAndPost => norm(l, "post_attention_norm", attn)?,
            _ => attn,
        };
        let sum = l.b.add(&name("attn_residual"), x, attn);
        let (sum, ffn_in) = match norms {
            Norms::Post => {
                let sum = norm(l, "attn_output_norm", sum)?;
                (sum, sum)
            }
            Norms::Parallel => (sum, norm(l, "ffn_norm", x)?),
            Norms::ParallelShared => (sum, shared),
            _ => (sum, norm(l, "ffn_norm", sum)?),
        };
        let ffn = ffn(l, ffn_in)?;
        let ffn = match norms {
            Norms::PreAndPost => norm(l, "post_ffw_norm", ffn)?,
            _ => ffn,
        };
        let out = l.b.add(&name("ffn_residual"), sum, ffn);
        match norms {
            Norms::Post => norm(l, "layer_output_norm", out),
            _ => Ok(out),
        }
    }
}
