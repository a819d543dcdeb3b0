//! The other host: what the executor asks of it is recorded, replayed by `wasm/webgpu.js` in
//! Chromium, and what it reads there compared with the scalar interpreter.

use std::process::Command;
use std::sync::{Arc, Mutex};

use puna_format::DType;
use puna_gpu::check::Weights;
use puna_gpu::{DeviceLimits, GpuExecutor, GpuOptions, Host, Program};
use puna_graph::reference::Reference;
use puna_graph::{CacheOp, Executor, KvDType, Output, Plan, Read, Result};
use serde_json::{Value, json};

mod common;

/// Writes down what it is asked; every read is "not there yet".
struct Recorder(Arc<Mutex<Recording>>);

#[derive(Default)]
struct Recording {
    program: Option<Program>,
    commands: Vec<Value>,
    /// Bytes of writes and of expected reads, one behind the other.
    bytes: Vec<u8>,
}

impl Recording {
    fn keep(&mut self, bytes: &[u8]) -> [usize; 2] {
        self.bytes.extend_from_slice(bytes);
        [self.bytes.len() - bytes.len(), self.bytes.len()]
    }
}

impl Recorder {
    fn note(&self, command: Value) {
        self.0.lock().expect("one thread").commands.push(command);
    }
}

impl Host for Recorder {
    fn name(&self) -> String {
        "recorder".into()
    }

    fn limits(&self) -> DeviceLimits {
        DeviceLimits::CORE
    }

    fn create(&mut self, program: &Program) -> Result<()> {
        self.0.lock().expect("one thread").program = Some(program.clone());
        Ok(())
    }

    fn write(&mut self, buffer: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let range = self.0.lock().expect("one thread").keep(bytes);
        self.note(json!({"write": [buffer, offset], "bytes": range}));
        Ok(())
    }

    fn submit(&mut self, list: usize, grids: &[[u32; 3]]) -> Result<()> {
        self.note(json!({"submit": list, "grids": grids.concat()}));
        Ok(())
    }

    fn read(&mut self, buffer: usize, offset: u64, n_bytes: u64) -> Result<Option<Vec<u8>>> {
        self.note(json!({"read": [buffer, offset, n_bytes]}));
        Ok(None)
    }
}

/// The executor on a recorder beside the interpreter.
struct Session {
    gpu: GpuExecutor<Recorder>,
    reference: Reference,
    recording: Arc<Mutex<Recording>>,
    tolerance: f32,
}

impl Session {
    fn new(graph: &puna_graph::Graph, options: GpuOptions, tolerance: f32) -> Session {
        let recording = Arc::new(Mutex::new(Recording::default()));
        let plan = Plan::new(graph.clone(), 11, 11);
        let host = Recorder(recording.clone());
        let mut gpu = GpuExecutor::new(&plan, host, options).expect("lowers");
        let mut reference = Reference::new(graph, 11, 11, options.n_cells);
        let weights = Weights::random(graph, 11).expect("encodable");
        weights.upload(&mut gpu).expect("records");
        weights.upload(&mut reference).expect("uploads");
        Session {
            gpu,
            reference,
            recording,
            tolerance,
        }
    }

    fn run(&mut self, past: usize, n: usize) {
        let batch = common::batch(past, n, None);
        self.gpu.run(&batch).expect("records");
        self.reference.run(&batch).expect("runs");
        for what in [Read::Logits, Read::Greedy] {
            assert_eq!(self.gpu.read(what).expect("records"), None, "not there yet");
            let mut recording = self.recording.lock().expect("one thread");
            let (bytes, tolerance) = match self.reference.read(what).expect("reads") {
                Some(Output::F32(x)) => (bytemuck::cast_slice(&x).to_vec(), self.tolerance),
                Some(Output::Ids(x)) => (bytemuck::cast_slice(&x).to_vec(), 0.0),
                None => panic!("the interpreter answers at once"),
            };
            let range = recording.keep(&bytes);
            let command = recording.commands.last_mut().expect("the read");
            command["expected"] = json!(range);
            command["tolerance"] = json!(tolerance);
            command["name"] = json!(format!("{what:?} of {n} tokens behind {past}"));
        }
    }

    fn cache(&mut self, op: &CacheOp) {
        self.gpu.cache(op).expect("records");
        self.reference.cache(op).expect("runs");
    }

    fn finish(self) -> (Value, Vec<u8>) {
        let recording = self.recording.lock().expect("one thread");
        let case = json!({"program": recording.program, "commands": recording.commands});
        (case, recording.bytes.clone())
    }
}

fn record(shape: &common::Shape, options: GpuOptions, tolerance: f32) -> (Value, Vec<u8>) {
    let mut session = Session::new(&shape.graph().fused(), options, tolerance);
    for (past, n) in [(0, 11), (11, 1), (12, 3)] {
        session.run(past, n);
    }
    let delta = -2;
    session.cache(&CacheOp::Shift {
        cells: vec![3, 9],
        delta,
    });
    session.cache(&CacheOp::Copy {
        pairs: vec![(1, 30), (30, 5)],
    });
    session.run(15, 1);
    session.finish()
}

#[test]
fn webgpu_js_replays_a_recorded_model_in_chromium() {
    // Two types only: on a software device each costs seconds to compile.
    let mixed = common::Shape {
        bias: true,
        tied: true,
        gemma: true,
        dtype: |name| match name {
            _ if name.ends_with("attn_v") || name.ends_with("ffn_up") => DType::Q6_K,
            _ => DType::Q4_K,
        },
        ..common::TINY
    };
    let options = GpuOptions {
        n_cells: 40,
        type_k: KvDType::F16,
        type_v: KvDType::F32,
    };
    let folder = std::env::temp_dir().join(format!("puna-webgpu-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let (case, bytes) = record(&mixed, options, common::TOLERANCE_F16);
    std::fs::write(folder.join("mixed.json"), case.to_string()).expect("writes");
    std::fs::write(folder.join("mixed.bin"), bytes).expect("writes");
    // Every shader, since Chromium's compiler refuses some things that naga takes.
    let shaders: Vec<Value> = wgpu_shaders::variants()
        .map(|v| json!([v.name, wgpu_shaders::source(v.name)]))
        .collect();
    std::fs::write(folder.join("shaders.json"), json!(shaders).to_string()).expect("writes");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webgpu.mjs");
    let node = std::env::var("PUNA_NODE").unwrap_or_else(|_| "node".into());
    let ran = Command::new(node).arg(script).arg(&folder).output();
    std::fs::remove_dir_all(&folder).expect("ours");
    let output = match ran {
        Ok(output) => output,
        Err(e) => return eprintln!("skipped: no Node: {e}"),
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    match output.status.code() {
        Some(0) => println!("{text}"),
        Some(77) => eprintln!("skipped: {text}"),
        code => panic!("exit {code:?}: {text}"),
    }
}
