//! Penalties on tokens seen among the last n: repetition (Keskar et al., CTRL), frequency and
//! presence (OpenAI).

use super::{Candidates, Context, Made, SamplerParams, SamplerVocab, Stage, check, finite};
use std::collections::HashMap;

#[derive(Debug)]
struct Penalties {
    last_n: usize,
    repeat: f32,
    frequency: f32,
    presence: f32,
}

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let positive = |x: f32| x > 0.0 && x.is_finite();
    let last_n = check(
        "penalty_last_n",
        params.penalty_last_n,
        |n| n >= -1,
        "-1 (all) or more",
    )?;
    let repeat = check(
        "repeat_penalty",
        params.repeat_penalty,
        positive,
        "a finite number above 0",
    )?;
    let frequency = finite("frequency_penalty", params.frequency_penalty)?;
    let presence = finite("presence_penalty", params.presence_penalty)?;
    if last_n == 0 || (repeat == 1.0 && frequency == 0.0 && presence == 0.0) {
        return Ok(None);
    }
    Ok(Some(Box::new(Penalties {
        last_n: usize::try_from(last_n).unwrap_or(usize::MAX),
        repeat,
        frequency,
        presence,
    })))
}

impl Stage for Penalties {
    fn apply(&mut self, candidates: &mut Candidates, context: &mut Context) {
        let history = context.history;
        let mut counts = HashMap::new();
        for &token in &history[history.len().saturating_sub(self.last_n)..] {
            *counts.entry(token).or_insert(0u32) += 1;
        }
        if counts.is_empty() {
            return;
        }
        candidates.adjust(&counts, |logit, &count| self.penalize(logit, count));
    }
}

impl Penalties {
    fn penalize(&self, logit: f32, count: u32) -> f32 {
        let logit = if logit <= 0.0 {
            logit * self.repeat
        } else {
            logit / self.repeat
        };
        logit - (count as f32 * self.frequency + self.presence)
    }
}
