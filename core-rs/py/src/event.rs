//! What a step brought to one request.

use puna_engine as engine;
use pyo3::prelude::*;

/// Text that is certain, the token behind it, and why the request ended.
#[pyclass(frozen, get_all, module = "puna._core")]
pub struct Event {
    request: u64,
    /// The sequence that the request works on.
    seq: u32,
    /// Tokens of the prompt that were in the context already.
    n_reused: usize,
    /// Whether the token is one of the prompt: only with `prompt_logprobs`.
    of_prompt: bool,
    /// `None` when the request ended without another token.
    token: Option<u32>,
    text: String,
    /// Log-probability of the token, and the likeliest tokens with theirs.
    logprobs: Option<(f32, Vec<(u32, f32)>)>,
    /// `stop`, `length`, `cancelled` or `failed`.
    finish: Option<&'static str>,
    /// What its hook raised, or why no token could be drawn.
    error: Option<Py<PyAny>>,
}

impl From<engine::Event> for Event {
    fn from(e: engine::Event) -> Event {
        Event {
            request: e.request,
            seq: e.seq,
            n_reused: e.n_reused,
            of_prompt: e.of_prompt,
            token: e.token,
            text: e.text,
            logprobs: e.logprobs.map(|l| (l.logprob, l.top)),
            finish: e.finish.map(engine::Finish::name),
            error: e.error.map(crate::hook::exception),
        }
    }
}
