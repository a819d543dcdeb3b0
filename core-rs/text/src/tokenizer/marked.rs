//! SentencePiece's way to write tokens, which others share: `▁` for a blank, `<0x41>` for a byte.

use crate::vocab::{TokenType, Vocab};

/// The mark for a blank: U+2581.
pub(super) const MARK: &[u8] = "▁".as_bytes();

/// `text` with a mark for each blank, and one before it if `space`.
pub(super) fn mark(text: &[u8], space: bool) -> Vec<u8> {
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
    marked
}

/// `text` with a blank for each mark.
pub(super) fn unmark(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let mark = text[at..].starts_with(MARK);
        out.push(if mark { b' ' } else { text[at] });
        at += if mark { MARK.len() } else { 1 };
    }
    out
}

/// What each token decodes to; nothing for those that are written as their text, or not at all.
pub(super) fn decoded(vocab: &Vocab) -> Vec<Vec<u8>> {
    let tokens = vocab.tokens.iter().zip(&vocab.types);
    tokens
        .map(|(text, kind)| match kind {
            TokenType::Byte => byte_value(text).map_or_else(|| text.clone(), |b| vec![b]),
            TokenType::Normal => unmark(text),
            _ => Vec::new(),
        })
        .collect()
}

/// The byte that `<0x41>` stands for.
pub(super) fn byte_value(text: &[u8]) -> Option<u8> {
    let hex = text.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let hex = std::str::from_utf8(hex).ok().filter(|h| h.len() == 2)?;
    u8::from_str_radix(hex, 16).ok()
}

/// The token written `<0x41>` for a byte.
pub(super) fn byte_token(vocab: &Vocab, byte: u8) -> Option<u32> {
    vocab.id(format!("<0x{byte:02X}>").as_bytes())
}

/// Length of a UTF-8 character by its first byte; 1 for a byte that cannot start one.
pub(super) fn char_len(first: u8) -> usize {
    match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
        _ => 1,
    }
}
