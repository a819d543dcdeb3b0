//! The executor: a lowered plan, a host, and the four verbs between them.
//!
//! Everything here is the same for a native device and for a tab. A run writes the batch's state
//! (one small write, one more where cells of the cache changed hands) and replays a list.

use puna_graph::batch::Limits;
use puna_graph::{
    Batch, CacheOp, Cell, Error, Executor, Output, Plan, Read, Result, Rows, Tensor, WeightId,
};

use crate::cache::SaveProgress;
use crate::dispatch::Region;
use crate::host::Host;
use crate::lower::{FEW, Lowered, lower};
use crate::place::{GpuOptions, STATE_HEAD, STATE_TOKEN};
use crate::upload;

/// Runs one plan on one [`Host`].
///
/// In a tab `read` and `cache(Save)` answer `None` until the host's promise has been awaited; ask
/// again with the same arguments, and start nothing else in between.
pub struct GpuExecutor<H: Host> {
    pub(crate) plan: Plan,
    pub(crate) host: H,
    pub(crate) lowered: Lowered,
    pub(crate) options: GpuOptions,
    limits: Limits,
    uploaded: Vec<bool>,
    /// The cell table as the device has it.
    cells: Vec<Cell>,
    /// Rows of the last run.
    ran: Option<(usize, usize)>,
    pub(crate) save: Option<SaveProgress>,
}

pub(crate) fn device_error(message: impl Into<String>) -> Error {
    Error::Device {
        executor: "gpu".into(),
        message: message.into(),
    }
}

impl<H: Host> GpuExecutor<H> {
    /// Lowers `plan` and creates its buffers and pipelines on `host`.
    ///
    /// # Errors
    /// A type or shape without kernels, a buffer too large for the device, too little memory.
    pub fn new(plan: &Plan, mut host: H, options: GpuOptions) -> Result<Self> {
        let lowered = lower(plan, host.limits(), &options)?;
        host.create(&lowered.program)?;
        for (buffer, offset, bytes) in &lowered.initial {
            host.write(*buffer, *offset, bytes)?;
        }
        let graph = &plan.graph;
        let limits = Limits {
            n_outputs: plan.n_outputs.min(plan.n_tokens),
            ..Limits::of(plan, options.n_cells)
        };
        Ok(GpuExecutor {
            uploaded: vec![false; graph.weights.len()],
            cells: vec![Cell::default(); options.n_cells],
            plan: plan.clone(),
            host,
            lowered,
            options,
            limits,
            ran: None,
            save: None,
        })
    }

    pub fn host(&self) -> &H {
        &self.host
    }

    /// What was lowered: for prints, profiles and tests.
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    pub(crate) fn write(&mut self, region: Region, offset: u64, bytes: &[u8]) -> Result<()> {
        debug_assert!(offset + bytes.len() as u64 <= region.size);
        self.host
            .write(region.buffer, region.offset + offset, bytes)
    }

    pub(crate) fn submit(&mut self, list: usize, n_tokens: usize, n_outputs: usize) -> Result<()> {
        let grids = self.lowered.program.grids(list, n_tokens, n_outputs);
        self.host.submit(list, &grids)
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        if let Some(missing) = self.uploaded.iter().position(|done| !done) {
            return Err(Error::Weight {
                name: self.plan.graph.weights[missing].name.clone(),
                message: "not uploaded".into(),
            });
        }
        if batch.input.is_some() != self.plan.graph.input.is_some() {
            let expected = match self.plan.graph.input {
                Some(_) => "activations as input",
                None => "token ids",
            };
            return Err(Error::Batch(format!("this plan takes {expected}")));
        }
        if batch.outputs.len() > batch.n_tokens() {
            return Err(Error::Batch(format!(
                "{} outputs of {} tokens, expected each token at most once",
                batch.outputs.len(),
                batch.n_tokens()
            )));
        }
        batch.check(&self.limits)
    }

    /// Writes the cells that are not as the device has them: one hull of all changes.
    fn write_cells(&mut self, cache: &[Cell]) -> Result<()> {
        let differs = |i: &usize| cache[*i] != self.cells[*i];
        let Some(first) = (0..cache.len()).find(differs) else {
            return Ok(());
        };
        let last = (first..cache.len()).rev().find(differs).unwrap_or(first);
        let words: Vec<u32> = cache[first..=last]
            .iter()
            .flat_map(|c| [c.pos as u32, c.seqs as u32, (c.seqs >> 32) as u32, 0])
            .collect();
        let region = self.lowered.places.cells;
        self.write(region, first as u64 * 16, bytemuck::cast_slice(&words))?;
        self.cells[first..=last].copy_from_slice(&cache[first..=last]);
        Ok(())
    }

