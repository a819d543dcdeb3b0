//! A session: an executor, its cache, and the limits of both.

use std::sync::Arc;

use puna_graph::{Batch, CacheOp, Executor, Output, Read};
use puna_model::Hparams;
use puna_text::Tokenizer;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::load::SessionOptions;
use crate::state::State;

/// One token to evaluate: the next position of its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub token: u32,
    pub seq: u32,
    /// Whether its logits are wanted.
    pub output: bool,
}

/// Evaluates tokens of several sequences in one cache.
pub struct Session {
    exec: Box<dyn Executor>,
    cache: Cache,
    tokenizer: Arc<Tokenizer>,
    n_batch: usize,
    n_seq_max: usize,
    logits_all: bool,
    n_vocab: usize,
    n_embd: usize,
    /// Most output rows of a batch.
    n_outputs: usize,
    /// Per sequence the tokens at positions 0, 1, …, as far as they are known.
    history: Vec<Vec<u32>>,
    /// Cells of the run whose results have not been read.
    unread: Vec<u32>,
    /// What the cache's bytes belong to: a model, and how its cache is kept.
    pub(crate) fingerprint: u64,
}

impl Session {
    pub(crate) fn new(
        exec: Box<dyn Executor>,
        options: &SessionOptions,
        h: &Hparams,
        tokenizer: Arc<Tokenizer>,
        fingerprint: u64,
    ) -> Session {
        Session {
            exec,
            cache: Cache::new(options.n_ctx),
            tokenizer,
            n_batch: options.n_batch,
            n_seq_max: options.n_seq_max,
            logits_all: options.logits_all,
            n_vocab: h.n_vocab,
            n_embd: h.n_embd,
            n_outputs: options.n_outputs(),
            history: vec![vec![]; options.n_seq_max],
            unread: vec![],
            fingerprint,
        }
    }

    /// The executor's description of itself.
    pub fn device(&self) -> String {
        self.exec.name()
    }

    pub fn n_ctx(&self) -> usize {
        self.cache.n_cells()
    }

    pub fn n_batch(&self) -> usize {
        self.n_batch
    }

    pub fn n_seq_max(&self) -> usize {
        self.n_seq_max
    }

    pub fn n_vocab(&self) -> usize {
        self.n_vocab
    }

    pub fn n_embd(&self) -> usize {
        self.n_embd
    }

    pub fn logits_all(&self) -> bool {
        self.logits_all
    }

    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// Bytes held by the executor: repacked weights, activations, cache.
    pub fn n_bytes(&self) -> u64 {
        self.exec.n_bytes()
    }

    /// Tokens of a sequence that are in the cache.
    pub fn n_past(&self, seq: u32) -> usize {
        self.cache.end(seq) as usize
    }

    pub fn n_free(&self) -> usize {
        self.cache.n_free()
    }

    /// The tokens at positions 0, 1, … of a sequence, as far as they are known: up to the first
    /// position that was removed or moved.
    pub fn history(&self, seq: u32) -> &[u32] {
        self.history.get(seq as usize).map_or(&[], Vec::as_slice)
    }

    /// Starts the evaluation of up to `n_batch` tokens, each at the end of its sequence.
    ///
    /// # Errors
    /// Too many tokens or outputs, an id outside the vocabulary, no room in the cache. The cache
    /// is then as it was before.
    pub fn start(&mut self, items: &[Item]) -> Result<()> {
        let batch = self.batch(items)?;
        self.exec.run(&batch).inspect_err(|_| {
            self.cache.untake(&batch.cells);
        })?;
        self.unread = batch.cells;
        for (item, &pos) in items.iter().zip(&batch.pos) {
            let history = &mut self.history[item.seq as usize];
            if history.len() == pos as usize {
                history.push(item.token);
            }
        }
        Ok(())
    }

    /// Results of the last start, `[n_outputs, n_vocab]` or ids; `None` = await the device.
    ///
    /// # Errors
    /// A device that fails; the tokens of the last start are then not in the cache.
    pub fn finish(&mut self, what: Read) -> Result<Option<Output>> {
        let found = self.exec.read(what);
        match &found {
            Ok(None) => {}
            Ok(Some(_)) => self.unread.clear(),
            Err(_) => self.forget_unread(),
        }
        Ok(found?)
    }

    /// Takes tokens whose evaluation failed after its start out of the book.
    fn forget_unread(&mut self) {
        self.cache.untake(&std::mem::take(&mut self.unread));
        for seq in 0..self.n_seq_max as u32 {
            let n = self.n_past(seq);
            self.history[seq as usize].truncate(n);
        }
    }

