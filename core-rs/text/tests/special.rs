//! Special tokens and endings, on vocabularies small enough to check by hand.

use puna_text::{DecodeOptions, EncodeOptions, Tokenizer, VocabData};

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER: i32 = 4;

/// A byte-level vocabulary: the letters, a blank, then `special`.
fn tokenizer(special: &[(&str, i32)]) -> Tokenizer {
    Tokenizer::new(data(special)).expect("loads")
}

fn data(special: &[(&str, i32)]) -> VocabData {
    let letters = ('a'..='z')
        .chain("<>|/_Ġ".chars())
        .map(|c| (c.to_string(), NORMAL));
    let all: Vec<_> = letters
        .chain(special.iter().map(|&(t, kind)| (t.into(), kind)))
        .collect();
    VocabData {
        model: "gpt2".into(),
        pre: Some("gpt-2".into()),
        tokens: all
            .iter()
            .map(|(text, _)| text.clone().into_bytes())
            .collect(),
        token_types: all.iter().map(|&(_, kind)| kind).collect(),
        ..VocabData::default()
    }
}

fn pieces(tokenizer: &Tokenizer, text: &str, parse_special: bool) -> Vec<String> {
    let options = EncodeOptions {
        add_special: false,
        parse_special,
    };
    let text_of = |id: &u32| {
        String::from_utf8(tokenizer.token_text(*id).expect("in range").to_vec()).expect("UTF-8")
    };
    tokenizer
        .encode(text, options)
        .iter()
        .map(text_of)
        .collect()
}

#[test]
fn longest_token_wins_wherever_it_starts() {
    let tokenizer = tokenizer(&[("ab", USER), ("bcd", USER)]);
    assert_eq!(pieces(&tokenizer, "abcd", false), ["a", "bcd"]);
    assert_eq!(pieces(&tokenizer, "abab", false), ["ab", "ab"]);
}

#[test]
fn control_tokens_need_parse_special_and_user_defined_ones_do_not() {
    let tokenizer = tokenizer(&[("<x>", CONTROL), ("<y>", USER)]);
    assert_eq!(pieces(&tokenizer, "<x><y>", false), ["<", "x", ">", "<y>"]);
    assert_eq!(pieces(&tokenizer, "<x><y>", true), ["<x>", "<y>"]);
}

#[test]
fn user_defined_tokens_keep_their_text_as_it_is() {
    let tokenizer = tokenizer(&[("a b", USER)]);
    let tokens = tokenizer.encode("ca b", EncodeOptions::default());
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokenizer.decode(&tokens, DecodeOptions::default()), b"ca b");
}

#[test]
fn known_endings_become_control_tokens() {
    let tokenizer = tokenizer(&[("<|im_end|>", NORMAL), ("<|eom_id|>", NORMAL)]);
    let end = tokenizer.token_id(b"<|im_end|>").expect("there");
    assert_eq!(tokenizer.eot(), Some(end));
    assert_eq!(tokenizer.eom(), tokenizer.token_id(b"<|eom_id|>"));
    assert_eq!(tokenizer.eog_tokens(), [end, end + 1]);
    assert_eq!(tokenizer.decode(&[end], DecodeOptions::default()), b"");
}

#[test]
fn gpt_oss_goes_on_after_end() {
    let endings = [
        ("<|end|>", CONTROL),
        ("<|return|>", CONTROL),
        ("<|call|>", CONTROL),
    ];
    let tokenizer = tokenizer(&endings);
    let id = |text: &[u8]| tokenizer.token_id(text).expect("there");
    assert!(!tokenizer.is_eog(id(b"<|end|>")));
    assert!(tokenizer.is_eog(id(b"<|return|>")) && tokenizer.is_eog(id(b"<|call|>")));
}

#[test]
fn gpt_oss_s_marks_are_shown() {
    let marks = [("<|start|>", CONTROL), ("<|channel|>", CONTROL)];
    let tokenizer = tokenizer(&marks);
    let shown = tokenizer.decode(&[32, 33], DecodeOptions::default());
    assert_eq!(shown, b"<|start|><|channel|>");
}

