//! Hyper-parameters under GGUF's names, read once and checked, so that the rest can trust them.

use puna_format::{Metadata, Value};

use crate::error::Result;
use crate::keys::{Keys, MAX_EXPERTS, MAX_LAYERS, MAX_WIDTH, hparam, in_range};

/// How rope frequencies change for long contexts (`rope.scaling.type`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    None,
    /// Every frequency divided by `factor` (kaiokendev 2023).
    Linear {
        factor: f32,
    },
    /// Slow frequencies divided by `factor`, fast ones kept, a ramp between, and all rotated
    /// vectors scaled (Peng et al. 2023, arXiv 2309.00071).
    Yarn {
        factor: f32,
        /// Tokens the model was trained for before it was stretched.
        original_context: usize,
        attn_factor: f32,
    },
}

/// How an encoder's states become one vector (`pooling_type`, GGUF's numbers 0 to 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// A vector for each token.
    None,
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
    /// The score of a classifier on the first token.
    Rank,
}

/// The experts of a layer (`expert_*`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertCounts {
    pub n_expert: usize,
    /// Experts that a token is sent to.
    pub n_used: usize,
    /// Width of one expert where it is not `n_ff`.
    pub n_ff: Option<usize>,
}

/// What a model needs to know besides its weights. Per-layer numbers are lists of `n_layer`.
#[derive(Clone, Debug)]
pub struct Hparams {
    pub arch: String,
    /// Tokens the model was trained for.
    pub context_length: usize,
    pub n_embd: usize,
    pub n_layer: usize,
    pub n_vocab: usize,
    pub n_ff: Vec<usize>,
    pub n_head: Vec<usize>,
    pub n_head_kv: Vec<usize>,
    /// Elements of a head of Q and K, and of V.
    pub n_embd_head_k: usize,
    pub n_embd_head_v: usize,
    pub norm_eps: f32,
    /// Elements of a head that are rotated.
    pub n_rot: usize,
    pub rope_freq_base: f32,
    /// The base of layers with a sliding window, where it is another.
    pub rope_freq_base_swa: Option<f32>,
    pub rope_scaling: RopeScaling,
    /// Tokens the model was trained for before its rope was stretched.
    pub rope_original_context: usize,
    /// Factor on rotated vectors.
    pub rope_attn_factor: f32,
    /// `attention.scale`; most models have `1 / sqrt(n_embd_head_k)` instead.
    pub attention_scale: Option<f32>,
    pub sliding_window: Option<usize>,
    /// The layers with a window, where the file says which.
    pub sliding_window_pattern: Option<Vec<bool>>,
    pub max_alibi_bias: Option<f32>,
    pub attn_logit_softcapping: Option<f32>,
    pub final_logit_softcapping: Option<f32>,
    pub use_parallel_residual: bool,
    pub experts: Option<ExpertCounts>,
    /// Whether a token sees only what is before it.
    pub causal: bool,
    pub pooling: Option<Pooling>,
    /// Rows of `token_types`.
    pub n_token_types: Option<usize>,
}

/// Heads of every layer and the elements of each.
struct Heads {
    n_head: Vec<usize>,
    n_head_kv: Vec<usize>,
    dim_k: usize,
    dim_v: usize,
}

