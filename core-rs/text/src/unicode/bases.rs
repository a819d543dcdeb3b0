//! Characters without their accents: the canonical decomposition (NFD) less what is of category Mn.
//! The table (made by `tests/golden/make_unicode.py`) lists the characters that decompose; Hangul
//! does so by arithmetic.

use super::is_nonspacing;
use std::sync::OnceLock;

static TABLE: &[u8] = include_bytes!("bases.bin");

/// Appends what is left of `c` without accents; nothing of an accent.
pub(crate) fn without_accents(c: char, out: &mut Vec<char>) {
    match u32::from(c) {
        0..=0x7F => out.push(c),
        code @ 0xAC00..=0xD7A3 => hangul(code - 0xAC00, out),
        code => match bases().binary_search_by_key(&code, |entry| entry.0) {
            Ok(i) => out.extend(&bases()[i].1),
            Err(_) if is_nonspacing(c) => {}
            Err(_) => out.push(c),
        },
    }
}

/// The leading consonant, the vowel and the trailing consonant of a syllable.
fn hangul(syllable: u32, out: &mut Vec<char>) {
    let parts = [
        0x1100 + syllable / 588,
        0x1161 + syllable % 588 / 28,
        0x11A7 + syllable % 28,
    ];
    let trailing = !syllable.is_multiple_of(28);
    let parts = parts.into_iter().take(2 + usize::from(trailing));
    out.extend(parts.filter_map(char::from_u32));
}

/// Code point and what it becomes, ascending.
fn bases() -> &'static [(u32, Vec<char>)] {
    static BASES: OnceLock<Vec<(u32, Vec<char>)>> = OnceLock::new();
    BASES.get_or_init(|| {
        let mut bytes = TABLE.iter();
        let mut code = 0;
        let mut entries = Vec::new();
        while let Some(step) = number(&mut bytes) {
            code += step;
            let n = number(&mut bytes).expect("a count");
            let bases = (0..n).map(|_| {
                let base = number(&mut bytes).expect("a code point");
                char::from_u32(base).expect("a character")
            });
            entries.push((code, bases.collect()));
        }
        entries
    })
}

/// The next number in LEB128; `None` at the end.
fn number(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = *bytes.next()?;
        value |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str) -> String {
        let mut out = Vec::new();
        text.chars().for_each(|c| without_accents(c, &mut out));
        out.into_iter().collect()
    }

    #[test]
    fn accents_go_and_letters_stay() {
        assert_eq!(bare("Ångström ǖ ﬁ ½"), "Angstrom u ﬁ ½");
        assert_eq!(bare("e\u{301}"), "e");
        assert_eq!(bare("नि"), "न\u{93F}"); // the vowel sign takes room (Mc)
        assert_eq!(bare("각가"), "\u{1100}\u{1161}\u{11A8}\u{1100}\u{1161}");
    }
}
