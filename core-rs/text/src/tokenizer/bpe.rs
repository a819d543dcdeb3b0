//! BPE with a list of merges: the text is cut into words by the pre-tokenizer, and of all neighbours
//! in a word the pair that comes first in the list is merged first.
//!
//! Most vocabularies start from bytes, which they write in GPT-2's printable alphabet (`Ġ` for a
//! blank). That alphabet is undone once at load; from there on everything is bytes and ids. Others
//! (Gemma 4) start from characters. In either:
//!
//! - a *symbol* is a token id, or an id from `n_vocab` on for a text that only merges mention;
//! - a merge is a pair of symbols with its rank and the symbol that comes of it.

use super::marked::{self, byte_token, byte_value, char_len};
use super::merge::{Chain, Merge};
use super::split::{self, Alphabet, PreTokenizer};
use super::whole::WholeTokens;
use crate::Result;
use crate::unicode::lowercase;
use crate::vocab::{ByteTable, Texts, TokenType, Vocab};
use std::borrow::Cow;

mod alphabet;
mod pairs;

use pairs::{PairTable, Symbols};

/// For a character that neither tokens nor merges know.
const NO_SYMBOL: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Bpe {
    pre: &'static PreTokenizer,
    symbols: Symbols,
    /// Finds a token by what words are made of: bytes, not their alphabet.
    by_text: ByteTable,
    pairs: PairTable,
    byte_symbols: Vec<u32>, // [256]
    /// For the bytes of a symbol that is no token.
    byte_tokens: Vec<Option<u32>>, // [256]
    /// What each token decodes to; empty where that is its symbol's text.
    pieces: Vec<Vec<u8>>,
    lowercase: bool,
    whole: WholeTokens,
    n_vocab: usize,
}

impl Bpe {
    pub(super) fn new(
        vocab: &Vocab,
        merges: Vec<Vec<u8>>,
        pre: Option<&str>,
        lowercase: bool,
    ) -> Result<Self> {
        let pre = split::find(pre)?;
        let n_vocab = vocab.tokens.len();
        let (texts, plain) = texts(vocab, pre.alphabet);
        let by_text = ByteTable::new(&texts, |i| plain[i]);
        let byte_tokens = (0..=255u8)
            .map(|b| match pre.alphabet {
                Alphabet::Bytes => by_text.get(&[b], &texts).filter(|_| b.is_ascii_graphic()),
                _ => byte_token(vocab, b),
            })
            .collect();
        let mut symbols = Symbols::new(texts);
        let byte_symbols = (0..=255u8)
            .map(|b| symbols.intern(&[b], &by_text))
            .collect();
        let pairs = PairTable::new(&merges, pre.alphabet, &mut symbols, &by_text)?;
        Ok(Self {
            pre,
            pieces: pieces(vocab, pre.alphabet, &symbols),
            symbols,
            by_text,
            pairs,
            byte_symbols,
            byte_tokens,
            lowercase,
            whole: WholeTokens::new(n_vocab),
            n_vocab,
        })
    }

    pub(super) fn pre(&self) -> &'static PreTokenizer {
        self.pre
    }

    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        match self.pieces.get(token) {
            Some(piece) => piece,
            None => self.symbols.text(token),
        }
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &[u8], out: &mut Vec<u32>) {
        let mut chain = Chain::default();
        let mut text = replace_wrong_bytes(text);
        if self.pre.alphabet == Alphabet::Marked {
            text = text.replace(' ', "▁").into();
        }
        if self.lowercase {
            text = text.chars().map(lowercase).collect();
        }
        let skip_blanks = self.pre.alphabet == Alphabet::Plain;
        self.pre.words(&text, |word| {
            if !skip_blanks || !word.starts_with(char::is_whitespace) {
                self.encode_word(word.as_bytes(), &mut chain, out);
            }
        });
    }

    fn encode_word(&self, word: &[u8], chain: &mut Chain, out: &mut Vec<u32>) {
        let token = self.symbols.find_token(word, &self.by_text);
        let take_whole =
            self.pre.ignore_merges || (self.pre.whole_lines && word.iter().all(|&b| b == b'\n'));
        if let (true, Some(token)) = (take_whole, token) {
            return out.push(token);
        }
        self.whole.encode(token, out, |out| {
            chain.clear();
            self.start(word, chain);
            chain.merge(
                |a, b| {
                    self.pairs
                        .get(a.id, b.id)
                        .map(|(rank, id)| Merge { rank, id })
                },
                |symbol| {
                    if (symbol.id as usize) < self.n_vocab {
                        return out.push(symbol.id);
                    }
                    let (start, len) = (symbol.start as usize, symbol.len as usize);
                    let bytes = word[start..start + len].iter();
                    out.extend(bytes.filter_map(|&b| self.byte_tokens[b as usize]));
                },
            );
        });
    }

    /// The symbols a word falls into: its bytes or its characters.
    fn start(&self, word: &[u8], chain: &mut Chain) {
        if self.pre.alphabet == Alphabet::Bytes {
            return word
                .iter()
                .for_each(|&b| chain.push(self.byte_symbols[b as usize], 1));
        }
        let mut at = 0;
        while at < word.len() {
            let n = char_len(word[at]).min(word.len() - at);
            let symbol = self.symbols.find(&word[at..at + n], &self.by_text);
            chain.push(symbol.unwrap_or(NO_SYMBOL), n as u32);
            at += n;
        }
    }
}

/// The text of each token as words have it, and whether a word can become it: a token that is
/// outside its vocabulary's alphabet stands for its text as it is, and no word can.
fn texts(vocab: &Vocab, alphabet: Alphabet) -> (Texts, Vec<bool>) {
    let n_bytes = vocab.tokens.iter().map(Vec::len).sum();
    let mut texts = Texts::with_capacity(vocab.tokens.len() + 256, n_bytes);
    let mut append = |text: &Vec<u8>| {
        texts.push_by(|bytes| {
            let start = bytes.len();
            let plain = alphabet == Alphabet::Bytes && alphabet::decode_into(text, bytes).is_some();
            if !plain {
                bytes.truncate(start);
                bytes.extend_from_slice(text);
            }
            plain || alphabet != Alphabet::Bytes
        })
    };
    let plain = vocab.tokens.iter().map(&mut append).collect();
    (texts, plain)
}

/// See [`Bpe::pieces`].
fn pieces(vocab: &Vocab, alphabet: Alphabet, symbols: &Symbols) -> Vec<Vec<u8>> {
    if alphabet == Alphabet::Marked {
        return marked::decoded(vocab);
    }
    if !vocab.types.contains(&TokenType::Byte) {
        return Vec::new();
    }
    let byte =
        |i: usize| byte_value(&vocab.tokens[i]).filter(|_| vocab.types[i] == TokenType::Byte);
    (0..vocab.tokens.len())
        .map(|i| byte(i).map_or_else(|| symbols.text(i).to_vec(), |b| vec![b]))
        .collect()
}

/// `text` with U+FFFD for each byte that is not part of a UTF-8 character.
pub(super) fn replace_wrong_bytes(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out.into()
}
