//! [`Cpu`]: the executor.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use puna_graph::batch::Limits;
use puna_graph::{
    Batch, CacheOp, Error, Executor, KvDType, Mask, Op, Operand, Output, Plan, Read, Result,
    Tensor, WeightId,
};

use crate::activations::{Activations, padded};
use crate::crew::Crew;
use crate::experts;
use crate::isa::Isa;
use crate::kv::Cache;
use crate::pool::Pool;
use crate::run::{Core, Local, Run};
use crate::simd::{Bump, Kernels, Shared};
use crate::weight::{Role, Weight};
use crate::windows::{self, Window};

mod cells;

/// How a [`Cpu`] is set up.
#[derive(Clone, Debug, Default)]
pub struct CpuOptions {
    /// Worker threads; default: `PUNA_THREADS`, else as many as the system says can run at once.
    pub n_threads: Option<usize>,
    /// Cells of the K/V cache.
    pub n_cells: usize,
    pub type_k: KvDType,
    pub type_v: KvDType,
    /// Layers with a sliding window keep only what so many sequences can see of it; default: they
    /// keep every cell.
    pub n_windows: Option<usize>,
    /// Default: `PUNA_ISA`, else the fastest there is.
    pub isa: Option<Isa>,
    /// Set to true from any thread, it ends the current run (or the next one) at the next op with
    /// [`Error::Cancelled`], and is false again then.
    pub cancel: Arc<AtomicBool>,
}

/// Runs a plan on the CPU; see [`Executor`].
pub struct Cpu {
    core: Arc<Core>,
    /// For the cache and the weights.
    memory: Bump,
    pool: Pool,
    crew: Crew,
    /// One for each window that some layers keep.
    windows: Vec<Window>,
    isa: Isa,
    roles: Vec<Role>,
    n_cells: usize,
    n_outputs: usize,
    n_tokens: usize,
    cancel: Arc<AtomicBool>,
}

/// Most threads that may be asked for.
const MAX_THREADS: usize = 1024;

impl Cpu {
    /// Sets up arenas, cache and threads. Weights follow by [`Executor::upload`].
    ///
    /// # Errors
    /// `PUNA_ISA` or `PUNA_THREADS` (or the options in their place) ask for what is not there.
    pub fn new(plan: Plan, options: CpuOptions) -> Result<Cpu> {
        let isa = match options.isa {
            Some(isa) => isa.check().map(|()| isa)?,
            None => Isa::from_env()?,
        };
        let kernels = Kernels::of(isa);
        let pool = Pool::new(n_threads(options.n_threads)?)?;
        let sizes = cells_of_layers(&plan, &options);
        let (windows, masks) = windows::of(&plan.graph, &sizes, options.n_cells);
        let roles = roles(&plan);
        let types = (options.type_k, options.type_v);
        let caches = plan.graph.kv.iter().zip(&sizes);
        let mut memory = Bump::default();
        let caches =
            caches.map(|(&shape, &n)| Cache::new(shape, n, types, kernels.rows, &mut memory));
        let caches = caches.collect::<Result<_>>()?;
        let core = core(plan, kernels, (caches, masks), pool.n_workers())?;
        Ok(Cpu {
            core: Arc::new(core),
            memory,
            crew: Crew::new(pool.n_workers()),
            windows,
            pool,
            isa,
            roles,
            n_cells: options.n_cells,
            n_outputs: 0,
            n_tokens: 0,
            cancel: options.cancel,
        })
    }

    pub fn isa(&self) -> Isa {
        self.isa
    }

    pub fn n_threads(&self) -> usize {
        self.pool.n_workers()
    }

    /// Between runs no worker holds the core.
    fn core_mut(&mut self) -> &mut Core {
        Arc::get_mut(&mut self.core).expect("no run is going on")
    }

    /// Checks what [`Batch::check`] cannot know: which kind of input the plan takes, and that
    /// every weight is there.
    fn check(&self, batch: &Batch) -> Result<()> {
        batch.check(&Limits::of(&self.core.plan, self.n_cells))?;
        let wants_rows = self.core.plan.graph.input.is_some();
        if wants_rows != batch.input.is_some() {
            let (found, expected) = match wants_rows {
                true => ("token ids", "rows of activations"),
                false => ("rows of activations", "token ids"),
            };
            return Err(Error::Batch(format!("{found}, expected {expected}")));
        }
        let weights = self.core.plan.graph.weights.iter();
        let missing = weights.zip(&self.core.weights).find(|(_, w)| w.is_none());
        match missing {
            Some((declared, _)) => Err(Error::Weight {
                name: declared.name.clone(),
                message: "was never uploaded".into(),
            }),
            None => Ok(()),
        }
    }

