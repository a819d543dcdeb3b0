//! A stage that cuts out runs of punctuation: `[\p{P}\$\+<=>\^~\|]+`.

use super::cursor::char_at;
use crate::unicode::{self, Category};

/// A run of punctuation, or all up to the next one.
pub(super) fn next(text: &str, start: usize) -> usize {
    let first = is_mark(char_at(text, start));
    let change = text[start..]
        .char_indices()
        .find(|&(_, c)| is_mark(c) != first);
    change.map_or(text.len(), |(n, _)| start + n)
}

fn is_mark(c: char) -> bool {
    matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '~' | '|')
        || unicode::category(c) == Category::Punctuation
}
