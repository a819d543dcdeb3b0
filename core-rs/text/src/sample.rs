//! From logits to a token: a chain of samplers, each in its file, listed in [`SAMPLERS`].
//!
//! Logit bias comes first and the draw ([`dist`]) last; between them run the samplers named in
//! [`SamplerParams::samplers`], in that order. Parameters, defaults and edge cases are llama.cpp's.
//! To add a sampler: one file with a [`Stage`], its parameters in [`SamplerParams`], one line in
//! the table.

use crate::{Error, Result};

mod candidates;
mod chain;
mod dist;
mod greedy;
mod logit_bias;
mod min_p;
mod penalties;
mod rng;
mod temperature;
mod top_k;
mod top_p;

pub use candidates::{Candidate, Candidates};
pub use chain::Sampler;
pub use rng::Mt19937;

/// One sampler of the registry.
#[derive(Debug)]
pub struct Row {
    /// Its name in [`SamplerParams::samplers`].
    pub name: &'static str,
    /// Its letter in llama.cpp's `--sampling-seq`.
    pub letter: char,
    /// Checks the parameters and makes the stage; `None` where they make it do nothing.
    pub make: fn(&SamplerParams) -> Made,
}

/// What a row makes of the parameters.
pub type Made = Result<Option<Box<dyn Stage>>>;

/// Every sampler, in the default order.
#[rustfmt::skip]
pub static SAMPLERS: &[Row] = &[
    Row { name: "penalties",   letter: 'e', make: penalties::make },
    Row { name: "top_k",       letter: 'k', make: top_k::make },
    Row { name: "top_p",       letter: 'p', make: top_p::make },
    Row { name: "min_p",       letter: 'm', make: min_p::make },
    Row { name: "temperature", letter: 't', make: temperature::make },
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

/// The parameters of all samplers. Defaults are llama.cpp's.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerParams {
    /// Divides the logits; 0 and below take the most likely token always.
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 and below keep all.
    pub top_k: i32,
    /// Keep the most likely tokens that together reach this probability; 1 and above keep all.
    pub top_p: f32,
    /// Keep tokens at least this likely relative to the most likely; 0 and below keep all.
    pub min_p: f32,
    /// Tokens that `top_p` and `min_p` leave at least.
    pub min_keep: usize,
    /// How many of the last tokens the penalties look at; 0 none, -1 all there are.
    pub penalty_last_n: i32,
    /// Divides positive logits of seen tokens and multiplies the others; 1 does nothing.
    pub repeat_penalty: f32,
    /// Subtracted from the logit once for each time the token was seen.
    pub frequency_penalty: f32,
    /// Subtracted from the logit of tokens seen.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens; -inf forbids one.
    pub logit_bias: Vec<(u32, f32)>,
    /// Names of the samplers between bias and draw, in order.
    pub samplers: Vec<String>,
    /// Seed of the generator; `None` takes another one each time.
    pub seed: Option<u32>,
}

impl Default for SamplerParams {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            min_keep: 0,
            penalty_last_n: 64,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            samplers: SAMPLERS.iter().map(|row| row.name.into()).collect(),
            seed: None,
        }
    }
}

impl SamplerParams {
    /// The samplers named by llama.cpp's letters, e.g. `"kpmt"`.
    ///
    /// # Errors
    /// A letter that no sampler has.
    pub fn samplers_from_letters(letters: &str) -> Result<Vec<String>> {
        let find = |letter: char| {
            let row = SAMPLERS.iter().find(|row| row.letter == letter);
            row.map(|row| row.name.to_string())
                .ok_or_else(|| Error::Unknown {
                    what: "sampler letter",
                    value: letter.into(),
                    known: SAMPLERS
                        .iter()
                        .map(|row| row.letter.to_string() + " ")
                        .collect(),
                })
        };
        letters.chars().map(find).collect()
    }
}

/// The row with this name.
fn find(name: &str) -> Result<&'static Row> {
    let row = SAMPLERS.iter().find(|row| row.name == name);
    row.ok_or_else(|| Error::Unknown {
        what: "sampler",
        value: name.into(),
        known: SAMPLERS
            .iter()
            .map(|row| row.name)
            .collect::<Vec<_>>()
            .join(" "),
    })
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
