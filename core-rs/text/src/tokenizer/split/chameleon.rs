//! Chameleon's stages: its image tokens, then indentation, then single digits and punctuation
//! (before GPT-2's words).

use super::cursor::{PUNCTUATION, char_at, isolate};
use crate::unicode;

/// `<sentinel:[0-9]+>`
pub(super) fn sentinel(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        let number = text.as_bytes()[at..].strip_prefix(b"<sentinel:")?;
        let n = number.iter().take_while(|b| b.is_ascii_digit()).count();
        (n > 0 && number.get(n) == Some(&b'>')).then(|| at + 11 + n)
    })
}

/// `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`
pub(super) fn image(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        let code = text.as_bytes()[at..].strip_prefix(b"IMGIMG")?;
        let letters = code
            .iter()
            .take(4)
            .take_while(|b| (b'A'..=b'I').contains(b));
        let n = letters.count();
        (n > 0 && code.get(n) == Some(&b'Z')).then(|| at + 7 + n)
    })
}

/// `([\t\n]|    |  )`
pub(super) fn indentation(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| match &text.as_bytes()[at..] {
        [b'\t' | b'\n', ..] => Some(at + 1),
        [b' ', b' ', b' ', b' ', ..] => Some(at + 4),
        [b' ', b' ', ..] => Some(at + 2),
        _ => None,
    })
}

/// ``[\p{P}!-/:-@\[-`{-~]``: each mark alone.
pub(super) fn marks(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        let c = char_at(text, at);
        let is_mark = c.is_ascii_punctuation() || unicode::class(c) == PUNCTUATION;
        is_mark.then(|| at + c.len_utf8())
    })
}
