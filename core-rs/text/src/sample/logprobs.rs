//! Log-probabilities of tokens, for those who ask what the model thought: log-softmax of the raw
//! logits, before any sampler, as llama-cpp-python reports them.

/// Log-probabilities of one position.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    /// Of the token asked for.
    pub logprob: f32,
    /// The likeliest tokens with theirs, best first; of equal ones the lower id.
    pub top: Vec<(u32, f32)>,
}

/// Log-softmax of `logits` at `token` and at the `n_top` likeliest. The sum is kept in f64: over
/// 150,000 tokens f32 loses the fourth digit.
///
/// # Panics
/// Where `token` is not below the number of logits.
pub fn logprobs(logits: &[f32], token: u32, n_top: usize) -> Logprobs {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&x| f64::from((x - max).exp())).sum();
    let log_sum = f64::from(max) + sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - log_sum) as f32;
    let mut top = super::Candidates::default();
    if n_top > 0 {
        top.fill_top(logits, n_top.min(logits.len()));
    }
    Logprobs {
        logprob: logprob(logits[token as usize]),
        top: top.items.iter().map(|c| (c.id, logprob(c.logit))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logprobs_are_the_log_softmax() {
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05]
            .iter()
            .map(|p| p.ln() + 80.0)
            .collect();
        let found = logprobs(&logits, 2, 2);
        assert!((found.logprob - 0.15f32.ln()).abs() < 1e-5);
        assert_eq!(found.top.iter().map(|t| t.0).collect::<Vec<_>>(), [0, 1]);
        assert!((found.top[1].1 - 0.3f32.ln()).abs() < 1e-5);
        assert_eq!(logprobs(&logits, 0, 0).top, []);
        assert_eq!(logprobs(&logits, 0, 9).top.len(), 4);
        // Many equal ones: a sum in f32 would be off in the fourth digit.
        let many = vec![-3.0; 150_000];
        assert!((logprobs(&many, 7, 1).logprob + 150_000f32.ln()).abs() < 1e-5);
    }
}
