//! Locally typical sampling (Meister et al. 2022): tokens whose surprise is nearest to the entropy,
//! until their probabilities exceed p. What is left is in that order, not the most likely first.

use super::candidates::sort_more;
use super::{Candidate, Candidates, Context, Made, SamplerParams, SamplerVocab, Stage, check};
use std::cmp::Ordering;

#[derive(Debug)]
struct Typical {
    p: f32,
    min_keep: usize,
}

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let expected = "0 or more (1 keeps all)";
    let p = check("typical_p", params.typical_p, |p| p >= 0.0, expected)?;
    let min_keep = params.min_keep;
    Ok((p < 1.0).then(|| Box::new(Typical { p, min_keep }) as Box<dyn Stage>))
}

/// Candidates sorted first. Four times as many each time.
const FIRST_SORTED: usize = 128;

impl Stage for Typical {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        candidates.softmax();
        let entropy = candidates.entropy();
        let oddness = |c: &Candidate| (-c.p.ln() - entropy).abs();
        let mut odd: Vec<(f32, Candidate)> =
            candidates.items.iter().map(|c| (oddness(c), *c)).collect();
        let n = odd.len();
        let (mut sum, mut n_sorted, mut n_kept) = (0.0, 0, n);
        for i in 0..n {
            if i >= n_sorted {
                let more = (n_sorted * 4).clamp(FIRST_SORTED.min(n), n);
                sort_more(&mut odd, n_sorted, more, less_odd);
                n_sorted = more;
            }
            sum += f64::from(odd[i].1.p);
            if sum > f64::from(self.p) && i + 1 >= self.min_keep {
                n_kept = i + 1;
                break;
            }
        }
        candidates.replace(odd[..n_kept].iter().map(|(_, c)| *c).collect());
    }
}

/// Of equally odd ones the more likely, then the lower id.
fn less_odd(a: &(f32, Candidate), b: &(f32, Candidate)) -> Ordering {
    let by_logit = || b.1.logit.total_cmp(&a.1.logit);
    let order = a.0.total_cmp(&b.0).then_with(by_logit);
    order.then_with(|| a.1.id.cmp(&b.1.id))
}
