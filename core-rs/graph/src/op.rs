//! The ops: what each computes, in one line of mathematics.
//!
//! Every op works row by row on f32; `x[t]` is row `t`. Outputs are operands too, so an op may
//! fill some columns of a wider value. `reference.rs` is the definition in code; a fused op is
//! defined by its decomposition (`fuse.rs`).

use serde::{Deserialize, Serialize};

use crate::graph::{ConstId, Operand, WeightId};

/// Activation functions, by GGUF's and the field's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Act {
    /// `x * sigmoid(x)`
    Silu,
    /// `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x³)))`, what llama.cpp calls GELU.
    Gelu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NormKind {
    /// `x / sqrt(mean(x²) + eps) * weight`
    Rms,
    /// `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias`
    Layer,
}

/// A normalisation of a row. The sums are taken in f32 or better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Norm {
    pub kind: NormKind,
    pub weight: Option<WeightId>,
    pub bias: Option<WeightId>,
    pub eps: f32,
}

/// Which elements of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RopeLayout {
    /// Neighbours `(2i, 2i+1)`: llama.cpp's `NORM`.
    Norm,
    /// Halves `(i, i + n_rot/2)`: llama.cpp's `NEOX`.
    Neox,
}

/// Rotary position embedding of the first `n_rot` elements of each head:
/// pair `i` turns by `pos * freqs[i]` radians and is scaled by `magnitude`
/// (Su et al. 2021, arXiv 2104.09864; scaling schemes only change the table).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    pub layout: RopeLayout,
    pub n_rot: usize,
    /// `n_rot / 2` frequencies in radians a position.
    pub freqs: ConstId,
    pub magnitude: f32,
}

/// Scaled dot-product attention of every head over the cells its token may see
/// (grouped heads: `n_head / n_head_kv` query heads share one K and V head).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// `[n_tokens, n_head * dim_k]`
    pub q: Operand,
    /// Index into [`crate::Graph::kv`]; gives `n_head_kv`, `dim_k`, `dim_v`.
    pub layer: usize,
    pub n_head: usize,
    /// Factor on `q·k`, before the soft cap.
    pub scale: f32,
    /// `cap * tanh(s / cap)` on the scores (Gemma 2).
    pub softcap: Option<f32>,
    /// Sliding window: a token at `p` sees positions `> p - window`.
    pub window: Option<u32>,
    /// `[n_tokens, n_head * dim_v]`
    pub out: Operand,
}

/// One matrix of a [`FusedLinear`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub weight: WeightId,
    pub bias: Option<WeightId>,
}

/// A residual sum in front of a [`FusedLinear`]: `sum = x + norm(delta)`, kept for later ops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Added {
    pub delta: Operand,
    pub norm: Option<Norm>,
    pub sum: Operand,
}

/// Norm, matrices and what follows them in one op:
///
/// ```text
/// h   = x                        or  x + norm(delta), written to `add.sum`
/// n   = norm(h)                  or  h
/// y_i = parts[i].weight · n + parts[i].bias
/// out = concat(y_0, y_1, …)      or  glu(y_0) * y_1
/// out = out + residual           if given
/// out = cap * tanh(out / cap)    if given
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FusedLinear {
    pub x: Operand,
    pub add: Option<Added>,
    pub norm: Option<Norm>,
    pub parts: Vec<Part>,
    pub glu: Option<Act>,
    pub residual: Option<Operand>,
    pub softcap: Option<f32>,
    pub out: Operand,
}

