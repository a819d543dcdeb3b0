//! Top-k: the k most likely tokens, best first.

use super::{Candidates, Context, Made, Role, SamplerParams, SamplerVocab, Stage};

#[derive(Debug)]
struct TopK(usize);

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let k = usize::try_from(params.top_k).unwrap_or(0);
    Ok((k > 0).then(|| Box::new(TopK(k)) as Box<dyn Stage>))
}

impl Stage for TopK {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        candidates.keep_top(self.0);
    }

    fn role(&self) -> Role {
        Role::Top(self.0)
    }
}
