//! An open-addressing table from byte strings to ids. The strings stay where they are (a list the
//! caller keeps); the table holds ids and a piece of their hash, 8 bytes a slot, so that building
//! one for 150,000 tokens takes a few milliseconds and no second copy.

/// A list of byte strings that a table points into.
pub(crate) trait TextList {
    fn n_texts(&self) -> usize;
    fn text(&self, i: usize) -> &[u8];
}

impl TextList for [Vec<u8>] {
    fn n_texts(&self) -> usize {
        self.len()
    }

    fn text(&self, i: usize) -> &[u8] {
        &self[i]
    }
}

/// Byte strings in one buffer: no allocation for each, and neighbours lie side by side.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>, // of each string in `bytes`
}

impl Texts {
    pub(crate) fn with_capacity(n_texts: usize, n_bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(n_bytes),
            ends: Vec::with_capacity(n_texts),
        }
    }

    pub(crate) fn push(&mut self, text: &[u8]) {
        self.push_by(|bytes| bytes.extend_from_slice(text));
    }

    /// Adds what `write` appends.
    pub(crate) fn push_by<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let result = write(&mut self.bytes);
        let end = u32::try_from(self.bytes.len()).expect("lists are bounded by MAX_LIST_BYTES");
        self.ends.push(end);
        result
    }
}

impl TextList for Texts {
    fn n_texts(&self) -> usize {
        self.ends.len()
    }

    fn text(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[i] as usize]
    }
}

/// Byte string to index into the list it was built from. Of equal strings the last one wins, as in
/// llama.cpp.
#[derive(Debug)]
pub(crate) struct ByteTable {
    slots: Vec<Slot>,
    mask: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    id: u32,
}

const EMPTY: u32 = u32::MAX;

impl ByteTable {
    /// Indexes those of `texts` whose index `keep` accepts.
    pub(crate) fn new(texts: &(impl TextList + ?Sized), keep: impl Fn(usize) -> bool) -> Self {
        let n_slots = (texts.n_texts() * 2).next_power_of_two().max(16);
        let mut table = Self {
            slots: vec![Slot { tag: 0, id: EMPTY }; n_slots],
            mask: n_slots - 1,
        };
        for i in (0..texts.n_texts()).filter(|&i| keep(i)) {
            table.insert(i as u32, texts);
        }
        table
    }

    /// Adds `texts[id]`. The list must not outgrow twice the length it had at [`Self::new`].
    fn insert(&mut self, id: u32, texts: &(impl TextList + ?Sized)) {
        let text = texts.text(id as usize);
        let hash = hash(text);
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize & self.mask;
        loop {
            let slot = &mut self.slots[at];
            if slot.id == EMPTY || (slot.tag == tag && texts.text(slot.id as usize) == text) {
                *slot = Slot { tag, id };
                return;
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Index of `text` in `texts`, the list the table was built from.
    pub(crate) fn get(&self, text: &[u8], texts: &(impl TextList + ?Sized)) -> Option<u32> {
        let hash = hash(text);
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize & self.mask;
        loop {
            let slot = self.slots[at];
            if slot.id == EMPTY {
                return None;
            }
            if slot.tag == tag && texts.text(slot.id as usize) == text {
                return Some(slot.id);
            }
            at = (at + 1) & self.mask;
        }
    }
}

/// Eight bytes a step, multiply and fold: fast on the short strings vocabularies have. Not keyed:
/// a hostile vocabulary can only slow down its own loading.
fn hash(text: &[u8]) -> u64 {
    let mut h = text.len() as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        h = mix(
            h,
            u64::from_le_bytes(chunk.try_into().expect("chunks of eight")),
        );
    }
    let rest = chunks.remainder();
    let mut last = 0u64;
    for (i, &b) in rest.iter().enumerate() {
        last |= u64::from(b) << (8 * i);
    }
    mix(h, last)
}

/// One multiplication to 128 bits with the halves folded together.
pub(crate) fn mix(h: u64, x: u64) -> u64 {
    let wide = u128::from(h ^ x) * 0xA076_1D64_78BD_642F_u128;
    let folded = (wide >> 64) as u64 ^ wide as u64;
    folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (folded >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_string_and_the_last_of_equal_ones() {
        let texts: Vec<Vec<u8>> = (0..5000u32)
            .map(|i| format!("{}", i % 4000).into())
            .collect();
        let texts = texts.as_slice();
        let table = ByteTable::new(texts, |_| true);
        assert_eq!(table.get(b"10", texts), Some(4010));
        assert_eq!(table.get(b"3999", texts), Some(3999));
        assert_eq!(table.get(b"4000", texts), None);
    }

    #[test]
    fn empty_list_finds_nothing() {
        assert_eq!(
            ByteTable::new([].as_slice(), |_| true).get(b"", [].as_slice()),
            None
        );
    }
}
