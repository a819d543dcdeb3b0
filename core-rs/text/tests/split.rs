//! Pre-tokenizers against the regexes they stand for.

use proptest::prelude::*;
use puna_text::split::{NextPiece, PRE_TOKENIZERS, find};
use serde_json::Value;

fn words<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
    let mut words = Vec::new();
    find(Some(name))
        .expect("known")
        .words(text, |word| words.push(word));
    words
}

#[test]
fn splitters_cut_as_their_regexes_do() {
    // Made by golden/make_split.py with Python's `regex`.
    let golden: Value = serde_json::from_str(include_str!("golden/split.json")).expect("JSON");
    let texts = golden["texts"].as_array().expect("a list");
    for (name, lengths) in golden["lengths"].as_object().expect("an object") {
        for (text, expected) in texts.iter().zip(lengths.as_array().expect("a list")) {
            let text = text.as_str().expect("a text");
            let words = words(name, text);
            let lengths = words.iter().map(|w| 32 + w.chars().count() as u32);
            let actual: String = lengths.filter_map(char::from_u32).collect();
            assert_eq!(
                Value::from(actual),
                *expected,
                "{name}: {text:?} as {words:?}"
            );
        }
    }
}

#[test]
fn every_way_to_cut_is_compared() {
    let golden: Value = serde_json::from_str(include_str!("golden/split.json")).expect("JSON");
    let compared = golden["lengths"].as_object().expect("an object");
    let same = |a: &[NextPiece], b: &[NextPiece]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| std::ptr::fn_addr_eq(*a, *b))
    };
    let stages = |name: &str| find(Some(name)).expect("known").stages;
    for row in PRE_TOKENIZERS {
        let known = compared.keys().any(|name| same(stages(name), row.stages));
        assert!(known, "{:?}", row.names);
    }
}

#[test]
fn every_name_is_listed_once() {
    let mut names: Vec<_> = puna_text::pre_tokenizer_names().collect();
    let n = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n);
}

proptest! {
    #[test]
    fn pieces_are_the_text(text in "(\\PC|\\s|'|[0-9a-z]){0,80}") {
        for row in PRE_TOKENIZERS {
            prop_assert_eq!(words(row.names[0], &text).concat(), &text[..]);
            prop_assert!(words(row.names[0], &text).iter().all(|w| !w.is_empty()));
        }
    }
}
