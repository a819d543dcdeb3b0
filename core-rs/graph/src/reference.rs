//! The scalar interpreter: what every op means, in loops a student can check by hand.
//!
//! It is an [`Executor`] like the others, so any test can run a plan on it and on a fast backend
//! and compare. Weights are decoded to f32 at upload, sums are taken in f64, the cache is f32;
//! fused ops are run by their decomposition. Slow on purpose.

use crate::batch::{Batch, Limits};
use crate::error::{Error, Result};
use crate::executor::{CacheOp, Executor, Output, Read, Tensor};
use crate::graph::{Graph, Operand, WeightId};
use crate::op::{Act, Attention, Norm, NormKind, Op, Rope, RopeLayout};
use crate::plan::Plan;

/// Runs a graph in scalar f32 with f64 sums.
pub struct Reference {
    plan: Plan,
    weights: Vec<Option<Vec<f32>>>,
    arenas: Vec<Vec<f32>>,
    /// For each layer K then V: `[n_cells, n_head_kv * dim]`.
    cache: Vec<[Vec<f32>; 2]>,
    n_cells: usize,
    n_outputs: usize,
    n_tokens: usize,
}

impl Reference {
    /// An interpreter of `graph` for batches up to these sizes and a cache of `n_cells`.
    pub fn new(graph: &Graph, n_tokens: usize, n_outputs: usize, n_cells: usize) -> Reference {
        let plan = Plan::new(graph.decomposed(), n_tokens, n_outputs);
        let cells = |width: usize| vec![0.0; n_cells * width];
        let cache = plan
            .graph
            .kv
            .iter()
            .map(|kv| {
                [
                    cells(kv.n_head_kv * kv.dim_k),
                    cells(kv.n_head_kv * kv.dim_v),
                ]
            })
            .collect();
        Reference {
            weights: vec![None; plan.graph.weights.len()],
            arenas: plan.arenas.iter().map(|&n| vec![f32::NAN; n]).collect(),
            cache,
            n_cells,
            n_outputs: 0,
            n_tokens: 0,
            plan,
        }
    }

