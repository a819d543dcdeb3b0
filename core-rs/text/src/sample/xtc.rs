//! XTC, "exclude top choices" (P. E. Weidmann 2024): now and then all tokens at least as likely as a
//! threshold are taken away but the least likely of them.

use super::{Candidates, Context, Made, SamplerParams, SamplerVocab, Stage, finite};

#[derive(Debug)]
struct Xtc {
    probability: f32,
    threshold: f32,
    min_keep: usize,
}

/// Two tokens cannot both be more likely than this.
const MAX_THRESHOLD: f32 = 0.5;

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let stage = Xtc {
        probability: finite("xtc_probability", params.xtc_probability)?,
        threshold: finite("xtc_threshold", params.xtc_threshold)?,
        min_keep: params.min_keep,
    };
    let acts = stage.probability > 0.0 && stage.threshold <= MAX_THRESHOLD;
    Ok(acts.then(|| Box::new(stage) as Box<dyn Stage>))
}

impl Stage for Xtc {
    fn apply(&mut self, candidates: &mut Candidates, context: &mut Context) {
        let n = candidates.items.len();
        if n < 2 || context.rng.next_f64() > f64::from(self.probability) {
            return;
        }
        candidates.softmax();
        let is_likely = |p: f32| p >= self.threshold;
        let n_likely = candidates.items.iter().filter(|c| is_likely(c.p)).count();
        let n_dropped = n_likely.saturating_sub(1);
        if n_dropped > 0 && n - n_dropped >= self.min_keep {
            candidates.sort_top(n_likely);
            candidates.drop_best(n_dropped);
        }
    }
}
