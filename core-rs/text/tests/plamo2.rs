//! PLaMo 2 against llama.cpp (`golden/make_plamo2.py`).

use puna_text::{DecodeOptions, EncodeOptions, Tokenizer, VocabData};
use serde_json::Value;

fn golden() -> (VocabData, Value) {
    let golden: Value = serde_json::from_str(include_str!("golden/plamo2.json")).expect("JSON");
    let tokens = golden["tokens"].as_array().expect("a list");
    let data = VocabData {
        model: "plamo2".into(),
        tokens: tokens
            .iter()
            .map(|t| t[0].as_str().expect("text").into())
            .collect(),
        scores: tokens
            .iter()
            .map(|t| t[1].as_f64().expect("a score") as f32)
            .collect(),
        token_types: tokens
            .iter()
            .map(|t| t[2].as_i64().expect("a type") as i32)
            .collect(),
        ..VocabData::default()
    };
    (data, golden["cases"].clone())
}

#[test]
fn texts_give_the_tokens_of_llama_cpp_and_come_back() {
    let (data, cases) = golden();
    let tokenizer = Tokenizer::new(data).expect("loads");
    let cases = cases.as_array().expect("a list");
    assert!(cases.len() > 100);
    for case in cases {
        let text = case[0].as_str().expect("text");
        let tokens = tokenizer.encode(text, EncodeOptions::default());
        assert_eq!(Value::from(tokens.clone()), case[1], "{text:?}");
        let back = tokenizer.decode(&tokens, DecodeOptions::default());
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        assert_eq!(String::from_utf8_lossy(&back), text);
    }
}

#[test]
fn control_tokens_are_not_read_from_a_text() {
    let (data, _) = golden();
    let tokenizer = Tokenizer::new(data).expect("loads");
    let tokens = tokenizer.encode("<|plamo:eos|>", EncodeOptions::default());
    assert!(!tokens.contains(&2) && tokens.len() > 1);
}

#[test]
fn a_byte_without_a_token_is_an_error() {
    let (mut data, _) = golden();
    data.tokens[4 + 0x41] = b"x".to_vec();
    let error = Tokenizer::new(data).expect_err("a hole").to_string();
    assert!(error.contains("<0x41>"), "{error}");
}
