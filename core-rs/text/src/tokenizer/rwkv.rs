//! RWKV's "world" tokenizer: the longest token from the left, again and again, over bytes. Files
//! write tokens as Python writes bytes (`\n`, `\xe4`). Control and unused tokens are not looked for
//! in a text (llama.cpp does), so that no text can end a generation.

use super::trie::Trie;
use crate::vocab::{TokenType, Vocab};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Rwkv {
    trie: Trie,
    bytes: Vec<Vec<u8>>,
}

impl Rwkv {
    /// # Errors
    /// A byte without a token, where there is no unknown token either.
    pub(super) fn new(vocab: &Vocab) -> Result<Self> {
        let bytes: Vec<Vec<u8>> = vocab.tokens.iter().map(|text| unescape(text)).collect();
        let in_text = |i: usize| {
            let kind = vocab.types[i];
            !kind.is_hidden() && kind != TokenType::Unused
        };
        let trie = Trie::new(&bytes, in_text);
        let lost = (0..=255u8).find(|&b| trie.longest(&[b]).is_none());
        match lost.filter(|_| vocab.special.unk.is_none()) {
            Some(byte) => Err(Error::Vocab {
                name: "tokenizer.ggml.tokens",
                value: format!("without the byte 0x{byte:02X}"),
                expected: "a token for every byte, or tokenizer.ggml.unknown_token_id".into(),
            }),
            None => Ok(Self { trie, bytes }),
        }
    }

    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        &self.bytes[token]
    }

    /// Appends the tokens of `text`; `unknown` for a byte without one.
    pub(super) fn encode(&self, mut text: &[u8], unknown: Option<u32>, out: &mut Vec<u32>) {
        while !text.is_empty() {
            let found = self.trie.longest(text);
            out.extend(found.map(|(_, token)| token).or(unknown));
            text = &text[found.map_or(1, |(n, _)| n)..];
        }
    }
}

/// Undoes Python's escapes.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let (b'\\', Some((&escape, after))) = (first, after.split_first()) else {
            out.push(first);
            continue;
        };
        rest = after;
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let value = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(match (escape, value) {
            (b't', _) => b'\t',
            (b'n', _) => b'\n',
            (b'r', _) => b'\r',
            (b'x', Some(value)) => {
                rest = &after[2..];
                value
            }
            _ => escape,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(br"a\n\x41\xe4\\\'\"), b"a\nA\xe4\\'\\");
    }
}
