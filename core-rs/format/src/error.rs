//! Every way reading or writing a model file can fail. Each variant carries what was looked at, the
//! value found, and what was expected, so that the message alone is enough to act on.

use std::path::{Path, PathBuf};

use crate::DType;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another error, with the file it came from.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: Box<Error> },

    /// Another error, with the tensor it is about.
    #[error("tensor {name:?}: {source}")]
    Tensor { name: String, source: Box<Error> },

    #[error("cannot {action}: {source}")]
    Io {
        action: &'static str,
        source: std::io::Error,
    },

    #[error("{what} at byte {offset} needs {wanted} bytes, but the file has only {len} bytes")]
    Truncated {
        what: String,
        offset: u64,
        wanted: u64,
        len: u64,
    },

    /// The header promises more data than the file has.
    #[error(
        "the file has {len} bytes, expected at least {expected}: it ends before the data of tensor {tensor:?} does"
    )]
    CutOff {
        /// The first whose data is not all there.
        tensor: String,
        len: u64,
        expected: u64,
    },

    #[error("not a GGUF file: it begins with {found:02x?}, expected \"GGUF\" (47 47 55 46)")]
    BadMagic { found: [u8; 4] },

    #[error("GGUF version {found} is not readable here, expected 1, 2 or 3")]
    BadVersion { found: u32 },

    /// A field whose value makes no sense, or an argument that does not fit.
    #[error("{what} is {found}, expected {expected}")]
    Invalid {
        what: String,
        found: String,
        expected: String,
    },

    /// An option of a caller, by its name.
    #[error("{name} = {value}, expected {expected}")]
    Argument {
        name: &'static str,
        value: String,
        expected: &'static str,
    },

    #[error("metadata key {key:?} appears twice, expected each key once")]
    DuplicateKey { key: String },

    #[error("tensor {name:?} appears twice, expected each tensor name once")]
    DuplicateTensor { name: String },

    #[error("metadata key {key:?} is missing, expected {expected}")]
    MissingKey { key: String, expected: String },

    #[error("metadata key {key:?} is {found}, expected {expected}")]
    WrongType {
        key: String,
        found: String,
        expected: String,
    },

    #[error("tensor {name:?} is missing: the file has {n_tensors} tensors and none of that name")]
    MissingTensor { name: String, n_tensors: usize },

    #[error("cannot {action} type {}, supported: {}", dtype.name(), names(supported))]
    Unsupported {
        action: &'static str,
        dtype: DType,
        supported: Vec<DType>,
    },

    #[error("value {index} of {} is {value}, expected at most {limit} in size for {}", row_name(row), dtype.name())]
    OutOfRange {
        dtype: DType,
        /// Which row of the tensor; `None` where there is but one.
        row: Option<u64>,
        /// Which value of that row.
        index: usize,
        value: f32,
        limit: f32,
    },

    /// The caller asked to stop; nothing was left behind.
    #[error("cancelled by the caller after {done} of {total} tensors, no file was written")]
    Cancelled { done: usize, total: usize },
}

fn names(types: &[DType]) -> String {
    let names: Vec<&str> = types.iter().map(|t| t.name()).collect();
    names.join(", ")
}

fn row_name(row: &Option<u64>) -> String {
    row.map_or("the row".into(), |row| format!("row {row}"))
}

impl Error {
    /// Says which file this happened in.
    pub fn in_file(self, path: &Path) -> Self {
        Error::File {
            path: path.to_path_buf(),
            source: Box::new(self),
        }
    }

    pub(crate) fn in_tensor(self, name: &str) -> Self {
        Error::Tensor {
            name: name.into(),
            source: Box::new(self),
        }
    }

    /// Tells the row of a value that was counted over several rows from `first_row` on.
    pub(crate) fn in_rows(self, first_row: u64, row_len: usize) -> Self {
        match self {
            Error::OutOfRange {
                dtype,
                index,
                value,
                limit,
                ..
            } => Error::OutOfRange {
                dtype,
                row: Some(first_row + (index / row_len) as u64),
                index: index % row_len,
                value,
                limit,
            },
            other => other,
        }
    }

    /// The error itself, without the names of files and tensors around it.
    pub fn root(&self) -> &Error {
        match self {
            Error::File { source, .. } | Error::Tensor { source, .. } => source.root(),
            other => other,
        }
    }

    pub(crate) fn argument(
        name: &'static str,
        value: impl ToString,
        expected: &'static str,
    ) -> Self {
        Error::Argument {
            name,
            value: value.to_string(),
            expected,
        }
    }

    pub(crate) fn invalid(
        what: impl Into<String>,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Error::Invalid {
            what: what.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

/// Names what was being done when the operating system refused.
pub(crate) trait IoContext<T> {
    fn doing(self, action: &'static str) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing(self, action: &'static str) -> Result<T> {
        self.map_err(|source| Error::Io { action, source })
    }
}
