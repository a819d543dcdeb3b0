//! What can be wrong with a model file that is a sound GGUF.

/// An error of reading a model's description. Every message names what was found and expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("architecture {name:?} is not supported; known architectures: {known}")]
    Architecture { name: String, known: String },
    #[error("{key} = {value}, expected {expected}")]
    Hparam {
        key: String,
        value: String,
        expected: String,
    },
    #[error("tensor {name:?} is missing, expected shape {shape:?} for architecture {arch:?}")]
    MissingTensor {
        name: String,
        shape: Vec<usize>,
        arch: String,
    },
    #[error("tensor {name:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        name: String,
        found: Vec<u64>,
        expected: Vec<usize>,
    },
    #[error(
        "architecture {arch:?} does not use {count} of the file's tensors, the first of them: {names}; \
         the model is a variant that is not supported"
    )]
    UnusedTensors {
        arch: String,
        count: usize,
        names: String,
    },
    #[error(transparent)]
    Format(#[from] puna_format::Error),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
