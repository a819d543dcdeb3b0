//! The feed-forward half of a layer.

use puna_graph::{Act, Operand};

use crate::block::Experts;
use crate::error::Result;
use crate::lower::Lower;

#[derive(Clone, Copy, Debug)]
pub enum Ffn {
    /// `down(act(gate x) * up x)`: SwiGLU, GeGLU (Shazeer 2020, arXiv 2002.05202).
    /// Weights `ffn_gate`, `ffn_up`, `ffn_down`.
    Gated(Act),
    /// The same with gate and up, in this order, in one matrix `ffn_up` of `2 n_ff` rows.
    Packed(Act),
    /// `down(act(up x))`. Weights `ffn_up`, `ffn_down`.
    Plain(Act),
    Experts(Experts),
}

impl Default for Ffn {
    fn default() -> Self {
        Ffn::Gated(Act::Silu)
    }
}

impl Ffn {
    /// `x` is the normed state `[rows, n_embd]`; answers `[rows, n_embd]`.
    pub fn lower(&self, l: &mut Lower, layer: usize, x: Operand) -> Result<Operand> {
        let (n_ff, n_embd) = (l.hparams.n_ff[layer], l.hparams.n_embd);
        let name = |what: &str| format!("blk.{layer}.{what}");
        let y = match self {
            Ffn::Experts(experts) => return experts.lower(l, layer, x),
            Ffn::Gated(act) => {
                let gate = l.linear(&name("ffn_gate"), x, n_ff)?;
                let up = l.linear(&name("ffn_up"), x, n_ff)?;
                l.b.glu(&name("ffn_glu"), gate, up, *act)
            }
            Ffn::Packed(act) => {
                let both = l.linear(&name("ffn_up"), x, 2 * n_ff)?; // [rows, 2 n_ff]
                let (gate, up) = (both.columns(0, n_ff), both.columns(n_ff, n_ff));
                l.b.glu(&name("ffn_glu"), gate, up, *act)
            }
            Ffn::Plain(act) => {
                let up = l.linear(&name("ffn_up"), x, n_ff)?;
                l.b.act(&name("ffn_act"), up, *act)
            }
        }; // [rows, n_ff]
        l.linear(&name("ffn_down"), y, n_embd)
    }
}
