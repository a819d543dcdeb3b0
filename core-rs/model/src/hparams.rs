//! Hyper-parameters under GGUF's names, read once and checked, so that the rest can trust them.

use puna_format::Metadata;

use crate::error::{Error, Result};

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

/// What a decoder needs to know besides its weights. Per-layer numbers are lists of `n_layer`.
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
    pub rope_scaling: RopeScaling,
    /// `attention.scale`; most models have `1 / sqrt(n_embd_head_k)` instead.
    pub attention_scale: Option<f32>,
    pub sliding_window: Option<usize>,
    pub attn_logit_softcapping: Option<f32>,
    pub final_logit_softcapping: Option<f32>,
}

/// More than any model has; keeps a hostile header from asking for absurd work.
const MAX_LAYERS: usize = 4096;
const MAX_WIDTH: usize = 1 << 24;

/// Reads keys below `{arch}.`.
struct Keys<'a> {
    metadata: &'a Metadata,
    arch: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    fn size(&self, key: &str) -> Result<Option<usize>> {
        let name = self.name(key);
        match self.metadata.get_u32(&name)? {
            None => Ok(None),
            Some(n) => in_range(&name, n as usize, 1, MAX_WIDTH).map(Some),
        }
    }

    fn required(&self, key: &str) -> Result<usize> {
        let name = self.name(key);
        let n = self.metadata.u32(&name)?;
        in_range(&name, n as usize, 1, MAX_WIDTH)
    }

    fn per_layer(&self, key: &str, n_layer: usize) -> Result<Option<Vec<usize>>> {
        let name = self.name(key);
        self.metadata
            .get_u32_per_layer(&name, n_layer)?
            .map(|list| {
                list.into_iter()
                    .map(|n| in_range(&name, n as usize, 1, MAX_WIDTH))
                    .collect()
            })
            .transpose()
    }

    fn float(&self, key: &str) -> Result<Option<f32>> {
        let name = self.name(key);
        match self.metadata.get_f32(&name)? {
            Some(x) if !x.is_finite() => Err(hparam(name, x, "a finite number")),
            x => Ok(x),
        }
    }

    fn positive(&self, key: &str) -> Result<Option<f32>> {
        match self.float(key)? {
            Some(x) if x <= 0.0 => Err(hparam(self.name(key), x, "a number above 0")),
            x => Ok(x),
        }
    }
}

fn in_range(name: &str, n: usize, min: usize, max: usize) -> Result<usize> {
    if (min..=max).contains(&n) {
        Ok(n)
    } else {
        Err(hparam(name, n, format!("{min} to {max}")))
    }
}

