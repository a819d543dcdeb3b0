//! Tokenizers against llama.cpp's vocabulary cases, and round trips.

mod support;

use proptest::prelude::*;
use puna_text::{DecodeOptions, EncodeOptions, Tokenizer};

const PLAIN: EncodeOptions = EncodeOptions {
    add_special: false,
    parse_special: false,
};

/// The cases beside a vocabulary file: text, tokens.
fn cases(name: &str) -> Vec<(String, Vec<u32>)> {
    let read = |ext: &str| {
        let path = support::data(&format!("llamacpp/vocab/ggml-vocab-{name}.gguf.{ext}"));
        std::fs::read_to_string(path.expect("beside the vocabulary")).expect("readable")
    };
    let ids = |line: &str| {
        line.split_whitespace()
            .map(|id| id.parse().expect("an id"))
            .collect()
    };
    let (inputs, outputs) = (read("inp"), read("out"));
    let inputs = inputs.split("\n__ggml_vocab_test__\n").map(String::from);
    inputs.zip(outputs.lines().map(ids)).collect()
}

fn all_cases_hold(name: &str) {
    let Some(tokenizer) = support::vocab(name) else {
        return;
    };
    let cases = cases(name);
    assert!(cases.len() >= 46, "{} cases", cases.len());
    for (text, expected) in cases {
        assert_eq!(tokenizer.encode(&text, PLAIN), expected, "{name}: {text:?}");
    }
}

#[test]
fn llama_spm_cases_hold() {
    all_cases_hold("llama-spm");
}

#[test]
fn phi_3_cases_hold() {
    all_cases_hold("phi-3");
}

#[test]
fn gpt_2_cases_hold() {
    all_cases_hold("gpt-2");
}

#[test]
fn deepseek_coder_cases_hold() {
    all_cases_hold("deepseek-coder");
}

#[test]
fn starcoder_cases_hold() {
    all_cases_hold("starcoder");
}

#[test]
fn bert_bge_cases_hold() {
    all_cases_hold("bert-bge");
}

#[test]
fn bert_puts_cls_before_and_sep_after() {
    let Some(tokenizer) = support::vocab("bert-bge") else {
        return;
    };
    let tokens = tokenizer.encode("Hello, wörld!", EncodeOptions::default());
    assert_eq!(tokens, [101, 7592, 1010, 2088, 999, 102]);
    assert_eq!(decoded(&tokenizer, &tokens), b"hello , world !");
    let word = "a".repeat(1 << 20); // no quadratic behaviour
    assert!(tokenizer.encode(&word, PLAIN).len() > 1000);
}

#[test]
fn rwkv_takes_the_longest_token_from_the_left() {
    let bytes = (0..=255u8).map(|b| format!("\\x{b:02x}"));
    let words = ["ab", "abcd", "\\n\\n"].map(String::from);
    let tokenizer = Tokenizer::new(puna_text::VocabData {
        model: "rwkv".into(),
        tokens: bytes.chain(words).map(String::into_bytes).collect(),
        ..puna_text::VocabData::default()
    });
    let tokenizer = tokenizer.expect("loads");
    let text = "abcabcd\n\nä";
    let tokens = tokenizer.encode(text, PLAIN);
    assert_eq!(tokens, [256, 99, 257, 258, 0xC3, 0xA4]);
    assert_eq!(decoded(&tokenizer, &tokens), text.as_bytes());
}

#[test]
fn vocabularies_without_cases_give_texts_back() {
    for name in ["baichuan", "gpt-neox"] {
        let Some(tokenizer) = support::vocab(name) else {
            return;
        };
        let text = "Hello, wörld! 你好 3.14\n\n\tfn main() {}  😀";
        let tokens = tokenizer.encode(text, PLAIN);
        assert_eq!(decoded(&tokenizer, &tokens), text.as_bytes(), "{name}");
    }
}

fn decoded(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
    tokenizer.decode(tokens, DecodeOptions::default())
}

