//! The classes of characters pre-tokenizers ask for, at a place in a text.

use crate::unicode::{self, CONTROL};
pub(super) use crate::unicode::{Class, LETTER, MARK, NUMBER, PUNCTUATION, SPACE, SYMBOL};

/// The class `class_at` tells behind the last character: in no set.
pub(super) const END: Class = 0;

/// `[^\s\p{L}\p{N}]`
pub(super) const REST: Class = !(LETTER | NUMBER | SPACE);

/// Class of the character at `at`, and where the next one starts.
#[inline]
pub(super) fn class_at(text: &str, at: usize) -> (Class, usize) {
    let Some(&first) = text.as_bytes().get(at) else {
        return (END, at);
    };
    if first < 0x80 {
        return (ASCII[first as usize], at + 1);
    }
    let c = char_at(text, at);
    (unicode::class(c), at + c.len_utf8())
}

/// The character at `at`, which must be at the start of one and before the end.
pub(super) fn char_at(text: &str, at: usize) -> char {
    text[at..].chars().next().expect("a place before the end")
}

/// Where the run of characters of one of `classes` from `at` on ends.
#[inline]
pub(super) fn run(text: &str, mut at: usize, classes: Class) -> usize {
    loop {
        match class_at(text, at) {
            (class, next) if class & classes != 0 => at = next,
            _ => return at,
        }
    }
}

/// Where the run of characters that `is` accepts ends.
#[inline]
pub(super) fn run_of(text: &str, at: usize, is: impl Fn(char) -> bool) -> usize {
    let other = text[at..].char_indices().find(|&(_, c)| !is(c));
    other.map_or(text.len(), |(n, _)| at + n)
}

/// A match at `start`, or all up to the next match: how a regex that need not match everywhere
/// cuts. `matched` tells where the match at a place ends, if there is one.
#[inline]
pub(super) fn isolate(
    text: &str,
    start: usize,
    matched: impl Fn(&str, usize) -> Option<usize>,
) -> usize {
    if let Some(end) = matched(text, start) {
        return end;
    }
    let mut places = text[start..].char_indices().skip(1);
    let next = places.find(|&(n, _)| matched(text, start + n).is_some());
    next.map_or(text.len(), |(n, _)| start + n)
}

static ASCII: [Class; 128] = {
    let mut table = [0; 128];
    let mut b = 0;
    while b < 128 {
        table[b] = match b as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => NUMBER,
            b'\t'..=b'\r' | b' ' => SPACE,
            b'$' | b'+' | b'<' | b'=' | b'>' | b'^' | b'`' | b'|' | b'~' => SYMBOL,
            b'!'..=b'~' => PUNCTUATION,
            _ => CONTROL,
        };
        b += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_has_the_classes_of_unicode() {
        for b in 0..128u8 {
            assert_eq!(ASCII[b as usize], unicode::class(b.into()), "{b}");
        }
    }
}
