//! Unicode's general categories, for the pre-tokenizers and normalizers. They are stored as runs
//! (7 KB, made by `tests/golden/make_unicode.py`) and spread out on first use into pages of 128 code
//! points, equal pages shared.

use std::sync::OnceLock;

mod bases;

pub(crate) use bases::without_accents;

/// A set of major classes; each character belongs to exactly one.
pub(crate) type Class = u8;

/// `\p{L}`
pub(crate) const LETTER: Class = 1;
/// `\p{M}`
pub(crate) const MARK: Class = 2;
/// `\p{N}`
pub(crate) const NUMBER: Class = 4;
/// `\s`: `\p{Z}`, the controls from tab to carriage return, and U+0085.
pub(crate) const SPACE: Class = 8;
/// `\p{P}`
pub(crate) const PUNCTUATION: Class = 16;
/// `\p{S}`
pub(crate) const SYMBOL: Class = 32;
/// Cc (but for blanks), Cf, Cs and Co.
pub(crate) const CONTROL: Class = 64;
/// Cn
pub(crate) const UNASSIGNED: Class = 128;

/// The class of each category, in the order of `CATEGORIES` in `make_unicode.py`:
/// Lu Ll Lt Lm Lo, Mn Mc Me, Nd Nl No, Pc Pd Ps Pe Pi Pf Po, Sm Sc Sk So, Zs Zl Zp, Cc Cf Cs Co, Cn.
const CLASS: [Class; 30] = {
    let counts = [
        (LETTER, 5),
        (MARK, 3),
        (NUMBER, 3),
        (PUNCTUATION, 7),
        (SYMBOL, 4),
        (SPACE, 3),
        (CONTROL, 4),
        (UNASSIGNED, 1),
    ];
    let mut table = [0; 30];
    let (mut i, mut at) = (0, 0);
    while i < counts.len() {
        let end = at + counts[i].1;
        while at < end {
            table[at] = counts[i].0;
            at += 1;
        }
        i += 1;
    }
    table
};

/// Index of Mn in `CATEGORIES`.
const NONSPACING: u8 = 5;
/// Index of Zs in `CATEGORIES`.
const BLANK: u8 = 22;

static RUNS: &[u8] = include_bytes!("unicode/categories.bin");

/// The class of `c`.
pub(crate) fn class(c: char) -> Class {
    CLASS[category(c) as usize]
}

/// The small letter of `c`. One alone: İ becomes i, without the dot it has in full.
pub(crate) fn lowercase(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Whether `c` is an accent that takes no room of its own (Mn).
fn is_nonspacing(c: char) -> bool {
    category(c) == NONSPACING
}

/// Index into `CATEGORIES`; for blanks that are controls, that of Zs.
fn category(c: char) -> u8 {
    let c = u32::from(c) as usize;
    let pages = pages();
    pages.data[pages.index[c / PAGE] as usize][c % PAGE]
}

const PAGE: usize = 128;

struct Pages {
    index: Vec<u16>, // [0x110000 / PAGE]
    data: Vec<[u8; PAGE]>,
}

fn pages() -> &'static Pages {
    static PAGES: OnceLock<Pages> = OnceLock::new();
    PAGES.get_or_init(|| {
        let mut seen = std::collections::HashMap::new();
        let (mut index, mut data) = (Vec::new(), Vec::new());
        let mut categories = spread(RUNS);
        for c in (0x09..=0x0D).chain([0x85]) {
            categories[c] = BLANK;
        }
        for page in categories.chunks_exact(PAGE) {
            let page: [u8; PAGE] = page.try_into().expect("chunks of PAGE");
            index.push(*seen.entry(page).or_insert_with(|| {
                data.push(page);
                data.len() as u16 - 1
            }));
        }
        Pages { index, data }
    })
}

/// One category a code point.
fn spread(mut runs: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(0x11_0000);
    while !runs.is_empty() {
        let (mut length, mut shift) = (0usize, 0);
        while runs[0] & 0x80 != 0 {
            length |= usize::from(runs[0] & 0x7F) << shift;
            shift += 7;
            runs = &runs[1..];
        }
        length |= usize::from(runs[0]) << shift;
        out.resize(out.len() + length, runs[1]);
        runs = &runs[2..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_every_code_point() {
        assert_eq!(spread(RUNS).len(), 0x11_0000);
    }

    #[test]
    fn numbers_and_blanks_of_the_standard_library_are_so_here() {
        // The table may know a later Unicode than the standard library, never an earlier one.
        for c in '\0'..=char::MAX {
            let code = u32::from(c);
            assert!(
                !c.is_numeric() || class(c) == NUMBER,
                "U+{code:04X} is a number"
            );
            assert_eq!(class(c) == SPACE, c.is_whitespace(), "U+{code:04X}");
        }
    }

    #[test]
    fn samples_of_each_class() {
        for (c, expected) in [
            ('ß', LETTER),
            ('中', LETTER),
            ('\u{301}', MARK),
            ('½', NUMBER),
            ('、', PUNCTUATION),
            ('€', SYMBOL),
            ('\u{3000}', SPACE),
            ('\u{85}', SPACE),
            ('\u{200D}', CONTROL),
            ('\u{10FFFF}', UNASSIGNED),
        ] {
            assert_eq!(class(c), expected, "{c:?}");
        }
    }
}
