//! SentencePiece's "precompiled charsmap": which pieces of a text are written otherwise before it is
//! tokenized (full-width letters, ligatures, control characters, …).
//!
//! ```text
//! u32 n_bytes of the array   u32[n_bytes / 4] array   replacements, each closed by a zero
//! ```
//!
//! All numbers are little-endian. The array is an XOR-compressed double array (S. Kanda, "Space- and
//! Time-Efficient String Dictionaries", 2018), a tree of bytes: from the node `i` with base `b` the
//! byte `c` leads to the node `i ^ b ^ c`, which holds `c` as its check. A node that ends a piece
//! has at its base a node with the place of the replacement.

use crate::{Error, Result};

#[derive(Debug, Default)]
pub(super) struct Charsmap {
    nodes: Vec<Node>,
    replacements: Vec<u8>,
}

/// Bits 0 to 7: check; 8: ends a piece; 9 to 30: base; 31: holds a place, in the bits below.
#[derive(Debug, Clone, Copy)]
struct Node(u32);

impl Node {
    fn base(self) -> usize {
        // Bit 9 tells that the bits from 10 on are to be read 256 times as large.
        ((self.0 >> 10) << ((self.0 & 1 << 9) >> 6)) as usize
    }

    fn is_reached_by(self, byte: u8) -> bool {
        self.0 & (1 << 31 | 0xFF) == u32::from(byte)
    }

    fn ends_piece(self) -> bool {
        self.0 & 1 << 8 != 0
    }

    fn place(self) -> usize {
        (self.0 & !(1 << 31)) as usize
    }
}

impl Charsmap {
    /// Of the bytes in the file; none at all replace nothing.
    ///
    /// # Errors
    /// Bytes that are too few for what they announce, or do not close the last replacement. Nodes
    /// that lead nowhere are not found out here: they replace nothing.
    pub(super) fn new(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |value: String, expected: &str| Error::Vocab {
            name: "tokenizer.ggml.precompiled_charsmap",
            value,
            expected: expected.into(),
        };
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(wrong(format!("{} bytes", bytes.len()), "at least 4"));
        };
        let n_bytes = u32::from_le_bytes(*head) as usize;
        let (nodes, replacements) = rest.split_at_checked(n_bytes).ok_or_else(|| {
            wrong(
                format!("an array of {n_bytes} bytes"),
                &format!("at most {}, which are there", rest.len()),
            )
        })?;
        let (nodes, []) = nodes.as_chunks::<4>() else {
            return Err(wrong(
                format!("an array of {n_bytes} bytes"),
                "a multiple of 4",
            ));
        };
        if replacements.last() != Some(&0) {
            return Err(wrong(
                format!("{} bytes of replacements", replacements.len()),
                "a zero at the end",
            ));
        }
        Ok(Self {
            nodes: nodes.iter().map(|n| Node(u32::from_le_bytes(*n))).collect(),
            replacements: replacements.to_vec(),
        })
    }

    /// Length of the longest piece that `text` starts with, and what is written instead.
    pub(super) fn longest(&self, text: &[u8]) -> Option<(usize, &[u8])> {
        let mut found = None;
        let mut at = self.nodes.first()?.base();
        for (i, &byte) in text.iter().enumerate() {
            at ^= byte as usize;
            let Some(node) = self.nodes.get(at).filter(|n| n.is_reached_by(byte)) else {
                break;
            };
            if byte == 0 {
                break;
            }
            at ^= node.base();
            if node.ends_piece() {
                found = self.nodes.get(at).map(|node| (i + 1, node.place()));
            }
        }
        let (n, place) = found?;
        let replacement = self.replacements.get(place..)?;
        let end = replacement.iter().position(|&b| b == 0)?;
        Some((n, &replacement[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_maps_are_refused() {
        for (bytes, expected) in [
            (vec![1, 0], "at least 4"),
            (vec![9, 0, 0, 0, 1], "which are there"),
            (vec![2, 0, 0, 0, 1, 1, 0], "multiple of 4"),
            (vec![0, 0, 0, 0, b'a'], "zero at the end"),
            (vec![0, 0, 0, 0], "zero at the end"),
        ] {
            let error = Charsmap::new(&bytes).expect_err("broken").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn random_nodes_lead_nowhere_without_a_panic() {
        let mut rng = crate::sample::Mt19937::new(3);
        for _ in 0..2000 {
            let n = rng.next_u32() % 64;
            let mut bytes = (n * 4).to_le_bytes().to_vec();
            bytes.extend((0..n).flat_map(|_| {
                let mask = [u32::MAX, 0x3FF, 0x1FFF][rng.next_u32() as usize % 3];
                (rng.next_u32() & mask).to_le_bytes()
            }));
            bytes.extend(b"ab\0c\0");
            let map = Charsmap::new(&bytes).expect("well-formed");
            for start in 0..=255u8 {
                map.longest(&[start, 1, 2, 3, 4, 5, 6, 7, 8]);
            }
        }
    }
}
