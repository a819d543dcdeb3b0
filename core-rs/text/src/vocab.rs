//! The vocabulary as a GGUF file states it, checked and made searchable.
//!
//! [`VocabData`] is what the caller fills from `tokenizer.ggml.*`; [`Vocab`] adds the two things a
//! tokenizer needs beyond that: a map from text to id, and the roles of special tokens that files
//! often leave out (which tokens end a generation, which are really control tokens).

use crate::{Error, Result};

mod roles;
mod strips;
mod table;

pub(crate) use strips::Strips;
pub(crate) use table::{ByteTable, TextList, Texts, mix};

/// `tokenizer.ggml.*` of a GGUF file. Everything the file leaves out stays `None` or empty.
#[derive(Debug, Clone, Default)]
pub struct VocabData {
    /// `tokenizer.ggml.model`: `llama` (SPM), `gpt2` (byte-level BPE), `gemma4`, `whitespace`
    /// (BPE over characters), `bert` (WPM), `t5` (UGM), `plamo2` or `rwkv`.
    pub model: String,
    /// `tokenizer.ggml.pre`: name of the pre-tokenizer (BPE only).
    pub pre: Option<String>,
    /// `general.name`; a few models are recognised by it, as llama.cpp does (Phi-3's tokens that
    /// swallow the blanks after them).
    pub model_name: Option<String>,
    /// `general.architecture`; for the same reason.
    pub architecture: Option<String>,
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
    /// `tokenizer.ggml.mask_token_id`.
    pub mask: Option<u32>,
    /// `tokenizer.ggml.fim_pre_token_id` and its like.
    pub fim: FimIds,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.ggml.remove_extra_whitespaces` (UGM only).
    pub remove_extra_whitespaces: Option<bool>,
    /// `tokenizer.ggml.precompiled_charsmap` (UGM only): SentencePiece's map of characters.
    pub precompiled_charsmap: Vec<u8>,
    /// `tokenizer.ggml.normalizer.lowercase` (WPM, which does so by default, and `whitespace`).
    pub lowercase: Option<bool>,
    /// `tokenizer.ggml.normalizer.strip_accents` (WPM only); as `lowercase` where it is left out.
    pub strip_accents: Option<bool>,
}

/// Tokens by which a model is asked to fill in the middle of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FimIds {
    /// Before what is in front of the gap: `tokenizer.ggml.fim_pre_token_id`.
    pub prefix: Option<u32>,
    /// Before what comes after the gap: `tokenizer.ggml.fim_suf_token_id`.
    pub suffix: Option<u32>,
    /// Before what the model fills in: `tokenizer.ggml.fim_mid_token_id`.
    pub middle: Option<u32>,
    /// Padding: `tokenizer.ggml.fim_pad_token_id`.
    pub pad: Option<u32>,
    /// Before the name of a repository: `tokenizer.ggml.fim_rep_token_id`.
    pub repo: Option<u32>,
    /// Between files: `tokenizer.ggml.fim_sep_token_id`.
    pub separator: Option<u32>,
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
    /// A hole in the table; also what a file leaves undefined (0).
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
            0 | 5 => Self::Unused,
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
    /// Special tokens that swallow the blanks beside them in a text.
    pub(crate) strips: Strips,
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
    pub(crate) mask: Option<u32>,
    pub(crate) fim: FimIds,
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
            strips: Strips::default(),
        };
        roles::complete(&mut vocab);
        vocab.strips = Strips::new(&vocab, data);
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
        expected: "0 to 6".into(),
    })
}

/// Defaults of llama.cpp for a model's vocabulary: bos, eos, unknown, separator, padding, mask. Those
/// for `gpt2` (Falcon's 11) are left out, because in any other vocabulary 11 is an ordinary token.
type Defaults = [Option<u32>; 6];

fn defaults(model: &str) -> Defaults {
    match model {
        "llama" => [Some(1), Some(2), Some(0), None, None, None],
        "bert" => [Some(101), None, Some(100), Some(102), Some(0), Some(103)],
        "t5" => [None, Some(1), Some(2), None, Some(0), None],
        "plamo2" => [Some(1), Some(2), Some(0), None, Some(3), None],
        _ => [None; 6],
    }
}

/// The ids stated by the file, else the model's defaults where the vocabulary reaches so far. The
/// greatest number, -1 read without a sign, states that there is none.
fn special_ids(data: &VocabData, n_vocab: usize) -> Result<SpecialIds> {
    let check = |name: &'static str, id: Option<u32>| match id.filter(|&id| id != u32::MAX) {
        Some(id) if id as usize >= n_vocab => Err(Error::Vocab {
            name,
            value: id.to_string(),
            expected: format!("an id below {n_vocab}"),
        }),
        id => Ok(id),
    };
    let [bos, eos, unk, sep, pad, mask] =
        defaults(&data.model).map(|id| id.filter(|&id| (id as usize) < n_vocab));
    let fim = &data.fim;
    Ok(SpecialIds {
        bos: check("tokenizer.ggml.bos_token_id", data.bos)?.or(bos),
        eos: check("tokenizer.ggml.eos_token_id", data.eos)?.or(eos),
        unk: check("tokenizer.ggml.unknown_token_id", data.unk)?.or(unk),
        sep: check("tokenizer.ggml.seperator_token_id", data.sep)?.or(sep),
        pad: check("tokenizer.ggml.padding_token_id", data.pad)?.or(pad),
        eot: check("tokenizer.ggml.eot_token_id", data.eot)?,
        eom: check("tokenizer.ggml.eom_token_id", data.eom)?,
        mask: check("tokenizer.ggml.mask_token_id", data.mask)?.or(mask),
        fim: FimIds {
            prefix: check("tokenizer.ggml.fim_pre_token_id", fim.prefix)?,
            suffix: check("tokenizer.ggml.fim_suf_token_id", fim.suffix)?,
            middle: check("tokenizer.ggml.fim_mid_token_id", fim.middle)?,
            pad: check("tokenizer.ggml.fim_pad_token_id", fim.pad)?,
            repo: check("tokenizer.ggml.fim_rep_token_id", fim.repo)?,
            separator: check("tokenizer.ggml.fim_sep_token_id", fim.separator)?,
        },
    })
}
