//! One run of a plan: every worker goes through all ops and does its part of each; a barrier
//! separates ops.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use puna_graph::{Batch, Error, Mask, Op, Operand, Plan, Result, Rope, Rows, Spans, WeightId};

use crate::activations::{Activations, TileSpan, tiling};
use crate::kv::Cache;
use crate::pool::{Barrier, Job};
use crate::simd::{Kernels, Shared};
use crate::weight::Weight;
use crate::{attention, columns, experts, linear, simple};

/// All that lasts from run to run, shared with the workers.
pub(crate) struct Core {
    pub(crate) plan: Plan,
    pub(crate) kernels: &'static Kernels,
    pub(crate) weights: Vec<Option<Weight>>,
    pub(crate) arenas: Vec<Shared<f32>>,
    pub(crate) caches: Vec<Cache>,
    /// The mask of each cache that keeps only a window.
    pub(crate) windows: Vec<Option<Mask>>,
    pub(crate) activations: Activations,
    /// The same, of rows dealt to experts.
    pub(crate) routed: Activations,
    /// One a worker.
    pub(crate) locals: Vec<Mutex<Local>>,
}

/// What a worker has for itself.
pub(crate) struct Local {
    /// Room for one row: where there is one, every worker prepares it for itself.
    pub(crate) activations: Activations,
    /// A row summed, and normed.
    pub(crate) rows: (Vec<f32>, Vec<f32>),
    pub(crate) bytes: Vec<u8>,
    /// One for each part of a gated unit.
    pub(crate) decoded: [columns::Decoded; 2],
    pub(crate) queries: Vec<f32>,
    pub(crate) heads: Vec<f32>,
}

/// Cosines and sines of a batch's positions, `[n_tokens][n_rot / 2]` each, magnitude included.
pub(crate) struct Turns {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
}

impl Turns {
    /// Angles are taken in f64: at position 100,000 an f32 product is off by a hundredth of a turn.
    pub(crate) fn new(rope: &Rope, freqs: &[f32], pos: &[i32]) -> Turns {
        let mut turns = Turns {
            cos: Vec::with_capacity(pos.len() * freqs.len()),
            sin: Vec::with_capacity(pos.len() * freqs.len()),
        };
        for &pos in pos {
            for &freq in freqs {
                let (sin, cos) = (f64::from(pos) * f64::from(freq)).sin_cos();
                turns.cos.push(cos as f32 * rope.magnitude);
                turns.sin.push(sin as f32 * rope.magnitude);
            }
        }
        turns
    }

    /// Cosines and sines of token `t`.
    pub(crate) fn of(&self, t: usize, n: usize) -> (&[f32], &[f32]) {
        (&self.cos[t * n..][..n], &self.sin[t * n..][..n])
    }
}

/// A rope's table depends on these.
type RopeKey = (u32, u32);

fn key(rope: &Rope) -> RopeKey {
    (rope.freqs.0, rope.magnitude.to_bits())
}

/// A counter with two cache lines to itself (CPUs fetch pairs): a line shared with another worker's counter
/// would travel between their caches at every count.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicUsize);

impl Counter {
    /// How often it was asked before.
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

pub(crate) struct Run {
    pub(crate) core: Arc<Core>,
    pub(crate) batch: Batch,
    /// Tiles of the rows of tokens, and of outputs.
    tiles: [Vec<TileSpan>; 2],
    turns: HashMap<RopeKey, Turns>,
    spans: HashMap<Mask, Spans>,
    /// The batch as layers see it that keep only a window of the cache.
    views: HashMap<Mask, Batch>,
    barrier: Barrier,
    /// For each worker: how many pieces of its part of an op have been taken. An op whose pieces are common
    /// to all counts them at its first worker; no op takes in both ways. There are two sets: while one op
    /// counts in one, every worker sets its counter of the other back for the next op.
    counters: Vec<Counter>,
    error: Mutex<Option<Error>>,
    cancel: Arc<AtomicBool>,
}

/// The table of each rope.
fn turns(core: &Core, batch: &Batch) -> HashMap<RopeKey, Turns> {
    let graph = &core.plan.graph;
    let ropes = graph.ops.iter().filter_map(|op| match op {
        Op::Rope { rope, .. } => Some(rope),
        Op::RopeStore(r) => Some(&r.rope),
        _ => None,
    });
    let mut turns = HashMap::new();
    for rope in ropes {
        turns
            .entry(key(rope))
            .or_insert_with(|| Turns::new(rope, graph.constant(rope.freqs), &batch.pos));
    }
    turns
}

/// Which cells tokens see, by mask.
fn spans(core: &Core, batch: &Batch, views: &HashMap<Mask, Batch>) -> HashMap<Mask, Spans> {
    let mut spans = HashMap::new();
    for op in &core.plan.graph.ops {
        if let Op::Attention(a) = op {
            let view = views.get(&a.mask).unwrap_or(batch);
            spans.entry(a.mask).or_insert_with(|| view.spans(a.mask));
        }
    }
    spans
}

impl Run {
    pub(crate) fn new(
        core: Arc<Core>,
        batch: Batch,
        views: HashMap<Mask, Batch>,
        n_workers: usize,
        cancel: Arc<AtomicBool>,
    ) -> Run {
        let widest = core.kernels.widest;
        Run {
            tiles: [
                tiling(batch.n_tokens(), widest),
                tiling(batch.outputs.len(), widest),
            ],
            turns: turns(&core, &batch),
            spans: spans(&core, &batch, &views),
            views,
            barrier: Barrier::new(n_workers),
            counters: (0..2 * n_workers).map(|_| Counter::default()).collect(),
            error: Mutex::new(None),
            cancel,
            batch,
            core,
        }
    }

