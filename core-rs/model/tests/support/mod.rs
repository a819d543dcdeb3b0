//! What the tests of this room share: files to models, models to logits.
#![allow(dead_code)]

use std::path::PathBuf;

use puna_format::{DType, Gguf};
use puna_graph::reference::Reference;
use puna_graph::{Batch, Executor, Graph, Output, Read, Tensor, WeightId};
use puna_model::block::Decoder;
use puna_model::tiny::{self, Tiny};
use puna_model::{Arch, Hparams, Options, lower};

pub struct Golden {
    pub name: String,
    pub gguf: Gguf,
    pub tokens: Vec<u32>,
    /// Logits `[n_tokens, n_vocab]`, or an encoder's last states `[n_tokens, n_embd]`.
    pub rows: Vec<f32>,
}

pub fn golden_cases() -> Vec<Golden> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/logits");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
        .expect("tests/golden/logits is part of the repository")
        .map(|e| e.expect("readable").path())
        .filter(|p| p.extension().is_some_and(|e| e == "gguf"))
        .collect();
    paths.sort();
    paths.iter().map(|path| golden(path)).collect()
}

fn golden(path: &std::path::Path) -> Golden {
    let json = std::fs::read(path.with_extension("json")).expect("a .json beside each .gguf");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let list = |v: &serde_json::Value| v.as_array().expect("a list").clone();
    Golden {
        name: path.file_stem().unwrap().to_string_lossy().into(),
        gguf: Gguf::open(path).expect("a sound GGUF"),
        tokens: list(&json["tokens"])
            .iter()
            .map(|t| t.as_u64().unwrap() as u32)
            .collect(),
        rows: list(json.get("logits").unwrap_or(&json["hidden"]))
            .iter()
            .flat_map(&list)
            .map(|x| x.as_f64().unwrap() as f32)
            .collect(),
    }
}

/// A tiny random model of an architecture.
pub fn tiny_model(arch: &Arch) -> Gguf {
    tiny::tiny(arch, DType::F32, 1)
        .and_then(Tiny::to_gguf)
        .expect("tiny model")
}

pub fn upload(exec: &mut dyn Executor, graph: &Graph, gguf: &Gguf) {
    for (i, weight) in graph.weights.iter().enumerate() {
        let tensor = Tensor {
            info: gguf
                .tensor(&weight.name)
                .expect("lowering found it")
                .clone(),
            source: gguf.source().clone(),
        };
        exec.upload(WeightId(i as u32), &tensor).expect("upload");
    }
}

pub const N_CELLS: usize = 64;

/// The interpreter with a model that is opened for `n_tokens` of context.
pub fn reference(gguf: &Gguf, n_tokens: usize) -> Reference {
    let options = Options {
        n_ctx: Some(n_tokens),
        ..Options::default()
    };
    let model = lower(gguf, &options).expect("lower");
    reference_of(&model.graph, gguf, n_tokens)
}

pub fn reference_of(graph: &Graph, gguf: &Gguf, n_tokens: usize) -> Reference {
    let mut exec = Reference::new(graph, n_tokens, n_tokens, N_CELLS);
    upload(&mut exec, graph, gguf);
    exec
}

/// A row for each output: logits, or the last states of an encoder.
pub fn rows(exec: &mut dyn Executor, batch: &Batch) -> Vec<f32> {
    exec.run(batch).expect("run");
    for what in [Read::Logits, Read::Hidden] {
        if let Ok(Some(Output::F32(x))) = exec.read(what) {
            return x;
        }
    }
    panic!("neither logits nor states")
}

pub fn all_rows(exec: &mut dyn Executor, tokens: &[u32]) -> Vec<f32> {
    rows(exec, &Batch::of_sequence(tokens, 0, true))
}

/// The tree of an architecture's tiny model.
pub fn tree(arch: &Arch) -> Decoder {
    let h = Hparams::read(&tiny_model(arch).metadata).expect(arch.name);
    (arch.tree)(&h).expect(arch.name)
}

/// Whether a token sees only what is before it, so that a text can be fed in parts.
pub fn is_causal(arch: &Arch) -> bool {
    tree(arch).layers.iter().all(|l| l.attention.causal)
}

/// The largest difference; NaN where there is one, which is below no tolerance.
pub fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "lengths");
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |worst, d| {
        if d <= worst || worst.is_nan() {
            worst
        } else {
            d
        }
    })
}
