//! From a file to a model, from a model to a session on the chosen executors.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use puna_cpu::{Cpu, CpuOptions, cells_of_layers};
use puna_format::{Gguf, Source};
use puna_graph::batch::MAX_SEQUENCES;
use puna_graph::{Cell, Executor, Graph, KvDType, KvLayer, Plan, Tensor, Weight, WeightId};
use puna_model::{Hparams, Options};
use puna_text::Tokenizer;

use crate::error::{Error, Result};
use crate::session::Session;
use crate::split::Split;
use crate::vocab::vocab_data;

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Beyond this, starting threads fails on common systems, and no machine has so many cores.
const MAX_THREADS: usize = 1024;

/// A file, its tokenizer, and its graph: everything but weights in an executor.
pub struct Model {
    gguf: Gguf,
    tokenizer: Arc<Tokenizer>,
}

/// How a session runs. `Default` is the CPU, llama.cpp's sizes.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Cells of the cache; 0 = what the model was trained for.
    pub n_ctx: usize,
    /// Most tokens in one run of the plan.
    pub n_batch: usize,
    /// Most sequences at once.
    pub n_seq_max: usize,
    /// CPU threads; `None` = one a core.
    pub n_threads: Option<usize>,
    /// Layers on the GPU, counted from the last: 0 none, -1 or more than there are: all.
    pub n_gpu_layers: i32,
    /// Every token of a batch may have its logits read.
    pub logits_all: bool,
    pub type_k: KvDType,
    pub type_v: KvDType,
    /// Layers with a sliding window keep the whole context too, so that a sequence can be cut off and
    /// gone on with anywhere; otherwise what `n_seq_max` windows and a batch see, which the CPU can.
    pub swa_full: bool,
    /// The last layer's states can be read besides the logits.
    pub keep_hidden: bool,
    /// States of every token are the only result: no logits are computed.
    pub embedding: bool,
    pub rope_freq_base: Option<f32>,
    pub rope_freq_scale: Option<f32>,
    /// Raised by another thread to stop a run between two ops.
    pub cancel: Arc<AtomicBool>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            n_ctx: 0,
            n_batch: 512,
            n_seq_max: 1,
            n_threads: None,
            n_gpu_layers: 0,
            logits_all: false,
            type_k: KvDType::F16,
            type_v: KvDType::F16,
            swa_full: true,
            keep_hidden: false,
            embedding: false,
            rope_freq_base: None,
            rope_freq_scale: None,
            cancel: Arc::default(),
        }
    }
}

impl SessionOptions {
    /// Most rows of output in one run.
    pub(crate) fn n_outputs(&self) -> usize {
        match self.logits_all || self.embedding {
            true => self.n_batch,
            false => self.n_seq_max.min(self.n_batch),
        }
    }
}

/// Makes the executor of a plan on a GPU with a cache of so many cells. Natively it opens a
/// device; in a tab it hands the plan's dispatch list to JavaScript.
pub type GpuFactory<'a> = dyn FnMut(Plan, &SessionOptions) -> Result<Box<dyn Executor>> + 'a;

/// Called as weights go up: bytes done, bytes in all. Answering false cancels.
pub type Progress<'a> = dyn FnMut(u64, u64) -> bool + 'a;

impl Model {
    /// Opens a file: mapped natively, read in pieces in a browser.
    pub fn open(path: &Path) -> Result<Model> {
        Self::new(Gguf::open(path)?)
    }

    pub fn from_source(source: Arc<dyn Source>) -> Result<Model> {
        Self::new(Gguf::from_source(source)?)
    }

    /// Of a file whose header was read, and perhaps changed.
    ///
    /// # Errors
    /// A vocabulary that makes no sense.
    pub fn new(gguf: Gguf) -> Result<Model> {
        let tokenizer = Tokenizer::new(vocab_data(&gguf.metadata)?)?;
        Ok(Model {
            gguf,
            tokenizer: Arc::new(tokenizer),
        })
    }

    pub fn gguf(&self) -> &Gguf {
        &self.gguf
    }

    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The file's hyper-parameters, without lowering it.
    pub fn hparams(&self) -> Result<Hparams> {
        Ok(Hparams::read(&self.gguf.metadata)?)
    }

