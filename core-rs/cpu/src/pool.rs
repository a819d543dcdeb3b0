//! Workers: threads that are started once, wait for jobs, and share each one.
//!
//! A job runs on all workers at once, or on the first few; the caller is worker 0. Between jobs
//! workers spin for a moment (the next token usually follows within microseconds) and then sleep.
//! Where there are no threads (wasm) the pool is the caller alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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

/// A job and how many workers it is for.
type Slot = Option<(Arc<dyn Job>, usize)>;

struct State {
    job: Mutex<Slot>,
    wake: Condvar,
    /// Counts jobs, so that a worker knows a new one from the one it just did.
    epoch: AtomicUsize,
    /// Workers still at the current job.
    busy: AtomicUsize,
    done: Bed,
    panicked: AtomicBool,
    closing: AtomicBool,
}

pub(crate) struct Pool {
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
    /// The process that has the threads: one forked from it has none of them.
    process: u32,
}

/// A process's number; WASM has only one, without a number.
fn this_process() -> u32 {
    if cfg!(target_family = "wasm") {
        return 0;
    }
    std::process::id()
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
            done: Bed::default(),
            panicked: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        let mut pool = Pool {
            state,
            threads: vec![],
            process: this_process(),
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
        self.run_on(self.n_workers(), job)
    }

    /// Runs `job` on the first `n_workers` workers.
    ///
    /// # Errors
    /// A worker panicked, or the workers are in the process that this one was forked from.
    pub(crate) fn run_on(&self, n_workers: usize, job: &Arc<impl Job + 'static>) -> Result<()> {
        assert!((1..=self.n_workers()).contains(&n_workers), "{n_workers}");
        let state = &*self.state;
        if n_workers > 1 {
            if self.process != this_process() {
                return Err(Error::Device {
                    executor: "cpu".into(),
                    message: format!(
                        "its threads are in process {}, from which this one was forked: open the \
                         model behind the fork, or with one thread",
                        self.process
                    ),
                });
            }
            let mut slot = state.lock();
            *slot = Some((Arc::clone(job) as Arc<dyn Job>, n_workers));
            state.busy.store(n_workers - 1, Ordering::Relaxed);
            state.epoch.fetch_add(1, Ordering::Release);
            state.wake.notify_all();
        }
        state.attempt(&**job, 0);
        state.done.wait(|| state.busy.load(Ordering::Acquire) == 0);
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
        if self.process != this_process() {
            // There is nobody to wake or to wait for.
            return std::mem::forget(std::mem::take(&mut self.threads));
        }
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
    fn lock(&self) -> MutexGuard<'_, Slot> {
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
        while let Some(job) = self.next(worker, &mut seen) {
            self.attempt(&*job, worker);
            drop(job);
            if self.busy.fetch_sub(1, Ordering::Release) == 1 {
                self.done.rouse();
            }
        }
    }

    /// Waits for a job that this worker has not seen and is part of; `None` when the pool closes.
    fn next(&self, worker: usize, seen: &mut usize) -> Option<Arc<dyn Job>> {
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
        loop {
            while !changed(*seen) {
                slot = self.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
            }
            if self.closing.load(Ordering::Acquire) {
                return None;
            }
            *seen = self.epoch.load(Ordering::Acquire);
            // What this worker is not part of is not held, and may be over.
            if let Some((job, _)) = slot.as_ref().filter(|(_, n)| worker < *n) {
                return Some(Arc::clone(job));
            }
        }
    }
}

/// A place to wait for something that another worker does: a few microseconds awake, then asleep.
///
/// On a busy machine the awaited worker may itself be waiting for a core. Who sleeps gives it one,
/// and the system wakes sleepers before those who spin or yield.
#[derive(Default)]
struct Bed {
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Bed {
    /// Returns when `done` is true. Who makes it true calls [`Bed::rouse`] afterwards. Gives the
    /// time asleep.
    fn wait(&self, done: impl Fn() -> bool) -> Duration {
        for _ in 0..SPINS {
            if done() {
                return Duration::ZERO;
            }
            std::hint::spin_loop();
        }
        let start = Instant::now();
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // In order with `rouse`: either it sees a sleeper, or this sees what it did.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while !done() {
            guard = self
                .wake
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        start.elapsed()
    }

    fn rouse(&self) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.wake.notify_all();
        }
    }
}

