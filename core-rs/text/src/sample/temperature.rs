//! Temperature: logits divided by it. At 0 and below only the most likely token stays possible; the
//! list keeps its size.

use super::{Candidates, Context, Made, Role, SamplerParams, Stage, check};

#[derive(Debug)]
struct Temperature(f32);

pub(super) fn make(params: &SamplerParams) -> Made {
    let t = check(
        "temperature",
        params.temperature,
        f32::is_finite,
        "a finite number",
    )?;
    Ok((t != 1.0).then(|| Box::new(Temperature(t)) as Box<dyn Stage>))
}

impl Stage for Temperature {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        let Some(best) = candidates.best() else {
            return;
        };
        if self.0 > 0.0 {
            // A very low temperature must not make infinities of finite logits.
            let shift = if (best.logit / self.0).is_finite() {
                0.0
            } else {
                best.logit
            };
            candidates
                .items
                .iter_mut()
                .for_each(|c| c.logit = (c.logit - shift) / self.0);
            return;
        }
        for c in candidates.items.iter_mut().filter(|c| c.id != best.id) {
            c.logit = f32::NEG_INFINITY;
        }
    }

    fn role(&self) -> Role {
        Role::KeepsBest
    }
}
