//! A session: requests in, events out, step by step; or tokens in, logits out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use puna_engine as engine;
use puna_engine::{Item, Request, Scheduler};
use puna_graph::{Output, Read};
use pyo3::prelude::*;

use crate::array::Array;
use crate::error::{Result, argument, closed, token_ids};
use crate::sampler::SamplerParams;
use crate::signals;
use crate::tokenizer::Tokenizer;

/// Evaluates and generates. Threads take turns: each call waits for the one before.
#[pyclass(frozen, module = "puna._core")]
pub struct Session {
    /// `None` once closed.
    state: Mutex<Option<State>>,
    cancel: Arc<AtomicBool>,
    tokenizer: Arc<puna_text::Tokenizer>,
    device: String,
    n_ctx: usize,
    n_batch: usize,
    n_embd: usize,
    logits_all: bool,
}

struct State {
    scheduler: Scheduler,
    /// Events of a step during which Ctrl-C came.
    kept: Vec<engine::Event>,
    /// Tokens of an evaluation under way, and how many of them answer logits.
    evaluating: Option<(Vec<u32>, usize)>,
    /// Whether the next step may take so long that Ctrl-C must be listened for.
    slow: bool,
}

/// Steps shorter than this are not worth a thread that listens.
const SLOW: Duration = Duration::from_millis(20);

/// What a step brought to one request: text that is certain, and why it ended.
#[pyclass(frozen, get_all, module = "puna._core")]
pub struct Event {
    request: u64,
    /// `None` when the request ended without another token.
    token: Option<u32>,
    text: String,
    /// Log-probability of the token, and the likeliest tokens with theirs.
    logprobs: Option<(f32, Vec<(u32, f32)>)>,
    /// `stop`, `length` or `cancelled`.
    finish: Option<&'static str>,
}

impl From<engine::Event> for Event {
    fn from(e: engine::Event) -> Event {
        Event {
            request: e.request,
            token: e.token,
            text: e.text,
            logprobs: e.logprobs.map(|l| (l.logprob, l.top)),
            finish: e.finish.map(engine::Finish::name),
        }
    }
}

fn events(list: Vec<engine::Event>) -> Vec<Event> {
    list.into_iter().map(Event::from).collect()
}

#[pymethods]
impl Session {
    // Requests.

