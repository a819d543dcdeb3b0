//! Stages that cut out digits: runs of `\p{N}`, and groups of three ASCII digits.

use super::cursor::{Class, class_at, run};

/// `\p{N}+`: a run of numbers, or all up to the next one.
pub(super) fn runs(text: &str, start: usize) -> usize {
    let (class, mut at) = class_at(text, start);
    if class == Class::Number {
        return run(text, at, Class::Number);
    }
    loop {
        match class_at(text, at) {
            (Class::Number | Class::End, _) => return at,
            (_, next) => at = next,
        }
    }
}

/// `[0-9][0-9][0-9]`: three digits, or all up to the next three.
pub(super) fn threes(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let three =
        |at: usize| bytes[at..].len() >= 3 && bytes[at..at + 3].iter().all(u8::is_ascii_digit);
    if three(start) {
        return start + 3;
    }
    (start..bytes.len())
        .find(|&at| three(at))
        .unwrap_or(bytes.len())
}
