//! The vocabulary as a GGUF file states it, checked and made searchable.
//!
//! [`VocabData`] is what the caller fills from `tokenizer.ggml.*`; [`Vocab`] adds the two things a
//! tokenizer needs beyond that: a map from text to id, and the roles of special tokens that files
//! often leave out (which tokens end a generation, which are really control tokens).

use crate::{Error, Result};

mod eog;
mod table;

pub(crate) use table::{ByteTable, TextList, Texts, mix};

/// `tokenizer.ggml.*` of a GGUF file. Everything the file leaves out stays `None` or empty.
#[derive(Debug, Clone, Default)]
pub struct VocabData {
    /// `tokenizer.ggml.model`: `llama` (SPM), `gpt2` (byte-level BPE), `gemma4`, `whitespace`
    /// (BPE over characters), `bert` (WPM) or `rwkv`.
    pub model: String,
    /// `tokenizer.ggml.pre`: name of the pre-tokenizer (BPE only).
    pub pre: Option<String>,
    /// `general.name`; a few models are recognised by it, as llama.cpp does (Phi-3's tokens that
    /// swallow the blanks after them).
    pub model_name: Option<String>,
    /// `tokenizer.ggml.tokens`, as stored (byte-level BPE: in GPT-2's printable alphabet).
    pub tokens: Vec<Vec<u8>>,
    /// `tokenizer.ggml.scores`; empty = all 0.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.token_type`, see [`TokenType`]; empty = all normal.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.merges`, each `left right` with one space between, best first (BPE only).
    pub merges: Vec<Vec<u8>>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk: Option<u32>,
    /// `tokenizer.ggml.seperator_token_id` (spelled so in the format).
    pub sep: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub pad: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`.
    pub eot: Option<u32>,
    /// `tokenizer.ggml.eom_token_id`.
    pub eom: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`.
    pub add_space_prefix: Option<bool>,
}

/// `tokenizer.ggml.token_type`, numbered as GGUF numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenType {
    /// Part of ordinary text.
    Normal = 1,
    /// Stands for what the vocabulary cannot write.
    Unknown = 2,
    /// Steers the model; has no text of its own (`<s>`, `<|im_end|>`).
    Control = 3,
    /// Added by the model's maker; kept whole in any text.
    UserDefined = 4,
    /// A hole in the table.
    Unused = 5,
    /// One raw byte, written `<0x41>`.
    Byte = 6,
}

impl TokenType {
    fn from_gguf(value: i32) -> Option<Self> {
        Some(match value {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }

    /// Control and unknown tokens: split out of a text only when special tokens are asked for, and
    /// not shown when decoding.
    pub(crate) fn is_hidden(self) -> bool {
        matches!(self, Self::Control | Self::Unknown)
    }
}

/// A checked vocabulary: every list has `n_vocab` entries, every id is in range.
#[derive(Debug)]
pub(crate) struct Vocab {
    pub(crate) tokens: Vec<Vec<u8>>,
    pub(crate) scores: Vec<f32>,
    pub(crate) types: Vec<TokenType>,
    pub(crate) by_text: ByteTable,
    pub(crate) special: SpecialIds,
    /// Ids that end a generation, ascending.
    pub(crate) eog: Vec<u32>,
    /// Control tokens that swallow the blanks that follow them in a text.
    pub(crate) strips_right: Vec<u32>,
}

/// The special tokens by role.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SpecialIds {
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) unk: Option<u32>,
    pub(crate) sep: Option<u32>,
    pub(crate) pad: Option<u32>,
    pub(crate) eot: Option<u32>,
    pub(crate) eom: Option<u32>,
}

