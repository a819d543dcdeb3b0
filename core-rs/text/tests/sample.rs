//! Samplers against llama.cpp's cases, and what the chain promises.

mod support;

use puna_text::{Candidate, Candidates, Sampler, SamplerParams, Tokenizer, VocabData};
use serde_json::Value;
use std::sync::Arc;
use support::{neutral, sampler};

fn with(mut params: SamplerParams, set: impl Fn(&mut SamplerParams)) -> SamplerParams {
    set(&mut params);
    params
}

/// A vocabulary of `n` letters.
fn letters(n: usize) -> Arc<Tokenizer> {
    let data = VocabData {
        model: "gpt2".into(),
        pre: Some("gpt-2".into()),
        tokens: (b'a'..).take(n).map(|letter| vec![letter]).collect(),
        ..VocabData::default()
    };
    Arc::new(Tokenizer::new(data).expect("a vocabulary"))
}

/// The texts of DRY's breakers, which llama.cpp's cases give as token ids.
fn texts(breakers: &Value) -> Vec<String> {
    let letter = |id: &Value| char::from(b'a' + id.as_u64().expect("an id") as u8);
    let text = |ids: &Value| ids.as_array().expect("ids").iter().map(letter).collect();
    breakers
        .as_array()
        .expect("a list")
        .iter()
        .map(text)
        .collect()
}

fn only(name: &str) -> Vec<String> {
    vec![name.into()]
}

/// Probabilities left after the chain, in the order of the candidates.
fn probabilities(params: SamplerParams, from: &[f32], history: &[u32]) -> Vec<f32> {
    let logits: Vec<f32> = from.iter().map(|p| p.ln()).collect();
    let mut sampler = sampler(params, &letters(logits.len()));
    history.iter().for_each(|&token| sampler.accept(token));
    let mut candidates = Candidates::new(&logits);
    sampler.apply(&mut candidates);
    candidates.softmax();
    candidates.items.iter().map(|c| c.p).collect()
}

/// llama.cpp prints its expectations with five digits or so.
const TOLERANCE: f32 = 1e-5;

/// Some cases list what is left with the probabilities it had before.
fn assert_close(actual: &[f32], expected: &[f32], case: &Value) {
    let sum: f32 = expected.iter().sum();
    let close = actual
        .iter()
        .zip(expected)
        .all(|(a, e)| (a - e / sum).abs() <= TOLERANCE);
    assert!(
        close && actual.len() == expected.len(),
        "{actual:?}, expected {expected:?}: {case}"
    );
}

#[test]
fn llama_cpp_cases_hold() {
    let Some(cases) = support::json("llamacpp/sampling.json") else {
        return;
    };
    let mut n_checked = 0;
    for case in cases.as_array().expect("a list") {
        let arg = |i: usize| &case["args"][i];
        let numbers = |i: usize| -> Vec<f32> {
            arg(i)
                .as_array()
                .expect("a list")
                .iter()
                .map(|x| x.as_f64().expect("a number") as f32)
                .collect()
        };
        let number = |i: usize| arg(i).as_f64().expect("a number") as f32;
        let p = neutral();
        let (params, history, expected) = match case["sampler"].as_str().expect("a name") {
            "temp" => (with(p, |p| p.temperature = number(2)), vec![], 1),
            "temp_ext" => {
                let set = |p: &mut SamplerParams| {
                    p.temperature = number(2);
                    p.dynatemp_range = number(3);
                    p.dynatemp_exponent = number(4);
                };
                (with(p, set), vec![], 1)
            }
            "top_k" => (with(p, |p| p.top_k = number(2) as i32), vec![], 1),
            "top_p" => (with(p, |p| p.top_p = number(2)), vec![], 1),
            "min_p" => (with(p, |p| p.min_p = number(2)), vec![], 1),
            "typical" => (with(p, |p| p.typical_p = number(2)), vec![], 1),
            "top_n_sigma" => (with(p, |p| p.top_n_sigma = number(2)), vec![], 1),
            "xtc" => {
                let set = |p: &mut SamplerParams| {
                    p.xtc_probability = number(2);
                    p.xtc_threshold = number(3);
                };
                (with(p, set), vec![], 1)
            }
            "penalties" => {
                let set = |p: &mut SamplerParams| {
                    p.repeat_penalty = number(3);
                    p.frequency_penalty = number(4);
                    p.presence_penalty = number(5);
                };
                (with(p, set), numbers(1), 2)
            }
            "dry" => {
                let set = |p: &mut SamplerParams| {
                    p.dry_multiplier = number(3);
                    p.dry_base = number(4);
                    p.dry_allowed_length = number(5) as i32;
                    p.dry_penalty_last_n = number(6) as i32;
                    p.dry_sequence_breakers = texts(arg(7));
                };
                (with(p, set), numbers(1), 2)
            }
            _ => continue, // chains: sample_chains.rs
        };
        let history: Vec<u32> = history.iter().map(|&x| x as u32).collect();
        assert_close(
            &probabilities(params, &numbers(0), &history),
            &numbers(expected),
            case,
        );
        n_checked += 1;
    }
    assert_eq!(n_checked, 25);
}

