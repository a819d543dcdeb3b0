//! The operations on the cache: turning, copying, saving and loading cells.

use puna_graph::{CacheOp, Error, Result, Rope};

use super::Cpu;
use crate::kv::Cache;
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
                for cache in &self.core.caches {
                    for &(from, to) in pairs {
                        let (mut k, mut v) = (vec![], vec![]);
                        cache.save_k(from as usize, &mut k);
                        cache.save_v(from as usize, &mut v);
                        cache.load_k(to as usize, &k);
                        cache.load_v(to as usize, &v);
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
            for head in 0..cache.shape.n_head_kv {
                cache.map_k(head, cell as usize, |key| {
                    let mut out = vec![0.0; key.len()];
                    (self.core.kernels.rope)(rope.layout, &turns.cos, &turns.sin, key, &mut out);
                    out
                });
            }
        }
    }

    fn save(&self, cells: &[u32]) -> Vec<u8> {
        let mut bytes = vec![];
        for cache in &self.core.caches {
            for &cell in cells {
                cache.save_k(cell as usize, &mut bytes);
            }
            for &cell in cells {
                cache.save_v(cell as usize, &mut bytes);
            }
        }
        bytes
    }

    fn load(&self, cells: &[u32], bytes: &[u8]) -> Result<()> {
        let rows = self.core.caches.iter().map(Cache::row_bytes);
        let expected: usize = rows.map(|(k, v)| (k + v) * cells.len()).sum();
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
        for cache in &self.core.caches {
            let (k, v) = cache.row_bytes();
            for &cell in cells {
                let row = rest.split_off(..k).expect("length checked");
                cache.load_k(cell as usize, row);
            }
            for &cell in cells {
                let row = rest.split_off(..v).expect("length checked");
                cache.load_v(cell as usize, row);
            }
        }
        Ok(())
    }
}
