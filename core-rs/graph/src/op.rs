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
    /// `x/2 * (1 + erf(x / sqrt(2)))`: GELU itself, `"gelu"` in `transformers`
    /// (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    GeluErf,
    /// `x * sigmoid(1.702 x)`
    GeluQuick,
    /// `max(x, 0)`
    Relu,
    /// `max(x, 0)²`
    ReluSquared,
    Tanh,
}

impl Act {
    pub const ALL: [Act; 7] = [
        Act::Silu,
        Act::Gelu,
        Act::GeluErf,
        Act::GeluQuick,
        Act::Relu,
        Act::ReluSquared,
        Act::Tanh,
    ];
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

/// Which cells of its own sequence a token at position `p` sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mask {
    /// Only positions up to `p`; encoders see all.
    pub causal: bool,
    /// Sliding window: only positions less than this far away, so `> p - window` where causal.
    pub window: Option<u32>,
}

impl Mask {
    /// Everything up to the token itself.
    pub const CAUSAL: Mask = Mask {
        causal: true,
        window: None,
    };
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
    pub mask: Mask,
    /// Largest bias `m` of ALiBi: `alibi_slope(m, n_head, head) * -distance` is added to each score
    /// (Press et al. 2022, arXiv 2108.12409).
    pub alibi: Option<f32>,
    /// `[n_tokens, n_head * dim_v]`
    pub out: Operand,
}

/// ALiBi's slope of a head: `2^(-m/n), 2^(-2m/n), …` for the largest power of two `n` of heads,
/// every second one of twice as many for the heads beyond.
pub fn alibi_slope(max_bias: f32, n_head: usize, head: usize) -> f32 {
    let n = 1usize << n_head.ilog2();
    let exponent = match head < n {
        true => (head + 1) as f32,
        false => (head - n) as f32 + 0.5,
    };
    (-max_bias / n as f32 * exponent).exp2()
}

/// Which row of its table a [`Op::Lookup`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lookup {
    /// The token's position: learned positions.
    Position,
    /// The same for all: token types, where there is one type of token.
    Row(u32),
}

/// What router scores become before the largest are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gating {
    /// `softmax(x)` over all experts
    Softmax,
    /// `sigmoid(x)` of each
    Sigmoid,
}

/// Chooses experts for each token (Shazeer et al. 2017, arXiv 1701.06538):
///
/// ```text
/// p      = softmax(x)  or  sigmoid(x)
/// chosen = the n_used largest of p + bias, largest first, the lower index on a tie
/// w      = p[chosen]
/// w      = w / max(sum(w), 2^-14)      if `normalize`
/// out    = [chosen as f32, w * scale]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// `[rows, n_expert]`
    pub x: Operand,
    pub gating: Gating,
    /// Added for the choice only, `[n_expert]` (DeepSeek V3).
    pub bias: Option<WeightId>,
    pub n_used: usize,
    pub normalize: bool,
    pub scale: f32,
    /// `[rows, 2 * n_used]`
    pub out: Operand,
}

/// The product of each row with the matrices of its experts: `out[t][s] = W[chosen[t][s]] · x_s`,
/// where `x_s` is the row itself, or the `s`-th of `n_used` pieces of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearExperts {
    /// `[rows, n_in]` or `[rows, n_used * n_in]`
    pub x: Operand,
    /// What a [`Route`] made.
    pub route: Operand,
    /// One tensor `[n_in, n_out, n_expert]`, or `n_expert` tensors `[n_in, n_out]`.
    pub weights: Vec<WeightId>,
    pub n_expert: usize,
    /// `[rows, n_used * n_out]`
    pub out: Operand,
}

impl LinearExperts {
    /// Experts of each row.
    pub fn n_used(&self) -> usize {
        self.route.width / 2
    }
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
    /// `out[t] = weight[pos[t]]` or `weight[row]`
    Lookup {
        weight: WeightId,
        by: Lookup,
        out: Operand,
    },
    /// `out[t] = norm(x[t])`
    Norm {
        x: Operand,
        norm: Norm,
        out: Operand,
    },
    /// `out[t][h] = norm(x[t][h])` for each of `n_head` heads; the norm's weight and bias are one
    /// vector for all heads, or one for each head, side by side
    HeadNorm {
        x: Operand,
        n_head: usize,
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
    /// See [`Route`].
    Route(Route),
    /// See [`LinearExperts`].
    LinearExperts(LinearExperts),
    /// `out[t][s] = weight[chosen[t][s]] * x[t][s]` with the choice of a [`Route`] and `n_used` pieces of x
    ScaleExperts {
        x: Operand,
        route: Operand,
        /// One number for each expert.
        weight: WeightId,
        out: Operand,
    },
    /// `out[t] = Σ_s w[t][s] * x[t][s]` with the weights of a [`Route`] and `n_used` pieces of x
    Combine {
        x: Operand,
        route: Operand,
        out: Operand,
    },
    /// See [`FusedLinear`].
    FusedLinear(FusedLinear),
    /// See [`RopeStore`].
    RopeStore(RopeStore),
}
