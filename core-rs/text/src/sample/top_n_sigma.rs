//! Top-n-sigma (Tang et al. 2024): tokens whose logits lie within n standard deviations of the
//! largest. The others become impossible; the list keeps its size.

use super::{Candidates, Context, Made, Role, SamplerParams, SamplerVocab, Stage, finite};

#[derive(Debug)]
struct TopNSigma(f32);

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let n = finite("top_n_sigma", params.top_n_sigma)?;
    Ok((n > 0.0).then(|| Box::new(TopNSigma(n)) as Box<dyn Stage>))
}

impl Stage for TopNSigma {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        let Some(best) = candidates.best() else {
            return;
        };
        let sigma = deviation(candidates);
        let least = f64::from(best.logit) - f64::from(self.0) * sigma;
        for c in &mut candidates.items {
            if f64::from(c.logit) < least {
                c.logit = f32::NEG_INFINITY;
            }
        }
    }

    fn role(&self) -> Role {
        Role::KeepsBest
    }
}

/// Standard deviation of the logits of possible tokens.
fn deviation(candidates: &Candidates) -> f64 {
    let possible = || {
        let logits = candidates.items.iter().map(|c| f64::from(c.logit));
        logits.filter(|&x| x > f64::NEG_INFINITY)
    };
    let n = possible().count().max(1) as f64;
    let mean = possible().sum::<f64>() / n;
    let square = |x: f64| (x - mean) * (x - mean);
    (possible().map(square).sum::<f64>() / n).sqrt()
}