#[test]
fn gemma_4_writes_what_ends_others() {
    let tokenizer = tokenizer(&[("</s>", NORMAL), ("<|tool_response>", CONTROL)]);
    assert_eq!(tokenizer.eog_tokens(), [33]);
    assert_eq!(tokenizer.decode(&[32], DecodeOptions::default()), b"</s>");
}

#[test]
fn tokens_for_filling_in_are_known_by_their_texts() {
    let texts = [
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        "<|fim_pad|>",
    ];
    let mut data = data(&texts.map(|text| (text, CONTROL)));
    data.fim.middle = Some(7);
    let tokenizer = Tokenizer::new(data).expect("loads");
    let fim = tokenizer.fim();
    assert_eq!((fim.prefix, fim.suffix), (Some(32), Some(33)));
    assert_eq!(fim.middle, Some(7)); // as the file says
    assert!(tokenizer.is_eog(35) && !tokenizer.is_eog(32));
}

#[test]
fn minus_one_is_no_token_and_others_outside_are_errors() {
    let mut data = data(&[]);
    data.pad = Some(u32::MAX);
    assert_eq!(Tokenizer::new(data.clone()).expect("loads").pad(), None);
    data.mask = Some(32);
    let error = Tokenizer::new(data).expect_err("outside").to_string();
    assert!(error.contains("mask_token_id is 32"), "{error}");
}

#[test]
fn some_models_masks_take_the_blanks_before_them() {
    let mut data = data(&[("<mask>", CONTROL)]);
    data.pre = Some("jina-v2-de".into());
    let tokenizer = Tokenizer::new(data.clone()).expect("loads");
    assert_eq!(
        pieces(&tokenizer, "a  <mask> b", true),
        ["a", "<mask>", "Ġ", "b"]
    );
    data.pre = Some("gpt-2".into());
    let tokenizer = Tokenizer::new(data).expect("loads");
    assert_eq!(pieces(&tokenizer, "a <mask>", true), ["a", "Ġ", "<mask>"]);
}

#[test]
fn bert_keeps_case_and_accents_where_the_file_says_so() {
    let texts = ["[UNK]", "▁a", "▁A", "▁ä", "▁Ä"];
    let tokens = |lowercase, strip_accents| {
        let tokenizer = Tokenizer::new(VocabData {
            model: "bert".into(),
            tokens: texts.map(|t| t.as_bytes().to_vec()).to_vec(),
            unk: Some(0),
            lowercase,
            strip_accents,
            ..VocabData::default()
        });
        pieces(&tokenizer.expect("loads"), "A Ä", false)
    };
    assert_eq!(tokens(None, None), ["▁a", "▁a"]);
    assert_eq!(tokens(Some(false), None), ["▁A", "▁Ä"]);
    assert_eq!(tokens(Some(true), Some(false)), ["▁a", "▁ä"]);
    assert_eq!(tokens(Some(false), Some(true)), ["▁A", "▁A"]);
}

#[test]
fn ids_outside_the_vocabulary_are_errors() {
    let tokenizer = tokenizer(&[]);
    assert!(tokenizer.token_bytes(32, false).is_err());
    assert!(tokenizer.stream(false).push(u32::MAX).is_err());
    assert_eq!(
        tokenizer.decode(&[0, 99, 1], DecodeOptions::default()),
        b"ab"
    );
    assert!(!tokenizer.is_eog(u32::MAX));
}

#[test]
fn half_a_character_waits_and_becomes_a_replacement_at_the_end() {
    let tokenizer = tokenizer(&[("Ã", NORMAL), ("¤", NORMAL)]); // the bytes C3 and A4
    let (first, second) = (32, 33);
    let mut stream = tokenizer.stream(false);
    assert_eq!(stream.push(first).expect("in range"), "");
    assert_eq!(stream.push(second).expect("in range"), "ä");
    assert_eq!(stream.flush(), "");
    assert_eq!(stream.push(first).expect("in range"), "");
    assert_eq!(stream.push(0).expect("in range"), "\u{FFFD}a");
    assert_eq!(stream.push(first).expect("in range"), "");
    assert_eq!(stream.flush(), "\u{FFFD}");
}
