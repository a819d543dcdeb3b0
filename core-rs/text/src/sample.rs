//! From logits to a token: a chain of samplers, each in its file, listed in [`SAMPLERS`].
//!
//! Logit bias comes first and the draw ([`dist`]) last; between them run the samplers named in
//! [`SamplerParams::samplers`], in that order. Parameters, defaults and edge cases are llama.cpp's.
//! To add a sampler: one file with a [`Stage`], its parameters in [`SamplerParams`], one line in
//! the table.

use crate::{Error, Result};

mod adaptive_p;
mod candidates;
mod chain;
mod dist;
mod dry;
mod greedy;
mod infill;
mod logit_bias;
mod logprobs;
mod min_p;
mod mirostat;
mod names;
mod params;
mod penalties;
mod rng;
mod temperature;
mod top_k;
mod top_n_sigma;
mod top_p;
mod typical;
mod vocab;
mod xtc;

pub use candidates::{Candidate, Candidates};
pub use chain::Sampler;
pub use logprobs::{Logprobs, logprobs};
pub use params::SamplerParams;
pub use rng::Mt19937;
pub use vocab::SamplerVocab;

/// One sampler of the registry.
#[derive(Debug)]
pub struct Row {
    /// Its name in [`SamplerParams::samplers`].
    pub name: &'static str,
    /// Its letter in llama.cpp's `--sampler-seq`; llama.cpp has none for mirostat.
    pub letter: char,
    /// Where it runs.
    pub place: Place,
    /// Checks the parameters and makes the stage; `None` where they make it do nothing.
    pub make: fn(&SamplerParams, &SamplerVocab) -> Made,
}

/// Where a sampler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the default chain, in the order of the table.
    Default,
    /// Only where it is named.
    Named,
    /// Only if it is named, and then behind all others: it shapes the draw itself.
    Last,
}

/// What a row makes of the parameters.
pub type Made = Result<Option<Box<dyn Stage>>>;

use Place::{Default as Usual, Last, Named};

/// Every sampler, in the default order.
#[rustfmt::skip]
pub static SAMPLERS: &[Row] = &[
    Row { name: "penalties",   letter: 'e', place: Usual, make: penalties::make },
    Row { name: "dry",         letter: 'd', place: Usual, make: dry::make },
    Row { name: "top_n_sigma", letter: 's', place: Usual, make: top_n_sigma::make },
    Row { name: "top_k",       letter: 'k', place: Usual, make: top_k::make },
    Row { name: "typ_p",       letter: 'y', place: Usual, make: typical::make },
    Row { name: "top_p",       letter: 'p', place: Usual, make: top_p::make },
    Row { name: "min_p",       letter: 'm', place: Usual, make: min_p::make },
    Row { name: "xtc",         letter: 'x', place: Usual, make: xtc::make },
    Row { name: "temperature", letter: 't', place: Usual, make: temperature::make },
    Row { name: "infill",      letter: 'i', place: Named, make: infill::make },
    Row { name: "adaptive_p",  letter: 'a', place: Last,  make: adaptive_p::make },
    Row { name: "mirostat",    letter: 'M', place: Last,  make: mirostat::make },
];

/// A sampler at work.
pub trait Stage: std::fmt::Debug + Send + Sync {
    /// Changes or removes candidates; at least one is left.
    fn apply(&mut self, candidates: &mut Candidates, context: &mut Context);

    /// What the chain may skip or do sooner because of this stage.
    fn role(&self) -> Role {
        Role::General
    }

    /// Learns that `token` was chosen.
    fn accept(&mut self, _token: u32) {}

    /// Forgets everything learned.
    fn reset(&mut self) {}
}

/// What a stage does to candidates, as far as it helps to do less work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// May do anything.
    General,
    /// Leaves the most likely candidate the most likely one.
    KeepsBest,
    /// Keeps this many most likely candidates, best first, and does nothing else.
    Top(usize),
    /// Will change nothing this time.
    Nothing,
}

/// What stages can look at while they work.
#[derive(Debug)]
pub struct Context<'a> {
    /// The tokens accepted so far, oldest first.
    pub history: &'a [u32],
    /// The source of chance.
    pub rng: &'a mut Mt19937,
}

/// `value` if `good` holds for it, else an error that says what was `expected`.
fn check<T: std::fmt::Display + Copy>(
    name: &'static str,
    value: T,
    good: impl Fn(T) -> bool,
    expected: &str,
) -> Result<T> {
    if good(value) {
        return Ok(value);
    }
    Err(Error::Param {
        name,
        value: value.to_string(),
        expected: expected.into(),
    })
}

/// `value` if it is finite.
fn finite(name: &'static str, value: f32) -> Result<f32> {
    check(name, value, f32::is_finite, "a finite number")
}
