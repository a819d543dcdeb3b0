//! DRY, "don't repeat yourself" (P. E. Weidmann 2024): a penalty on tokens that would prolong a
//! repetition of what came before, growing with its length. Breakers (line ends, quotes, …) cut the
//! context: a repetition does not reach across them.

use super::{Candidates, Context, Made, SamplerParams, SamplerVocab, Stage, check};
use crate::{EncodeOptions, Tokenizer};
use std::collections::HashMap;

#[derive(Debug)]
struct Dry {
    multiplier: f32,
    base: f32,
    allowed: usize,
    last_n: usize,
    breakers: Breakers,
}

/// By the token a breaker may start in: what tokens may follow to make it whole.
type Breakers = HashMap<u32, Vec<Vec<u32>>>;

pub(super) fn make(params: &SamplerParams, vocab: &SamplerVocab) -> Made {
    let positive = |x: f32| x >= 0.0 && x.is_finite();
    let number = "a finite number, 0 or more";
    let multiplier = check("dry_multiplier", params.dry_multiplier, positive, number)?;
    let base = check("dry_base", params.dry_base, positive, number)?;
    let allowed = check(
        "dry_allowed_length",
        params.dry_allowed_length,
        |n| n >= 0,
        "0 or more",
    )?;
    let last_n = params.dry_penalty_last_n;
    let last_n = check(
        "dry_penalty_last_n",
        last_n,
        |n| n >= -1,
        "-1 (all) or more",
    )?;
    if multiplier == 0.0 || base < 1.0 || last_n == 0 {
        return Ok(None);
    }
    let mut breakers = Breakers::new();
    for text in params
        .dry_sequence_breakers
        .iter()
        .filter(|text| !text.is_empty())
    {
        let tokenizer = vocab.tokenizer("dry_sequence_breakers", &format!("{text:?}"))?;
        add_breaker(&mut breakers, text.as_bytes(), tokenizer);
    }
    Ok(Some(Box::new(Dry {
        multiplier,
        base,
        allowed: allowed as usize,
        last_n: usize::try_from(last_n).unwrap_or(usize::MAX),
        breakers,
    })))
}

impl Stage for Dry {
    fn apply(&mut self, candidates: &mut Candidates, context: &mut Context) {
        let history = context.history;
        let recent: Vec<u32> = history.iter().rev().take(self.last_n).copied().collect();
        if recent.len() <= self.allowed {
            return;
        }
        let limit = self.limit(&recent);
        if limit < self.allowed {
            return;
        }
        // After recent[k..][..length], which is what came last, there once was recent[k - 1].
        let mut longest = HashMap::new();
        for (k, length) in matches(&recent).into_iter().enumerate().skip(1) {
            let (token, length) = (recent[k - 1], length.min(limit));
            if length >= self.allowed && !self.is_breaker(token) {
                let most = longest.entry(token).or_insert(0);
                *most = length.max(*most);
            }
        }
        if !longest.is_empty() {
            candidates.adjust(&longest, |logit, &length| logit - self.penalty(length));
        }
    }
}

impl Dry {
    /// Tokens since the last breaker.
    fn limit(&self, recent: &[u32]) -> usize {
        for (i, head) in recent.iter().enumerate() {
            let tails = self.breakers.get(head).into_iter().flatten();
            let follows = |tail: &&Vec<u32>| {
                tail.len() <= i && tail.iter().eq(recent[i - tail.len()..i].iter().rev())
            };
            if let Some(n) = tails.filter(follows).map(Vec::len).max() {
                return i - n;
            }
        }
        recent.len()
    }

    fn is_breaker(&self, token: u32) -> bool {
        let mut tails = self.breakers.get(&token).into_iter().flatten();
        tails.any(Vec::is_empty)
    }

    /// multiplier · base ^ (length - allowed), the power kept below infinity.
    fn penalty(&self, length: usize) -> f32 {
        let exponent = (length - self.allowed) as f32;
        let most = if self.base > 1.000001 {
            (f32::MAX.ln() / self.base.ln()).floor()
        } else {
            f32::MAX
        };
        (self.multiplier * self.base.powf(exponent.min(most))).min(f32::MAX)
    }
}

/// For each k how many items from k on equal those from 0 on (the Z algorithm: what lies within a
/// match seen before needs no comparing).
fn matches(items: &[u32]) -> Vec<usize> {
    let mut lengths = vec![0; items.len()];
    let (mut from, mut to) = (0, 0); // of the match that reaches furthest
    for k in 1..items.len() {
        let mut length = if k < to {
            lengths[k - from].min(to - k)
        } else {
            0
        };
        while k + length < items.len() && items[length] == items[k + length] {
            length += 1;
        }
        if k + length > to {
            (from, to) = (k, k + length);
        }
        lengths[k] = length;
    }
    lengths
}

/// Bytes of a breaker that count.
const MAX_BREAKER_BYTES: usize = 40;

/// Tokens that count of what follows the one a breaker starts in.
const MAX_TAIL: usize = 20;

/// Finds every token in which `text` lies, or starts: then with the tokens of what is left of it.
fn add_breaker(breakers: &mut Breakers, text: &[u8], tokenizer: &Tokenizer) {
    let text = &text[..text.len().min(MAX_BREAKER_BYTES)];
    let mut tails: Vec<Option<Vec<u32>>> = vec![None; text.len()]; // by where they start in `text`
    for id in 0..tokenizer.n_vocab() as u32 {
        let token = tokenizer.token_bytes(id, true).unwrap_or(&[]);
        let starts = (0..token.len()).filter(|&at| token[at] == text[0]);
        let mut found: Vec<usize> = starts
            .map(|at| (&token[at..], (token.len() - at).min(text.len())))
            .filter(|(rest, n)| rest[..*n] == text[..*n])
            .map(|(_, n)| n)
            .collect();
        if found.contains(&text.len()) {
            found = vec![text.len()];
        }
        for n in found {
            let tail = match tails.get_mut(n) {
                Some(tail) => tail
                    .get_or_insert_with(|| tail_tokens(&text[n..], tokenizer))
                    .clone(),
                None => Vec::new(),
            };
            let known = breakers.entry(id).or_default();
            if !known.contains(&tail) {
                known.push(tail);
            }
        }
    }
}

fn tail_tokens(text: &[u8], tokenizer: &Tokenizer) -> Vec<u32> {
    let options = EncodeOptions {
        add_special: false,
        parse_special: false,
    };
    let mut tokens = tokenizer.encode_bytes(text, options);
    tokens.truncate(MAX_TAIL);
    tokens
}