/// Where workers meet between the steps of a job. The last one to come decides for all whether to
/// go on, so that they stop at the same place.
pub(crate) struct Barrier {
    n_workers: usize,
    waiting: AtomicUsize,
    generation: AtomicUsize,
    stopped: AtomicBool,
    bed: Bed,
    /// Nanoseconds that workers were asleep here.
    slept: AtomicU64,
}

impl Barrier {
    pub(crate) fn new(n_workers: usize) -> Barrier {
        Barrier {
            n_workers,
            waiting: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            bed: Bed::default(),
            slept: AtomicU64::new(0),
        }
    }

    pub(crate) fn n_workers(&self) -> usize {
        self.n_workers
    }

    /// How long workers were asleep here, all together.
    pub(crate) fn slept(&self) -> Duration {
        Duration::from_nanos(self.slept.load(Ordering::Relaxed))
    }

    /// Makes every wait, present and future, return false.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.bed.rouse();
    }

    /// Waits for all workers; false = stop working. The last to come asks `stop`.
    pub(crate) fn wait(&self, stop: impl FnOnce() -> bool) -> bool {
        let stopped = || self.stopped.load(Ordering::Acquire);
        let generation = self.generation.load(Ordering::Acquire);
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 == self.n_workers {
            if stop() {
                self.stop();
            }
            self.waiting.store(0, Ordering::Relaxed);
            self.generation.store(generation + 1, Ordering::Release);
            self.bed.rouse();
        } else {
            let met = || self.generation.load(Ordering::Acquire) != generation;
            let slept = self.bed.wait(|| met() || stopped());
            if !slept.is_zero() {
                let nanos = slept.as_nanos() as u64;
                self.slept.fetch_add(nanos, Ordering::Relaxed);
            }
        }
        !stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Meeting {
        barrier: Barrier,
        /// Rounds that each worker came through.
        rounds: Vec<AtomicUsize>,
        /// The worker that is late at every tenth meeting.
        late: usize,
    }

    impl Job for Meeting {
        fn work(&self, worker: usize) {
            for round in 0..100 {
                if worker == self.late && round % 10 == 0 {
                    std::thread::sleep(Duration::from_micros(300));
                }
                if !self.barrier.wait(|| false) {
                    return;
                }
                self.rounds[worker].fetch_add(1, Ordering::Relaxed);
            }
        }

        fn fail(&self) {
            self.barrier.stop();
        }
    }

    fn meeting(pool: &Pool, n_workers: usize, late: usize) -> (Vec<usize>, Duration) {
        let job = Arc::new(Meeting {
            barrier: Barrier::new(n_workers),
            rounds: (0..pool.n_workers()).map(|_| AtomicUsize::new(0)).collect(),
            late,
        });
        pool.run_on(n_workers, &job).expect("no panic");
        let rounds = job.rounds.iter().map(|n| n.load(Ordering::Relaxed));
        (rounds.collect(), job.barrier.slept())
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "there is one thread")]
    fn workers_meet_however_late_one_is() {
        let pool = Pool::new(3).expect("threads");
        for late in 0..3 {
            let (rounds, slept) = meeting(&pool, 3, late);
            assert_eq!(rounds, [100; 3]);
            assert!(slept > Duration::from_millis(2), "{slept:?}");
        }
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "there is one thread")]
    fn a_job_may_be_for_some_workers() {
        let pool = Pool::new(3).expect("threads");
        for n in [1, 2, 3, 1, 3, 2] {
            let rounds = meeting(&pool, n, 0).0;
            assert!(
                rounds
                    .iter()
                    .enumerate()
                    .all(|(i, &r)| r == if i < n { 100 } else { 0 })
            );
        }
    }
}
