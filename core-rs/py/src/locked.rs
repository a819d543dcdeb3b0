//! The state of a session behind its lock.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use puna_engine as engine;
use puna_engine::Scheduler;
use pyo3::prelude::*;

use crate::error::{Result, argument, closed};

/// Steps shorter than this are not worth a thread that listens.
pub const SLOW: Duration = Duration::from_millis(20);

pub struct State {
    pub scheduler: Scheduler,
    /// Events of a step during which Ctrl-C came.
    pub kept: Vec<engine::Event>,
    /// Output rows of an evaluation under way.
    pub evaluating: Option<usize>,
    /// Whether the next step may take so long that Ctrl-C must be listened for.
    pub slow: bool,
}

/// `None` once closed.
pub struct Locked(Mutex<Option<State>>);

thread_local! {
    /// The sessions that this thread works in, for Python code called from within (a logits
    /// processor): it would wait for itself for ever.
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(vec![]) };
}

impl Locked {
    pub fn new(scheduler: Scheduler) -> Locked {
        Locked(Mutex::new(Some(State {
            scheduler,
            kept: vec![],
            evaluating: None,
            slow: true,
        })))
    }

    /// Works on the state; call it without the GIL.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let me = &raw const self.0 as usize;
        if INSIDE.with_borrow(|inside| inside.contains(&me)) {
            let expected = "one of another model: this one waits for the processor";
            return Err(argument(
                "session",
                "used by its own logits_processor",
                expected,
            ));
        }
        let mut state = self.lock();
        INSIDE.with_borrow_mut(|inside| inside.push(me));
        let _leave = Leave;
        match state.as_mut() {
            Some(state) => work(state),
            None => Err(closed()),
        }
    }

    /// Works on the state for a moment.
    pub fn quick<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut State) -> Result<T> + Send,
    ) -> Result<T> {
        py.detach(|| self.with(work))
    }

    /// The state, alone. What a panic left behind is not used again: the session is closed.
    pub fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            *state = None;
            state
        })
    }
}

/// Leaves the innermost session, however that ends.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        INSIDE.with_borrow_mut(Vec::pop);
    }
}
