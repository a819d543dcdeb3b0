//! Llama 3, and Qwen 2 which differs in the number of digits taken together (`{1,3}` or 1):
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//!
//! As in llama.cpp, `(?i)` is about ASCII only (`ſ` is no `s`).

use super::cursor::{Class, class_at, run};
use super::gpt2::blanks;

/// Up to three digits a piece: Llama 3, GLM 4, DBRX.
pub(super) fn next(text: &str, start: usize) -> usize {
    piece(text, start, 3)
}

/// One digit a piece: Qwen 2.
pub(super) fn next_single_digits(text: &str, start: usize) -> usize {
    piece(text, start, 1)
}

#[inline]
fn piece(text: &str, start: usize, max_digits: usize) -> usize {
    let rest = &text.as_bytes()[start..];
    if let Some(n) = contraction(rest) {
        return start + n;
    }
    let (class, after) = class_at(text, start);
    let is_newline = |b: &u8| matches!(b, b'\r' | b'\n');
    if class == Class::Letter {
        return run(text, after, Class::Letter);
    }
    if class == Class::Number {
        return digits(text, after, max_digits);
    }
    let (class2, after2) = class_at(text, after);
    if class2 == Class::Letter && !is_newline(&rest[0]) {
        return run(text, after2, Class::Letter);
    }
    let other = match (class, class2) {
        (Class::Other, _) => Some(after),
        (_, Class::Other) if rest[0] == b' ' => Some(after2),
        _ => None,
    };
    if let Some(at) = other {
        let end = run(text, at, Class::Other);
        return end
            + text.as_bytes()[end..]
                .iter()
                .take_while(|b| is_newline(b))
                .count();
    }
    // \s*[\r\n]+ reaches to the last line end of the blanks.
    let blanks_end = run(text, after, Class::Space);
    let lines = text.as_bytes()[start..blanks_end]
        .iter()
        .rposition(is_newline);
    lines.map_or_else(|| blanks(text, start), |last| start + last + 1)
}

/// Length of `'s`, `'T`, `'Re`, … at the start of `rest`.
fn contraction(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' {
        return None;
    }
    let lower = |i: usize| rest.get(i).map_or(0, u8::to_ascii_lowercase);
    match (lower(1), lower(2)) {
        (b's' | b't' | b'm' | b'd', _) => Some(2),
        (b'r' | b'v', b'e') | (b'l', b'l') => Some(3),
        _ => None,
    }
}

/// Where the run of digits ends whose first ended at `at`, `max` of them at most.
fn digits(text: &str, mut at: usize, max: usize) -> usize {
    for _ in 1..max {
        match class_at(text, at) {
            (Class::Number, next) => at = next,
            _ => break,
        }
    }
    at
}
