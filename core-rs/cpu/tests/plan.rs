//! Whole plans on every instruction set against the scalar interpreter.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Shape, batch, distance, graph, logits, plan, upload, upload_as};
use puna_cpu::{Cpu, CpuOptions, Isa};
use puna_format::{Bytes, DType, Source, quant};
use puna_graph::reference::Reference;
use puna_graph::{Act, CacheOp, Error, Executor, Graph, KvDType, NormKind, RopeLayout};

/// With float weights and an f32 cache only the order of sums differs.
const EXACT: f64 = 2e-5;
/// Activations of 8 bits: half a step of 1/127 of the largest of 32, at each matrix.
const QUANTIZED: f64 = 4e-2;
/// Keys and values of 11 bits.
const HALF_CACHE: f64 = 1e-3;
/// What the cache's rounding may change in logits: half a step of 8 bits; of 1/127, and of 1/8, of
/// the largest of 32.
const ROUNDED_CACHES: [(KvDType, f64); 5] = [
    (KvDType::F32, EXACT),
    (KvDType::F16, HALF_CACHE),
    (KvDType::BF16, 8e-3),
    (KvDType::Q8_0, 2.5e-2),
    (KvDType::Q4_0, 3e-1),
];

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

/// A prompt, single tokens, short pieces, and such that leave one token over, on every instruction set.
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
    for (first, n) in [
        (0, 38),
        (38, 1),
        (39, 1),
        (40, 3),
        (43, 30),
        (73, 17),
        (90, 5),
    ] {
        let batch = batch(first, n, shape.n_vocab);
        reference.run(&batch).unwrap();
        let expected = logits(&mut reference);
        for cpu in &mut cpus {
            cpu.run(&batch).unwrap();
            let off = distance(&logits(cpu), &expected);
            let name = cpu.name();
            assert!(off < tolerance, "{name}, {kv:?}, {n} tokens: {off}");
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
fn every_type_of_cache_is_near_the_reference() {
    for (kv, tolerance) in ROUNDED_CACHES {
        check(Shape::of(DType::F32), kv, tolerance);
    }
}

/// The cells of a prompt, saved.
fn saved(cpu: &mut Cpu, n: usize) -> Vec<u8> {
    let cells = (0..n as u32).collect();
    let bytes = cpu.cache(&CacheOp::Save { cells }).unwrap();
    bytes.unwrap()
}

fn of_type(graph: &Graph, kv: KvDType) -> Cpu {
    let mut cpu = cpu(graph, Isa::available()[0], 1, kv);
    upload(graph, &mut [&mut cpu]);
    cpu
}

#[test]
fn saved_cells_are_gguf_rows_and_give_the_same_logits() {
    let shape = Shape::of(DType::F32);
    let graph = graph(shape);
    let (prompt, next) = (batch(0, 12, shape.n_vocab), batch(12, 1, shape.n_vocab));
    let mut exact = of_type(&graph, KvDType::F32);
    exact.run(&prompt).unwrap();
    let exact: Vec<u8> = saved(&mut exact, 12);
    for (kv, tolerance) in ROUNDED_CACHES {
        let (mut one, mut other) = (of_type(&graph, kv), of_type(&graph, kv));
        one.run(&prompt).unwrap();
        let bytes = saved(&mut one, 12);
        let n = exact.len() / 4;
        let (mut found, mut expected) = (vec![0.0; n], vec![0.0; n]);
        quant::decode_row(kv.dtype(), &bytes, &mut found).unwrap();
        quant::decode_row(DType::F32, &exact, &mut expected).unwrap();
        let off = distance(&found, &expected);
        assert!(off < tolerance, "{kv:?}: cells are off by {off}");

        let cells = (0..12).collect();
        other.cache(&CacheOp::Load { cells, bytes }).unwrap();
        one.run(&next).unwrap();
        other.run(&next).unwrap();
        assert_eq!(logits(&mut one), logits(&mut other), "{kv:?}");
    }
}

#[test]
fn keys_of_every_type_are_shifted() {
    let shape = Shape::of(DType::F32);
    let graph = graph(shape);
    for (kv, tolerance) in ROUNDED_CACHES {
        let mut cpu = of_type(&graph, kv);
        cpu.run(&batch(0, 12, shape.n_vocab)).unwrap();
        let mut next = batch(12, 1, shape.n_vocab);
        cpu.run(&next).unwrap();
        let expected = logits(&mut cpu);
        let cells = (0..12).collect();
        cpu.cache(&CacheOp::Shift { cells, delta: 7 }).unwrap();
        next.pos[0] += 7;
        next.cache.iter_mut().for_each(|c| c.pos += 7);
        cpu.run(&next).unwrap();
        let off = distance(&logits(&mut cpu), &expected);
        assert!(off < 2.0 * tolerance, "{kv:?}: {off}");
    }
}

#[test]
fn blocks_refuse_heads_that_are_none() {
    let shape = Shape {
        dim_v: 40,
        ..Shape::of(DType::F32)
    };
    let options = CpuOptions {
        n_cells: 64,
        type_v: KvDType::Q4_0,
        ..CpuOptions::default()
    };
    let error = Cpu::new(plan(&graph(shape), 4), options).err().unwrap();
    let error = error.to_string();
    assert!(
        error.contains("type_v = q4_0 for heads of 40 elements"),
        "{error}"
    );
}

#[test]
fn quantized_weights_are_near_the_reference() {
    use DType::*;
    // TQ1_0 has no kernels of its own: it is decoded.
    for dtype in [Q4_0, Q8_0, Q4_K, Q6_K, IQ4_XS, Q2_K, TQ1_0] {
        check(Shape::of(dtype), KvDType::F16, QUANTIZED);
    }
}

/// Wide enough that several blocks of columns are taken at once, of which the last is cut, and that one tile
/// of a prompt's activations fills the nearer cache.
#[test]
fn wide_matrices_give_the_reference() {
    use DType::*;
    for (dtype, n_ff, tolerance) in [
        (F16, 8200, EXACT),
        (Q8_0, 8224, QUANTIZED),
        (TQ1_0, 8192, QUANTIZED),
    ] {
        let shape = Shape {
            n_layer: 1,
            n_ff,
            n_vocab: 2052,
            ..Shape::of(dtype)
        };
        check(shape, KvDType::F32, tolerance);
    }
}

/// The parts of the first are 65, 3 and 2 blocks of columns, so that some are taken with those of another.
#[test]
fn odd_sizes_of_quantized_weights() {
    let parts = Shape {
        n_head: 27,
        n_head_kv: 1,
        dim_k: 38,
        dim_v: 32,
        n_rot: 20,
        bias: true,
        ..Shape::of(DType::Q8_0)
    };
    let narrow = Shape {
        n_embd: 96,
        n_ff: 160,
        n_vocab: 37,
        n_head: 3,
        softcap: Some(3.0),
        ..parts
    };
    check(parts, KvDType::F32, QUANTIZED);
    check(narrow, KvDType::F32, QUANTIZED);
}

/// So that some workers have no head.
#[test]
fn more_workers_than_heads() {
    let shape = Shape::of(DType::F32);
    let graph = graph(shape);
    let mut one = cpu(&graph, Isa::available()[0], 1, KvDType::F32);
    let mut many = cpu(&graph, Isa::available()[0], 7, KvDType::F32);
    upload(&graph, &mut [&mut one, &mut many]);
    for (first, n) in [(0, 5), (5, 1)] {
        let batch = batch(first, n, shape.n_vocab);
        one.run(&batch).unwrap();
        many.run(&batch).unwrap();
        assert_eq!(logits(&mut many), logits(&mut one), "{n} tokens");
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
    for dtype in [DType::Q8_0, DType::MXFP4] {
        let shape = Shape {
            tied: true,
            post_norm: true,
            ..Shape::of(dtype)
        };
        check(shape, KvDType::F32, QUANTIZED);
    }
}

/// Bytes in memory that can go away, as those of a mapped file that shrinks, or be lost while in use.
struct Shrinking {
    bytes: Bytes,
    is_gone: Arc<AtomicBool>,
    is_lost: Arc<AtomicBool>,
}

impl Source for Shrinking {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> puna_format::Result<()> {
        self.bytes.read_at(offset, buf)
    }

    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        if self.is_gone.load(Ordering::Relaxed) {
            return None;
        }
        self.bytes.slice(offset, len)
    }

    fn intact(&self) -> puna_format::Result<()> {
        if !self.is_lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(puna_format::Error::Truncated {
            what: "a page".into(),
            offset: 0,
            wanted: 1,
            len: 0,
        })
    }
}

/// An executor whose weights go away, or are lost, where one of the two says so.
fn shrinking() -> (Cpu, usize, [Arc<AtomicBool>; 2]) {
    let shape = Shape::of(DType::F32);
    let graph = graph(shape);
    let mut cpu = cpu(&graph, Isa::available()[0], 2, KvDType::F32);
    let flags = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let [is_gone, is_lost] = flags.clone();
    upload_as(&graph, &mut [&mut cpu], |bytes| {
        Arc::new(Shrinking {
            bytes: Bytes::new(bytes),
            is_gone: Arc::clone(&is_gone),
            is_lost: Arc::clone(&is_lost),
        })
    });
    cpu.run(&batch(0, 3, shape.n_vocab)).unwrap();
    (cpu, shape.n_vocab, flags)
}

#[test]
fn a_matrix_that_went_away_is_an_error_with_its_name() {
    let (mut cpu, n_vocab, [is_gone, _]) = shrinking();
    is_gone.store(true, Ordering::Relaxed);
    match cpu.run(&batch(3, 1, n_vocab)) {
        Err(Error::Weight { name, message }) => {
            // Of q, k or v, which two workers multiply at once.
            assert!(name.starts_with("blk.0.attn_"), "{name}");
            assert!(message.contains("are gone from its file"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_computed_with_lost_pages_is_not_handed_out() {
    let (mut cpu, n_vocab, [_, is_lost]) = shrinking();
    is_lost.store(true, Ordering::Relaxed);
    let error = cpu.run(&batch(3, 1, n_vocab)).unwrap_err();
    assert!(error.to_string().contains("a page"), "{error}");
}
