//! One tensor from its type to another: in pieces, each divided among the threads.

use std::io::Write;

use crate::error::{IoContext, Result};
use crate::{DType, Gguf, TensorInfo, quant};

/// Elements a thread takes at a time: some milliseconds of work, a few megabytes.
const PIECE: u64 = 1 << 19;
/// Bytes copied at a time where nothing changes.
const COPY_BYTES: u64 = 8 << 20;

/// One tensor on its way.
#[derive(Clone, Copy)]
pub(super) struct Convert<'a> {
    pub src: &'a Gguf,
    pub tensor: &'a TensorInfo,
    pub to: DType,
    pub n_threads: usize,
}

impl Convert<'_> {
    /// Writes the tensor to `out`. False: `stop` said so.
    pub fn run(&self, out: &mut dyn Write, stop: &dyn Fn() -> bool) -> Result<bool> {
        let done = match self.tensor.dtype == self.to {
            true => self.copy(out, stop),
            false => self.encode(out, stop),
        };
        done.map_err(|e| e.in_tensor(&self.tensor.name))
    }

    fn copy(&self, out: &mut dyn Write, stop: &dyn Fn() -> bool) -> Result<bool> {
        let mut done = 0;
        while done < self.tensor.n_bytes {
            if stop() {
                return Ok(false);
            }
            let n = COPY_BYTES.min(self.tensor.n_bytes - done);
            self.src.copy_range(self.tensor.offset + done, n, out)?;
            done += n;
        }
        Ok(true)
    }

    /// Batches of one piece a thread; while a batch is worked on, the one before is written.
    fn encode(&self, out: &mut dyn Write, stop: &dyn Fn() -> bool) -> Result<bool> {
        let row_len = self.tensor.row_len();
        let n_rows = self.tensor.n_elements() / row_len;
        let batch_rows = (PIECE / row_len).max(1) * self.n_threads as u64;
        let mut ready = Vec::new();
        let mut first = 0;
        while first < n_rows {
            if stop() {
                return Ok(false);
            }
            let n = batch_rows.min(n_rows - first);
            let done = std::mem::take(&mut ready);
            ready = self.batch(first, n, || out.write_all(&done).doing("write tensor data"))?;
            first += n;
        }
        out.write_all(&ready).doing("write tensor data")?;
        Ok(true)
    }

    /// Encodes `n_rows` rows from `first_row` on all threads, and runs `meanwhile` on this one.
    fn batch(
        &self,
        first_row: u64,
        n_rows: u64,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<Vec<u8>> {
        let row_len = self.tensor.row_len() as usize;
        let (from_bytes, to_bytes) = (
            self.tensor.dtype.row_bytes(row_len)?,
            self.to.row_bytes(row_len)?,
        );
        let offset = self.tensor.offset + first_row * from_bytes as u64;
        let n_bytes = n_rows * from_bytes as u64;
        let input = self.src.read_range(offset, n_bytes)?;
        let mut output = vec![0; n_rows as usize * to_bytes];
        self.spread(first_row, &input, &mut output, meanwhile)?;
        drop(input);
        self.src.source().intact()?;
        self.src.source().release(offset, n_bytes);
        Ok(output)
    }

    /// Divides whole rows among the threads.
    fn spread(
        &self,
        first_row: u64,
        input: &[u8],
        output: &mut [u8],
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let row_len = self.tensor.row_len() as usize;
        let from_bytes = self.tensor.dtype.row_bytes(row_len)?;
        let to_bytes = self.to.row_bytes(row_len)?;
        let rows_each = (output.len() / to_bytes).div_ceil(self.n_threads);
        let pieces = input
            .chunks(rows_each * from_bytes)
            .zip(output.chunks_mut(rows_each * to_bytes));
        let firsts = (first_row..).step_by(rows_each);
        let mut pieces = firsts.zip(pieces);
        if self.n_threads == 1 {
            meanwhile()?;
            return pieces.try_for_each(|(first, (input, output))| self.rows(first, input, output));
        }
        std::thread::scope(|scope| {
            let work =
                |(first, (input, output))| scope.spawn(move || self.rows(first, input, output));
            let workers: Vec<_> = pieces.map(work).collect();
            let written = meanwhile();
            for worker in workers {
                // A panic in a worker is a bug here, and goes on as one.
                let joined = worker.join();
                joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            written
        })
    }

    /// Some thousand elements at a time, so that the f32 between stay in the cache.
    fn rows(&self, first_row: u64, input: &[u8], output: &mut [u8]) -> Result<()> {
        let row_len = self.tensor.row_len() as usize;
        let n_rows = (8192 / row_len).max(1);
        let (from_bytes, to_bytes) = (
            self.tensor.dtype.row_bytes(row_len)?,
            self.to.row_bytes(row_len)?,
        );
        let mut values = vec![0.0; n_rows * row_len];
        let pieces = input
            .chunks(n_rows * from_bytes)
            .zip(output.chunks_mut(n_rows * to_bytes));
        for (i, (input, output)) in pieces.enumerate() {
            let values = &mut values[..output.len() / to_bytes * row_len];
            quant::decode_row(self.tensor.dtype, input, values)?;
            let first_row = first_row + (i * n_rows) as u64;
            quant::encode_row(self.to, values, output)
                .map_err(|e| e.in_rows(first_row, row_len))?;
        }
        Ok(())
    }
}
