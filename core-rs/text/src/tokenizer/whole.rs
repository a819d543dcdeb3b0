//! A memory of which tokens come out whole when their own text is tokenized. Most words of a text
//! are one token; knowing that, a word costs one look-up instead of a merge loop. (A token need not
//! come out whole: merges made earlier may stand in its way.) Learned as texts pass, one byte a
//! token, without locks: every thread would write the same answer.

use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const WHOLE: u8 = 1;
const CUT: u8 = 2;

#[derive(Debug)]
pub(super) struct WholeTokens(Vec<AtomicU8>);

impl WholeTokens {
    pub(super) fn new(n_vocab: usize) -> Self {
        Self((0..n_vocab).map(|_| AtomicU8::new(UNKNOWN)).collect())
    }

    /// Appends the tokens of a word to `out`. `token` is the one whose text is the whole word;
    /// `merge` runs the merge loop.
    pub(super) fn encode(
        &self,
        token: Option<u32>,
        out: &mut Vec<u32>,
        merge: impl FnOnce(&mut Vec<u32>),
    ) {
        let Some(token) = token else {
            return merge(out);
        };
        let state = &self.0[token as usize];
        if state.load(Ordering::Relaxed) == WHOLE {
            return out.push(token);
        }
        let n_before = out.len();
        merge(out);
        if state.load(Ordering::Relaxed) == UNKNOWN {
            let whole = out[n_before..] == [token];
            state.store(if whole { WHOLE } else { CUT }, Ordering::Relaxed);
        }
    }
}
