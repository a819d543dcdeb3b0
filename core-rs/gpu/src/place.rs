//! Places: which bytes of which buffer hold each value, weight and layer of the cache.
//!
//! Matrices that one op reads together (q, k, v; gate, up) and that have one type are stacked, so
//! that one dispatch reads them. A stack too large for one binding is cut by rows into pieces.
//! Norm weights, biases and constant tables all live in one buffer, `vectors`, as f32.

use std::collections::HashMap;

use puna_graph::{Error, KvDType, Op, Plan, Result, ValueId, WeightId};

use crate::dispatch::{Buffer, Program, Region};
use crate::pack::Layout;

mod stacks;

pub use stacks::{Piece, Run, Stack};

/// What a device can take, of all it reports what matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Largest binding of a storage buffer, in bytes.
    pub max_binding: u64,
    /// Largest buffer, in bytes.
    pub max_buffer: u64,
}

impl DeviceLimits {
    /// What every WebGPU adapter grants.
    pub const CORE: DeviceLimits = DeviceLimits {
        max_binding: 128 << 20,
        max_buffer: 256 << 20,
    };

    fn most(&self) -> u64 {
        self.max_binding.min(self.max_buffer) / 256 * 256
    }
}

/// Sizes the plan leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuOptions {
    /// Cells of the cache, shared by all sequences.
    pub n_cells: usize,
    pub type_k: KvDType,
    pub type_v: KvDType,
}

/// Everywhere a weight goes at upload.
#[derive(Clone, Debug, Default)]
pub struct WeightPlace {
    pub layout: Option<Layout>,
    pub runs: Vec<Run>,
    /// Element offsets in `vectors`.
    pub vectors: Vec<u32>,
}

/// The cache of one layer, and the f32 rows through which it is read and written.
#[derive(Clone, Copy, Debug)]
pub struct KvPlace {
    pub k: Region,
    pub v: Region,
    pub k_rows: Region,
    pub v_rows: Region,
}

/// All places; what `lower` takes regions from.
pub struct Places {
    pub vectors: Region,
    pub state: Region,
    pub cells: Region,
    pub values: HashMap<ValueId, Region>,
    /// For each matrix op (by index), its stacks with the column of `out` where each begins.
    pub stacks: HashMap<usize, Vec<(usize, usize)>>,
    pub all_stacks: Vec<Stack>,
    pub weights: Vec<WeightPlace>,
    /// Offset in `vectors` of each constant table.
    pub consts: Vec<u32>,
    /// Where each norm weight lies in `vectors`.
    pub norms: HashMap<WeightId, u32>,
    pub kv: Vec<KvPlace>,
    /// Rows of the cache that one cache list moves.
    pub n_cache_rows: usize,
}

/// Words of the head of the state buffer, and of each token behind it.
pub const STATE_HEAD: usize = 64;
pub const STATE_TOKEN: usize = 8;
/// Fewest tokens the state has room for, so that cache operations move that many cells at once.
const CACHE_ROWS: usize = 64;

/// Collects buffers and vectors while the plan is gone through.
struct Placer<'a> {
    plan: &'a Plan,
    limits: DeviceLimits,
    program: &'a mut Program,
    n_vectors: usize,
    places: Places,
}

/// Places everything a plan needs; adds the buffers to `program`.
///
/// # Errors
/// A type without kernels, or something that is larger than the device can bind.
pub fn place(
    plan: &Plan,
    limits: DeviceLimits,
    options: &GpuOptions,
    program: &mut Program,
) -> Result<Places> {
    let empty = Region {
        buffer: 0,
        offset: 0,
        size: 0,
    };
    let mut placer = Placer {
        plan,
        limits,
        program,
        n_vectors: 0,
        places: Places {
            vectors: empty,
            state: empty,
            cells: empty,
            values: HashMap::new(),
            stacks: HashMap::new(),
            all_stacks: vec![],
            weights: vec![WeightPlace::default(); plan.graph.weights.len()],
            consts: vec![],
            norms: HashMap::new(),
            kv: vec![],
            n_cache_rows: plan.n_tokens.max(CACHE_ROWS),
        },
    };
    placer.values()?;
    placer.matrices()?;
    placer.vectors()?;
    placer.cache(options)?;
    Ok(placer.places)
}

