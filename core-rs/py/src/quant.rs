//! Rows of numbers into blocks and back; whole files from one type to others.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use puna_format::quantize::{self, FileType, Options, Progress};
use puna_format::{DType, Gguf, quant};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::array::Array;
use crate::error::{Error, Result, argument};
use crate::gguf::{GgufFile, parse_dtype};
use crate::signals;
use crate::value;

/// Every tensor type: name, id, elements and bytes of a block, whether it can be decoded and encoded.
#[pyfunction]
pub fn dtypes() -> Vec<(&'static str, u32, usize, usize, bool, bool)> {
    let row = |t: &DType| {
        let (len, bytes) = (t.block_len(), t.block_bytes());
        (t.name(), t.id(), len, bytes, t.can_decode(), t.can_encode())
    };
    DType::all().iter().map(row).collect()
}

/// Encodes a contiguous buffer of f32 as `dtype`.
#[pyfunction]
pub fn encode<'py>(
    py: Python<'py>,
    values: PyBuffer<f32>,
    dtype: &str,
) -> Result<Bound<'py, PyBytes>> {
    let dtype = parse_dtype(dtype)?;
    let values = values.to_vec(py)?;
    let blocks = py.detach(|| {
        let mut blocks = vec![0; dtype.row_bytes(values.len())?];
        quant::encode_row(dtype, &values, &mut blocks)?;
        Ok::<_, Error>(blocks)
    })?;
    Ok(PyBytes::new(py, &blocks))
}

/// Decodes all of `data`, blocks of `dtype`.
#[pyfunction]
pub fn decode(py: Python<'_>, data: PyBackedBytes, dtype: &str) -> Result<Array> {
    let dtype = parse_dtype(dtype)?;
    let (len, n_bytes) = (dtype.block_len(), dtype.block_bytes());
    let mut values = vec![0.0; data.len() / n_bytes * len];
    py.detach(|| quant::decode_row(dtype, &data, &mut values))?;
    Ok(Array::f32s(values, &[]))
}

/// The file types there are: what most tensors become, or a mixture.
#[pyfunction]
pub fn file_types() -> Vec<&'static str> {
    FileType::all().map(FileType::name).collect()
}

/// The file type that a text names: its name, in any case, one for short (`Q4_K`), or its number.
#[pyfunction]
pub fn file_type(text: &str) -> Option<&'static str> {
    match text.eq_ignore_ascii_case(COPY) {
        true => Some(COPY),
        false => FileType::from_name(text).map(FileType::name),
    }
}

/// Not a type: the file stays what it is.
const COPY: &str = "COPY";

/// Name, type before and after, bytes before and after.
type StepRow = (String, &'static str, &'static str, u64, u64);

/// Writes `file` to `path` (without one, says what would be done) as `file_type`, `COPY` for one that stays
/// what it is. `tensor_types` are names and types; `metadata` keys, values and GGUF's types.
/// `progress(tensor, done, total)` may answer False to stop.
#[pyfunction]
#[pyo3(signature = (
    file, path, file_type, *, n_threads=0, allow_requantize=false, leave_output_tensor=false,
    pure=false, output_tensor_type=None, token_embedding_type=None, tensor_types=vec![],
    keep_split=false, metadata=vec![], progress=None,
))]
#[allow(clippy::too_many_arguments)] // Python names them
pub fn quantize_file(
    py: Python<'_>,
    file: &GgufFile,
    path: Option<PathBuf>,
    file_type: &str,
    n_threads: usize,
    allow_requantize: bool,
    leave_output_tensor: bool,
    pure: bool,
    output_tensor_type: Option<&str>,
    token_embedding_type: Option<&str>,
    tensor_types: Vec<(String, String)>,
    keep_split: bool,
    metadata: Vec<(String, Bound<'_, PyAny>, String)>,
    progress: Option<Py<PyAny>>,
) -> Result<Vec<StepRow>> {
    let copy = file_type.eq_ignore_ascii_case(COPY);
    let file_type = parse_file_type(if copy { "F32" } else { file_type })?;
    let typed = |(name, dtype): (String, String)| Ok((name, parse_dtype(&dtype)?));
    let set = |(key, value, kind): (String, Bound<'_, PyAny>, String)| {
        let value = value::from_python(&key, &value, &kind)?;
        Ok((key, value))
    };
    let options = Options {
        copy,
        keep_split,
        tensor_types: tensor_types.into_iter().map(typed).collect::<Result<_>>()?,
        metadata: metadata.into_iter().map(set).collect::<Result<_>>()?,
        n_threads,
        allow_requantize,
        leave_output_tensor,
        pure,
        output_tensor_type: output_tensor_type.map(parse_dtype).transpose()?,
        token_embedding_type: token_embedding_type.map(parse_dtype).transpose()?,
        ..Options::new(file_type)
    };
    let Some(path) = path else {
        let steps = py.detach(|| quantize::plan(file.0.get(), &options))?;
        return Ok(steps.into_iter().map(row).collect());
    };
    write(py, file.0.get(), &path, &options, progress)
}

/// Writes the file, with Ctrl-C listened for and `progress` told.
fn write(
    py: Python<'_>,
    gguf: &Gguf,
    path: &Path,
    options: &Options,
    progress: Option<Py<PyAny>>,
) -> Result<Vec<StepRow>> {
    let cancel = AtomicBool::new(false);
    let mut raised = Ok(());
    let mut tell = |p: Progress| {
        let told = progress.as_ref().map_or(Ok(true), |progress| {
            Python::attach(|py| {
                let answer = progress.call1(py, (&p.step.name, p.done, p.total))?;
                Ok(answer.extract::<bool>(py).unwrap_or(true))
            })
        });
        cancel.fetch_or(!matches!(told, Ok(true)), Ordering::Relaxed);
        raised = std::mem::replace(&mut raised, Ok(())).and(told.map(|_| ()));
    };
    let work = || quantize::quantize_file(gguf, path, options, &mut tell, &cancel);
    let (steps, interrupted) = signals::run(py, true, &cancel, work);
    interrupted?;
    raised.map_err(|e: PyErr| e)?;
    Ok(steps?.into_iter().map(row).collect())
}

fn parse_file_type(name: &str) -> Result<FileType> {
    FileType::from_name(name).ok_or_else(|| {
        let known: Vec<_> = FileType::all().map(FileType::name).collect();
        let expected = format!("one of {} {COPY}", known.join(" "));
        argument("type", format!("{name:?}"), &expected)
    })
}

fn row(s: quantize::Step) -> StepRow {
    let (from, to) = (s.from.name(), s.to.name());
    (s.name, from, to, s.n_bytes_before, s.n_bytes_after)
}
