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
        let mut state = self.enter()?;
        INSIDE.with_borrow_mut(|inside| inside.push(self.address()));
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

    /// Frees the state; call it without the GIL.
    pub fn close(&self) -> Result<()> {
        drop(self.enter()?.take());
        Ok(())
    }

    /// Whether it was closed; call it without the GIL.
    pub fn is_closed(&self) -> bool {
        !self.is_inside() && self.enter().is_ok_and(|state| state.is_none())
    }

    fn address(&self) -> usize {
        &raw const self.0 as usize
    }

    fn is_inside(&self) -> bool {
        INSIDE.with_borrow(|inside| inside.contains(&self.address()))
    }

    /// The state, alone. What a panic left behind is not used again: the session is closed.
    fn enter(&self) -> Result<MutexGuard<'_, Option<State>>> {
        if self.is_inside() {
            let expected = "another model: this one waits for the processor";
            let name = "the model of a logits_processor or stopping criterion";
            return Err(argument(name, "used by it", expected));
        }
        Ok(self.0.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            *state = None;
            state
        }))
    }
}

/// Leaves the innermost session, however that ends.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        INSIDE.with_borrow_mut(Vec::pop);
    }
}