    /// A value of the last run, `[n_rows, width]`.
    fn value(&self, x: Operand, n_rows: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(n_rows * x.width);
        for row in 0..n_rows {
            let (arena, at) = self.core.plan.at(x, row);
            out.extend_from_slice(self.core.arenas[arena].get(at..at + x.width));
        }
        out
    }

    fn result(&self, what: &str, id: Option<puna_graph::ValueId>) -> Result<Operand> {
        let graph = &self.core.plan.graph;
        id.map(|id| graph.whole(id))
            .ok_or_else(|| Error::Unsupported {
                executor: "cpu".into(),
                message: format!("this plan computes no {what}"),
            })
    }

    /// Ids of the largest logits of each output.
    fn greedy(&self) -> Result<Vec<u32>> {
        let logits = self.result("logits", self.core.plan.graph.logits)?;
        (0..self.n_outputs)
            .map(|row| {
                let (arena, at) = self.core.plan.at(logits, row);
                argmax(self.core.arenas[arena].get(at..at + logits.width), row)
            })
            .collect()
    }
}

/// Cells that each layer of a plan's cache keeps.
pub fn cells_of_layers(plan: &Plan, options: &CpuOptions) -> Vec<usize> {
    let places = |window: Option<u32>| match (window, options.n_windows) {
        (Some(size), Some(n)) => windows::n_places(size, n, plan.n_tokens, options.n_cells),
        _ => options.n_cells,
    };
    let windows = windows::of_layers(&plan.graph);
    windows.into_iter().map(places).collect()
}

/// What runs share, without weights; the masks are those of `caches`.
fn core(
    plan: Plan,
    kernels: &'static Kernels,
    (caches, windows): (Vec<Cache>, Vec<Option<Mask>>),
    n_workers: usize,
) -> Result<Core> {
    let n_rows = padded(plan.n_tokens.max(plan.n_outputs), kernels.widest);
    let (quantized, plain) = widths(&plan, kernels);
    let room = |n_rows| Activations::new(n_rows, quantized, plain, kernels.rows);
    let local = || Local {
        activations: room(1),
        rows: Default::default(),
        bytes: vec![],
        decoded: Default::default(),
        queries: vec![],
        heads: vec![],
    };
    let arenas = plan.arenas.iter().map(|&n| Shared::try_zeroed(n));
    Ok(Core {
        kernels,
        weights: plan.graph.weights.iter().map(|_| None).collect(),
        arenas: arenas.collect::<Result<_>>()?,
        caches,
        windows,
        activations: room(n_rows),
        routed: experts::room(&plan, kernels),
        locals: (0..n_workers).map(|_| Mutex::new(local())).collect(),
        plan,
    })
}

fn n_threads(asked: Option<usize>) -> Result<usize> {
    if cfg!(target_family = "wasm") {
        return Ok(1);
    }
    let refused = |found: &str| Error::Unsupported {
        executor: "cpu".into(),
        message: format!("{found} threads, expected 1 to {MAX_THREADS}"),
    };
    let n = match (asked, std::env::var("PUNA_THREADS")) {
        (Some(n), _) => n,
        (None, Ok(text)) if !text.is_empty() => text.parse().map_err(|_| refused(&text))?,
        _ => std::thread::available_parallelism().map_or(1, |n| n.get()),
    };
    match n {
        1..=MAX_THREADS => Ok(n),
        _ => Err(refused(&n.to_string())),
    }
}

fn roles(plan: &Plan) -> Vec<Role> {
    let mut roles = vec![Role::default(); plan.graph.weights.len()];
    for op in &plan.graph.ops {
        for id in op.matrices() {
            roles[id.index()].matrix = true;
        }
        if let Op::Embed { weight, .. } | Op::Lookup { weight, .. } = op {
            roles[weight.index()].table = true;
        }
    }
    roles
}

/// Widest rows that integer kernels and others are given.
fn widths(plan: &Plan, kernels: &Kernels) -> (usize, usize) {
    let (mut quantized, mut plain) = (0, 0);
    for id in plan.graph.ops.iter().flat_map(Op::matrices) {
        let weight = plan.graph.weight(id);
        let widest = match kernels.quant(weight.dtype) {
            Some(_) => &mut quantized,
            None => &mut plain,
        };
        *widest = weight.n_in().max(*widest);
    }
    (quantized, plain)
}

