//! The K/V cache of one layer, and what can be done to its cells.
//!
//! ```text
//! k: [n_head_kv][cells / ROWS][dim_k][ROWS]    ROWS cells side by side, see `attend.rs`
//! v: [n_head_kv][cells][stride_v]              stride_v = dim_v in whole vectors, the rest is 0
//! ```
//!
//! Types with scales are those of GGUF, 32 elements to a block, with codes and scales apart: a byte
//! of codes takes the place of an element above (q4_0: of two), and scales have planes of their own
//! with `dim / 32` in the place of `dim`. V is laid out as K with one cell side by side.

use half::{bf16, f16};
use puna_format::quant;
use puna_graph::{Error, KvDType, KvLayer, Result};

use crate::attend::CELLS;
use crate::simd::{Bump, Shared};

mod cells;

pub(crate) use cells::Cells;

/// Elements of a block with a scale, and of what is stored at once of other types.
const BLOCK: usize = 32;
const SCALE_BYTES: usize = 2;

pub(crate) struct Cache {
    pub(crate) shape: KvLayer,
    pub(crate) k: Plane,
    pub(crate) v: Plane,
}

impl Cache {
    /// `rows` is the number of lanes of the kernels, `memory` where cells lie.
    ///
    /// # Errors
    /// Heads that are no whole blocks of the type.
    pub(crate) fn new(
        shape: KvLayer,
        n_cells: usize,
        (type_k, type_v): (KvDType, KvDType),
        rows: usize,
        memory: &mut Bump,
    ) -> Result<Cache> {
        let k = Heads {
            name: "type_k",
            n: shape.n_head_kv,
            dim: shape.dim_k,
            stride: shape.dim_k,
            n_cells: n_cells.next_multiple_of(CELLS),
            lanes: rows,
        };
        let v = Heads {
            name: "type_v",
            dim: shape.dim_v,
            stride: shape.dim_v.next_multiple_of(rows),
            lanes: 1,
            ..k
        };
        Ok(Cache {
            shape,
            k: Plane::new(type_k, k, memory)?,
            v: Plane::new(type_v, v, memory)?,
        })
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.k.n_bytes() + self.v.n_bytes()
    }

    /// Stores one head's key and value; the caller is the only one who touches this cell.
    pub(crate) fn store(&self, head: usize, cell: usize, k: &[f32], v: &[f32]) {
        self.k.store(head, cell, k);
        self.v.store(head, cell, v);
    }
}

/// What the heads of a plane look like.
#[derive(Clone, Copy)]
struct Heads {
    /// The option that chose its type.
    name: &'static str,
    n: usize,
    /// Elements, and the same with padding.
    dim: usize,
    stride: usize,
    /// Cells, whole tiles of them, and how many lie side by side.
    n_cells: usize,
    lanes: usize,
}

/// All keys, or all values.
pub(crate) struct Plane {
    dtype: KvDType,
    heads: Heads,
    codes: Units,
    scales: Units,
}

impl Plane {
    fn new(dtype: KvDType, heads: Heads, memory: &mut Bump) -> Result<Plane> {
        if has_scales(dtype) && !heads.dim.is_multiple_of(BLOCK) {
            let (type_x, name, dim) = (heads.name, dtype.name(), heads.dim);
            return Err(Error::Unsupported {
                executor: "cpu".into(),
                message: format!(
                    "{type_x} = {name} for heads of {dim} elements, expected f16, f32 or bf16: \
                     {name} takes whole blocks of {BLOCK}"
                ),
            });
        }
        let (unit, codes, scales) = match dtype {
            KvDType::F32 => (4, heads.stride, 0),
            KvDType::F16 | KvDType::BF16 => (2, heads.stride, 0),
            KvDType::Q8_0 => (1, heads.dim, heads.dim / BLOCK),
            KvDType::Q4_0 => (1, heads.dim / 2, heads.dim / BLOCK),
        };
        let mut units = |unit, n| Units::new(unit, n, heads, memory);
        Ok(Plane {
            dtype,
            heads,
            codes: units(unit, codes)?,
            scales: units(SCALE_BYTES, scales)?,
        })
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.codes.data.n_bytes() + self.scales.data.n_bytes()
    }

    pub(crate) fn stride(&self) -> usize {
        self.heads.stride
    }

    /// Whether kernels meet f32: stored so, or decoded for them.
    pub(crate) fn is_read_as_f32(&self) -> bool {
        self.dtype != KvDType::F16
    }

