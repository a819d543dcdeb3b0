//! Operations on what the cells hold, made of three small lists a layer: rows of the cache out to
//! f32 buffers, rows back in, and rows back in with their keys turned. A few dozen cells go at a
//! time, as many as those buffers hold.

use half::f16;
use puna_graph::{CacheOp, Error, KvDType, Result};

use crate::exec::GpuExecutor;
use crate::host::Host;

/// How far a save has come; kept because a host in a tab answers a read only the second time.
pub(crate) struct SaveProgress {
    cells: Vec<u32>,
    layer: usize,
    /// Cells of this layer that are done.
    done: usize,
    submitted: bool,
    k_rows: Option<Vec<u8>>,
    /// Finished layers, then this layer's K so far; this layer's V apart until K is whole.
    bytes: Vec<u8>,
    v_bytes: Vec<u8>,
}

impl<H: Host> GpuExecutor<H> {
    pub(crate) fn run_cache_op(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        if !matches!(op, CacheOp::Save { .. }) {
            self.save = None;
        }
        match op {
            CacheOp::Shift { cells, delta } => {
                self.check_cells(cells)?;
                self.shift(cells, *delta)?;
                Ok(None)
            }
            CacheOp::Copy { pairs } => {
                let cells: Vec<u32> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
                self.check_cells(&cells)?;
                self.copy(pairs)?;
                Ok(None)
            }
            CacheOp::Save { cells } => {
                self.check_cells(cells)?;
                self.save(cells)
            }
            CacheOp::Load { cells, bytes } => {
                self.check_cells(cells)?;
                self.load(cells, bytes)?;
                Ok(None)
            }
        }
    }

    fn check_cells(&self, cells: &[u32]) -> Result<()> {
        match cells.iter().find(|&&c| c as usize >= self.options.n_cells) {
            Some(c) => Err(Error::Batch(format!(
                "cell {c}, expected below {}",
                self.options.n_cells
            ))),
            None => Ok(()),
        }
    }

    fn n_layers(&self) -> usize {
        self.plan.graph.kv.len()
    }

    /// Elements of a cell's K and V in a layer.
    fn widths(&self, layer: usize) -> (usize, usize) {
        let kv = self.plan.graph.kv[layer];
        (kv.n_head_kv * kv.dim_k, kv.n_head_kv * kv.dim_v)
    }

    fn shift(&mut self, cells: &[u32], delta: i32) -> Result<()> {
        for cells in cells.chunks(self.lowered.places.n_cache_rows) {
            self.write_cache_state(cells, delta)?;
            for layer in 0..self.n_layers() {
                let lists = self.lowered.cache_lists[layer];
                if let Some(turn) = lists.turn {
                    self.submit(lists.read, cells.len(), 0)?;
                    self.submit(turn, cells.len(), 0)?;
                }
            }
        }
        Ok(())
    }

    /// Pairs in order: a chunk ends before a pair that touches a target of the same chunk, since a
    /// chunk reads all its sources before it writes.
    fn copy(&mut self, pairs: &[(u32, u32)]) -> Result<()> {
        let mut rest = pairs;
        while !rest.is_empty() {
            let mut targets = std::collections::HashSet::new();
            let most = rest.len().min(self.lowered.places.n_cache_rows);
            let n = (0..most)
                .find(|&i| {
                    let (from, to) = rest[i];
                    targets.contains(&from) || !targets.insert(to)
                })
                .unwrap_or(most);
            let (chunk, behind) = rest.split_at(n);
            let (from, to): (Vec<u32>, Vec<u32>) = chunk.iter().copied().unzip();
            for layer in 0..self.n_layers() {
                let lists = self.lowered.cache_lists[layer];
                self.write_cache_state(&from, 0)?;
                self.submit(lists.read, n, 0)?;
                self.write_cache_state(&to, 0)?;
                self.submit(lists.write, n, 0)?;
            }
            rest = behind;
        }
        Ok(())
    }

