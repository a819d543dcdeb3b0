//! The family of Llama 3, which cuts a text into words with at most one other character before
//! them, numbers, and runs of the rest with the line ends after them:
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//!
//! A [`Style`] says how a member differs. As in llama.cpp, `(?i)` is about ASCII only (`ſ` is no
//! `s`). `\s*[\r\n]`, which some have, reaches as far as `\s*[\r\n]+`.

use super::cursor::{LETTER, MARK, NUMBER, REST, SPACE, class_at, run};
use super::digits::numbers;
use super::gpt2::blanks;

/// One member of the family.
pub(super) struct Style {
    pub(super) contractions: Contractions,
    pub(super) letters: Letters,
    /// How many numbers make a piece, at most.
    pub(super) max_digits: usize,
    /// Classes of what is neither word, number nor blank.
    pub(super) rest: u8,
    pub(super) after_rest: AfterRest,
}

/// What becomes of `'s`, `'T`, `'Re`, …
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Contractions {
    /// Nothing special.
    None,
    /// They are pieces.
    Apart,
    /// They stay with the word before.
    Attached,
}

/// What a word is made of.
#[derive(Clone, Copy)]
pub(super) enum Letters {
    /// Characters of these classes.
    Run(u8),
    /// Characters of these classes, capitals before small ones: `U*L+|U+L*`. As in llama.cpp,
    /// letters beyond ASCII count as either.
    Cased(u8),
    /// Letters with their marks, and single blanks between them: `(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`.
    Phrase,
}

/// What follows a run of the rest and belongs to it.
#[derive(Clone, Copy)]
pub(super) enum AfterRest {
    Nothing,
    /// `[\r\n]*`
    Lines,
    /// `[\r\n/]*`
    LinesAndSlashes,
    /// `[\r\n/]?`
    OneLineOrSlash,
}

const LLAMA3: Style = Style {
    contractions: Contractions::Apart,
    letters: Letters::Run(LETTER),
    max_digits: 3,
    rest: REST,
    after_rest: AfterRest::Lines,
};

const QWEN2: Style = Style {
    max_digits: 1,
    ..LLAMA3
};

const GPT_4O: Style = Style {
    contractions: Contractions::Attached,
    letters: Letters::Cased(LETTER),
    max_digits: 3,
    rest: REST,
    after_rest: AfterRest::LinesAndSlashes,
};

const TINY_AYA: Style = Style {
    letters: Letters::Run(LETTER | MARK),
    ..GPT_4O
};

/// Defines a stage: a name, and the style it has.
macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $style:expr;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(text: &str, start: usize) -> usize {
            const STYLE: Style = $style;
            piece(text, start, &STYLE)
        }
    )*};
}

stages! {
    /// Llama 3, DBRX, GLM 4.
    llama3 = LLAMA3;
    /// Any number of digits together: MiniCPM 5, which cuts them before.
    minicpm5 = Style { max_digits: usize::MAX, ..LLAMA3 };
    /// One digit a piece: Qwen 2.
    qwen2 = QWEN2;
    /// Marks belong to words: Qwen 3.5.
    qwen35 = Style { letters: Letters::Run(LETTER | MARK), rest: REST & !MARK, ..QWEN2 };
    /// Line ends apart: Seed-Coder.
    seed_coder = Style { after_rest: AfterRest::Nothing, ..QWEN2 };
    /// Turkish, whose apostrophes stay with the word.
    ufakzeka = Style { contractions: Contractions::None, ..QWEN2 };
    /// Words with single blanks between them: EXAONE MoE.
    exaone_moe = Style {
        letters: Letters::Phrase, after_rest: AfterRest::OneLineOrSlash, ..QWEN2
    };
    /// GPT-4o, Llama 4.
    gpt_4o = GPT_4O;
    /// GPT-4o with marks as letters: Granite's multilingual embeddings.
    granite_embed = Style { letters: Letters::Cased(LETTER | MARK), ..GPT_4O };
    /// Mistral's Tekken.
    tekken = Style { contractions: Contractions::None, max_digits: 1, ..GPT_4O };
    /// Words of letters and marks: Tiny Aya.
    tiny_aya = TINY_AYA;
    /// Tiny Aya with one digit a piece: Youtu.
    youtu = Style { max_digits: 1, ..TINY_AYA };
}

#[inline(always)]
fn piece(text: &str, start: usize, style: &Style) -> usize {
    if style.contractions == Contractions::Apart
        && let Some(end) = contraction(text, start)
    {
        return end;
    }
    if let Some(end) = word(text, start, style.letters) {
        let attached = style.contractions == Contractions::Attached;
        return contraction(text, end).filter(|_| attached).unwrap_or(end);
    }
    no_word(text, start, style)
}

/// What Llama 3 cuts where no word starts.
pub(super) fn llama3_no_word(text: &str, start: usize) -> usize {
    no_word(text, start, &LLAMA3)
}

