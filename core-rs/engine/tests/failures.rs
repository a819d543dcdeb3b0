//! What fails while it runs: nothing stays counted that was not computed.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use puna_cpu::{Cpu, CpuOptions};
use puna_engine::{Error, Event, Finish, Hook, Item, Scheduler, Session, SessionOptions};
use puna_graph::{
    Batch, CacheOp, Error as Broken, Executor, Output, Plan, Read, Result, Tensor, WeightId,
};
use support::{greedy, run, session, tiny};

/// A CPU in the place of a GPU, which fails or answers NaN when it is told to.
struct Faulty {
    inner: Cpu,
    fails: Arc<AtomicBool>,
    /// Fails at reading instead of at running, as a device does that must be awaited.
    late: bool,
}

impl Faulty {
    fn check(&self, here: bool) -> Result<()> {
        match here && self.fails.load(Ordering::Relaxed) {
            true => Err(Broken::Device {
                executor: "faulty".into(),
                message: "lost".into(),
            }),
            false => Ok(()),
        }
    }
}

impl Executor for Faulty {
    fn name(&self) -> String {
        "faulty".into()
    }
    fn upload(&mut self, id: WeightId, tensor: &Tensor) -> Result<()> {
        self.inner.upload(id, tensor)
    }
    fn run(&mut self, batch: &Batch) -> Result<()> {
        self.check(!self.late)?;
        self.inner.run(batch)
    }
    fn read(&mut self, what: Read) -> Result<Option<Output>> {
        self.check(self.late)?;
        self.inner.read(what)
    }
    fn cache(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        self.inner.cache(op)
    }
    fn n_bytes(&self) -> u64 {
        0
    }
}

/// A session with so many layers on the faulty device, and its switch.
fn faulty(n_gpu_layers: i32, late: bool) -> (Session, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = fails.clone();
    let options = SessionOptions {
        n_ctx: 64,
        n_gpu_layers,
        n_threads: Some(1),
        ..SessionOptions::default()
    };
    let mut make = |plan: Plan, options: &SessionOptions| {
        let options = CpuOptions {
            n_threads: Some(1),
            n_cells: options.n_ctx,
            ..CpuOptions::default()
        };
        let inner = Cpu::new(plan, options)?;
        let fails = fails.clone();
        Ok(Box::new(Faulty { inner, fails, late }) as Box<dyn Executor>)
    };
    let made = tiny("llama").session(&options, Some(&mut make), &mut |_, _| true);
    (made.expect("session"), switch)
}

fn items(tokens: &[u32]) -> Vec<Item> {
    let item = |(i, &token): (usize, &u32)| Item {
        token,
        seq: 0,
        output: i + 1 == tokens.len(),
    };
    tokens.iter().enumerate().map(item).collect()
}

#[test]
fn tokens_of_a_failed_run_are_not_in_the_cache() {
    for (n_gpu_layers, late) in [(-1, false), (-1, true), (1, false), (1, true)] {
        let (mut s, fails) = faulty(n_gpu_layers, late);
        s.eval(&items(&[1, 40, 50])).expect("sound so far");
        fails.store(true, Ordering::Relaxed);
        s.eval(&items(&[60, 70])).expect_err("lost");
        let label = format!("{n_gpu_layers} layers, late: {late}");
        assert_eq!((s.n_past(0), s.history(0).len()), (3, 3), "{label}");
        fails.store(false, Ordering::Relaxed);
        let again = s.eval(&items(&[60])).expect("sound again");
        let (mut fresh, _) = faulty(n_gpu_layers, late);
        let once = fresh.eval(&items(&[1, 40, 50, 60])).expect("sound");
        let differ = once.iter().zip(&again).map(|(a, b)| (a - b).abs());
        assert!(differ.fold(0.0, f32::max) < 1e-4, "{label}");
    }
}

