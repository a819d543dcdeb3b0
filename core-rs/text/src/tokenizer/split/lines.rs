//! Stages that cut at line ends and blanks.

use super::cursor::{SPACE, class_at, isolate, run, run_of};
use super::words::is_line_end;

/// `[^\n]+|[\n]+`
pub(super) fn runs(text: &str, start: usize) -> usize {
    let first = text.as_bytes()[start] == b'\n';
    run_of(text, start, |c| (c == '\n') == first)
}

/// `[\r\n]`
pub(super) fn single(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        is_line_end(&text.as_bytes()[at]).then_some(at + 1)
    })
}

/// `\s+$`: the blanks at the end of the text.
pub(super) fn at_end(text: &str, start: usize) -> usize {
    let blanks = text.trim_end().len();
    if start < blanks { blanks } else { text.len() }
}

/// `\S+`
pub(super) fn words(text: &str, start: usize) -> usize {
    match class_at(text, start) {
        (SPACE, after) => run(text, after, SPACE),
        (_, after) => run(text, after, !SPACE),
    }
}

/// Jais 2, within blanks that Llama 3 has cut: 512 of them, else 256, … down to 4, 2, 1. Blanks
/// that end a line stay together.
pub(super) fn powers(text: &str, start: usize) -> usize {
    let blank = |c: Option<char>| c.is_some_and(|c| c.is_whitespace() && c != '\r' && c != '\n');
    if !blank(text.chars().next()) || !blank(text.chars().next_back()) {
        return text.len();
    }
    let n = text[start..].chars().take(512).count();
    let n = 1 << n.ilog2();
    text[start..]
        .char_indices()
        .nth(n)
        .map_or(text.len(), |(n, _)| start + n)
}