    fn write_state(&mut self, batch: &Batch) -> Result<()> {
        let n = batch.n_tokens();
        let mut words = state_head(n, batch.outputs.len(), batch.cache.len());
        for t in 0..n {
            let token = batch.tokens.get(t).copied().unwrap_or(0);
            let output = batch.outputs.get(t).copied().unwrap_or(0);
            let (pos, seq, cell) = (batch.pos[t] as u32, batch.seq[t], batch.cells[t]);
            words.extend([token, pos, seq, cell, output, 0, 0, 0]);
        }
        let region = self.lowered.places.state;
        self.write(region, 0, bytemuck::cast_slice(&words))
    }

    /// State for a cache list: "tokens" are cells, `pos` how far their keys turn.
    pub(crate) fn write_cache_state(&mut self, cells: &[u32], pos: i32) -> Result<()> {
        let mut words = state_head(cells.len(), 0, 0);
        words.extend(
            cells
                .iter()
                .flat_map(|&cell| [0, pos as u32, 0, cell, 0, 0, 0, 0]),
        );
        let region = self.lowered.places.state;
        self.write(region, 0, bytemuck::cast_slice(&words))
    }
}

fn state_head(n_tokens: usize, n_outputs: usize, n_kv: usize) -> Vec<u32> {
    let mut words = Vec::with_capacity(STATE_HEAD + STATE_TOKEN * n_tokens);
    words.extend([n_tokens as u32, n_outputs as u32, n_kv as u32]);
    words.resize(STATE_HEAD, 0);
    words
}

impl<H: Host> Executor for GpuExecutor<H> {
    fn name(&self) -> String {
        format!("gpu {}", self.host.name())
    }

    fn upload(&mut self, id: WeightId, tensor: &Tensor) -> Result<()> {
        let weight = &self.plan.graph.weights[id.index()];
        let fail = |message: String| {
            Err(Error::Weight {
                name: weight.name.clone(),
                message,
            })
        };
        if self.uploaded[id.index()] {
            return fail("uploaded twice".into());
        }
        let shape: Vec<u64> = weight.shape.iter().map(|&n| n as u64).collect();
        if tensor.info.dtype != weight.dtype || tensor.info.shape != shape {
            return fail(format!(
                "{} {:?}, expected {} {:?}",
                tensor.info.dtype, tensor.info.shape, weight.dtype, weight.shape
            ));
        }
        let (n_in, n_out) = (weight.n_in(), weight.n_out());
        let places = &self.lowered.places;
        upload::upload(
            &mut self.host,
            &places.weights[id.index()],
            places.vectors,
            tensor,
            n_in,
            n_out,
        )?;
        self.uploaded[id.index()] = true;
        Ok(())
    }

    fn run(&mut self, batch: &Batch) -> Result<()> {
        self.check(batch)?;
        self.ran = None;
        self.save = None;
        self.write_cells(&batch.cache)?;
        self.write_state(batch)?;
        if let (Some(x), Some(id)) = (&batch.input, self.plan.graph.input) {
            let region = self.lowered.places.values[&id];
            self.write(region, 0, bytemuck::cast_slice(x))?;
        }
        let (n, n_outputs) = (batch.n_tokens(), batch.outputs.len());
        let list = match n {
            1 => Some(self.lowered.one),
            2..=FEW => self.lowered.few,
            _ => self.lowered.many,
        };
        let list = list.ok_or_else(|| Error::Batch(format!("{n} tokens in a plan for fewer")))?;
        self.submit(list, n, n_outputs)?;
        self.ran = Some((n, n_outputs));
        Ok(())
    }

    fn read(&mut self, what: Read) -> Result<Option<Output>> {
        let Some((n_tokens, n_outputs)) = self.ran else {
            return Err(device_error(
                "nothing has run since the start or the last error",
            ));
        };
        let graph = &self.plan.graph;
        let missing = |name: &str| Error::Unsupported {
            executor: "gpu".into(),
            message: format!("this plan keeps no {name}"),
        };
        let (region, n_elements) = match what {
            Read::Logits => {
                let id = graph.logits.ok_or_else(|| missing("logits"))?;
                let n = n_outputs * graph.value(id).width;
                (self.lowered.places.values[&id], n)
            }
            Read::Greedy => (
                self.lowered.chosen.ok_or_else(|| missing("logits"))?,
                n_outputs,
            ),
            Read::Hidden => {
                let id = graph.hidden.ok_or_else(|| missing("hidden states"))?;
                let value = graph.value(id);
                let rows = match value.rows {
                    Rows::Tokens => n_tokens,
                    Rows::Outputs => n_outputs,
                };
                (self.lowered.places.values[&id], rows * value.width)
            }
        };
        let bytes = match n_elements {
            0 => Some(vec![]),
            n => self.host.read(region.buffer, region.offset, n as u64 * 4)?,
        };
        Ok(bytes.map(|bytes| match what {
            Read::Greedy => Output::Ids(bytemuck::pod_collect_to_vec(&bytes)),
            _ => Output::F32(bytemuck::pod_collect_to_vec(&bytes)),
        }))
    }

    fn cache(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        self.run_cache_op(op)
    }

    fn n_bytes(&self) -> u64 {
        self.lowered.program.n_bytes()
    }
}
