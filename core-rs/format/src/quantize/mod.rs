//! Turning a model file into one of another type: F16 into `Q4_K_M`, say. Tensors go through one at a
//! time, in pieces, so that neither file has to fit in memory.

mod file_type;
mod mixture;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub use file_type::FileType;

use crate::error::{Error, IoContext, Result};
use crate::{DType, Gguf, TensorInfo, Writer, quant};

/// What `general.quantization_version` says: the layout of blocks has had two versions.
const QUANTIZATION_VERSION: u32 = 2;

/// Elements a thread takes at a time: some milliseconds of work, a few megabytes.
const PIECE: u64 = 1 << 19;
/// Bytes copied at a time where nothing changes.
const COPY_BYTES: u64 = 8 << 20;

/// How to quantize.
#[derive(Clone, Debug)]
pub struct Options {
    pub file_type: FileType,
    /// 0: one a CPU. Always one on wasm.
    pub n_threads: usize,
    /// Take tensors that are quantized already: errors add up, so it must be asked for.
    pub allow_requantize: bool,
    /// Leave `output.weight` as it is.
    pub leave_output_tensor: bool,
    /// Every tensor gets the default type of the file type.
    pub pure: bool,
    pub output_tensor_type: Option<DType>,
    pub token_embedding_type: Option<DType>,
}

impl Options {
    pub fn new(file_type: FileType) -> Self {
        Options {
            file_type,
            n_threads: 0,
            allow_requantize: false,
            leave_output_tensor: false,
            pure: false,
            output_tensor_type: None,
            token_embedding_type: None,
        }
    }

    fn threads(&self) -> usize {
        if cfg!(target_family = "wasm") {
            return 1;
        }
        match self.n_threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        }
    }
}

/// What happens to one tensor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub name: String,
    pub from: DType,
    pub to: DType,
    pub n_bytes_before: u64,
    pub n_bytes_after: u64,
}

/// How far quantizing is: told before each tensor.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    pub step: &'a Step,
    pub done: usize,
    pub total: usize,
}

/// Decides every tensor's type without touching data. Errors: a file type that cannot be made (see
/// [`FileType::check`]), a type that cannot be decoded or encoded, or a tensor that is quantized already
/// where that is not allowed.
pub fn plan(src: &Gguf, options: &Options) -> Result<Vec<Step>> {
    options.file_type.check()?;
    let model = mixture::Model::new(src, options.file_type)?;
    let ranks = ranks(src, &model);
    let step = |tensor: &TensorInfo| {
        let to = target(tensor, options, &model, ranks[tensor.name.as_str()]);
        check(tensor, to, options).map_err(|e| e.in_tensor(&tensor.name))?;
        let n_rows = tensor.n_elements() / tensor.row_len();
        Ok(Step {
            name: tensor.name.clone(),
            from: tensor.dtype,
            to,
            n_bytes_before: tensor.n_bytes,
            n_bytes_after: to.row_bytes(tensor.row_len() as usize)? as u64 * n_rows,
        })
    };
    src.tensors().map(step).collect()
}

/// Each tensor's place among those of its kind, in the order of layers and then of names.
fn ranks<'a>(src: &'a Gguf, model: &mixture::Model) -> HashMap<&'a str, usize> {
    let mut names: Vec<&str> = src.tensors().map(|t| t.name.as_str()).collect();
    names.sort_by_key(|name| (mixture::layer_of(name), *name));
    let mut counts = HashMap::new();
    let rank = |name: &'a str| {
        let count = counts.entry(model.kind(name)).or_insert(0);
        *count += 1;
        (name, *count - 1)
    };
    names.into_iter().map(rank).collect()
}

fn target(tensor: &TensorInfo, options: &Options, model: &mixture::Model, rank: usize) -> DType {
    let name = tensor.name.as_str();
    let default = options.file_type.default_dtype();
    let is_output = name == "output.weight";
    if mixture::is_kept(name, &tensor.shape) || (is_output && options.leave_output_tensor) {
        return tensor.dtype;
    }
    let asked = match name {
        "output.weight" => options.output_tensor_type,
        "token_embd.weight" => options.token_embedding_type,
        _ => None,
    };
    let dtype = match asked {
        Some(dtype) => dtype,
        None if options.pure || !default.is_quantized() => default,
        None => model.pick(name, tensor.row_len(), rank),
    };
    mixture::fit_rows(dtype, tensor.row_len())
}