impl Vocab {
    /// Takes the lists out of `data` (they are left empty) and checks them.
    pub(crate) fn new(data: &mut VocabData) -> Result<Self> {
        let tokens = std::mem::take(&mut data.tokens);
        let n_vocab = tokens.len();
        if n_vocab == 0 || n_vocab > MAX_VOCAB {
            return Err(Error::Vocab {
                name: "tokenizer.ggml.tokens",
                value: format!("a list of {n_vocab}"),
                expected: format!("1 to {MAX_VOCAB} tokens"),
            });
        }
        check_bytes("tokenizer.ggml.tokens", &tokens)?;
        let scores = or_default("tokenizer.ggml.scores", &mut data.scores, n_vocab, 0.0)?;
        if let Some(i) = scores.iter().position(|s| s.is_nan()) {
            return Err(Error::Vocab {
                name: "tokenizer.ggml.scores",
                value: format!("NaN at {i}"),
                expected: "numbers".into(),
            });
        }
        let types = or_default(
            "tokenizer.ggml.token_type",
            &mut data.token_types,
            n_vocab,
            1,
        )?;
        let types = types
            .iter()
            .enumerate()
            .map(parse_type)
            .collect::<Result<Vec<_>>>()?;
        let by_text = ByteTable::new(tokens.as_slice(), |_| true);
        let special = special_ids(data, n_vocab)?;
        let mut vocab = Self {
            tokens,
            scores,
            types,
            by_text,
            special,
            eog: Vec::new(),
            strips_right: Vec::new(),
        };
        eog::complete(&mut vocab, data.model_name.as_deref().unwrap_or(""));
        Ok(vocab)
    }

    pub(crate) fn id(&self, text: &[u8]) -> Option<u32> {
        self.by_text.get(text, self.tokens.as_slice())
    }
}

/// Larger than any vocabulary in use by a factor of 30; leaves room for the BPE's own symbol ids.
const MAX_VOCAB: usize = 1 << 23;

/// Bytes of all tokens or merges: tokens, and each merge with its two parts, stay below what 32 bits
/// can tell.
const MAX_LIST_BYTES: usize = 1 << 30;

/// Refuses a list that is too long for [`Texts`].
pub(crate) fn check_bytes(name: &'static str, list: &[Vec<u8>]) -> Result<()> {
    let n_bytes: usize = list.iter().map(Vec::len).sum();
    if n_bytes <= MAX_LIST_BYTES {
        return Ok(());
    }
    Err(Error::Vocab {
        name,
        value: format!("{n_bytes} bytes in all"),
        expected: format!("at most {MAX_LIST_BYTES}"),
    })
}

fn or_default<T: Copy>(
    name: &'static str,
    list: &mut Vec<T>,
    n_vocab: usize,
    default: T,
) -> Result<Vec<T>> {
    let mut list = std::mem::take(list);
    if list.is_empty() {
        list.resize(n_vocab, default);
    }
    if list.len() != n_vocab {
        return Err(Error::Vocab {
            name,
            value: format!("a list of {}", list.len()),
            expected: format!("{n_vocab}, one for each token"),
        });
    }
    Ok(list)
}

fn parse_type((i, value): (usize, &i32)) -> Result<TokenType> {
    TokenType::from_gguf(*value).ok_or_else(|| Error::Vocab {
        name: "tokenizer.ggml.token_type",
        value: format!("{value} at {i}"),
        expected: "1 to 6".into(),
    })
}

/// The ids stated by the file. Those of SPM and BERT vocabularies have defaults; llama.cpp's defaults
/// for `gpt2` (Falcon's 11) are left out, because in any other vocabulary 11 is an ordinary token.
fn special_ids(data: &VocabData, n_vocab: usize) -> Result<SpecialIds> {
    let default_of =
        |model: &str, id: u32| (data.model == model && (id as usize) < n_vocab).then_some(id);
    let default = |id: u32| default_of("llama", id);
    let bert = |id: u32| default_of("bert", id);
    let check = |name: &'static str, id: Option<u32>| match id {
        Some(id) if id as usize >= n_vocab => Err(Error::Vocab {
            name,
            value: id.to_string(),
            expected: format!("an id below {n_vocab}"),
        }),
        _ => Ok(id),
    };
    Ok(SpecialIds {
        bos: check("tokenizer.ggml.bos_token_id", data.bos)?
            .or(default(1))
            .or(bert(101)),
        eos: check("tokenizer.ggml.eos_token_id", data.eos)?.or(default(2)),
        unk: check("tokenizer.ggml.unknown_token_id", data.unk)?
            .or(default(0))
            .or(bert(100)),
        sep: check("tokenizer.ggml.seperator_token_id", data.sep)?.or(bert(102)),
        pad: check("tokenizer.ggml.padding_token_id", data.pad)?.or(bert(0)),
        eot: check("tokenizer.ggml.eot_token_id", data.eot)?,
        eom: check("tokenizer.ggml.eom_token_id", data.eom)?,
    })
}