    /// All cells of a head.
    pub(crate) fn head(&self, head: usize) -> Cells<'_> {
        Cells {
            dtype: self.dtype,
            stride: self.heads.stride,
            n_cells: self.codes.n_cells,
            codes: self.codes.head(head),
            scales: self.scales.head(head),
        }
    }

    /// Stores a row of one head.
    fn store(&self, head: usize, cell: usize, x: &[f32]) {
        let mut bytes = [0; 4 * BLOCK];
        for (block, x) in x.chunks(BLOCK).enumerate() {
            let bytes = &mut bytes[..self.dtype.n_bytes(x.len())];
            encode(self.dtype, x, bytes);
            self.put(head, cell, block, bytes);
        }
    }

    /// Writes a block as GGUF has it: the scale, if there is one, and the codes.
    fn put(&self, head: usize, cell: usize, block: usize, bytes: &[u8]) {
        let (scale, codes) = bytes.split_at(self.scales.unit * self.n_scales());
        self.scales.put(head, cell, block, scale);
        let first = self.n_codes(block * BLOCK);
        self.codes.put(head, cell, first, codes);
    }

    /// Units that `n` elements take.
    fn n_codes(&self, n: usize) -> usize {
        match self.dtype {
            KvDType::Q4_0 => n / 2,
            _ => n,
        }
    }

    /// Scales of a block.
    fn n_scales(&self) -> usize {
        usize::from(has_scales(self.dtype))
    }

    /// Bytes of a cell as saved: heads in order, blocks as in GGUF.
    pub(crate) fn row_bytes(&self) -> usize {
        self.heads.n * self.dtype.n_bytes(self.heads.dim)
    }

    /// Appends the row of a cell.
    pub(crate) fn save(&self, cell: usize, out: &mut Vec<u8>) {
        (0..self.heads.n).for_each(|head| self.save_head(head, cell, out));
    }

    fn save_head(&self, head: usize, cell: usize, out: &mut Vec<u8>) {
        let dim = self.heads.dim;
        for first in (0..dim).step_by(BLOCK) {
            let (block, end) = (first / BLOCK, dim.min(first + BLOCK));
            let scales = block..block + self.n_scales();
            self.scales.take(head, cell, scales, out);
            let codes = self.n_codes(first)..self.n_codes(end);
            self.codes.take(head, cell, codes, out);
        }
    }

    /// The reverse of [`Plane::save`]; `row` has the right length.
    pub(crate) fn load(&self, cell: usize, row: &[u8]) {
        for (head, row) in row.chunks_exact(row.len() / self.heads.n).enumerate() {
            for (block, bytes) in row.chunks(self.dtype.n_bytes(BLOCK)).enumerate() {
                self.put(head, cell, block, bytes);
            }
        }
    }

    /// Replaces the row of a cell by `f` of each head's; what was rounded is rounded again.
    pub(crate) fn map(&self, cell: usize, f: impl Fn(&[f32]) -> Vec<f32>) {
        let mut bytes = vec![];
        let mut row = vec![0.0; self.heads.dim];
        for head in 0..self.heads.n {
            bytes.clear();
            self.save_head(head, cell, &mut bytes);
            quant::decode_row(self.dtype.dtype(), &bytes, &mut row).expect("a row just saved");
            self.store(head, cell, &f(&row));
        }
    }
}

/// `[heads][cells / lanes][n][lanes]` units of some bytes.
struct Units {
    unit: usize,
    n: usize,
    lanes: usize,
    n_cells: usize,
    data: Shared<u8>,
}

impl Units {
    fn new(unit: usize, n: usize, heads: Heads, memory: &mut Bump) -> Result<Units> {
        let n_cells = heads.n_cells;
        let sizes = [heads.n, n_cells, n, unit].into_iter();
        let size = sizes.fold(1, usize::saturating_mul);
        Ok(Units {
            unit,
            n,
            lanes: heads.lanes,
            n_cells,
            data: memory.try_zeroed(size)?,
        })
    }

    fn head(&self, head: usize) -> &[u8] {
        let n = self.n_cells * self.n * self.unit;
        self.data.get(head * n..(head + 1) * n)
    }

    /// Where a cell's unit is, in bytes, and how far the next is from it.
    fn at(&self, head: usize, cell: usize, i: usize) -> (usize, usize) {
        let block = (head * self.n_cells + cell) / self.lanes;
        let at = (block * self.n + i) * self.lanes + cell % self.lanes;
        (at * self.unit, self.lanes * self.unit)
    }

    fn put(&self, head: usize, cell: usize, first: usize, bytes: &[u8]) {
        let (mut at, step) = self.at(head, cell, first);
        for unit in bytes.chunks_exact(self.unit) {
            self.data.get_mut(at..at + self.unit).copy_from_slice(unit);
            at += step;
        }
    }

    fn take(&self, head: usize, cell: usize, units: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let (mut at, step) = self.at(head, cell, units.start);
        for _ in units {
            out.extend_from_slice(self.data.get(at..at + self.unit));
            at += step;
        }
    }
}

fn has_scales(dtype: KvDType) -> bool {
    matches!(dtype, KvDType::Q8_0 | KvDType::Q4_0)
}

/// A block, or as many elements of a type without scales, as GGUF has it. Values too large for f16
/// become its largest (65504), not infinity: one such value would turn every later sum into NaN.
fn encode(dtype: KvDType, x: &[f32], out: &mut [u8]) {
    match dtype {
        KvDType::F32 => out.copy_from_slice(bytemuck::cast_slice(x)),
        KvDType::F16 => {
            for (x, out) in x.iter().zip(out.as_chunks_mut::<2>().0) {
                *out = f16::from_f32(within_f16(*x)).to_le_bytes();
            }
        }
        KvDType::BF16 => {
            for (x, out) in x.iter().zip(out.as_chunks_mut::<2>().0) {
                *out = bf16::from_f32(*x).to_le_bytes();
            }
        }
        KvDType::Q8_0 | KvDType::Q4_0 => {
            let mut block = [0.0; BLOCK];
            for (to, x) in block.iter_mut().zip(x) {
                *to = within_f16(*x);
            }
            // The one thing that has no encoding is NaN; a scale of NaN keeps it visible.
            if quant::encode_row(dtype.dtype(), &block, out).is_err() {
                out.fill(0);
                out[..SCALE_BYTES].copy_from_slice(&f16::NAN.to_le_bytes());
            }
        }
    }
}

/// NaN stays.
fn within_f16(x: f32) -> f32 {
    let limit = f16::MAX.to_f32_const();
    let x = if x > limit { limit } else { x };
    if x < -limit { -limit } else { x }
}
