//! Where a model's bytes come from, seen from Python: a path, bytes, or an object with `read` and
//! `seek` (an open file, a `Blob` of the browser behind one).

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use puna_format::{Bytes, Error, FileSource, Result, Source};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::MutexExt;
use pyo3::types::PyBytes;

/// A source of any kind Python may name.
///
/// # Errors
/// A path that cannot be opened, an object that is none of the three.
pub fn source(object: &Bound<'_, PyAny>, mmap: bool) -> crate::error::Result<Arc<dyn Source>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Arc::new(Shared(PyBackedBytes::from(bytes.clone()))));
    }
    if let Ok(buffer) = PyBuffer::<u8>::get(object) {
        return Ok(Arc::new(Bytes::new(buffer.to_vec(object.py())?)));
    }
    if object.hasattr("read")? && object.hasattr("seek")? {
        return Ok(Arc::new(FileObject::new(object)?));
    }
    let Ok(path) = object.extract::<PathBuf>() else {
        let found = object.get_type().name()?.to_string();
        let expected = "a path, bytes, or a file object with read and seek";
        return Err(crate::error::argument_type("model_path", found, expected));
    };
    object.py().detach(|| {
        #[cfg(not(target_family = "wasm"))]
        if mmap {
            return Ok(Arc::new(puna_format::Mmap::open(&path)?) as Arc<dyn Source>);
        }
        let _unused = mmap;
        Ok(Arc::new(FileSource::open(&path)?) as Arc<dyn Source>)
    })
}

/// A `bytes` object, not copied.
struct Shared(PyBackedBytes);

impl Source for Shared {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let bytes = self.slice(offset, buf.len() as u64);
        buf.copy_from_slice(bytes.ok_or_else(|| beyond(offset, buf.len(), self.len()))?);
        Ok(())
    }

    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.0.get(start..end)
    }
}

/// A Python object with `seek` and `read`; the lock keeps the two calls of a reading together.
struct FileObject {
    object: Mutex<Py<PyAny>>,
    len: u64,
}

/// Bytes asked of `read` at once: a tensor of a gigabyte is not held twice.
const PIECE_BYTES: usize = 1 << 24;

const SEEK_END: i32 = 2;

impl FileObject {
    fn new(object: &Bound<'_, PyAny>) -> PyResult<FileObject> {
        let at_end = object.call_method1("seek", (0, SEEK_END))?;
        // Not every seek answers its position.
        let len = match at_end.is_none() {
            true => object.call_method0("tell")?.extract()?,
            false => at_end.extract()?,
        };
        Ok(FileObject {
            object: Mutex::new(object.clone().unbind()),
            len,
        })
    }

    fn read(&self, py: Python<'_>, offset: u64, buf: &mut [u8]) -> PyResult<usize> {
        let object = self.object.lock_py_attached(py);
        let object = object.unwrap_or_else(|e| e.into_inner());
        object.call_method1(py, "seek", (offset,))?;
        let mut done = 0;
        while done < buf.len() {
            let n = (buf.len() - done).min(PIECE_BYTES);
            let piece: PyBackedBytes = object.call_method1(py, "read", (n,))?.extract(py)?;
            if piece.is_empty() {
                break;
            }
            if piece.len() > n {
                let message = format!("read({n}) answered {} bytes", piece.len());
                return Err(crate::error::argument(
                    "model_path",
                    message,
                    "at most as many as asked for",
                )
                .into());
            }
            buf[done..done + piece.len()].copy_from_slice(&piece);
            done += piece.len();
        }
        Ok(done)
    }
}

impl Source for FileObject {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        if offset
            .checked_add(buf.len() as u64)
            .is_none_or(|end| end > self.len)
        {
            return Err(beyond(offset, buf.len(), self.len));
        }
        let n = Python::attach(|py| self.read(py, offset, buf)).map_err(|e| Error::Io {
            action: "read from the file object",
            source: std::io::Error::other(e),
        })?;
        match n == buf.len() {
            true => Ok(()),
            false => Err(beyond(offset, buf.len(), offset + n as u64)),
        }
    }

    fn slice(&self, _offset: u64, _len: u64) -> Option<&[u8]> {
        None
    }
}

fn beyond(offset: u64, wanted: usize, len: u64) -> Error {
    Error::Truncated {
        what: "a range".into(),
        offset,
        wanted: wanted as u64,
        len,
    }
}
