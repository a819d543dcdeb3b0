//! Arrays that cross the border without a copy: `numpy.asarray(x)` where numpy is, `memoryview(x)`
//! where it is not.
//!
//! The buffer protocol is C, so this file has the only `unsafe` of the crate. A view points into an
//! `Array`, which never changes and which the view itself keeps alive.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::sync::Arc;

use pyo3::exceptions::{PyBufferError, PyIndexError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySlice, PyTuple};

use crate::error::Result;
use crate::gguf::File;

/// A read-only array of f32 or of bytes, with a shape, last dimension fastest.
///
/// `numpy.asarray(array)` and `memoryview(array)` share its memory. `array[i]` is a number of a
/// flat array and a copied row of any other, `array[i, j]` an element of that, `array[from:to]` a copy of
/// some rows.
#[pyclass(frozen, module = "puna._core")]
pub struct Array {
    data: Data,
    shape: Vec<isize>,
    strides_bytes: Vec<isize>,
}

pub enum Data {
    F32(Vec<f32>),
    U8(Vec<u8>),
    /// A range of a mapped file.
    Mapped(Arc<File>, u64, u64),
}

impl Data {
    /// Error: the file that they are mapped from became shorter.
    fn bytes(&self) -> Result<&[u8]> {
        match self {
            Data::F32(x) => Ok(bytemuck::cast_slice(x)),
            Data::U8(x) => Ok(x),
            Data::Mapped(file, offset, n) => {
                let source = file.get().source();
                if let Some(slice) = source.slice(*offset, *n) {
                    return Ok(slice);
                }
                source.read_at((offset + n).saturating_sub(1), &mut [0])?;
                source.intact()?;
                let message = "the file of this array became shorter while in use";
                Err(PyBufferError::new_err(message).into())
            }
        }
    }

    fn n_bytes(&self) -> usize {
        match self {
            Data::F32(x) => 4 * x.len(),
            Data::U8(x) => x.len(),
            Data::Mapped(_, _, n) => *n as usize,
        }
    }

    fn item_bytes(&self) -> isize {
        match self {
            Data::F32(_) => 4,
            _ => 1,
        }
    }

    /// As the struct module writes it.
    fn format(&self) -> &'static CStr {
        match self {
            Data::F32(_) => c"f",
            _ => c"B",
        }
    }
}

impl Array {
    /// `shape` multiplies to the number of elements: that of the last dimension is derived.
    pub fn new(data: Data, outer: &[usize]) -> Array {
        let n = data.n_bytes() / data.item_bytes() as usize;
        let n_outer: usize = outer.iter().product();
        let last = n.checked_div(n_outer).unwrap_or(0);
        let shape: Vec<isize> = outer
            .iter()
            .map(|&n| n as isize)
            .chain([last as isize])
            .collect();
        Array::with_shape(data, shape)
    }

    fn with_shape(data: Data, shape: Vec<isize>) -> Array {
        let mut strides_bytes = vec![data.item_bytes(); shape.len()];
        for i in (0..shape.len() - 1).rev() {
            strides_bytes[i] = strides_bytes[i + 1] * shape[i + 1];
        }
        Array {
            data,
            shape,
            strides_bytes,
        }
    }

    pub fn f32s(values: Vec<f32>, outer: &[usize]) -> Array {
        Array::new(Data::F32(values), outer)
    }

    /// The values of an f32 array.
    pub fn as_f32s(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(x) => Some(x),
            _ => None,
        }
    }
}

impl Array {
    /// Element or row `index`, counted from the end where it is negative.
    fn item<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let n = self.shape[0];
        let i = if index < 0 { index + n } else { index };
        if !(0..n).contains(&i) {
            let message = format!("index {index}, expected {} to {}", -n, n - 1);
            return Err(PyIndexError::new_err(message));
        }
        if self.shape.len() > 1 {
            let mut row = self.rows([i as usize].into_iter())?;
            row.shape.remove(0);
            row.strides_bytes.remove(0);
            return Ok(Bound::new(py, row)?.into_any());
        }
        match &self.data {
            Data::F32(x) => Ok(x[i as usize].into_pyobject(py)?.into_any()),
            other => Ok(other.bytes()?[i as usize].into_pyobject(py)?.into_any()),
        }
    }

    /// A copy of some elements of the first dimension, which are there.
    fn rows(&self, rows: impl Iterator<Item = usize>) -> PyResult<Array> {
        let n_bytes = self.strides_bytes[0] as usize;
        let all = self.data.bytes()?;
        let bytes: Vec<u8> = rows
            .flat_map(|i| &all[i * n_bytes..][..n_bytes])
            .copied()
            .collect();
        let mut shape = self.shape.clone();
        shape[0] = bytes.len().checked_div(n_bytes).unwrap_or(0) as isize;
        let data = match self.data {
            Data::F32(_) => Data::F32(bytemuck::pod_collect_to_vec(&bytes)),
            _ => Data::U8(bytes),
        };
        Ok(Array::with_shape(data, shape))
    }
}

