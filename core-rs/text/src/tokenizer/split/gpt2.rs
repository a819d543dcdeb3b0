//! GPT-2:
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

use super::cursor::{END, LETTER, NUMBER, REST, SPACE, class_at, run};

/// End of the piece that starts at `start`.
pub(super) fn next(text: &str, start: usize) -> usize {
    let rest = &text.as_bytes()[start..];
    if rest[0] == b'\'' {
        match rest {
            [_, b's' | b't' | b'm' | b'd', ..] => return start + 2,
            [_, b'r', b'e', ..] | [_, b'v', b'e', ..] | [_, b'l', b'l', ..] => return start + 3,
            _ => {}
        }
    }
    let after_blank = start + usize::from(rest[0] == b' ');
    match class_at(text, after_blank) {
        (SPACE | END, _) => blanks(text, start),
        (class @ (LETTER | NUMBER), after) => run(text, after, class),
        (_, after) => run(text, after, REST),
    }
}

/// `\s+(?!\S)|\s+`: all blanks; but the last of several is left to the word that follows.
pub(super) fn blanks(text: &str, start: usize) -> usize {
    let end = run(text, start, SPACE);
    if end == text.len() {
        return end;
    }
    let before_last = last_char(text, start, end);
    if before_last > start {
        before_last
    } else {
        end
    }
}

/// Where the last character of `text[start..end]` begins.
fn last_char(text: &str, start: usize, end: usize) -> usize {
    let mut at = end - 1;
    while at > start && !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
