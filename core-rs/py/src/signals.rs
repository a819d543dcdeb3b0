//! Ctrl-C during work in the core. Python runs signal handlers on its main thread, between its own
//! instructions, so someone must let it: after each call here, and during calls that may be long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::prelude::*;

/// How long Ctrl-C may wait.
const POLL: Duration = Duration::from_millis(50);

/// What a call brought, and what a signal handler raised meanwhile (`KeyboardInterrupt`).
pub type Done<T> = (T, PyResult<()>);

/// Runs `work` without the GIL. Where it `may_be_long` (and there are threads), `work` runs beside,
/// while this thread listens: a signal raises `cancel`, which the executor looks at between two ops.
pub fn run<T: Send>(
    py: Python<'_>,
    may_be_long: bool,
    cancel: &AtomicBool,
    work: impl FnOnce() -> T + Send,
) -> Done<T> {
    cancel.store(false, Ordering::Relaxed);
    if !may_be_long || cfg!(target_family = "wasm") {
        let done = py.detach(work);
        return (done, py.check_signals());
    }
    let (done, raised) = py.detach(|| listening(cancel, work));
    cancel.store(false, Ordering::Relaxed);
    (done, raised)
}

fn listening<T: Send>(cancel: &AtomicBool, work: impl FnOnce() -> T + Send) -> Done<T> {
    let mut raised = Ok(());
    let done = std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let worker = scope.spawn(move || {
            // Dropped, also by a panic, when the work is over: that wakes the listener.
            let _sender = sender;
            work()
        });
        let timeout = std::sync::mpsc::RecvTimeoutError::Timeout;
        while receiver.recv_timeout(POLL) == Err(timeout) {
            if raised.is_ok() {
                raised = Python::attach(|py| py.check_signals());
                cancel.fetch_or(raised.is_err(), Ordering::Relaxed);
            }
        }
        match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    (done, raised)
}
