//! The tokens that may still be chosen.

use std::cmp::Ordering;
use std::collections::HashMap;

/// A token with its logit and, after [`Candidates::softmax`], its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Token id.
    pub id: u32,
    /// Unnormalised log-probability.
    pub logit: f32,
    /// Probability; what it is before `softmax` means nothing.
    pub p: f32,
}

/// A list of candidates of which the first `n_sorted` are the most likely ones, best first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// The candidates.
    pub items: Vec<Candidate>,
    n_sorted: usize,
}

impl Candidates {
    /// One candidate for each logit, the ids being their places.
    pub fn new(logits: &[f32]) -> Self {
        let mut candidates = Self::default();
        candidates.fill(logits);
        candidates
    }

    /// As [`Self::new`], in the memory of this list.
    pub(super) fn fill(&mut self, logits: &[f32]) {
        self.items.clear();
        self.items.extend(all(logits));
        self.n_sorted = 0;
    }

    /// The `k` best of `logits`, in the memory of this list.
    pub(super) fn fill_top(&mut self, logits: &[f32], k: usize) {
        self.items.clear();
        select_top(&mut self.items, all(logits), k);
        self.n_sorted = self.items.len();
    }

    /// Says that logits have changed, so that the order means nothing any more.
    pub fn set_unsorted(&mut self) {
        self.n_sorted = 0;
    }

    /// Keeps the first `n`.
    pub fn truncate(&mut self, n: usize) {
        self.items.truncate(n);
        self.n_sorted = self.n_sorted.min(n);
    }

    /// Keeps those that `keep` accepts, in their order.
    pub fn retain(&mut self, keep: impl Fn(&Candidate) -> bool) {
        let kept_sorted = self.items[..self.n_sorted]
            .iter()
            .filter(|c| keep(c))
            .count();
        self.items.retain(keep);
        self.n_sorted = kept_sorted;
    }

    /// Puts the best `k` in order at the front. The rest stays behind them in any order.
    pub fn sort_top(&mut self, k: usize) {
        let k = k.min(self.items.len());
        if k <= self.n_sorted {
            return;
        }
        sort_more(&mut self.items, self.n_sorted, k, better);
        self.n_sorted = k;
    }

    /// Drops the best `n`. They must be sorted.
    pub(super) fn drop_best(&mut self, n: usize) {
        self.items.drain(..n);
        self.n_sorted -= n;
    }

    /// Puts other candidates in place of all.
    pub(super) fn replace(&mut self, items: Vec<Candidate>) {
        self.items = items;
        self.n_sorted = 0;
    }

    /// Gives the tokens of `values` that are candidates the logits `change` makes of them.
    pub(super) fn adjust<V>(&mut self, values: &HashMap<u32, V>, change: impl Fn(f32, &V) -> f32) {
        // Whole vocabularies have their tokens at their ids; other lists are searched.
        let items = &mut self.items;
        let is_at_id = |&id: &u32| items.get(id as usize).is_some_and(|c| c.id == id);
        if values.keys().all(is_at_id) {
            for (&id, value) in values {
                let logit = &mut items[id as usize].logit;
                *logit = change(*logit, value);
            }
        } else {
            for c in items {
                if let Some(value) = values.get(&c.id) {
                    c.logit = change(c.logit, value);
                }
            }
        }
        self.set_unsorted();
    }

    /// Keeps the best `k`, in order.
    pub fn keep_top(&mut self, k: usize) {
        if k > self.n_sorted && k < self.items.len() / 8 {
            let mut top = Vec::new();
            select_top(&mut top, self.items.drain(..), k);
            self.items.append(&mut top);
            self.n_sorted = self.items.len();
        } else {
            self.sort_top(k);
            self.truncate(k);
        }
    }

    /// The best candidate; of equal ones the first.
    pub fn best(&self) -> Option<Candidate> {
        if self.n_sorted > 0 {
            return self.items.first().copied();
        }
        self.items
            .iter()
            .copied()
            .reduce(|a, b| if b.logit > a.logit { b } else { a })
    }

    /// Sets every `p`. Nothing is sorted.
    pub fn softmax(&mut self) {
        let max = self.best().map_or(0.0, |c| c.logit);
        let mut sum = 0.0;
        for c in &mut self.items {
            c.p = (c.logit - max).exp();
            sum += f64::from(c.p);
        }
        let factor = (1.0 / sum) as f32;
        self.items.iter_mut().for_each(|c| c.p *= factor);
    }

    /// Entropy of the probabilities, in nats.
    pub(super) fn entropy(&self) -> f32 {
        let possible = self.items.iter().map(|c| c.p).filter(|&p| p > 0.0);
        -possible.map(|p| f64::from(p * p.ln())).sum::<f64>() as f32
    }
}

/// Of `items`, of which the first `n_sorted` are the first in `order`, sorts on until `k` are.
pub(super) fn sort_more<T>(
    items: &mut [T],
    n_sorted: usize,
    k: usize,
    order: impl Fn(&T, &T) -> Ordering,
) {
    let rest = &mut items[n_sorted..];
    let n = k - n_sorted;
    if n < rest.len() {
        rest.select_nth_unstable_by(n - 1, &order);
    }
    rest[..n].sort_unstable_by(order);
}

fn all(logits: &[f32]) -> impl Iterator<Item = Candidate> {
    let candidate = |(id, &logit): (usize, &f32)| Candidate {
        id: id as u32,
        logit,
        p: 0.0,
    };
    logits.iter().enumerate().map(candidate)
}

/// Best first; of equal logits the lower id.
fn better(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// Puts the `k` best of `from` into `top`, in order: one pass that passes over everything not above
/// a rising threshold, so that of 128,000 logits only a few hundred are moved.
fn select_top(top: &mut Vec<Candidate>, from: impl Iterator<Item = Candidate>, k: usize) {
    let room = k * 2 + 64;
    let mut threshold = f32::NEG_INFINITY;
    for c in from {
        // Before the first cut all are taken, -inf too; after it ties lose, having higher ids.
        if c.logit > threshold || top.len() < k {
            top.push(c);
            if top.len() >= room {
                top.select_nth_unstable_by(k.saturating_sub(1), better);
                top.truncate(k);
                threshold = top.last().map_or(threshold, |c| c.logit);
            }
        }
    }
    top.sort_unstable_by(better);
    top.truncate(k);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_way_to_the_top_k_is_a_full_sort(
            logits in prop::collection::vec(prop_oneof![
                9 => (-20i8..20).prop_map(f32::from), 1 => Just(f32::NEG_INFINITY)], 1..600),
            k in 1usize..700,
        ) {
            let mut sorted: Vec<Candidate> = all(&logits).collect();
            sorted.sort_by(better);
            sorted.truncate(k);
            let mut filled = Candidates::default();
            filled.fill_top(&logits, k);
            let mut kept = Candidates::new(&logits);
            kept.keep_top(k);
            let mut in_steps = Candidates::new(&logits);
            in_steps.sort_top(k / 2);
            in_steps.sort_top(k);
            in_steps.truncate(k);
            prop_assert_eq!(&filled.items, &sorted);
            prop_assert_eq!(&kept.items, &sorted);
            prop_assert_eq!(&in_steps.items, &sorted);
        }
    }
}