    /// Row `row` of an operand after the last run; how tests look inside.
    pub fn row(&self, x: Operand, row: usize) -> &[f32] {
        let (arena, at) = self.plan.at(x, row);
        &self.arenas[arena][at..at + x.width]
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn row_mut(&mut self, x: Operand, row: usize) -> &mut [f32] {
        let (arena, at) = self.plan.at(x, row);
        &mut self.arenas[arena][at..at + x.width]
    }

    fn weight(&self, id: WeightId) -> Result<&[f32]> {
        self.weights[id.index()]
            .as_deref()
            .ok_or_else(|| Error::Weight {
                name: self.plan.graph.weight(id).name.clone(),
                message: "not uploaded".into(),
            })
    }

    fn rows_of(&self, x: Operand, batch: &Batch) -> usize {
        batch.n_rows(self.plan.graph.value(x.value).rows)
    }

    fn op(&mut self, op: &Op, batch: &Batch) -> Result<()> {
        match op {
            Op::KvStore { k, v, layer } => {
                for t in 0..batch.n_tokens() {
                    let cell = batch.cells[t] as usize;
                    for (side, x) in [k, v].into_iter().enumerate() {
                        let row = self.row(*x, t).to_vec();
                        self.cache[*layer][side][cell * x.width..][..x.width].copy_from_slice(&row);
                    }
                }
                Ok(())
            }
            Op::FusedLinear(_) | Op::RopeStore(_) => unreachable!("decomposed in new()"),
            _ => {
                let out = op.outputs()[0];
                for row in 0..self.rows_of(out, batch) {
                    let result = self.op_row(op, batch, row)?;
                    self.row_mut(out, row).copy_from_slice(&result);
                }
                Ok(())
            }
        }
    }

    /// One row of the output of any op that has one.
    fn op_row(&self, op: &Op, batch: &Batch, t: usize) -> Result<Vec<f32>> {
        let row = |x: &Operand| self.row(*x, t);
        Ok(match op {
            Op::Embed { weight, scale, .. } => {
                let n = self.plan.graph.weight(*weight).n_in();
                let id = batch.tokens[t] as usize;
                let table = self.weight(*weight)?;
                table[id * n..][..n].iter().map(|w| w * scale).collect()
            }
            Op::Norm { x, norm, .. } => self.norm(row(x), norm)?,
            Op::Linear {
                x, weight, bias, ..
            } => {
                let w = self.weight(*weight)?;
                let bias = bias.map(|b| self.weight(b)).transpose()?;
                let x = row(x);
                w.chunks_exact(x.len())
                    .enumerate()
                    .map(|(o, w)| (dot(w, x) + bias.map_or(0.0, |b| b[o] as f64)) as f32)
                    .collect()
            }
            Op::Rope {
                x, n_head, rope, ..
            } => {
                let freqs = self.plan.graph.constant(rope.freqs);
                let mut y = row(x).to_vec();
                for head in y.chunks_exact_mut(x.width / n_head) {
                    rotate(head, rope, freqs, batch.pos[t]);
                }
                y
            }
            Op::Attention(a) => self.attention(a, batch, t),
            Op::Glu { gate, up, act, .. } => row(gate)
                .iter()
                .zip(row(up))
                .map(|(g, u)| activate(*act, *g) * u)
                .collect(),
            Op::Act { x, act, .. } => row(x).iter().map(|x| activate(*act, *x)).collect(),
            Op::Add { a, b, .. } => row(a).iter().zip(row(b)).map(|(a, b)| a + b).collect(),
            Op::Scale { x, by, .. } => row(x).iter().map(|x| x * by).collect(),
            Op::Softcap { x, cap, .. } => row(x).iter().map(|x| softcap(*x, *cap)).collect(),
            Op::Select { x, .. } => self.row(*x, batch.outputs[t] as usize).to_vec(),
            Op::KvStore { .. } | Op::FusedLinear(_) | Op::RopeStore(_) => {
                unreachable!("handled by op()")
            }
        })
    }

    fn norm(&self, x: &[f32], norm: &Norm) -> Result<Vec<f32>> {
        let n = x.len() as f64;
        let mean = match norm.kind {
            NormKind::Rms => 0.0,
            NormKind::Layer => x.iter().map(|&v| v as f64).sum::<f64>() / n,
        };
        let var = x.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / n;
        let scale = 1.0 / (var + norm.eps as f64).sqrt();
        let mut y: Vec<f32> = x
            .iter()
            .map(|&v| ((v as f64 - mean) * scale) as f32)
            .collect();
        if let Some(w) = norm.weight {
            y.iter_mut().zip(self.weight(w)?).for_each(|(y, w)| *y *= w);
        }
        if let Some(b) = norm.bias {
            y.iter_mut().zip(self.weight(b)?).for_each(|(y, b)| *y += b);
        }
        Ok(y)
    }

    fn attention(&self, a: &Attention, batch: &Batch, t: usize) -> Vec<f32> {
        let kv = self.plan.graph.kv[a.layer];
        let [k, v] = &self.cache[a.layer];
        let q = self.row(a.q, t);
        let seen: Vec<usize> = (0..batch.cache.len())
            .filter(|&c| batch.visible(t, batch.cache[c], a.window))
            .collect();
        let mut out = Vec::with_capacity(a.out.width);
        for h in 0..a.n_head {
            let h_kv = h / (a.n_head / kv.n_head_kv);
            let q = &q[h * kv.dim_k..][..kv.dim_k];
            let scores: Vec<f64> = seen
                .iter()
                .map(|c| {
                    let k = &k[(c * kv.n_head_kv + h_kv) * kv.dim_k..][..kv.dim_k];
                    let s = dot(q, k) as f32 * a.scale;
                    a.softcap.map_or(s, |cap| softcap(s, cap)) as f64
                })
                .collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
            let total: f64 = weights.iter().sum();
            out.extend((0..kv.dim_v).map(|d| {
                let sum: f64 = seen
                    .iter()
                    .zip(&weights)
                    .map(|(c, w)| w * v[(c * kv.n_head_kv + h_kv) * kv.dim_v + d] as f64)
                    .sum();
                (sum / total) as f32
            }));
        }
        out
    }

    fn rows(&self, x: Operand, n: usize) -> Vec<f32> {
        (0..n).flat_map(|r| self.row(x, r).to_vec()).collect()
    }

    fn limits(&self) -> Limits {
        let graph = &self.plan.graph;
        let n_vocab = graph.ops.iter().find_map(|op| match op {
            Op::Embed { weight, .. } => Some(graph.weight(*weight).n_out()),
            _ => None,
        });
        Limits {
            n_tokens: self.plan.n_tokens,
            n_outputs: self.plan.n_outputs,
            n_cells: self.n_cells,
            n_vocab: n_vocab.unwrap_or(usize::MAX),
            n_embd: graph.input.map_or(0, |id| graph.value(id).width),
        }
    }

    /// The rope of the keys that `layer` stores.
    fn key_rope(&self, layer: usize) -> Option<Rope> {
        let graph = &self.plan.graph;
        graph.ops.iter().find_map(|store| match store {
            Op::KvStore { k, layer: l, .. } if *l == layer => {
                graph.ops.iter().find_map(|op| match op {
                    Op::Rope { rope, out, .. } if out.value == k.value => Some(*rope),
                    _ => None,
                })
            }
            _ => None,
        })
    }
}

impl Executor for Reference {
    fn name(&self) -> String {
        "reference (scalar f32)".into()
    }

