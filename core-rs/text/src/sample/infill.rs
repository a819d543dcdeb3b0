//! Infill: for text that must meet what follows it. Ends where an end is likely, and otherwise
//! chooses among few tokens the model is sure of. Run it after `top_k` and `top_p`.

use super::{Candidate, Candidates, Context, Made, SamplerParams, SamplerVocab, Stage};
use crate::Tokenizer;
use std::sync::Arc;

#[derive(Debug)]
struct Infill(Arc<Tokenizer>);

pub(super) fn make(_: &SamplerParams, vocab: &SamplerVocab) -> Made {
    let tokenizer = vocab.tokenizer("samplers", "infill")?;
    Ok(Some(Box::new(Infill(tokenizer.clone()))))
}

/// Candidates looked at: all pairs are compared.
const N_MOST: usize = 1000;

/// Probability that a token must have, those that start with it included.
const LEAST_P: f32 = 0.2;

impl Stage for Infill {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        let n = candidates.items.len();
        let Some(best) = candidates.best() else {
            return;
        };
        candidates.softmax();
        let is_end = |c: &Candidate| self.0.is_eog(c.id);
        let p_end: f32 = candidates
            .items
            .iter()
            .filter(|c| is_end(c))
            .map(|c| c.p)
            .sum();
        candidates.keep_top(N_MOST);
        if 3.0 * p_end * n as f32 > 1.0 - p_end {
            candidates.retain(is_end);
            return;
        }
        self.join_prefixes(candidates);
        candidates.retain(|c| is_end(c) || c.p >= LEAST_P);
        let n_text = candidates.items.iter().filter(|c| !is_end(c)).count();
        if n_text == 0 {
            let end = self.0.eot().or(self.0.eos());
            let one = Candidate {
                id: end.unwrap_or(best.id),
                ..best
            };
            candidates.replace(vec![one]);
            return;
        }
        let sum: f32 = candidates.items.iter().map(|c| c.p).sum();
        let least = sum / (n_text as f32 + 1.0);
        candidates.retain(|c| is_end(c) || c.p >= least);
    }
}

impl Infill {
    /// Where the text of one token starts with that of another, the likelier takes the probability
    /// of both and the other becomes impossible.
    fn join_prefixes(&self, candidates: &mut Candidates) {
        let items = &mut candidates.items;
        let text = |c: &Candidate| self.0.token_bytes(c.id, false).unwrap_or(&[]);
        let texts: Vec<&[u8]> = items.iter().map(text).collect();
        for i in (0..items.len()).filter(|&i| !texts[i].is_empty()) {
            for j in 0..items.len() {
                if items[i].logit == f32::NEG_INFINITY {
                    break;
                }
                if i == j || items[j].logit == f32::NEG_INFINITY || !texts[j].starts_with(texts[i])
                {
                    continue;
                }
                let (to, from) = if items[j].p > items[i].p {
                    (j, i)
                } else {
                    (i, j)
                };
                items[to].p += items[from].p;
                items[from].p = 0.0;
                items[from].logit = f32::NEG_INFINITY;
            }
        }
    }
}
