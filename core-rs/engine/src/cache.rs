//! The cache as the engine sees it: which cell holds which position of which sequences.
//!
//! The data lies in the executor; this is the book. Several sequences share the cells of a
//! common prefix, so a cell has a set of owners and is free when the set is empty.

use puna_graph::Cell;
use puna_graph::batch::MAX_SEQUENCES;

use crate::error::{Error, Result};

pub struct Cache {
    cells: Vec<Cell>,
}

impl Cache {
    pub fn new(n_cells: usize) -> Self {
        Cache {
            cells: vec![Cell::default(); n_cells],
        }
    }

    pub fn n_cells(&self) -> usize {
        self.cells.len()
    }

    pub fn n_free(&self) -> usize {
        self.cells.iter().filter(|c| c.seqs == 0).count()
    }

    /// The cells up to the last one in use: what a batch carries.
    pub fn used(&self) -> &[Cell] {
        let end = self.cells.iter().rposition(|c| c.seqs != 0);
        &self.cells[..end.map_or(0, |i| i + 1)]
    }

    /// Takes the lowest free cells for tokens given as `(position, sequence)`.
    ///
    /// # Errors
    /// [`Error::CacheFull`]; then nothing is taken.
    pub fn take(&mut self, tokens: &[(i32, u32)]) -> Result<Vec<u32>> {
        let free: Vec<u32> = (0..self.cells.len() as u32)
            .filter(|&c| self.cells[c as usize].seqs == 0)
            .take(tokens.len())
            .collect();
        if free.len() < tokens.len() {
            return Err(Error::CacheFull {
                wanted: tokens.len(),
                free: self.n_free(),
                n_ctx: self.cells.len(),
            });
        }
        for (&cell, &(pos, seq)) in free.iter().zip(tokens) {
            self.cells[cell as usize] = Cell {
                pos,
                seqs: 1 << seq,
            };
        }
        Ok(free)
    }

    /// Gives cells back that [`Cache::take`] took for a run that failed.
    pub fn untake(&mut self, cells: &[u32]) {
        for &c in cells {
            self.cells[c as usize] = Cell::default();
        }
    }

    /// Removes positions `from .. to` of a sequence.
    pub fn remove(&mut self, seq: u32, from: i32, to: i32) {
        for cell in &mut self.cells {
            if owns(*cell, seq) && (from..to).contains(&cell.pos) {
                cell.seqs &= !(1 << seq);
            }
        }
    }

    /// Makes positions `from .. to` of sequence `source` also `target`'s. No data moves.
    pub fn share(&mut self, source: u32, target: u32, from: i32, to: i32) {
        for cell in &mut self.cells {
            if owns(*cell, source) && (from..to).contains(&cell.pos) {
                cell.seqs |= 1 << target;
            }
        }
    }

    /// The cells of a sequence in order of their positions, and these.
    pub fn of(&self, seq: u32) -> (Vec<u32>, Vec<i32>) {
        let mut found: Vec<(i32, u32)> = (0..)
            .zip(&self.cells)
            .filter(|(_, cell)| owns(**cell, seq))
            .map(|(c, cell)| (cell.pos, c))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(pos, c)| (c, pos)).unzip()
    }

    /// How many cells a sequence owns alone.
    pub fn sole(&self, seq: u32) -> usize {
        self.cells.iter().filter(|c| c.seqs == 1 << seq).count()
    }

    /// The cells of a sequence from position `from` on, which it must own alone.
    ///
    /// # Errors
    /// A cell that is shared: its keys cannot be turned for one of its owners.
    pub fn own(&self, seq: u32, from: i32) -> Result<Vec<u32>> {
        let mine = (0..)
            .zip(&self.cells)
            .filter(|(_, cell)| owns(**cell, seq) && cell.pos >= from);
        mine.map(|(c, cell)| match cell.seqs == 1 << seq {
            true => Ok(c),
            false => {
                let expected = "a sequence that shares no cell of the range";
                Err(Error::argument("seq", seq, expected))
            }
        })
        .collect()
    }

    /// Moves the positions of cells.
    pub fn shift(&mut self, cells: &[u32], delta: i32) {
        for &c in cells {
            self.cells[c as usize].pos += delta;
        }
    }

    /// One past the last position of a sequence; 0 when it has none.
    pub fn end(&self, seq: u32) -> i32 {
        let mine = self.cells.iter().filter(|c| owns(**c, seq));
        mine.map(|c| c.pos + 1).max().unwrap_or(0)
    }
}

fn owns(cell: Cell, seq: u32) -> bool {
    debug_assert!((seq as usize) < MAX_SEQUENCES);
    cell.seqs >> seq & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_takes_nothing() {
        let mut cache = Cache::new(3);
        cache.take(&[(0, 0), (1, 0)]).expect("room");
        let error = cache.take(&[(2, 0), (3, 0)]).expect_err("full");
        assert!(error.to_string().contains("1 of n_ctx = 3"), "{error}");
        assert_eq!(cache.n_free(), 1);
    }

    #[test]
    fn a_shared_cell_is_free_when_its_last_owner_leaves() {
        let mut cache = Cache::new(4);
        cache.take(&[(0, 0), (1, 0)]).expect("room");
        cache.share(0, 5, 0, 2);
        cache.remove(0, 0, i32::MAX);
        assert_eq!((cache.n_free(), cache.end(5), cache.end(0)), (2, 2, 0));
        cache.remove(5, 1, i32::MAX);
        assert_eq!((cache.n_free(), cache.end(5)), (3, 1));
    }

    #[test]
    fn shared_cells_are_not_shifted() {
        let mut cache = Cache::new(4);
        cache.take(&[(0, 0), (1, 0)]).expect("room");
        cache.share(0, 1, 0, 1);
        assert!(cache.own(0, 0).is_err());
        let cells = cache.own(0, 1).expect("own cell");
        cache.shift(&cells, 3);
        assert_eq!((cells, cache.end(0)), (vec![1], 5));
    }
}
