//! The list of merges as a table from pairs of symbols.

use super::alphabet;
use crate::vocab::{ByteTable, mix};
use crate::{Error, Result};
use std::collections::HashMap;

/// Texts by symbol: the tokens, then those that only merges or bytes mention.
#[derive(Debug)]
pub(super) struct Symbols {
    texts: Vec<Vec<u8>>,
    extra: HashMap<Vec<u8>, u32>,
}

impl Symbols {
    pub(super) fn new(texts: Vec<Vec<u8>>) -> Self {
        let extra = HashMap::new();
        Self { texts, extra }
    }

    pub(super) fn text(&self, symbol: usize) -> &[u8] {
        &self.texts[symbol]
    }

    pub(super) fn find_token(&self, text: &[u8], tokens: &ByteTable) -> Option<u32> {
        tokens.get(text, &self.texts)
    }

    /// The symbol of `text`, a new one if need be.
    pub(super) fn intern(&mut self, text: &[u8], tokens: &ByteTable) -> u32 {
        if let Some(id) = self.find_token(text, tokens) {
            return id;
        }
        if let Some(&id) = self.extra.get(text) {
            return id;
        }
        let id = self.texts.len() as u32;
        self.texts.push(text.to_vec());
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
    /// Of a pair listed twice the first rank holds.
    pub(super) fn new(
        merges: &[Vec<u8>],
        symbols: &mut Symbols,
        tokens: &ByteTable,
    ) -> Result<Self> {
        if merges.len() > MAX_MERGES {
            return Err(wrong(
                format!("a list of {}", merges.len()),
                "at most 2^23 merges",
            ));
        }
        let n_slots = (merges.len() * 2).next_power_of_two().max(16);
        let mut table = Self {
            slots: vec![EMPTY; n_slots],
            mask: n_slots - 1,
        };
        let mut joined = Vec::new();
        for (rank, merge) in merges.iter().enumerate() {
            let n_left = join(merge, &mut joined).ok_or_else(|| {
                let text = String::from_utf8_lossy(merge).into_owned();
                let expected = "two texts in GPT-2's alphabet with one space between";
                wrong(format!("{text:?} at {rank}"), expected)
            })?;
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

/// Writes the two texts of a merge into `joined` as bytes, and tells the length of the left one.
/// The space sought is not the first byte, as in llama.cpp.
fn join(merge: &[u8], joined: &mut Vec<u8>) -> Option<usize> {
    let space = 1 + merge.get(1..)?.iter().position(|&b| b == b' ')?;
    joined.clear();
    alphabet::decode_into(&merge[..space], joined)?;
    let n_left = joined.len();
    alphabet::decode_into(&merge[space + 1..], joined)?;
    (joined.len() > n_left).then_some(n_left)
}

fn wrong(value: String, expected: &str) -> Error {
    Error::Vocab {
        name: "tokenizer.ggml.merges",
        value,
        expected: expected.into(),
    }
}
