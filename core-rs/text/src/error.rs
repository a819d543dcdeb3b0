//! What can go wrong in this room. One type; each variant says the name, the value and what was
//! expected.

/// An error of the text room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name (tokenizer model, pre-tokenizer, sampler) that no registry row has.
    #[error("{what} is {value:?}, which is not known here; known: {known}")]
    Unknown {
        /// What was named, e.g. `tokenizer.ggml.pre`.
        what: &'static str,
        /// The name that was given.
        value: String,
        /// The names there are, separated by spaces.
        known: String,
    },
    /// Vocabulary metadata that contradicts itself.
    #[error("vocabulary: {name} is {value}; expected {expected}")]
    Vocab {
        /// Metadata key or list.
        name: &'static str,
        /// The value found.
        value: String,
        /// What would have been right.
        expected: String,
    },
    /// A sampling parameter outside its range.
    #[error("sampler parameter {name} is {value}; expected {expected}")]
    Param {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        value: String,
        /// The range it has.
        expected: String,
    },
    /// Logits from which no token can be drawn.
    #[error("logits: {found}; expected {expected}")]
    Logits {
        /// What is wrong with them.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// A token id that the vocabulary does not have.
    #[error("token id {id} is not in the vocabulary; expected an id below {n_vocab}")]
    Token {
        /// The id given.
        id: u32,
        /// Number of tokens in the vocabulary.
        n_vocab: usize,
    },
    /// A chat template that does not parse, refuses the conversation, or exceeds its limits.
    #[error("chat template: {0}")]
    Template(String),
}

/// Result of this room.
pub type Result<T> = std::result::Result<T, Error>;
