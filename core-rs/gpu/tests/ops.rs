//! Every op on a device against the scalar interpreter, with odd sizes and 1 to 17 tokens.
#![cfg(feature = "wgpu")]

mod common;

use common::*;
use puna_format::DType;
use puna_gpu::pack::TYPES;
use puna_graph::build::Heads;
use puna_graph::{
    Act, Added, Batch, Builder, Cell, FusedLinear, Mask, Norm, NormKind, Op, Part, Read, Rope,
    RopeLayout, Rows,
};

const COUNTS: &[usize] = &[1, 2, 5, 8, 9, 17];

#[test]
fn linear_in_every_type() {
    for &dtype in TYPES {
        // More blocks than lanes, and a row of blocks that fills no pair.
        for (n_in, n_out) in [(dtype.block_len().max(11) * 3, 37), (2304, 21)] {
            let graph = op_graph(n_in, |b, x| {
                let w = b.weight("w", dtype, &[n_in, n_out]);
                b.linear("y", x, w, None)
            });
            compare_op(
                &graph,
                &[1, 3, 17],
                F32_CACHE,
                TOLERANCE,
                &format!("{dtype} {n_in}"),
            );
        }
    }
}

#[test]
fn linear_with_more_outputs_than_a_tile_and_a_bias() {
    let graph = op_graph(70, |b, x| {
        let w = b.weight("w", DType::F16, &[70, 131]);
        let bias = b.weight("bias", DType::F32, &[131]);
        b.linear("y", x, w, Some(bias))
    });
    compare_op(&graph, &[1, 4, 66], F32_CACHE, TOLERANCE, "bias");
}

#[test]
fn many_passes_of_one_workgroup() {
    let n_out = 16 * 512 * 2 + 5;
    let graph = op_graph(32, |b, x| {
        let w = b.weight("w", DType::Q8_0, &[32, n_out]);
        b.linear("y", x, w, None)
    });
    compare_op(&graph, &[1, 2], F32_CACHE, TOLERANCE, "passes");
}

fn norm(b: &mut Builder, kind: NormKind, n: usize, bias: bool, name: &str) -> Norm {
    Norm {
        kind,
        weight: Some(b.weight(&format!("{name}.weight"), DType::F32, &[n])),
        bias: bias.then(|| b.weight(&format!("{name}.bias"), DType::F32, &[n])),
        eps: 1e-5,
    }
}

#[test]
fn norms_of_both_kinds() {
    for (kind, bias) in [(NormKind::Rms, false), (NormKind::Layer, true)] {
        let graph = op_graph(301, |b, x| {
            let n = norm(b, kind, 301, bias, "n");
            b.norm("y", x, n)
        });
        compare_op(&graph, COUNTS, F32_CACHE, TOLERANCE, &format!("{kind:?}"));
    }
}

/// `norm(x + norm(delta))` in front of parts; the sum is part of the result.
fn fused(kind: NormKind, glu: Option<Act>, types: [DType; 2]) -> puna_graph::Graph {
    let (n_in, n_out) = (256, 42);
    let width = if glu.is_some() { n_out } else { 2 * n_out };
    let mut ops = vec![];
    let mut graph = op_graph(2 * n_in, |b, x| {
        let (x, delta) = (x.columns(0, n_in), x.columns(n_in, n_in));
        let post = norm(b, NormKind::Rms, n_in, false, "post");
        let pre = norm(b, kind, n_in, kind == NormKind::Layer, "pre");
        let part = |b: &mut Builder, name: &str, dtype| Part {
            weight: b.weight(name, dtype, &[n_in, n_out]),
            bias: Some(b.weight(&format!("{name}.bias"), DType::F32, &[n_out])),
        };
        let parts = vec![part(b, "a", types[0]), part(b, "b", types[1])];
        let sum = b.value("sum", Rows::Tokens, n_in);
        let out = b.value("y", Rows::Tokens, width);
        let all = b.value("all", Rows::Tokens, n_in);
        let norm = Some(post);
        ops.push(Op::FusedLinear(FusedLinear {
            x,
            add: Some(Added { delta, norm, sum }),
            norm: Some(pre),
            parts,
            glu,
            residual: None,
            softcap: None,
            out,
        }));
        // One value to look at: the sum, with the product added to its first columns.
        ops.push(Op::Scale {
            x: sum,
            by: 1.0,
            out: all,
        });
        let (a, b) = (sum.columns(0, width), out);
        ops.push(Op::Add {
            a,
            b,
            out: all.columns(0, width),
        });
        all
    });
    graph.ops = ops;
    graph
}

#[test]
fn fused_linears_equal_their_decomposition() {
    let same = [DType::Q4_K; 2];
    let apart = [DType::Q4_K, DType::Q6_K];
    for (kind, glu, types) in [
        (NormKind::Rms, None, same),
        (NormKind::Layer, None, apart),
        (NormKind::Rms, Some(Act::Silu), same),
        (NormKind::Layer, Some(Act::Gelu), apart),
    ] {
        let graph = fused(kind, glu, types);
        let label = format!("{kind:?} {glu:?} {types:?}");
        compare_op(&graph, &[1, 2, 17], F32_CACHE, TOLERANCE, &label);
    }
}