#[test]
fn greedy_takes_the_first_of_the_best() {
    let mut greedy = sampler(
        SamplerParams {
            temperature: 0.0,
            ..SamplerParams::default()
        },
        4,
    );
    assert!(greedy.is_greedy());
    assert_eq!(
        greedy.sample(&[1.0, 3.0, 3.0, 2.0]).expect("good logits"),
        1
    );
}

#[test]
fn greedy_heeds_bias_and_penalties() {
    let params = SamplerParams {
        temperature: 0.0,
        repeat_penalty: 10.0,
        logit_bias: vec![(3, f32::NEG_INFINITY)],
        ..SamplerParams::default()
    };
    let mut greedy = sampler(params, 4);
    // The largest logit alone does not tell: who computes logits must hand all of them over.
    assert!(!greedy.is_greedy());
    let logits = [1.0, 3.0, 2.0, 9.0];
    assert_eq!(greedy.sample(&logits).expect("good logits"), 1);
    greedy.accept(1);
    assert_eq!(greedy.sample(&logits).expect("good logits"), 2);
    greedy.reset();
    assert_eq!(greedy.sample(&logits).expect("good logits"), 1);
}

#[test]
fn equal_seeds_give_equal_tokens_and_frequencies_follow_the_probabilities() {
    let probabilities = [0.5f32, 0.3, 0.15, 0.05];
    let logits: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
    let draw = |seed: u32| -> Vec<u32> {
        let mut sampler = sampler(
            SamplerParams {
                seed: Some(seed),
                ..neutral()
            },
            4,
        );
        (0..20_000)
            .map(|_| sampler.sample(&logits).expect("good logits"))
            .collect()
    };
    let tokens = draw(7);
    assert_eq!(tokens, draw(7));
    assert_ne!(tokens, draw(8));
    for (id, p) in probabilities.iter().enumerate() {
        let share = tokens.iter().filter(|&&t| t == id as u32).count() as f32 / 20_000.0;
        assert!((share - p).abs() < 0.015, "token {id}: {share}"); // four standard deviations
    }
}

#[test]
fn penalties_look_only_at_the_last_tokens() {
    let params = |last_n| SamplerParams {
        penalty_last_n: last_n,
        presence_penalty: 100.0,
        samplers: only("penalties"),
        ..neutral()
    };
    let left = |last_n| -> Vec<bool> {
        let p = probabilities(params(last_n), &[0.25; 4], &[0, 1, 2]);
        p.iter().map(|&p| p > 0.1).collect()
    };
    assert_eq!(left(0), [true; 4]);
    assert_eq!(left(1), [true, true, false, true]);
    assert_eq!(left(-1), [false, false, false, true]);
}

#[test]
fn min_keep_keeps_more() {
    let params = SamplerParams {
        top_p: 0.0,
        min_keep: 2,
        ..neutral()
    };
    assert_eq!(probabilities(params, &[0.1, 0.2, 0.7], &[]).len(), 2);
    let params = SamplerParams {
        min_p: 1.0,
        min_keep: 2,
        ..neutral()
    };
    assert_eq!(probabilities(params, &[0.1, 0.2, 0.7], &[]).len(), 2);
}

#[test]
fn bad_parameters_are_named() {
    type Set = fn(&mut SamplerParams);
    let cases: &[(&str, Set)] = &[
        ("temperature is NaN", |p| p.temperature = f32::NAN),
        ("dynatemp_range is inf", |p| {
            p.dynatemp_range = f32::INFINITY
        }),
        ("dynatemp_exponent is NaN", |p| {
            p.dynatemp_exponent = f32::NAN
        }),
        ("top_p is -0.5", |p| p.top_p = -0.5),
        ("min_p is inf", |p| p.min_p = f32::INFINITY),
        ("typical_p is NaN", |p| p.typical_p = f32::NAN),
        ("top_n_sigma is NaN", |p| p.top_n_sigma = f32::NAN),
        ("xtc_probability is NaN", |p| p.xtc_probability = f32::NAN),
        ("xtc_threshold is NaN", |p| p.xtc_threshold = f32::NAN),
        ("repeat_penalty is 0", |p| p.repeat_penalty = 0.0),
        ("frequency_penalty is NaN", |p| {
            p.frequency_penalty = f32::NAN
        }),
        ("penalty_last_n is -2", |p| p.penalty_last_n = -2),
        ("dry_multiplier is -1", |p| p.dry_multiplier = -1.0),
        ("dry_base is NaN", |p| p.dry_base = f32::NAN),
        ("dry_allowed_length is -1", |p| p.dry_allowed_length = -1),
        ("dry_penalty_last_n is -2", |p| p.dry_penalty_last_n = -2),
        (
            "dry_sequence_breakers is \"\\n\"; expected a sampler made with a tokenizer",
            |p| {
                p.dry_multiplier = 1.0;
            },
        ),
        (
            "samplers is infill; expected a sampler made with a tokenizer",
            |p| {
                p.samplers = only("infill");
            },
        ),
        ("mirostat is 3", |p| p.mirostat = 3),
        ("mirostat_tau is NaN", |p| p.mirostat_tau = f32::NAN),
        ("mirostat_eta is inf", |p| p.mirostat_eta = f32::INFINITY),
        ("adaptive_target is NaN", |p| p.adaptive_target = f32::NAN),
        ("adaptive_decay is NaN", |p| p.adaptive_decay = f32::NAN),
        ("token id 10", |p| p.logit_bias = vec![(10, 1.0)]),
        ("logit_bias is NaN", |p| p.logit_bias = vec![(1, f32::NAN)]),
        ("\"magic\"", |p| p.samplers = only("magic")),
    ];
    for (text, set) in cases {
        let params = with(SamplerParams::default(), set);
        let error = Sampler::new(params, 10).expect_err(text).to_string();
        assert!(error.contains(text), "{text}: {error}");
    }
}

