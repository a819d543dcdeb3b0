//! SentencePiece's BPE as llama.cpp runs it: blanks become `▁`, the text falls into characters, and
//! of all neighbours whose joined text is a token the pair with the highest score is merged first.
//! Characters without a token become byte tokens.
//!
//! Departure: where no token has `▁` after another character (Llama 2, Phi-3, Mistral, …), no merge
//! can cross the start of a word, so words are tokenized one by one, with the same result.

use super::marked::{MARK, byte_token, char_len, decoded, mark};
use super::merge::{Chain, Merge};
use super::whole::WholeTokens;
use crate::vocab::Vocab;
use crate::{Error, Result};

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
            bytes: decoded(vocab),
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
        let marked = mark(text, space);
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

/// A number that is lower the higher the score is.
fn descending(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits(); // + 0.0: -0 is 0
    if bits >> 31 == 0 {
        !(bits | 1 << 31)
    } else {
        bits
    }
}

/// The token for each byte: `<0xNN>`, else the token that is this byte, else the unknown token.
fn byte_tokens(vocab: &Vocab) -> Result<Vec<u32>> {
    let find = |b: u8| {
        byte_token(vocab, b)
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
