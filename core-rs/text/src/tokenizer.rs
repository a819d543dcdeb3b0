//! Text to token ids and back.
//!
//! A text is first cut at special tokens ([`special`]); what is left is tokenized by the algorithm
//! of the vocabulary: [`spm`] (SentencePiece: merge by score), [`bpe`] (cut into words by [`split`],
//! merge by rank), [`wpm`] (BERT: longest tokens of cleaned words), [`ugm`] and [`plamo2`] (best sum
//! of scores) or [`rwkv`] (longest tokens of bytes). Decoding is the same for all: the bytes of each
//! token, in a row.

use crate::vocab::{FimIds, SpecialIds, TokenType, Vocab, VocabData};
use crate::{Error, Result};

mod bpe;
mod clean;
mod marked;
mod merge;
mod plamo2;
mod rwkv;
mod special;
pub mod split;
mod spm;
mod stream;
mod trie;
mod ugm;
mod whole;
mod wpm;

pub use split::pre_tokenizer_names;
pub use stream::{StreamDecoder, Utf8Joiner};

/// A vocabulary made ready to encode and decode. Immutable; share it freely between threads.
#[derive(Debug)]
pub struct Tokenizer {
    vocab: Vocab,
    algorithm: Algorithm,
    special: special::SpecialTexts,
    add_bos: bool,
    add_eos: bool,
    add_space_prefix: bool,
}

#[derive(Debug)]
enum Algorithm {
    Spm(spm::Spm),
    Bpe(bpe::Bpe),
    Wpm(wpm::Wpm),
    Ugm(ugm::Ugm),
    Plamo2(plamo2::Plamo2),
    Rwkv(rwkv::Rwkv),
}

impl Algorithm {
    /// Takes what only the algorithm needs out of `data`.
    fn new(vocab: &Vocab, data: &mut VocabData) -> Result<Self> {
        let lowercase = data.lowercase;
        Ok(match data.model.as_str() {
            "llama" => Self::Spm(spm::Spm::new(vocab)?),
            "bert" => {
                let lowercase = lowercase.unwrap_or(true);
                let normalizer = wpm::Normalizer {
                    lowercase,
                    strip_accents: data.strip_accents.unwrap_or(lowercase),
                };
                Self::Wpm(wpm::Wpm::new(vocab, normalizer))
            }
            "t5" => {
                let blanks = ugm::Blanks {
                    prefix: data.add_space_prefix.unwrap_or(false),
                    merge: data.remove_extra_whitespaces.unwrap_or(false),
                };
                let map = std::mem::take(&mut data.precompiled_charsmap);
                Self::Ugm(ugm::Ugm::new(vocab, &map, blanks)?)
            }
            "plamo2" => Self::Plamo2(plamo2::Plamo2::new(vocab)?),
            "rwkv" => Self::Rwkv(rwkv::Rwkv::new(vocab)?),
            model => {
                let pre = if model == "gemma4" {
                    Some(model)
                } else {
                    data.pre.as_deref()
                };
                let lowercase = model == "whitespace" && lowercase.unwrap_or(false);
                let merges = std::mem::take(&mut data.merges);
                Self::Bpe(bpe::Bpe::new(vocab, merges, pre, lowercase)?)
            }
        })
    }

    /// What is added to a text unless the file says otherwise: BOS, EOS, a blank before it.
    fn adds(&self) -> (bool, bool, bool) {
        match self {
            Self::Spm(_) => (true, false, true),
            Self::Wpm(_) => (true, false, false),
            Self::Bpe(bpe) => (bpe.pre().add_bos, false, false),
            Self::Ugm(_) => (false, true, false),
            Self::Plamo2(_) | Self::Rwkv(_) => (false, false, false),
        }
    }
}

/// `tokenizer.ggml.model` names there are.
#[rustfmt::skip]
const MODELS: &[&str] = &[
    "llama", "gpt2", "gemma4", "whitespace", "bert", "t5", "plamo2", "rwkv",
];

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Put BOS before and EOS after, where the vocabulary says so.
    pub add_special: bool,
    /// Read the texts of control tokens (`<|im_end|>`) as those tokens. Leave it off for text from
    /// users, who could otherwise end their own turn. User-defined tokens are always recognised.
    pub parse_special: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            add_special: true,
            parse_special: false,
        }
    }
}

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeOptions {
    /// Write control and unknown tokens as their text instead of leaving them out.
    pub special: bool,
}

