//! Workers: threads that are started once, wait for jobs, and share each one.
//!
//! A job runs on all workers at once; the caller is worker 0. Between jobs workers spin for a
//! moment (the next token usually follows within microseconds) and then sleep. Where there are no
//! threads (wasm) the pool is the caller alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use puna_graph::{Error, Result};

/// Something that all workers do together.
pub(crate) trait Job: Send + Sync {
    /// The part of worker `worker`. A panic is caught; [`Job::fail`] is then called.
    fn work(&self, worker: usize);
    /// Some worker panicked: the others must not wait for it.
    fn fail(&self);
}

/// Rounds of waiting before giving the core away, some tens of microseconds.
const SPINS: usize = 2_000;

struct State {
    job: Mutex<Option<Arc<dyn Job>>>,
    wake: Condvar,
    /// Counts jobs, so that a worker knows a new one from the one it just did.
    epoch: AtomicUsize,
    /// Workers still at the current job.
    busy: AtomicUsize,
    panicked: AtomicBool,
    closing: AtomicBool,
}

pub(crate) struct Pool {
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `n_workers - 1` threads.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn new(n_workers: usize) -> Result<Pool> {
        let state = Arc::new(State {
            job: Mutex::new(None),
            wake: Condvar::new(),
            epoch: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        let mut pool = Pool {
            state,
            threads: vec![],
        };
        for worker in 1..n_workers {
            let state = Arc::clone(&pool.state);
            let thread = std::thread::Builder::new()
                .name(format!("puna-{worker}"))
                .spawn(move || state.serve(worker))
                .map_err(|e| Error::Device {
                    executor: "cpu".into(),
                    message: format!("cannot start thread {worker} of {n_workers}: {e}"),
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    pub(crate) fn n_workers(&self) -> usize {
        self.threads.len() + 1
    }

    /// Runs `job` on all workers and returns when all are done with it.
    ///
    /// # Errors
    /// A worker panicked.
    pub(crate) fn run(&self, job: &Arc<impl Job + 'static>) -> Result<()> {
        let state = &*self.state;
        if !self.threads.is_empty() {
            let mut slot = state.lock();
            *slot = Some(Arc::clone(job) as Arc<dyn Job>);
            state.busy.store(self.threads.len(), Ordering::Relaxed);
            state.epoch.fetch_add(1, Ordering::Release);
            state.wake.notify_all();
        }
        state.attempt(&**job, 0);
        let mut spins = 0;
        while state.busy.load(Ordering::Acquire) > 0 {
            wait_a_little(&mut spins);
        }
        *state.lock() = None;
        if state.panicked.swap(false, Ordering::Relaxed) {
            return Err(Error::Device {
                executor: "cpu".into(),
                message: "a worker panicked".into(),
            });
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::Release);
        drop(self.state.lock());
        self.state.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches its panics; there is nothing to report here.
            let _ = thread.join();
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<dyn Job>>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self, job: &dyn Job, worker: usize) {
        if catch_unwind(AssertUnwindSafe(|| job.work(worker))).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
            job.fail();
        }
    }

    /// The life of a worker.
    fn serve(&self, worker: usize) {
        let mut seen = 0;
        while let Some(job) = self.next(&mut seen) {
            self.attempt(&*job, worker);
            drop(job);
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for a job that this worker has not seen; `None` when the pool closes.
    fn next(&self, seen: &mut usize) -> Option<Arc<dyn Job>> {
        let changed = |seen: usize| {
            self.epoch.load(Ordering::Acquire) != seen || self.closing.load(Ordering::Acquire)
        };
        for _ in 0..SPINS {
            if changed(*seen) {
                break;
            }
            std::hint::spin_loop();
        }
        let mut slot = self.lock();
        while !changed(*seen) {
            slot = self.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        if self.closing.load(Ordering::Acquire) {
            return None;
        }
        *seen = self.epoch.load(Ordering::Acquire);
        slot.clone()
    }
}

/// One round of waiting for another worker.
pub(crate) fn wait_a_little(spins: &mut usize) {
    *spins += 1;
    if *spins < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// Where workers meet between the steps of a job. The last one to come decides for all whether to
/// go on, so that they stop at the same place.
pub(crate) struct Barrier {
    n_workers: usize,
    waiting: AtomicUsize,
    generation: AtomicUsize,
    stopped: AtomicBool,
}

impl Barrier {
    pub(crate) fn new(n_workers: usize) -> Barrier {
        Barrier {
            n_workers,
            waiting: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Makes every wait, present and future, return false.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Waits for all workers; false = stop working. The last to come asks `stop`.
    pub(crate) fn wait(&self, stop: impl FnOnce() -> bool) -> bool {
        let generation = self.generation.load(Ordering::Acquire);
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 == self.n_workers {
            if stop() {
                self.stop();
            }
            self.waiting.store(0, Ordering::Relaxed);
            self.generation.store(generation + 1, Ordering::Release);
        } else {
            let mut spins = 0;
            while self.generation.load(Ordering::Acquire) == generation {
                if self.stopped.load(Ordering::Acquire) {
                    return false;
                }
                wait_a_little(&mut spins);
            }
        }
        !self.stopped.load(Ordering::Acquire)
    }
}
