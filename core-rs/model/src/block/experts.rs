//! A mixture of experts in place of one feed-forward (Shazeer et al. 2017, arXiv 1701.06538;
//! Jiang et al. 2024, arXiv 2401.04088).

use puna_graph::build::Routing;
use puna_graph::{Act, Gating, Operand, WeightId};

use crate::error::{Error, Result};
use crate::lower::Lower;

/// Weights: the router `ffn_gate_inp`, with `exp_probs_b.bias` where the file has it, and
/// `ffn_gate_exps`, `ffn_up_exps`, `ffn_down_exps` of all experts; `ffn_gate.{e}`, `ffn_up.{e}`,
/// `ffn_down.{e}` in files from before April 2024. `ffn_gate_exps.scale` and its like, where the file has
/// them, are a factor on the product of each expert: the second scales of NVFP4.
#[derive(Clone, Copy, Debug)]
pub struct Experts {
    pub n_expert: usize,
    /// Experts that each token goes through.
    pub n_used: usize,
    /// Width of one expert.
    pub n_ff: usize,
    pub act: Act,
    pub gating: Gating,
    /// Whether the weights of the chosen experts are made to sum to 1.
    pub normalize: bool,
    /// Factor on those weights.
    pub scale: f32,
}

impl Experts {
    /// `x` is the normed state `[rows, n_embd]`; answers `[rows, n_embd]`.
    pub fn lower(&self, l: &mut Lower, layer: usize, x: Operand) -> Result<Operand> {
        self.check(l)?;
        let name = |what: &str| format!("blk.{layer}.{what}");
        let scores = l.linear(&name("ffn_gate_inp"), x, self.n_expert)?; // [rows, n_expert]
        let routing = Routing {
            gating: self.gating,
            bias: l.vector(&name("exp_probs_b.bias"), self.n_expert)?,
            n_used: self.n_used,
            normalize: self.normalize,
            scale: self.scale,
        };
        let route = l.b.route(&name("ffn_route"), scores, routing); // [rows, 2 n_used]
        let n_embd = x.width;
        let each = |l: &mut Lower, what: &str, x: Operand, n_in: usize, n_out: usize| {
            let weights = self.weights(l, &name(what), n_in, n_out)?;
            let out = name(&format!("{what}_exps"));
            let y = l.b.linear_experts(&out, x, route, weights, self.n_expert);
            Ok::<_, Error>(match l.expert_scales(&out, self.n_expert)? {
                None => y,
                Some(by) => l.b.scale_experts(&format!("{out}_scaled"), y, route, by),
            })
        };
        let gate = each(l, "ffn_gate", x, n_embd, self.n_ff)?; // [rows, n_used * n_ff]
        let up = each(l, "ffn_up", x, n_embd, self.n_ff)?;
        let glu = l.b.glu(&name("ffn_glu"), gate, up, self.act);
        let down = each(l, "ffn_down", glu, self.n_ff, n_embd)?; // [rows, n_used * n_embd]
        Ok(l.b.combine(&name("ffn_out"), down, route))
    }

    fn check(&self, l: &Lower) -> Result<()> {
        if (1..=self.n_expert).contains(&self.n_used) {
            return Ok(());
        }
        Err(Error::Hparam {
            key: format!("{}.expert_used_count", l.hparams.arch),
            value: self.n_used.to_string(),
            expected: format!("1 to {} (expert_count)", self.n_expert),
        })
    }

    /// One tensor of all experts, or one for each in old files.
    fn weights(
        &self,
        l: &mut Lower,
        name: &str,
        n_in: usize,
        n_out: usize,
    ) -> Result<Vec<WeightId>> {
        if l.has(&format!("{name}.0.weight")) {
            return (0..self.n_expert)
                .map(|e| l.matrix(&format!("{name}.{e}.weight"), n_in, n_out))
                .collect();
        }
        let shape = [n_in, n_out, self.n_expert];
        Ok(vec![l.tensor(&format!("{name}_exps.weight"), &shape)?])
    }
}
