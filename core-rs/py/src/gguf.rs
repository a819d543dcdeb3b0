//! GGUF files: reading, and writing what Python has put together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use puna_engine::Model;
use puna_format::{DType, Gguf, Metadata, Value, Writer};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::array::{Array, Data};
use crate::error::{Error, Result, argument};
use crate::source;
use crate::value;

/// An opened file, alone or within a model.
pub enum File {
    Alone(Gguf),
    Of(Arc<Model>),
}

impl File {
    pub fn get(&self) -> &Gguf {
        match self {
            File::Alone(gguf) => gguf,
            File::Of(model) => model.gguf(),
        }
    }
}

/// Reads a GGUF file. `puna.gguf.Reader` is the face of it.
#[pyclass(frozen, module = "puna._core")]
pub struct GgufFile(pub Arc<File>);

/// Name, type, shape in GGUF's order, offset and number of bytes.
type TensorRow = (String, &'static str, Vec<u64>, u64, u64);

#[pymethods]
impl GgufFile {
    #[new]
    #[pyo3(signature = (source, *, mmap=true))]
    fn new(source: &Bound<'_, PyAny>, mmap: bool) -> Result<Self> {
        let path = source.extract::<PathBuf>().ok();
        let source = source::source(source, mmap)?;
        let gguf = Gguf::from_source(source).map_err(|e| match &path {
            Some(path) => e.in_file(path),
            None => e,
        })?;
        Ok(GgufFile(Arc::new(File::Alone(gguf))))
    }

    #[getter]
    fn version(&self) -> u32 {
        self.0.get().version
    }

    #[getter]
    fn alignment(&self) -> u64 {
        self.0.get().alignment
    }

    /// Where the tensors' data begins.
    #[getter]
    fn data_offset(&self) -> u64 {
        self.0.get().data_offset
    }

    /// Length of the file.
    #[getter]
    fn n_bytes(&self) -> u64 {
        self.0.get().source().len()
    }

    /// Metadata keys in the order of the file.
    fn keys(&self) -> Vec<String> {
        let entries = self.0.get().metadata.iter();
        entries.map(|(key, _)| key.to_string()).collect()
    }

    /// A metadata value; `None` where there is none. Strings that are not UTF-8 come as bytes.
    fn value<'py>(&self, py: Python<'py>, key: &str) -> Result<Option<Bound<'py, PyAny>>> {
        let value = self.0.get().metadata.get(key);
        Ok(value.map(|v| value::to_python(py, v)).transpose()?)
    }

    /// A value's type: `u32`, `string`, `array of f32`.
    fn value_type(&self, key: &str) -> Option<String> {
        self.0.get().metadata.get(key).map(Value::type_name)
    }

    fn tensors(&self) -> Vec<TensorRow> {
        let row = |t: &puna_format::TensorInfo| {
            let dtype = t.dtype.name();
            (t.name.clone(), dtype, t.shape.clone(), t.offset, t.n_bytes)
        };
        self.0.get().tensors().map(row).collect()
    }

    /// The bytes of a tensor: those of the map, or a copy where the file is read.
    fn data(&self, py: Python<'_>, name: &str) -> Result<Array> {
        let gguf = self.0.get();
        let info = gguf.require_tensor(name)?;
        if gguf.source().slice(info.offset, info.n_bytes).is_some() {
            let data = Data::Mapped(self.0.clone(), info.offset, info.n_bytes);
            return Ok(Array::new(data, &[]));
        }
        let bytes = py.detach(|| gguf.read_tensor(info).map(|b| b.into_owned()))?;
        Ok(Array::new(Data::U8(bytes), &[]))
    }

    /// A tensor as f32, in numpy's order: the reverse of GGUF's shape.
    fn dequantize(&self, py: Python<'_>, name: &str) -> Result<Array> {
        let gguf = self.0.get();
        let info = gguf.require_tensor(name)?;
        let outer: Vec<usize> = info
            .shape
            .iter()
            .skip(1)
            .rev()
            .map(|&n| n as usize)
            .collect();
        let values = py.detach(|| gguf.dequantize(name))?;
        Ok(Array::f32s(values, &outer))
    }
}

/// A tensor to be written: name, type, shape in GGUF's order, bytes.
type NewTensor = (String, DType, Vec<u64>, PyBackedBytes);

/// A GGUF file in the making. `puna.gguf.Writer` is the face of it.
#[pyclass(frozen, module = "puna._core")]
#[derive(Default)]
pub struct GgufWriter(Mutex<(Metadata, Vec<NewTensor>)>);

#[pymethods]
impl GgufWriter {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Sets a metadata key; `value_type` is GGUF's (`u32`, `string`, `array of f32`).
    fn set(&self, key: &str, value: &Bound<'_, PyAny>, value_type: &str) -> Result<()> {
        let value = value::from_python(key, value, value_type)?;
        self.lock().0.set(key, value);
        Ok(())
    }

    /// Takes over every metadata key of a file.
    fn copy_metadata(&self, file: &GgufFile) {
        let mut inner = self.lock();
        for (key, value) in file.0.get().metadata.iter() {
            inner.0.set(key, value.clone());
        }
    }

    /// Adds a tensor of encoded bytes; `shape[0]` is the row length.
    fn add_tensor(
        &self,
        name: String,
        dtype: &str,
        shape: Vec<u64>,
        data: PyBackedBytes,
    ) -> Result<()> {
        let dtype = parse_dtype(dtype)?;
        // A writer of its own says what is wrong now rather than when the file is written.
        Writer::new().add_tensor(&name, dtype, &shape, &data[..])?;
        let mut inner = self.lock();
        if inner.1.iter().any(|t| t.0 == name) {
            return Err(puna_format::Error::DuplicateTensor { name }.into());
        }
        inner.1.push((name, dtype, shape, data));
        Ok(())
    }

    /// Writes the file: beside `path`, then renamed.
    fn write(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        py.detach(|| self.with_writer(|writer| writer.write(&path, &mut |_| ())))
    }

    fn to_bytes(&self, py: Python<'_>) -> Result<Vec<u8>> {
        py.detach(|| {
            let mut out = vec![];
            self.with_writer(|writer| writer.write_to(&mut out, &mut |_| ()))?;
            Ok(out)
        })
    }
}

impl GgufWriter {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Metadata, Vec<NewTensor>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_writer(&self, write: impl FnOnce(Writer) -> puna_format::Result<()>) -> Result<()> {
        let inner = self.lock();
        let mut writer = Writer::with_metadata(inner.0.clone());
        for (name, dtype, shape, data) in &inner.1 {
            writer.add_tensor(name, *dtype, shape, &data[..])?;
        }
        Ok(write(writer)?)
    }
}

/// A tensor type by its name.
pub fn parse_dtype(name: &str) -> Result<DType> {
    DType::from_name(name).ok_or_else(|| {
        let known: Vec<_> = DType::all().iter().map(|t| t.name()).collect();
        argument(
            "dtype",
            format!("{name:?}"),
            &format!("one of {}", known.join(" ")),
        )
    })
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}