/// `rope(q) -> out`, and `rope(k)`, `v` into the cache, in one op.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RopeStore {
    pub q: Operand,
    pub k: Operand,
    pub v: Operand,
    pub n_head: usize,
    pub rope: Rope,
    pub layer: usize,
    /// The rotated q.
    pub out: Operand,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// `out[t] = weight[token[t]] * scale`
    Embed {
        weight: WeightId,
        scale: f32,
        out: Operand,
    },
    /// `out[t] = norm(x[t])`
    Norm {
        x: Operand,
        norm: Norm,
        out: Operand,
    },
    /// `out[t] = weight · x[t] + bias`
    Linear {
        x: Operand,
        weight: WeightId,
        bias: Option<WeightId>,
        out: Operand,
    },
    /// `out[t] = rope(x[t], pos[t])` for each of `n_head` heads
    Rope {
        x: Operand,
        n_head: usize,
        rope: Rope,
        out: Operand,
    },
    /// `cache[layer].k[cell[t]] = k[t]`, `cache[layer].v[cell[t]] = v[t]`
    KvStore {
        k: Operand,
        v: Operand,
        layer: usize,
    },
    /// `out[t] = softmax(softcap(scale · q[t] K)) V` over the cells visible to token `t`
    Attention(Attention),
    /// `out = act(gate) * up`
    Glu {
        gate: Operand,
        up: Operand,
        act: Act,
        out: Operand,
    },
    /// `out = act(x)`
    Act { x: Operand, act: Act, out: Operand },
    /// `out = a + b`
    Add {
        a: Operand,
        b: Operand,
        out: Operand,
    },
    /// `out = x * by`
    Scale { x: Operand, by: f32, out: Operand },
    /// `out = cap * tanh(x / cap)`
    Softcap { x: Operand, cap: f32, out: Operand },
    /// `out[r] = x[outputs[r]]`: from one row a token to one row an output
    Select { x: Operand, out: Operand },
    /// See [`FusedLinear`].
    FusedLinear(FusedLinear),
    /// See [`RopeStore`].
    RopeStore(RopeStore),
}

impl Op {
    /// The op's name in prints, profiles and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Embed { .. } => "embed",
            Op::Norm { .. } => "norm",
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
            Op::FusedLinear(_) => "fused_linear",
            Op::RopeStore(_) => "rope_store",
        }
    }

    /// The operands it reads, in the order of its fields.
    pub fn inputs(&self) -> Vec<Operand> {
        match self {
            Op::Embed { .. } => vec![],
            Op::Norm { x, .. }
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
            | Op::Norm { out, .. }
            | Op::Linear { out, .. }
            | Op::Rope { out, .. }
            | Op::Act { out, .. }
            | Op::Scale { out, .. }
            | Op::Softcap { out, .. }
            | Op::Select { out, .. }
            | Op::Glu { out, .. }
            | Op::Add { out, .. } => vec![*out],
            Op::Attention(a) => vec![a.out],
            Op::FusedLinear(f) => f.add.map(|a| a.sum).into_iter().chain([f.out]).collect(),
            Op::RopeStore(r) => vec![r.out],
        }
    }

    /// The weights it reads.
    pub fn weights(&self) -> Vec<WeightId> {
        let of_norm = |n: &Norm| n.weight.into_iter().chain(n.bias).collect::<Vec<_>>();
        match self {
            Op::Embed { weight, .. } => vec![*weight],
            Op::Norm { norm, .. } => of_norm(norm),
            Op::Linear { weight, bias, .. } => std::iter::once(*weight).chain(*bias).collect(),
            Op::FusedLinear(f) => {
                let mut ids = vec![];
                if let Some(norm) = f.add.and_then(|a| a.norm) {
                    ids.extend(of_norm(&norm));
                }
                if let Some(norm) = &f.norm {
                    ids.extend(of_norm(norm));
                }
                for part in &f.parts {
                    ids.push(part.weight);
                    ids.extend(part.bias);
                }
                ids
            }
            _ => vec![],
        }
    }

    /// The matrices it multiplies by (not norms, biases or embedding look-ups).
    pub fn matrices(&self) -> Vec<WeightId> {
        match self {
            Op::Linear { weight, .. } => vec![*weight],
            Op::FusedLinear(f) => f.parts.iter().map(|p| p.weight).collect(),
            _ => vec![],
        }
    }

    /// Replaces every operand by `f(operand)`.
    pub fn map_operands(&mut self, mut f: impl FnMut(Operand) -> Operand) {
        let mut each = |o: &mut Operand| *o = f(*o);
        match self {
            Op::Embed { out, .. } => each(out),
            Op::Norm { x, out, .. }
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
