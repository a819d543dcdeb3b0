//! Every executor × op against the scalar interpreter: one small graph an op, from rows handed in to
//! rows read back. What the two architectures of `executors.rs` are made of is tested there.

use std::sync::Arc;

use puna_conformance::{N_CELLS, executors, made, nmse};
use puna_format::{Bytes, DType, TensorInfo, quant};
use puna_graph::build::{Heads, Routing};
use puna_graph::reference::Reference;
use puna_graph::{
    Act, Batch, Builder, Executor, Gating, Graph, KvDType, Lookup, Mask, Norm, NormKind, Operand,
    Output, Read, Rows, Tensor, WeightId,
};

/// f32 sums in another order.
const EXACT: f64 = 1e-11;
/// Activations rounded to 8 bits.
const QUANTIZED: f64 = 1e-3;

/// Batches of `sizes` tokens one after the other in one sequence, results compared after each.
fn check(what: &str, graph: &Graph, sizes: &[usize], bound: f64) {
    let n_tokens = *sizes.iter().max().expect("a size");
    let mut reference = Reference::new(graph, n_tokens, n_tokens, N_CELLS);
    upload(&mut reference, graph);
    for (name, make) in executors() {
        let Some(mut exec) = made(&name, make(graph, n_tokens, KvDType::F32)) else {
            continue;
        };
        upload(exec.as_mut(), graph);
        let mut past = 0;
        for &n in sizes {
            let batch = batch(graph, past, n);
            let expected = hidden(&mut reference, &batch);
            let error = nmse(&hidden(exec.as_mut(), &batch), &expected);
            assert!(error < bound, "{what}, {name}, {n} tokens: NMSE {error:e}");
            past += n;
        }
    }
}

fn batch(graph: &Graph, past: usize, n: usize) -> Batch {
    let width = graph.input.map_or(0, |id| graph.value(id).width);
    Batch {
        input: Some(numbers(n * width, past as u64 + 1)),
        tokens: vec![],
        ..Batch::of_sequence(&vec![0; n], past, true)
    }
}

fn hidden(exec: &mut dyn Executor, batch: &Batch) -> Vec<f32> {
    exec.run(batch).expect("run");
    match exec.read(Read::Hidden).expect("read") {
        Some(Output::F32(x)) => x,
        other => panic!("{}: expected states, got {other:?}", exec.name()),
    }
}

/// Seeded numbers between -2 and 2.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    };
    (0..n).map(|_| next()).collect()
}

fn upload(exec: &mut dyn Executor, graph: &Graph) {
    for (i, w) in graph.weights.iter().enumerate() {
        let n: usize = w.shape.iter().product();
        let mut bytes = vec![];
        for row in numbers(n, i as u64 + 100).chunks_exact(w.n_in()) {
            let at = bytes.len();
            bytes.resize(at + w.dtype.row_bytes(w.n_in()).expect("row"), 0);
            quant::encode_row(w.dtype, row, &mut bytes[at..]).expect("encode");
        }
        let tensor = Tensor {
            info: TensorInfo {
                name: w.name.clone(),
                dtype: w.dtype,
                shape: w.shape.iter().map(|&n| n as u64).collect(),
                offset: 0,
                n_bytes: bytes.len() as u64,
            },
            source: Arc::new(Bytes::new(bytes)),
        };
        exec.upload(WeightId(i as u32), &tensor).expect("upload");
    }
}

/// A graph of rows of `width` that `ops` makes something of.
fn graph(width: usize, ops: impl FnOnce(&mut Builder, Operand) -> Operand) -> Graph {
    let mut b = Builder::new();
    let x = b.value("x", Rows::Tokens, width);
    let y = ops(&mut b, x);
    let mut graph = b.finish(Some(y), None);
    graph.input = Some(x.value);
    graph
}

fn norm(b: &mut Builder, kind: NormKind, shape: &[usize]) -> Norm {
    Norm {
        kind,
        weight: Some(b.weight("norm.weight", DType::F32, shape)),
        bias: (kind == NormKind::Layer).then(|| b.weight("norm.bias", DType::F32, shape)),
        eps: 1e-5,
    }
}

#[test]
fn activation_functions() {
    for act in Act::ALL {
        let alone = graph(77, |b, x| {
            let x = b.scale("wide", x, 3.0);
            b.act("y", x, act)
        });
        check(&format!("{act:?}"), &alone, &[3, 1], EXACT);
        let gated = graph(160, |b, x| {
            b.glu("y", x.columns(0, 80), x.columns(80, 80), act)
        });
        check(&format!("{act:?}, gated"), &gated, &[3, 1], EXACT);
    }
}

#[test]
fn rows_of_tables() {
    for by in [Lookup::Position, Lookup::Row(2)] {
        for dtype in [DType::F32, DType::Q8_0] {
            let graph = graph(64, |b, x| {
                let table = b.weight("table", dtype, &[64, N_CELLS]);
                let row = b.lookup("row", table, by);
                b.add("y", x, row)
            });
            check(&format!("{by:?} {dtype}"), &graph, &[5, 1], EXACT);
        }
    }
}

