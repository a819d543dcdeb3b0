//! The operations on the cache: turning, copying, saving and loading cells.

use puna_graph::{CacheOp, Error, Mask, Result, Rope};

use super::Cpu;
use crate::kv::Plane;
use crate::run::Turns;
use crate::windows::Window;

impl Cpu {
    /// Runs an operation on cells that there are.
    pub(super) fn cells(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        match op {
            CacheOp::Shift { cells, delta } => {
                for layer in 0..self.core.caches.len() {
                    self.shift(layer, cells, *delta);
                }
                Ok(None)
            }
            CacheOp::Copy { pairs } => {
                let (from, to): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
                let bytes = self.save(&from);
                self.load(&to, &bytes).map(|()| None)
            }
            CacheOp::Save { cells } => Ok(Some(self.save(cells))),
            CacheOp::Load { cells, bytes } => self.load(cells, bytes).map(|()| None),
        }
    }

    pub(super) fn check_cells(&self, op: &CacheOp) -> Result<()> {
        let named = match op {
            CacheOp::Shift { cells, .. }
            | CacheOp::Save { cells }
            | CacheOp::Load { cells, .. } => cells.iter().max().copied(),
            CacheOp::Copy { pairs } => pairs.iter().map(|p| p.0.max(p.1)).max(),
        };
        match named {
            Some(cell) if cell as usize >= self.n_cells => Err(Error::Batch(format!(
                "cell {cell}, expected below {}",
                self.n_cells
            ))),
            _ => Ok(()),
        }
    }

    /// Turns keys that were stored turned: angles add up, so the table of `delta` does it. The
    /// magnitude is in the keys already.
    fn shift(&self, layer: usize, cells: &[u32], delta: i32) {
        let Some(rope) = self.core.plan.graph.key_rope(layer) else {
            return;
        };
        let rope = Rope {
            magnitude: 1.0,
            ..rope
        };
        let turns = Turns::new(&rope, self.core.plan.graph.constant(rope.freqs), &[delta]);
        let cache = &self.core.caches[layer];
        for cell in cells.iter().filter_map(|&cell| self.place(layer, cell)) {
            cache.k.map(cell, |key| {
                let mut out = vec![0.0; key.len()];
                (self.core.kernels.rope)(rope.layout, &turns.cos, &turns.sin, key, &mut out);
                out
            });
        }
    }

    /// Where a layer has a cell; `None` where it has given it up.
    fn place(&self, layer: usize, cell: u32) -> Option<usize> {
        let Some(mask) = self.core.windows[layer] else {
            return Some(cell as usize);
        };
        let window = self.windows.iter().find(|w| w.mask() == mask)?;
        window.place(cell).map(|place| place as usize)
    }

    /// Keys and values of all layers, and whose they are.
    fn planes(&self) -> impl Iterator<Item = (usize, &Plane)> {
        let caches = self.core.caches.iter().enumerate();
        caches.flat_map(|(layer, cache)| [(layer, &cache.k), (layer, &cache.v)])
    }

    /// Rows of zeros stand for what a layer has given up.
    fn save(&self, cells: &[u32]) -> Vec<u8> {
        let mut bytes = vec![];
        for (layer, plane) in self.planes() {
            for &cell in cells {
                match self.place(layer, cell) {
                    Some(place) => plane.save(place, &mut bytes),
                    None => bytes.resize(bytes.len() + plane.row_bytes(), 0),
                }
            }
        }
        bytes
    }

    /// The saved cells that the layers of a mask had not given up, see [`Cpu::save`].
    fn kept(&self, mask: Mask, cells: &[u32], bytes: &[u8]) -> Vec<u32> {
        let mut rest = bytes;
        for (layer, plane) in self.planes() {
            let (rows, behind) = rest.split_at(plane.row_bytes() * cells.len());
            if self.core.windows[layer] == Some(mask) {
                let rows = rows.chunks_exact(plane.row_bytes());
                let is_there = |row: &[u8]| row.iter().any(|&b| b != 0);
                let there = cells.iter().zip(rows).filter(|(_, row)| is_there(row));
                return there.map(|(&cell, _)| cell).collect();
            }
            rest = behind;
        }
        cells.to_vec()
    }

    fn load(&mut self, cells: &[u32], bytes: &[u8]) -> Result<()> {
        let rows = self.planes().map(|(_, plane)| plane.row_bytes());
        let expected = rows.sum::<usize>() * cells.len();
        if bytes.len() != expected {
            return Err(Error::Bytes {
                what: "saved cache",
                message: format!(
                    "{} bytes, expected {expected} for {} cells",
                    bytes.len(),
                    cells.len()
                ),
            });
        }
        let kept = |w: &Window| self.kept(w.mask(), cells, bytes);
        let kept: Vec<_> = self.windows.iter().map(kept).collect();
        for (window, kept) in self.windows.iter_mut().zip(&kept) {
            window.fill(cells, kept);
        }
        let mut rest = bytes;
        for (layer, plane) in self.planes() {
            for &cell in cells {
                let row = rest.split_off(..plane.row_bytes()).expect("length checked");
                if let Some(place) = self.place(layer, cell) {
                    plane.load(place, row);
                }
            }
        }
        Ok(())
    }
}
