//! Whole small models on a device against the scalar interpreter: prompts, decoding, greedy
//! choice, cache operations, a split.
#![cfg(feature = "wgpu")]

mod common;

use common::*;
use puna_format::DType;
use puna_graph::{CacheOp, Error, Executor, Graph, Plan, Read};

const GEMMA: Shape = Shape {
    gemma: true,
    tied: true,
    dtype: |_| DType::Q8_0,
    ..TINY
};

/// A prompt of 11, two single tokens, then three at once.
fn compare(graph: &Graph, label: &str) {
    let Some(context) = context() else { return };
    for (options, tolerance) in [(F32_CACHE, TOLERANCE * 10.0), (F16_CACHE, TOLERANCE_F16)] {
        let mut pair = Pair::new(&context, graph, 11, options);
        for (past, n) in [(0, 11), (11, 1), (12, 1), (13, 3)] {
            pair.run(&batch(past, n, None));
            pair.compare(Read::Logits, tolerance, &format!("{label} {past}+{n}"));
            let expected: Vec<u32> = read(&mut pair.gpu, Read::Logits)
                .chunks_exact(TINY.n_vocab)
                .map(puna_graph::reference::argmax)
                .collect();
            assert_eq!(greedy(&mut pair.gpu), expected, "{label}: greedy");
        }
    }
}

#[test]
fn a_tiny_llama_fused() {
    compare(&TINY.graph().fused(), "llama");
}

#[test]
fn a_tiny_llama_in_simple_ops() {
    compare(&TINY.graph(), "llama, simple");
}

#[test]
fn a_tiny_llama_of_mixed_types_with_biases() {
    let mixed = Shape {
        bias: true,
        tied: true,
        dtype: |name| match name {
            _ if name.ends_with("attn_v") => DType::Q6_K,
            _ if name.ends_with("ffn_up") => DType::F16,
            "token_embd" => DType::Q6_K,
            _ => DType::Q4_0,
        },
        ..TINY
    };
    compare(&mixed.graph().fused(), "mixed");
}

#[test]
fn a_tiny_gemma2_fused() {
    compare(&GEMMA.graph().fused(), "gemma2");
}

#[test]
fn a_model_whose_matrices_are_cut_into_pieces() {
    let Some(mut context) = context() else { return };
    let tied = Shape {
        tied: true,
        dtype: |_| DType::F16,
        ..TINY
    };
    let graph = tied.graph().fused();
    let mut whole = Pair::new(&context, &graph, 11, F32_CACHE);
    // Room for 150 rows of 256 f16: every matrix of the model but k and v is cut.
    context.info.limits.max_binding = 150 * 512;
    let mut cut = Pair::new(&context, &graph, 11, F32_CACHE);
    let n = |pair: &Pair| pair.gpu.lowered().program.buffers.len();
    assert!(n(&cut) > n(&whole));
    for (past, n) in [(0, 11), (11, 1), (12, 4)] {
        let batch = batch(past, n, None);
        whole.run(&batch);
        cut.run(&batch);
        assert_eq!(
            read(&mut whole.gpu, Read::Logits),
            read(&mut cut.gpu, Read::Logits)
        );
    }
}

#[test]
fn two_halves_make_the_whole() {
    let Some(context) = context() else { return };
    let graph = TINY.graph();
    let (first, second) = graph.split(1);
    let mut whole = Pair::new(&context, &graph.fused(), 9, F32_CACHE);
    let weights = puna_gpu::check::Weights::random(&graph, 11).expect("encodable");
    let open = |half: &Graph| {
        let plan = Plan::new(half.fused(), 9, 9);
        let mut gpu = puna_gpu::WgpuExecutor::open(&plan, &context, F32_CACHE).expect("opens");
        weights.upload_named(&mut gpu, half).expect("uploads");
        gpu
    };
    let (mut a, mut b) = (open(&first), open(&second));
    let batch = batch(0, 9, None);
    whole.run(&batch);
    a.run(&batch).expect("runs");
    let mut handed = batch.clone();
    handed.tokens = vec![];
    handed.input = Some(read(&mut a, Read::Hidden));
    b.run(&handed).expect("runs");
    let expected = read(&mut whole.gpu, Read::Logits);
    close(&read(&mut b, Read::Logits), &expected, TOLERANCE, "halves");
}