#[test]
fn elementwise_ops_on_columns() {
    let graph = op_graph(90, |b, x| {
        let (a, c) = (x.columns(3, 40), x.columns(50, 40));
        let y = b.glu("glu", a, c, Act::Gelu);
        let z = b.act("act", c, Act::Silu);
        let y = b.add("sum", y, z);
        let y = b.scale("scale", y, 30.0);
        b.softcap("cap", y, 5.0)
    });
    compare_op(&graph, COUNTS, F32_CACHE, TOLERANCE, "elementwise");
}

#[test]
fn rope_in_both_layouts_at_far_positions() {
    for layout in [RopeLayout::Norm, RopeLayout::Neox] {
        let graph = op_graph(3 * 20, |b, x| {
            let rope = Rope {
                layout,
                n_rot: 12,
                freqs: b.constant("f", vec![1.0, 0.5, 0.1, 0.02, 0.003, 0.0004]),
                magnitude: 1.3,
            };
            b.rope("y", x, 3, rope)
        });
        let Some(context) = context() else { return };
        let mut pair = Pair::new(&context, &graph, 9, F32_CACHE);
        for far in [0, 1000, 100_000] {
            let mut batch = batch(0, 9, Some(60));
            batch.pos.iter_mut().for_each(|p| *p += far);
            batch.cache.iter_mut().for_each(|c| c.pos += far);
            pair.run(&batch);
            pair.compare(Read::Hidden, TOLERANCE, &format!("{layout:?} at {far}"));
        }
    }
}

fn attention_graph(
    dim_k: usize,
    dim_v: usize,
    softcap: Option<f32>,
    window: Option<u32>,
) -> puna_graph::Graph {
    let (n_head, n_head_kv) = (6, 2);
    let (n_q, n_k, n_v) = (n_head * dim_k, n_head_kv * dim_k, n_head_kv * dim_v);
    op_graph(n_q + n_k + n_v, |b, x| {
        let layer = b.kv_layer(n_head_kv, dim_k, dim_v);
        b.kv_store(x.columns(n_q, n_k), x.columns(n_q + n_k, n_v), layer);
        let heads = Heads {
            n_head,
            scale: 0.7,
            softcap,
            mask: Mask {
                causal: true,
                window,
            },
            alibi: None,
        };
        b.attention("y", x.columns(0, n_q), layer, heads)
    })
}

#[test]
fn attention_with_odd_heads_caps_and_windows_in_both_cache_types() {
    for (dim_k, dim_v, softcap, window) in [
        (32, 32, None, None),
        (20, 12, Some(3.0), Some(5)),
        (3, 70, None, Some(1)),
    ] {
        let graph = attention_graph(dim_k, dim_v, softcap, window);
        let label = format!("{dim_k} {dim_v} {softcap:?} {window:?}");
        compare_op(&graph, &[1, 7, 17], F32_CACHE, TOLERANCE, &label);
        compare_op(&graph, &[17], F16_CACHE, TOLERANCE_F16, &label);
    }
}

#[test]
fn attention_sees_only_its_own_sequences() {
    let Some(context) = context() else { return };
    let graph = attention_graph(16, 16, None, None);
    let width = graph.values[0].width;
    let mut pair = Pair::new(&context, &graph, 12, F32_CACHE);
    // Two sequences (one above bit 31) interleaved, a cell shared by both, a free cell between.
    let seq: Vec<u32> = (0..12).map(|t| if t % 3 == 0 { 2 } else { 40 }).collect();
    let cells: Vec<u32> = (0..12).map(|t| (t * 5 % 13) as u32).collect();
    let pos: Vec<i32> = (0..12).map(|t| t / 2).collect();
    let mut cache = vec![Cell::default(); 13];
    for t in 0..12 {
        cache[cells[t] as usize] = Cell {
            pos: pos[t],
            seqs: 1 << seq[t],
        };
    }
    cache[cells[1] as usize].seqs |= 1 << 2;
    let batch = Batch {
        input: Some(numbers(12 * width, 3)),
        pos,
        seq,
        cells,
        cache,
        ..Batch::default()
    };
    pair.run(&batch);
    pair.compare(Read::Hidden, TOLERANCE, "sequences");
}

#[test]
fn attention_over_more_cells_than_a_tile() {
    let Some(context) = context() else { return };
    let graph = attention_graph(8, 8, None, None);
    let width = graph.values[0].width;
    let options = puna_gpu::GpuOptions {
        n_cells: 1300,
        ..F32_CACHE
    };
    let mut pair = Pair::new(&context, &graph, 300, options);
    for past in (0..1200).step_by(300) {
        pair.run(&batch(past, 300, Some(width)));
    }
    pair.run(&batch(1200, 1, Some(width)));
    pair.compare(Read::Hidden, TOLERANCE, "1201 cells");
}
