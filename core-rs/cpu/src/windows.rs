//! Layers with a sliding window keep only the cells that a window can still see.
//!
//! Such a layer has few places. A cell of the book (the engine's, one for all layers) has a place
//! while its token can be seen; cells that have slid out make way when others need their places.
//! Layers of one window share one [`Window`], which translates a batch from cells to places:
//! attention and stores then work as they do with cells.

use puna_graph::batch::MAX_SEQUENCES;
use puna_graph::{Batch, Cell, Error, Graph, Mask, Op, Result};

/// No place.
const NONE: u32 = u32::MAX;

/// The window of each layer of the cache, where it has one that frees cells.
pub(crate) fn of_layers(graph: &Graph) -> Vec<Option<u32>> {
    let mut windows = vec![None; graph.kv.len()];
    for op in &graph.ops {
        if let Op::Attention(a) = op {
            windows[a.layer] = a.mask.window.filter(|_| a.mask.causal);
        }
    }
    windows
}

/// Places of a layer: those that `n_seq` windows see, and those of a batch.
pub(crate) fn n_places(window: u32, n_seq: usize, n_tokens: usize, n_cells: usize) -> usize {
    let seen = (window as usize).saturating_mul(n_seq);
    seen.saturating_add(n_tokens).min(n_cells)
}

/// The windows of the layers that have fewer places than there are cells, and the mask of each layer
/// that has one.
pub(crate) fn of(
    graph: &Graph,
    n_places: &[usize],
    n_cells: usize,
) -> (Vec<Window>, Vec<Option<Mask>>) {
    let mut windows: Vec<Window> = vec![];
    let layers = of_layers(graph).into_iter().zip(n_places);
    let masks = layers.map(|(size, &n_places)| {
        let window = Window::new(size.filter(|_| n_places < n_cells)?, n_places, n_cells);
        let mask = window.mask();
        if windows.iter().all(|w| w.mask() != mask) {
            windows.push(window);
        }
        Some(mask)
    });
    let masks = masks.collect();
    (windows, masks)
}

pub(crate) struct Window {
    size: u32,
    /// Place of each cell, or [`NONE`].
    place: Vec<u32>,
    /// Cell of each place, or [`NONE`].
    cell: Vec<u32>,
    /// The book at the last run, and its batch's tokens.
    last: Batch,
    /// Cells filled since then, of which it knows nothing.
    filled: Vec<u32>,
}

impl Window {
    pub(crate) fn new(size: u32, n_places: usize, n_cells: usize) -> Window {
        Window {
            size,
            place: vec![NONE; n_cells],
            cell: vec![NONE; n_places],
            last: Batch::default(),
            filled: vec![],
        }
    }

    pub(crate) fn mask(&self) -> Mask {
        Mask {
            causal: true,
            window: Some(self.size),
        }
    }

    pub(crate) fn place(&self, cell: u32) -> Option<u32> {
        Some(self.place[cell as usize]).filter(|&place| place != NONE)
    }

    /// Gives the cells of a batch places, and the batch as seen from there.
    ///
    /// # Errors
    /// More cells in sight than there are places: more sequences than was said.
    pub(crate) fn translate(&mut self, batch: &Batch) -> Result<Batch> {
        self.last = Batch {
            pos: batch.pos.clone(),
            seq: batch.seq.clone(),
            cache: batch.cache.clone(),
            ..Batch::default()
        };
        self.filled.clear();
        let owner = |cell: u32| batch.cache.get(cell as usize).copied().unwrap_or_default();
        for place in 0..self.cell.len() {
            let cell = self.cell[place];
            if cell != NONE && (owner(cell).seqs == 0 || batch.cells.contains(&cell)) {
                self.leave(cell);
            }
        }
        if self.cell.iter().filter(|&&c| c == NONE).count() < batch.n_tokens() {
            self.leave_what_slid_out();
        }
        let mut from = 0;
        let cells: Vec<u32> = batch
            .cells
            .iter()
            .map(|&cell| self.enter(cell, &mut from))
            .collect::<Option<_>>()
            .ok_or_else(|| self.crowded(batch.n_tokens()))?;
        let end = self.cell.iter().rposition(|&c| c != NONE);
        let used = &self.cell[..end.map_or(0, |i| i + 1)];
        Ok(Batch {
            pos: batch.pos.clone(),
            seq: batch.seq.clone(),
            cells,
            cache: used.iter().map(|&cell| owner(cell)).collect(),
            ..Batch::default()
        })
    }

