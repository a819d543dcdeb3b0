//! What runs a plan, seen from the engine: four verbs.
//!
//! *upload* weights, *run* a batch, *read* results, operate on the *cache*. All are asynchronous
//! at heart: `run` may return before the work is done, and `read` answers `None` while it is not
//! (only where something must be awaited, as in a browser tab; native executors block).

use std::sync::Arc;

use puna_format::{DType, Source, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::error::Result;
use crate::graph::WeightId;

/// Element type of the K/V cache. Every executor has f16 and f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvDType {
    #[default]
    F16,
    F32,
    BF16,
    /// GGUF's blocks of 32 elements; heads must be whole blocks.
    Q8_0,
    Q4_0,
}

impl KvDType {
    pub const ALL: [KvDType; 5] = [
        KvDType::F32,
        KvDType::F16,
        KvDType::BF16,
        KvDType::Q8_0,
        KvDType::Q4_0,
    ];

    /// GGUF's type of the same bytes.
    pub fn dtype(self) -> DType {
        match self {
            KvDType::F16 => DType::F16,
            KvDType::F32 => DType::F32,
            KvDType::BF16 => DType::BF16,
            KvDType::Q8_0 => DType::Q8_0,
            KvDType::Q4_0 => DType::Q4_0,
        }
    }

    /// GGUF's name in lower case, as llama.cpp's `--cache-type-k` takes it.
    pub fn name(self) -> String {
        self.dtype().name().to_ascii_lowercase()
    }

    pub fn from_name(name: &str) -> Option<KvDType> {
        KvDType::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Bytes of `n` elements, `n` being whole blocks.
    pub fn n_bytes(self, n: usize) -> usize {
        let dtype = self.dtype();
        n / dtype.block_len() * dtype.block_bytes()
    }
}

/// A tensor in a file: where an executor takes a weight from. An executor may keep the `source`
/// and read in place (a memory map), or copy and repack piece by piece.
#[derive(Clone)]
pub struct Tensor {
    pub info: TensorInfo,
    pub source: Arc<dyn Source>,
}

/// What can be read back after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// `[n_outputs, n_vocab]` f32, rows in the order of [`Batch::outputs`].
    Logits,
    /// `[n_outputs]` ids of the largest logit (lowest id on a tie), chosen where the logits are.
    Greedy,
    /// `[rows, n_embd]` f32: the plan's `hidden` value.
    Hidden,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    F32(Vec<f32>),
    Ids(Vec<u32>),
}

/// Operations on what the cells hold. Which sequence owns a cell is the engine's book-keeping
/// ([`crate::Cell`]); these touch the data.
#[derive(Clone, Debug)]
pub enum CacheOp {
    /// Turn the keys of `cells` by `delta` positions (their tokens have moved in their sequence).
    Shift { cells: Vec<u32>, delta: i32 },
    /// Copy the K and V of each `(from, to)` pair of cells, in order.
    Copy { pairs: Vec<(u32, u32)> },
    /// Read K and V of `cells`: answers bytes, per layer K rows then V rows, in the cache's type.
    Save { cells: Vec<u32> },
    /// Write what `Save` answered into `cells`; the number of cells must be the same.
    Load { cells: Vec<u32>, bytes: Vec<u8> },
}

/// Runs one plan; owns its weights, activations and K/V cache.
pub trait Executor: Send {
    /// Device and variant for people: `cpu avx512vnni, 2 threads`.
    fn name(&self) -> String;

    /// Takes weight `id` of the plan. Called once for each weight before the first run.
    ///
    /// # Errors
    /// A type it has no kernels for, too little memory, a file that cannot be read.
    fn upload(&mut self, id: WeightId, tensor: &Tensor) -> Result<()>;

    /// Starts `batch`. The results of the run before are gone.
    fn run(&mut self, batch: &Batch) -> Result<()>;

    /// Results of the last run; `None` = not there yet, await the device and ask again.
    fn read(&mut self, what: Read) -> Result<Option<Output>>;

    /// Data operations on the cache; `Save` answers bytes, the others `None`.
    fn cache(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>>;

    /// Whether a sequence that has these cells, at these positions, can go on at position `at`:
    /// layers with a sliding window may have given up cells that it would see again.
    fn can_go_on(&self, _cells: &[u32], _positions: &[i32], _at: i32) -> bool {
        true
    }

    /// No sequence has these cells any more, which a run's batch says of all other free cells: it is
    /// for what happens between runs.
    fn forget(&mut self, _cells: &[u32]) {}

    /// Bytes this executor holds: weights of its own, activations, cache (not mapped files).
    fn n_bytes(&self) -> u64;
}