/// Values that an op touches or that cross the border; the others have no place.
fn used_values(plan: &Plan) -> Vec<ValueId> {
    let graph = &plan.graph;
    let touched = graph
        .ops
        .iter()
        .flat_map(|op| op.inputs().into_iter().chain(op.outputs()));
    let mut ids: Vec<ValueId> = touched.map(|x| x.value).chain(graph.input).collect();
    ids.extend([graph.hidden, graph.logits].into_iter().flatten());
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Placer<'_> {
    fn check(&self, name: &str, size: u64, most: u64) -> Result<()> {
        if size <= most {
            return Ok(());
        }
        Err(Error::Memory {
            executor: "gpu".into(),
            message: format!(
                "{name} needs {size} bytes in one piece, expected at most {most} on this device; \
                 take fewer tokens a batch or a shorter context"
            ),
        })
    }

    fn push_buffer(&mut self, name: &str, size: u64) -> Region {
        self.program.buffers.push(Buffer {
            name: name.to_string(),
            size,
        });
        Region {
            buffer: self.program.buffers.len() - 1,
            offset: 0,
            size,
        }
    }

    /// A buffer of at least `n_bytes`, bound as a whole.
    fn buffer(&mut self, name: &str, n_bytes: u64) -> Result<Region> {
        let size = n_bytes.max(256).next_multiple_of(256);
        self.check(name, size, self.limits.most())?;
        Ok(self.push_buffer(name, size))
    }

    /// The plan's arenas, except the logits: large, read back, and better alone.
    fn values(&mut self) -> Result<()> {
        let plan = self.plan;
        let mut arenas = vec![0; plan.arenas.len()];
        let mut slots = vec![];
        for id in used_values(plan) {
            let value = plan.graph.value(id);
            let n_bytes = plan.capacity(value.rows) as u64 * value.width as u64 * 4;
            let size = n_bytes.max(256).next_multiple_of(256);
            if Some(id) == plan.graph.logits {
                let region = self.buffer("logits", size)?;
                self.places.values.insert(id, region);
                continue;
            }
            self.check(&value.name, size, self.limits.most())?;
            let slot = plan.slot(id);
            let offset = slot.offset as u64 * 4;
            arenas[slot.arena] = (offset + size).max(arenas[slot.arena]);
            slots.push((id, slot.arena, offset, size));
        }
        let mut buffers = vec![];
        for (i, &n) in arenas.iter().enumerate() {
            let name = format!("arena {i}");
            self.check(&name, n, self.limits.max_buffer)?;
            buffers.push(self.push_buffer(&name, n.max(256)).buffer);
        }
        for (id, arena, offset, size) in slots {
            let buffer = buffers[arena];
            let region = Region {
                buffer,
                offset,
                size,
            };
            self.places.values.insert(id, region);
        }
        Ok(())
    }

    /// Norm weights and biases of norms, then the constant tables.
    fn vectors(&mut self) -> Result<()> {
        for op in &self.plan.graph.ops {
            let matrices = op.matrices();
            let biases: Vec<WeightId> = match op {
                Op::Linear { bias, .. } => bias.iter().copied().collect(),
                Op::FusedLinear(f) => f.parts.iter().filter_map(|p| p.bias).collect(),
                _ => vec![],
            };
            let embedded = matches!(op, Op::Embed { .. });
            for id in op.weights() {
                if embedded || matrices.contains(&id) || biases.contains(&id) {
                    continue;
                }
                if !self.places.norms.contains_key(&id) {
                    let at = self.n_vectors as u32;
                    self.places.norms.insert(id, at);
                    self.places.weights[id.index()].vectors.push(at);
                    self.n_vectors += self.plan.graph.weight(id).shape.iter().product::<usize>();
                }
            }
        }
        for table in &self.plan.graph.consts {
            self.places.consts.push(self.n_vectors as u32);
            self.n_vectors += table.data.len();
        }
        self.places.vectors = self.buffer("vectors", self.n_vectors as u64 * 4)?;
        Ok(())
    }

    fn cache(&mut self, options: &GpuOptions) -> Result<()> {
        for (name, dtype) in [("type_k", options.type_k), ("type_v", options.type_v)] {
            if !matches!(dtype, KvDType::F16 | KvDType::F32) {
                return Err(Error::Unsupported {
                    executor: "gpu".into(),
                    message: format!("{name} = {}, expected f16 or f32", dtype.name()),
                });
            }
        }
        let n_rows = self.places.n_cache_rows;
        let words = STATE_HEAD + STATE_TOKEN * n_rows;
        self.places.state = self.buffer("state", words as u64 * 4)?;
        self.places.cells = self.buffer("cells", options.n_cells as u64 * 16)?;
        let rows = |width: usize| n_rows as u64 * width as u64 * 4;
        let widths = |dim: fn(&puna_graph::KvLayer) -> usize| {
            let each = self.plan.graph.kv.iter().map(|kv| kv.n_head_kv * dim(kv));
            each.max().unwrap_or(0)
        };
        let (most_k, most_v) = (widths(|kv| kv.dim_k), widths(|kv| kv.dim_v));
        let k_rows = self.buffer("cache rows k", rows(most_k))?;
        let v_rows = self.buffer("cache rows v", rows(most_v))?;
        for (i, kv) in self.plan.graph.kv.iter().enumerate() {
            let bytes = |dim: usize, dtype: KvDType| {
                let elements = (dim.div_ceil(8) * 8 * kv.n_head_kv) as u64 * options.n_cells as u64;
                elements * dtype.n_bytes(1) as u64
            };
            let k = self.buffer(&format!("cache k {i}"), bytes(kv.dim_k, options.type_k))?;
            let v = self.buffer(&format!("cache v {i}"), bytes(kv.dim_v, options.type_v))?;
            self.places.kv.push(KvPlace {
                k,
                v,
                k_rows,
                v_rows,
            });
        }
        Ok(())
    }
}
