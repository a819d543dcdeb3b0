//! From token ids to the first state.

use puna_graph::{Lookup, NormKind, Operand};

use crate::error::Result;
use crate::lower::Lower;

/// Weights: `token_embd`; `position_embd`, `token_types` and `token_embd_norm` where asked for.
#[derive(Clone, Copy, Debug)]
pub struct Embed {
    /// Factor on the embeddings.
    pub scale: f32,
    /// Whether learned positions are added, a row for each of `context_length`.
    pub positions: bool,
    /// Types of tokens in `token_types`, of which a text has type 0 alone.
    pub token_types: Option<usize>,
    /// Whether the sum is normalised.
    pub norm: bool,
}

impl Default for Embed {
    fn default() -> Self {
        Embed {
            scale: 1.0,
            positions: false,
            token_types: None,
            norm: false,
        }
    }
}

impl Embed {
    /// Answers the state `[n_tokens, n_embd]`.
    pub fn lower(&self, l: &mut Lower, norm: NormKind) -> Result<Operand> {
        let (n_embd, n_vocab) = (l.hparams.n_embd, l.hparams.n_vocab);
        let table = l.matrix("token_embd.weight", n_embd, n_vocab)?;
        let mut x = l.b.embed("embd", table, self.scale); // [n_tokens, n_embd]
        if let Some(n_types) = self.token_types {
            let types = l.matrix("token_types.weight", n_embd, n_types)?;
            let types = l.b.lookup("token_types", types, Lookup::Row(0));
            x = l.b.add("embd_typed", x, types);
        }
        if self.positions {
            let n_positions = l.hparams.context_length;
            let positions = l.matrix("position_embd.weight", n_embd, n_positions)?;
            let positions = l.b.lookup("position_embd", positions, Lookup::Position);
            x = l.b.add("embd_placed", x, positions);
        }
        if self.norm {
            x = l.norm("token_embd_norm", norm, x)?;
        }
        Ok(x)
    }
}
