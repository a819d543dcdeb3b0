//! UGM against llama.cpp (`golden/make_ugm.py`): models with every wish about blanks.

use puna_text::{DecodeOptions, EncodeOptions, Tokenizer, VocabData};
use serde_json::Value;

/// The models of a golden file with their texts; `PUNA_UGM` names another (`make_ugm.py --many`).
fn golden() -> Value {
    let text = match std::env::var("PUNA_UGM") {
        Ok(path) => std::fs::read_to_string(path).expect("PUNA_UGM is readable"),
        Err(_) => include_str!("golden/ugm.json").into(),
    };
    serde_json::from_str(&text).expect("JSON")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// The metadata of one of the models.
fn data(golden: &Value, case: &Value) -> VocabData {
    let list = |key: &str| golden[key].as_array().expect("a list").iter();
    VocabData {
        model: "t5".into(),
        tokens: list("tokens")
            .map(|t| t.as_str().expect("text").into())
            .collect(),
        scores: list("scores")
            .map(|s| s.as_f64().expect("a number") as f32)
            .collect(),
        token_types: list("types")
            .map(|t| t.as_i64().expect("a number") as i32)
            .collect(),
        precompiled_charsmap: bytes(golden["charsmap"].as_str().expect("hex")),
        add_space_prefix: case["add_space_prefix"].as_bool(),
        remove_extra_whitespaces: case["remove_extra_whitespaces"].as_bool(),
        ..VocabData::default()
    }
}

fn tokenizers() -> Vec<(Tokenizer, Value)> {
    let golden = golden();
    let cases = golden["cases"].as_array().expect("a list");
    let load = |case: &Value| Tokenizer::new(data(&golden, case)).expect("loads");
    cases
        .iter()
        .map(|case| (load(case), case["texts"].clone()))
        .collect()
}

#[test]
fn texts_give_the_tokens_of_llama_cpp() {
    let options = EncodeOptions {
        add_special: false,
        parse_special: false,
    };
    let mut wrong = Vec::new();
    let mut n = 0;
    for (model, (tokenizer, texts)) in tokenizers().iter().enumerate() {
        for case in texts.as_array().expect("a list") {
            let text = case[0].as_str().expect("text");
            let ids = Value::from(tokenizer.encode(text, options));
            n += 1;
            if ids != case[1] {
                wrong.push(format!(
                    "{model} {text:?}:\n  {ids}\n  expected {}",
                    case[1]
                ));
            }
        }
    }
    wrong.truncate(20);
    assert!(n > 0 && wrong.is_empty(), "of {n}:\n{}", wrong.join("\n"));
}

#[test]
fn eos_comes_last_and_the_first_blank_goes() {
    let (tokenizer, _) = &tokenizers()[0];
    let tokens = tokenizer.encode("message token", EncodeOptions::default());
    assert_eq!(tokens.last(), Some(&1));
    assert_eq!(
        tokenizer.decode(&tokens, DecodeOptions::default()),
        b"message token"
    );
}

#[test]
fn a_broken_map_of_characters_is_an_error() {
    let golden = golden();
    let mut data = data(&golden, &golden["cases"][0]);
    data.precompiled_charsmap.truncate(20);
    let error = Tokenizer::new(data).expect_err("broken").to_string();
    assert!(error.contains("precompiled_charsmap"), "{error}");
}
