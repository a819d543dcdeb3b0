//! The cache as the engine sees it: which cell holds which position of which sequences.
//!
//! The data lies in the executor; this is the book. Several sequences share the cells of a
//! common prefix, so a cell has a set of owners and is free when the set is empty.

use puna_graph::Cell;
use puna_graph::batch::MAX_SEQUENCES;

use crate::error::{Error, Result};

/// Cells that executors look at together: what of them belongs to others is work for nothing.
const BLOCK: usize = 64;

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

    /// Takes free cells for tokens given as `(position, sequence)`: the one behind the sequence's
    /// last, or the first of a free block of [`BLOCK`], so that sequences that grow side by side do
    /// not share blocks; any when there is no such block.
    ///
    /// # Errors
    /// [`Error::CacheFull`]; then nothing is taken.
    pub fn take(&mut self, tokens: &[(i32, u32)]) -> Result<Vec<u32>> {
        let n_free = self.n_free();
        if n_free < tokens.len() {
            return Err(Error::CacheFull {
                wanted: tokens.len(),
                free: n_free,
                n_ctx: self.cells.len(),
            });
        }
        let mut ends = self.ends();
        // Where the search for a free block and for a free cell goes on: nothing is freed meanwhile.
        let (mut block, mut lowest) = (0, 0);
        let mut taken = Vec::with_capacity(tokens.len());
        for &(pos, seq) in tokens {
            let end = ends[seq as usize];
            let cell = match !end.is_multiple_of(BLOCK) && self.is_free(end) {
                true => end,
                false => self
                    .free_block(&mut block)
                    .unwrap_or_else(|| self.free_cell(&mut lowest)),
            };
            self.cells[cell] = Cell {
                pos,
                seqs: 1 << seq,
            };
            ends[seq as usize] = cell + 1;
            taken.push(cell as u32);
        }
        Ok(taken)
    }

    /// For each sequence the cell behind that of its last position; 0 when it has none.
    fn ends(&self) -> [usize; MAX_SEQUENCES] {
        let mut last = [(i32::MIN, 0); MAX_SEQUENCES];
        for (c, cell) in self.cells.iter().enumerate() {
            let mut seqs = cell.seqs;
            while seqs != 0 {
                let last = &mut last[seqs.trailing_zeros() as usize];
                *last = (*last).max((cell.pos, c + 1));
                seqs &= seqs - 1;
            }
        }
        last.map(|(_, end)| end)
    }

    pub fn is_free(&self, cell: usize) -> bool {
        self.cells.get(cell).is_some_and(|c| c.seqs == 0)
    }

    /// The first cell of the next block that no sequence has a cell of.
    fn free_block(&self, from: &mut usize) -> Option<usize> {
        while *from < self.cells.len() {
            let first = *from;
            *from += BLOCK;
            let block = &self.cells[first..self.cells.len().min(first + BLOCK)];
            if block.iter().all(|c| c.seqs == 0) {
                return Some(first);
            }
        }
        None
    }

    /// The next free cell; there is one.
    fn free_cell(&self, from: &mut usize) -> usize {
        let free = self.cells[*from..].iter().position(|c| c.seqs == 0);
        *from += free.expect("counted before");
        *from
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
    fn sequences_that_grow_side_by_side_have_blocks_of_their_own() {
        let mut cache = Cache::new(4 * BLOCK);
        let prompt: Vec<_> = (0..100).map(|pos| (pos, 0)).collect();
        let expected: Vec<u32> = (0..100).collect();
        assert_eq!(cache.take(&prompt).expect("room"), expected);
        let step = |pos| [(100 + pos, 0), (pos, 1), (pos, 2)];
        assert_eq!(cache.take(&step(0)).expect("room"), [100, 128, 192]);
        assert_eq!(cache.take(&step(1)).expect("room"), [101, 129, 193]);
        // No block is left for one more: it goes into the gaps.
        assert_eq!(cache.take(&[(0, 3), (1, 3)]).expect("room"), [102, 103]);
        assert_eq!(cache.take(&step(2)).expect("room"), [104, 130, 194]);
        let rest = cache.n_free() as i32;
        let all: Vec<_> = (3..3 + rest).map(|pos| (pos, 2)).collect();
        let mut taken = cache.take(&all).expect("room");
        taken.dedup();
        assert_eq!((taken.len() as i32, cache.n_free()), (rest, 0));
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
