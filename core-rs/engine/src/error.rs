//! What can go wrong between a file and its text.

/// An error of loading or running a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option or argument outside its range; names it, its value and the range.
    #[error("{name} = {value}, expected {expected}")]
    Argument {
        name: &'static str,
        value: String,
        expected: String,
    },
    /// A prompt that leaves the context no room for a token.
    #[error(
        "prompt of {n_tokens} tokens does not fit the context window of n_ctx = {n_ctx} tokens, \
         expected at most {}",
        n_ctx.saturating_sub(1)
    )]
    PromptTooLong { n_tokens: usize, n_ctx: usize },
    /// The cache has no free cells for a batch.
    #[error(
        "no room in the cache: {wanted} more tokens, but {free} of n_ctx = {n_ctx} cells are free"
    )]
    CacheFull {
        wanted: usize,
        free: usize,
        n_ctx: usize,
    },
    /// More memory than the system gives.
    #[error(
        "not enough memory: {n_bytes} bytes for the model's weights, a cache of n_ctx = {n_ctx} tokens \
         and batches of n_batch = {n_batch}; expected smaller ones, or a smaller model"
    )]
    Memory {
        n_bytes: u64,
        n_ctx: usize,
        n_batch: usize,
    },
    #[error("token id {id}, expected 0 to {}", n_vocab - 1)]
    Token { id: u32, n_vocab: usize },
    #[error(transparent)]
    Format(#[from] puna_format::Error),
    #[error(transparent)]
    Model(#[from] puna_model::Error),
    #[error(transparent)]
    Text(#[from] puna_text::Error),
    #[error(transparent)]
    Graph(#[from] puna_graph::Error),
}

impl Error {
    pub(crate) fn argument(
        name: &'static str,
        value: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Error::Argument {
            name,
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
