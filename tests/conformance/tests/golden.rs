//! Every executor against `transformers` itself: the golden models of `tests/golden/logits`.

use std::path::{Path, PathBuf};

use puna_conformance::{executors, made, rows, upload};
use puna_format::Gguf;
use puna_graph::{Batch, KvDType};
use puna_model::{Options, lower};

/// f32 sums in another order, by another program.
const TOLERANCE: f32 = 1e-3;

fn paths() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/logits");
    let entries = std::fs::read_dir(&dir).expect("tests/golden/logits is part of the repository");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "gguf"));
    paths.sort();
    paths
}

/// The tokens to feed, and a row for each: logits, or the last states of an encoder.
fn expected(path: &Path) -> (Vec<u32>, Vec<f32>) {
    let text = std::fs::read(path.with_extension("json")).expect("a .json beside each .gguf");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let list = |v: &serde_json::Value| v.as_array().expect("a list").clone();
    let number = |v: &serde_json::Value| v.as_f64().expect("a number");
    let tokens = list(&json["tokens"]).into_iter();
    let tokens = tokens.map(|v| number(&v) as u32);
    let rows = list(json.get("logits").unwrap_or(&json["hidden"]));
    let rows = rows.iter().flat_map(&list).map(|v| number(&v) as f32);
    (tokens.collect(), rows.collect())
}

#[test]
fn rows_equal_those_of_transformers() {
    let paths = paths();
    assert!(paths.len() >= 8, "only {} golden cases", paths.len());
    for path in paths {
        let gguf = Gguf::open(&path).expect("a sound GGUF");
        let (tokens, expected) = expected(&path);
        let options = Options {
            n_ctx: Some(tokens.len()),
            ..Options::default()
        };
        let graph = lower(&gguf, &options).expect("lowers").graph;
        for (name, make) in executors() {
            let Some(mut exec) = made(&name, make(&graph, tokens.len(), KvDType::F32)) else {
                continue;
            };
            upload(exec.as_mut(), &graph, &gguf);
            let got = rows(exec.as_mut(), &Batch::of_sequence(&tokens, 0, true));
            assert_eq!(got.len(), expected.len(), "{name}, {}", path.display());
            for (a, b) in got.iter().zip(&expected) {
                let off = (a - b).abs();
                assert!(off < TOLERANCE, "{name}, {}: off by {off}", path.display());
            }
        }
    }
}
