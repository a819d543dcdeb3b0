//! What the tests of this room share: small graphs, batches, the comparison of numbers.
#![allow(dead_code, unused_imports)] // each test file uses a part

#[cfg(feature = "wgpu")]
mod device;

#[cfg(feature = "wgpu")]
pub use device::*;

use puna_format::DType;
use puna_gpu::GpuOptions;
use puna_graph::build::Heads;
use puna_graph::{
    Act, Batch, Builder, Cell, Executor, Graph, KvDType, Mask, Norm, NormKind, Operand, Output,
    Read, Rope, RopeLayout, Rows, WeightId,
};

/// Sums of a few hundred f32 products in another order.
pub const TOLERANCE: f32 = 3e-5;
/// Keys and values rounded to f16 once.
pub const TOLERANCE_F16: f32 = 4e-3;

pub const F32_CACHE: GpuOptions = GpuOptions {
    n_cells: 80,
    type_k: KvDType::F32,
    type_v: KvDType::F32,
};
pub const F16_CACHE: GpuOptions = GpuOptions {
    n_cells: 80,
    type_k: KvDType::F16,
    type_v: KvDType::F16,
};

/// Seeded numbers in -1 … 1.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

pub fn rms(b: &mut Builder, name: &str, n: usize) -> Norm {
    Norm {
        kind: NormKind::Rms,
        weight: Some(b.weight(name, DType::F32, &[n])),
        bias: None,
        eps: 1e-5,
    }
}

/// A graph on rows of `width` handed in, whose result is kept as hidden state.
pub fn op_graph(width: usize, ops: impl FnOnce(&mut Builder, Operand) -> Operand) -> Graph {
    let mut b = Builder::new();
    let x = b.value("x", Rows::Tokens, width);
    let out = ops(&mut b, x);
    Graph {
        input: Some(x.value),
        hidden: Some(out.value),
        ..b.graph().clone()
    }
}

/// `n` tokens of one sequence behind `past` others, each in its own cell.
pub fn batch(past: usize, n: usize, width: Option<usize>) -> Batch {
    let range = past..past + n;
    Batch {
        tokens: match width {
            None => range.clone().map(|t| (t * 7 % 40) as u32).collect(),
            Some(_) => vec![],
        },
        input: width.map(|w| numbers(n * w, past as u64 * 31 + n as u64)),
        pos: range.clone().map(|t| t as i32).collect(),
        seq: vec![5; n],
        cells: range.map(|t| t as u32).collect(),
        outputs: if n > 2 {
            vec![1, n as u32 - 1]
        } else {
            vec![n as u32 - 1]
        },
        cache: (0..past + n)
            .map(|t| Cell {
                pos: t as i32,
                seqs: 1 << 5,
            })
            .collect(),
    }
}

pub fn read(executor: &mut dyn Executor, what: Read) -> Vec<f32> {
    match executor.read(what).expect("reads") {
        Some(Output::F32(values)) => values,
        other => panic!("{other:?}"),
    }
}

pub fn greedy(executor: &mut dyn Executor) -> Vec<u32> {
    match executor.read(Read::Greedy).expect("reads") {
        Some(Output::Ids(ids)) => ids,
        other => panic!("{other:?}"),
    }
}

/// Equal within `tolerance` of the largest expected value.
pub fn close(values: &[f32], expected: &[f32], tolerance: f32, label: &str) {
    assert_eq!(values.len(), expected.len(), "{label}: length");
    let largest = expected.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    for (i, (a, b)) in values.iter().zip(expected).enumerate() {
        let ok = (a - b).abs() <= tolerance * largest;
        assert!(
            ok,
            "{label}: element {i} is {a}, expected {b} (largest {largest})"
        );
    }
}

/// Sizes and switches of a test model.
#[derive(Clone)]
pub struct Shape {
    pub n_layer: usize,
    pub n_embd: usize,
    pub n_ff: usize,
    pub n_vocab: usize,
    pub n_head: usize,
    pub n_head_kv: usize,
    pub head_dim: usize,
    /// Gemma 2: norms behind attention and feed-forward, soft caps, a window in each other layer.
    pub gemma: bool,
    pub bias: bool,
    pub tied: bool,
    /// Type of a weight by its name.
    pub dtype: fn(&str) -> DType,
}

pub const TINY: Shape = Shape {
    n_layer: 2,
    n_embd: 256,
    n_ff: 512,
    n_vocab: 40,
    n_head: 4,
    n_head_kv: 2,
    head_dim: 64,
    gemma: false,
    bias: false,
    tied: false,
    dtype: |_| DType::Q4_K,
};

/// Llama 3.2 1B as Q4_K_M files have it.
pub const LLAMA_1B: Shape = Shape {
    n_layer: 16,
    n_embd: 2048,
    n_ff: 8192,
    n_vocab: 128_256,
    n_head: 32,
    n_head_kv: 8,
    head_dim: 64,
    gemma: false,
    bias: false,
    tied: true,
    dtype: q4_k_m,
};

