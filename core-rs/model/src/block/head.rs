//! From the last state to what a model answers.

use puna_graph::{Act, NormKind, Operand};

use crate::error::Result;
use crate::lower::Lower;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// Logits of the next token. Weights: `output_norm`, then `output` with its bias where the file
    /// has one, else `token_embd` again.
    #[default]
    Logits,
    /// The state itself, for embeddings. With `cls` (a dense layer and tanh) or `cls.output` in the
    /// file also a rank of each output, which stands where logits would.
    Embeddings,
}

/// What a head answers, `[n_outputs, …]` each.
pub struct Answers {
    pub hidden: Option<Operand>,
    pub logits: Option<Operand>,
}

impl Head {
    /// `x` is the state `[n_outputs, n_embd]`; `scale` and `softcap` are those of the logits.
    pub fn lower(
        &self,
        l: &mut Lower,
        norm: NormKind,
        x: Operand,
        (scale, softcap): (f32, Option<f32>),
        keep_hidden: bool,
    ) -> Result<Answers> {
        let x = match self {
            Head::Embeddings => {
                let logits = rank(l, x)?;
                return Ok(Answers {
                    hidden: Some(x),
                    logits,
                });
            }
            Head::Logits => l.norm("output_norm", norm, x)?, // [n_outputs, n_embd]
        };
        let (n_embd, n_vocab) = (l.hparams.n_embd, l.hparams.n_vocab);
        let mut logits = match l.has("output.weight") {
            true => l.linear("output", x, n_vocab)?,
            false => {
                let table = l.matrix("token_embd.weight", n_embd, n_vocab)?;
                l.b.linear("logits", x, table, None)
            }
        }; // [n_outputs, n_vocab]
        if scale != 1.0 {
            logits = l.b.scale("logits_scaled", logits, scale);
        }
        if let Some(cap) = softcap {
            logits = l.b.softcap("logits_capped", logits, cap);
        }
        Ok(Answers {
            hidden: keep_hidden.then_some(x),
            logits: Some(logits),
        })
    }
}

/// The classifier of a ranking model; `None` where the file has none.
fn rank(l: &mut Lower, x: Operand) -> Result<Option<Operand>> {
    let mut x = x;
    let dense = l.has("cls.weight");
    if dense {
        x = l.linear("cls", x, x.width)?;
        x = l.b.act("cls_tanh", x, Act::Tanh);
    }
    if l.has("cls.output.weight") {
        let n_labels = l.rows_of("cls.output.weight", 1);
        return Ok(Some(l.linear("cls.output", x, n_labels)?));
    }
    Ok(dense.then_some(x))
}
