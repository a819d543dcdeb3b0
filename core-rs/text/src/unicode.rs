//! Unicode's general categories, for the pre-tokenizers. They are stored as runs (7 KB, made by
//! `tests/golden/make_unicode.py`) and spread out on first use into pages of 128 code points, equal
//! pages shared.

use std::sync::OnceLock;

/// The major class of a general category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Category {
    Letter,
    Mark,
    Number,
    Punctuation,
    Symbol,
    Separator,
    Other,
}

/// The major class of each category, in the order of `CATEGORIES` in `make_unicode.py`:
/// Lu Ll Lt Lm Lo, Mn Mc Me, Nd Nl No, Pc Pd Ps Pe Pi Pf Po, Sm Sc Sk So, Zs Zl Zp, Cc Cf Cs Co Cn.
const MAJOR: [Category; 30] = {
    use Category::*;
    let counts = [
        (Letter, 5),
        (Mark, 3),
        (Number, 3),
        (Punctuation, 7),
        (Symbol, 4),
        (Separator, 3),
        (Other, 5),
    ];
    let mut table = [Other; 30];
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

static RUNS: &[u8] = include_bytes!("unicode/categories.bin");

/// The class of `c`.
pub(crate) fn category(c: char) -> Category {
    let c = u32::from(c) as usize;
    let pages = pages();
    MAJOR[pages.data[pages.index[c / PAGE] as usize][c % PAGE] as usize]
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
        for page in spread(RUNS).chunks_exact(PAGE) {
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
    fn numbers_of_the_standard_library_are_numbers_here() {
        // The table may know a later Unicode than the standard library, never an earlier one.
        for c in ('\0'..=char::MAX).filter(|c| c.is_numeric()) {
            assert_eq!(category(c), Category::Number, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn samples_of_each_class() {
        for (c, class) in [
            ('ß', Category::Letter),
            ('中', Category::Letter),
            ('\u{301}', Category::Mark),
            ('½', Category::Number),
            ('、', Category::Punctuation),
            ('€', Category::Symbol),
            ('\u{3000}', Category::Separator),
            ('\u{200D}', Category::Other),
            ('\u{10FFFF}', Category::Other),
        ] {
            assert_eq!(category(c), class, "{c:?}");
        }
    }
}
