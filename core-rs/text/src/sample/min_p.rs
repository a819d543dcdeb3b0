//! Min-p (Nguyen et al. 2024): tokens at least p times as likely as the most likely one.

use super::{Candidates, Context, Made, Role, SamplerParams, SamplerVocab, Stage, check};

#[derive(Debug)]
struct MinP {
    p: f32,
    min_keep: usize,
}

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let p = check(
        "min_p",
        params.min_p,
        |p| p.is_finite(),
        "a finite number (0 keeps all)",
    )?;
    let min_keep = params.min_keep.max(1);
    Ok((p > 0.0).then(|| Box::new(MinP { p, min_keep }) as Box<dyn Stage>))
}

impl Stage for MinP {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        let Some(best) = candidates.best() else {
            return;
        };
        let least = best.logit + self.p.ln();
        let n_kept = candidates.items.iter().filter(|c| c.logit >= least).count();
        if n_kept < self.min_keep {
            candidates.keep_top(self.min_keep);
        } else {
            candidates.retain(|c| c.logit >= least);
        }
    }

    fn role(&self) -> Role {
        Role::KeepsBest
    }
}
