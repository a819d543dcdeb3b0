//! The merge loop that SPM and BPE share: a chain of symbols; of all neighbours that may be merged,
//! the best pair is merged first (ties: the leftmost), until none is left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A symbol of the chain. `next` and `prev` are indices; a merged symbol stays where its left part
/// was, the right part's `len` becomes 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    pub(super) id: u32,
    /// Place in the text, in bytes.
    pub(super) start: u32,
    pub(super) len: u32,
    prev: u32,
    next: u32,
}

/// A pair that may be merged: how good it is (lower first) and what comes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merge {
    pub(super) rank: u32,
    pub(super) id: u32,
}

const NONE: u32 = u32::MAX;

/// Chains shorter than this are scanned for the best pair; a heap costs more until then.
const SCAN_BELOW: usize = 48;

/// A chain with its working memory, to be used again for the next word.
#[derive(Debug, Default)]
pub(super) struct Chain {
    symbols: Vec<Symbol>,
    ranks: Vec<Merge>,
    /// (rank, left, length of both, merged id): the length tells a pair that has changed since.
    queue: BinaryHeap<Reverse<(u32, u32, u32, u32)>>,
}

impl Chain {
    pub(super) fn clear(&mut self) {
        self.symbols.clear();
    }

    pub(super) fn push(&mut self, id: u32, len: u32) {
        let at = self.symbols.len() as u32;
        let start = self.symbols.last().map_or(0, |s| s.start + s.len);
        if let Some(last) = self.symbols.last_mut() {
            last.next = at;
        }
        let prev = if at == 0 { NONE } else { at - 1 };
        self.symbols.push(Symbol {
            id,
            start,
            len,
            prev,
            next: NONE,
        });
    }

    /// Merges until `find` knows no pair any more, then calls `emit` for each symbol left.
    pub(super) fn merge(
        &mut self,
        find: impl Fn(&Symbol, &Symbol) -> Option<Merge>,
        emit: impl FnMut(&Symbol),
    ) {
        if self.symbols.len() < SCAN_BELOW {
            self.merge_by_scan(find);
            self.symbols.iter().for_each(emit);
        } else {
            self.merge_by_heap(find);
            self.symbols.iter().filter(|s| s.len > 0).for_each(emit);
        }
    }

    /// Quadratic, but without a heap: `ranks[i]` belongs to the pair (i, i + 1).
    fn merge_by_scan(&mut self, find: impl Fn(&Symbol, &Symbol) -> Option<Merge>) {
        const NEVER: Merge = Merge {
            rank: u32::MAX,
            id: NONE,
        };
        let Self { symbols, ranks, .. } = self;
        let look = |a: &Symbol, b: &Symbol| find(a, b).unwrap_or(NEVER);
        ranks.clear();
        ranks.extend(symbols.windows(2).map(|w| look(&w[0], &w[1])));
        loop {
            let mut best = NEVER;
            let mut at = 0;
            for (i, merge) in ranks.iter().enumerate() {
                if merge.rank < best.rank {
                    (best, at) = (*merge, i);
                }
            }
            if best.id == NONE {
                return;
            }
            symbols[at].id = best.id;
            symbols[at].len += symbols[at + 1].len;
            symbols.remove(at + 1);
            ranks.remove(at);
            if at < ranks.len() {
                ranks[at] = look(&symbols[at], &symbols[at + 1]);
            }
            if at > 0 {
                ranks[at - 1] = look(&symbols[at - 1], &symbols[at]);
            }
        }
    }

    fn merge_by_heap(&mut self, find: impl Fn(&Symbol, &Symbol) -> Option<Merge>) {
        let Self { symbols, queue, .. } = self;
        queue.clear();
        let offer = |symbols: &[Symbol], queue: &mut BinaryHeap<_>, left: u32, right: u32| {
            if left == NONE || right == NONE {
                return;
            }
            let (a, b) = (&symbols[left as usize], &symbols[right as usize]);
            if let Some(merge) = find(a, b) {
                queue.push(Reverse((merge.rank, left, a.len + b.len, merge.id)));
            }
        };
        for i in 1..symbols.len() as u32 {
            offer(symbols, queue, i - 1, i);
        }
        while let Some(Reverse((_, left, len, id))) = queue.pop() {
            let a = symbols[left as usize];
            if a.len == 0 || a.next == NONE {
                continue;
            }
            let b = symbols[a.next as usize];
            if a.len + b.len != len {
                continue;
            }
            let merged = &mut symbols[left as usize];
            (merged.id, merged.len, merged.next) = (id, len, b.next);
            symbols[a.next as usize].len = 0;
            if b.next != NONE {
                symbols[b.next as usize].prev = left;
            }
            offer(symbols, queue, a.prev, left);
            offer(symbols, queue, left, b.next);
        }
    }
}