impl Hparams {
    /// Reads and checks the keys of `general.architecture`.
    ///
    /// # Errors
    /// A key that is missing, of another type, or outside what any model has.
    pub fn read(metadata: &Metadata) -> Result<Hparams> {
        let arch = metadata.str("general.architecture")?;
        let k = Keys { metadata, arch };
        let n_embd = k.required("embedding_length")?;
        let n_layer = k.required("block_count")?;
        let n_layer = in_range(&k.name("block_count"), n_layer, 1, MAX_LAYERS)?;
        let context_length = k.required("context_length")?;
        let heads = heads(&k, n_embd, n_layer)?;
        let experts = experts(&k)?;
        let original_context = k.size("rope.scaling.original_context_length")?;
        let attn_factor = k.positive("rope.scaling.attn_factor")?;
        Ok(Hparams {
            arch: arch.to_string(),
            context_length,
            n_embd,
            n_layer,
            n_vocab: n_vocab(&k)?,
            n_ff: n_ff(&k, n_layer, experts)?,
            n_rot: n_rot(&k, heads.dim_k)?,
            n_head: heads.n_head,
            n_head_kv: heads.n_head_kv,
            n_embd_head_k: heads.dim_k,
            n_embd_head_v: heads.dim_v,
            norm_eps: norm_eps(&k)?,
            rope_freq_base: k.positive("rope.freq_base")?.unwrap_or(10_000.0),
            rope_freq_base_swa: k.positive("rope.freq_base_swa")?,
            rope_scaling: rope_scaling(&k)?,
            rope_original_context: original_context.unwrap_or(context_length),
            rope_attn_factor: attn_factor.unwrap_or(1.0),
            attention_scale: k.positive("attention.scale")?,
            sliding_window: k.size_or_none("attention.sliding_window")?,
            sliding_window_pattern: sliding_window_pattern(&k, n_layer)?,
            max_alibi_bias: k.positive_or_none("attention.max_alibi_bias")?,
            attn_logit_softcapping: k.positive("attn_logit_softcapping")?,
            final_logit_softcapping: k.positive("final_logit_softcapping")?,
            use_parallel_residual: k.flag("use_parallel_residual")?.unwrap_or(true),
            experts,
            causal: k.flag("attention.causal")?.unwrap_or(true),
            pooling: pooling(&k)?,
            n_token_types: n_token_types(metadata)?,
        })
    }

    /// The window of each layer, for an architecture whose files need not say which layers have one:
    /// then all do but every `period`-th.
    pub fn windows(&self, period: usize) -> Vec<Option<u32>> {
        let window = self.sliding_window.map(|n| n as u32);
        let local = |i: usize| match &self.sliding_window_pattern {
            Some(pattern) => pattern[i],
            None => is_local(i, period),
        };
        (0..self.n_layer)
            .map(|i| window.filter(|_| local(i)))
            .collect()
    }
}

/// Of `period` layers the last sees everything; with a period of 0 none does.
fn is_local(layer: usize, period: usize) -> bool {
    period == 0 || layer % period < period - 1
}

fn heads(k: &Keys, n_embd: usize, n_layer: usize) -> Result<Heads> {
    let n_head = k
        .per_layer("attention.head_count", n_layer)?
        .ok_or_else(|| missing_per_layer(k, "attention.head_count"))?;
    let n_head_kv = k
        .per_layer("attention.head_count_kv", n_layer)?
        .unwrap_or_else(|| n_head.clone());
    for (h, kv) in n_head.iter().zip(&n_head_kv) {
        if h % kv != 0 {
            let key = k.name("attention.head_count_kv");
            return Err(hparam(key, kv, format!("a divisor of head_count = {h}")));
        }
    }
    let dim_k = head_width(k, "attention.key_length", n_embd, n_head[0])?;
    let dim_v = head_width(k, "attention.value_length", n_embd, n_head[0])?;
    let most = MAX_WIDTH / dim_k.max(dim_v);
    if let Some(n) = n_head.iter().find(|&&n| n > most) {
        let expected = format!("at most {most} heads of {}", dim_k.max(dim_v));
        return Err(hparam(k.name("attention.head_count"), n, expected));
    }
    Ok(Heads {
        n_head,
        n_head_kv,
        dim_k,
        dim_v,
    })
}

fn head_width(k: &Keys, key: &str, n_embd: usize, n_head: usize) -> Result<usize> {
    match k.size(key)? {
        Some(n) => Ok(n),
        None if n_embd.is_multiple_of(n_head) => Ok(n_embd / n_head),
        None => Err(hparam(
            k.name("attention.head_count"),
            n_head,
            format!("a divisor of embedding_length = {n_embd}, or {key}"),
        )),
    }
}

fn missing_per_layer(k: &Keys, key: &str) -> crate::Error {
    hparam(k.name(key), "missing", "a number, or one a layer")
}

fn n_ff(k: &Keys, n_layer: usize, experts: Option<ExpertCounts>) -> Result<Vec<usize>> {
    let of_expert = experts.and_then(|e| e.n_ff);
    match (k.per_layer("feed_forward_length", n_layer)?, of_expert) {
        (Some(list), _) => Ok(list),
        (None, Some(n)) => Ok(vec![n; n_layer]),
        (None, None) => Err(missing_per_layer(k, "feed_forward_length")),
    }
}

