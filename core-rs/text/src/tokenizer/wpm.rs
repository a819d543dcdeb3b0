//! BERT's WordPiece: the text is cleaned, stripped of accents and case (as the file wishes), and cut
//! into words and single marks; of each word the longest token is taken from the left, again and
//! again. A word that cannot be written so is one unknown token.
//!
//! Files write the start of a word with `▁` before it, what goes on without (`▁play`, `ing`). As
//! llama.cpp does it, but for accents: those are what Unicode's decomposition makes of them, as in
//! BERT itself, where llama.cpp drops the vowels of Hangul and of Indian scripts.

use super::bpe::replace_wrong_bytes;
use super::marked::{MARK, decoded};
use super::trie::Trie;
use crate::unicode::{CONTROL, PUNCTUATION, SPACE, class, lowercase, without_accents};
use crate::vocab::Vocab;

#[derive(Debug)]
pub(super) struct Wpm {
    trie: Trie,
    /// What each token decodes to.
    bytes: Vec<Vec<u8>>,
    normalizer: Normalizer,
}

/// What of BERT's normalizer is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normalizer {
    pub(super) lowercase: bool,
    pub(super) strip_accents: bool,
}

impl Wpm {
    pub(super) fn new(vocab: &Vocab, normalizer: Normalizer) -> Self {
        Self {
            normalizer,
            trie: Trie::new(&vocab.tokens, |_| true),
            bytes: decoded(vocab),
        }
    }

    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        &self.bytes[token]
    }

    /// Appends the tokens of `text`; `unknown` for words that cannot be written.
    pub(super) fn encode(&self, text: &[u8], unknown: Option<u32>, out: &mut Vec<u32>) {
        let mut word = MARK.to_vec();
        let mut bare = Vec::new();
        for c in replace_wrong_bytes(text).chars() {
            let kind = class(c);
            if kind == SPACE {
                self.end_word(&mut word, unknown, out);
                continue;
            }
            if kind == CONTROL || matches!(c, '\0' | char::REPLACEMENT_CHARACTER) {
                continue;
            }
            bare.clear();
            match self.normalizer.strip_accents {
                true => without_accents(c, &mut bare),
                false => bare.push(c),
            }
            for &c in &bare {
                self.add(c, &mut word, unknown, out);
            }
        }
        self.end_word(&mut word, unknown, out);
    }

    /// Adds a character to the word; ends the word where it stands alone.
    fn add(&self, c: char, word: &mut Vec<u8>, unknown: Option<u32>, out: &mut Vec<u32>) {
        let c = if self.normalizer.lowercase {
            lowercase(c)
        } else {
            c
        };
        let alone = stands_alone(c);
        if alone {
            self.end_word(word, unknown, out);
        }
        word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        if alone {
            self.end_word(word, unknown, out);
        }
    }

    /// Appends the tokens of `word`, and leaves the mark of the next one in it.
    fn end_word(&self, word: &mut Vec<u8>, unknown: Option<u32>, out: &mut Vec<u32>) {
        let n_before = out.len();
        let mut rest = word.as_slice();
        while rest.len() < word.len() || word.len() > MARK.len() {
            let Some((n, token)) = self.trie.longest(rest) else {
                break;
            };
            out.push(token);
            rest = &rest[n..];
        }
        if word.len() > MARK.len() && !rest.is_empty() {
            out.truncate(n_before);
            out.extend(unknown);
        }
        word.truncate(MARK.len());
    }
}

/// Punctuation, ASCII symbols and Chinese characters are words of their own.
fn stands_alone(c: char) -> bool {
    c.is_ascii_punctuation() || class(c) == PUNCTUATION || is_chinese(c)
}

/// The blocks BERT's tokenizers list (U+2B820 to U+2B91F are not among them).
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2A6DF
        | 0x2A700..=0x2B81F | 0x2B920..=0x2CEAF | 0x2F800..=0x2FA1F)
}