    /// Lowers the model, plans it, makes executors and uploads the weights.
    ///
    /// # Errors
    /// Options out of range; a model that is not supported or broken; no GPU where one is asked
    /// for (`gpu` is `None`, or fails); too little memory.
    pub fn session(
        &self,
        options: &SessionOptions,
        gpu: Option<&mut GpuFactory>,
        progress: &mut Progress,
    ) -> Result<Session> {
        let lowering = Options {
            keep_hidden: options.keep_hidden || options.embedding,
            rope_freq_base: options.rope_freq_base,
            rope_freq_scale: options.rope_freq_scale,
            n_ctx: (options.n_ctx > 0).then_some(options.n_ctx),
        };
        let mut model = puna_model::lower(&self.gguf, &lowering)?;
        let options = &checked(options, &model.hparams)?;
        if options.embedding {
            without_logits(&mut model.graph, model.hparams.n_vocab);
        }
        let mut exec = executor(&model.graph, options, gpu)?;
        self.upload(&model.graph, exec.as_mut(), progress)?;
        Ok(Session::new(
            exec,
            options,
            &model.hparams,
            self.tokenizer.clone(),
            self.fingerprint(options)?,
        ))
    }

    /// A number that differs where the bytes of a cache do: other tensors, sizes, types, devices.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn fingerprint(&self, options: &SessionOptions) -> Result<u64> {
        let metadata = &self.gguf.metadata;
        let architecture = metadata
            .get_str("general.architecture")?
            .unwrap_or_default();
        let of_model = |key: &str| {
            key.strip_prefix(architecture)
                .is_some_and(|k| k.starts_with('.'))
        };
        let sizes: Vec<_> = metadata.iter().filter(|(key, _)| of_model(key)).collect();
        let kept = (options.type_k, options.type_v, options.n_gpu_layers);
        let kept = (kept, options.swa_full);
        let rope = (options.rope_freq_base, options.rope_freq_scale);
        let mut hash = fnv(
            FNV_START,
            format!("{architecture} {sizes:?} {kept:?} {rope:?}").as_bytes(),
        );
        for tensor in self.gguf.tensors() {
            let facts = (&tensor.name, &tensor.shape, tensor.dtype);
            hash = fnv(hash, format!("{facts:?}").as_bytes());
            // The middle tells models of one shape apart; whole tensors would be read twice.
            let n = tensor.n_bytes.min(64);
            let middle = tensor.offset + (tensor.n_bytes - n) / 2;
            hash = fnv(hash, &self.gguf.read_range(middle, n)?);
        }
        self.gguf.source().intact()?;
        Ok(hash)
    }

    fn upload(
        &self,
        graph: &Graph,
        exec: &mut dyn Executor,
        progress: &mut Progress,
    ) -> Result<()> {
        let tensors: Vec<_> = graph
            .weights
            .iter()
            .map(|w| self.gguf.require_tensor(&w.name))
            .collect::<Result<_, _>>()?;
        let total = tensors.iter().map(|t| t.n_bytes).sum();
        let mut done = 0;
        for (i, info) in tensors.into_iter().enumerate() {
            let n_bytes = info.n_bytes;
            let tensor = Tensor {
                info: info.clone(),
                source: self.gguf.source().clone(),
            };
            exec.upload(WeightId(i as u32), &tensor)?;
            done += n_bytes;
            if !progress(done, total) {
                return Err(puna_graph::Error::Cancelled.into());
            }
        }
        Ok(())
    }
}

/// FNV-1a: the same on every machine.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ byte as u64).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(hash, step)
}

/// Leaves out what comes after the states: the head, the largest matrix of a small model. The scores
/// of a model that ranks stay.
fn without_logits(graph: &mut Graph, n_vocab: usize) {
    let ranks = graph
        .logits
        .is_some_and(|id| graph.value(id).width != n_vocab);
    let Some(hidden) = graph.hidden.filter(|_| !ranks) else {
        return;
    };
    let writes = |op: &puna_graph::Op| op.outputs().iter().any(|x| x.value == hidden);
    if let Some(last) = graph.ops.iter().rposition(writes) {
        graph.ops.truncate(last + 1);
    }
    graph.logits = None;
}

/// Fills in what is 0 and refuses what cannot be.
fn checked(options: &SessionOptions, h: &Hparams) -> Result<SessionOptions> {
    let mut options = options.clone();
    if options.n_ctx == 0 {
        options.n_ctx = h.context_length;
    }
    within("n_ctx", options.n_ctx, 0..=i32::MAX as usize / 2)?;
    within("n_seq_max", options.n_seq_max, 1..=MAX_SEQUENCES)?;
    within("n_threads", options.n_threads.unwrap_or(1), 1..=MAX_THREADS)?;
    if options.n_batch == 0 {
        return Err(Error::argument("n_batch", 0, "1 or more"));
    }
    if options.n_gpu_layers < -1 {
        return Err(Error::argument(
            "n_gpu_layers",
            options.n_gpu_layers,
            "-1 (all) or more",
        ));
    }
    for (name, value) in [
        ("rope_freq_base", options.rope_freq_base),
        ("rope_freq_scale", options.rope_freq_scale),
    ] {
        if let Some(x) = value.filter(|x| !(x.is_finite() && *x > 0.0)) {
            return Err(Error::argument(name, x, "a number above 0"));
        }
    }
    options.n_batch = options.n_batch.min(options.n_ctx);
    Ok(options)
}

