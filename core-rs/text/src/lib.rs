//! Strings in, tokens out: tokenizers, chat templates and samplers. Imports nothing of ours, so
//! that it can be used, tested and read alone. `README.md` is the map.

pub mod chat;
mod error;
pub mod sample;
mod tokenizer;
mod unicode;
mod vocab;

pub use chat::{ChatTemplate, RenderOptions};
pub use error::{Error, Result};
pub use sample::{Candidate, Candidates, Logprobs, Sampler, SamplerParams, SamplerVocab, logprobs};
pub use tokenizer::{
    DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer, Utf8Joiner, pre_tokenizer_names, split,
};
pub use vocab::{FimIds, TokenType, VocabData};