    fn upload(&mut self, id: WeightId, tensor: &Tensor) -> Result<()> {
        let weight = self.plan.graph.weight(id);
        let n: usize = weight.shape.iter().product();
        let mut bytes = vec![0; tensor.info.n_bytes as usize];
        tensor.source.read_at(tensor.info.offset, &mut bytes)?;
        let mut values = vec![0.0; n];
        puna_format::quant::decode_row(tensor.info.dtype, &bytes, &mut values)?;
        self.weights[id.index()] = Some(values);
        Ok(())
    }

    fn run(&mut self, batch: &Batch) -> Result<()> {
        batch.check(&self.limits())?;
        if let (Some(id), Some(rows)) = (self.plan.graph.input, &batch.input) {
            let x = self.plan.graph.whole(id);
            for (t, row) in rows.chunks_exact(x.width).enumerate() {
                self.row_mut(x, t).copy_from_slice(row);
            }
        }
        (self.n_outputs, self.n_tokens) = (batch.outputs.len(), batch.n_tokens());
        for i in 0..self.plan.graph.ops.len() {
            let op = self.plan.graph.ops[i].clone();
            self.op(&op, batch)?;
        }
        Ok(())
    }

    fn read(&mut self, what: Read) -> Result<Option<Output>> {
        let graph = &self.plan.graph;
        let absent = |what: &str| Error::Unsupported {
            executor: "reference".into(),
            message: format!("this plan has no {what}"),
        };
        let (id, name) = match what {
            Read::Hidden => (graph.hidden, "hidden states"),
            Read::Logits | Read::Greedy => (graph.logits, "logits"),
        };
        let x = graph.whole(id.ok_or_else(|| absent(name))?);
        let n = match graph.value(x.value).rows {
            crate::Rows::Tokens => self.n_tokens,
            crate::Rows::Outputs => self.n_outputs,
        };
        let rows = self.rows(x, n);
        Ok(Some(match what {
            Read::Greedy => Output::Ids(rows.chunks_exact(x.width).map(argmax).collect()),
            _ => Output::F32(rows),
        }))
    }

    fn cache(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        for layer in 0..self.cache.len() {
            let kv = self.plan.graph.kv[layer];
            let rope = self.key_rope(layer);
            let widths = [kv.n_head_kv * kv.dim_k, kv.n_head_kv * kv.dim_v];
            match op {
                CacheOp::Shift { cells, delta } => {
                    let Some(rope) = rope else { continue };
                    let freqs = self.plan.graph.constant(rope.freqs);
                    // Turning once more must not scale once more.
                    let turn = Rope {
                        magnitude: 1.0,
                        ..rope
                    };
                    for &c in cells {
                        let row = &mut self.cache[layer][0][c as usize * widths[0]..][..widths[0]];
                        row.chunks_exact_mut(kv.dim_k)
                            .for_each(|head| rotate(head, &turn, freqs, *delta));
                    }
                }
                CacheOp::Copy { pairs } => {
                    for &(from, to) in pairs {
                        for (side, w) in widths.into_iter().enumerate() {
                            let from = from as usize * w;
                            self.cache[layer][side].copy_within(from..from + w, to as usize * w);
                        }
                    }
                }
                CacheOp::Save { .. } | CacheOp::Load { .. } => {
                    return Err(Error::Unsupported {
                        executor: "reference".into(),
                        message: "saving a cache".into(),
                    });
                }
            }
        }
        Ok(None)
    }

    fn n_bytes(&self) -> u64 {
        let weights: usize = self.weights.iter().flatten().map(Vec::len).sum();
        let arenas: usize = self.arenas.iter().map(Vec::len).sum();
        let cache: usize = self.cache.iter().flatten().map(Vec::len).sum();
        4 * (weights + arenas + cache) as u64
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum()
}

fn softcap(x: f32, cap: f32) -> f32 {
    cap * (x / cap).tanh()
}

/// The definition of [`Act`].
pub fn activate(act: Act, x: f32) -> f32 {
    match act {
        Act::Silu => x / (1.0 + (-x).exp()),
        Act::Gelu => {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
    }
}

/// The definition of [`Rope`] on one head at position `pos`.
pub fn rotate(head: &mut [f32], rope: &Rope, freqs: &[f32], pos: i32) {
    for (i, freq) in freqs.iter().enumerate() {
        let (a, b) = match rope.layout {
            RopeLayout::Norm => (2 * i, 2 * i + 1),
            RopeLayout::Neox => (i, i + rope.n_rot / 2),
        };
        let (sin, cos) = (pos as f32 * freq).sin_cos();
        let (x, y) = (head[a], head[b]);
        head[a] = (x * cos - y * sin) * rope.magnitude;
        head[b] = (x * sin + y * cos) * rope.magnitude;
    }
}

/// The lowest index of the largest value.
pub fn argmax(x: &[f32]) -> u32 {
    let mut best = 0;
    for (i, v) in x.iter().enumerate() {
        if *v > x[best] {
            best = i;
        }
    }
    best as u32
}
