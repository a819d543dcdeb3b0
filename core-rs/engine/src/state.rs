//! A sequence as bytes: the same natively and in a browser.
//!
//! ```text
//! "puna-seq" | version u32 | fingerprint u64 | n_tokens u32 | n_cells u32
//! | tokens u32 × n_tokens | positions i32 × n_cells | keys and values, as the executor saves them
//! ```
//!
//! All little-endian. The fingerprint is that of the model and of how its cache is kept: bytes of
//! another model would be taken for keys and values of this one. The tokens are those at positions
//! 0, 1, … that are known; they are fewer than cells where the middle of a sequence was removed.

use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"puna-seq";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 8 + 4 + 8 + 4 + 4;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub fingerprint: u64,
    pub tokens: Vec<u32>,
    /// Of each cell, ascending.
    pub positions: Vec<i32>,
    pub kv: Vec<u8>,
}

impl State {
    pub fn to_bytes(&self) -> Vec<u8> {
        let n = HEAD_BYTES + 4 * (self.tokens.len() + self.positions.len()) + self.kv.len();
        let mut bytes = Vec::with_capacity(n);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.fingerprint.to_le_bytes());
        bytes.extend((self.tokens.len() as u32).to_le_bytes());
        bytes.extend((self.positions.len() as u32).to_le_bytes());
        bytes.extend(self.tokens.iter().flat_map(|t| t.to_le_bytes()));
        bytes.extend(self.positions.iter().flat_map(|p| p.to_le_bytes()));
        bytes.extend(&self.kv);
        bytes
    }

    /// # Errors
    /// Bytes that are no saved sequence, or one of another model.
    pub fn from_bytes(bytes: &[u8], fingerprint: u64, n_vocab: usize) -> Result<State> {
        let mut rest = bytes;
        if take(&mut rest, 8)? != MAGIC {
            return Err(bad("other bytes", "\"puna-seq\" at the start"));
        }
        let version = u32_of(take(&mut rest, 4)?);
        if version != VERSION {
            return Err(bad(
                format!("version {version}"),
                format!("version {VERSION}"),
            ));
        }
        if take(&mut rest, 8)? != fingerprint.to_le_bytes() {
            let expected =
                "one of this model, with the same type_k, type_v, n_gpu_layers, rope and swa_full";
            return Err(bad("a sequence of another model", expected));
        }
        let (n_tokens, n_cells) = (u32_of(take(&mut rest, 4)?), u32_of(take(&mut rest, 4)?));
        let tokens: Vec<u32> = u32s(take(&mut rest, n_tokens as usize * 4)?);
        let positions: Vec<i32> = u32s(take(&mut rest, n_cells as usize * 4)?)
            .into_iter()
            .map(|p| p as i32)
            .collect();
        if let Some(id) = tokens.iter().find(|&&id| id as usize >= n_vocab) {
            return Err(bad(format!("token id {id}"), format!("below {n_vocab}")));
        }
        let ascending = positions.windows(2).all(|p| p[0] < p[1]);
        let in_range = positions.iter().all(|p| (0..i32::MAX / 2).contains(p));
        let known = positions
            .iter()
            .zip(0..n_tokens as i32)
            .filter(|(p, i)| *p == i);
        if !ascending || !in_range || known.count() != n_tokens as usize {
            return Err(bad("positions out of order", "a position for each token"));
        }
        Ok(State {
            fingerprint,
            tokens,
            positions,
            kv: rest.to_vec(),
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
    let (head, tail) = rest
        .split_at_checked(n)
        .ok_or_else(|| bad(format!("{} bytes", rest.len()), format!("{n} more")))?;
    *rest = tail;
    Ok(head)
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("4 bytes were taken"))
}

fn u32s(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(u32_of).collect()
}

fn bad(found: impl ToString, expected: impl Into<String>) -> Error {
    Error::argument("saved sequence", found, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            fingerprint: 7,
            tokens: vec![1, 2],
            positions: vec![0, 1, 5],
            kv: vec![9; 12],
        }
    }

    #[test]
    fn a_state_survives_its_bytes() {
        let found = State::from_bytes(&state().to_bytes(), 7, 3).expect("sound");
        assert_eq!(found, state());
    }

    #[test]
    fn every_cut_and_every_flipped_byte_of_the_head_is_an_error() {
        let bytes = state().to_bytes();
        let n_head = bytes.len() - state().kv.len();
        for n in 0..n_head {
            assert!(State::from_bytes(&bytes[..n], 7, 3).is_err(), "cut at {n}");
        }
        // The last position may be any that comes after the one before.
        for at in 0..n_head - 4 {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            assert!(State::from_bytes(&changed, 7, 3).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_model_is_named() {
        let error = State::from_bytes(&state().to_bytes(), 8, 3).expect_err("other");
        assert!(error.to_string().contains("another model"), "{error}");
    }
}
