//! Every sampler against llama.cpp's own (tests/golden/make_sample.py).

mod support;

use puna_text::{Candidate, Candidates, Sampler, SamplerParams, SamplerVocab};
use serde_json::Value;
use std::sync::Arc;
use support::neutral;

/// Six digits are stored; llama.cpp sums in f32.
const TOLERANCE: f64 = 1e-4;

fn params(given: &Value) -> SamplerParams {
    let mut p = neutral();
    for (name, value) in given.as_object().expect("an object") {
        let number = value.as_f64().unwrap_or(f64::NAN) as f32;
        let texts = || -> Vec<String> {
            let items = value.as_array().expect("a list").iter();
            items.map(|x| x.as_str().expect("a text").into()).collect()
        };
        match name.as_str() {
            "temperature" => p.temperature = number,
            "dynatemp_range" => p.dynatemp_range = number,
            "dynatemp_exponent" => p.dynatemp_exponent = number,
            "top_k" => p.top_k = number as i32,
            "top_p" => p.top_p = number,
            "min_p" => p.min_p = number,
            "typical_p" => p.typical_p = number,
            "top_n_sigma" => p.top_n_sigma = number,
            "xtc_probability" => p.xtc_probability = number,
            "xtc_threshold" => p.xtc_threshold = number,
            "min_keep" => p.min_keep = number as usize,
            "penalty_last_n" => p.penalty_last_n = number as i32,
            "repeat_penalty" => p.repeat_penalty = number,
            "frequency_penalty" => p.frequency_penalty = number,
            "presence_penalty" => p.presence_penalty = number,
            "dry_multiplier" => p.dry_multiplier = number,
            "dry_base" => p.dry_base = number,
            "dry_allowed_length" => p.dry_allowed_length = number as i32,
            "dry_penalty_last_n" => p.dry_penalty_last_n = number as i32,
            "dry_sequence_breakers" => p.dry_sequence_breakers = texts(),
            "mirostat" => p.mirostat = number as i32,
            "mirostat_tau" => p.mirostat_tau = number,
            "mirostat_eta" => p.mirostat_eta = number,
            "adaptive_target" => p.adaptive_target = number,
            "adaptive_decay" => p.adaptive_decay = number,
            "samplers" => p.samplers = texts(),
            other => panic!("unknown parameter {other}"),
        }
    }
    p
}

/// What is left of the candidates after one more run of the chain, by id.
fn left(sampler: &mut Sampler, case: &Value) -> Vec<(u64, f64)> {
    let ids = case["ids"].as_array().expect("ids");
    let logits = case["logits"].as_array().expect("logits");
    let mut candidates = Candidates::default();
    let candidate = |(id, logit): (&Value, &Value)| Candidate {
        id: id.as_u64().expect("an id") as u32,
        logit: logit.as_f64().expect("a logit") as f32,
        p: 0.0,
    };
    candidates.items = ids.iter().zip(logits).map(candidate).collect();
    sampler.apply(&mut candidates);
    candidates.softmax();
    let items = candidates.items.iter();
    let mut left: Vec<_> = items.map(|c| (u64::from(c.id), f64::from(c.p))).collect();
    left.sort_by_key(|(id, _)| *id);
    left
}

/// The first step of `case` that differs, told.
fn difference(case: &Value, vocab: &SamplerVocab) -> Option<String> {
    let mut sampler = Sampler::new(params(&case["params"]), vocab.clone()).expect("good");
    let tokens = case["history"].as_array().expect("a list");
    tokens
        .iter()
        .for_each(|t| sampler.accept(t.as_u64().expect("an id") as u32));
    for (i, step) in case["steps"].as_array().expect("a list").iter().enumerate() {
        let left = left(&mut sampler, case);
        if let Some(expected) = step["left"].as_array() {
            let is_same = |((id, p), e): (&(u64, f64), &Value)| {
                e[0].as_u64() == Some(*id)
                    && (e[1].as_f64().expect("a number") - p).abs() < TOLERANCE
            };
            if left.len() != expected.len() || !left.iter().zip(expected).all(is_same) {
                return Some(format!(
                    "{}: step {i}: {left:?}\n  llama.cpp: {expected:?}",
                    case["params"]
                ));
            }
        }
        if let Some(drawn) = step["drawn"].as_u64() {
            sampler.accept(drawn as u32);
        }
    }
    None
}

#[test]
fn samplers_leave_what_llama_cpp_s_leave() {
    let Some(tokenizer) = support::vocab("gpt-2") else {
        return;
    };
    let vocab = SamplerVocab::from(&Arc::new(tokenizer));
    let cases: Vec<Value> = serde_json::from_str(include_str!("golden/sample.json")).expect("JSON");
    let wrong: Vec<_> = cases
        .iter()
        .filter_map(|case| difference(case, &vocab))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
