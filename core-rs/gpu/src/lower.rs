//! Lowering: from a plan to dispatch lists, a pure function that knows no GPU.
//!
//! Three lists run the same ops. For *one* token a fused linear is one matrix-vector dispatch a
//! stack, its norm and residual sum recomputed by every workgroup, and `Select` is an alias. For a
//! *few* the same kernels take the tokens one beside the other. For *many* the norm is a dispatch
//! of its own and the products are tiled.

use std::collections::HashMap;

use puna_graph::{
    Act, Error, FusedLinear, NormKind, Op, Operand, Part, Plan, Result, Rows, ValueId, WeightId,
};

use crate::dispatch::{Buffer, Count, Extent, Program, Region};
use crate::kernels::{self as k, NONE};
use crate::place::{DeviceLimits, GpuOptions, Places, place};
use crate::steps::Steps;

/// Most tokens for which the matrix-vector kernels are used.
pub const FEW: usize = 8;
/// Largest head that the attention kernel has room for.
const MAX_HEAD: usize = 512;
/// Enough workgroups to fill a large GPU; beyond that each makes more outputs.
const ENOUGH_GROUPS: usize = 512;
const INVOCATIONS: u64 = 256;

/// A lowered plan: what the host creates, and where the executor finds its things.
pub struct Lowered {
    pub program: Program,
    pub places: Places,
    /// Bytes to write before the first run: (buffer, offset, bytes).
    pub initial: Vec<(usize, u64, Vec<u8>)>,
    pub one: usize,
    pub few: Option<usize>,
    pub many: Option<usize>,
    /// For each layer: its cache's rows out, in, and turned by their positions (where the layer's
    /// keys are rotated).
    pub cache_lists: Vec<CacheLists>,
    pub chosen: Option<Region>,
}

#[derive(Clone, Copy, Debug)]
pub struct CacheLists {
    pub read: usize,
    pub write: usize,
    pub turn: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    Few,
    Many,
}

struct Lowering<'a> {
    plan: &'a Plan,
    options: GpuOptions,
    places: &'a Places,
    steps: Steps<'a>,
    scratch: Scratch,
    shape: Shape,
    /// In the list for one token: values that are another value.
    alias: HashMap<ValueId, ValueId>,
}

/// Buffers for what lies between dispatches of one op, and for bindings that an op does not use.
#[derive(Clone, Copy)]
struct Scratch {
    /// `[rows, n_in]`, normed, in front of a tiled product.
    normed: Region,
    /// `[rows, width]` each: gate and up where they are no stack.
    gate: Region,
    up: Region,
    parts: Region,
    chosen: Region,
    unused: [Region; 3],
}

/// Where rows of an operand lie: its value's region, first element and distance of rows in f32.
#[derive(Clone, Copy)]
struct At {
    region: Region,
    first: u32,
    stride: u32,
}

/// Lowers a plan for a device with these limits.
///
/// # Errors
/// A tensor type or shape without kernels, or a buffer larger than the device can bind.
pub fn lower(plan: &Plan, limits: DeviceLimits, options: &GpuOptions) -> Result<Lowered> {
    check(plan)?;
    let mut program = Program::default();
    let places = place(plan, limits, options, &mut program)?;
    let scratch = scratch(plan, limits, &places, &mut program)?;
    let head = Region {
        size: 256,
        ..places.state
    };
    let mut lowering = Lowering {
        plan,
        options: *options,
        places: &places,
        steps: Steps::new(&mut program, head),
        scratch,
        shape: Shape::One,
        alias: aliases(plan),
    };
    let one = lowering.list("one token", Shape::One)?;
    lowering.alias.clear();
    let few = (plan.n_tokens > 1).then(|| lowering.list("few tokens", Shape::Few));
    let many = (plan.n_tokens > FEW).then(|| lowering.list("many tokens", Shape::Many));
    let (few, many) = (few.transpose()?, many.transpose()?);
    let cache_lists = (0..plan.graph.kv.len())
        .map(|l| lowering.cache(l))
        .collect();
    let (params_buffer, params) = lowering.steps.finish();
    let mut initial = vec![(params_buffer, 0, params)];
    for (table, &at) in plan.graph.consts.iter().zip(&places.consts) {
        let bytes = bytemuck::cast_slice(&table.data).to_vec();
        initial.push((places.vectors.buffer, u64::from(at) * 4, bytes));
    }
    Ok(Lowered {
        chosen: plan.graph.logits.map(|_| scratch.chosen),
        program,
        places,
        initial,
        one,
        few,
        many,
        cache_lists,
    })
}

