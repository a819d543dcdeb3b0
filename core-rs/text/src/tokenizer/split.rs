//! Pre-tokenizers: how a BPE cuts a text into words before it merges.
//!
//! A pre-tokenizer is a row of [`PRE_TOKENIZERS`]: the names files use for it, and one or more
//! *stages*. A stage is a function that says where the next piece ends; each stage cuts the pieces
//! of the one before. To add one, write its function in a file here and its line in the table.
//!
//! The names and what they mean are llama.cpp's, also where its regexes say less than those of the
//! model's own tokenizer (GPT-4o's and Tekken's capitals beyond ASCII, their marks): a file gives
//! the same tokens here and there.

use crate::{Error, Result};

mod chameleon;
mod cursor;
mod digits;
mod gpt2;
mod letters;
mod lines;
mod punctuation;
mod ranges;
mod words;

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
    /// What the vocabulary is written in.
    pub alphabet: Alphabet,
    /// A word of line ends that is a token is taken whole.
    pub whole_lines: bool,
    /// llama.cpp's `llama_detokenize` takes blanks off before punctuation.
    pub clean_spaces: bool,
}

/// What tokens and merges are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// GPT-2's: a printable character for each byte.
    Bytes,
    /// Plain UTF-8; bytes without a token are written `<0x41>`. Blanks are not tokenized.
    Plain,
    /// Plain UTF-8 with `▁` for a blank; bytes without a token are written `<0x41>`.
    Marked,
}

/// Every pre-tokenizer there is. Where a row repeats the stages of another, its flags differ.
#[rustfmt::skip]
pub static PRE_TOKENIZERS: &[PreTokenizer] = &[
    row(&["default"], &[punctuation::runs, gpt2::next, digits::runs, digits::threes]),
    row(&["gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v1-en", "jina-v2-es", "jina-v2-de",
          "jina-v2-code", "roberta-bpe", "a.x-4.0", "mellum", "modern-bert", "mpt", "olmo", "jais",
          "exaone4"], &[gpt2::next]),
    row(&["trillion", "granite-docling"], &[gpt2::next]).keep_spaces(),
    row(&["starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"],
        &[digits::single, gpt2::next]),
    row(&["command-r", "smollm"], &[digits::single, gpt2::next]).keep_spaces(),
    row(&["falcon"], &[punctuation::falcon, gpt2::next, digits::threes]),
    row(&["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
          "jina-v5-nano"], &[words::llama3]).ignore_merges().add_bos(),
    row(&["glm4", "glm5"], &[words::llama3]).ignore_merges(),
    row(&["dbrx", "smaug-bpe", "chatglm-bpe"], &[words::llama3]),
    row(&["jais-2"], &[words::llama3, lines::powers]),
    row(&["minicpm5"], &[digits::up_to_three, words::minicpm5]).ignore_merges(),
    row(&["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "hunyuan", "solar-open", "grok-2"],
        &[words::qwen2]).keep_spaces(),
    row(&["megrez", "stablelm2"], &[words::qwen2]),
    row(&["qwen35"], &[words::qwen35]).keep_spaces(),
    row(&["seed-coder"], &[words::seed_coder]).keep_spaces(),
    row(&["bailingmoe", "bailingmoe2", "llada-moe"], &[words::qwen2]).keep_spaces(),
    row(&["ufakzeka"], &[words::ufakzeka]).keep_spaces(),
    row(&["laguna"], &[lines::runs, words::qwen2]).keep_spaces(),
    row(&["exaone-moe"], &[words::exaone_moe]),
    row(&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], &[words::gpt_4o]).keep_spaces(),
    row(&["granite-embed-multi-97m"], &[words::granite_embed]).keep_spaces().ignore_merges(),
    row(&["tekken"], &[words::tekken]).keep_spaces().ignore_merges().add_bos(),
    row(&["tiny_aya", "cohere2moe"], &[digits::groups, words::tiny_aya]).keep_spaces(),
    row(&["youtu"], &[ranges::youtu, words::youtu]).keep_spaces().ignore_merges(),
    row(&["kimi-k2"], &[letters::kimi]).keep_spaces(),
    row(&["deepseek-llm"], &[lines::single, ranges::cased, ranges::marks, lines::at_end, ranges::wide,
                             digits::runs]).keep_spaces(),
    row(&["deepseek-coder"], &[lines::single, letters::after_blank, punctuation::after_blank,
                               ranges::wide, digits::single]).keep_spaces(),
    row(&["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        &[digits::up_to_three, ranges::cjk, letters::deepseek3]).keep_spaces(),
    row(&["spark2_5"], &[digits::up_to_three, ranges::cjk, letters::spark, digits::single]).keep_spaces(),
    row(&["afmoe"], &[digits::groups, ranges::asian, letters::deepseek3]).keep_spaces(),
    row(&["superbpe"], &[digits::runs, digits::thousands]).keep_spaces(),
    row(&["poro-chat"], &[letters::bloom]).keep_spaces(),
    row(&["bloom", "gpt3-finnish"], &[letters::bloom]),
    row(&["viking"], &[letters::bloom, digits::single]).keep_spaces(),
    row(&["chameleon"], &[chameleon::sentinel, chameleon::image, chameleon::indentation,
                          digits::single, chameleon::marks, gpt2::next]).keep_spaces().add_bos(),
    row(&["gemma4", "granite-embed-multi-311m"], &[lines::runs]).alphabet(Alphabet::Marked).add_bos().whole_lines(),
    row(&["sarvam-moe"], &[lines::runs]).alphabet(Alphabet::Marked).keep_spaces(),
    row(&["whitespace"], &[lines::words]).alphabet(Alphabet::Plain),
];

const fn row(names: &'static [&'static str], stages: &'static [NextPiece]) -> PreTokenizer {
    PreTokenizer {
        names,
        stages,
        ignore_merges: false,
        add_bos: false,
        alphabet: Alphabet::Bytes,
        whole_lines: false,
        clean_spaces: true,
    }
}

impl PreTokenizer {
    const fn ignore_merges(mut self) -> Self {
        self.ignore_merges = true;
        self
    }

    const fn add_bos(mut self) -> Self {
        self.add_bos = true;
        self
    }

    const fn keep_spaces(mut self) -> Self {
        self.clean_spaces = false;
        self
    }

    const fn whole_lines(mut self) -> Self {
        self.whole_lines = true;
        self
    }

    const fn alphabet(mut self, alphabet: Alphabet) -> Self {
        self.alphabet = alphabet;
        self
    }

    /// Calls `emit` for each word of `text`, in order; together they are the text.
    pub fn words<'a>(&self, text: &'a str, mut emit: impl FnMut(&'a str)) {
        cut(text, self.stages, &mut emit);
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