    /// Queues a request; answers its number.
    #[pyo3(signature = (
        prompt, sampling, *, max_tokens=None, stop=vec![], logprobs=None, ignore_eos=false,
        special=false,
    ))]
    #[allow(clippy::too_many_arguments)] // Python names them
    fn add(
        &self,
        py: Python<'_>,
        prompt: Vec<i64>,
        sampling: &SamplerParams,
        max_tokens: Option<usize>,
        stop: Vec<String>,
        logprobs: Option<usize>,
        ignore_eos: bool,
        special: bool,
    ) -> Result<u64> {
        let request = Request {
            prompt: token_ids(&prompt, self.tokenizer.n_vocab())?,
            max_tokens,
            stop,
            sampling: sampling.0.clone(),
            logprobs,
            ignore_eos,
            special,
        };
        self.quick(py, |state| {
            state.slow = true;
            Ok(state.scheduler.add(request)?)
        })
    }

    /// One step of all requests; empty while a long prompt is under way, or with nothing to do.
    fn step(&self, py: Python<'_>) -> Result<Vec<Event>> {
        let slow = self.quick(py, |state| Ok(state.slow))?;
        let (brought, raised) = signals::run(py, slow, &self.cancel, || {
            self.with(|state| {
                let start = Instant::now();
                let brought = state.scheduler.step();
                state.slow = start.elapsed() > SLOW;
                Ok(brought?)
            })
        });
        if let Err(e) = raised {
            self.keep(py, brought)?;
            return Err(e.into());
        }
        let brought = brought?;
        self.quick(py, |state| {
            let mut all = std::mem::take(&mut state.kept);
            all.extend(brought);
            Ok(events(all))
        })
    }

    /// Starts a step of a device that must be awaited; false when there is nothing to do.
    fn start(&self, py: Python<'_>) -> Result<bool> {
        self.quick(py, |state| Ok(state.scheduler.start()?))
    }

    /// Events of the step that was started; `None` = await the device and ask again.
    fn finish(&self, py: Python<'_>) -> Result<Option<Vec<Event>>> {
        self.quick(py, |state| Ok(state.scheduler.finish()?.map(events)))
    }

    /// Ends a request that is no longer wanted.
    fn cancel(&self, py: Python<'_>, request: u64) -> Result<()> {
        self.quick(py, |state| {
            state.scheduler.cancel(request);
            Ok(())
        })
    }

    /// Whether no request waits or runs.
    #[getter]
    fn is_idle(&self, py: Python<'_>) -> Result<bool> {
        self.quick(py, |state| Ok(state.scheduler.is_idle()))
    }

    // Evaluation by hand, on sequence 0.

    /// Starts up to `n_batch` tokens at the end of the sequence; requests at work are lost.
    fn eval_start(&self, py: Python<'_>, tokens: Vec<i64>) -> Result<()> {
        let tokens = token_ids(&tokens, self.tokenizer.n_vocab())?;
        let last = tokens.len().saturating_sub(1);
        let items: Vec<Item> = tokens
            .iter()
            .enumerate()
            .map(|(i, &token)| Item {
                token,
                seq: 0,
                output: self.logits_all || i == last,
            })
            .collect();
        let n_outputs = items.iter().filter(|item| item.output).count();
        let (started, raised) = signals::run(py, true, &self.cancel, || {
            self.with(|state| {
                state.scheduler.session_mut().start(&items)?;
                state.scheduler.note(0, &tokens);
                state.evaluating = Some((tokens, n_outputs));
                Ok(())
            })
        });
        raised?;
        started
    }

    /// Logits of the tokens started, `[n_tokens or 1, n_vocab]`; `None` = await the device.
    fn eval_finish(&self, py: Python<'_>) -> Result<Option<Array>> {
        self.quick(py, |state| {
            let Some((_, n_outputs)) = &state.evaluating else {
                return Err(argument("eval", "not started", "a start before the finish"));
            };
            let n_outputs = *n_outputs;
            match state.scheduler.session_mut().finish(Read::Logits)? {
                Some(Output::F32(logits)) => {
                    state.evaluating = None;
                    Ok(Some(Array::f32s(logits, &[n_outputs])))
                }
                _ => Ok(None),
            }
        })
    }

    /// Tokens in the cache.
    #[getter]
    fn n_tokens(&self, py: Python<'_>) -> Result<usize> {
        self.quick(py, |state| Ok(state.scheduler.session().n_past(0)))
    }

    /// The tokens in the cache.
    #[getter]
    fn tokens(&self, py: Python<'_>) -> Result<Vec<u32>> {
        self.quick(py, |state| {
            let n = state.scheduler.session().n_past(0);
            let history = state.scheduler.history(0);
            Ok(history[..n.min(history.len())].to_vec())
        })
    }

    /// Forgets what comes after the first `n` tokens; requests at work are lost.
    fn truncate(&self, py: Python<'_>, n: usize) -> Result<()> {
        self.quick(py, |state| {
            state.scheduler.session_mut().truncate(0, n);
            // Shortens the history of tokens to what is left.
            state.scheduler.session_mut();
            Ok(())
        })
    }

    /// Speed as llama-bench measures it: tokens a second of each repetition, of the prompt and of
    /// the generation.
    fn bench(
        &self,
        py: Python<'_>,
        n_prompt: usize,
        n_gen: usize,
        reps: usize,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let (speed, raised) = signals::run(py, true, &self.cancel, || {
            self.with(|state| {
                let go_on = &mut || !self.cancel.load(Ordering::Relaxed);
                let session = state.scheduler.session_mut();
                Ok(engine::bench::run(session, n_prompt, n_gen, reps, go_on)?)
            })
        });
        raised?;
        let speed = speed?;
        Ok((speed.pp, speed.tg))
    }

    // Facts, and the end.

    /// The executor's description of itself.
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    #[getter]
    fn n_ctx(&self) -> usize {
        self.n_ctx
    }

    #[getter]
    fn n_batch(&self) -> usize {
        self.n_batch
    }

    #[getter]
    fn n_embd(&self) -> usize {
        self.n_embd
    }

    #[getter]
    fn logits_all(&self) -> bool {
        self.logits_all
    }

    #[getter]
    fn tokenizer(&self) -> Tokenizer {
        Tokenizer(self.tokenizer.clone())
    }

    /// Bytes the executor holds besides the mapped file.
    #[getter]
    fn n_bytes(&self, py: Python<'_>) -> Result<u64> {
        self.quick(py, |state| Ok(state.scheduler.session().n_bytes()))
    }

    /// Frees weights and cache, after the call at work, which is stopped.
    fn close(&self, py: Python<'_>) {
        self.cancel.store(true, Ordering::Relaxed);
        py.detach(|| drop(self.lock().take()));
        self.cancel.store(false, Ordering::Relaxed);
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.lock().is_none())
    }
}

impl Session {
    pub fn new(session: engine::Session, cancel: Arc<AtomicBool>) -> Session {
        Session {
            cancel,
            tokenizer: session.tokenizer().clone(),
            device: session.device(),
            n_ctx: session.n_ctx(),
            n_batch: session.n_batch(),
            n_embd: session.n_embd(),
            logits_all: session.logits_all(),
            state: Mutex::new(Some(State {
                scheduler: Scheduler::new(session),
                kept: vec![],
                evaluating: None,
                slow: true,
            })),
        }
    }

    /// The state, alone. What a panic left behind is not used again: the session is closed.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            *state = None;
            state
        })
    }

    /// Works on the state; call it without the GIL.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        match self.lock().as_mut() {
            Some(state) => work(state),
            None => Err(closed()),
        }
    }

    /// Works on the state for a moment.
    fn quick<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut State) -> Result<T> + Send,
    ) -> Result<T> {
        py.detach(|| self.with(work))
    }

    /// Keeps what a step brought for the next one, so that other threads' requests lose nothing.
    fn keep(&self, py: Python<'_>, brought: Result<Vec<engine::Event>>) -> Result<()> {
        let Ok(brought) = brought else {
            return Ok(()); // cancelled: there is nothing to keep
        };
        self.quick(py, |state| {
            state.kept.extend(brought);
            Ok(())
        })
    }
}