#[test]
fn norms_of_heads() {
    for kind in [NormKind::Rms, NormKind::Layer] {
        for shape in [vec![24], vec![24, 4]] {
            let graph = graph(100, |b, x| {
                let norm = norm(b, kind, &shape);
                let y = b.value("y", Rows::Tokens, 96);
                b.head_norm_into(x.columns(2, 96), 4, norm, y);
                y
            });
            check(&format!("{kind:?} {shape:?}"), &graph, &[4, 1, 20], EXACT);
        }
    }
}

#[test]
fn a_layer_norm_in_front_of_a_matrix() {
    for dtype in [DType::F32, DType::Q8_0] {
        let graph = graph(96, |b, x| {
            let norm = norm(b, NormKind::Layer, &[96]);
            let normed = b.norm("normed", x, norm);
            let w = b.weight("w", dtype, &[96, 40]);
            let bias = b.weight("bias", DType::F32, &[40]);
            b.linear("y", normed, w, Some(bias))
        });
        let bound = if dtype == DType::F32 {
            EXACT
        } else {
            QUANTIZED
        };
        check(&format!("layer norm, {dtype}"), &graph, &[5, 1, 20], bound);
    }
}

#[test]
fn attention_of_encoders_and_with_alibi() {
    let (n_head, n_head_kv, dim) = (6, 3, 20);
    let (n_q, n_kv) = (n_head * dim, n_head_kv * dim);
    for causal in [true, false] {
        for (window, alibi) in [
            (None, Some(8.0)),
            (Some(6), None),
            (Some(6), Some(4.0)),
            (None, None),
        ] {
            let graph = graph(n_q + 2 * n_kv, |b, x| {
                let layer = b.kv_layer(n_head_kv, dim, dim);
                b.kv_store(x.columns(n_q, n_kv), x.columns(n_q + n_kv, n_kv), layer);
                let heads = Heads {
                    n_head,
                    scale: 0.2,
                    softcap: None,
                    mask: Mask { causal, window },
                    alibi,
                };
                b.attention("y", x.columns(0, n_q), layer, heads)
            });
            let what = format!("causal {causal}, window {window:?}, ALiBi {alibi:?}");
            check(&what, &graph, &[17, 1, 30], EXACT);
        }
    }
}

#[test]
fn routes() {
    for gating in [Gating::Softmax, Gating::Sigmoid] {
        for (biased, normalize) in [(false, true), (true, false), (true, true)] {
            let graph = graph(37, |b, x| {
                let bias = biased.then(|| b.weight("bias", DType::F32, &[37]));
                let routing = Routing {
                    gating,
                    bias,
                    n_used: 5,
                    normalize,
                    scale: 1.5,
                };
                b.route("y", x, routing)
            });
            let what = format!("{gating:?}, bias {biased}, normalize {normalize}");
            check(&what, &graph, &[9, 1], EXACT);
        }
    }
}

/// Router, gated unit and sum of `n_used` of `n_expert`; `apart`: a tensor for each expert.
fn experts(dtype: DType, [n_embd, n_ff]: [usize; 2], apart: bool) -> Graph {
    let (n_expert, n_used) = (7, 3);
    graph(n_embd, |b, x| {
        let router = b.weight("router", DType::F32, &[n_embd, n_expert]);
        let scores = b.linear("scores", x, router, None);
        let routing = Routing {
            gating: Gating::Softmax,
            bias: None,
            n_used,
            normalize: true,
            scale: 1.0,
        };
        let route = b.route("route", scores, routing);
        let weights = |b: &mut Builder, name: &str, n_in: usize, n_out: usize| match apart {
            false => vec![b.weight(name, dtype, &[n_in, n_out, n_expert])],
            true => (0..n_expert)
                .map(|e| b.weight(&format!("{name}.{e}"), dtype, &[n_in, n_out]))
                .collect(),
        };
        let [gate, up] = ["gate", "up"].map(|name| {
            let weights = weights(b, name, n_embd, n_ff);
            b.linear_experts(&format!("{name}s"), x, route, weights, n_expert)
        });
        let y = b.glu("glu", gate, up, Act::Silu);
        let weights = weights(b, "down", n_ff, n_embd);
        let y = b.linear_experts("downs", y, route, weights, n_expert);
        b.combine("y", y, route)
    })
}

#[test]
fn mixtures_of_experts() {
    let sizes = &[1, 2, 25, 1];
    for apart in [false, true] {
        for (dtype, bound) in [
            (DType::F32, EXACT),
            (DType::F16, EXACT),
            (DType::Q8_0, QUANTIZED),
            (DType::Q4_0, QUANTIZED),
        ] {
            let what = format!("{dtype}, apart {apart}");
            // Rows of an expert that are whole groups of the packed form, and that are not.
            check(&what, &experts(dtype, [64, 96], apart), sizes, bound);
            if dtype == DType::F32 {
                check(&what, &experts(dtype, [50, 27], apart), sizes, bound);
            }
        }
    }
}

#[test]
fn experts_whose_rows_share_packed_groups() {
    // 40 rows an expert are two groups and a half.
    let graph = graph(64, |b, x| {
        let routing = Routing {
            gating: Gating::Sigmoid,
            bias: None,
            n_used: 2,
            normalize: false,
            scale: 1.0,
        };
        let route = b.route("route", x.columns(0, 5), routing);
        let w = b.weight("w", DType::Q8_0, &[64, 40, 5]);
        b.linear_experts("y", x, route, vec![w], 5)
    });
    check("40 rows", &graph, &[1, 30, 4], QUANTIZED);
}
