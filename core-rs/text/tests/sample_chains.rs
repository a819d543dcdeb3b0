//! Chains of samplers over 10,000 candidates: llama.cpp's cases, with what must be left worked out
//! from the sums of the first numbers.

mod support;

use puna_text::{Candidates, SamplerParams};
use support::{neutral, sampler};

/// What a chain over probabilities proportional to the id leaves: number of candidates, lowest id.
struct Expected {
    n: usize,
    lowest: usize,
}

impl Expected {
    fn after(self, letter: char, n_vocab: usize, (k, p, min_p): (usize, f32, f32)) -> Self {
        match letter {
            'k' => Self {
                n: self.n.min(k),
                lowest: self.lowest.max(n_vocab - k),
            },
            'p' => {
                let sum_below = |n: usize| n * n.saturating_sub(1) / 2;
                let total = sum_below(n_vocab) - sum_below(self.lowest);
                let target = (p * total as f32).ceil() as usize;
                let (mut lowest, mut sum) = (n_vocab, 0);
                while lowest == n_vocab || sum < target {
                    lowest -= 1;
                    sum += lowest;
                }
                Self {
                    n: n_vocab - lowest,
                    lowest,
                }
            }
            _ => {
                let n = (((1.0 - min_p) * n_vocab as f32).ceil() as usize).clamp(1, self.n);
                let lowest = ((min_p * n_vocab as f32).floor() as usize).max(1);
                Self {
                    n,
                    lowest: lowest.max(n_vocab - self.n).min(n_vocab - 1),
                }
            }
        }
    }
}

#[test]
fn llama_cpp_chains_hold() {
    let Some(cases) = support::json("llamacpp/sampling.json") else {
        return;
    };
    for case in cases
        .as_array()
        .expect("a list")
        .iter()
        .filter(|c| c["sampler"] == "sampler_queue")
    {
        let args = &case["args"];
        let number = |i: usize| args[i].as_f64().expect("a number");
        let n_vocab = number(0) as usize;
        let (k, p, min_p) = (number(2) as usize, number(3) as f32, number(4) as f32);
        let letters = args[1].as_str().expect("letters");
        let logits: Vec<f32> = (0..n_vocab).map(|id| (id as f32).ln()).collect();
        let mut candidates = Candidates::new(&logits);
        let mut expected = Expected {
            n: n_vocab,
            lowest: 0,
        };
        for letter in letters.chars() {
            let samplers =
                SamplerParams::samplers_from_letters(&letter.to_string()).expect("known");
            let params = SamplerParams {
                samplers,
                top_k: k as i32,
                top_p: p,
                min_p,
                ..neutral()
            };
            sampler(params, n_vocab).apply(&mut candidates);
            expected = expected.after(letter, n_vocab, (k, p, min_p));
            // Token 0 has probability 0: where it would be the last one in, rounding decides.
            let (n, zero) = (candidates.items.len(), usize::from(expected.lowest <= 1));
            assert!(n == expected.n || n + zero == expected.n, "{case}: {n}");
            let lowest = candidates
                .items
                .iter()
                .map(|c| c.id as usize)
                .min()
                .unwrap_or(n_vocab);
            assert!(lowest.abs_diff(expected.lowest) <= zero, "{case}: {lowest}");
        }
    }
}
