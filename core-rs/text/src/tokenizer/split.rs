//! Pre-tokenizers: how a byte-level BPE cuts a text into words before it merges.
//!
//! A pre-tokenizer is a row of [`PRE_TOKENIZERS`]: the names files use for it, and one or more
//! *stages*. A stage is a function that says where the next piece ends; each stage cuts the pieces
//! of the one before. To add one, write its function in a file here and its line in the table.

use crate::{Error, Result};

mod cursor;
mod digits;
mod gpt2;
mod llama3;
mod punctuation;

/// Where the piece that starts at `start` ends; `start < end <= text.len()`, at a character.
pub type NextPiece = fn(text: &str, start: usize) -> usize;

/// One way to cut a text into words.
#[derive(Debug)]
pub struct PreTokenizer {
    /// `tokenizer.ggml.pre` names that select it.
    pub names: &'static [&'static str],
    /// Cuts, one after the other.
    pub stages: &'static [NextPiece],
    /// A word that is a token is taken whole, whatever the merges say.
    pub ignore_merges: bool,
    /// BOS comes first unless the file says otherwise.
    pub add_bos: bool,
}

/// Every pre-tokenizer there is. The names are llama.cpp's.
#[rustfmt::skip]
pub static PRE_TOKENIZERS: &[PreTokenizer] = &[
    row(&["default"], &[punctuation::next, gpt2::next, digits::runs, digits::threes]),
    row(&["gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v1-en", "jina-v2-es", "jina-v2-de",
          "jina-v2-code", "roberta-bpe", "a.x-4.0", "mellum", "modern-bert", "mpt", "olmo", "jais",
          "trillion", "granite-docling"], &[gpt2::next]),
    PreTokenizer { ignore_merges: true, add_bos: true,
        ..row(&["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                "jina-v5-nano"], &[llama3::next]) },
    row(&["dbrx", "smaug-bpe", "chatglm-bpe", "glm4"], &[llama3::next]),
    row(&["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
          "solar-open"], &[llama3::next_single_digits]),
];

const fn row(names: &'static [&'static str], stages: &'static [NextPiece]) -> PreTokenizer {
    PreTokenizer {
        names,
        stages,
        ignore_merges: false,
        add_bos: false,
    }
}

/// All names that select a pre-tokenizer.
pub fn pre_tokenizer_names() -> impl Iterator<Item = &'static str> {
    PRE_TOKENIZERS
        .iter()
        .flat_map(|row| row.names.iter().copied())
}

/// The pre-tokenizer with this name; `default` for a file that names none.
///
/// # Errors
/// An unknown name; the error lists the known ones.
pub fn find(name: Option<&str>) -> Result<&'static PreTokenizer> {
    let name = name.unwrap_or("default");
    let row = PRE_TOKENIZERS.iter().find(|row| row.names.contains(&name));
    row.ok_or_else(|| Error::Unknown {
        what: "tokenizer.ggml.pre",
        value: name.into(),
        known: pre_tokenizer_names().collect::<Vec<_>>().join(" "),
    })
}

impl PreTokenizer {
    /// Calls `emit` for each word of `text`, in order; together they are the text.
    pub fn words<'a>(&self, text: &'a str, mut emit: impl FnMut(&'a str)) {
        cut(text, self.stages, &mut emit);
    }
}

fn cut<'a>(text: &'a str, stages: &[NextPiece], emit: &mut impl FnMut(&'a str)) {
    let Some((next, later)) = stages.split_first() else {
        return emit(text);
    };
    let mut start = 0;
    while start < text.len() {
        let end = next(text, start);
        if later.is_empty() {
            emit(&text[start..end])
        } else {
            cut(&text[start..end], later, emit)
        }
        start = end;
    }
}
