//! The operations on the cache: turning, copying, saving and loading cells.

use puna_graph::{CacheOp, Error, Result, Rope};

use super::Cpu;
use crate::kv::Plane;
use crate::run::Turns;

impl Cpu {
    /// Runs an operation on cells that there are.
    pub(super) fn cells(&self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        match op {
            CacheOp::Shift { cells, delta } => {
                for layer in 0..self.core.caches.len() {
                    self.shift(layer, cells, *delta);
                }
                Ok(None)
            }
            CacheOp::Copy { pairs } => {
                for plane in self.planes() {
                    for &(from, to) in pairs {
                        let mut row = vec![];
                        plane.save(from as usize, &mut row);
                        plane.load(to as usize, &row);
                    }
                }
                Ok(None)
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
        for &cell in cells {
            cache.k.map(cell as usize, |key| {
                let mut out = vec![0.0; key.len()];
                (self.core.kernels.rope)(rope.layout, &turns.cos, &turns.sin, key, &mut out);
                out
            });
        }
    }

    /// Keys and values of all layers.
    fn planes(&self) -> impl Iterator<Item = &Plane> {
        self.core
            .caches
            .iter()
            .flat_map(|cache| [&cache.k, &cache.v])
    }

    fn save(&self, cells: &[u32]) -> Vec<u8> {
        let mut bytes = vec![];
        for plane in self.planes() {
            for &cell in cells {
                plane.save(cell as usize, &mut bytes);
            }
        }
        bytes
    }

    fn load(&self, cells: &[u32], bytes: &[u8]) -> Result<()> {
        let expected = self.planes().map(Plane::row_bytes).sum::<usize>() * cells.len();
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
        let mut rest = bytes;
        for plane in self.planes() {
            for &cell in cells {
                let row = rest.split_off(..plane.row_bytes()).expect("length checked");
                plane.load(cell as usize, row);
            }
        }
        Ok(())
    }
}
