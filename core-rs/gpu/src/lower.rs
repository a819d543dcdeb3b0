//! Lowering: from a plan to dispatch lists, a pure function that knows no GPU.
//!
//! Three lists run the same ops. For *one* token a fused linear is one matrix-vector dispatch a
//! stack, its norm and residual sum recomputed by every workgroup, and `Select` is an alias. For a
//! *few* the same kernels take the tokens one beside the other. For *many* the norm is a dispatch
//! of its own and the products are tiled.

use std::collections::HashMap;

use puna_graph::{
    Act, Attention, Error, FusedLinear, Op, Operand, Part, Plan, Result, Rows, ValueId, WeightId,
};

use crate::dispatch::{Count, Extent, Program, Region};
use crate::kernels::{self as k, NONE};
use crate::place::{DeviceLimits, GpuOptions, Places, place};
use crate::steps::Steps;

mod cache;
mod linear;
mod rows;
mod scratch;

use scratch::{Scratch, aliases};

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
    let scratch = scratch::scratch(plan, limits, &places, &mut program)?;
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
        match op {
            Op::FusedLinear(f) if f.glu.is_some() && f.parts.len() != 2 => {
                let n = f.parts.len();
                return unsupported(format!("a gated unit of {n} matrices, expected 2"));
            }
            Op::Attention(a) if a.mask.window == Some(0) => {
                return unsupported("a window of 0 positions, expected 1 or more".into());
            }
            Op::Attention(a) if !a.mask.causal => {
                return unsupported("no kernels for attention to later tokens".into());
            }
            Op::Attention(Attention { alibi: Some(_), .. }) => {
                return unsupported("no kernels for attention with ALiBi".into());
            }
            Op::Lookup { .. }
            | Op::HeadNorm { .. }
            | Op::Route(_)
            | Op::LinearExperts(_)
            | Op::ScaleExperts { .. }
            | Op::Combine { .. } => {
                return unsupported(format!("no kernels for the op {}", op.name()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn act_code(act: Act) -> u32 {
    match act {
        Act::Silu => 0,
        Act::Gelu => 1,
        Act::GeluErf => 2,
        Act::GeluQuick => 3,
        Act::Relu => 4,
        Act::ReluSquared => 5,
        Act::Tanh => 6,
    }
}

/// A linear as a fused one with nothing around it.
fn plain(x: Operand, weight: WeightId, bias: Option<WeightId>, out: Operand) -> FusedLinear {
    FusedLinear {
        x,
        add: None,
        norm: None,
        parts: vec![Part { weight, bias }],
        glu: None,
        residual: None,
        softcap: None,
        out,
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
            } => self.linear(i, &plain(*x, *weight, *bias, *out))?,
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
                let (gate, up) = (self.at(*gate), self.at(*up));
                self.map(4, act_code(*act), 0.0, gate, Some(up), *out);
            }
            Op::Act { x, act, out } => {
                self.map(3, act_code(*act), 0.0, self.at(*x), None, *out);
            }
            Op::Add { a, b, out } => self.map(0, 0, 0.0, self.at(*a), Some(self.at(*b)), *out),
            Op::Scale { x, by, out } => self.map(1, 0, *by, self.at(*x), None, *out),
            Op::Softcap { x, cap, out } => self.map(2, 0, *cap, self.at(*x), None, *out),
            Op::Select { x, out } => self.select(*x, *out),
            Op::Lookup { .. }
            | Op::HeadNorm { .. }
            | Op::Route(_)
            | Op::LinearExperts(_)
            | Op::ScaleExperts { .. }
            | Op::Combine { .. } => unreachable!("refused by check()"),
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
}

/// Starts of the planes behind the first, in words; the first starts the region.
fn plane_words(planes: &[u64]) -> [u32; 3] {
    std::array::from_fn(|i| planes.get(i + 1).map_or(0, |&at| (at / 4) as u32))
}
