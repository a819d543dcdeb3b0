//! What the tests of this room share.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::Arc;

use puna_engine::{Event, Model, Request, Scheduler, Session, SessionOptions};
use puna_format::{Bytes, DType};
use puna_model::{ARCHS, tiny};
use puna_text::{EncodeOptions, SamplerParams};

/// A model of `data/models`; `None`, saying so, where the data is absent.
pub fn stories(file: &str) -> Option<Model> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("PUNA_DATA").map_or(here, PathBuf::from);
    let path = data.join("models").join(file);
    if !path.exists() {
        eprintln!("skipped: {} is absent (PUNA_DATA)", path.display());
        return None;
    }
    Some(Model::open(&path).expect("a sound model"))
}

/// A tiny random model of an architecture.
pub fn tiny(arch: &str) -> Model {
    let arch = ARCHS.iter().find(|a| a.name == arch).expect("known");
    let file = tiny::tiny(arch, DType::F32, 1).and_then(|t| t.to_bytes());
    Model::from_source(Arc::new(Bytes::new(file.expect("tiny model")))).expect("read back")
}

pub fn session(model: &Model, options: &SessionOptions) -> Session {
    let mut options = options.clone();
    options.n_threads = options.n_threads.or(Some(2));
    model
        .session(&options, None, &mut |_, _| true)
        .expect("session")
}

pub fn greedy(model: &Model, prompt: &str, max_tokens: usize) -> Request {
    let options = EncodeOptions {
        add_special: true,
        parse_special: false,
    };
    Request {
        prompt: model.tokenizer().encode(prompt, options),
        max_tokens: Some(max_tokens),
        stop: vec![],
        sampling: SamplerParams {
            temperature: 0.0,
            ..SamplerParams::default()
        },
        logprobs: None,
        ignore_eos: false,
        special: false,
        prompt_logprobs: false,
        hook: None,
    }
}

/// Adds all requests and steps until idle.
pub fn run(scheduler: &mut Scheduler, requests: Vec<Request>) -> Vec<Event> {
    let first = requests.len();
    for request in requests {
        scheduler.add(request).expect("added");
    }
    let mut events = vec![];
    while !scheduler.is_idle() {
        events.extend(scheduler.step().expect("step"));
        assert!(events.len() < 10_000 * first, "no end");
    }
    events
}

pub fn text(events: &[Event], request: u64) -> String {
    let mine = events.iter().filter(|e| e.request == request);
    mine.map(|e| e.text.as_str()).collect()
}
