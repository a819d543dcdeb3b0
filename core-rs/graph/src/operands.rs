//! What an op reads and writes: the questions that planning, fusing and splitting ask of any op.

use crate::graph::{Operand, WeightId};
use crate::op::{Norm, Op, Rope};

impl Norm {
    fn map_weights(&mut self, f: impl FnMut(&mut WeightId)) {
        self.weight.iter_mut().chain(&mut self.bias).for_each(f);
    }
}

impl Op {
    /// The op's name in prints, profiles and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Embed { .. } => "embed",
            Op::Lookup { .. } => "lookup",
            Op::Norm { .. } => "norm",
            Op::HeadNorm { .. } => "head_norm",
            Op::Linear { .. } => "linear",
            Op::Rope { .. } => "rope",
            Op::KvStore { .. } => "kv_store",
            Op::Attention(_) => "attention",
            Op::Glu { .. } => "glu",
            Op::Act { .. } => "act",
            Op::Add { .. } => "add",
            Op::Scale { .. } => "scale",
            Op::Softcap { .. } => "softcap",
            Op::Select { .. } => "select",
            Op::Route(_) => "route",
            Op::LinearExperts(_) => "linear_experts",
            Op::ScaleExperts { .. } => "scale_experts",
            Op::Combine { .. } => "combine",
            Op::FusedLinear(_) => "fused_linear",
            Op::RopeStore(_) => "rope_store",
        }
    }

    /// The operands it reads, in the order of its fields.
    pub fn inputs(&self) -> Vec<Operand> {
        match self {
            Op::Embed { .. } | Op::Lookup { .. } => vec![],
            Op::Norm { x, .. }
            | Op::HeadNorm { x, .. }
            | Op::Linear { x, .. }
            | Op::Rope { x, .. }
            | Op::Act { x, .. }
            | Op::Scale { x, .. }
            | Op::Softcap { x, .. }
            | Op::Select { x, .. } => vec![*x],
            Op::KvStore { k, v, .. } => vec![*k, *v],
            Op::Attention(a) => vec![a.q],
            Op::Glu { gate, up, .. } => vec![*gate, *up],
            Op::Add { a, b, .. } => vec![*a, *b],
            Op::Route(r) => vec![r.x],
            Op::LinearExperts(l) => vec![l.x, l.route],
            Op::ScaleExperts { x, route, .. } | Op::Combine { x, route, .. } => vec![*x, *route],
            Op::FusedLinear(f) => [Some(f.x), f.add.map(|a| a.delta), f.residual]
                .into_iter()
                .flatten()
                .collect(),
            Op::RopeStore(r) => vec![r.q, r.k, r.v],
        }
    }

    /// The operands it writes.
    pub fn outputs(&self) -> Vec<Operand> {
        match self {
            Op::KvStore { .. } => vec![],
            Op::Embed { out, .. }
            | Op::Lookup { out, .. }
            | Op::Norm { out, .. }
            | Op::HeadNorm { out, .. }
            | Op::ScaleExperts { out, .. }
            | Op::Combine { out, .. }
            | Op::Linear { out, .. }
            | Op::Rope { out, .. }
            | Op::Act { out, .. }
            | Op::Scale { out, .. }
            | Op::Softcap { out, .. }
            | Op::Select { out, .. }
            | Op::Glu { out, .. }
            | Op::Add { out, .. } => vec![*out],
            Op::Attention(a) => vec![a.out],
            Op::Route(r) => vec![r.out],
            Op::LinearExperts(l) => vec![l.out],
            Op::FusedLinear(f) => f.add.map(|a| a.sum).into_iter().chain([f.out]).collect(),
            Op::RopeStore(r) => vec![r.out],
        }
    }

    /// The weights it reads.
    pub fn weights(&self) -> Vec<WeightId> {
        let mut ids = vec![];
        self.clone().map_weights(|id| {
            ids.push(id);
            id
        });
        ids
    }

    /// Replaces every weight by `f(weight)`.
    pub fn map_weights(&mut self, mut f: impl FnMut(WeightId) -> WeightId) {
        let mut each = |id: &mut WeightId| *id = f(*id);
        match self {
            Op::Embed { weight, .. }
            | Op::Lookup { weight, .. }
            | Op::ScaleExperts { weight, .. } => each(weight),
            Op::Norm { norm, .. } | Op::HeadNorm { norm, .. } => norm.map_weights(each),
            Op::Linear { weight, bias, .. } => [weight].into_iter().chain(bias).for_each(each),
            Op::Route(r) => r.bias.iter_mut().for_each(each),
            Op::LinearExperts(l) => l.weights.iter_mut().for_each(each),
            Op::FusedLinear(l) => {
                let post = l.add.as_mut().and_then(|a| a.norm.as_mut());
                for norm in post.into_iter().chain(&mut l.norm) {
                    norm.map_weights(&mut each);
                }
                for part in &mut l.parts {
                    [&mut part.weight]
                        .into_iter()
                        .chain(&mut part.bias)
                        .for_each(&mut each);
                }
            }
            _ => {}
        }
    }

    /// The table of frequencies it turns by.
    pub fn rope_mut(&mut self) -> Option<&mut Rope> {
        match self {
            Op::Rope { rope, .. } => Some(rope),
            Op::RopeStore(r) => Some(&mut r.rope),
            _ => None,
        }
    }

    /// The layer of the cache it reads or writes.
    pub fn kv_layer_mut(&mut self) -> Option<&mut usize> {
        match self {
            Op::KvStore { layer, .. } => Some(layer),
            Op::Attention(a) => Some(&mut a.layer),
            Op::RopeStore(r) => Some(&mut r.layer),
            _ => None,
        }
    }

    /// The matrices it multiplies by (not norms, biases or embedding look-ups).
    pub fn matrices(&self) -> Vec<WeightId> {
        match self {
            Op::Linear { weight, .. } => vec![*weight],
            Op::FusedLinear(f) => f.parts.iter().map(|p| p.weight).collect(),
            Op::LinearExperts(l) => l.weights.clone(),
            _ => vec![],
        }
    }

    /// Replaces every operand by `f(operand)`.
    pub fn map_operands(&mut self, mut f: impl FnMut(Operand) -> Operand) {
        let mut each = |o: &mut Operand| *o = f(*o);
        match self {
            Op::Embed { out, .. } | Op::Lookup { out, .. } => each(out),
            Op::Norm { x, out, .. }
            | Op::HeadNorm { x, out, .. }
            | Op::Linear { x, out, .. }
            | Op::Rope { x, out, .. }
            | Op::Act { x, out, .. }
            | Op::Scale { x, out, .. }
            | Op::Softcap { x, out, .. }
            | Op::Select { x, out } => [x, out].into_iter().for_each(each),
            Op::KvStore { k, v, .. } => [k, v].into_iter().for_each(each),
            Op::Attention(a) => [&mut a.q, &mut a.out].into_iter().for_each(each),
            Op::Glu { gate, up, out, .. } => [gate, up, out].into_iter().for_each(each),
            Op::Add { a, b, out } => [a, b, out].into_iter().for_each(each),
            Op::Route(r) => [&mut r.x, &mut r.out].into_iter().for_each(each),
            Op::LinearExperts(l) => [&mut l.x, &mut l.route, &mut l.out]
                .into_iter()
                .for_each(each),
            Op::ScaleExperts { x, route, out, .. } | Op::Combine { x, route, out } => {
                [x, route, out].into_iter().for_each(each)
            }
            Op::FusedLinear(l) => {
                each(&mut l.x);
                if let Some(a) = &mut l.add {
                    each(&mut a.delta);
                    each(&mut a.sum);
                }
                if let Some(r) = &mut l.residual {
                    each(r);
                }
                each(&mut l.out);
            }
            Op::RopeStore(r) => [&mut r.q, &mut r.k, &mut r.v, &mut r.out]
                .into_iter()
                .for_each(each),
        }
    }
}