fn every_code_point_comes_back(name: &str) {
    let Some(tokenizer) = support::vocab(name) else {
        return;
    };
    for c in '\0'..=char::MAX {
        // A text that ends or starts with a blank keeps it; SPM adds one and takes it off again.
        for text in [c.to_string(), format!("a{c} b")] {
            let tokens = tokenizer.encode(&text, PLAIN);
            // SPM writes blanks as U+2581, so that character comes back as a blank.
            let expected = if tokenizer.add_space_prefix() {
                text.replace('▁', " ")
            } else {
                text
            };
            assert_eq!(
                decoded(&tokenizer, &tokens),
                expected.as_bytes(),
                "U+{:04X}",
                c as u32
            );
        }
    }
}

#[test]
fn every_code_point_comes_back_from_spm() {
    every_code_point_comes_back("llama-spm");
}

#[test]
fn every_code_point_comes_back_from_bpe() {
    every_code_point_comes_back("gpt-2");
}

#[test]
fn every_token_comes_back_as_its_own_text() {
    let Some(tokenizer) = support::vocab("gpt-2") else {
        return;
    };
    for id in 0..tokenizer.n_vocab() as u32 {
        let bytes = tokenizer.token_bytes(id, true).expect("in range").to_vec();
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        let again = tokenizer.encode(&text, PLAIN);
        assert_eq!(decoded(&tokenizer, &again), text.as_bytes(), "{id}");
    }
}

#[test]
fn long_words_merge_as_short_ones_do() {
    // The heap takes over from the scan at some length; a word is cut the same on either side.
    let Some(tokenizer) = support::vocab("gpt-2") else {
        return;
    };
    let unit = tokenizer.encode("=", PLAIN);
    for n in [1, 31, 47, 48, 49, 64, 1000] {
        let tokens = tokenizer.encode(&"=".repeat(n), PLAIN);
        assert_eq!(decoded(&tokenizer, &tokens), "=".repeat(n).as_bytes());
        assert!(unit.len() <= tokens.len());
    }
}

#[test]
fn one_long_word_takes_no_square_of_its_length() {
    // A few seconds in all. Looking at every pair again after each merge takes hours, which is how this
    // test fails: a limit of its own would depend on what else the machine does.
    for name in ["gpt-2", "deepseek-coder", "llama-spm", "bert-bge"] {
        let Some(tokenizer) = support::vocab(name) else {
            return;
        };
        for unit in [
            "a",
            " ",
            "\n",
            "ab",
            "!",
            "7",
            "中",
            "e\u{301}",
            "<|im_start|>",
        ] {
            let text = unit.repeat(300_000 / unit.len());
            let options = EncodeOptions {
                parse_special: true,
                ..EncodeOptions::default()
            };
            assert!(
                !tokenizer.encode(&text, options).is_empty(),
                "{name} {unit:?}"
            );
        }
    }
}

#[test]
fn invalid_utf8_is_kept_by_spm_and_replaced_by_bpe() {
    let (Some(spm), Some(bpe)) = (support::vocab("llama-spm"), support::vocab("gpt-2")) else {
        return;
    };
    let text = b"a\xFF\xE2\x82b";
    assert_eq!(decoded(&spm, &spm.encode_bytes(text, PLAIN)), text);
    let replaced = "a\u{FFFD}\u{FFFD}\u{FFFD}b";
    assert_eq!(
        decoded(&bpe, &bpe.encode_bytes(text, PLAIN)),
        replaced.as_bytes()
    );
}

#[test]
fn special_tokens_are_parsed_only_when_asked() {
    let Some(tokenizer) = support::vocab("phi-3") else {
        return;
    };
    let end = tokenizer.token_id(b"<|end|>").expect("phi-3 has it");
    let text = "Hi<|end|>\n<|user|>";
    let parsed = tokenizer.encode(
        text,
        EncodeOptions {
            parse_special: true,
            ..PLAIN
        },
    );
    assert!(parsed.contains(&end));
    assert!(!tokenizer.encode(text, PLAIN).contains(&end));
    assert_eq!(
        tokenizer.decode(&parsed, DecodeOptions { special: true }),
        b"Hi<|end|><|user|>"
    );
    assert_eq!(decoded(&tokenizer, &parsed), b"Hi");
}

