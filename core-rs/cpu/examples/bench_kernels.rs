//! How fast one matrix is multiplied: `cargo run --release -p puna-cpu --example bench_kernels`
//!
//! Prints one line for each type and number of tokens: products and bytes a second, by `PUNA_ISA`
//! and `PUNA_THREADS`. Arguments: names of types (all), then `n=1,128` (tokens) and `size=4096,16384`
//! (`n_in`, `n_out`). Compare with `limits.c` of the bench folder.

use std::sync::Arc;
use std::time::Instant;

use puna_cpu::{Cpu, CpuOptions};
use puna_format::{Bytes, DType, TensorInfo, quant};
use puna_graph::{Batch, Builder, Cell, Executor, Graph, Plan, Rows, Tensor, WeightId};

/// Results are the best of as many runs as fit in this time.
const SECONDS: f64 = 0.5;

fn graph(dtype: DType, n_in: usize, n_out: usize) -> Graph {
    let mut b = Builder::new();
    let x = b.value("x", Rows::Tokens, n_in);
    let w = b.weight("w", dtype, &[n_in, n_out]);
    let y = b.linear("y", x, w, None);
    let mut graph = b.finish(None, y);
    graph.input = Some(x.value);
    graph
}

/// One encoded row again and again: products take the same time whatever the values are.
fn tensor(dtype: DType, n_in: usize, n_out: usize) -> Tensor {
    let values: Vec<f32> = (0..n_in)
        .map(|i| ((i * 7919) % 997) as f32 / 500.0 - 1.0)
        .collect();
    let mut row = vec![0; dtype.row_bytes(n_in).expect("whole blocks")];
    quant::encode_row(dtype, &values, &mut row).expect("finite values");
    let bytes = row.repeat(n_out);
    Tensor {
        info: TensorInfo {
            name: "w".into(),
            dtype,
            shape: vec![n_in as u64, n_out as u64],
            offset: 0,
            n_bytes: bytes.len() as u64,
        },
        source: Arc::new(Bytes::new(bytes)),
    }
}

fn batch(n: usize, n_in: usize) -> Batch {
    let pos = 0..n as i32;
    Batch {
        tokens: vec![],
        input: Some(
            (0..n * n_in)
                .map(|i| (i % 201) as f32 / 100.0 - 1.0)
                .collect(),
        ),
        pos: pos.clone().collect(),
        seq: vec![0; n],
        cells: (0..n as u32).collect(),
        outputs: vec![],
        cache: pos.map(|pos| Cell { pos, seqs: 1 }).collect(),
    }
}

fn measure(dtype: DType, n_in: usize, n_out: usize, tokens: &[usize]) {
    let most = tokens.iter().copied().max().unwrap_or(1);
    let plan = Plan::new(graph(dtype, n_in, n_out).fused(), most, 1);
    let options = CpuOptions {
        n_cells: most,
        ..CpuOptions::default()
    };
    let mut cpu = Cpu::new(plan, options).expect("a valid PUNA_ISA and PUNA_THREADS");
    let tensor = tensor(dtype, n_in, n_out);
    let start = Instant::now();
    cpu.upload(WeightId(0), &tensor)
        .expect("a type that encodes");
    let upload = tensor.info.n_bytes as f64 / start.elapsed().as_secs_f64() / 1e9;
    for &n in tokens {
        let batch = batch(n, n_in);
        let (begun, mut best) = (Instant::now(), f64::INFINITY);
        while begun.elapsed().as_secs_f64() < SECONDS {
            let start = Instant::now();
            cpu.run(&batch).expect("a batch within limits");
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!(
            "{:6} {n:4} tokens: {:7.1} GMAC/s, {:6.1} GB/s   ({}, upload {upload:.1} GB/s)",
            dtype.name(),
            (n * n_in * n_out) as f64 / best / 1e9,
            tensor.info.n_bytes as f64 / best / 1e9,
            cpu.name(),
        );
    }
}

fn numbers(text: &str) -> Vec<usize> {
    let parse = |x: &str| x.parse().expect("numbers, separated by commas");
    text.split(',').map(parse).collect()
}

fn main() {
    let (mut types, mut tokens, mut size) = (vec![], vec![1, 4, 48], vec![4096, 16384]);
    for arg in std::env::args().skip(1) {
        match arg.split_once('=') {
            Some(("n", list)) => tokens = numbers(list),
            Some(("size", list)) => size = numbers(list),
            _ => types.push(DType::from_name(&arg).expect("a type's name, n=… or size=…")),
        }
    }
    if types.is_empty() {
        types = DType::all()
            .iter()
            .copied()
            .filter(|t| t.can_encode())
            .collect();
    }
    for dtype in types {
        measure(dtype, size[0], size[1], &tokens);
    }
}
