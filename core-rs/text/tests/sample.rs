//! Samplers against llama.cpp's cases, and what the chain promises.

mod support;

use puna_text::{Candidate, Candidates, Sampler, SamplerParams};
use serde_json::Value;

/// Parameters under which no sampler does anything.
fn neutral() -> SamplerParams {
    SamplerParams {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed: Some(1),
        ..SamplerParams::default()
    }
}

fn sampler(params: SamplerParams, n_vocab: usize) -> Sampler {
    Sampler::new(params, n_vocab).expect("good parameters")
}

fn only(name: &str) -> Vec<String> {
    vec![name.into()]
}

/// Probabilities left after the chain, in the order of the candidates.
fn probabilities(params: SamplerParams, from: &[f32], history: &[u32]) -> Vec<f32> {
    let logits: Vec<f32> = from.iter().map(|p| p.ln()).collect();
    let mut sampler = sampler(params, logits.len());
    history.iter().for_each(|&token| sampler.accept(token));
    let mut candidates = Candidates::new(&logits);
    sampler.apply(&mut candidates);
    candidates.softmax();
    candidates.items.iter().map(|c| c.p).collect()
}

/// llama.cpp prints its expectations with five digits or so.
const TOLERANCE: f32 = 1e-5;

fn assert_close(actual: &[f32], expected: &[f32], case: &Value) {
    let close = actual
        .iter()
        .zip(expected)
        .all(|(a, e)| (a - e).abs() <= TOLERANCE);
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
        let (params, history, expected) = match case["sampler"].as_str().expect("a name") {
            "temp" => (
                SamplerParams {
                    temperature: number(2),
                    ..neutral()
                },
                vec![],
                1,
            ),
            "top_k" => (
                SamplerParams {
                    top_k: number(2) as i32,
                    ..neutral()
                },
                vec![],
                1,
            ),
            "top_p" => (
                SamplerParams {
                    top_p: number(2),
                    ..neutral()
                },
                vec![],
                1,
            ),
            "min_p" => (
                SamplerParams {
                    min_p: number(2),
                    ..neutral()
                },
                vec![],
                1,
            ),
            "penalties" => {
                let params = SamplerParams {
                    repeat_penalty: number(3),
                    frequency_penalty: number(4),
                    presence_penalty: number(5),
                    ..neutral()
                };
                (params, numbers(1), 2)
            }
            _ => continue, // samplers that are not here, and chains: below
        };
        let history: Vec<u32> = history.iter().map(|&x| x as u32).collect();
        assert_close(
            &probabilities(params, &numbers(0), &history),
            &numbers(expected),
            case,
        );
        n_checked += 1;
    }
    assert_eq!(n_checked, 16);
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
    let error = |params: SamplerParams| {
        Sampler::new(params, 10)
            .expect_err("a bad parameter")
            .to_string()
    };
    let default = SamplerParams::default;
    for (text, params) in [
        (
            "temperature is NaN",
            SamplerParams {
                temperature: f32::NAN,
                ..default()
            },
        ),
        (
            "top_p is -0.5",
            SamplerParams {
                top_p: -0.5,
                ..default()
            },
        ),
        (
            "min_p is inf",
            SamplerParams {
                min_p: f32::INFINITY,
                ..default()
            },
        ),
        (
            "repeat_penalty is 0",
            SamplerParams {
                repeat_penalty: 0.0,
                ..default()
            },
        ),
        (
            "frequency_penalty is NaN",
            SamplerParams {
                frequency_penalty: f32::NAN,
                ..default()
            },
        ),
        (
            "penalty_last_n is -2",
            SamplerParams {
                penalty_last_n: -2,
                ..default()
            },
        ),
        (
            "token id 10",
            SamplerParams {
                logit_bias: vec![(10, 1.0)],
                ..default()
            },
        ),
        (
            "logit_bias is NaN",
            SamplerParams {
                logit_bias: vec![(1, f32::NAN)],
                ..default()
            },
        ),
        (
            "\"magic\"",
            SamplerParams {
                samplers: only("magic"),
                ..default()
            },
        ),
    ] {
        assert!(
            error(params.clone()).contains(text),
            "{text}: {}",
            error(params)
        );
    }
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