    fn crowded(&self, n_tokens: usize) -> Error {
        Error::Batch(format!(
            "{n_tokens} tokens, but windows of {} fill the {} places, expected fewer sequences",
            self.size,
            self.cell.len()
        ))
    }

    fn leave_what_slid_out(&mut self) {
        let next = next_positions(&self.last);
        for place in 0..self.cell.len() {
            let cell = self.cell[place];
            if cell == NONE || self.filled.contains(&cell) {
                continue;
            }
            let owners = self.last.cache.get(cell as usize);
            let Cell { pos, seqs } = owners.copied().unwrap_or_default();
            let sees = |seq: usize| {
                i64::from(pos) > i64::from(next[seq]) - i64::from(self.size) && seqs >> seq & 1 == 1
            };
            if !(0..next.len()).any(sees) {
                self.leave(cell);
            }
        }
    }

    fn leave(&mut self, cell: u32) {
        let place = std::mem::replace(&mut self.place[cell as usize], NONE);
        self.cell[place as usize] = NONE;
    }

    /// The next free place from `from` on.
    fn enter(&mut self, cell: u32, from: &mut usize) -> Option<u32> {
        *from += self.cell[*from..].iter().position(|&c| c == NONE)?;
        self.cell[*from] = cell;
        self.place[cell as usize] = *from as u32;
        Some(*from as u32)
    }

    /// Takes note that `cells` are written from outside, and gives those that have rows, oldest
    /// first, places: as many of the last as a window sees and as there is room for. The others have
    /// none.
    pub(crate) fn fill(&mut self, cells: &[u32], with_rows: &[u32]) {
        self.forget(cells);
        self.leave_what_slid_out();
        let n = with_rows.len().min(self.size as usize);
        let mut from = 0;
        for &cell in &with_rows[with_rows.len() - n..] {
            if self.enter(cell, &mut from).is_none() {
                return;
            }
            self.filled.push(cell);
        }
    }

    /// Takes note that no sequence has these cells any more.
    pub(crate) fn forget(&mut self, cells: &[u32]) {
        for &cell in cells {
            if self.place(cell).is_some() {
                self.leave(cell);
            }
        }
        self.filled.retain(|cell| !cells.contains(cell));
    }

    /// Whether a sequence of these cells can go on at position `at`: nothing that it sees is gone.
    pub(crate) fn can_go_on(&self, cells: &[u32], positions: &[i32], at: i32) -> bool {
        let first = i64::from(at) - i64::from(self.size);
        let mut sees = cells.iter().zip(positions);
        sees.all(|(&cell, &pos)| pos >= at || i64::from(pos) <= first || self.place(cell).is_some())
    }
}

/// For each sequence the lowest position that may be asked about: that of its first token in the
/// batch, or the one behind its last.
fn next_positions(batch: &Batch) -> [i32; MAX_SEQUENCES] {
    let mut next = [i32::MIN; MAX_SEQUENCES];
    for cell in &batch.cache {
        let mut seqs = cell.seqs;
        while seqs != 0 {
            let next = &mut next[seqs.trailing_zeros() as usize];
            *next = (*next).max(cell.pos.saturating_add(1));
            seqs &= seqs - 1;
        }
    }
    for (&seq, &pos) in batch.seq.iter().zip(&batch.pos) {
        let next = &mut next[seq as usize];
        *next = (*next).min(pos);
    }
    next
}
