//! Logit bias: a number added to the logits of chosen tokens; -inf forbids one.

use super::{Candidates, Context, Made, Role, SamplerParams, SamplerVocab, Stage};
use crate::Error;

#[derive(Debug)]
struct LogitBias(Vec<(u32, f32)>);

pub(super) fn make(params: &SamplerParams, vocab: &SamplerVocab) -> Made {
    let n_vocab = vocab.n_vocab();
    for &(id, bias) in &params.logit_bias {
        if id as usize >= n_vocab {
            return Err(Error::Token { id, n_vocab });
        }
        super::check(
            "logit_bias",
            bias,
            |b| b < f32::INFINITY,
            "a number below infinity",
        )?;
    }
    let bias = LogitBias(params.logit_bias.clone());
    Ok((!bias.0.is_empty()).then(|| Box::new(bias) as Box<dyn Stage>))
}

impl Stage for LogitBias {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        for &(id, bias) in &self.0 {
            // Whole vocabularies have their tokens at their ids; other lists are searched.
            let items = &mut candidates.items;
            let at_id = items.get(id as usize).is_some_and(|c| c.id == id);
            let at = if at_id {
                Some(id as usize)
            } else {
                items.iter().position(|c| c.id == id)
            };
            if let Some(at) = at {
                items[at].logit += bias;
            }
        }
        candidates.set_unsorted();
    }

    fn role(&self) -> Role {
        Role::General
    }
}