impl Tokenizer {
    /// Checks `data` and builds the tables (`examples/speed.rs` tells how long that takes).
    ///
    /// # Errors
    /// An unknown model or pre-tokenizer name (the error lists the known ones), lists of unequal
    /// length, ids out of range, merges without a space, bytes that no token can write.
    pub fn new(mut data: VocabData) -> Result<Self> {
        if !MODELS.contains(&data.model.as_str()) {
            return Err(Error::Unknown {
                what: "tokenizer.ggml.model",
                value: data.model,
                known: MODELS.join(" "),
            });
        }
        let vocab = Vocab::new(&mut data)?;
        let algorithm = Algorithm::new(&vocab, &mut data)?;
        let (bos, eos, space) = algorithm.adds();
        // Files of Gemma 4 that say otherwise are wrong.
        let gemma4 =
            matches!(&algorithm, Algorithm::Bpe(bpe) if bpe.pre().names.contains(&"gemma4"));
        let add_bos = data.add_bos.filter(|_| !gemma4);
        let takes_space = matches!(algorithm, Algorithm::Spm(_) | Algorithm::Ugm(_));
        Ok(Self {
            special: special::SpecialTexts::new(&vocab),
            add_bos: add_bos.unwrap_or(bos) && vocab.special.bos.is_some(),
            add_eos: data.add_eos.unwrap_or(eos) && vocab.special.eos.is_some(),
            add_space_prefix: takes_space && data.add_space_prefix.unwrap_or(space),
            vocab,
            algorithm,
        })
    }

