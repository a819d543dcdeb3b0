//! How fast this room is, best of several:
//!
//!     cargo run --release -p puna-text --example speed -- TEXT_FILE... VOCABULARY.gguf...
//!
//! Vocabularies come from `PUNA_DATA` (default ../shared/data); without texts it reads its own.
//! The first load of each is told too: nothing is in the caches then, as for a user.

#[path = "../tests/support/mod.rs"]
mod support;

use puna_text::{
    DecodeOptions, EncodeOptions, Sampler, SamplerParams, Tokenizer, VocabData, split,
};
use std::time::Instant;

/// The shortest of `n` runs, in seconds.
fn best<T>(n: usize, mut run: impl FnMut() -> T) -> f64 {
    let time = |_| {
        let start = Instant::now();
        let result = std::hint::black_box(run());
        let seconds = start.elapsed().as_secs_f64();
        drop(result); // freeing it is not part of the work
        seconds
    };
    (0..n).map(time).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut text = String::new();
    let (vocabs, texts): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|path| path.ends_with(".gguf"));
    for path in &vocabs {
        let data = support::read_vocab(&std::fs::read(path).expect("a vocabulary"));
        let first = best(1, || Tokenizer::new(data.clone()).expect("loads"));
        println!(
            "{path}: first load {:.1} ms, copying its lists included",
            first * 1e3
        );
    }
    for path in texts {
        text += &std::fs::read_to_string(path).expect("a text file");
    }
    if text.is_empty() {
        text = include_str!("speed.rs").repeat(100);
    }
    let n_mb = text.len() as f64 / 1e6;
    println!("text: {n_mb:.2} MB");
    for name in ["gpt-2", "llama-bpe", "qwen2"] {
        let splitter = split::find(Some(name)).expect("known");
        let t = best(5, || {
            splitter.words(&text, |word| {
                std::hint::black_box(word);
            })
        });
        println!("split {name}: {:.0} MB/s", n_mb / t);
    }
    for name in ["gpt-2", "llama-spm"] {
        let Some(data) = support::vocab_data(name) else {
            continue;
        };
        tokenizer(name, data, &text);
    }
    for path in &vocabs {
        let data = support::read_vocab(&std::fs::read(path).expect("a vocabulary"));
        tokenizer(path, data, &text);
    }
    tokenizer("random vocabulary of 150,000", random_vocab(150_000), &text);
    samplers();
}

fn tokenizer(name: &str, data: VocabData, text: &str) {
    let copies: Vec<VocabData> = vec![data.clone(); 15];
    let mut copies = copies.into_iter();
    let load = best(5, || {
        Tokenizer::new(copies.next().expect("five")).expect("loads")
    });
    let tokenizer = Tokenizer::new(data).expect("loads");
    let first = best(1, || tokenizer.encode(text, EncodeOptions::default()));
    let encode = best(5, || tokenizer.encode(text, EncodeOptions::default()));
    let tokens = tokenizer.encode(text, EncodeOptions::default());
    let decode = best(5, || tokenizer.decode(&tokens, DecodeOptions::default()));
    let speed = |t: f64| text.len() as f64 / 1e6 / t;
    println!(
        "{name}: load {:.1} ms, encode {:.1} MB/s (first time {:.1}), decode {:.0} MB/s, {} tokens",
        load * 1e3,
        speed(encode),
        speed(first),
        speed(decode),
        tokens.len()
    );
}

/// A byte-level vocabulary of random merges of letters: large, though not a language's.
fn random_vocab(n: usize) -> VocabData {
    let mut rng = puna_text::sample::Mt19937::new(1);
    let mut tokens: Vec<String> = ('!'..='~')
        .chain('¡'..='¬')
        .chain('®'..='ÿ')
        .map(String::from)
        .collect();
    tokens.extend((0x100..0x144).filter_map(char::from_u32).map(String::from));
    let mut merges = Vec::new();
    while tokens.len() < n {
        let mut pick = || tokens[rng.next_u32() as usize % tokens.len()].clone();
        let (left, right) = (pick(), pick());
        if left.len() + right.len() <= 16 {
            merges.push(format!("{left} {right}").into_bytes());
            tokens.push(left + &right);
        }
    }
    VocabData {
        model: "gpt2".into(),
        pre: Some("llama-bpe".into()),
        tokens: tokens.into_iter().map(String::into_bytes).collect(),
        merges,
        ..VocabData::default()
    }
}

fn samplers() {
    let mut rng = puna_text::sample::Mt19937::new(2);
    let logits: Vec<f32> = (0..128_000)
        .map(|_| rng.next_f64() as f32 * 20.0 - 10.0)
        .collect();
    let cases = [
        (
            "greedy",
            SamplerParams {
                temperature: 0.0,
                ..SamplerParams::default()
            },
        ),
        ("default chain", SamplerParams::default()),
        (
            "penalties too",
            SamplerParams {
                repeat_penalty: 1.1,
                ..SamplerParams::default()
            },
        ),
        (
            "top_p alone",
            SamplerParams {
                top_k: 0,
                min_p: 0.0,
                ..SamplerParams::default()
            },
        ),
    ];
    for (name, params) in cases {
        let mut sampler = Sampler::new(params, logits.len()).expect("good parameters");
        (0..64).for_each(|token| sampler.accept(token * 7));
        let t = best(20, || sampler.sample(&logits).expect("good logits"));
        println!("sample, 128,000 logits, {name}: {:.0} us", t * 1e6);
    }
}