fn q4_k_m(name: &str) -> DType {
    let layer = name.split('.').nth(1).and_then(|n| n.parse::<usize>().ok());
    let better = layer.is_some_and(|l| l % 2 == 0);
    match name {
        "token_embd" => DType::Q6_K,
        _ if better && (name.ends_with("attn_v") || name.ends_with("ffn_down")) => DType::Q6_K,
        _ => DType::Q4_K,
    }
}

impl Shape {
    /// The model's graph in simple ops.
    pub fn graph(&self) -> Graph {
        let mut b = Builder::new();
        let table = self.matrix(&mut b, "token_embd", self.n_embd, self.n_vocab);
        let mut x = b.embed("embd", table, if self.gemma { 4.0 } else { 1.0 });
        for i in 0..self.n_layer {
            b.begin_layer();
            x = self.layer(&mut b, i, x);
        }
        let x = b.select("select", x);
        let norm = rms(&mut b, "output_norm", self.n_embd);
        let x = b.norm("result_norm", x, norm);
        let output = match self.tied {
            true => table,
            false => self.matrix(&mut b, "output", self.n_embd, self.n_vocab),
        };
        let mut logits = b.linear("logits", x, output, None);
        if self.gemma {
            logits = b.softcap("logits_capped", logits, 30.0);
        }
        b.finish(None, logits)
    }

    fn matrix(&self, b: &mut Builder, name: &str, n_in: usize, n_out: usize) -> WeightId {
        b.weight(name, (self.dtype)(name), &[n_in, n_out])
    }

    fn layer(&self, b: &mut Builder, i: usize, x: Operand) -> Operand {
        let name = |s: &str| format!("blk.{i}.{s}");
        let norm = rms(b, &name("attn_norm"), self.n_embd);
        let n = b.norm(&name("normed"), x, norm);
        let y = self.attention(b, i, n);
        let x = self.residual(b, &name("attn"), x, y);
        let norm = rms(b, &name("ffn_norm"), self.n_embd);
        let n = b.norm(&name("ffn_normed"), x, norm);
        let gate = self.matrix(b, &name("ffn_gate"), self.n_embd, self.n_ff);
        let up = self.matrix(b, &name("ffn_up"), self.n_embd, self.n_ff);
        let gate = b.linear(&name("gate"), n, gate, None);
        let up = b.linear(&name("up"), n, up, None);
        let act = if self.gemma { Act::Gelu } else { Act::Silu };
        let y = b.glu(&name("glu"), gate, up, act);
        let down = self.matrix(b, &name("ffn_down"), self.n_ff, self.n_embd);
        let y = b.linear(&name("down"), y, down, None);
        self.residual(b, &name("ffn"), x, y)
    }

    fn residual(&self, b: &mut Builder, name: &str, x: Operand, y: Operand) -> Operand {
        let y = match self.gemma {
            true => {
                let norm = rms(b, &format!("{name}_post_norm"), self.n_embd);
                b.norm(&format!("{name}_post"), y, norm)
            }
            false => y,
        };
        b.add(&format!("{name}_sum"), x, y)
    }

    fn attention(&self, b: &mut Builder, i: usize, n: Operand) -> Operand {
        let name = |s: &str| format!("blk.{i}.{s}");
        let (n_q, n_kv) = (self.n_head * self.head_dim, self.n_head_kv * self.head_dim);
        let qkv = b.value(&name("qkv"), Rows::Tokens, n_q + 2 * n_kv);
        let mut column = 0;
        let mut parts = vec![];
        for (part, width) in [("attn_q", n_q), ("attn_k", n_kv), ("attn_v", n_kv)] {
            let w = self.matrix(b, &name(part), self.n_embd, width);
            let bias = self
                .bias
                .then(|| b.weight(&format!("{}.bias", name(part)), DType::F32, &[width]));
            let out = qkv.columns(column, width);
            b.linear_into(n, w, bias, out);
            column += width;
            parts.push(out);
        }
        let half = self.head_dim / 2;
        let freqs = (0..half).map(|j| 10000f32.powf(-(j as f32) / half as f32));
        let rope = Rope {
            layout: if self.gemma {
                RopeLayout::Neox
            } else {
                RopeLayout::Norm
            },
            n_rot: self.head_dim,
            freqs: b.constant("freqs", freqs.collect()),
            magnitude: 1.0,
        };
        let layer = b.kv_layer(self.n_head_kv, self.head_dim, self.head_dim);
        let q = b.rope(&name("q"), parts[0], self.n_head, rope);
        let k = b.rope(&name("k"), parts[1], self.n_head_kv, rope);
        b.kv_store(k, parts[2], layer);
        let heads = Heads {
            n_head: self.n_head,
            scale: 1.0 / (self.head_dim as f32).sqrt(),
            softcap: self.gemma.then_some(50.0),
            mask: Mask {
                causal: true,
                window: (self.gemma && i.is_multiple_of(2)).then_some(4),
            },
            alibi: None,
        };
        let y = b.attention(&name("attn"), q, layer, heads);
        let out = self.matrix(b, &name("attn_output"), n_q, self.n_embd);
        b.linear(&name("attn_out"), y, out, None)
    }
}
