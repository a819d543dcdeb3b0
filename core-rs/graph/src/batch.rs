//! The parameters of one run: tokens, their places in the cache, and who may see whom.

use crate::error::{Error, Result};
use crate::graph::Rows;
use crate::op::{Lookup, Mask, Op};
use crate::plan::Plan;

/// Most sequences that can share one cache: the bits of [`Cell::seqs`].
pub const MAX_SEQUENCES: usize = 64;

/// One cell of the cache: the position of the token kept there and the set of sequences that own
/// it (bit `s` = sequence `s`). An empty set is a free cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub pos: i32,
    pub seqs: u64,
}

/// One run of a plan: `n_tokens` tokens, of any sequences, in any order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// `[n_tokens]` token ids; empty when `input` is given.
    pub tokens: Vec<u32>,
    /// `[n_tokens, width]` activations from the executor of the layers before.
    pub input: Option<Vec<f32>>,
    /// `[n_tokens]` positions in their sequences.
    pub pos: Vec<i32>,
    /// `[n_tokens]` the sequence each token belongs to, below [`MAX_SEQUENCES`].
    pub seq: Vec<u32>,
    /// `[n_tokens]` the cell each token's K and V go to.
    pub cells: Vec<u32>,
    /// Indexes of the tokens whose logits are wanted, ascending.
    pub outputs: Vec<u32>,
    /// The cells `0 .. n_kv` of the cache as they are once this batch is stored.
    pub cache: Vec<Cell>,
}

impl Batch {
    /// The tokens at positions `start ..` of sequence 0, alone in the cache with what is before
    /// them. Logits of the last token, or of all.
    pub fn of_sequence(tokens: &[u32], start: usize, all_outputs: bool) -> Batch {
        let (n, end) = (tokens.len(), start + tokens.len());
        Batch {
            tokens: tokens.to_vec(),
            input: None,
            pos: (start..end).map(|p| p as i32).collect(),
            seq: vec![0; n],
            cells: (start..end).map(|c| c as u32).collect(),
            outputs: (if all_outputs { 0 } else { n as u32 - 1 }..n as u32).collect(),
            cache: (0..end)
                .map(|p| Cell {
                    pos: p as i32,
                    seqs: 1,
                })
                .collect(),
        }
    }

    pub fn n_tokens(&self) -> usize {
        self.pos.len()
    }

    /// Rows that a value of this kind has in this batch.
    pub fn n_rows(&self, rows: Rows) -> usize {
        match rows {
            Rows::Tokens => self.n_tokens(),
            Rows::Outputs => self.outputs.len(),
        }
    }

    /// Whether token `t` attends to `cell`: the same sequence, and what the mask says.
    pub fn visible(&self, t: usize, cell: Cell, mask: Mask) -> bool {
        let distance = self.pos[t] as i64 - cell.pos as i64;
        cell.seqs >> self.seq[t] & 1 == 1
            && (distance >= 0 || !mask.causal)
            && mask.window.is_none_or(|w| distance.abs() < w as i64)
    }

    /// For each token the runs of neighbouring cells it attends to. One run a token is the
    /// common case (one sequence, or a prompt); kernels loop over runs without a mask.
    pub fn spans(&self, mask: Mask) -> Spans {
        let mut spans = Spans::default();
        for t in 0..self.n_tokens() {
            let mut start = None;
            for (c, &cell) in self.cache.iter().enumerate() {
                match (self.visible(t, cell, mask), start) {
                    (true, None) => start = Some(c as u32),
                    (false, Some(s)) => {
                        spans.runs.push((s, c as u32));
                        start = None;
                    }
                    _ => {}
                }
            }
            if let Some(s) = start {
                spans.runs.push((s, self.cache.len() as u32));
            }
            spans.ends.push(spans.runs.len() as u32);
        }
        spans
    }