fn check(tensor: &TensorInfo, to: DType, options: &Options) -> Result<()> {
    if tensor.dtype == to {
        return Ok(());
    }
    if tensor.dtype.is_quantized() && !options.allow_requantize {
        let expected = "F32, F16 or BF16, or allow_requantize";
        return Err(Error::invalid("its type", tensor.dtype, expected));
    }
    quant::check_decode(tensor.dtype)?;
    quant::check_encode(to)?;
    Ok(())
}

/// Quantizes `src` into a new file at `dst`, which appears whole or not at all. Returns what was done to
/// each tensor.
///
/// Errors: as for [`plan`]; a value that no scale can hold, with its tensor and place; the disk; or
/// [`Error::Cancelled`] soon after `cancel` becomes true.
pub fn quantize_file(
    src: &Gguf,
    dst: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
    cancel: &AtomicBool,
) -> Result<Vec<Step>> {
    let steps = plan(src, options)?;
    let mut writer = Writer::with_metadata(src.metadata.clone());
    writer.set("general.quantization_version", QUANTIZATION_VERSION);
    writer.set("general.file_type", options.file_type.id());
    let n_threads = options.threads();
    let total = steps.len();
    for (done, (tensor, step)) in src.tensors().zip(&steps).enumerate() {
        let convert = Convert {
            src,
            tensor,
            to: step.to,
            n_threads,
        };
        writer.add_tensor_with(
            &tensor.name,
            step.to,
            &tensor.shape,
            move |out| match convert.run(out, &|| cancel.load(Ordering::Relaxed))? {
                true => Ok(()),
                false => Err(Error::Cancelled { done, total }),
            },
        )?;
    }
    writer.write(dst, &mut |now| {
        if let Some(step) = steps.get(now.tensors_done) {
            let done = now.tensors_done;
            progress(Progress { step, done, total });
        }
    })?;
    Ok(steps)
}

/// One tensor on its way.
#[derive(Clone, Copy)]
struct Convert<'a> {
    src: &'a Gguf,
    tensor: &'a TensorInfo,
    to: DType,
    n_threads: usize,
}

impl Convert<'_> {
    /// Writes the tensor to `out`. False: `stop` said so.
    fn run(&self, out: &mut dyn Write, stop: &dyn Fn() -> bool) -> Result<bool> {
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
            let offset = self.tensor.offset + done;
            let bytes = self.src.read_range(offset, n)?;
            out.write_all(&bytes).doing("write tensor data")?;
            drop(bytes);
            self.src.source().release(offset, n);
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
        self.spread(&input, &mut output, meanwhile)?;
        drop(input);
        self.src.source().release(offset, n_bytes);
        Ok(output)
    }

    /// Divides whole rows among the threads.
    fn spread(
        &self,
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
        if self.n_threads == 1 {
            meanwhile()?;
            let mut pieces = pieces;
            return pieces.try_for_each(|(input, output)| self.rows(row_len, input, output));
        }
        std::thread::scope(|scope| {
            let work = |(input, output)| scope.spawn(move || self.rows(row_len, input, output));
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
    fn rows(&self, row_len: usize, input: &[u8], output: &mut [u8]) -> Result<()> {
        let n_rows = (8192 / row_len).max(1);
        let (from_bytes, to_bytes) = (
            self.tensor.dtype.row_bytes(row_len)?,
            self.to.row_bytes(row_len)?,
        );
        let mut values = vec![0.0; n_rows * row_len];
        let pieces = input
            .chunks(n_rows * from_bytes)
            .zip(output.chunks_mut(n_rows * to_bytes));
        for (input, output) in pieces {
            let values = &mut values[..output.len() / to_bytes * row_len];
            quant::decode_row(self.tensor.dtype, input, values)?;
            quant::encode_row(self.to, values, output)?;
        }
        Ok(())
    }
}
