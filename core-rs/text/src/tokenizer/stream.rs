//! Decoding of tokens that come one by one. A token may end in the middle of a character; its first
//! bytes wait here until the rest has come, so that every string handed out is whole.

use super::Tokenizer;
use crate::Result;

/// Turns tokens into whole characters; see [`Tokenizer::stream`]. Blanks at the start are kept: what
/// it decodes usually continues a prompt.
#[derive(Debug, Clone)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    special: bool,
    characters: Utf8Joiner,
}

impl<'a> StreamDecoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, special: bool) -> Self {
        let characters = Utf8Joiner::default();
        Self {
            tokenizer,
            special,
            characters,
        }
    }

    /// The characters that `token` completes; often empty within a character of several tokens.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn push(&mut self, token: u32) -> Result<String> {
        let bytes = self.tokenizer.token_bytes(token, self.special)?;
        Ok(self.characters.push(bytes))
    }

    /// U+FFFD for bytes that still wait, nothing otherwise; then the decoder is as new.
    pub fn flush(&mut self) -> String {
        self.characters.flush()
    }
}

/// Joins pieces of UTF-8 into whole characters. Bytes that cannot become a character give U+FFFD,
/// one for each maximal wrong piece, as [`String::from_utf8_lossy`] does for a whole text.
#[derive(Debug, Clone, Default)]
pub struct Utf8Joiner {
    waiting: Vec<u8>,
}

impl Utf8Joiner {
    /// The characters that `bytes` completes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.waiting.extend_from_slice(bytes);
        let mut out = String::with_capacity(self.waiting.len());
        let mut rest = self.waiting.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    out.push_str(std::str::from_utf8(good).expect("checked as far as this"));
                    rest = bad;
                    let Some(n_bad) = error.error_len() else {
                        break;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[n_bad..];
                }
            }
        }
        let n_done = self.waiting.len() - rest.len();
        self.waiting.drain(..n_done);
        out
    }

    /// U+FFFD if the start of a character waits, nothing otherwise.
    pub fn flush(&mut self) -> String {
        if std::mem::take(&mut self.waiting).is_empty() {
            String::new()
        } else {
            "\u{FFFD}".into()
        }
    }
}
