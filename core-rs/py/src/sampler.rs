//! Sampling parameters, and a sampler for logits at hand.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::array::Array;
use crate::error::{Result, argument, token_ids};

/// The parameters of all samplers; what is left out is llama.cpp's default.
#[pyclass(frozen, module = "puna._core")]
pub struct SamplerParams(pub puna_text::SamplerParams);

#[pymethods]
impl SamplerParams {
    #[new]
    #[pyo3(signature = (
        *, temperature=None, top_k=None, top_p=None, min_p=None, penalty_last_n=None,
        repeat_penalty=None, frequency_penalty=None, presence_penalty=None, logit_bias=None,
        samplers=None, seed=None,
    ))]
    #[allow(clippy::too_many_arguments)] // Python names them
    fn new(
        temperature: Option<f32>,
        top_k: Option<i32>,
        top_p: Option<f32>,
        min_p: Option<f32>,
        penalty_last_n: Option<i32>,
        repeat_penalty: Option<f32>,
        frequency_penalty: Option<f32>,
        presence_penalty: Option<f32>,
        logit_bias: Option<Vec<(u32, f32)>>,
        samplers: Option<Vec<String>>,
        seed: Option<u32>,
    ) -> Self {
        let d = puna_text::SamplerParams::default();
        SamplerParams(puna_text::SamplerParams {
            temperature: temperature.unwrap_or(d.temperature),
            top_k: top_k.unwrap_or(d.top_k),
            top_p: top_p.unwrap_or(d.top_p),
            min_p: min_p.unwrap_or(d.min_p),
            penalty_last_n: penalty_last_n.unwrap_or(d.penalty_last_n),
            repeat_penalty: repeat_penalty.unwrap_or(d.repeat_penalty),
            frequency_penalty: frequency_penalty.unwrap_or(d.frequency_penalty),
            presence_penalty: presence_penalty.unwrap_or(d.presence_penalty),
            logit_bias: logit_bias.unwrap_or_default(),
            samplers: samplers.unwrap_or(d.samplers),
            seed,
            ..puna_text::SamplerParams::default()
        })
    }
}

/// Chooses tokens from logits.
#[pyclass(frozen, module = "puna._core")]
pub struct Sampler {
    inner: Mutex<puna_text::Sampler>,
    n_vocab: usize,
}

#[pymethods]
impl Sampler {
    #[new]
    fn new(params: &SamplerParams, n_vocab: usize) -> Result<Self> {
        let inner = Mutex::new(puna_text::Sampler::new(params.0.clone(), n_vocab)?);
        Ok(Sampler { inner, n_vocab })
    }

    /// The token chosen by the last row of `logits`.
    fn sample(&self, logits: &Array) -> Result<u32> {
        let values = logits.as_f32s();
        let values = values.ok_or_else(|| argument("logits", "bytes", "an f32 array"))?;
        let row = values.len().checked_sub(self.n_vocab);
        let row = row.ok_or_else(|| {
            let expected = format!("at least n_vocab = {} values", self.n_vocab);
            argument("logits", format!("{} values", values.len()), &expected)
        })?;
        Ok(self.lock().sample(&values[row..])?)
    }

    /// Tells the sampler which tokens came next.
    fn accept(&self, tokens: Vec<i64>) -> Result<()> {
        let tokens = token_ids(&tokens, self.n_vocab)?;
        let mut inner = self.lock();
        tokens.into_iter().for_each(|t| inner.accept(t));
        Ok(())
    }

    fn reset(&self) {
        self.lock().reset();
    }
}

impl Sampler {
    fn lock(&self) -> std::sync::MutexGuard<'_, puna_text::Sampler> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
