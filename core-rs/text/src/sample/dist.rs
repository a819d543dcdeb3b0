//! The draw: one candidate by its probability.

use super::{Candidates, Mt19937};

/// Takes one number from `rng`, however many candidates there are; `None` if none is possible.
pub(super) fn draw(candidates: &mut Candidates, rng: &mut Mt19937) -> Option<u32> {
    let best = candidates.best().filter(|c| c.logit > f32::NEG_INFINITY)?;
    let mut sum = 0.0;
    for c in &mut candidates.items {
        c.p = (c.logit - best.logit).exp();
        sum += f64::from(c.p);
    }
    let mut left = rng.next_f64() * sum;
    let mut last = best.id;
    for c in candidates.items.iter().filter(|c| c.p > 0.0) {
        left -= f64::from(c.p);
        if left < 0.0 {
            return Some(c.id);
        }
        last = c.id; // rounding may leave a little behind the last candidate
    }
    Some(last)
}
