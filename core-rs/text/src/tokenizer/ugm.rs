//! SentencePiece's unigram model (`t5`: T5, XLM-RoBERTa, …): of all ways to write a text in tokens
//! the one with the highest sum of scores (Kudo, "Subword Regularization", 2018), found by Viterbi's
//! algorithm from the left. The text is normalized first: characters by a map ([`charsmap`]), blanks
//! by the file's wishes.
//!
//! As llama.cpp does it: what no token writes is one unknown token in a row, scored 10 below the
//! worst token. User-defined tokens are cut out before. (llama.cpp also leaves characters as they
//! are with which such a token merely begins; SentencePiece does not, and neither is it done here.)

use super::marked::{MARK, char_len, decoded};
use super::trie::Trie;
use crate::vocab::{TokenType, Vocab};
use crate::{Error, Result};
use charsmap::Charsmap;

mod charsmap;

/// How far below the worst token an unknown character is.
const UNKNOWN_PENALTY: f32 = 10.0;

#[derive(Debug)]
pub(super) struct Ugm {
    tokens: Trie,
    charsmap: Charsmap,
    scores: Vec<f64>,
    unknown: u32,
    unknown_score: f64,
    /// What each token decodes to.
    bytes: Vec<Vec<u8>>,
    blanks: Blanks,
}

/// What is done with blanks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blanks {
    /// `add_space_prefix`: one before a text.
    pub(super) prefix: bool,
    /// `remove_extra_whitespaces`: one for several, none at the end.
    pub(super) merge: bool,
}

/// The best way to the end of a piece of the text.
#[derive(Clone, Copy)]
struct Best {
    token: u32,
    /// Where that token starts.
    start: usize,
    score: f64,
}

impl Ugm {
    /// # Errors
    /// A broken map of characters; no unknown token.
    pub(super) fn new(vocab: &Vocab, charsmap: &[u8], blanks: Blanks) -> Result<Self> {
        let kind = |i: usize| vocab.types[i];
        let is_used = |i| matches!(kind(i), TokenType::Normal | TokenType::Unused);
        let normal = (0..vocab.tokens.len()).filter(|&i| kind(i) == TokenType::Normal);
        let worst = normal.map(|i| vocab.scores[i]).fold(f32::MAX, f32::min);
        let unknown = vocab.special.unk.ok_or_else(|| Error::Vocab {
            name: "tokenizer.ggml.unknown_token_id",
            value: "absent".into(),
            expected: "an id, as not all texts can be written in tokens".into(),
        })?;
        Ok(Self {
            tokens: Trie::new(&vocab.tokens, is_used),
            charsmap: Charsmap::new(charsmap)?,
            scores: vocab.scores.iter().map(|&s| s.into()).collect(),
            unknown,
            unknown_score: f64::from(worst - UNKNOWN_PENALTY),
            bytes: decoded(vocab),
            blanks,
        })
    }

    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        &self.bytes[token]
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &[u8], out: &mut Vec<u32>) {
        let text = self.normalize(text);
        let best = self.best_ways(&text);
        let n_before = out.len();
        let mut end = text.len();
        while end > 0 {
            let Best { token, start, .. } = best[end];
            let is_more_unknown = token == self.unknown && out[n_before..].last() == Some(&token);
            if !is_more_unknown {
                out.push(token);
            }
            end = start;
        }
        out[n_before..].reverse();
    }

    /// For each place in `text` the best way to write what is before it.
    fn best_ways(&self, text: &[u8]) -> Vec<Best> {
        let nowhere = Best {
            token: self.unknown,
            start: 0,
            score: f64::MIN,
        };
        let mut best = vec![nowhere; text.len() + 1]; // [n_bytes + 1]
        best[0].score = 0.0;
        let mut start = 0;
        while start < text.len() {
            let before = best[start].score;
            let mut offer = |end: usize, token: u32, score: f64| {
                let score = before + score;
                if score > best[end].score {
                    best[end] = Best {
                        token,
                        start,
                        score,
                    };
                }
            };
            let n_char = char_len(text[start]).min(text.len() - start);
            let mut writes_char = false;
            self.tokens.each(&text[start..], |n, token| {
                writes_char |= n == n_char;
                offer(start + n, token, self.scores[token as usize]);
            });
            if !writes_char {
                offer(start + n_char, self.unknown, self.unknown_score);
            }
            start += n_char;
        }
        best
    }

    /// The text as the model was trained to see it, blanks written `▁`.
    fn normalize(&self, mut text: &[u8]) -> Vec<u8> {
        let Blanks { prefix, merge } = self.blanks;
        let mut out = Vec::with_capacity(text.len() + text.len() / 2 + MARK.len());
        let mut is_prefixed = false;
        let mut in_word = false;
        while !text.is_empty() {
            let (n, shown) = self.normalize_start(text);
            for &byte in shown {
                if byte == b' ' {
                    in_word = false;
                    if !merge {
                        out.extend_from_slice(MARK);
                    }
                    continue;
                }
                if !in_word && (merge || (prefix && !is_prefixed)) {
                    out.extend_from_slice(MARK);
                    is_prefixed = true;
                }
                in_word = true;
                out.push(byte);
            }
            text = &text[n..];
        }
        out
    }

    /// How many bytes are taken off the start of `text`, and what is written for them.
    fn normalize_start<'a>(&'a self, text: &'a [u8]) -> (usize, &'a [u8]) {
        if let Some(found) = self.charsmap.longest(text) {
            return found;
        }
        let n = char_len(text[0]);
        match text.get(..n).filter(|c| std::str::from_utf8(c).is_ok()) {
            Some(char) => (n, char),
            None => (1, "\u{FFFD}".as_bytes()),
        }
    }
}
