//! The classes of characters pre-tokenizers ask for, at a place in a text.

use crate::unicode::{self, Category};

/// What a pre-tokenizer needs to know about the character at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
    /// Anything else.
    Other,
    /// Behind the last character.
    End,
}

/// Class of the character at `at`, and where the next one starts.
#[inline]
pub(super) fn class_at(text: &str, at: usize) -> (Class, usize) {
    let Some(&first) = text.as_bytes().get(at) else {
        return (Class::End, at);
    };
    if first < 0x80 {
        return (ASCII[first as usize], at + 1);
    }
    let c = char_at(text, at);
    (class(c), at + c.len_utf8())
}

/// The character at `at`, which must be at the start of one and before the end.
pub(super) fn char_at(text: &str, at: usize) -> char {
    text[at..].chars().next().expect("a place before the end")
}

/// Where the run of characters of `class` from `at` on ends.
#[inline]
pub(super) fn run(text: &str, mut at: usize, class: Class) -> usize {
    loop {
        match class_at(text, at) {
            (c, next) if c == class => at = next,
            _ => return at,
        }
    }
}

fn class(c: char) -> Class {
    match unicode::category(c) {
        Category::Letter => Class::Letter,
        Category::Number => Class::Number,
        _ if c.is_whitespace() => Class::Space,
        _ => Class::Other,
    }
}

static ASCII: [Class; 128] = {
    let mut table = [Class::Other; 128];
    let mut b = 0;
    while b < 128 {
        table[b] = match b as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b'\t'..=b'\r' | b' ' => Class::Space,
            _ => Class::Other,
        };
        b += 1;
    }
    table
};