fn within(name: &'static str, value: usize, range: RangeInclusive<usize>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(Error::argument(name, value, expected))
}

fn executor(
    graph: &Graph,
    options: &SessionOptions,
    gpu: Option<&mut GpuFactory>,
) -> Result<Box<dyn Executor>> {
    let plan = |graph: &Graph| Plan::new(graph.fused(), options.n_batch, options.n_outputs());
    let n_layer = graph.layer_starts.len();
    let on_gpu = match options.n_gpu_layers {
        -1 => n_layer,
        n => (n as usize).min(n_layer),
    };
    if on_gpu == 0 {
        return cpu(plan(graph), options);
    }
    let gpu = gpu.ok_or_else(|| {
        Error::argument(
            "n_gpu_layers",
            options.n_gpu_layers,
            "0, since this build has no GPU",
        )
    })?;
    if on_gpu == n_layer {
        let plan = plan(graph);
        check_windows(&plan, options)?;
        return gpu(plan, options);
    }
    let (first, second) = graph.split(n_layer - on_gpu);
    let of_gpu = plan(&second);
    check_windows(&of_gpu, options)?;
    let split = Split::new(
        graph,
        [&first, &second],
        cpu(plan(&first), options)?,
        gpu(of_gpu, options)?,
    );
    Ok(Box::new(split))
}

/// A GPU keeps the whole context of every layer.
///
/// # Errors
/// Layers that `swa_full` = false asks to keep less of.
fn check_windows(plan: &Plan, options: &SessionOptions) -> Result<()> {
    let kept = cells_of_layers(plan, &cpu_options(options));
    if kept.into_iter().all(|n| n == options.n_ctx) {
        return Ok(());
    }
    let expected = format!(
        "True, or n_gpu_layers = 0 (it is {}): layers with a sliding window keep the whole context \
         on a GPU",
        options.n_gpu_layers
    );
    Err(Error::argument("swa_full", "False", expected))
}

/// Asks the system for what weights, cache and activations will take, and gives it back: a failed
/// allocation later would end the process, in a tab the whole interpreter.
fn check_room(plan: &Plan, options: &SessionOptions) -> Result<()> {
    let graph = &plan.graph;
    let per_cell = |kv: &KvLayer| {
        kv.n_head_kv * (options.type_k.n_bytes(kv.dim_k) + options.type_v.n_bytes(kv.dim_v))
    };
    let layers = graph
        .kv
        .iter()
        .zip(cells_of_layers(plan, &cpu_options(options)));
    let cache = layers.map(|(kv, n)| (n as u64).saturating_mul(per_cell(kv) as u64));
    let book = (options.n_ctx as u64).saturating_mul(size_of::<Cell>() as u64);
    let cache = cache.fold(book, u64::saturating_add);
    let weight = |w: &Weight| Ok::<_, Error>((w.dtype.row_bytes(w.n_in())? * w.n_out()) as u64);
    let weights: u64 = graph.weights.iter().map(weight).sum::<Result<_>>()?;
    let activations: u64 = plan.arenas.iter().map(|&n| 4 * n as u64).sum();
    let n_bytes = weights.saturating_add(cache).saturating_add(activations);
    let fits =
        usize::try_from(n_bytes).is_ok_and(|n| Vec::<u8>::new().try_reserve_exact(n).is_ok());
    match fits {
        true => Ok(()),
        false => Err(Error::Memory {
            n_bytes,
            n_ctx: options.n_ctx,
            n_batch: options.n_batch,
        }),
    }
}

fn cpu(plan: Plan, options: &SessionOptions) -> Result<Box<dyn Executor>> {
    check_room(&plan, options)?;
    Ok(Box::new(Cpu::new(plan, cpu_options(options))?))
}

fn cpu_options(options: &SessionOptions) -> CpuOptions {
    CpuOptions {
        n_threads: options.n_threads,
        n_cells: options.n_ctx,
        type_k: options.type_k,
        type_v: options.type_v,
        n_windows: (!options.swa_full).then_some(options.n_seq_max),
        isa: None,
        cancel: options.cancel.clone(),
    }
}