fn hparam(key: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Error {
    Error::Hparam {
        key: key.into(),
        value: value.to_string(),
        expected: expected.into(),
    }
}

impl Hparams {
    /// Reads and checks the keys of `general.architecture`.
    ///
    /// # Errors
    /// A key that is missing, of another type, or outside what any model has.
    pub fn read(metadata: &Metadata) -> Result<Hparams> {
        let arch = metadata.str("general.architecture")?;
        let keys = Keys { metadata, arch };
        let n_embd = keys.required("embedding_length")?;
        let n_layer = in_range(
            &keys.name("block_count"),
            keys.required("block_count")?,
            1,
            MAX_LAYERS,
        )?;
        let missing = |key: &str| hparam(keys.name(key), "missing", "a number, or one a layer");
        let n_head = keys
            .per_layer("attention.head_count", n_layer)?
            .ok_or_else(|| missing("attention.head_count"))?;
        let n_head_kv = keys
            .per_layer("attention.head_count_kv", n_layer)?
            .unwrap_or_else(|| n_head.clone());
        for (h, kv) in n_head.iter().zip(&n_head_kv) {
            if h % kv != 0 {
                let key = keys.name("attention.head_count_kv");
                return Err(hparam(key, kv, format!("a divisor of head_count = {h}")));
            }
        }
        let head = |key: &str| match keys.size(key)? {
            Some(n) => Ok(n),
            None if n_embd % n_head[0] == 0 => Ok(n_embd / n_head[0]),
            None => Err(hparam(
                keys.name("attention.head_count"),
                n_head[0],
                format!("a divisor of embedding_length = {n_embd}, or {key}"),
            )),
        };
        let n_embd_head_k = head("attention.key_length")?;
        let n_embd_head_v = head("attention.value_length")?;
        let widest = n_embd_head_k.max(n_embd_head_v) as u64;
        if let Some(n) = n_head
            .iter()
            .find(|&&n| n as u64 * widest > MAX_WIDTH as u64)
        {
            let most = format!("at most {} heads of {widest}", MAX_WIDTH as u64 / widest);
            return Err(hparam(keys.name("attention.head_count"), n, most));
        }
        let n_rot = keys.size("rope.dimension_count")?.unwrap_or(n_embd_head_k);
        if n_rot % 2 != 0 || n_rot > n_embd_head_k {
            let key = keys.name("rope.dimension_count");
            return Err(hparam(key, n_rot, format!("even, at most {n_embd_head_k}")));
        }
        let eps = match keys.positive("attention.layer_norm_rms_epsilon")? {
            Some(eps) => Some(eps),
            None => keys.positive("attention.layer_norm_epsilon")?,
        };
        Ok(Hparams {
            arch: arch.to_string(),
            context_length: keys.required("context_length")?,
            n_embd,
            n_layer,
            n_vocab: n_vocab(&keys)?,
            n_ff: keys
                .per_layer("feed_forward_length", n_layer)?
                .ok_or_else(|| missing("feed_forward_length"))?,
            n_head: n_head.clone(),
            n_head_kv,
            n_embd_head_k,
            n_embd_head_v,
            norm_eps: eps.ok_or_else(|| {
                hparam(
                    keys.name("attention.layer_norm_rms_epsilon"),
                    "missing",
                    "a number above 0",
                )
            })?,
            n_rot,
            rope_freq_base: keys.positive("rope.freq_base")?.unwrap_or(10_000.0),
            rope_scaling: rope_scaling(&keys)?,
            attention_scale: keys.positive("attention.scale")?,
            sliding_window: keys.size("attention.sliding_window")?,
            attn_logit_softcapping: keys.positive("attn_logit_softcapping")?,
            final_logit_softcapping: keys.positive("final_logit_softcapping")?,
        })
    }
}

fn n_vocab(keys: &Keys) -> Result<usize> {
    if let Some(tokens) = keys.metadata.get_strings("tokenizer.ggml.tokens")? {
        return in_range("tokenizer.ggml.tokens: length", tokens.len(), 1, MAX_WIDTH);
    }
    keys.required("vocab_size")
}

fn rope_scaling(keys: &Keys) -> Result<RopeScaling> {
    let kind = keys.metadata.get_str(&keys.name("rope.scaling.type"))?;
    let factor = match keys.positive("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.positive("rope.scale_linear")?,
    };
    match (kind, factor) {
        (Some("none" | "linear"), None) | (Some("none"), _) | (None, None) => Ok(RopeScaling::None),
        (Some("linear") | None, Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (Some("yarn"), Some(factor)) => Ok(RopeScaling::Yarn {
            factor,
            original_context: match keys.size("rope.scaling.original_context_length")? {
                Some(n) => n,
                None => keys.required("context_length")?,
            },
            attn_factor: keys.positive("rope.scaling.attn_factor")?.unwrap_or(1.0),
        }),
        (Some("yarn"), None) => Err(hparam(
            keys.name("rope.scaling.factor"),
            "missing",
            "a number above 0, since rope.scaling.type is \"yarn\"",
        )),
        (Some(other), _) => Err(hparam(
            keys.name("rope.scaling.type"),
            format!("{other:?}"),
            "\"none\", \"linear\" or \"yarn\"",
        )),
    }
}
