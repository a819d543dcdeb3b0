//! Stages that cut out punctuation and what keyboards have beside it.

use super::cursor::{PUNCTUATION, char_at, isolate, run_of};
use crate::unicode;

/// `[\p{P}\$\+<=>\^~\|]+`
pub(super) fn runs(text: &str, start: usize) -> usize {
    cut(text, start, |c| is_punctuation(c) || is_listed(c))
}

/// Falcon: ``[\p{P}\$\+<=>\^~\|`]+``
pub(super) fn falcon(text: &str, start: usize) -> usize {
    cut(text, start, |c| {
        is_punctuation(c) || is_listed(c) || c == '`'
    })
}

/// DeepSeek Coder: `\s?\p{P}+`
pub(super) fn after_blank(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        super::letters::with_blank(text, at, PUNCTUATION)
    })
}

fn is_punctuation(c: char) -> bool {
    unicode::class(c) == PUNCTUATION
}

fn is_listed(c: char) -> bool {
    matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '~' | '|')
}

/// A run of characters that `is` accepts, or all up to the next.
fn cut(text: &str, start: usize, is: impl Fn(char) -> bool) -> usize {
    let first = is(char_at(text, start));
    run_of(text, start, |c| is(c) == first)
}