#[test]
fn saved_cells_come_back_elsewhere() {
    let Some(context) = context() else { return };
    for options in [F32_CACHE, F16_CACHE] {
        let mut pair = Pair::new(&context, &TINY.graph().fused(), 11, options);
        let prompt = batch(0, 11, None);
        pair.run(&prompt);
        let gpu = &mut pair.gpu;
        let cells: Vec<u32> = (0..11).collect();
        let bytes = gpu
            .cache(&CacheOp::Save {
                cells: cells.clone(),
            })
            .expect("saves")
            .expect("at once");
        let each = 2 * 2 * options.type_k.n_bytes(2 * 64);
        assert_eq!(bytes.len(), 11 * each);
        let mut next = batch(11, 1, None);
        gpu.run(&next).expect("runs");
        let expected = read(gpu, Read::Logits);
        // Into other cells, after the old ones are spoiled.
        let moved: Vec<u32> = cells.iter().map(|c| 30 - c).collect();
        gpu.cache(&CacheOp::Load {
            cells: cells.clone(),
            bytes: vec![1; bytes.len()],
        })
        .expect("loads");
        gpu.cache(&CacheOp::Load {
            cells: moved.clone(),
            bytes,
        })
        .expect("loads");
        next.cache = vec![puna_graph::Cell::default(); 32];
        for (pos, &cell) in moved.iter().enumerate() {
            next.cache[cell as usize] = puna_graph::Cell {
                pos: pos as i32,
                seqs: 1 << 5,
            };
        }
        next.cells = vec![31];
        next.cache[31] = puna_graph::Cell {
            pos: 11,
            seqs: 1 << 5,
        };
        gpu.run(&next).expect("runs");
        close(&read(gpu, Read::Logits), &expected, TOLERANCE, "moved");
    }
}

#[test]
fn copies_and_shifts_equal_the_interpreters() {
    let Some(context) = context() else { return };
    for shape in [TINY, GEMMA] {
        let mut pair = Pair::new(&context, &shape.graph().fused(), 11, F32_CACHE);
        pair.run(&batch(0, 11, None));
        // A chain: each pair's source is the target of the one before; and one target twice.
        let copy = CacheOp::Copy {
            pairs: vec![(0, 20), (20, 21), (3, 20), (21, 4), (5, 20)],
        };
        let shift = CacheOp::Shift {
            cells: vec![4, 7, 8],
            delta: -3,
        };
        for op in [&copy, &shift] {
            pair.gpu.cache(op).expect("runs");
            pair.reference.cache(op).expect("runs");
        }
        pair.run(&batch(11, 1, None));
        pair.compare(Read::Logits, TOLERANCE * 10.0, "after cache operations");
    }
}

#[test]
fn mistakes_are_errors_with_names() {
    let Some(context) = context() else { return };
    let mut pair = Pair::new(&context, &TINY.graph().fused(), 4, F32_CACHE);
    let gpu = &mut pair.gpu;
    let message = |e: Error| e.to_string();
    assert!(message(gpu.run(&batch(0, 5, None)).expect_err("too many")).contains("5 tokens"));
    let save = CacheOp::Save { cells: vec![80] };
    assert!(message(gpu.cache(&save).expect_err("no such cell")).contains("cell 80"));
    let load = CacheOp::Load {
        cells: vec![1],
        bytes: vec![0; 3],
    };
    assert!(message(gpu.cache(&load).expect_err("too short")).contains("3 bytes"));
    let mut input = batch(0, 1, None);
    input.input = Some(vec![0.0; 256]);
    assert!(gpu.run(&input).is_err());
}

/// Half a minute on a software device: `cargo test -- --ignored`.
#[test]
#[ignore = "slow on a software device"]
fn a_layer_as_wide_as_a_1b_model() {
    let Some(context) = context() else { return };
    let wide = Shape {
        n_layer: 1,
        n_vocab: 9000,
        dtype: |name| match name {
            _ if name.ends_with("attn_v") => DType::Q8_0,
            _ => DType::Q4_0,
        },
        ..LLAMA_1B
    };
    let mut pair = Pair::new(&context, &wide.graph().fused(), 20, F16_CACHE);
    for (past, n) in [(0, 20), (20, 1), (21, 3)] {
        pair.run(&batch(past, n, None));
        pair.compare(Read::Logits, TOLERANCE_F16, &format!("{past}+{n}"));
    }
}
