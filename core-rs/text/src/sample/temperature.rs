//! Temperature: logits divided by it. At 0 and below only the most likely token stays possible; the
//! list keeps its size. With a range it moves between temperature - range (not below 0) and
//! temperature + range, by the entropy over the largest there can be (dynamic temperature,
//! kalomaze 2023).

use super::{Candidates, Context, Made, Role, SamplerParams, SamplerVocab, Stage, finite};

#[derive(Debug)]
struct Temperature {
    t: f32,
    range: f32,
    exponent: f32,
}

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let stage = Temperature {
        t: finite("temperature", params.temperature)?,
        range: finite("dynatemp_range", params.dynatemp_range)?,
        exponent: finite("dynatemp_exponent", params.dynatemp_exponent)?,
    };
    let does_nothing = stage.t == 1.0 && stage.range <= 0.0;
    Ok((!does_nothing).then(|| Box::new(stage) as Box<dyn Stage>))
}

impl Stage for Temperature {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        if self.range <= 0.0 {
            return divide(candidates, self.t);
        }
        let n = candidates.items.len();
        if n > 1 {
            candidates.softmax();
            let share = candidates.entropy() / (n as f32).ln();
            let (low, high) = ((self.t - self.range).max(0.0), self.t + self.range);
            divide(candidates, low + (high - low) * share.powf(self.exponent));
        }
    }

    fn role(&self) -> Role {
        Role::KeepsBest
    }
}

fn divide(candidates: &mut Candidates, t: f32) {
    let Some(best) = candidates.best() else {
        return;
    };
    if t <= 0.0 {
        let others = candidates.items.iter_mut().filter(|c| c.id != best.id);
        others.for_each(|c| c.logit = f32::NEG_INFINITY);
        return;
    }
    // A very low temperature must not make infinities of finite logits.
    let is_finite = (best.logit / t).is_finite();
    let shift = if is_finite { 0.0 } else { best.logit };
    let all = candidates.items.iter_mut();
    all.for_each(|c| c.logit = (c.logit - shift) / t);
}