#[test]
fn requests_end_with_a_device_that_fails_and_their_tokens_are_forgotten() {
    for late in [false, true] {
        let (s, fails) = faulty(1, late);
        let mut scheduler = Scheduler::new(s);
        let model = tiny("llama");
        scheduler.add(greedy(&model, "abc", 9)).expect("added");
        scheduler.step().expect("prompt");
        let n = scheduler.session().n_past(0);
        fails.store(true, Ordering::Relaxed);
        scheduler.step().expect_err("lost");
        assert!(scheduler.is_idle());
        assert_eq!(scheduler.session().n_past(0), n);
        assert_eq!(scheduler.session().history(0).len(), n);
    }
}

fn hooked(hook: Hook) -> Vec<Event> {
    let model = tiny("llama");
    let mut scheduler = Scheduler::new(session(&model, &SessionOptions::default()));
    let mut request = greedy(&model, "abc", 4);
    request.hook = Some(hook);
    run(&mut scheduler, vec![request])
}

#[test]
fn a_hook_changes_the_choice_and_may_end_it() {
    let events = hooked(Hook::new(|tokens, logits| {
        logits[77] = 1e9;
        Ok(tokens.len() > 6)
    }));
    assert!(events[0].token == Some(77) && events[0].finish.is_none());
    let last = events.last().expect("events");
    assert_eq!((last.token, last.finish), (None, Some(Finish::Stop)));
}

#[test]
fn a_hook_that_fails_ends_its_request_alone() {
    let model = tiny("llama");
    let options = SessionOptions {
        n_seq_max: 2,
        ..SessionOptions::default()
    };
    let mut scheduler = Scheduler::new(session(&model, &options));
    let mut broken = greedy(&model, "abc", 4);
    broken.hook = Some(Hook::new(|_, _| Err("no".into())));
    let mut sound = greedy(&model, "xyz", 4);
    sound.ignore_eos = true;
    let events = run(&mut scheduler, vec![broken, sound]);
    let failed: Vec<_> = events.iter().filter(|e| e.error.is_some()).collect();
    assert_eq!((failed.len(), failed[0].request), (1, 0));
    assert_eq!(failed[0].finish, Some(Finish::Failed));
    assert_eq!(events.iter().filter(|e| e.request == 1).count(), 4);
}

#[test]
fn logits_that_are_no_numbers_end_their_request_alone() {
    let model = tiny("llama");
    let options = SessionOptions {
        n_seq_max: 2,
        ..SessionOptions::default()
    };
    let mut scheduler = Scheduler::new(session(&model, &options));
    let mut broken = greedy(&model, "abc", 4);
    broken.sampling.temperature = 1.0;
    broken.hook = Some(Hook::new(|_, logits| {
        logits.fill(f32::NAN);
        Ok(false)
    }));
    let broken = scheduler.add(broken).expect("added");
    let events = run(&mut scheduler, vec![greedy(&model, "xyz", 4)]);
    let (failed, fine): (Vec<_>, Vec<_>) = events.iter().partition(|e| e.request == broken);
    assert_eq!((failed.len(), fine.len()), (1, 4));
    let error = failed[0].error.as_ref().expect("nothing to draw from");
    let error = error.downcast_ref::<Error>().expect("the engine's own");
    assert!(matches!(error, Error::Text(_)), "{error}");
    assert!(scheduler.is_idle());
}

#[test]
fn a_split_model_asks_for_its_memory_too() {
    let options = SessionOptions {
        n_ctx: i32::MAX as usize / 2,
        n_gpu_layers: 1,
        ..SessionOptions::default()
    };
    let mut unused = |_: Plan, _: &SessionOptions| -> puna_engine::Result<Box<dyn Executor>> {
        panic!("the CPU's half is refused first")
    };
    let made = tiny("llama").session(&options, Some(&mut unused), &mut |_, _| true);
    let error = made.err().expect("too large");
    assert!(matches!(error, Error::Memory { .. }), "{error}");
}

#[test]
fn a_truncation_beyond_every_position_keeps_all() {
    let mut s = session(&tiny("llama"), &SessionOptions::default());
    s.eval(&items(&[1, 40, 50])).expect("eval");
    for from in [1 << 31, (1 << 31) + 1, 1 << 32, usize::MAX] {
        s.truncate(0, from);
        assert_eq!((s.n_past(0), s.history(0).len()), (3, 3), "from {from}");
    }
}
