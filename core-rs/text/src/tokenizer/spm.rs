//! SentencePiece's BPE as llama.cpp runs it: blanks become `▁`, the text falls into characters, and
//! of all neighbours whose joined text is a token the pair with the highest score is merged first.
//! Characters without a token become byte tokens.
//!
//! Departure: where no token has `▁` after another character (Llama 2, Phi-3, Mistral, …), no merge
//! can cross the start of a word, so words are tokenized one by one, with the same result.

use super::merge::{Chain, Merge};
use super::whole::WholeTokens;
use crate::vocab::{TokenType, Vocab};
use crate::{Error, Result};

/// The mark for a blank: U+2581.
const MARK: &[u8] = "▁".as_bytes();

/// An id for characters that have no token.
const NO_TOKEN: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Spm {
    /// What each token decodes to.
    bytes: Vec<Vec<u8>>,
    byte_tokens: Vec<u32>, // [256]
    max_token_len: usize,
    words_are_apart: bool,
    whole: WholeTokens,
}

impl Spm {
    pub(super) fn new(vocab: &Vocab) -> Result<Self> {
        Ok(Self {
            bytes: (0..vocab.tokens.len()).map(|i| decoded(vocab, i)).collect(),
            byte_tokens: byte_tokens(vocab)?,
            max_token_len: vocab.tokens.iter().map(Vec::len).max().unwrap_or(0),
            words_are_apart: !vocab.tokens.iter().any(|t| has_inner_mark(t)),
            whole: WholeTokens::new(vocab.tokens.len()),
        })
    }

    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        &self.bytes[token]
    }

    /// Appends the tokens of `text`, with a blank before it if `space`.
    pub(super) fn encode(&self, vocab: &Vocab, text: &[u8], space: bool, out: &mut Vec<u32>) {
        let mut marked = Vec::with_capacity(text.len() + text.len() / 2 + 3);
        if space {
            marked.extend_from_slice(MARK);
        }
        for &b in text {
            if b == b' ' {
                marked.extend_from_slice(MARK)
            } else {
                marked.push(b)
            }
        }
        let mut chain = Chain::default();
        let mut rest = marked.as_slice();
        while !rest.is_empty() {
            let n = if self.words_are_apart {
                word_len(rest)
            } else {
                rest.len()
            };
            let (word, after) = rest.split_at(n);
            self.encode_word(vocab, word, &mut chain, out);
            rest = after;
        }
    }

    fn encode_word(&self, vocab: &Vocab, word: &[u8], chain: &mut Chain, out: &mut Vec<u32>) {
        let token = |text: &[u8]| {
            if text.len() > self.max_token_len {
                None
            } else {
                vocab.id(text)
            }
        };
        self.whole.encode(token(word), out, |out| {
            chain.clear();
            let mut at = 0;
            while at < word.len() {
                let n = char_len(word[at]).min(word.len() - at);
                let id = token(&word[at..at + n]).unwrap_or(NO_TOKEN);
                chain.push(id, n as u32);
                at += n;
            }
            let text = |start: u32, len: u32| &word[start as usize..(start + len) as usize];
            chain.merge(
                |a, b| {
                    let id = token(text(a.start, a.len + b.len))?;
                    let rank = descending(vocab.scores[id as usize]);
                    Some(Merge { rank, id })
                },
                |symbol| match symbol.id {
                    NO_TOKEN => out.extend(
                        text(symbol.start, symbol.len)
                            .iter()
                            .map(|&b| self.byte_tokens[b as usize]),
                    ),
                    id => out.push(id),
                },
            );
        });
    }
}

/// Length of the first word: marks, then everything up to the next mark.
fn word_len(text: &[u8]) -> usize {
    let mut at = 0;
    while text[at..].starts_with(MARK) {
        at += MARK.len();
    }
    while at < text.len() && !text[at..].starts_with(MARK) {
        at += 1;
    }
    at
}

/// Whether a mark comes after another character.
fn has_inner_mark(mut text: &[u8]) -> bool {
    while let Some(rest) = text.strip_prefix(MARK) {
        text = rest;
    }
    text.windows(MARK.len()).any(|w| w == MARK)
}

/// Length of a UTF-8 character by its first byte; 1 for a byte that cannot start one.
fn char_len(first: u8) -> usize {
    match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
        _ => 1,
    }
}

/// A number that is lower the higher the score is.
fn descending(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits(); // + 0.0: -0 is 0
    if bits >> 31 == 0 {
        !(bits | 1 << 31)
    } else {
        bits
    }
}

fn decoded(vocab: &Vocab, i: usize) -> Vec<u8> {
    let text = &vocab.tokens[i];
    match vocab.types[i] {
        TokenType::Byte => byte_value(text).map_or_else(|| text.clone(), |b| vec![b]),
        TokenType::Normal => unmark(text),
        _ => Vec::new(), // written as their text, or not at all
    }
}

fn unmark(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let mark = text[at..].starts_with(MARK);
        out.push(if mark { b' ' } else { text[at] });
        at += if mark { MARK.len() } else { 1 };
    }
    out
}

/// The byte that `<0x41>` stands for.
fn byte_value(text: &[u8]) -> Option<u8> {
    let hex = text.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let hex = std::str::from_utf8(hex).ok().filter(|h| h.len() == 2)?;
    u8::from_str_radix(hex, 16).ok()
}

/// The token for each byte: `<0xNN>`, else the token that is this byte, else the unknown token.
fn byte_tokens(vocab: &Vocab) -> Result<Vec<u32>> {
    let find = |b: u8| {
        vocab
            .id(format!("<0x{b:02X}>").as_bytes())
            .or_else(|| vocab.id(&[b]))
            .or(vocab.special.unk)
    };
    (0..=255u8)
        .map(|b| {
            find(b).ok_or_else(|| Error::Vocab {
                name: "tokenizer.ggml.tokens",
                value: format!("without <0x{b:02X}> and without an unknown token"),
                expected: "a token for every byte, or tokenizer.ggml.unknown_token_id".into(),
            })
        })
        .collect()
}
