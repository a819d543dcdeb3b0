//! Stages that cut out digits.

use super::cursor::{NUMBER, class_at, isolate, run};

/// `\p{N}+`: a run of numbers.
pub(super) fn runs(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| numbers(text, at, usize::MAX))
}

/// `\p{N}`: each number alone.
pub(super) fn single(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| numbers(text, at, 1))
}

/// `\p{N}{1,3}`: numbers by three, the last group may be shorter.
pub(super) fn up_to_three(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| numbers(text, at, 3))
}

/// `[0-9][0-9][0-9]`
pub(super) fn threes(text: &str, start: usize) -> usize {
    isolate(text, start, |text, at| {
        let three = text.as_bytes().get(at..at + 3)?;
        three.iter().all(u8::is_ascii_digit).then_some(at + 3)
    })
}

/// Numbers by three, the first group may be shorter (`\d{1,3}(?=(?:\d{3})*\b)`). As in llama.cpp,
/// what is before a first group stays with it; a later stage parts them.
pub(super) fn groups(text: &str, start: usize) -> usize {
    let is_number = |at: usize| class_at(text, at).0 == NUMBER;
    if is_number(start)
        && text[..start]
            .chars()
            .next_back()
            .is_some_and(is_number_char)
    {
        return numbers(text, start, 3).expect("a number is there");
    }
    let mut first = start;
    while first < text.len() && !is_number(first) {
        first = class_at(text, first).1;
    }
    let n = text[first..run(text, first, NUMBER)].chars().count();
    let n_first = if n.is_multiple_of(3) { 3 } else { n % 3 };
    numbers(text, first, n_first).unwrap_or(text.len())
}

/// `(?=(\d{3})+(?!\d))`: a cut before each three ASCII digits, counted from the end of their run.
pub(super) fn thousands(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = start;
    // A piece that starts within a run starts at one of its cuts.
    if start > 0 && is_digit(start - 1) && is_digit(start) {
        at += 3;
        if is_digit(at) {
            return at;
        }
    }
    while at < bytes.len() {
        let n = bytes[at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let cut = at + n % 3;
        if n >= 3 && cut > start {
            return cut;
        }
        if n > 3 {
            return cut + 3;
        }
        at += n.max(1);
    }
    bytes.len()
}

fn is_number_char(c: char) -> bool {
    crate::unicode::class(c) == NUMBER
}

/// Where the run of numbers at `at` ends, `max` of them at most.
pub(super) fn numbers(text: &str, at: usize, max: usize) -> Option<usize> {
    let (class, mut end) = class_at(text, at);
    if class != NUMBER {
        return None;
    }
    for _ in 1..max {
        match class_at(text, end) {
            (NUMBER, next) => end = next,
            _ => break,
        }
    }
    Some(end)
}
