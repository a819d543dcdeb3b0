//! Turning a model file into one of another type: F16 into `Q4_K_M`, say. Tensors go through one at a
//! time, in pieces, so that neither file has to fit in memory.

mod convert;
mod file_type;
mod mixture;

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub use file_type::FileType;

use convert::Convert;

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::split::{part_paths, write_parts};
use crate::value::Value;
use crate::{DType, Gguf, TensorInfo, WriteProgress, Writer, quant};

/// What `general.quantization_version` says: the layout of blocks has had two versions.
const QUANTIZATION_VERSION: u32 = 2;

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
    /// Types of single tensors, by name; they go before those of the mixture, and not before the two above.
    pub tensor_types: HashMap<String, DType>,
    /// Every tensor stays as it is, and so does what the file says of its type.
    pub copy: bool,
    /// Write as many parts as the model has: `dst` is the prefix of their names.
    pub keep_split: bool,
    /// Metadata to set in the new file.
    pub metadata: Vec<(String, Value)>,
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
            tensor_types: HashMap::new(),
            copy: false,
            keep_split: false,
            metadata: Vec::new(),
        }
    }

    /// Error: a file type that cannot be made; an option that another leaves without effect.
    fn check(&self) -> Result<()> {
        if !self.copy {
            self.file_type.check()?;
        }
        let dtype = |given: Option<DType>| given.map(|dtype| dtype.name().to_string());
        let n_types = Some(self.tensor_types.len()).filter(|&n| n > 0);
        let of_types = [
            ("pure", self.pure.then(|| "True".to_string())),
            (
                "tensor_types",
                n_types.map(|n| format!("those of {n} tensors")),
            ),
            ("output_tensor_type", dtype(self.output_tensor_type)),
            ("token_embedding_type", dtype(self.token_embedding_type)),
        ];
        for (name, given) in of_types {
            let Some(value) = given else { continue };
            if self.copy {
                let expected = "it left out: every tensor stays as it is with the file type COPY";
                return Err(Error::argument(name, value, expected));
            }
            if self.leave_output_tensor && name == "output_tensor_type" {
                let expected = "it left out: leave_output_tensor leaves output.weight as it is";
                return Err(Error::argument(name, value, expected));
            }
        }
        Ok(())
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
/// where that is not allowed; options of which one would be ignored for another.
pub fn plan(src: &Gguf, options: &Options) -> Result<Vec<Step>> {
    options.check()?;
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
    let kept = options.copy || mixture::is_kept(name, &tensor.shape);
    if kept || (is_output && options.leave_output_tensor) {
        return tensor.dtype;
    }
    let asked = match name {
        "output.weight" => options.output_tensor_type,
        "token_embd.weight" => options.token_embedding_type,
        _ => None,
    };
    let asked = asked.or_else(|| options.tensor_types.get(name).copied());
    // A model without output.weight has its output in the embeddings.
    let is_tied = model.tied && name == "token_embd.weight";
    let asked = asked.or(options.output_tensor_type.filter(|_| is_tied));
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

/// Quantizes `src` into a new file at `dst`, or into parts, which appear whole or not at all. Returns what
/// was done to each tensor.
///
/// Errors: as for [`plan`]; a file to write that is one of those that are read; a value that no scale
/// can hold, with its tensor and place; the disk; or [`Error::Cancelled`] soon after `cancel` becomes
/// true.
pub fn quantize_file(
    src: &Gguf,
    dst: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
    cancel: &AtomicBool,
) -> Result<Vec<Step>> {
    let steps = plan(src, options)?;
    check_places(src, dst, options)?;
    let job = Job {
        src,
        steps: &steps,
        n_threads: options.threads(),
        cancel,
    };
    let total = steps.len();
    let mut told = |range: Range<usize>, now: WriteProgress| {
        let done = range.start + now.tensors_done;
        if let Some(step) = steps.get(done) {
            progress(Progress { step, done, total });
        }
    };
    let metadata = new_metadata(src, options);
    if options.keep_split {
        let write = |metadata, range| job.writer(metadata, range);
        write_parts(&prefix(dst), &metadata, &src.parts(), &write, &mut told)?;
    } else {
        let writer = job.writer(metadata, 0..total)?;
        writer.write(dst, &mut |now| told(0..total, now))?;
    }
    Ok(steps)
}

/// llama-quantize refuses it too: the better model would be gone.
fn check_places(src: &Gguf, dst: &Path, options: &Options) -> Result<()> {
    let written = match options.keep_split {
        true => part_paths(&prefix(dst), src.n_files())?,
        false => vec![dst.to_path_buf()],
    };
    let real = |path: &Path| path.canonicalize().ok();
    let read: Vec<_> = src.source().paths().into_iter().filter_map(real).collect();
    match written
        .iter()
        .find(|path| real(path).is_some_and(|p| read.contains(&p)))
    {
        Some(path) => {
            let expected = "another file than those that are read";
            Err(Error::argument("path", path.display(), expected))
        }
        None => Ok(()),
    }
}

fn new_metadata(src: &Gguf, options: &Options) -> Metadata {
    let mut metadata = src.metadata.clone();
    if !options.copy {
        metadata.set("general.quantization_version", QUANTIZATION_VERSION);
        metadata.set("general.file_type", options.file_type.id());
    }
    for (key, value) in &options.metadata {
        metadata.set(key, value.clone());
    }
    metadata
}

/// What parts' names begin with: a path without its `.gguf`.
fn prefix(dst: &Path) -> PathBuf {
    match dst.extension() {
        Some(extension) if extension == "gguf" => dst.with_extension(""),
        _ => dst.to_path_buf(),
    }
}

/// A whole model on its way.
#[derive(Clone, Copy)]
struct Job<'a> {
    src: &'a Gguf,
    steps: &'a [Step],
    n_threads: usize,
    cancel: &'a AtomicBool,
}

impl<'a> Job<'a> {
    /// A writer of some of the tensors, which converts each when its turn comes.
    fn writer(self, metadata: Metadata, range: Range<usize>) -> Result<Writer<'a>> {
        let mut writer = Writer::with_metadata(metadata);
        let (cancel, total) = (self.cancel, self.steps.len());
        let tensors = self.src.tensors().zip(self.steps).enumerate();
        for (done, (tensor, step)) in tensors.skip(range.start).take(range.len()) {
            let convert = Convert {
                src: self.src,
                tensor,
                to: step.to,
                n_threads: self.n_threads,
            };
            let write = move |out: &mut dyn Write| match convert
                .run(out, &|| cancel.load(Ordering::Relaxed))?
            {
                true => Ok(()),
                false => Err(Error::Cancelled { done, total }),
            };
            writer.add_tensor_with(&tensor.name, step.to, &tensor.shape, write)?;
        }
        Ok(writer)
    }
}
