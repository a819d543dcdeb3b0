//! PLaMo 2: as a unigram model (`ugm.rs`), of all ways to write a text in tokens the one with the
//! highest sum of scores, but found from the right, in whole numbers; of ways as good the longer
//! token wins. Characters without a token are written in bytes. Nothing is normalized, and blanks
//! are blanks.
//!
//! Control tokens are not looked for in a text (llama.cpp does), so that no text can end a turn.

use super::bpe::replace_wrong_bytes;
use super::marked::{byte_token, byte_value};
use super::trie::Trie;
use crate::vocab::{TokenType, Vocab};
use crate::{Error, Result};

/// Scores count in ten-thousandths; a character without a token has the score of -1000.
const UNITS: f64 = 1e4;
const UNKNOWN: i64 = -10_000_000;
/// Tokens of such a score or less are not used.
const UNUSABLE: i64 = -20_000_000;

#[derive(Debug)]
pub(super) struct Plamo2 {
    tokens: Trie,
    scores: Vec<i64>,
    byte_tokens: Vec<u32>, // [256]
    /// What each token decodes to.
    bytes: Vec<Vec<u8>>,
}

/// The best way to write the text from a place on.
#[derive(Clone, Copy)]
struct Best {
    /// The cost of it: scores, negated.
    cost: i64,
    /// The first token and where it ends; none for a character in bytes.
    token: Option<u32>,
    end: usize,
}

impl Plamo2 {
    /// # Errors
    /// A byte without a token.
    pub(super) fn new(vocab: &Vocab) -> Result<Self> {
        let score = |score: &f32| (f64::from(*score) * UNITS).round() as i32;
        let scores: Vec<i64> = vocab.scores.iter().map(|s| score(s).into()).collect();
        let in_text = |i: usize| {
            let is_text = matches!(
                vocab.types[i],
                TokenType::Normal | TokenType::UserDefined | TokenType::Unused
            );
            is_text && scores[i] > UNUSABLE
        };
        let byte_of = |b: u8| {
            byte_token(vocab, b).ok_or_else(|| Error::Vocab {
                name: "tokenizer.ggml.tokens",
                value: format!("without <0x{b:02X}>"),
                expected: "a token for every byte".into(),
            })
        };
        let piece = |i: usize| match vocab.types[i] {
            TokenType::Byte => byte_value(&vocab.tokens[i]).map(|b| vec![b]),
            _ => None,
        };
        Ok(Self {
            tokens: Trie::new(&vocab.tokens, in_text),
            byte_tokens: (0..=255u8).map(byte_of).collect::<Result<_>>()?,
            bytes: (0..vocab.tokens.len())
                .map(|i| piece(i).unwrap_or_else(|| vocab.tokens[i].clone()))
                .collect(),
            scores,
        })
    }

    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        &self.bytes[token]
    }

    /// Appends the tokens of `text`; a mark of byte order at its start is left out.
    pub(super) fn encode(&self, text: &[u8], out: &mut Vec<u32>) {
        let text = replace_wrong_bytes(text);
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        let best = self.best_ways(text);
        let mut at = 0;
        while at < text.len() {
            let Best { token, end, .. } = best[at];
            match token {
                Some(token) => out.push(token),
                None => {
                    let bytes = text.as_bytes()[at..end].iter();
                    out.extend(bytes.map(|&b| self.byte_tokens[b as usize]));
                }
            }
            at = end;
        }
    }

    /// For each place in `text` where a character starts, the best way on.
    fn best_ways(&self, text: &str) -> Vec<Best> {
        let done = Best {
            cost: 0,
            token: None,
            end: text.len(),
        };
        let mut best = vec![done; text.len() + 1]; // [n_bytes + 1]
        for (start, c) in text.char_indices().rev() {
            let end = start + c.len_utf8();
            let mut found = Best {
                cost: best[end].cost - UNKNOWN,
                token: None,
                end,
            };
            // Short tokens come first, so that a long one wins where it is as good.
            self.tokens.each(&text.as_bytes()[start..], |n, token| {
                let end = start + n;
                let cost = best[end].cost - self.scores[token as usize];
                if cost <= found.cost && text.is_char_boundary(end) {
                    found = Best {
                        cost,
                        token: Some(token),
                        end,
                    };
                }
            });
            best[start] = found;
        }
        best
    }
}
