//! The feed-forward half of a layer.

use puna_graph::{Act, Operand};

use crate::error::Result;
use crate::lower::Lower;

#[derive(Clone, Debug)]
pub enum Ffn {
    /// `down(act(gate x) * up x)`: SwiGLU, GeGLU (Shazeer 2020, arXiv 2002.05202).
    /// Weights `ffn_gate`, `ffn_up`, `ffn_down`.
    Gated(Act),
}

impl Ffn {
    /// `x` is the normed state `[rows, n_embd]`; answers `[rows, n_embd]`.
    pub fn lower(&self, l: &mut Lower, layer: usize, x: Operand) -> Result<Operand> {
        let (n_ff, n_embd) = (l.hparams.n_ff[layer], l.hparams.n_embd);
        let name = |what: &str| format!("blk.{layer}.{what}");
        match self {
            Ffn::Gated(act) => {
                let gate = l.linear(&name("ffn_gate"), x, n_ff)?;
                let up = l.linear(&name("ffn_up"), x, n_ff)?;
                let glu = l.b.glu(&name("ffn_glu"), gate, up, *act);
                l.linear(&name("ffn_down"), glu, n_embd)
            }
        }
    }
}
