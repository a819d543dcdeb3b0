//! Cuts a text at special tokens, as llama.cpp's `tokenizer_st_partition` does: the longest token
//! first, over the whole text, then the next over what is left between. So a longer token wins
//! against any shorter one that overlaps it, wherever it starts.

use crate::vocab::{TokenType, Vocab};

/// A piece of a text: a special token, or what is between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment<'a> {
    Token(u32),
    Text(&'a [u8]),
}

/// The special tokens, longest first.
#[derive(Debug)]
pub(super) struct SpecialTexts {
    tokens: Vec<Special>,
    /// Indices into `tokens`, ordered by text, to find those a text has.
    by_text: Vec<u32>,
    /// Range of `by_text` for each first byte.
    by_first: Vec<(u32, u32)>,
}

#[derive(Debug)]
struct Special {
    id: u32,
    text: Vec<u8>,
    hidden: bool,
    strips_left: bool,
    strips_right: bool,
}

impl SpecialTexts {
    pub(super) fn new(vocab: &Vocab) -> Self {
        let is_special = |t: TokenType| t.is_hidden() || t == TokenType::UserDefined;
        let mut tokens: Vec<Special> = (0..vocab.tokens.len())
            .filter(|&i| is_special(vocab.types[i]) && !vocab.tokens[i].is_empty())
            .map(|i| Special {
                id: i as u32,
                text: vocab.tokens[i].clone(),
                hidden: vocab.types[i].is_hidden(),
                strips_left: vocab.strips.left.binary_search(&(i as u32)).is_ok(),
                strips_right: vocab.strips.right.binary_search(&(i as u32)).is_ok(),
            })
            .collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.text.len()));
        let mut by_text: Vec<u32> = (0..tokens.len() as u32).collect();
        by_text.sort_by(|&a, &b| tokens[a as usize].text.cmp(&tokens[b as usize].text));
        let first = |&i: &u32| tokens[i as usize].text[0];
        let by_first = (0..=255u8)
            .map(|b| {
                let start = by_text.partition_point(|i| first(i) < b);
                let end = by_text.partition_point(|i| first(i) <= b);
                (start as u32, end as u32)
            })
            .collect();
        Self {
            tokens,
            by_text,
            by_first,
        }
    }

    /// The fragments of `text` in order; empty ones are left out. Control and unknown tokens are
    /// looked for only if `parse_special`.
    pub(super) fn cut<'a>(&self, text: &'a [u8], parse_special: bool) -> Vec<Fragment<'a>> {
        let mut fragments = vec![Fragment::Text(text)];
        for rank in self.present(text) {
            let special = &self.tokens[rank];
            if parse_special || !special.hidden {
                fragments = fragments.into_iter().fold(Vec::new(), |mut out, fragment| {
                    match fragment {
                        Fragment::Text(text) => special.cut(text, &mut out),
                        token => out.push(token),
                    }
                    out
                });
            }
        }
        fragments.retain(|f| *f != Fragment::Text(b""));
        fragments
    }

    /// Which special tokens occur anywhere in `text`, longest first. One pass, so that a vocabulary
    /// with thousands of them costs no more than one with three.
    fn present(&self, text: &[u8]) -> Vec<usize> {
        let mut seen = vec![false; self.tokens.len()];
        for at in 0..text.len() {
            let (start, end) = self.by_first[text[at] as usize];
            if start < end {
                self.mark(
                    &self.by_text[start as usize..end as usize],
                    &text[at..],
                    &mut seen,
                );
            }
        }
        (0..seen.len()).filter(|&rank| seen[rank]).collect()
    }

    /// Marks those of `range` (sorted, equal first byte) that `text` starts with, narrowing the
    /// range by a byte a step.
    fn mark(&self, mut range: &[u32], text: &[u8], seen: &mut [bool]) {
        let token = |i: &u32| self.tokens[*i as usize].text.as_slice();
        for depth in 1.. {
            while let Some((first, rest)) =
                range.split_first().filter(|(i, _)| token(i).len() == depth)
            {
                seen[*first as usize] = true;
                range = rest;
            }
            let Some(&byte) = text.get(depth).filter(|_| !range.is_empty()) else {
                return;
            };
            let start = range.partition_point(|i| token(i)[depth] < byte);
            let end = range.partition_point(|i| token(i)[depth] <= byte);
            range = &range[start..end];
        }
    }
}

impl Special {
    /// Cuts `text` at every occurrence of this token.
    fn cut<'a>(&self, mut text: &'a [u8], out: &mut Vec<Fragment<'a>>) {
        while let Some(at) = find(text, &self.text) {
            let before = &text[..at];
            out.push(Fragment::Text(match self.strips_left {
                true => trim_end(before),
                false => before,
            }));
            out.push(Fragment::Token(self.id));
            text = &text[at + self.text.len()..];
            if self.strips_right {
                text = trim_start(text);
            }
        }
        out.push(Fragment::Text(text));
    }
}

/// Blanks as C's `isspace` has them; Rust's do not count the vertical tab.
fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0D)
}

fn trim_start(text: &[u8]) -> &[u8] {
    let n = text.iter().take_while(|b| is_blank(b)).count();
    &text[n..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    let n = text.iter().rev().take_while(|b| is_blank(b)).count();
    &text[..text.len() - n]
}

/// First place of `needle` in `text`.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|&b| b == first) {
        if text[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
