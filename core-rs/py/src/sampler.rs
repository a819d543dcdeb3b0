//! Sampling parameters, and a sampler for logits at hand.

use std::sync::{Mutex, PoisonError};

use puna_text::Candidates;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Result, argument, argument_type, token_ids};
use crate::tokenizer::Tokenizer;

/// The parameters of all samplers by their names in `puna_text::SamplerParams`; what is left out
/// is llama.cpp's default.
#[pyclass(frozen, module = "puna._core")]
pub struct SamplerParams(pub puna_text::SamplerParams);

#[pymethods]
impl SamplerParams {
    #[new]
    #[pyo3(signature = (**params))]
    fn new(params: Option<&Bound<'_, PyDict>>) -> Result<Self> {
        let mut found = puna_text::SamplerParams::default();
        for (name, value) in params.into_iter().flatten() {
            let name: String = name.extract()?;
            set(&mut found, &name, &value)?;
        }
        Ok(SamplerParams(found))
    }

    /// Every parameter by name.
    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        as_dict(py, &self.0)
    }
}

macro_rules! fields {
    ($($name:ident)*) => {
        fn set(params: &mut puna_text::SamplerParams, name: &str, value: &Bound<'_, PyAny>) -> Result<()> {
            match name {
                $(stringify!($name) => params.$name = parameter(name, value)?,)*
                _ => {
                    let known = [$(stringify!($name)),*].join(" ");
                    return Err(argument("parameter", format!("{name:?}"), &format!("one of {known}")));
                }
            }
            Ok(())
        }

        fn as_dict<'py>(py: Python<'py>, params: &puna_text::SamplerParams) -> PyResult<Bound<'py, PyDict>> {
            let dict = PyDict::new(py);
            $(dict.set_item(stringify!($name), params.$name.clone())?;)*
            Ok(dict)
        }
    };
}
fields! {
    temperature dynatemp_range dynatemp_exponent top_k top_p min_p typical_p top_n_sigma
    xtc_probability xtc_threshold min_keep penalty_last_n repeat_penalty frequency_penalty
    presence_penalty dry_multiplier dry_base dry_allowed_length dry_penalty_last_n
    dry_sequence_breakers mirostat mirostat_tau mirostat_eta adaptive_target adaptive_decay
    logit_bias samplers seed
}

/// What Python should give for a parameter.
trait Expected {
    const EXPECTED: &'static str;
}

macro_rules! expected {
    ($($t:ty: $words:literal;)*) => {
        $(impl Expected for $t {
            const EXPECTED: &'static str = $words;
        })*
    };
}
expected! {
    f32: "a number";
    i32: "a whole number, -2147483648 to 2147483647";
    usize: "a whole number from 0";
    Option<u32>: "a whole number, 0 to 4294967295, or None";
    Vec<String>: "a list of str";
    Vec<(u32, f32)>: "a list of token ids, each with a number";
}

fn parameter<'a, 'py, T>(name: &str, value: &'a Bound<'py, PyAny>) -> Result<T>
where
    T: Expected + FromPyObject<'a, 'py>,
{
    value.extract::<T>().map_err(|e| {
        let found = value.repr().map_or_else(|_| "?".into(), |r| r.to_string());
        let error: PyErr = e.into();
        match error.is_instance_of::<PyTypeError>(value.py()) {
            true => argument_type(name, found, T::EXPECTED),
            false => argument(name, found, T::EXPECTED),
        }
    })
}

/// Chooses tokens from logits.
#[pyclass(frozen, module = "puna._core")]
pub struct Sampler {
    inner: Mutex<puna_text::Sampler>,
    n_vocab: usize,
}

#[pymethods]
impl Sampler {
    /// `tokenizer` is what samplers need that look at the texts of tokens.
    #[new]
    #[pyo3(signature = (params, n_vocab, tokenizer=None))]
    fn new(params: &SamplerParams, n_vocab: usize, tokenizer: Option<&Tokenizer>) -> Result<Self> {
        let sampler = match tokenizer {
            Some(tokenizer) => puna_text::Sampler::new(params.0.clone(), &tokenizer.0)?,
            None => puna_text::Sampler::new(params.0.clone(), n_vocab)?,
        };
        let n_vocab = tokenizer.map_or(n_vocab, |t| t.0.n_vocab());
        let inner = Mutex::new(sampler);
        Ok(Sampler { inner, n_vocab })
    }

    /// The token chosen by the last `n_vocab` of `logits`, a buffer of f32.
    fn sample(&self, logits: &Bound<'_, PyAny>) -> Result<u32> {
        let row = self.row(logits)?;
        Ok(self.lock().sample(&row)?)
    }

    /// What the samplers leave of the last `n_vocab` of `logits`, best first: ids with their
    /// probabilities.
    fn apply(&self, logits: &Bound<'_, PyAny>) -> Result<Vec<(u32, f32)>> {
        let mut candidates = Candidates::new(&self.row(logits)?);
        self.lock().apply(&mut candidates);
        candidates.softmax();
        let mut found: Vec<_> = candidates.items.iter().map(|c| (c.id, c.p)).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(found)
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

    fn row(&self, logits: &Bound<'_, PyAny>) -> Result<Vec<f32>> {
        let values = match PyBuffer::<f32>::get(logits) {
            Ok(buffer) => buffer.to_vec(logits.py())?,
            Err(_) => logits.extract::<Vec<f32>>().map_err(|_| {
                let found = logits.get_type().to_string();
                argument_type("logits", found, "an f32 array or a list of numbers")
            })?,
        };
        let row = values.len().checked_sub(self.n_vocab).ok_or_else(|| {
            let expected = format!("at least n_vocab = {} values", self.n_vocab);
            argument("logits", format!("{} values", values.len()), &expected)
        })?;
        let row = &values[row..];
        match row.iter().any(|x| x.is_nan()) {
            true => Err(argument("logits", "nan", "numbers")),
            false => Ok(row.to_vec()),
        }
    }
}