#[test]
fn mirostat_takes_the_place_of_all_but_temperature() {
    let params = with(SamplerParams::default(), |p| {
        p.mirostat = 2;
        p.mirostat_tau = 100.0; // cuts nothing off
        p.top_k = 1;
    });
    assert_eq!(probabilities(params.clone(), &[0.25; 4], &[]).len(), 4);
    let named = with(params, |p| {
        p.samplers = vec!["mirostat".into(), "top_k".into()]
    });
    assert_eq!(probabilities(named, &[0.25; 4], &[]).len(), 1);
}

#[test]
fn a_temperature_range_above_zero_is_not_greedy() {
    let greedy = |t: f32, range: f32| {
        let set = |p: &mut SamplerParams| (p.temperature, p.dynatemp_range) = (t, range);
        sampler(with(neutral(), set), 4).is_greedy()
    };
    assert!(greedy(0.0, 0.0));
    assert!(!greedy(0.0, 0.5));
    assert!(greedy(-1.0, 0.5));
}

#[test]
fn dry_stays_finite_on_long_repetitions() {
    let params = with(neutral(), |p| {
        p.dry_multiplier = 5.0;
        p.dry_base = 4.0;
        p.dry_sequence_breakers.clear();
    });
    let mut sampler = sampler(params, 3);
    (0..20_000).for_each(|_| sampler.accept(1));
    assert_ne!(sampler.sample(&[0.0, 3.0e38, 0.0]).expect("a token"), 1);
    assert_eq!(
        sampler
            .sample(&[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY])
            .expect("it alone"),
        1
    );
}

#[test]
fn bad_logits_are_errors() {
    for temperature in [0.0, 0.8] {
        let mut sampler = sampler(
            SamplerParams {
                temperature,
                ..SamplerParams::default()
            },
            3,
        );
        let mut error =
            |logits: &[f32]| sampler.sample(logits).expect_err("bad logits").to_string();
        assert!(error(&[1.0, f32::NAN, 1.0]).contains("NaN for token 1"));
        assert!(error(&[1.0, 1.0, f32::INFINITY]).contains("inf for token 2"));
        assert!(error(&[f32::NEG_INFINITY; 3]).contains("-inf for every token"));
        assert!(error(&[1.0, 1.0]).contains("there are 2"));
    }
}

#[test]
fn extreme_numbers_still_give_a_token() {
    for logits in [
        [f32::MAX, f32::MIN, 0.0],
        [f32::MIN, f32::MIN, f32::MIN],
        [0.0, -0.0, f32::NEG_INFINITY],
    ] {
        for temperature in [f32::MIN_POSITIVE, 1e-30, 1e30, f32::MAX] {
            let params = SamplerParams {
                temperature,
                seed: Some(3),
                ..SamplerParams::default()
            };
            let token = sampler(params, 3).sample(&logits).expect("a token");
            assert!(token < 3);
        }
    }
}

#[test]
fn candidates_of_a_caller_are_penalized_by_id() {
    let params = SamplerParams {
        presence_penalty: 1.0,
        samplers: only("penalties"),
        ..neutral()
    };
    let mut sampler = sampler(params, 100);
    sampler.accept(42);
    let mut candidates = Candidates::new(&[]);
    candidates.items = vec![
        Candidate {
            id: 7,
            logit: 2.0,
            p: 0.0,
        },
        Candidate {
            id: 42,
            logit: 2.0,
            p: 0.0,
        },
    ];
    sampler.apply(&mut candidates);
    assert_eq!(
        candidates.items.iter().map(|c| c.logit).collect::<Vec<_>>(),
        [2.0, 1.0]
    );
}
