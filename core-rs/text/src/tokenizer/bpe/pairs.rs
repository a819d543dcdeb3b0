//! The list of merges as a table from pairs of symbols.

use super::alphabet;
use crate::tokenizer::split::Alphabet;
use crate::vocab::{ByteTable, TextList, Texts, check_bytes, mix};
use crate::{Error, Result};
use std::collections::HashMap;

/// Texts by symbol: the tokens, then those that only merges or bytes mention.
#[derive(Debug)]
pub(super) struct Symbols {
    texts: Texts,
    extra: HashMap<Vec<u8>, u32>,
}

impl Symbols {
    pub(super) fn new(texts: Texts) -> Self {
        Self {
            texts,
            extra: HashMap::new(),
        }
    }

    pub(super) fn text(&self, symbol: usize) -> &[u8] {
        self.texts.text(symbol)
    }

    pub(super) fn find_token(&self, text: &[u8], tokens: &ByteTable) -> Option<u32> {
        tokens.get(text, &self.texts)
    }

    pub(super) fn find(&self, text: &[u8], tokens: &ByteTable) -> Option<u32> {
        self.find_token(text, tokens)
            .or_else(|| self.extra.get(text).copied())
    }

    /// The symbol of `text`, a new one if need be.
    pub(super) fn intern(&mut self, text: &[u8], tokens: &ByteTable) -> u32 {
        if let Some(id) = self.find(text, tokens) {
            return id;
        }
        let id = self.texts.n_texts() as u32;
        self.texts.push(text);
        self.extra.insert(text.to_vec(), id);
        id
    }
}

/// (left, right) to (rank, merged), by open addressing.
#[derive(Debug)]
pub(super) struct PairTable {
    slots: Vec<Slot>,
    mask: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    left: u32,
    right: u32,
    rank: u32,
    merged: u32,
}

const EMPTY: Slot = Slot {
    left: u32::MAX,
    right: u32::MAX,
    rank: 0,
    merged: 0,
};

/// As many merges as there may be tokens, see `MAX_VOCAB`.
const MAX_MERGES: usize = 1 << 23;

impl PairTable {
    /// Of a pair listed twice the first rank holds. Merges that no word can come to (an empty
    /// side, characters outside the alphabet) are left out, as llama.cpp never makes them.
    pub(super) fn new(
        merges: &[Vec<u8>],
        alphabet: Alphabet,
        symbols: &mut Symbols,
        tokens: &ByteTable,
    ) -> Result<Self> {
        if merges.len() > MAX_MERGES {
            return Err(wrong(
                format!("a list of {}", merges.len()),
                "at most 2^23 merges",
            ));
        }
        check_bytes("tokenizer.ggml.merges", merges)?;
        let n_slots = (merges.len() * 2).next_power_of_two().max(16);
        let mut table = Self {
            slots: vec![EMPTY; n_slots],
            mask: n_slots - 1,
        };
        let mut joined = Vec::new();
        for (rank, merge) in merges.iter().enumerate() {
            let space = space(merge).ok_or_else(|| {
                let text = String::from_utf8_lossy(merge).into_owned();
                wrong(
                    format!("{text:?} at {rank}"),
                    "two texts with one space between",
                )
            })?;
            let Some(n_left) = join(merge, space, alphabet, &mut joined) else {
                continue;
            };
            let slot = Slot {
                left: symbols.intern(&joined[..n_left], tokens),
                right: symbols.intern(&joined[n_left..], tokens),
                rank: rank as u32,
                merged: symbols.intern(&joined, tokens),
            };
            table.insert(slot);
        }
        Ok(table)
    }

    fn insert(&mut self, new: Slot) {
        let at = self.find(new.left, new.right);
        if self.slots[at].left == EMPTY.left {
            self.slots[at] = new;
        }
    }

    /// Rank and merged symbol of a pair.
    pub(super) fn get(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let slot = &self.slots[self.find(left, right)];
        (slot.left != EMPTY.left).then_some((slot.rank, slot.merged))
    }

    /// The slot that holds the pair, or the empty one where it belongs.
    fn find(&self, left: u32, right: u32) -> usize {
        let key = u64::from(left) << 32 | u64::from(right);
        let mut at = mix(0, key) as usize & self.mask;
        loop {
            let slot = &self.slots[at];
            if slot.left == EMPTY.left || (slot.left == left && slot.right == right) {
                return at;
            }
            at = (at + 1) & self.mask;
        }
    }
}

/// Place of the space between the two texts; not the first byte, as in llama.cpp.
fn space(merge: &[u8]) -> Option<usize> {
    Some(1 + merge.get(1..)?.iter().position(|&b| b == b' ')?)
}

/// Writes the two texts of a merge into `joined` as words have them, and tells the length of the
/// left one.
fn join(merge: &[u8], space: usize, alphabet: Alphabet, joined: &mut Vec<u8>) -> Option<usize> {
    joined.clear();
    let mut append = |text: &[u8]| match alphabet {
        Alphabet::Bytes => alphabet::decode_into(text, joined).map(|()| joined.len()),
        _ => {
            joined.extend_from_slice(text);
            Some(joined.len())
        }
    };
    let n_left = append(&merge[..space])?;
    (append(&merge[space + 1..])? > n_left).then_some(n_left)
}

fn wrong(value: String, expected: &str) -> Error {
    Error::Vocab {
        name: "tokenizer.ggml.merges",
        value,
        expected: expected.into(),
    }
}