#[inline(always)]
fn no_word(text: &str, start: usize, style: &Style) -> usize {
    numbers(text, start, style.max_digits)
        .or_else(|| rest(text, start, style))
        .unwrap_or_else(|| lines_or_blanks(text, start))
}

/// End of `'s`, `'T`, `'Re`, … at `start`.
#[inline]
pub(super) fn contraction(text: &str, start: usize) -> Option<usize> {
    let rest = &text.as_bytes()[start..];
    if rest.first() != Some(&b'\'') {
        return None;
    }
    let lower = |i: usize| rest.get(i).map_or(0, u8::to_ascii_lowercase);
    match (lower(1), lower(2)) {
        (b's' | b't' | b'm' | b'd', _) => Some(start + 2),
        (b'r' | b'v', b'e') | (b'l', b'l') => Some(start + 3),
        _ => None,
    }
}

/// End of the word at `start`, with one character before it that is no letter, number or line end.
#[inline(always)]
fn word(text: &str, start: usize, letters: Letters) -> Option<usize> {
    let (class, after) = class_at(text, start);
    let line_end = matches!(text.as_bytes()[start], b'\r' | b'\n');
    let may_lead = class & (LETTER | NUMBER) == 0 && !line_end;
    match letters {
        Letters::Run(set) if class & set != 0 => Some(run(text, after, set)),
        Letters::Run(set) if may_lead => match class_at(text, after) {
            (class2, after2) if class2 & set != 0 => Some(run(text, after2, set)),
            _ => None,
        },
        Letters::Cased(set) if may_lead => {
            let (full, capitals) = cased(text, after, set);
            // A mark may lead a word, or else be one of its letters.
            let alone = || cased(text, start, set).0.filter(|_| class & set != 0);
            full.or_else(alone).or(capitals)
        }
        Letters::Cased(set) if class & set != 0 => {
            let (full, capitals) = cased(text, start, set);
            full.or(capitals)
        }
        Letters::Phrase if class == LETTER => Some(phrase(text, start)),
        Letters::Phrase if may_lead && class_at(text, after).0 == LETTER => {
            Some(phrase(text, after))
        }
        _ => None,
    }
}

/// Ends of `U*L+` and of `U+` at `start`. Characters beyond ASCII are in both U and L, so where no
/// small ASCII letter follows the run of U, L+ is the last of those in the run.
fn cased(text: &str, start: usize, set: u8) -> (Option<usize>, Option<usize>) {
    let bytes = text.as_bytes();
    let (mut at, mut after_both) = (start, None);
    loop {
        let (class, next) = class_at(text, at);
        if class & set == 0 {
            return (after_both, (at > start).then_some(at));
        }
        if bytes[at].is_ascii_lowercase() {
            break;
        }
        at = next;
        if !bytes[next - 1].is_ascii() {
            after_both = Some(next);
        }
    }
    while let (class, next) = class_at(text, at)
        && class & set != 0
        && !bytes[at].is_ascii_uppercase()
    {
        at = next;
    }
    (Some(at), None)
}

/// End of the letters, marks and single blanks between them that start with a letter at `start`.
fn phrase(text: &str, start: usize) -> usize {
    let mut at = start;
    loop {
        at = run(text, at, LETTER);
        at = run(text, at, MARK);
        let blank = usize::from(text.as_bytes().get(at) == Some(&b' '));
        if class_at(text, at + blank).0 != LETTER {
            return at;
        }
        at += blank;
    }
}

/// End of ` ?[^\s\p{L}\p{N}]+` at `start`, and of the line ends after it.
#[inline(always)]
fn rest(text: &str, start: usize, style: &Style) -> Option<usize> {
    let bytes = text.as_bytes();
    let blank = usize::from(bytes[start] == b' ');
    let (class, after) = class_at(text, start + blank);
    if class & style.rest == 0 {
        return None;
    }
    let end = run(text, after, style.rest);
    let n = |is: fn(&u8) -> bool, max: usize| {
        bytes[end..].iter().take(max).take_while(|b| is(b)).count()
    };
    let line_or_slash: fn(&u8) -> bool = |b| matches!(b, b'\r' | b'\n' | b'/');
    Some(match style.after_rest {
        AfterRest::Nothing => end,
        AfterRest::Lines => end + n(is_line_end, usize::MAX),
        AfterRest::LinesAndSlashes => end + n(line_or_slash, usize::MAX),
        AfterRest::OneLineOrSlash => end + n(line_or_slash, 1),
    })
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`: blanks up to the last line end among them, or else all of them.
#[inline]
pub(super) fn lines_or_blanks(text: &str, start: usize) -> usize {
    let end = run(text, start, SPACE);
    let last = text.as_bytes()[start..end].iter().rposition(is_line_end);
    last.map_or_else(|| blanks(text, start), |last| start + last + 1)
}

pub(super) fn is_line_end(b: &u8) -> bool {
    matches!(b, b'\r' | b'\n')
}
