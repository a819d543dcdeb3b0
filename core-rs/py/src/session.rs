//! A session: requests in, events out, step by step; or tokens in, logits out.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use puna_engine as engine;
use puna_engine::{Item, Request, Scheduler};
use puna_graph::{Output, Read};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::array::Array;
use crate::error::{Result, argument, token_ids};
use crate::event::Event;
use crate::hook;
use crate::locked::{Locked, SLOW};
use crate::sampler::SamplerParams;
use crate::signals;
use crate::tokenizer::Tokenizer;

/// Evaluates and generates. Threads take turns: each call waits for the one before.
#[pyclass(frozen, module = "puna._core")]
pub struct Session {
    state: Locked,
    cancel: Arc<AtomicBool>,
    tokenizer: Arc<puna_text::Tokenizer>,
    facts: Facts,
}

/// What does not change, and is known without the lock.
struct Facts {
    device: String,
    is_software: bool,
    n_ctx: usize,
    n_batch: usize,
    n_seq_max: usize,
    n_embd: usize,
    logits_all: bool,
}

fn events(list: Vec<engine::Event>) -> Vec<Event> {
    Python::attach(|_| list.into_iter().map(Event::from).collect())
}

#[pymethods]
impl Session {
    // Requests.

    /// Queues a request; answers its number.
    #[pyo3(signature = (
        prompt, sampling, *, max_tokens=None, stop=vec![], logprobs=None, ignore_eos=false,
        special=false, prompt_logprobs=false, hook=None,
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
        prompt_logprobs: bool,
        hook: Option<Py<PyAny>>,
    ) -> Result<u64> {
        let request = Request {
            prompt: token_ids(&prompt, self.tokenizer.n_vocab())?,
            max_tokens,
            stop,
            sampling: sampling.0.clone(),
            logprobs,
            ignore_eos,
            special,
            prompt_logprobs,
            hook: hook.map(hook::of_python),
        };
        self.state.quick(py, |state| {
            state.slow = true;
            Ok(state.scheduler.add(request)?)
        })
    }

    /// One step of all requests; empty while a long prompt is under way, or with nothing to do.
    fn step(&self, py: Python<'_>) -> Result<Vec<Event>> {
        let slow = self.state.quick(py, |state| Ok(state.slow))?;
        let (brought, raised) = signals::run(py, slow, &self.cancel, || {
            self.state.with(|state| {
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
        self.state.quick(py, |state| {
            let mut all = std::mem::take(&mut state.kept);
            all.extend(brought);
            Ok(events(all))
        })
    }

    /// Starts a step of a device that must be awaited; false when there is nothing to do.
    fn start(&self, py: Python<'_>) -> Result<bool> {
        self.state.quick(py, |state| Ok(state.scheduler.start()?))
    }

    /// Events of the step that was started; `None` = await the device and ask again.
    fn finish(&self, py: Python<'_>) -> Result<Option<Vec<Event>>> {
        self.state
            .quick(py, |state| Ok(state.scheduler.finish()?.map(events)))
    }

    /// Ends a request that is no longer wanted.
    fn cancel(&self, py: Python<'_>, request: u64) -> Result<()> {
        self.state.quick(py, |state| {
            state.scheduler.cancel(request);
            Ok(())
        })
    }

    /// Whether no request waits or runs.
    #[getter]
    fn is_idle(&self, py: Python<'_>) -> Result<bool> {
        self.state.quick(py, |state| Ok(state.scheduler.is_idle()))
    }

    // Evaluation by hand. Requests at work are lost.

    /// Starts up to `n_batch` tokens, each given as `(token, sequence, whether it has an output)`,
    /// at the ends of their sequences.
    fn eval_start(&self, py: Python<'_>, items: Vec<(i64, u32, bool)>) -> Result<()> {
        let tokens: Vec<i64> = items.iter().map(|item| item.0).collect();
        let tokens = token_ids(&tokens, self.tokenizer.n_vocab())?;
        let item = |(token, (_, seq, output))| Item { token, seq, output };
        let items: Vec<Item> = tokens.into_iter().zip(items).map(item).collect();
        let (started, raised) = signals::run(py, true, &self.cancel, || {
            self.state.with(|state| {
                state.evaluating = None;
                state.scheduler.session_mut().start(&items)?;
                state.evaluating = Some(items.iter().filter(|item| item.output).count());
                Ok(())
            })
        });
        raised?;
        started
    }

    /// Of the tokens with outputs the logits `[n_outputs, n_vocab]`, or with `hidden` the states
    /// of the last layer `[n_outputs, n_embd]`; `None` = await the device. Both may be asked for.
    #[pyo3(signature = (*, hidden=false))]
    fn eval_finish(&self, py: Python<'_>, hidden: bool) -> Result<Option<Array>> {
        let what = if hidden { Read::Hidden } else { Read::Logits };
        self.state.quick(py, |state| {
            let Some(n_outputs) = state.evaluating else {
                return Err(argument("eval", "not started", "a start before the finish"));
            };
            match state.scheduler.session_mut().finish(what)? {
                Some(Output::F32(values)) => Ok(Some(Array::f32s(values, &[n_outputs]))),
                _ => Ok(None),
            }
        })
    }

    // Sequences of the context.

    /// One past the last position of a sequence.
    #[pyo3(signature = (seq=0))]
    fn n_past(&self, py: Python<'_>, seq: u32) -> Result<usize> {
        self.state.quick(py, |state| {
            let session = state.scheduler.session();
            session.check_seq(seq)?;
            Ok(session.n_past(seq))
        })
    }

    /// The tokens at positions 0, 1, … of a sequence, up to the first that was removed or moved.
    #[pyo3(signature = (seq=0))]
    fn tokens(&self, py: Python<'_>, seq: u32) -> Result<Vec<u32>> {
        self.state.quick(py, |state| {
            let session = state.scheduler.session();
            session.check_seq(seq)?;
            Ok(session.history(seq).to_vec())
        })
    }

    /// Removes positions `start` to `stop` of a sequence.
    fn remove(&self, py: Python<'_>, seq: u32, start: usize, stop: usize) -> Result<()> {
        self.state.quick(py, |state| {
            state.scheduler.session().check_seq(seq)?;
            Ok(state.scheduler.session_mut().remove(seq, start, stop)?)
        })
    }

    /// Makes the first `n` tokens of `source` also those of `target`, which must be empty.
    fn share(&self, py: Python<'_>, source: u32, target: u32, n: usize) -> Result<()> {
        self.state.quick(py, |state| {
            Ok(state.scheduler.session_mut().share(source, target, n)?)
        })
    }

    /// Drops `n` tokens of a sequence from position `keep` on and moves the rest down.
    fn shift(&self, py: Python<'_>, seq: u32, keep: usize, n: usize) -> Result<()> {
        self.state.quick(py, |state| {
            Ok(state.scheduler.session_mut().shift(seq, keep, n)?)
        })
    }

    /// A sequence as bytes; `None` = await the device and ask again.
    #[pyo3(signature = (seq=0))]
    fn save<'py>(&self, py: Python<'py>, seq: u32) -> Result<Option<Bound<'py, PyBytes>>> {
        let saved = self
            .state
            .quick(py, |state| Ok(state.scheduler.save(seq)?))?;
        Ok(saved.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// Puts a saved sequence in the place of `seq`.
    #[pyo3(signature = (data, seq=0))]
    fn load(&self, py: Python<'_>, data: Cow<'_, [u8]>, seq: u32) -> Result<()> {
        self.state.quick(py, |state| {
            Ok(state.scheduler.session_mut().load(seq, &data)?)
        })
    }

    /// Puts a saved sequence where no request works, and answers where.
    fn load_idle(&self, py: Python<'_>, data: Cow<'_, [u8]>) -> Result<u32> {
        self.state
            .quick(py, |state| Ok(state.scheduler.load_idle(&data)?))
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
            self.state.with(|state| {
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
        &self.facts.device
    }

    /// Whether its GPU is a program on the CPU.
    #[getter]
    fn is_software(&self) -> bool {
        self.facts.is_software
    }

    #[getter]
    fn n_ctx(&self) -> usize {
        self.facts.n_ctx
    }

    #[getter]
    fn n_batch(&self) -> usize {
        self.facts.n_batch
    }

    #[getter]
    fn n_seq_max(&self) -> usize {
        self.facts.n_seq_max
    }

    #[getter]
    fn n_embd(&self) -> usize {
        self.facts.n_embd
    }

    #[getter]
    fn logits_all(&self) -> bool {
        self.facts.logits_all
    }

    #[getter]
    fn tokenizer(&self) -> Tokenizer {
        Tokenizer(self.tokenizer.clone())
    }

    /// Bytes the executor holds besides the mapped file.
    #[getter]
    fn n_bytes(&self, py: Python<'_>) -> Result<u64> {
        self.state
            .quick(py, |state| Ok(state.scheduler.session().n_bytes()))
    }

    /// Frees weights and cache, after the call at work, which is stopped.
    fn close(&self, py: Python<'_>) -> Result<()> {
        self.cancel.store(true, Ordering::Relaxed);
        let closed = py.detach(|| self.state.close());
        self.cancel.store(false, Ordering::Relaxed);
        closed
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.state.is_closed())
    }
}

impl Session {
    pub fn new(session: engine::Session, is_software: bool, cancel: Arc<AtomicBool>) -> Session {
        Session {
            cancel,
            tokenizer: session.tokenizer().clone(),
            facts: Facts {
                device: session.device(),
                is_software,
                n_ctx: session.n_ctx(),
                n_batch: session.n_batch(),
                n_seq_max: session.n_seq_max(),
                n_embd: session.n_embd(),
                logits_all: session.logits_all(),
            },
            state: Locked::new(Scheduler::new(session)),
        }
    }

    /// Keeps what a step brought for the next one, so that other threads' requests lose nothing.
    fn keep(&self, py: Python<'_>, brought: Result<Vec<engine::Event>>) -> Result<()> {
        let Ok(brought) = brought else {
            return Ok(()); // cancelled: there is nothing to keep
        };
        self.state.quick(py, |state| {
            state.kept.extend(brought);
            Ok(())
        })
    }
}