    /// Start and finish: logits `[n_outputs, n_vocab]`. Blocks natively.
    ///
    /// # Errors
    /// Those of [`Session::start`]; a device that must be awaited.
    pub fn eval(&mut self, items: &[Item]) -> Result<Vec<f32>> {
        self.start(items)?;
        match self.finish(Read::Logits)? {
            Some(Output::F32(logits)) => Ok(logits),
            _ => Err(Error::argument(
                "eval",
                self.device(),
                "a device that can be waited for; await its results instead",
            )),
        }
    }

    /// Whether a sequence can go on at position `at` when what comes from there on is removed. Always,
    /// unless layers with a sliding window have given up what they would see again
    /// ([`SessionOptions::swa_full`]).
    pub fn can_resume(&self, seq: u32, at: usize) -> bool {
        let at = i32::try_from(at).unwrap_or(i32::MAX);
        let (cells, positions) = self.cache.of(seq);
        self.exec.can_go_on(&cells, &positions, at)
    }

    /// That a sequence can go on at position `at`.
    ///
    /// # Errors
    /// [`Session::can_resume`] says no.
    pub fn check_resume(&self, seq: u32, at: usize) -> Result<()> {
        if self.can_resume(seq, at) {
            return Ok(());
        }
        let expected = "0, or a position near the end: sliding windows have given up what is seen \
                        from there; swa_full = True keeps it";
        Err(Error::argument("position", at, expected))
    }

    /// Removes positions `from ..` of a sequence, which [`Session::can_resume`] there.
    pub fn truncate(&mut self, seq: u32, from: usize) {
        self.drop_positions(seq, from, usize::MAX);
    }

    /// Removes positions `from .. to` of a sequence; what comes after keeps its positions.
    ///
    /// # Errors
    /// The sequence would end where it cannot go on: see [`Session::can_resume`].
    pub fn remove(&mut self, seq: u32, from: usize, to: usize) -> Result<()> {
        if from < to && to >= self.n_past(seq) {
            self.check_resume(seq, from.min(self.n_past(seq)))?;
        }
        self.drop_positions(seq, from, to);
        Ok(())
    }

    fn drop_positions(&mut self, seq: u32, from: usize, to: usize) {
        let bound = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        self.cache.remove(seq, bound(from), bound(to));
        if let Some(history) = self.history.get_mut(seq as usize).filter(|_| from < to) {
            history.truncate(from);
        }
    }

    /// Makes the first `n` tokens of `source` also those of `target`, which must be empty. They
    /// share cells: nothing is copied.
    ///
    /// # Errors
    /// A sequence out of range, or a target that has tokens.
    pub fn share(&mut self, source: u32, target: u32, n: usize) -> Result<()> {
        self.check_seq(source)?;
        self.check_seq(target)?;
        if self.n_past(target) != 0 {
            return Err(Error::argument("target", target, "an empty sequence"));
        }
        self.check_resume(source, n.min(self.n_past(source)))?;
        let to = i32::try_from(n).unwrap_or(i32::MAX);
        self.cache.share(source, target, 0, to);
        let known = self.history(source);
        self.history[target as usize] = known[..n.min(known.len())].to_vec();
        Ok(())
    }

    /// Drops `n` tokens of a sequence from position `keep` on and moves the rest down.
    ///
    /// # Errors
    /// Cells shared with another sequence; a device without the operation. Nothing has changed
    /// then.
    pub fn shift(&mut self, seq: u32, keep: usize, n: usize) -> Result<()> {
        self.check_seq(seq)?;
        let past = self.n_past(seq);
        if keep.checked_add(n).is_none_or(|end| end > past) {
            let expected = format!("keep + n at most the {past} tokens of the sequence");
            return Err(Error::argument("shift", format!("{keep} + {n}"), expected));
        }
        let (from, to, delta) = (keep as i32, (keep + n) as i32, -(n as i32));
        let cells = self.cache.own(seq, to)?;
        self.check_shift(seq, past - n, keep)?;
        self.exec.cache(&CacheOp::Shift {
            cells: cells.clone(),
            delta,
        })?;
        self.cache.remove(seq, from, to);
        self.cache.shift(&cells, delta);
        self.history[seq as usize].truncate(keep);
        Ok(())
    }