    /// Checks every field against the limits of a plan, so that executors can index freely.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        let n = self.n_tokens();
        let fail = |message: String| Err(Error::Batch(message));
        if n == 0 || n > limits.n_tokens {
            return fail(format!("{n} tokens, expected 1 to {}", limits.n_tokens));
        }
        let n_ids = match &self.input {
            None => self.tokens.len(),
            Some(x) if x.len() == n * limits.n_embd => n,
            Some(x) => {
                return fail(format!(
                    "input of {} values, expected {n} rows of {}",
                    x.len(),
                    limits.n_embd
                ));
            }
        };
        if [n_ids, self.seq.len(), self.cells.len()] != [n; 3] {
            return fail(format!(
                "{n} positions, but {n_ids} tokens, {} sequences, {} cells",
                self.seq.len(),
                self.cells.len()
            ));
        }
        if let Some(id) = self
            .tokens
            .iter()
            .find(|&&id| id as usize >= limits.n_vocab)
        {
            return fail(format!(
                "token id {id}, expected 0 to {}",
                limits.n_vocab - 1
            ));
        }
        if let Some(s) = self.seq.iter().find(|&&s| s as usize >= MAX_SEQUENCES) {
            return fail(format!("sequence {s}, expected 0 to {}", MAX_SEQUENCES - 1));
        }
        if let Some(p) = self.pos.iter().find(|&&p| p < 0) {
            return fail(format!("position {p}, expected 0 or more"));
        }
        if let Some(p) = self.pos.iter().find(|&&p| p as usize >= limits.n_positions) {
            return fail(format!(
                "position {p}, expected below {}, the positions this model has learned",
                limits.n_positions
            ));
        }
        if self.cache.len() > limits.n_cells {
            return fail(format!(
                "{} cells, expected at most {}",
                self.cache.len(),
                limits.n_cells
            ));
        }
        if let Some(c) = self.cells.iter().find(|&&c| c as usize >= self.cache.len()) {
            return fail(format!("cell {c}, expected below {}", self.cache.len()));
        }
        if self.outputs.len() > limits.n_outputs {
            return fail(format!(
                "{} outputs, expected at most {}",
                self.outputs.len(),
                limits.n_outputs
            ));
        }
        if let Some(r) = self.outputs.iter().find(|&&r| r as usize >= n) {
            return fail(format!("output row {r}, expected below {n}"));
        }
        for t in 0..n {
            if !self.visible(t, self.cache[self.cells[t] as usize], Mask::CAUSAL) {
                return fail(format!("token {t} does not own its cell {}", self.cells[t]));
            }
        }
        Ok(())
    }
}

/// What a plan and its executor can take; see [`Batch::check`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub n_tokens: usize,
    pub n_outputs: usize,
    pub n_cells: usize,
    pub n_vocab: usize,
    /// Rows of the table of learned positions.
    pub n_positions: usize,
    /// Width of [`Batch::input`] where the plan takes one.
    pub n_embd: usize,
}

impl Limits {
    /// Those of a plan with a cache of `n_cells`.
    pub fn of(plan: &Plan, n_cells: usize) -> Limits {
        let graph = &plan.graph;
        let rows = |wanted: fn(&Op) -> Option<crate::WeightId>| {
            let table = graph.ops.iter().find_map(wanted);
            table.map_or(usize::MAX, |id| graph.weight(id).n_out())
        };
        Limits {
            n_tokens: plan.n_tokens,
            n_outputs: plan.n_outputs,
            n_cells,
            n_vocab: rows(|op| match op {
                Op::Embed { weight, .. } => Some(*weight),
                _ => None,
            }),
            n_positions: rows(|op| match op {
                Op::Lookup {
                    weight,
                    by: Lookup::Position,
                    ..
                } => Some(*weight),
                _ => None,
            }),
            n_embd: graph.input.map_or(0, |id| graph.value(id).width),
        }
    }
}

/// Runs of visible cells, token after token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// `(first, end)` cells.
    pub runs: Vec<(u32, u32)>,
    /// `ends[t]` = where the runs of token `t` end in `runs`.
    pub ends: Vec<u32>,
}

impl Spans {
    /// The runs of token `t`, ascending, never empty ones.
    pub fn of(&self, t: usize) -> &[(u32, u32)] {
        let start = if t == 0 { 0 } else { self.ends[t - 1] };
        &self.runs[start as usize..self.ends[t] as usize]
    }
}
