//! Whole plans on every instruction set against the scalar interpreter.

mod common;

use common::{Shape, batch, distance, graph, logits, plan, upload};
use puna_cpu::{Cpu, CpuOptions, Isa};
use puna_format::DType;
use puna_graph::reference::Reference;
use puna_graph::{Act, Executor, Graph, KvDType, NormKind, RopeLayout};

/// With float weights and an f32 cache only the order of sums differs.
const EXACT: f64 = 2e-5;
/// Activations of 8 bits: half a step of 1/127 of the largest of 32, at each matrix.
const QUANTIZED: f64 = 4e-2;
/// Keys and values of 11 bits.
const HALF_CACHE: f64 = 1e-3;

fn cpu(graph: &Graph, isa: Isa, n_threads: usize, kv: KvDType) -> Cpu {
    let options = CpuOptions {
        n_threads: Some(n_threads),
        n_cells: 96,
        type_k: kv,
        type_v: kv,
        isa: Some(isa),
        ..CpuOptions::default()
    };
    Cpu::new(plan(graph, 40), options).unwrap()
}

/// A prompt, single tokens, and a short piece, on every instruction set.
fn check(shape: Shape, kv: KvDType, tolerance: f64) {
    let graph = graph(shape);
    let mut reference = Reference::new(&graph, 40, 40, 96);
    let mut cpus: Vec<Cpu> = Isa::available()
        .into_iter()
        .flat_map(|isa| [cpu(&graph, isa, 1, kv), cpu(&graph, isa, 2, kv)])
        .collect();
    let mut all: Vec<&mut dyn Executor> = vec![&mut reference];
    all.extend(cpus.iter_mut().map(|c| c as &mut dyn Executor));
    upload(&graph, &mut all);
    for (first, n) in [(0, 38), (38, 1), (39, 1), (40, 3), (43, 30)] {
        let batch = batch(first, n, shape.n_vocab);
        reference.run(&batch).unwrap();
        let expected = logits(&mut reference);
        for cpu in &mut cpus {
            cpu.run(&batch).unwrap();
            let off = distance(&logits(cpu), &expected);
            assert!(off < tolerance, "{}, {n} tokens: {off}", cpu.name());
        }
    }
}

#[test]
fn float_weights_give_the_reference() {
    check(Shape::of(DType::F32), KvDType::F32, EXACT);
}

#[test]
fn half_weights_and_cache_give_the_reference() {
    check(Shape::of(DType::F16), KvDType::F16, HALF_CACHE);
    check(Shape::of(DType::BF16), KvDType::F32, EXACT);
}

#[test]
fn quantized_weights_are_near_the_reference() {
    for dtype in [DType::Q4_0, DType::Q8_0, DType::Q4_K, DType::Q6_K] {
        check(Shape::of(dtype), KvDType::F16, QUANTIZED);
    }
}

#[test]
fn odd_sizes_of_everything() {
    let shape = Shape {
        n_embd: 96,
        n_ff: 160,
        n_vocab: 37,
        n_head: 3,
        n_head_kv: 1,
        dim_k: 34,
        dim_v: 27,
        n_rot: 20,
        layout: RopeLayout::Neox,
        kind: NormKind::Layer,
        act: Act::Gelu,
        window: Some(5),
        softcap: Some(3.0),
        bias: true,
        ..Shape::of(DType::F32)
    };
    check(shape, KvDType::F32, EXACT);
}

#[test]
fn tied_embeddings_and_post_norms() {
    let shape = Shape {
        tied: true,
        post_norm: true,
        ..Shape::of(DType::Q8_0)
    };
    check(shape, KvDType::F32, QUANTIZED);
}