    /// Of the first `keep` positions a sequence that ends at `end` may see some again.
    fn check_shift(&self, seq: u32, end: usize, keep: usize) -> Result<()> {
        let (cells, positions) = self.cache.of(seq);
        let n_kept = positions.partition_point(|&pos| pos < keep as i32);
        let (cells, positions) = (&cells[..n_kept], &positions[..n_kept]);
        if self.exec.can_go_on(cells, positions, end as i32) {
            return Ok(());
        }
        let expected = "0: sliding windows have given up what is seen from there; swa_full = True \
                        keeps it";
        Err(Error::argument("keep", keep, expected))
    }

    /// A sequence as bytes: its tokens, their positions, their keys and values (`state.rs`).
    /// `None` = await the device and ask again.
    ///
    /// # Errors
    /// A sequence out of range, a device without the operation.
    pub fn save(&mut self, seq: u32) -> Result<Option<Vec<u8>>> {
        self.check_seq(seq)?;
        let (cells, positions) = self.cache.of(seq);
        let kv = match cells.is_empty() {
            true => Some(vec![]),
            false => self.exec.cache(&CacheOp::Save { cells })?,
        };
        Ok(kv.map(|kv| {
            let state = State {
                fingerprint: self.fingerprint,
                tokens: self.history(seq).to_vec(),
                positions,
                kv,
            };
            state.to_bytes()
        }))
    }

    /// Puts a saved sequence in the place of `seq`.
    ///
    /// # Errors
    /// Bytes that are no saved sequence of this model, a sequence out of range, no room. The
    /// sequence is as it was then, or empty where the device failed.
    pub fn load(&mut self, seq: u32, bytes: &[u8]) -> Result<()> {
        self.check_seq(seq)?;
        let state = State::from_bytes(bytes, self.fingerprint, self.n_vocab)?;
        let (mine, n) = (self.cache.sole(seq), state.positions.len());
        if n > self.n_free() + mine {
            return Err(Error::CacheFull {
                wanted: n,
                free: self.n_free() + mine,
                n_ctx: self.n_ctx(),
            });
        }
        let (cells, _) = self.cache.of(seq);
        self.truncate(seq, 0);
        let free = cells
            .into_iter()
            .filter(|&c| self.cache.is_free(c as usize));
        self.exec.forget(&free.collect::<Vec<_>>());
        if n > 0 {
            let places: Vec<_> = state.positions.iter().map(|&pos| (pos, seq)).collect();
            let cells = self.cache.take(&places)?;
            let op = CacheOp::Load {
                cells: cells.clone(),
                bytes: state.kv,
            };
            self.exec
                .cache(&op)
                .inspect_err(|_| self.cache.untake(&cells))?;
        }
        self.history[seq as usize] = state.tokens;
        Ok(())
    }

    /// That there is such a sequence.
    ///
    /// # Errors
    /// A sequence that there is not.
    pub fn check_seq(&self, seq: u32) -> Result<()> {
        if (seq as usize) < self.n_seq_max {
            return Ok(());
        }
        let most = self.n_seq_max - 1;
        Err(Error::argument("seq", seq, format!("0 to {most}")))
    }

    /// Takes cells and writes the parameters of a run.
    fn batch(&mut self, items: &[Item]) -> Result<Batch> {
        if items.is_empty() || items.len() > self.n_batch {
            let expected = format!("1 to n_batch = {}", self.n_batch);
            return Err(Error::argument("tokens in a batch", items.len(), expected));
        }
        let n_outputs = items.iter().filter(|item| item.output).count();
        if n_outputs > self.n_outputs {
            let expected = format!("at most {}; more need logits_all", self.n_outputs);
            return Err(Error::argument("tokens with outputs", n_outputs, expected));
        }
        let mut ends: Vec<i32> = vec![-1; self.n_seq_max];
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            self.check_seq(item.seq)?;
            if item.token as usize >= self.n_vocab {
                let (id, n_vocab) = (item.token, self.n_vocab);
                return Err(Error::Token { id, n_vocab });
            }
            let end = &mut ends[item.seq as usize];
            if *end < 0 {
                *end = self.cache.end(item.seq);
            }
            places.push((*end, item.seq));
            *end += 1;
        }
        let cells = self.cache.take(&places)?;
        Ok(Batch {
            tokens: items.iter().map(|i| i.token).collect(),
            input: None,
            pos: places.iter().map(|p| p.0).collect(),
            seq: places.iter().map(|p| p.1).collect(),
            cells,
            outputs: (0..items.len() as u32)
                .filter(|&i| items[i as usize].output)
                .collect(),
            cache: self.cache.used().to_vec(),
        })
    }
}
