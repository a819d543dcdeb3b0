//! Stages around words that other families do not have: DeepSeek's, BLOOM's, Kimi's.

use super::cursor::{
    Class, LETTER, MARK, NUMBER, PUNCTUATION, SPACE, SYMBOL, char_at, class_at, isolate, run,
    run_of,
};
use super::words::{self, contraction, is_line_end, lines_or_blanks};
use crate::unicode;

/// DeepSeek Coder: `\s?\p{L}+`
pub(super) fn after_blank(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| with_blank(text, at, LETTER))
}

/// End of `\s?` and a run of `classes` at `at`.
pub(super) fn with_blank(text: &str, at: usize, classes: Class) -> Option<usize> {
    let (mut class, mut next) = class_at(text, at);
    if class == SPACE {
        (class, next) = class_at(text, next);
    }
    (class & classes != 0).then(|| run(text, next, classes))
}

/// DeepSeek 3:
/// ``[!-/:-@[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|``
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
pub(super) fn deepseek3(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        let lines = |end: usize| {
            let line_ends = text.as_bytes()[end..].iter().take_while(|b| is_line_end(b));
            end + line_ends.count()
        };
        let found = marked_word(text, at).or_else(|| marks(text, at).map(lines));
        found.or_else(|| blank_at(text, at).then(|| lines_or_blanks(text, at)))
    })
}

/// Spark 2.5, which differs from DeepSeek 3 after words: ` ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`
pub(super) fn spark(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        let line = || is_line_end(&text.as_bytes()[at]).then_some(at + 1);
        let blanks = || blank_at(text, at).then(|| super::gpt2::blanks(text, at));
        let found = marked_word(text, at).or_else(|| marks(text, at));
        found.or_else(line).or_else(blanks)
    })
}

/// A word, with one character before it.
fn marked_word(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes[at].is_ascii_punctuation() {
        let n = bytes[at + 1..]
            .iter()
            .take_while(|b| b.is_ascii_alphabetic());
        return Some(at + 1 + n.count()).filter(|&end| end > at + 1);
    }
    let (class, after) = class_at(text, at);
    if class & (LETTER | MARK) != 0 {
        return Some(run(text, after, LETTER | MARK));
    }
    let may_lead = class & (PUNCTUATION | SYMBOL) == 0 && !is_line_end(&bytes[at]);
    let (class2, after2) = class_at(text, after);
    (may_lead && class2 & (LETTER | MARK) != 0).then(|| run(text, after2, LETTER | MARK))
}

/// ` ?[\p{P}\p{S}]+`
fn marks(text: &str, at: usize) -> Option<usize> {
    let blank = usize::from(text.as_bytes()[at] == b' ');
    let (class, after) = class_at(text, at + blank);
    let is_mark = class & (PUNCTUATION | SYMBOL) != 0;
    is_mark.then(|| run(text, after, PUNCTUATION | SYMBOL))
}

fn blank_at(text: &str, at: usize) -> bool {
    class_at(text, at).0 == SPACE
}

/// BLOOM, Poro, GPT-3 Finnish, Viking: ` ?[^(\s|.,!?…。，、।۔،)]+`
pub(super) fn bloom(text: &str, start: usize) -> usize {
    let is = |c: char| !c.is_whitespace() && !"(|.,!?…。，、।۔،)".contains(c);
    isolate(text, start, |text, at| {
        let from = at + usize::from(text.as_bytes()[at] == b' ');
        (from < text.len() && is(char_at(text, from))).then(|| run_of(text, from, is))
    })
}

/// Kimi K2: runs of Chinese characters, then
/// `[^\r\n\p{L}\p{N}]?[\p{L}--Han]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?`, and the rest as in Llama 3.
pub(super) fn kimi(text: &str, start: usize) -> usize {
    let first = char_at(text, start);
    if is_han(first) {
        return run_of(text, start, is_han);
    }
    let (class, after) = class_at(text, start);
    let is_letter = |c: char| unicode::class(c) == LETTER && !is_han(c);
    let may_lead = class & (LETTER | NUMBER) == 0 && !is_line_end(&text.as_bytes()[start]);
    let word = match text[after..].chars().next() {
        _ if class == LETTER => start,
        Some(second) if may_lead && is_letter(second) => after,
        _ => return words::llama3_no_word(text, start),
    };
    let end = run_of(text, word, is_letter);
    contraction(text, end).unwrap_or(end)
}

/// The blocks of Chinese characters.
fn is_han(c: char) -> bool {
    matches!(u32::from(c),
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2A6DF
        | 0x2A700..=0x2EBEF | 0x2F800..=0x2FA1F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn han_is_not_split_from_its_block() {
        assert!(is_han('中') && is_han('\u{2B81F}') && !is_han('ア'));
    }
}
