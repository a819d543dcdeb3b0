//! Mixtures of experts on every instruction set against the scalar interpreter.

#[allow(dead_code, reason = "the other tests use the rest")]
mod common;

use common::{distance, logits, plan, upload};
use puna_cpu::{Cpu, CpuOptions, Isa};
use puna_format::DType;
use puna_graph::build::Routing;
use puna_graph::reference::Reference;
use puna_graph::{Batch, Builder, Executor, Gating, Graph, Rows};

/// Activations of 8 bits: half a step of 1/127 of the largest of 32, at one matrix.
const QUANTIZED: f64 = 2e-2;

const N_IN: usize = 256;
/// No multiple of the rows of a packed group: neighbouring experts share one.
const N_OUT: usize = 40;
const N_EXPERT: usize = 6;

fn graph(dtype: DType) -> Graph {
    let mut b = Builder::new();
    let x = b.value("x", Rows::Tokens, N_IN);
    let router = b.weight("router", DType::F32, &[N_IN, N_EXPERT]);
    let scores = b.linear("scores", x, router, None);
    let routing = Routing {
        gating: Gating::Softmax,
        bias: None,
        n_used: 2,
        normalize: true,
        scale: 1.0,
    };
    let route = b.route("route", scores, routing);
    let experts = b.weight("experts", dtype, &[N_IN, N_OUT, N_EXPERT]);
    let y = b.linear_experts("y", x, route, vec![experts], N_EXPERT);
    let scales = b.weight("scales", DType::F32, &[N_EXPERT]);
    let y = b.scale_experts("scaled", y, route, scales);
    let y = b.combine("out", y, route);
    let y = b.select("select", y);
    let mut graph = b.finish(None, y);
    graph.input = Some(x.value);
    graph
}

fn batch(n: usize) -> Batch {
    let mut batch = common::batch(0, n, 1);
    let x = (0..n * N_IN).map(|i| ((i * 7919 + i / N_IN * 31) % 997) as f32 / 500.0 - 1.0);
    batch.tokens.clear();
    batch.input = Some(x.collect());
    batch
}

#[test]
fn experts_of_every_type_are_near_the_reference() {
    for &dtype in DType::all().iter().filter(|t| t.can_encode()) {
        let graph = graph(dtype);
        let mut reference = Reference::new(&graph, 40, 40, 40);
        let mut cpus: Vec<_> = Isa::available()
            .into_iter()
            .map(|isa| {
                let options = CpuOptions {
                    n_threads: Some(2),
                    n_cells: 40,
                    isa: Some(isa),
                    ..CpuOptions::default()
                };
                Cpu::new(plan(&graph, 40), options).unwrap()
            })
            .collect();
        let mut all: Vec<&mut dyn Executor> = vec![&mut reference];
        all.extend(cpus.iter_mut().map(|c| c as &mut dyn Executor));
        upload(&graph, &mut all);
        for n in [1, 5, 37] {
            reference.run(&batch(n)).unwrap();
            let expected = logits(&mut reference);
            for cpu in &mut cpus {
                cpu.run(&batch(n)).unwrap();
                let off = distance(&logits(cpu), &expected);
                assert!(off < QUANTIZED, "{} {dtype} {n}: {off}", cpu.name());
            }
        }
    }
}
