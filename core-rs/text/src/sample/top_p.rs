//! Top-p (nucleus, Holtzman et al. 2019): the most likely tokens until their probabilities reach p.
//! The token that crosses p is one of them, so at least one is left.

use super::{Candidates, Context, Made, Role, SamplerParams, SamplerVocab, Stage, check};

#[derive(Debug)]
struct TopP {
    p: f32,
    min_keep: usize,
}

pub(super) fn make(params: &SamplerParams, _: &SamplerVocab) -> Made {
    let p = check(
        "top_p",
        params.top_p,
        |p| p >= 0.0,
        "0 or more (1 keeps all)",
    )?;
    let min_keep = params.min_keep;
    Ok((p < 1.0).then(|| Box::new(TopP { p, min_keep }) as Box<dyn Stage>))
}

/// Candidates sorted first; most distributions reach p within them. Four times as many each time.
const FIRST_SORTED: usize = 128;

impl Stage for TopP {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        candidates.softmax();
        let n = candidates.items.len();
        let (mut sum, mut n_sorted) = (0.0, 0);
        for i in 0..n {
            if i >= n_sorted {
                n_sorted = (n_sorted * 4).clamp(FIRST_SORTED.min(n), n);
                candidates.sort_top(n_sorted);
            }
            sum += candidates.items[i].p;
            if sum >= self.p && i + 1 >= self.min_keep {
                candidates.truncate(i + 1);
                return;
            }
        }
    }

    fn role(&self) -> Role {
        Role::KeepsBest
    }
}