    fn save(&mut self, cells: &[u32]) -> Result<Option<Vec<u8>>> {
        let mut p = match self.save.take() {
            Some(p) if p.cells == cells => p,
            _ => SaveProgress {
                cells: cells.to_vec(),
                layer: 0,
                done: 0,
                submitted: false,
                k_rows: None,
                bytes: vec![],
                v_bytes: vec![],
            },
        };
        while p.layer < self.n_layers() && !cells.is_empty() {
            if !self.save_chunk(&mut p)? {
                self.save = Some(p);
                return Ok(None);
            }
        }
        Ok(Some(p.bytes))
    }

    /// Saves the next cells of the layer in hand; `false` while their rows are not there yet.
    fn save_chunk(&mut self, p: &mut SaveProgress) -> Result<bool> {
        let n = (p.cells.len() - p.done).min(self.lowered.places.n_cache_rows);
        let cells = &p.cells[p.done..p.done + n];
        let place = self.lowered.places.kv[p.layer];
        let (width_k, width_v) = self.widths(p.layer);
        if !p.submitted {
            self.write_cache_state(cells, 0)?;
            let list = self.lowered.cache_lists[p.layer].read;
            self.submit(list, n, 0)?;
            p.submitted = true;
        }
        if p.k_rows.is_none() {
            let n_bytes = (n * width_k * 4) as u64;
            p.k_rows = self.host.read(place.k_rows.buffer, 0, n_bytes)?;
        }
        let Some(k_rows) = &p.k_rows else {
            return Ok(false);
        };
        let n_bytes = (n * width_v * 4) as u64;
        let Some(v_rows) = self.host.read(place.v_rows.buffer, 0, n_bytes)? else {
            return Ok(false);
        };
        narrow(k_rows, self.options.type_k, &mut p.bytes);
        narrow(&v_rows, self.options.type_v, &mut p.v_bytes);
        p.k_rows = None;
        p.submitted = false;
        p.done += n;
        if p.done == p.cells.len() {
            p.bytes.append(&mut p.v_bytes);
            p.done = 0;
            p.layer += 1;
        }
        Ok(true)
    }

    fn load(&mut self, cells: &[u32], bytes: &[u8]) -> Result<()> {
        let (type_k, type_v) = (self.options.type_k, self.options.type_v);
        let row_bytes = |layer| {
            let (k, v) = self.widths(layer);
            (type_k.n_bytes(k), type_v.n_bytes(v))
        };
        let expected: usize = (0..self.n_layers())
            .map(|l| (row_bytes(l).0 + row_bytes(l).1) * cells.len())
            .sum();
        if bytes.len() != expected {
            return Err(Error::Bytes {
                what: "saved cache",
                message: format!("{} bytes, expected {expected}", bytes.len()),
            });
        }
        let rows: Vec<(usize, usize)> = (0..self.n_layers()).map(row_bytes).collect();
        let mut rest = bytes;
        for (layer, &(k_bytes, v_bytes)) in rows.iter().enumerate() {
            let (k, behind) = rest.split_at(k_bytes * cells.len());
            let (v, behind) = behind.split_at(v_bytes * cells.len());
            rest = behind;
            let most = self.lowered.places.n_cache_rows;
            let place = self.lowered.places.kv[layer];
            for (i, cells) in cells.chunks(most).enumerate() {
                let part = |all: &[u8], n: usize| -> Vec<u8> {
                    all[i * most * n..(i * most + cells.len()) * n].to_vec()
                };
                self.write_cache_state(cells, 0)?;
                self.write(place.k_rows, 0, &widen(&part(k, k_bytes), type_k))?;
                self.write(place.v_rows, 0, &widen(&part(v, v_bytes), type_v))?;
                self.submit(self.lowered.cache_lists[layer].write, cells.len(), 0)?;
            }
        }
        Ok(())
    }
}

/// f32 bytes in the cache's type, f16 or f32; exact, since they were widened from it.
fn narrow(rows: &[u8], dtype: KvDType, out: &mut Vec<u8>) {
    if dtype == KvDType::F32 {
        return out.extend_from_slice(rows);
    }
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(rows);
    out.extend(values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()));
}

fn widen(rows: &[u8], dtype: KvDType) -> Vec<u8> {
    if dtype == KvDType::F32 {
        return rows.to_vec();
    }
    let halves = rows
        .chunks_exact(2)
        .map(|b| f16::from_le_bytes([b[0], b[1]]));
    halves.flat_map(|h| h.to_f32().to_le_bytes()).collect()
}