    /// The counters of op `i`, one a worker.
    fn counters_of(&self, i: usize) -> &[Counter] {
        let n = self.barrier.n_workers();
        &self.counters[i % 2 * n..][..n]
    }

    /// How long workers waited for each other, asleep, all together.
    pub(crate) fn slept(&self) -> Duration {
        self.barrier.slept()
    }

    /// What came of it, when the workers are done.
    pub(crate) fn outcome(&self) -> Result<()> {
        if let Some(error) = self.lock_error().take() {
            return Err(error);
        }
        if self.cancel.swap(false, Ordering::AcqRel) {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    fn lock_error(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job for Run {
    fn work(&self, worker: usize) {
        let mut local = self.core.locals[worker]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut ctx = Ctx {
            run: self,
            core: &self.core,
            worker,
            n_workers: self.barrier.n_workers(),
            local: &mut local,
            op: 0,
        };
        for (i, op) in self.core.plan.graph.ops.iter().enumerate() {
            ctx.op = i;
            self.counters_of(i + 1)[worker]
                .0
                .store(0, Ordering::Relaxed);
            if let Err(error) = ctx.step(op) {
                self.lock_error().get_or_insert(error);
                self.barrier.stop();
            }
            if !ctx.meet() {
                return;
            }
        }
    }

    fn fail(&self) {
        self.barrier.stop();
    }
}

/// What an op sees: the run, and which worker it is.
pub(crate) struct Ctx<'a> {
    pub(crate) run: &'a Run,
    pub(crate) core: &'a Core,
    pub(crate) worker: usize,
    pub(crate) n_workers: usize,
    pub(crate) local: &'a mut Local,
    op: usize,
}

impl<'a> Ctx<'a> {
    fn step(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::FusedLinear(f) => linear::fused(self, f),
            Op::Linear {
                x,
                weight,
                bias,
                out,
            } => linear::single(self, *x, *weight, *bias, *out),
            Op::LinearExperts(l) => experts::linear(self, l),
            Op::Attention(a) => {
                attention::run(self, a);
                Ok(())
            }
            other => simple::run(self, other),
        }
    }

    /// Meets the other workers; false = stop.
    pub(crate) fn meet(&self) -> bool {
        let cancel = || self.run.cancel.load(Ordering::Acquire);
        self.run.barrier.wait(cancel)
    }

    /// The next piece of this op's work that no worker has taken; pieces are counted from 0.
    pub(crate) fn take(&self) -> usize {
        self.run.counters_of(self.op)[0].next()
    }

    /// The same for work that reads memory from front to back, up to `at_once` of its `n` pieces at a time:
    /// every worker has a part of its own of them, and goes on with those of others. Two that read by turns
    /// from one stream get two thirds of what two streams give.
    pub(crate) fn take_next_to(&self, n: usize, at_once: usize) -> Option<Range<usize>> {
        let (n_takes, n_workers) = (n.div_ceil(at_once), self.n_workers);
        let counters = self.run.counters_of(self.op);
        (self.worker..n_workers)
            .chain(0..self.worker)
            .find_map(|of| {
                let (first, end) = (of * n_takes / n_workers, (of + 1) * n_takes / n_workers);
                let i = first + counters[of].next();
                (i < end).then(|| i * at_once..((i + 1) * at_once).min(n))
            })
    }

    pub(crate) fn batch(&self) -> &'a Batch {
        &self.run.batch
    }

    /// The batch with the places of a layer's cache in the place of cells.
    pub(crate) fn view(&self, layer: usize) -> &'a Batch {
        let window = self.core.windows[layer];
        let view = window.and_then(|mask| self.run.views.get(&mask));
        view.unwrap_or(&self.run.batch)
    }

    pub(crate) fn weight(&self, id: WeightId) -> &'a Weight {
        let weight = self.core.weights[id.index()].as_ref();
        weight.expect("all weights are there before a run")
    }

    pub(crate) fn n_rows(&self, x: Operand) -> usize {
        self.batch().n_rows(self.rows_of(x))
    }

    fn rows_of(&self, x: Operand) -> Rows {
        self.core.plan.graph.value(x.value).rows
    }

    /// Tiles of the rows of a value.
    pub(crate) fn tiles(&self, x: Operand) -> &'a [TileSpan] {
        match self.rows_of(x) {
            Rows::Tokens => &self.run.tiles[0],
            Rows::Outputs => &self.run.tiles[1],
        }
    }

    /// Row `row` of an operand.
    pub(crate) fn row(&self, x: Operand, row: usize) -> &'a [f32] {
        let (arena, at) = self.core.plan.at(x, row);
        self.core.arenas[arena].get(at..at + x.width)
    }

    /// The same to be written; the caller is the only worker that does.
    pub(crate) fn row_mut(&self, x: Operand, row: usize) -> &'a mut [f32] {
        let (arena, at) = self.core.plan.at(x, row);
        self.core.arenas[arena].get_mut(at..at + x.width)
    }

    /// A hint that the start of row `row` of an operand is read or written soon.
    pub(crate) fn prefetch(&self, x: Operand, row: usize) {
        let (arena, at) = self.core.plan.at(x, row);
        self.core.arenas[arena].prefetch(at);
    }

    pub(crate) fn turns(&self, rope: &Rope) -> &'a Turns {
        &self.run.turns[&key(rope)]
    }

    pub(crate) fn spans(&self, mask: Mask) -> &'a Spans {
        &self.run.spans[&mask]
    }
}
