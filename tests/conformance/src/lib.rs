//! Backend = backend: every executor runs every architecture in every tensor type and is held
//! against the scalar interpreter. Rows of the three registries (executors here, `ARCHS`,
//! `DType::all()`) meet in `tests/`; a new row is tested because it is listed.

use puna_cpu::{Cpu, CpuOptions, Isa};
use puna_format::{DType, Gguf};
use puna_graph::reference::Reference;
use puna_graph::{Batch, Executor, Graph, KvDType, Output, Plan, Read, Result, Tensor, WeightId};
use puna_model::block::Decoder;
use puna_model::{Arch, Hparams, Options, lower, tiny};

pub const N_CELLS: usize = 64;

/// Makes an executor of a graph for up to so many tokens, all of them outputs. An executor without
/// kernels for a type refuses the graph.
pub type Make = Box<dyn Fn(&Graph, usize, KvDType) -> Result<Box<dyn Executor>>>;

/// Every executor of this machine, by name.
pub fn executors() -> Vec<(String, Make)> {
    let mut list: Vec<(String, Make)> = vec![];
    for isa in Isa::available() {
        for n_threads in [1, 2] {
            let make = move |graph: &Graph, n: usize, kv: KvDType| -> Result<Box<dyn Executor>> {
                let options = CpuOptions {
                    n_threads: Some(n_threads),
                    n_cells: N_CELLS,
                    type_k: kv,
                    type_v: kv,
                    isa: Some(isa),
                    ..CpuOptions::default()
                };
                let plan = Plan::new(graph.fused(), n, n);
                Ok(Box::new(Cpu::new(plan, options)?))
            };
            list.push((format!("cpu {} x{n_threads}", isa.name()), Box::new(make)));
        }
    }
    #[cfg(feature = "wgpu")]
    list.extend(gpu());
    list
}

/// A tiny random model in one tensor type.
pub fn model(arch: &Arch, dtype: DType) -> Gguf {
    tiny::tiny(arch, dtype, 7)
        .and_then(|t| t.to_gguf())
        .expect("tiny model")
}

pub fn graph(gguf: &Gguf) -> Graph {
    lower(gguf, &Options::default()).expect("lowers").graph
}

pub fn reference(graph: &Graph, gguf: &Gguf, n_tokens: usize) -> Reference {
    let mut exec = Reference::new(graph, n_tokens, n_tokens, N_CELLS);
    upload(&mut exec, graph, gguf);
    exec
}

pub fn upload(exec: &mut dyn Executor, graph: &Graph, gguf: &Gguf) {
    for (i, weight) in graph.weights.iter().enumerate() {
        let tensor = Tensor {
            info: gguf
                .tensor(&weight.name)
                .expect("lowering found it")
                .clone(),
            source: gguf.source().clone(),
        };
        exec.upload(WeightId(i as u32), &tensor).expect("upload");
    }
}

/// The executor that was made; `None` where it said by name what it has no kernels for. The CPU has all.
pub fn made(name: &str, result: Result<Box<dyn Executor>>) -> Option<Box<dyn Executor>> {
    match result {
        Ok(exec) => Some(exec),
        Err(e) if !name.starts_with("cpu") && e.to_string().contains("no kernels for") => None,
        Err(e) => panic!("{name}: {e}"),
    }
}

/// Runs a batch; a row for each output: logits, or the last states of an encoder.
pub fn rows(exec: &mut dyn Executor, batch: &Batch) -> Vec<f32> {
    exec.run(batch).expect("run");
    for what in [Read::Logits, Read::Hidden] {
        if let Ok(Some(Output::F32(x))) = exec.read(what) {
            return x;
        }
    }
    panic!("{}: neither logits nor states", exec.name())
}

/// The tree of an architecture's tiny model.
pub fn tree(arch: &Arch) -> Decoder {
    let h = Hparams::read(&model(arch, DType::F32).metadata).expect(arch.name);
    (arch.tree)(&h).expect(arch.name)
}

/// Whether a token sees only what is before it, so that a text can be fed in parts.
pub fn is_causal(arch: &Arch) -> bool {
    tree(arch).layers.iter().all(|l| l.attention.causal)
}

/// Normalised mean squared error: `|a - b|² / |b|²`.
pub fn nmse(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(a as f64, b as f64)).sum()
    };
    sum(&|a, b| (a - b) * (a - b)) / sum(&|_, b| b * b)
}

/// The adapter that Vulkan finds first; none is said aloud and leaves the list as it is.
#[cfg(feature = "wgpu")]
fn gpu() -> Vec<(String, Make)> {
    use puna_gpu::{GpuContext, GpuOptions, WgpuExecutor};

    let context = match GpuContext::open(None) {
        Ok(context) => context,
        Err(e) => {
            eprintln!("no GPU is tested: {e}");
            return vec![];
        }
    };
    let name = format!("gpu {}", context.info.name);
    let make = move |graph: &Graph, n: usize, kv: KvDType| -> Result<Box<dyn Executor>> {
        let options = GpuOptions {
            n_cells: N_CELLS,
            type_k: kv,
            type_v: kv,
        };
        let plan = Plan::new(graph.fused(), n, n);
        Ok(Box::new(WgpuExecutor::open(&plan, &context, options)?))
    };
    vec![(name, Box::new(make))]
}
