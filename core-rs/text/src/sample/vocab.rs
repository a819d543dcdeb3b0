//! What samplers know of the vocabulary: how many tokens there are; for those that read texts
//! (`dry` its breakers, `infill` prefixes and ends), the tokenizer too.

use crate::{Error, Result, Tokenizer};
use std::sync::Arc;

/// A vocabulary for samplers: made of the number of tokens, or of a tokenizer.
#[derive(Debug, Clone)]
pub struct SamplerVocab {
    n_vocab: usize,
    tokenizer: Option<Arc<Tokenizer>>,
}

impl From<usize> for SamplerVocab {
    fn from(n_vocab: usize) -> Self {
        let tokenizer = None;
        Self { n_vocab, tokenizer }
    }
}

impl From<&Arc<Tokenizer>> for SamplerVocab {
    fn from(tokenizer: &Arc<Tokenizer>) -> Self {
        Self {
            n_vocab: tokenizer.n_vocab(),
            tokenizer: Some(tokenizer.clone()),
        }
    }
}

impl SamplerVocab {
    /// Number of tokens.
    pub fn n_vocab(&self) -> usize {
        self.n_vocab
    }

    /// The tokenizer, which the parameter `name` with its `value` needs.
    pub(super) fn tokenizer(&self, name: &'static str, value: &str) -> Result<&Arc<Tokenizer>> {
        self.tokenizer.as_ref().ok_or_else(|| Error::Param {
            name,
            value: value.into(),
            expected: "a sampler made with a tokenizer, as this reads the texts of tokens".into(),
        })
    }
}
