//! Hyper-parameters that no model has are errors that name the key, the value and what was expected.

use puna_format::{Array, Metadata, Value};
use puna_model::{Error, Hparams, Pooling};

/// The least that a model says of itself.
fn metadata() -> Metadata {
    let mut m = Metadata::new();
    m.set("general.architecture", Value::String(b"llama".to_vec()));
    for (key, n) in [
        ("context_length", 64),
        ("embedding_length", 32),
        ("block_count", 3),
        ("feed_forward_length", 64),
        ("attention.head_count", 4),
        ("vocab_size", 16),
    ] {
        m.set(&format!("llama.{key}"), Value::U32(n));
    }
    m.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5));
    m
}

fn with(key: &str, value: Value) -> Metadata {
    let mut m = metadata();
    m.set(&format!("llama.{key}"), value);
    m
}

fn refused(m: &Metadata) -> String {
    match Hparams::read(m) {
        Err(e @ (Error::Hparam { .. } | Error::Format(_))) => e.to_string(),
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn a_plain_model_is_causal_and_has_no_experts() {
    let h = Hparams::read(&metadata()).expect("sound");
    assert!(h.causal && h.experts.is_none() && h.pooling.is_none() && h.use_parallel_residual);
    assert_eq!(h.windows(6), [None; 3]);
}

#[test]
fn what_no_model_has_is_refused_by_name() {
    let text = |s: &str| Value::String(s.as_bytes().to_vec());
    let cases = [
        ("rope.scaling.type", text("twisted")),
        ("rope.scaling.type", text("yarn")), // without its factor
        ("rope.freq_base", Value::F32(f32::NAN)),
        ("rope.freq_base_swa", Value::F32(-1.0)),
        ("rope.dimension_count", Value::U32(7)),
        ("attention.head_count", Value::U32(0)),
        ("attention.head_count", Value::U32(5)),
        ("attention.head_count_kv", Value::U32(3)),
        ("attention.layer_norm_rms_epsilon", Value::F32(0.0)),
        ("attention.max_alibi_bias", Value::F32(-8.0)),
        ("attention.key_length", Value::U32(u32::MAX)),
        ("block_count", Value::U32(1 << 30)),
        ("embedding_length", Value::U32(u32::MAX)),
        ("expert_count", Value::U32(1 << 31)),
        ("expert_count", Value::U32(8)), // without expert_used_count
        ("pooling_type", Value::U32(9)),
    ];
    for (key, value) in cases {
        let message = refused(&with(key, value));
        let root = key.split('.').next().expect("a key");
        assert!(message.contains("llama."), "{key}: {message}");
        assert!(
            message.contains(root) || root == "expert_count",
            "{message}"
        );
    }
}

#[test]
fn a_token_cannot_use_more_experts_than_there_are() {
    let mut m = with("expert_count", Value::U32(4));
    m.set("llama.expert_used_count", Value::U32(5));
    assert!(refused(&m).contains("llama.expert_used_count = 5, expected 1 to 4"));
    m.set("llama.expert_used_count", Value::U32(0));
    assert!(refused(&m).contains("expert_used_count"));
}

#[test]
fn zero_experts_and_a_zero_window_are_none() {
    let mut m = with("expert_count", Value::U32(0));
    m.set("llama.attention.sliding_window", Value::U32(0));
    let h = Hparams::read(&m).expect("sound");
    assert!(h.experts.is_none() && h.sliding_window.is_none());
}

#[test]
fn a_window_pattern_is_a_period_or_one_bool_a_layer() {
    let pattern = |value| {
        let mut m = with("attention.sliding_window", Value::U32(8));
        m.set("llama.attention.sliding_window_pattern", value);
        Hparams::read(&m).map(|h| h.windows(6))
    };
    let bools = |list: &[bool]| Value::Array(Array::Bool(list.to_vec()));
    assert_eq!(pattern(Value::U32(2)).unwrap(), [Some(8), None, Some(8)]);
    assert_eq!(
        pattern(bools(&[false, true, true])).unwrap(),
        [None, Some(8), Some(8)]
    );
    let short = pattern(bools(&[true])).unwrap_err().to_string();
    assert!(short.contains("sliding_window_pattern: length = 1"));
}

#[test]
fn longrope_is_known_and_leaves_the_frequencies_to_its_tensors() {
    let mut m = with("rope.scaling.type", Value::String(b"longrope".to_vec()));
    m.set("llama.rope.scaling.attn_factor", Value::F32(1.19));
    m.set("llama.rope.scaling.original_context_length", Value::U32(32));
    let h = Hparams::read(&m).expect("sound");
    assert_eq!((h.rope_attn_factor, h.rope_original_context), (1.19, 32));
}

#[test]
fn an_encoder_says_how_it_pools() {
    let mut m = with("pooling_type", Value::U32(2));
    m.set("llama.attention.causal", Value::Bool(false));
    let h = Hparams::read(&m).expect("sound");
    assert_eq!(h.pooling, Some(Pooling::Cls));
    assert!(!h.causal);
}