#[pymethods]
impl Array {
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.shape)
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.data.n_bytes()
    }

    /// numpy's name of the element type.
    #[getter]
    fn dtype(&self) -> &'static str {
        match self.data {
            Data::F32(_) => "float32",
            _ => "uint8",
        }
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let typestr = match self.data {
            Data::F32(_) => "<f4",
            _ => "|u1",
        };
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("shape", self.shape(py)?)?;
        interface.set_item("typestr", typestr)?;
        interface.set_item("data", (self.data.bytes()?.as_ptr() as usize, true))?;
        Ok(interface)
    }

    fn __len__(&self) -> usize {
        self.shape[0] as usize
    }

    fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            let slice = slice.indices(self.shape[0])?;
            let rows =
                (0..slice.slicelength).map(|i| (slice.start + i as isize * slice.step) as usize);
            return Ok(Bound::new(index.py(), self.rows(rows)?)?.into_any());
        }
        if let Ok(tuple) = index.cast::<PyTuple>()
            && !tuple.is_empty()
            && tuple.iter().all(|i| i.extract::<isize>().is_ok())
        {
            let first = self.__getitem__(&tuple.get_item(0)?)?;
            return match tuple.len() {
                1 => Ok(first),
                n => first.get_item(tuple.get_slice(1, n)),
            };
        }
        match index.extract() {
            Ok(i) => self.item(index.py(), i),
            Err(_) => Err(PyTypeError::new_err(format!(
                "index of type {}, expected a whole number, a slice or a tuple of numbers; \
                 numpy.asarray(array) takes all others",
                index.get_type().name()?
            ))),
        }
    }

    /// Python's own error does not say what else there is.
    fn __setitem__(&self, _index: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        let message = "a puna.Array is read-only; numpy.array(array) is a copy that is not";
        Err(PyTypeError::new_err(message))
    }

    /// The elements as numbers in nested lists, one list a row.
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        match &self.data {
            Data::F32(x) => nested(py, &self.shape, x),
            other => nested(py, &self.shape, other.bytes()?),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<puna.Array {} {}>", self.dtype(), self.shape(py)?))
    }

    /// # Safety
    /// `view` is the caller's, to be filled; CPython guarantees that.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: CPython passes null or a `Py_buffer` it owns; exclusive while this runs.
        let Some(view) = (unsafe { view.as_mut() }) else {
            return Err(PyBufferError::new_err("no view to fill"));
        };
        view.obj = std::ptr::null_mut();
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("this array is read-only"));
        }
        let this = slf.get();
        let wants = |flag: c_int| flags & flag == flag;
        // Rows lie one after another: that is Fortran's order too only where one dimension has more
        // than one element.
        let is_flat = this.shape.iter().filter(|&&n| n != 1).count() <= 1;
        if wants(ffi::PyBUF_F_CONTIGUOUS) && !is_flat {
            return Err(PyBufferError::new_err(
                "this array is C-contiguous, expected no Fortran order",
            ));
        }
        let bytes = this.data.bytes()?;
        view.buf = bytes.as_ptr().cast_mut().cast();
        view.len = bytes.len() as isize;
        view.readonly = 1;
        view.itemsize = this.data.item_bytes();
        view.format = match wants(ffi::PyBUF_FORMAT) {
            true => this.data.format().as_ptr().cast_mut(),
            false => std::ptr::null_mut(),
        };
        view.ndim = if wants(ffi::PyBUF_ND) {
            this.shape.len() as c_int
        } else {
            1
        };
        view.shape = match wants(ffi::PyBUF_ND) {
            true => this.shape.as_ptr().cast_mut(),
            false => std::ptr::null_mut(),
        };
        view.strides = match wants(ffi::PyBUF_STRIDES) {
            true => this.strides_bytes.as_ptr().cast_mut(),
            false => std::ptr::null_mut(),
        };
        view.suboffsets = std::ptr::null_mut();
        view.internal = std::ptr::null_mut();
        // What the pointers above point into is frozen, and lives as long as this reference.
        view.obj = slf.into_any().into_ptr();
        Ok(())
    }
}

/// `values` in lists as deep as `shape` is long.
fn nested<'py, T: Copy + IntoPyObject<'py>>(
    py: Python<'py>,
    shape: &[isize],
    values: &[T],
) -> PyResult<Bound<'py, PyList>> {
    let [n, inner @ ..] = shape else {
        return Ok(PyList::empty(py));
    };
    if inner.is_empty() {
        return PyList::new(py, values.iter().copied());
    }
    let width = inner.iter().product::<isize>() as usize;
    let rows = (0..*n as usize).map(|i| nested(py, inner, &values[i * width..][..width]));
    PyList::new(py, rows.collect::<PyResult<Vec<_>>>()?)
}

/// The rows of f32 arrays one after another (an array of one dimension is a row).
#[pyfunction]
pub fn concat(arrays: Vec<Bound<'_, Array>>) -> Result<Array> {
    let mut values = vec![];
    let mut total = 0;
    for array in &arrays {
        let array = array.get();
        let rows = array.as_f32s().filter(|_| array.shape.len() <= 2);
        let rows = rows.ok_or_else(|| {
            crate::error::argument("arrays", array.dtype(), "float32 of one or two dimensions")
        })?;
        values.extend_from_slice(rows);
        total += match array.shape.len() {
            2 => array.shape[0] as usize,
            _ => 1,
        };
    }
    Ok(Array::f32s(values, &[total]))
}

/// Rows `start` to `stop` of an f32 array of two dimensions.
#[pyfunction]
pub fn slice_rows(array: &Array, start: usize, stop: usize) -> Result<Array> {
    let width = array.shape.last().map_or(0, |&n| n as usize);
    let rows = array.as_f32s().filter(|_| array.shape.len() == 2);
    let found = rows.and_then(|x| x.get(start * width..stop * width));
    let found = found.ok_or_else(|| {
        let expected = "rows of a float32 array of two dimensions";
        crate::error::argument("rows", format!("{start} to {stop}"), expected)
    })?;
    Ok(Array::f32s(found.to_vec(), &[stop - start]))
}
