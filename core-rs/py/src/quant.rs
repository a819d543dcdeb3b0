//! Rows of numbers into blocks and back; whole files from one type to others.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use puna_format::quantize::{self, FileType, Options, Progress};
use puna_format::{DType, quant};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::array::Array;
use crate::error::{Error, Result, argument};
use crate::gguf::{GgufFile, parse_dtype};
use crate::signals;

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

/// Name, type before and after, bytes before and after.
type StepRow = (String, &'static str, &'static str, u64, u64);

/// Writes `file` to `path` as `file_type`. `progress(tensor, done, total)` may answer False to stop.
#[pyfunction]
#[pyo3(signature = (
    file, path, file_type, *, n_threads=0, allow_requantize=false, leave_output_tensor=false,
    pure=false, output_tensor_type=None, token_embedding_type=None, progress=None,
))]
#[allow(clippy::too_many_arguments)] // Python names them
pub fn quantize_file(
    py: Python<'_>,
    file: &GgufFile,
    path: PathBuf,
    file_type: &str,
    n_threads: usize,
    allow_requantize: bool,
    leave_output_tensor: bool,
    pure: bool,
    output_tensor_type: Option<&str>,
    token_embedding_type: Option<&str>,
    progress: Option<Py<PyAny>>,
) -> Result<Vec<StepRow>> {
    let file_type = FileType::from_name(file_type).ok_or_else(|| {
        let known: Vec<_> = FileType::all().map(FileType::name).collect();
        argument(
            "type",
            format!("{file_type:?}"),
            &format!("one of {}", known.join(" ")),
        )
    })?;
    let options = Options {
        n_threads,
        allow_requantize,
        leave_output_tensor,
        pure,
        output_tensor_type: output_tensor_type.map(parse_dtype).transpose()?,
        token_embedding_type: token_embedding_type.map(parse_dtype).transpose()?,
        ..Options::new(file_type)
    };
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
    let gguf = file.0.get();
    let work = || quantize::quantize_file(gguf, &path, &options, &mut tell, &cancel);
    let (steps, interrupted) = signals::run(py, true, &cancel, work);
    interrupted?;
    raised.map_err(|e: PyErr| e)?;
    let row = |s: quantize::Step| {
        let (from, to) = (s.from.name(), s.to.name());
        (s.name, from, to, s.n_bytes_before, s.n_bytes_after)
    };
    Ok(steps?.into_iter().map(row).collect())
}
