//! What the tests share: where the data is, samplers, and a reader for the vocabulary in a GGUF
//! file.
#![allow(dead_code, reason = "each test uses its part of this")]

use puna_text::{FimIds, Sampler, SamplerParams, SamplerVocab, Tokenizer, VocabData};
use std::collections::HashMap;
use std::path::PathBuf;

/// `path` below `PUNA_DATA`; `None`, saying so, where it is absent.
pub fn data(path: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = std::env::var_os("PUNA_DATA").map_or_else(|| default.into(), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent (set PUNA_DATA)", path.display());
    None
}

/// `path` below `PUNA_DATA`, parsed.
pub fn json(path: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(data(path)?).expect("readable");
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// Parameters under which no sampler does anything.
pub fn neutral() -> SamplerParams {
    SamplerParams {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed: Some(1),
        ..SamplerParams::default()
    }
}

/// A sampler of parameters that are good.
pub fn sampler(params: SamplerParams, vocab: impl Into<SamplerVocab>) -> Sampler {
    Sampler::new(params, vocab).expect("good parameters")
}

/// The tokenizer of one of llama.cpp's vocabulary files.
pub fn vocab(name: &str) -> Option<Tokenizer> {
    Some(Tokenizer::new(vocab_data(name)?).expect("a vocabulary that loads"))
}

/// Its metadata.
pub fn vocab_data(name: &str) -> Option<VocabData> {
    let path = data(&format!("llamacpp/vocab/ggml-vocab-{name}.gguf"))?;
    Some(read_vocab(&std::fs::read(path).expect("readable")))
}

/// `tokenizer.ggml.*` of a GGUF file. The engine reads it with `puna-format`; this crate imports
/// nothing of ours, so its tests have the 60 lines they need.
pub fn read_vocab(file: &[u8]) -> VocabData {
    let mut reader = Reader(&file[16..]);
    let n_keys = reader.number(8);
    let mut keys = HashMap::new();
    for _ in 0..n_keys {
        let key = String::from_utf8(reader.string()).expect("UTF-8 key");
        let kind = reader.number(4);
        keys.insert(key, reader.value(kind));
    }
    let mut take = |key: &str| keys.remove(key);
    let text = |v: Option<Value>| match v {
        Some(Value::Text(t)) => Some(String::from_utf8(t).expect("UTF-8")),
        _ => None,
    };
    let list = |v: Option<Value>| match v {
        Some(Value::List(l)) => l,
        _ => Vec::new(),
    };
    let number = |v: Option<Value>| match v {
        Some(Value::Number(n)) => Some(n),
        _ => None,
    };
    let texts = |v| {
        list(v).into_iter().filter_map(|v| {
            if let Value::Text(t) = v {
                Some(t)
            } else {
                None
            }
        })
    };
    let mut numbers = |key: &str| -> Vec<f64> {
        list(take(key))
            .into_iter()
            .filter_map(|v| number(Some(v)))
            .collect()
    };
    let scores = numbers("tokenizer.ggml.scores")
        .iter()
        .map(|&x| x as f32)
        .collect();
    let token_types = numbers("tokenizer.ggml.token_type")
        .iter()
        .map(|&x| x as i32)
        .collect();
    let mut id =
        |role: &str| number(take(&format!("tokenizer.ggml.{role}_token_id"))).map(|n| n as u32);
    let (bos, eos, unk) = (id("bos"), id("eos"), id("unknown"));
    let (sep, pad, eot, eom) = (id("seperator"), id("padding"), id("eot"), id("eom"));
    let (mask, fim_pre) = (id("mask"), id("fim_pre"));
    let fim = FimIds {
        prefix: fim_pre,
        suffix: id("fim_suf"),
        middle: id("fim_mid"),
        pad: id("fim_pad"),
        repo: id("fim_rep"),
        separator: id("fim_sep"),
    };
    let precompiled_charsmap = list(take("tokenizer.ggml.precompiled_charsmap"))
        .into_iter()
        .filter_map(|v| number(Some(v)).map(|n| n as u8))
        .collect();
    let mut flag = |name: &str| number(take(&format!("tokenizer.ggml.{name}"))).map(|n| n != 0.0);
    let (add_bos, add_eos) = (flag("add_bos_token"), flag("add_eos_token"));
    let add_space_prefix = flag("add_space_prefix");
    let remove_extra_whitespaces = flag("remove_extra_whitespaces");
    let lowercase = flag("normalizer.lowercase");
    let strip_accents = flag("normalizer.strip_accents");
    VocabData {
        model: text(take("tokenizer.ggml.model")).expect("tokenizer.ggml.model"),
        pre: text(take("tokenizer.ggml.pre")),
        model_name: text(take("general.name")),
        architecture: text(take("general.architecture")),
        tokens: texts(take("tokenizer.ggml.tokens")).collect(),
        merges: texts(take("tokenizer.ggml.merges")).collect(),
        scores,
        token_types,
        bos,
        eos,
        unk,
        sep,
        pad,
        eot,
        eom,
        add_bos,
        add_eos,
        add_space_prefix,
        mask,
        fim,
        remove_extra_whitespaces,
        precompiled_charsmap,
        lowercase,
        strip_accents,
    }
}

enum Value {
    Number(f64),
    Text(Vec<u8>),
    List(Vec<Value>),
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes(&mut self, n: usize) -> &[u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }

    fn number(&mut self, n: usize) -> u64 {
        self.bytes(n)
            .iter()
            .rev()
            .fold(0, |x, &b| x << 8 | u64::from(b))
    }

    fn string(&mut self) -> Vec<u8> {
        let n = self.number(8) as usize;
        self.bytes(n).to_vec()
    }

    fn value(&mut self, kind: u64) -> Value {
        Value::Number(match kind {
            0 | 1 | 7 => self.number(1) as f64,
            2 | 3 => self.number(2) as f64,
            4 => self.number(4) as f64,
            5 => f64::from(self.number(4) as u32 as i32),
            6 => f64::from(f32::from_bits(self.number(4) as u32)),
            8 => return Value::Text(self.string()),
            9 => {
                let (kind, n) = (self.number(4), self.number(8));
                return Value::List((0..n).map(|_| self.value(kind)).collect());
            }
            10 | 11 => self.number(8) as f64,
            12 => f64::from_bits(self.number(8)),
            _ => panic!("value type {kind}"),
        })
    }
}