    /// The tokens of `text`.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Vec<u32> {
        self.encode_bytes(text.as_bytes(), options)
    }

    /// The tokens of bytes that should be UTF-8. Where they are not, SPM keeps them as byte tokens,
    /// and BPE reads U+FFFD for each wrong byte, as llama.cpp does.
    pub fn encode_bytes(&self, text: &[u8], options: EncodeOptions) -> Vec<u32> {
        let special = &self.vocab.special;
        let mut out = Vec::with_capacity(text.len() / 3 + 2);
        if options.add_special && self.add_bos {
            out.extend(special.bos);
        }
        let mut after_special = true;
        for fragment in self.special.cut(text, options.parse_special) {
            match fragment {
                special::Fragment::Token(id) => out.push(id),
                special::Fragment::Text(text) => match &self.algorithm {
                    Algorithm::Spm(spm) => {
                        let space = self.add_space_prefix && after_special;
                        spm.encode(&self.vocab, text, space, &mut out);
                    }
                    Algorithm::Bpe(bpe) => bpe.encode(text, &mut out),
                    Algorithm::Wpm(wpm) => wpm.encode(text, special.unk, &mut out),
                    Algorithm::Ugm(ugm) => ugm.encode(text, &mut out),
                    Algorithm::Plamo2(plamo2) => plamo2.encode(text, &mut out),
                    Algorithm::Rwkv(rwkv) => rwkv.encode(text, special.unk, &mut out),
                },
            }
            after_special = matches!(fragment, special::Fragment::Token(_));
        }
        if options.add_special && matches!(self.algorithm, Algorithm::Wpm(_)) {
            out.extend(special.sep);
        } else if options.add_special && self.add_eos {
            out.extend(special.eos);
        }
        out
    }

    /// The bytes of `tokens` in a row. The blank that SPM puts before a text is taken off again
    /// when `tokens` starts with text (after BOS or another token that is not shown). Ids outside
    /// the vocabulary are left out; [`Self::token_bytes`] reports them.
    pub fn decode(&self, tokens: &[u32], options: DecodeOptions) -> Vec<u8> {
        let at_start = self.add_space_prefix || matches!(self.algorithm, Algorithm::Wpm(_));
        self.join(tokens, options, at_start)
    }

    /// The bytes of `tokens` in a row, without the first blank if `at_start`.
    fn join(&self, tokens: &[u32], options: DecodeOptions, mut at_start: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(tokens.len() * 4);
        for &id in tokens {
            let bytes = self.token_bytes(id, options.special).unwrap_or(&[]);
            let blank = at_start && bytes.first() == Some(&b' ');
            let shown = if blank && !self.is_special(id) {
                &bytes[1..]
            } else {
                bytes
            };
            at_start &= bytes.is_empty();
            out.extend_from_slice(shown);
        }
        out
    }

    /// As [`Self::decode`], without blanks before punctuation where llama.cpp's `llama_detokenize`
    /// takes them off (BERT, GPT-2 and others; see [`split::PreTokenizer::clean_spaces`]). For texts
    /// to be read, not to be tokenized again.
    pub fn decode_clean(&self, tokens: &[u32], options: DecodeOptions) -> Vec<u8> {
        match &self.algorithm {
            Algorithm::Bpe(bpe) if bpe.pre().clean_spaces => {
                clean::clean_spaces(self.join(tokens, options, false))
            }
            // BERT's first blank may go with what comes after it.
            Algorithm::Wpm(_) => {
                let text = clean::clean_spaces(self.join(tokens, options, false));
                text.strip_prefix(b" ").unwrap_or(&text).to_vec()
            }
            _ => self.decode(tokens, options),
        }
    }

    /// The bytes one token stands for; they need not be whole characters. Control and unknown
    /// tokens give nothing unless `special`; unused ones never give anything.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn token_bytes(&self, id: u32, special: bool) -> Result<&[u8]> {
        let i = self.check_id(id)?;
        let token = match self.vocab.types[i] {
            TokenType::Control | TokenType::Unknown if !special => return Ok(&[]),
            TokenType::Unused => return Ok(&[]),
            TokenType::Control | TokenType::Unknown | TokenType::UserDefined => {
                return Ok(&self.vocab.tokens[i]);
            }
            TokenType::Normal | TokenType::Byte => i,
        };
        Ok(match &self.algorithm {
            Algorithm::Spm(spm) => spm.bytes(token),
            Algorithm::Bpe(bpe) => bpe.bytes(token),
            Algorithm::Wpm(wpm) => wpm.bytes(token),
            Algorithm::Ugm(ugm) => ugm.bytes(token),
            Algorithm::Plamo2(plamo2) => plamo2.bytes(token),
            Algorithm::Rwkv(rwkv) => rwkv.bytes(token),
        })
    }

    /// The text of a token as the file has it (`▁the`, `Ġthe`, `<0x0A>`).
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn token_text(&self, id: u32) -> Result<&[u8]> {
        Ok(&self.vocab.tokens[self.check_id(id)?])
    }

    /// What kind of token `id` is.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn token_type(&self, id: u32) -> Result<TokenType> {
        Ok(self.vocab.types[self.check_id(id)?])
    }

    /// The token whose text in the file is `text`; of several the last.
    pub fn token_id(&self, text: &[u8]) -> Option<u32> {
        self.vocab.id(text)
    }

    /// Number of tokens; ids are below it.
    pub fn n_vocab(&self) -> usize {
        self.vocab.tokens.len()
    }

    /// Beginning of a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.ids().bos
    }

    /// End of a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.ids().eos
    }

    /// Unknown text.
    pub fn unk(&self) -> Option<u32> {
        self.ids().unk
    }

    /// Separator.
    pub fn sep(&self) -> Option<u32> {
        self.ids().sep
    }

    /// Padding.
    pub fn pad(&self) -> Option<u32> {
        self.ids().pad
    }

    /// End of a turn.
    pub fn eot(&self) -> Option<u32> {
        self.ids().eot
    }

    /// End of a message, more of the same turn to come.
    pub fn eom(&self) -> Option<u32> {
        self.ids().eom
    }

    /// What stands for a word to be guessed.
    pub fn mask(&self) -> Option<u32> {
        self.ids().mask
    }

    /// The tokens by which a model is asked to fill in the middle of a text.
    pub fn fim(&self) -> FimIds {
        self.ids().fim
    }

    /// Whether a generation ends with this token.
    pub fn is_eog(&self, id: u32) -> bool {
        self.vocab.eog.binary_search(&id).is_ok()
    }

    /// All tokens that end a generation, ascending.
    pub fn eog_tokens(&self) -> &[u32] {
        &self.vocab.eog
    }

    /// Whether encoding puts BOS before a text (`add_special`).
    pub fn add_bos(&self) -> bool {
        self.add_bos
    }

    /// Whether encoding puts EOS after a text (`add_special`).
    pub fn add_eos(&self) -> bool {
        self.add_eos
    }

    /// Whether encoding puts a blank before a text.
    pub fn add_space_prefix(&self) -> bool {
        self.add_space_prefix
    }

    /// A decoder for tokens that come one by one.
    pub fn stream(&self, special: bool) -> StreamDecoder<'_> {
        StreamDecoder::new(self, special)
    }

    fn ids(&self) -> &SpecialIds {
        &self.vocab.special
    }

    fn is_special(&self, id: u32) -> bool {
        let kind = self.vocab.types[id as usize];
        kind.is_hidden() || kind == TokenType::UserDefined
    }

    fn check_id(&self, id: u32) -> Result<usize> {
        let n_vocab = self.vocab.tokens.len();
        if (id as usize) < n_vocab {
            Ok(id as usize)
        } else {
            Err(Error::Token { id, n_vocab })
        }
    }
}
