//! A native device beside the scalar interpreter.

use std::sync::OnceLock;

use puna_gpu::check::Weights;
use puna_gpu::{GpuContext, GpuOptions, WgpuExecutor};
use puna_graph::reference::Reference;
use puna_graph::{Batch, Executor, Graph, Plan, Read};

use super::{batch, close, read};

/// The device, opened once; `None`, with the reason printed, where there is none.
pub fn context() -> Option<GpuContext> {
    static CONTEXT: OnceLock<Option<GpuContext>> = OnceLock::new();
    let opened = CONTEXT.get_or_init(|| match GpuContext::open_unchecked(None) {
        Ok(context) => Some(context),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    });
    opened.clone()
}

/// The same graph and weights on the GPU and on the interpreter.
pub struct Pair {
    pub gpu: WgpuExecutor,
    pub reference: Reference,
}

impl Pair {
    pub fn new(context: &GpuContext, graph: &Graph, n_tokens: usize, options: GpuOptions) -> Pair {
        let weights = Weights::random(graph, 11).expect("encodable");
        let plan = Plan::new(graph.clone(), n_tokens, n_tokens);
        let mut gpu = WgpuExecutor::open(&plan, context, options).expect("opens");
        let mut reference = Reference::new(graph, n_tokens, n_tokens, options.n_cells);
        weights.upload(&mut gpu).expect("uploads");
        weights.upload(&mut reference).expect("uploads");
        Pair { gpu, reference }
    }

    pub fn run(&mut self, batch: &Batch) {
        self.gpu.run(batch).expect("runs");
        self.reference.run(batch).expect("runs");
    }

    pub fn compare(&mut self, what: Read, tolerance: f32, label: &str) {
        let gpu = read(&mut self.gpu, what);
        let expected = read(&mut self.reference, what);
        close(&gpu, &expected, tolerance, label);
    }
}

/// Runs `graph` (made by [`op_graph`]) for several numbers of tokens and compares hidden states.
pub fn compare_op(
    graph: &Graph,
    n_tokens: &[usize],
    options: GpuOptions,
    tolerance: f32,
    label: &str,
) {
    let Some(context) = context() else { return };
    let width = graph.value(graph.input.expect("an op graph")).width;
    let most = n_tokens.iter().copied().max().expect("some");
    let mut pair = Pair::new(&context, graph, most, options);
    for &n in n_tokens {
        pair.run(&batch(0, n, Some(width)));
        pair.compare(Read::Hidden, tolerance, &format!("{label}, {n} tokens"));
    }
}
