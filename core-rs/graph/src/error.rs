//! What can go wrong between a graph and a result.

/// An error of planning or running a graph.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A shape does not fit the op that uses it. The message names the value and both sizes.
    #[error("{op}: {message}")]
    Shape { op: String, message: String },
    /// A batch breaks a limit of the plan (rows, cells, ids). Names the field, value and limit.
    #[error("batch: {0}")]
    Batch(String),
    /// A weight was uploaded twice, never, or with another shape than the plan says.
    #[error("weight {name}: {message}")]
    Weight { name: String, message: String },
    /// An executor cannot do what the plan asks (an op, a tensor type).
    #[error("{executor}: {message}")]
    Unsupported { executor: String, message: String },
    /// An executor has too little memory, at all or in one piece.
    #[error("{executor}: {message}")]
    Memory { executor: String, message: String },
    /// The device behind an executor failed or was lost.
    #[error("{executor}: device error: {message}")]
    Device { executor: String, message: String },
    /// The bytes of a saved plan or saved cache do not parse.
    #[error("{what}: {message}")]
    Bytes { what: &'static str, message: String },
    /// The work was cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Format(#[from] puna_format::Error),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
