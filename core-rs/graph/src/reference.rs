//! The scalar interpreter: what every op means, in loops a student can check by hand.
//!
//! It is an [`Executor`] like the others, so any test can run a plan on it and on a fast backend
//! and compare. Weights are decoded to f32 at upload, sums are taken in f64, the cache is f32;
//! fused ops are run by their decomposition. Slow on purpose.

use crate::batch::{Batch, Limits};
use crate::error::{Error, Result};
use crate::executor::{CacheOp, Executor, Output, Read, Tensor};
use crate::graph::{Graph, Operand, WeightId};
use crate::op::{Attention, LinearExperts, Lookup, Norm, Op, Rope, Route, alibi_slope};
use crate::plan::Plan;

mod math;

pub use math::{SMALLEST_SUM, activate, argmax, rotate};
use math::{chosen, dot, normed, route, softcap};

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
            Op::Lookup { weight, by, .. } => {
                let n = self.plan.graph.weight(*weight).n_in();
                let row = match by {
                    Lookup::Position => batch.pos[t] as usize,
                    Lookup::Row(row) => *row as usize,
                };
                self.weight(*weight)?[row * n..][..n].to_vec()
            }
            Op::Norm { x, norm, .. } => self.norm(row(x), norm)?,
            Op::HeadNorm {
                x, n_head, norm, ..
            } => self.head_norm(row(x), *n_head, norm)?,
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
            Op::Route(r) => self.route(r, t)?,
            Op::LinearExperts(l) => self.linear_experts(l, t)?,
            Op::ScaleExperts {
                x, route, weight, ..
            } => {
                let (by, n) = (self.weight(*weight)?, 2 * x.width / route.width);
                let experts = row(x).chunks_exact(n).zip(chosen(row(route)));
                let scaled = experts.flat_map(|(x, e)| x.iter().map(move |x| x * by[e]));
                scaled.collect()
            }
            Op::Combine { x, route, .. } => self.combine(row(x), row(route)),
            Op::KvStore { .. } | Op::FusedLinear(_) | Op::RopeStore(_) => {
                unreachable!("handled by op()")
            }
        })
    }

    fn norm(&self, x: &[f32], norm: &Norm) -> Result<Vec<f32>> {
        let vector = |id: Option<WeightId>| id.map(|id| self.weight(id)).transpose();
        Ok(normed(norm, x, vector(norm.weight)?, vector(norm.bias)?))
    }

    /// Each head with its piece of the weights, or with all of them where they are one head's.
    fn head_norm(&self, x: &[f32], n_head: usize, norm: &Norm) -> Result<Vec<f32>> {
        let dim = x.len() / n_head;
        let vector = |id: Option<WeightId>| id.map(|id| self.weight(id)).transpose();
        let (weight, bias) = (vector(norm.weight)?, vector(norm.bias)?);
        let of_head = |w: &'_ [f32], h: usize| match w.len() == dim {
            true => 0..dim,
            false => h * dim..(h + 1) * dim,
        };
        let heads = x.chunks_exact(dim).enumerate().flat_map(|(h, x)| {
            let weight = weight.map(|w| &w[of_head(w, h)]);
            let bias = bias.map(|b| &b[of_head(b, h)]);
            normed(norm, x, weight, bias)
        });
        Ok(heads.collect())
    }

    fn route(&self, r: &Route, t: usize) -> Result<Vec<f32>> {
        let bias = r.bias.map(|b| self.weight(b)).transpose()?;
        Ok(route(r, self.row(r.x, t), bias))
    }

    fn linear_experts(&self, l: &LinearExperts, t: usize) -> Result<Vec<f32>> {
        let (x, n_used) = (self.row(l.x, t), l.n_used());
        let n_out = l.out.width / n_used;
        let n_in = self.plan.graph.weight(l.weights[0]).n_in();
        let mut out = Vec::with_capacity(l.out.width);
        for (s, e) in chosen(self.row(l.route, t)).enumerate() {
            let x = match x.len() == n_in {
                true => x,
                false => &x[s * n_in..][..n_in],
            };
            let w = match l.weights.as_slice() {
                [all] => &self.weight(*all)?[e * n_in * n_out..],
                each => self.weight(each[e])?,
            };
            let rows = w.chunks_exact(n_in).take(n_out);
            out.extend(rows.map(|w| dot(w, x) as f32));
        }
        Ok(out)
    }

    /// `Σ_s w[s] * x[s]`
    fn combine(&self, x: &[f32], route: &[f32]) -> Vec<f32> {
        let weights = &route[route.len() / 2..];
        let n = x.len() / weights.len();
        (0..n)
            .map(|i| {
                let pieces = x.iter().skip(i).step_by(n);
                let sum: f64 = pieces
                    .zip(weights)
                    .map(|(x, w)| *x as f64 * *w as f64)
                    .sum();
                sum as f32
            })
            .collect()
    }

    fn attention(&self, a: &Attention, batch: &Batch, t: usize) -> Vec<f32> {
        let kv = self.plan.graph.kv[a.layer];
        let [k, v] = &self.cache[a.layer];
        let q = self.row(a.q, t);
        let seen: Vec<usize> = (0..batch.cache.len())
            .filter(|&c| batch.visible(t, batch.cache[c], a.mask))
            .collect();
        let mut out = Vec::with_capacity(a.out.width);
        for h in 0..a.n_head {
            let h_kv = h / (a.n_head / kv.n_head_kv);
            let q = &q[h * kv.dim_k..][..kv.dim_k];
            let slope = a.alibi.map_or(0.0, |m| alibi_slope(m, a.n_head, h));
            let scores: Vec<f64> = seen
                .iter()
                .map(|c| {
                    let k = &k[(c * kv.n_head_kv + h_kv) * kv.dim_k..][..kv.dim_k];
                    let s = dot(q, k) as f32 * a.scale;
                    let s = a.softcap.map_or(s, |cap| softcap(s, cap));
                    let distance = (batch.pos[t] - batch.cache[*c].pos).abs();
                    (s - slope * distance as f32) as f64
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
        batch.check(&Limits::of(&self.plan, self.n_cells))?;
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
            let rope = self.plan.graph.key_rope(layer);
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
