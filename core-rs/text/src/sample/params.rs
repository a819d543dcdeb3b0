//! The parameters of all samplers, with llama.cpp's names and defaults.

use super::{Place, SAMPLERS};

/// The parameters of all samplers. Defaults are llama.cpp's.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerParams {
    /// Divides the logits; 0 and below take the most likely token always.
    pub temperature: f32,
    /// The temperature moves this much up and down with the entropy; 0 and below: it stays.
    pub dynatemp_range: f32,
    /// Power of the normalised entropy that moves the temperature.
    pub dynatemp_exponent: f32,
    /// Keep the k most likely tokens; 0 and below keep all.
    pub top_k: i32,
    /// Keep the most likely tokens that together reach this probability; 1 and above keep all.
    pub top_p: f32,
    /// Keep tokens at least this likely relative to the most likely; 0 and below keep all.
    pub min_p: f32,
    /// Keep the most typical tokens that together exceed this probability; 1 and above keep all.
    pub typical_p: f32,
    /// Keep tokens with logits within this many standard deviations of the largest; 0 and below
    /// keep all.
    pub top_n_sigma: f32,
    /// How often XTC takes away the likely tokens but one; 0 and below never.
    pub xtc_probability: f32,
    /// From which probability on a token is likely for XTC; above 0.5 nothing is.
    pub xtc_threshold: f32,
    /// Tokens that `top_p`, `min_p`, `typical_p` and XTC leave at least.
    pub min_keep: usize,
    /// How many of the last tokens the penalties look at; 0 none, -1 all there are.
    pub penalty_last_n: i32,
    /// Divides positive logits of seen tokens and multiplies the others; 1 does nothing.
    pub repeat_penalty: f32,
    /// Subtracted from the logit once for each time the token was seen.
    pub frequency_penalty: f32,
    /// Subtracted from the logit of tokens seen.
    pub presence_penalty: f32,
    /// DRY's penalty on a token that would prolong a repetition just above the allowed length;
    /// 0 = no DRY.
    pub dry_multiplier: f32,
    /// By what each further token of a repetition multiplies that penalty; below 1 = no DRY.
    pub dry_base: f32,
    /// Tokens that may be repeated before DRY steps in.
    pub dry_allowed_length: i32,
    /// How many of the last tokens DRY looks at; 0 none, -1 all there are.
    pub dry_penalty_last_n: i32,
    /// Texts across which DRY sees no repetition.
    pub dry_sequence_breakers: Vec<String>,
    /// 0 = no mirostat, or its version, 1 or 2. Unless `samplers` names it, the chain is then
    /// temperature and mirostat alone, as in llama.cpp.
    pub mirostat: i32,
    /// Surprise in bits that mirostat aims at.
    pub mirostat_tau: f32,
    /// How fast mirostat learns.
    pub mirostat_eta: f32,
    /// Probability of the chosen token that adaptive-p aims at on average; below 0 = no adaptive-p.
    pub adaptive_target: f32,
    /// How slowly adaptive-p forgets, 0 to 0.99: about the last 1 / (1 - decay) tokens count.
    pub adaptive_decay: f32,
    /// Added to the logits of these tokens; -inf forbids one.
    pub logit_bias: Vec<(u32, f32)>,
    /// Names of the samplers between bias and draw, in order.
    pub samplers: Vec<String>,
    /// Seed of the generator; `None` takes another one each time.
    pub seed: Option<u32>,
}

impl Default for SamplerParams {
    fn default() -> Self {
        let by_default = SAMPLERS.iter().filter(|row| row.place == Place::Default);
        Self {
            temperature: 0.8,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            top_n_sigma: -1.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            min_keep: 0,
            penalty_last_n: 64,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_penalty_last_n: -1,
            dry_sequence_breakers: ["\n", ":", "\"", "*"].map(String::from).into(),
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            adaptive_target: -1.0,
            adaptive_decay: 0.9,
            logit_bias: Vec::new(),
            samplers: by_default.map(|row| row.name.into()).collect(),
            seed: None,
        }
    }
}
