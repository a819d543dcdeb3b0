//! The chain: bias, the samplers in their order, the draw.

use super::{
    Candidates, Context, Mt19937, Place, Role, Row, SAMPLERS, SamplerParams, SamplerVocab, Stage,
    dist, greedy, logit_bias,
};
use crate::{Error, Result};

/// Chooses tokens. Holds what samplers remember (tokens seen, state of the generator).
#[derive(Debug)]
pub struct Sampler {
    stages: Vec<Box<dyn Stage>>,
    n_vocab: usize,
    is_greedy: bool,
    seed: Option<u32>,
    rng: Mt19937,
    history: History,
    candidates: Candidates,
}

impl Sampler {
    /// Checks the parameters and builds the chain. `vocab` is the number of tokens, or the
    /// tokenizer: DRY's breakers and `infill` need one.
    ///
    /// # Errors
    /// A parameter that is NaN or out of its range, an unknown sampler, a biased token that is not
    /// in the vocabulary, a sampler that needs a tokenizer and has none.
    pub fn new(params: SamplerParams, vocab: impl Into<SamplerVocab>) -> Result<Self> {
        let vocab = vocab.into();
        let order = params.order()?;
        let mut stages = Vec::new();
        stages.extend(logit_bias::make(&params, &vocab)?);
        for row in &order {
            stages.extend((row.make)(&params, &vocab)?);
        }
        // A sampler that is not in the order is checked all the same: a NaN is always a mistake.
        let is_left_out = |row: &&Row| order.iter().all(|used| used.name != row.name);
        for row in SAMPLERS.iter().filter(is_left_out) {
            if row.place != Place::Named {
                (row.make)(&params, &vocab)?;
            }
        }
        let warmest = params.temperature + params.dynatemp_range.max(0.0);
        Ok(Self {
            stages,
            n_vocab: vocab.n_vocab(),
            is_greedy: warmest <= 0.0 && order.iter().any(|row| row.name == "temperature"),
            seed: params.seed,
            rng: Mt19937::new(params.seed.unwrap_or_else(Mt19937::random_seed)),
            history: History::new(&params),
            candidates: Candidates::default(),
        })
    }

    /// Chooses a token by `logits`, one for each token of the vocabulary; does not
    /// [`accept`](Self::accept) it.
    ///
    /// # Errors
    /// Another number of logits than tokens, NaN or +inf among them, or -inf for all.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        self.check(logits)?;
        let roles: Vec<Role> = self.stages.iter().map(|s| s.role()).collect();
        let keeps_best = |role: &Role| !matches!(role, Role::General);
        if self.is_greedy && roles.iter().all(keeps_best) {
            return allowed(greedy::argmax(logits));
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        match roles.iter().find(|role| **role != Role::Nothing) {
            Some(Role::Top(k)) if *k < logits.len() / 8 => candidates.fill_top(logits, *k),
            _ => candidates.fill(logits),
        }
        let token = self.draw(&mut candidates);
        self.candidates = candidates;
        token
    }

    /// Runs bias and samplers over `candidates`, without drawing one.
    pub fn apply(&mut self, candidates: &mut Candidates) {
        let mut context = Context {
            history: self.history.tokens(),
            rng: &mut self.rng,
        };
        for stage in &mut self.stages {
            stage.apply(candidates, &mut context);
        }
    }

    /// Tells the samplers which token comes next, be it drawn, forced or part of a prompt.
    pub fn accept(&mut self, token: u32) {
        self.history.push(token);
        self.stages.iter_mut().for_each(|s| s.accept(token));
    }

    /// Forgets the tokens accepted and starts the generator anew from its seed.
    pub fn reset(&mut self) {
        self.history.clear();
        self.rng = Mt19937::new(self.seed.unwrap_or_else(Mt19937::random_seed));
        self.stages.iter_mut().for_each(|s| s.reset());
    }

    /// Whether the next choice is the token of the largest logit as the model gives it: nothing is
    /// drawn, and no bias, penalty or other stage changes the order.
    pub fn is_greedy(&self) -> bool {
        let mut roles = self.stages.iter().map(|stage| stage.role());
        self.is_greedy && roles.all(|role| role != Role::General)
    }

    fn draw(&mut self, candidates: &mut Candidates) -> Result<u32> {
        self.apply(candidates);
        if self.is_greedy {
            let best = candidates.best().filter(|c| c.logit > f32::NEG_INFINITY);
            return allowed(best.map(|c| c.id));
        }
        allowed(dist::draw(candidates, &mut self.rng))
    }

    fn check(&self, logits: &[f32]) -> Result<()> {
        let wrong = |found: String, expected: String| Err(Error::Logits { found, expected });
        if logits.len() != self.n_vocab {
            let expected = format!("{}, one for each token", self.n_vocab);
            return wrong(format!("there are {}", logits.len()), expected);
        }
        // A sum over all, not a search that stops: this form is vectorised.
        let n_wrong: u32 = logits.iter().map(|&x| u32::from(is_wrong(x))).sum();
        if n_wrong == 0 {
            return Ok(());
        }
        let at = logits.iter().position(|&x| is_wrong(x)).unwrap_or(0);
        let found = format!("{} for token {at} ({n_wrong} such)", logits[at]);
        wrong(found, "numbers below infinity".into())
    }
}

/// NaN and +inf: no probability comes of them.
fn is_wrong(logit: f32) -> bool {
    logit.is_nan() || logit == f32::INFINITY
}

fn allowed(token: Option<u32>) -> Result<u32> {
    token.ok_or_else(|| Error::Logits {
        found: "-inf for every token".into(),
        expected: "at least one token that may be chosen".into(),
    })
}

/// The last tokens accepted. Kept in one piece: twice the room needed, moved down when full.
#[derive(Debug)]
struct History {
    tokens: Vec<u32>,
    n_keep: usize,
}

/// Tokens kept whatever the penalties need, for samplers that look back (llama.cpp's `n_prev`).
const N_PREV: usize = 64;

impl History {
    fn new(params: &SamplerParams) -> Self {
        let n = |last_n: i32| usize::try_from(last_n).unwrap_or(usize::MAX);
        let n_dry = if params.dry_multiplier == 0.0 {
            0
        } else {
            n(params.dry_penalty_last_n)
        };
        Self {
            tokens: Vec::new(),
            n_keep: n(params.penalty_last_n).max(n_dry).max(N_PREV),
        }
    }

    fn push(&mut self, token: u32) {
        if self.tokens.len() >= self.n_keep.saturating_mul(2) {
            self.tokens.drain(..self.tokens.len() - self.n_keep);
        }
        self.tokens.push(token);
    }

    fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    fn clear(&mut self) {
        self.tokens.clear();
    }
}