fn n_rot(k: &Keys, dim_k: usize) -> Result<usize> {
    let n_rot = k.size("rope.dimension_count")?.unwrap_or(dim_k);
    if n_rot % 2 != 0 || n_rot > dim_k {
        let expected = format!("even, at most {dim_k}");
        return Err(hparam(k.name("rope.dimension_count"), n_rot, expected));
    }
    Ok(n_rot)
}

fn norm_eps(k: &Keys) -> Result<f32> {
    let rms = k.positive("attention.layer_norm_rms_epsilon")?;
    rms.or(k.positive("attention.layer_norm_epsilon")?)
        .ok_or_else(|| {
            let key = k.name("attention.layer_norm_rms_epsilon");
            hparam(key, "missing", "a number above 0")
        })
}

fn experts(k: &Keys) -> Result<Option<ExpertCounts>> {
    let Some(n_expert) = k.size_or_none("expert_count")? else {
        return Ok(None);
    };
    let n_expert = in_range(&k.name("expert_count"), n_expert, 1, MAX_EXPERTS)?;
    let n_used = k.required("expert_used_count")?;
    Ok(Some(ExpertCounts {
        n_expert,
        n_used: in_range(&k.name("expert_used_count"), n_used, 1, n_expert)?,
        n_ff: k.size_or_none("expert_feed_forward_length")?,
    }))
}

/// One bool a layer, or the period `n` of a pattern whose last layer sees everything.
fn sliding_window_pattern(k: &Keys, n_layer: usize) -> Result<Option<Vec<bool>>> {
    let name = k.name("attention.sliding_window_pattern");
    match k.metadata.get(&name) {
        None => Ok(None),
        Some(Value::Array(_)) => {
            let list = k.metadata.bools(&name)?;
            in_range(&format!("{name}: length"), list.len(), n_layer, n_layer)?;
            Ok(Some(list))
        }
        Some(_) => {
            let period = k.metadata.u32(&name)? as usize;
            Ok(Some((0..n_layer).map(|i| is_local(i, period)).collect()))
        }
    }
}

fn pooling(k: &Keys) -> Result<Option<Pooling>> {
    use Pooling::{Cls, Last, Mean, None as Off, Rank};
    let name = k.name("pooling_type");
    let Some(n) = k.metadata.get_u32(&name)? else {
        return Ok(None);
    };
    let kinds = [Off, Mean, Cls, Last, Rank];
    let n = in_range(&name, n as usize, 0, kinds.len() - 1)?;
    Ok(Some(kinds[n]))
}

fn n_token_types(metadata: &Metadata) -> Result<Option<usize>> {
    let name = "tokenizer.ggml.token_type_count";
    match metadata.get_u32(name)? {
        None => Ok(None),
        Some(n) => in_range(name, n as usize, 1, MAX_WIDTH).map(Some),
    }
}

fn n_vocab(k: &Keys) -> Result<usize> {
    if let Some(tokens) = k.metadata.get_strings("tokenizer.ggml.tokens")? {
        return in_range("tokenizer.ggml.tokens: length", tokens.len(), 1, MAX_WIDTH);
    }
    k.required("vocab_size")
}

fn rope_scaling(k: &Keys) -> Result<RopeScaling> {
    let kind = k.metadata.get_str(&k.name("rope.scaling.type"))?;
    let factor = match k.positive("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => k.positive("rope.scale_linear")?,
    };
    match (kind, factor) {
        // LongRoPE's factors are tensors, one a frequency.
        (Some("none" | "longrope"), _) | (Some("linear") | None, None) => Ok(RopeScaling::None),
        (Some("linear") | None, Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (Some("yarn"), Some(factor)) => Ok(RopeScaling::Yarn {
            factor,
            original_context: match k.size("rope.scaling.original_context_length")? {
                Some(n) => n,
                None => k.required("context_length")?,
            },
            attn_factor: k.positive("rope.scaling.attn_factor")?.unwrap_or(1.0),
        }),
        (Some("yarn"), None) => Err(hparam(
            k.name("rope.scaling.factor"),
            "missing",
            "a number above 0, since rope.scaling.type is \"yarn\"",
        )),
        (Some(other), _) => Err(hparam(
            k.name("rope.scaling.type"),
            format!("{other:?}"),
            "\"none\", \"linear\", \"yarn\" or \"longrope\"",
        )),
    }
}