fn unsupported<T>(message: String) -> Result<T> {
    Err(Error::Unsupported {
        executor: "gpu".into(),
        message,
    })
}

fn check(plan: &Plan) -> Result<()> {
    if plan.n_tokens.max(plan.n_outputs) >= 1 << 24 {
        return unsupported(format!(
            "{} tokens a batch, expected below 2^24",
            plan.n_tokens
        ));
    }
    for kv in &plan.graph.kv {
        if kv.dim_k.max(kv.dim_v) > MAX_HEAD || kv.dim_k.min(kv.dim_v) == 0 {
            return unsupported(format!(
                "heads of {} and {} elements, expected 1 to {MAX_HEAD}",
                kv.dim_k, kv.dim_v
            ));
        }
    }
    for op in &plan.graph.ops {
        let Op::FusedLinear(f) = op else { continue };
        if f.glu.is_some() && f.parts.len() != 2 {
            return unsupported(format!(
                "a gated unit of {} matrices, expected 2",
                f.parts.len()
            ));
        }
    }
    Ok(())
}

/// Values that are only another value's row when a batch has one token: outputs of `Select`,
/// where nothing overwrites the original before their last reader, or writes its arena there.
fn aliases(plan: &Plan) -> HashMap<ValueId, ValueId> {
    let graph = &plan.graph;
    let mut found = HashMap::new();
    for (i, op) in graph.ops.iter().enumerate() {
        let Op::Select { x, out } = op else { continue };
        let whole = *x == graph.whole(x.value) && *out == graph.whole(out.value);
        let leaves = [graph.hidden, graph.logits].contains(&Some(out.value));
        let later = &graph.ops[i + 1..];
        let reads = |op: &Op| op.inputs().iter().any(|y| y.value == out.value);
        let last = later.iter().rposition(reads).map_or(0, |n| n + 1);
        let arena = plan.slot(x.value).arena;
        let safe = later[..last].iter().all(|op| {
            let outs = op.outputs();
            let touched = outs
                .iter()
                .any(|y| Some(y.value) != graph.logits && plan.slot(y.value).arena == arena);
            !touched
        });
        if whole && !leaves && safe {
            found.insert(out.value, x.value);
        }
    }
    found
}

/// Adds the scratch buffers.
fn scratch(
    plan: &Plan,
    limits: DeviceLimits,
    places: &Places,
    program: &mut Program,
) -> Result<Scratch> {
    let rows = plan.n_tokens.max(plan.n_outputs) as u64;
    let (mut normed, mut apart) = (0, 0);
    for (i, op) in plan.graph.ops.iter().enumerate() {
        let Op::FusedLinear(f) = op else { continue };
        if f.norm.is_some() || f.add.is_some() {
            normed = normed.max(f.x.width as u64);
        }
        if f.glu.is_some() && places.stacks[&i].len() == 2 {
            apart = apart.max(f.out.width as u64);
        }
    }
    if plan.n_tokens <= FEW {
        normed = 0;
    }
    let logits = plan.graph.logits.map_or(0, |id| plan.graph.value(id).width);
    let mut buffer = |name: &str, n_bytes: u64| {
        let size = n_bytes.max(256).next_multiple_of(256);
        if size > limits.max_binding.min(limits.max_buffer) {
            return unsupported(format!(
                "{name} needs {size} bytes; take fewer tokens a batch"
            ));
        }
        program.buffers.push(Buffer {
            name: name.into(),
            size,
        });
        Ok(Region {
            buffer: program.buffers.len() - 1,
            offset: 0,
            size,
        })
    };
    let n_outputs = plan.n_outputs as u64;
    Ok(Scratch {
        normed: buffer("normed", rows * normed * 4)?,
        gate: buffer("gate", rows * apart * 4)?,
        up: buffer("up", rows * apart * 4)?,
        parts: buffer("argmax parts", n_outputs * u64::from(n_parts(logits)) * 8)?,
        chosen: buffer("chosen", n_outputs * 4)?,
        unused: [
            buffer("unused 0", 0)?,
            buffer("unused 1", 0)?,
            buffer("unused 2", 0)?,
        ],
    })
}

/// Workgroups that share a row of logits.
fn n_parts(n_vocab: usize) -> u32 {
    n_vocab.div_ceil(2048).clamp(1, 64) as u32
}

fn act_code(act: Act) -> u32 {
    match act {
        Act::Silu => 0,
        Act::Gelu => 1,
    }
}