#[test]
fn bos_is_added_as_the_vocabulary_says() {
    let Some(spm) = support::vocab("llama-spm") else {
        return;
    };
    assert_eq!(spm.encode("Hello", EncodeOptions::default()), [1, 15043]);
    assert_eq!(spm.encode("", EncodeOptions::default()), [1]);
    assert_eq!(decoded(&spm, &[1, 15043]), b"Hello");
    let special = DecodeOptions { special: true };
    assert_eq!(spm.decode(&[1, 15043], special), b"<s> Hello");
}

#[test]
fn endings_are_those_of_the_model() {
    let Some(tokenizer) = support::vocab("phi-3") else {
        return;
    };
    let end = tokenizer.token_id(b"<|end|>").expect("phi-3 has it");
    assert!(tokenizer.is_eog(end) && tokenizer.is_eog(32000));
    assert!(!tokenizer.is_eog(29871));
}

#[test]
fn unknown_names_list_the_known_ones() {
    let Some(mut data) = support::vocab_data("gpt-2") else {
        return;
    };
    data.pre = Some("no-such-thing".into());
    let error = Tokenizer::new(data.clone())
        .expect_err("unknown")
        .to_string();
    assert!(
        error.contains("no-such-thing") && error.contains("llama-bpe"),
        "{error}"
    );
    data.model = "t4".into();
    let error = Tokenizer::new(data).expect_err("unknown").to_string();
    assert!(error.contains("t4") && error.contains("gpt2"), "{error}");
}

#[test]
fn broken_vocabularies_are_errors() {
    let Some(data) = support::vocab_data("gpt-2") else {
        return;
    };
    let broken = |change: fn(&mut puna_text::VocabData)| {
        let mut data = data.clone();
        change(&mut data);
        Tokenizer::new(data).expect_err("broken").to_string()
    };
    assert!(broken(|d| d.tokens.clear()).contains("tokenizer.ggml.tokens"));
    assert!(broken(|d| d.token_types.push(1)).contains("50258"));
    assert!(broken(|d| d.token_types[7] = 9).contains("9 at 7"));
    assert!(broken(|d| d.bos = Some(99_999)).contains("99999"));
    assert!(broken(|d| d.merges[3] = b"ab".to_vec()).contains("\"ab\" at 3"));
    assert!(broken(|d| d.scores = vec![f32::NAN; 50257]).contains("NaN"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decoding_gives_the_text_back(text in "(\\PC|\\s|[a-z ']){0,60}") {
        for name in ["gpt-2", "llama-spm"] {
            let Some(tokenizer) = support_cached(name) else { return Ok(()) };
            let tokens = tokenizer.encode(&text, EncodeOptions::default());
            let expected = if tokenizer.add_space_prefix() { text.replace('▁', " ") } else { text.clone() };
            prop_assert_eq!(decoded(tokenizer, &tokens), expected.as_bytes());
        }
    }

    #[test]
    fn streaming_gives_whole_characters_and_the_same_text(text in "(\\PC|[a-z ]){1,30}") {
        for name in ["gpt-2", "llama-spm"] {
            let Some(tokenizer) = support_cached(name) else { return Ok(()) };
            let tokens = tokenizer.encode(&text, PLAIN);
            let mut stream = tokenizer.stream(false);
            let mut out = String::new();
            for &token in &tokens {
                out += &stream.push(token).expect("in range");
            }
            out += &stream.flush();
            let at_start = usize::from(tokenizer.add_space_prefix());
            let expected = if at_start == 1 { text.replace('▁', " ") } else { text.clone() };
            prop_assert_eq!(&out[at_start..], expected);
        }
    }
}

fn support_cached(name: &str) -> Option<&'static Tokenizer> {
    use std::sync::OnceLock;
    static CACHE: [OnceLock<Option<Tokenizer>>; 2] = [OnceLock::new(), OnceLock::new()];
    CACHE[usize::from(name == "gpt-2")]
        .get_or_init(|| support::vocab(name))
        .as_ref()
}
