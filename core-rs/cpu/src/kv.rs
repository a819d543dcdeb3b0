//! The K/V cache of one layer, and what can be done to its cells.
//!
//! ```text
//! k: [n_head_kv][cells / ROWS][dim_k][ROWS]    ROWS cells side by side, see `attend.rs`
//! v: [n_head_kv][cells][stride_v]              stride_v = dim_v in whole vectors, the rest is 0
//! ```
//!
//! Values too large for f16 become its largest (65504), not infinity: one such value would turn
//! every later sum into NaN.

use half::f16;
use puna_graph::{KvDType, KvLayer};

use crate::attend::CELLS;
use crate::simd::Shared;

pub(crate) struct Cache {
    pub(crate) shape: KvLayer,
    pub(crate) type_k: KvDType,
    pub(crate) type_v: KvDType,
    pub(crate) stride_v: usize,
    rows: usize,
    /// Rounded up to whole tiles.
    n_cells: usize,
    k: Shared<u8>,
    v: Shared<u8>,
}

impl Cache {
    /// `rows` is the number of lanes of the kernels.
    pub(crate) fn new(
        shape: KvLayer,
        n_cells: usize,
        type_k: KvDType,
        type_v: KvDType,
        rows: usize,
    ) -> Cache {
        let n_cells = n_cells.next_multiple_of(CELLS);
        let stride_v = shape.dim_v.next_multiple_of(rows);
        let n = shape.n_head_kv * n_cells;
        Cache {
            shape,
            type_k,
            type_v,
            stride_v,
            rows,
            n_cells,
            k: Shared::zeroed(n * shape.dim_k * type_k.n_bytes()),
            v: Shared::zeroed(n * stride_v * type_v.n_bytes()),
        }
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.k.n_bytes() + self.v.n_bytes()
    }

    /// K and V of one head.
    pub(crate) fn head(&self, head: usize) -> (&[u8], &[u8]) {
        let k = self.n_cells * self.shape.dim_k * self.type_k.n_bytes();
        let v = self.n_cells * self.stride_v * self.type_v.n_bytes();
        (
            self.k.get(head * k..(head + 1) * k),
            self.v.get(head * v..(head + 1) * v),
        )
    }

    /// Where element `d` of head `head` of a cell's key is, in elements.
    fn at_k(&self, head: usize, cell: usize, d: usize) -> usize {
        let block = (head * self.n_cells + cell) / self.rows;
        (block * self.shape.dim_k + d) * self.rows + cell % self.rows
    }

    fn at_v(&self, head: usize, cell: usize) -> usize {
        (head * self.n_cells + cell) * self.stride_v
    }

    /// Stores one head's key and value; the caller is the only one who touches this cell.
    pub(crate) fn store(&self, head: usize, cell: usize, k: &[f32], v: &[f32]) {
        self.store_k(head, cell, k);
        let at = self.at_v(head, cell);
        let n = self.type_v.n_bytes();
        let out = self.v.get_mut(at * n..(at + v.len()) * n);
        for (out, &x) in out.chunks_exact_mut(n).zip(v) {
            put(self.type_v, x, out);
        }
    }

    fn store_k(&self, head: usize, cell: usize, k: &[f32]) {
        let n = self.type_k.n_bytes();
        let first = self.at_k(head, cell, 0);
        for (d, &x) in k.iter().enumerate() {
            let at = first + d * self.rows;
            put(self.type_k, x, self.k.get_mut(at * n..(at + 1) * n));
        }
    }

    /// Replaces one head's key by `f(key)`.
    pub(crate) fn map_k(&self, head: usize, cell: usize, f: impl FnOnce(&[f32]) -> Vec<f32>) {
        let n = self.type_k.n_bytes();
        let first = self.at_k(head, cell, 0);
        let key: Vec<f32> = (0..self.shape.dim_k)
            .map(|d| {
                let at = first + d * self.rows;
                take(self.type_k, self.k.get(at * n..(at + 1) * n))
            })
            .collect();
        self.store_k(head, cell, &f(&key));
    }

    /// Bytes of one cell's K row, and of its V row, as saved.
    pub(crate) fn row_bytes(&self) -> (usize, usize) {
        let s = &self.shape;
        (
            s.n_head_kv * s.dim_k * self.type_k.n_bytes(),
            s.n_head_kv * s.dim_v * self.type_v.n_bytes(),
        )
    }

    /// Appends a cell's K row, heads in order.
    pub(crate) fn save_k(&self, cell: usize, out: &mut Vec<u8>) {
        let n = self.type_k.n_bytes();
        for head in 0..self.shape.n_head_kv {
            let first = self.at_k(head, cell, 0);
            for d in 0..self.shape.dim_k {
                let at = (first + d * self.rows) * n;
                out.extend_from_slice(self.k.get(at..at + n));
            }
        }
    }

    pub(crate) fn save_v(&self, cell: usize, out: &mut Vec<u8>) {
        let n = self.type_v.n_bytes();
        for head in 0..self.shape.n_head_kv {
            let at = self.at_v(head, cell) * n;
            out.extend_from_slice(self.v.get(at..at + self.shape.dim_v * n));
        }
    }

    /// The reverse of [`Cache::save_k`]; `row` has the right length.
    pub(crate) fn load_k(&self, cell: usize, row: &[u8]) {
        let n = self.type_k.n_bytes();
        for (head, row) in row.chunks_exact(self.shape.dim_k * n).enumerate() {
            let first = self.at_k(head, cell, 0);
            for (d, x) in row.chunks_exact(n).enumerate() {
                let at = (first + d * self.rows) * n;
                self.k.get_mut(at..at + n).copy_from_slice(x);
            }
        }
    }

    pub(crate) fn load_v(&self, cell: usize, row: &[u8]) {
        let n = self.type_v.n_bytes();
        for (head, row) in row.chunks_exact(self.shape.dim_v * n).enumerate() {
            let at = self.at_v(head, cell) * n;
            self.v.get_mut(at..at + row.len()).copy_from_slice(row);
        }
    }
}

fn put(dtype: KvDType, x: f32, out: &mut [u8]) {
    match dtype {
        KvDType::F16 => {
            let limit = f16::MAX.to_f32_const();
            let x = if x > limit { limit } else { x };
            let x = if x < -limit { -limit } else { x };
            out.copy_from_slice(&f16::from_f32(x).to_le_bytes());
        }
        KvDType::F32 => out.copy_from_slice(&x.to_le_bytes()),
    }
}

fn take(dtype: KvDType, bytes: &[u8]) -> f32 {
    match dtype {
        KvDType::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        KvDType::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
    }
}