impl Lowering<'_> {
    fn list(&mut self, name: &str, shape: Shape) -> Result<usize> {
        self.shape = shape;
        for (i, op) in self.plan.graph.ops.iter().enumerate() {
            self.op(i, op)?;
        }
        if let Some(logits) = self.plan.graph.logits {
            self.argmax(logits);
        }
        Ok(self.steps.finish_list(name))
    }

    fn op(&mut self, i: usize, op: &Op) -> Result<()> {
        match op {
            Op::Embed { weight, scale, out } => self.embed(i, *weight, *scale, *out),
            Op::Norm { x, norm, out } => {
                let n = self.norm_params(*x, None, Some(norm));
                self.norm(n, *x, None, self.at(*out), x.width);
            }
            Op::Linear {
                x,
                weight,
                bias,
                out,
            } => {
                let part = Part {
                    weight: *weight,
                    bias: *bias,
                };
                let f = FusedLinear {
                    x: *x,
                    add: None,
                    norm: None,
                    parts: vec![part],
                    glu: None,
                    residual: None,
                    softcap: None,
                    out: *out,
                };
                self.linear(i, &f)?;
            }
            Op::FusedLinear(f) => self.linear(i, f)?,
            Op::Rope {
                x,
                n_head,
                rope,
                out,
            } => self.rope(*x, x.width / n_head, rope, *out),
            Op::KvStore { k, v, layer } => self.store(*k, *v, *layer),
            Op::RopeStore(r) => self.rope_store(r),
            Op::Attention(a) => self.attention(a),
            Op::Glu { gate, up, act, out } => {
                self.map(
                    4,
                    act_code(*act),
                    0.0,
                    self.at(*gate),
                    Some(self.at(*up)),
                    *out,
                );
            }
            Op::Act { x, act, out } => {
                self.map(3, act_code(*act), 0.0, self.at(*x), None, *out);
            }
            Op::Add { a, b, out } => self.map(0, 0, 0.0, self.at(*a), Some(self.at(*b)), *out),
            Op::Scale { x, by, out } => self.map(1, 0, *by, self.at(*x), None, *out),
            Op::Softcap { x, cap, out } => self.map(2, 0, *cap, self.at(*x), None, *out),
            Op::Select { x, out } => self.select(*x, *out),
        }
        Ok(())
    }

    fn at(&self, x: Operand) -> At {
        let value = self.alias.get(&x.value).copied().unwrap_or(x.value);
        At {
            region: self.places.values[&value],
            first: x.col as u32,
            stride: self.plan.graph.value(value).width as u32,
        }
    }

    fn count(&self, x: Operand) -> (u32, Count) {
        match self.plan.graph.value(x.value).rows {
            Rows::Tokens => (0, Count::Tokens),
            Rows::Outputs => (1, Count::Outputs),
        }
    }

    /// One invocation for each of `width` elements a row.
    fn each(&self, count: Count, width: usize) -> Extent {
        Extent {
            count,
            width: width as u64,
            per: INVOCATIONS,
            times: 1,
        }
    }

    /// `times` workgroups for each `per` rows.
    fn rows(&self, count: Count, per: u64, times: usize) -> Extent {
        Extent {
            count,
            width: 1,
            per,
            times: times as u64,
        }
    }

    fn vector(&self, id: Option<WeightId>) -> u32 {
        id.map_or(NONE, |id| self.places.norms[&id])
    }

    fn embed(&mut self, i: usize, weight: WeightId, scale: f32, out: Operand) {
        let stack = &self.places.all_stacks[self.places.stacks[&i][0].0];
        let out_at = self.at(out);
        for piece in &stack.pieces {
            let planes = plane_words(&piece.planes);
            let params = k::Embed {
                n_in: self.plan.graph.weight(weight).n_in() as u32,
                n_blocks: stack.layout.n_blocks as u32,
                first_row: piece.outputs.start as u32,
                n_rows: piece.outputs.len() as u32,
                plane_1: planes[0],
                plane_2: planes[1],
                plane_3: planes[2],
                scale,
                out_at: out_at.first,
                out_stride: out_at.stride,
            };
            let regions = [piece.region, piece.region, self.places.state, out_at.region];
            let extent = self.each(Count::Tokens, stack.layout.n_blocks * 4);
            let variant = format!("embed_{}", stack.layout.quant());
            self.steps.push(&variant, &[], &params, &regions, extent);
        }
    }

    /// The parameters that a norm and a linear have in common; `out` is left open.
    fn norm_params(
        &self,
        x: Operand,
        add: Option<puna_graph::Added>,
        norm: Option<&puna_graph::Norm>,
    ) -> k::Norm {
        let kind = |norm: Option<&puna_graph::Norm>| match norm.map(|n| n.kind) {
            None => 0,
            Some(NormKind::Rms) => 1,
            Some(NormKind::Layer) => 2,
        };
        let x_at = self.at(x);
        let post = add.and_then(|a| a.norm);
        let delta = add.map(|a| self.at(a.delta));
        let sum = add.map(|a| self.at(a.sum));
        k::Norm {
            n_in: x.width as u32,
            rows: self.count(x).0,
            x_at: x_at.first,
            x_stride: x_at.stride,
            add: add.is_some() as u32,
            delta_at: delta.map_or(0, |d| d.first),
            delta_stride: delta.map_or(0, |d| d.stride),
            write_sum: add.is_some() as u32,
            sum_at: sum.map_or(0, |s| s.first),
            sum_stride: sum.map_or(0, |s| s.stride),
            post: kind(post.as_ref()),
            post_weight: self.vector(post.and_then(|n| n.weight)),
            post_bias: self.vector(post.and_then(|n| n.bias)),
            post_eps: post.map_or(0.0, |n| n.eps),
            norm: kind(norm),
            norm_weight: self.vector(norm.and_then(|n| n.weight)),
            norm_bias: self.vector(norm.and_then(|n| n.bias)),
            norm_eps: norm.map_or(0.0, |n| n.eps),
            out_at: 0,
            out_stride: 0,
        }
    }

    fn norm(
        &mut self,
        n: k::Norm,
        x: Operand,
        add: Option<puna_graph::Added>,
        out: At,
        width: usize,
    ) {
        debug_assert_eq!(n.n_in as usize, width);
        let params = k::Norm {
            out_at: out.first,
            out_stride: out.stride,
            ..n
        };
        let none = self.places.vectors;
        let regions = [
            self.places.vectors,
            self.at(x).region,
            add.map_or(none, |a| self.at(a.delta).region),
            out.region,
            add.map_or(self.scratch.unused[0], |a| self.at(a.sum).region),
        ];
        let extent = self.rows(self.count(x).1, 1, 1);
        self.steps.push("norm", &[], &params, &regions, extent);
    }

    fn map(&mut self, what: u32, act: u32, factor: f32, a: At, b: Option<At>, out: Operand) {
        let out_at = self.at(out);
        let (rows, count) = self.count(out);
        let params = k::Map {
            what,
            act,
            factor,
            width: out.width as u32,
            rows,
            a_at: a.first,
            a_stride: a.stride,
            b_at: b.map_or(0, |b| b.first),
            b_stride: b.map_or(0, |b| b.stride),
            out_at: out_at.first,
            out_stride: out_at.stride,
        };
        let regions = [
            a.region,
            b.map_or(self.places.vectors, |b| b.region),
            out_at.region,
        ];
        let extent = self.each(count, out.width);
        self.steps.push("map", &[], &params, &regions, extent);
    }

    fn select(&mut self, x: Operand, out: Operand) {
        if self.alias.contains_key(&out.value) {
            return;
        }
        let (x_at, out_at) = (self.at(x), self.at(out));
        let params = k::Select {
            width: out.width as u32,
            x_at: x_at.first,
            x_stride: x_at.stride,
            out_at: out_at.first,
            out_stride: out_at.stride,
        };
        let regions = [self.places.state, x_at.region, out_at.region];
        let extent = self.each(Count::Outputs, out.width);
        self.steps.push("select", &[], &params, &regions, extent);
    }

    fn argmax(&mut self, logits: ValueId) {
        let x = self.at(self.plan.graph.whole(logits));
        let n_parts = n_parts(self.plan.graph.value(logits).width);
        let params = k::ArgmaxParts {
            n: self.plan.graph.value(logits).width as u32,
            n_parts,
            x_at: x.first,
            x_stride: x.stride,
        };
        let extent = self.rows(Count::Outputs, 1, n_parts as usize);
        let regions = [x.region, self.scratch.parts];
        self.steps
            .push("argmax_parts", &[], &params, &regions, extent);
        let extent = self.rows(Count::Outputs, 1, 1);
        let regions = [self.scratch.parts, self.scratch.chosen];
        self.steps.push(
            "argmax_final",
            &[],
            &k::ArgmaxFinal { n_parts },
            &regions,
            extent,
        );
    }
}

/// Starts of the planes behind the first, in words; the first starts the region.
fn plane_words(planes: &[u64]) -> [u32; 3] {
    std::array::from_fn(|i| planes.get(i + 1).map_or(0, |&at| (at / 4) as u32))
}

mod cache;
mod linear;
