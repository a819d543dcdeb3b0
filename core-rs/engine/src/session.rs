//! A session: an executor, its cache, and the limits of both.

use std::sync::Arc;

use puna_graph::{Batch, CacheOp, Executor, Output, Read};
use puna_model::Hparams;
use puna_text::Tokenizer;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::load::SessionOptions;

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
    n_outputs: usize,
}

impl Session {
    pub(crate) fn new(
        exec: Box<dyn Executor>,
        options: &SessionOptions,
        h: &Hparams,
        tokenizer: Arc<Tokenizer>,
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
            n_outputs: 0,
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

    /// Starts the evaluation of up to `n_batch` tokens, each at the end of its sequence.
    ///
    /// # Errors
    /// Too many tokens or outputs, an id outside the vocabulary, no room in the cache. The cache
    /// is then as it was before.
    pub fn start(&mut self, items: &[Item]) -> Result<()> {
        let batch = self.batch(items)?;
        self.n_outputs = batch.outputs.len();
        self.exec.run(&batch).inspect_err(|_| {
            self.cache.untake(&batch.cells);
        })?;
        Ok(())
    }

    /// Results of the last start, `[n_outputs, n_vocab]` or ids; `None` = await the device.
    pub fn finish(&mut self, what: Read) -> Result<Option<Output>> {
        Ok(self.exec.read(what)?)
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

    /// Removes positions `from ..` of a sequence.
    pub fn truncate(&mut self, seq: u32, from: usize) {
        let from = i32::try_from(from).unwrap_or(i32::MAX);
        self.cache.remove(seq, from, i32::MAX);
    }

    /// Makes the first `n` tokens of `source` also those of `target`, which must be empty.
    ///
    /// # Errors
    /// A sequence out of range, or a target that has tokens.
    pub fn share(&mut self, source: u32, target: u32, n: usize) -> Result<()> {
        self.check_seq(source)?;
        self.check_seq(target)?;
        if self.n_past(target) != 0 {
            return Err(Error::argument("target", target, "an empty sequence"));
        }
        self.cache.share(source, target, 0, n as i32);
        Ok(())
    }

    /// Drops `n` tokens of a sequence from position `keep` on and moves the rest down.
    ///
    /// # Errors
    /// Cells shared with another sequence; a device without the operation.
    pub fn shift(&mut self, seq: u32, keep: usize, n: usize) -> Result<()> {
        self.check_seq(seq)?;
        let (from, to) = (keep as i32, (keep + n) as i32);
        let delta = -(n as i32);
        // The book moves first because it refuses shared cells; the dropped ones go before that.
        self.cache.remove(seq, from, to);
        let cells = self.cache.shift(seq, to, i32::MAX, delta)?;
        self.exec.cache(&CacheOp::Shift { cells, delta })?;
        Ok(())
    }

    fn check_seq(&self, seq: u32) -> Result<()> {
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