/// Index of the largest value, the lowest one on a tie.
fn argmax(x: &[f32], row: usize) -> Result<u32> {
    let mut best = (f32::NEG_INFINITY, 0);
    for (i, &x) in x.iter().enumerate() {
        if x > best.0 {
            best = (x, i);
        }
    }
    match x.iter().position(|x| x.is_nan()) {
        Some(i) => Err(Error::Device {
            executor: "cpu".into(),
            message: format!("logit {i} of output {row} is NaN, expected a number"),
        }),
        None => Ok(best.1 as u32),
    }
}

impl Executor for Cpu {
    fn name(&self) -> String {
        let n = self.n_threads();
        let s = if n == 1 { "" } else { "s" };
        format!("cpu {}, {n} thread{s}", self.isa.name())
    }

    fn upload(&mut self, id: WeightId, tensor: &Tensor) -> Result<()> {
        let graph = &self.core.plan.graph;
        let fail = |name: &str, message: String| {
            Err(Error::Weight {
                name: name.into(),
                message,
            })
        };
        let Some(declared) = graph.weights.get(id.index()) else {
            let n = graph.weights.len();
            return fail(
                &tensor.info.name,
                format!("id {}, expected below {n}", id.0),
            );
        };
        if self.core.weights[id.index()].is_some() {
            return fail(&declared.name, "was uploaded twice".into());
        }
        let role = self.roles[id.index()];
        let weight = Weight::load(
            declared,
            role,
            tensor,
            self.core.kernels,
            (&self.pool, &mut self.memory),
        )?;
        self.core_mut().weights[id.index()] = Some(weight);
        Ok(())
    }

    fn run(&mut self, batch: &Batch) -> Result<()> {
        (self.n_outputs, self.n_tokens) = (0, 0);
        self.check(batch)?;
        if let (Some(id), Some(input)) = (self.core.plan.graph.input, &batch.input) {
            let slot = self.core.plan.slot(id);
            let arena = &self.core.arenas[slot.arena];
            arena
                .get_mut(slot.offset..slot.offset + input.len())
                .copy_from_slice(input);
        }
        let n_workers = self.crew.n();
        let cancel = Arc::clone(&self.cancel);
        // The rows handed in lie in their arena by now, and they are large.
        let batch = Batch {
            tokens: batch.tokens.clone(),
            input: None,
            pos: batch.pos.clone(),
            seq: batch.seq.clone(),
            cells: batch.cells.clone(),
            outputs: batch.outputs.clone(),
            cache: batch.cache.clone(),
        };
        let n = (batch.outputs.len(), batch.n_tokens());
        let views = self.windows.iter_mut();
        let views = views.map(|w| Ok((w.mask(), w.translate(&batch)?)));
        let views = views.collect::<Result<_>>()?;
        let run = Run::new(Arc::clone(&self.core), batch, views, n_workers, cancel);
        let run = Arc::new(run);
        let start = (self.pool.n_workers() > 1).then(Instant::now);
        self.pool.run_on(n_workers, &run)?;
        run.outcome()?;
        let mut weights = self.core.weights.iter().flatten();
        weights.try_for_each(Weight::intact)?;
        if let Some(start) = start {
            self.crew.ran(n.1, start.elapsed(), run.slept());
        }
        (self.n_outputs, self.n_tokens) = n;
        Ok(())
    }

    fn read(&mut self, what: Read) -> Result<Option<Output>> {
        let graph = &self.core.plan.graph;
        let output = match what {
            Read::Logits => {
                let logits = self.result("logits", graph.logits)?;
                Output::F32(self.value(logits, self.n_outputs))
            }
            Read::Greedy => Output::Ids(self.greedy()?),
            Read::Hidden => {
                let hidden = self.result("hidden states", graph.hidden)?;
                let n_rows = match graph.value(hidden.value).rows {
                    puna_graph::Rows::Tokens => self.n_tokens,
                    puna_graph::Rows::Outputs => self.n_outputs,
                };
                Output::F32(self.value(hidden, n_rows))
            }
        };
        Ok(Some(output))
    }

    fn cache(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        self.check_cells(op)?;
        self.cells(op)
    }

    fn can_go_on(&self, cells: &[u32], positions: &[i32], at: i32) -> bool {
        let mut windows = self.windows.iter();
        windows.all(|w| w.can_go_on(cells, positions, at))
    }

    fn forget(&mut self, cells: &[u32]) {
        self.windows.iter_mut().for_each(|w| w.forget(cells));
    }

    fn n_bytes(&self) -> u64 {
        let weights = self.core.weights.iter().flatten().map(Weight::n_bytes);
        let arenas = self.core.arenas.iter().map(Shared::n_bytes);
        let caches = self.core.caches.iter().map(Cache::n_bytes);
        let shared = self.core.activations.n_bytes() + self.core.routed.n_bytes();
        weights.chain(arenas).chain(caches).sum::<u64>() + shared
    }
}
