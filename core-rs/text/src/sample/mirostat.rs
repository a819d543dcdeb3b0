//! Mirostat (Basu et al. 2021): cuts off surprising tokens so that the text keeps a surprise of
//! `tau` bits a token. The cut `mu` learns from each token accepted. Version 1 estimates how
//! steeply probabilities fall (Zipf) and keeps the k that gives mu; version 2 keeps what surprises
//! by at most mu.

use super::{Candidates, Context, Made, Role, SamplerParams, SamplerVocab, Stage, check, finite};

#[derive(Debug)]
struct Mirostat {
    version: i32,
    tau: f32,
    eta: f32,
    mu: f32,
    n_vocab: usize,
    /// Tokens offered last, with their probabilities.
    offered: Vec<(u32, f32)>,
}

pub(super) fn make(params: &SamplerParams, vocab: &SamplerVocab) -> Made {
    let version = check(
        "mirostat",
        params.mirostat,
        |v| (0..=2).contains(&v),
        "0, 1 or 2",
    )?;
    let tau = finite("mirostat_tau", params.mirostat_tau)?;
    let eta = finite("mirostat_eta", params.mirostat_eta)?;
    let stage = Mirostat {
        version,
        tau,
        eta,
        mu: 2.0 * tau,
        n_vocab: vocab.n_vocab(),
        offered: Vec::new(),
    };
    Ok((version > 0).then(|| Box::new(stage) as Box<dyn Stage>))
}

/// Tokens by which version 1 estimates the slope.
const N_ESTIMATE: usize = 100;

impl Stage for Mirostat {
    fn apply(&mut self, candidates: &mut Candidates, _: &mut Context) {
        candidates.softmax();
        if self.version == 1 {
            candidates.sort_top(N_ESTIMATE);
            let k = self.k(slope(candidates));
            candidates.keep_top(k);
        } else {
            let Some(best) = candidates.best() else {
                return;
            };
            candidates.retain(|c| surprise(c.p) <= self.mu || c.id == best.id);
        }
        candidates.softmax();
        self.offered.clear();
        self.offered
            .extend(candidates.items.iter().map(|c| (c.id, c.p)));
    }

    fn role(&self) -> Role {
        Role::KeepsBest
    }

    fn accept(&mut self, token: u32) {
        let p = self.offered.iter().find(|(id, _)| *id == token);
        if let Some(&(_, p)) = p.filter(|(_, p)| *p > 0.0) {
            self.mu -= self.eta * (surprise(p) - self.tau);
        }
        self.offered.clear();
    }

    fn reset(&mut self) {
        self.mu = 2.0 * self.tau;
        self.offered.clear();
    }
}

impl Mirostat {
    /// How many tokens of a Zipf law with this `slope` have a mean surprise of mu.
    fn k(&self, slope: f32) -> usize {
        let epsilon = slope - 1.0;
        let fraction = if epsilon.abs() < 1e-6 {
            1.0 / (self.n_vocab as f32).ln() // its limit
        } else {
            epsilon / (1.0 - (self.n_vocab as f32).powf(-epsilon))
        };
        let k = (fraction * self.mu.exp2()).powf(1.0 / slope);
        (k as usize).max(1) // a NaN (one token alone has no slope) counts as 0
    }
}

/// Least-squares slope of log probability over log rank, among the most likely.
fn slope(candidates: &Candidates) -> f32 {
    let (mut sum_tb, mut sum_tt) = (0.0, 0.0);
    let best = &candidates.items[..candidates.items.len().min(N_ESTIMATE)];
    for (i, pair) in best
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[1].p > 0.0)
    {
        let t = ((i + 2) as f32 / (i + 1) as f32).ln();
        let b = (pair[0].p / pair[1].p).ln();
        sum_tb += t * b;
        sum_tt += t * t;
    }
    sum_tb / sum_tt
}

/// In bits.
fn surprise(p: f32) -> f32 {
    -p.log2()
}
