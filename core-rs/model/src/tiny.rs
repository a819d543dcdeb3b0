//! Small models with random weights, one for each architecture: for tests of the other rooms.

use std::sync::Arc;

use puna_format::{Array, Bytes, DType, Gguf, Metadata, Strings, Value, Writer, quant};
use puna_graph::{Graph, NormKind};

use crate::arch::{Arch, Sample};
use crate::error::Result;
use crate::hparams::Hparams;
use crate::lower::{Options, walk};
use crate::weights::Weights;

/// Sizes of a tiny model. Rows are multiples of 256, so that every tensor type fits.
const SIZES: &[(&str, u32)] = &[
    ("context_length", 512),
    ("embedding_length", 256),
    ("block_count", 3),
    ("feed_forward_length", 512),
    ("attention.head_count", 4),
    ("attention.head_count_kv", 2),
];

/// Metadata and tensors of a tiny model, ready for a [`puna_format::Writer`].
pub struct Tiny {
    pub metadata: Metadata,
    /// Name, type, GGUF shape, bytes.
    pub tensors: Vec<(String, DType, Vec<u64>, Vec<u8>)>,
}

impl Tiny {
    /// The model as a file in memory.
    ///
    /// # Errors
    /// None that a tiny model of the registry has; those of the writer.
    pub fn to_bytes(self) -> Result<Vec<u8>> {
        let mut writer = Writer::with_metadata(self.metadata);
        for (name, dtype, shape, bytes) in self.tensors {
            writer.add_tensor(&name, dtype, &shape, bytes)?;
        }
        let mut file = vec![];
        writer.write_to(&mut file, &mut |_| ())?;
        Ok(file)
    }

    /// The model, written and read back.
    ///
    /// # Errors
    /// Those of [`Tiny::to_bytes`] and of reading.
    pub fn to_gguf(self) -> Result<Gguf> {
        let source = Arc::new(Bytes::new(self.to_bytes()?));
        Ok(Gguf::from_source(source)?)
    }
}

/// A model of `arch` with seeded random weights; matrices in `dtype`, vectors in F32.
///
/// # Errors
/// A `dtype` that cannot be encoded.
pub fn tiny(arch: &Arch, dtype: DType, seed: u64) -> Result<Tiny> {
    // Which norm it is, the tree says; its key has no part in that.
    let norm = (arch.tree)(&Hparams::read(&metadata(arch, NormKind::Rms))?)?.norm;
    let metadata = metadata(arch, norm);
    let hparams = Hparams::read(&metadata)?;
    let mut wanted = Wanted {
        sample: &arch.tiny,
        tensors: vec![],
    };
    walk(arch, &hparams, &mut wanted, &Options::default()).map(|_: Graph| ())?;
    let mut rng = Rng(seed.wrapping_mul(2).wrapping_add(1));
    let mut tensors = vec![];
    for (name, shape) in wanted.tensors {
        let n_in = shape[0];
        let is_matrix = shape.len() > 1;
        let dtype = if is_matrix { dtype } else { DType::F32 };
        let n: usize = shape.iter().product();
        // Gains near 1, biases near 0, other weights of unit variance in the output.
        let is_bias = name.ends_with(".bias");
        let values: Vec<f32> = (0..n)
            .map(|_| match (is_matrix, is_bias) {
                (true, _) => rng.normal() / (n_in as f32).sqrt(),
                (false, true) => 0.1 * rng.normal(),
                (false, false) => 1.0 + 0.1 * rng.normal(),
            })
            .collect();
        let mut bytes = vec![];
        for row in values.chunks_exact(n_in) {
            let at = bytes.len();
            bytes.resize(at + dtype.row_bytes(n_in)?, 0);
            quant::encode_row(dtype, row, &mut bytes[at..])?;
        }
        let shape = shape.iter().map(|&n| n as u64).collect();
        tensors.push((name, dtype, shape, bytes));
    }
    Ok(Tiny { metadata, tensors })
}

/// Hyper-parameters and a vocabulary.
fn metadata(arch: &Arch, norm: NormKind) -> Metadata {
    let mut m = Metadata::new();
    let text = |s: &str| Value::String(s.as_bytes().to_vec());
    m.set("general.architecture", text(arch.name));
    m.set("general.name", text("tiny random model"));
    for (key, n) in SIZES {
        m.set(&format!("{}.{key}", arch.name), Value::U32(*n));
    }
    let eps = match norm {
        NormKind::Rms => "attention.layer_norm_rms_epsilon",
        NormKind::Layer => "attention.layer_norm_epsilon",
    };
    m.set(&format!("{}.{eps}", arch.name), Value::F32(1e-5));
    for (key, value) in arch.tiny.keys {
        m.set(&format!("{}.{key}", arch.name), value.clone());
    }
    let encodes = ("attention.causal", Value::Bool(false));
    if arch.tiny.keys.contains(&encodes) {
        m.set("tokenizer.ggml.token_type_count", Value::U32(2));
    }
    vocabulary(&mut m);
    m
}

/// Bytes and the small letters.
fn vocabulary(m: &mut Metadata) {
    let mut tokens = Strings::new();
    let mut types = vec![2, 3, 3];
    for t in ["<unk>", "<s>", "</s>"] {
        tokens.push(t.as_bytes());
    }
    for b in 0..=255u8 {
        tokens.push(format!("<0x{b:02X}>").as_bytes());
        types.push(6);
    }
    for c in ('a'..='z').chain(['\u{2581}']) {
        tokens.push(c.to_string().as_bytes());
        types.push(1);
    }
    let scores = (0..tokens.len()).map(|i| -(i as f32)).collect();
    let model = Value::String(b"llama".to_vec());
    m.set("tokenizer.ggml.model", model);
    m.set("tokenizer.ggml.tokens", Value::Array(Array::String(tokens)));
    m.set("tokenizer.ggml.scores", Value::Array(Array::F32(scores)));
    m.set("tokenizer.ggml.token_type", Value::Array(Array::I32(types)));
    m.set("tokenizer.ggml.bos_token_id", Value::U32(1));
    m.set("tokenizer.ggml.eos_token_id", Value::U32(2));
}

/// Notes every tensor that a model must have, and of the optional ones those of the sample.
struct Wanted<'a> {
    sample: &'a Sample,
    tensors: Vec<(String, Vec<usize>)>,
}

impl Weights for Wanted<'_> {
    fn find(&mut self, name: &str, shape: &[usize]) -> Result<Option<DType>> {
        let biases = self.sample.biases;
        let absent = match name.rsplit_once('.') {
            Some((_, "bias")) => !biases.iter().any(|b| name.contains(b)),
            Some((_, "scale")) => true,
            _ => false,
        };
        if absent {
            return Ok(None);
        }
        if self.tensors.iter().all(|(known, _)| known != name) {
            self.tensors.push((name.into(), shape.to_vec()));
        }
        Ok(Some(DType::F32))
    }

    fn table(&mut self, _name: &str, _n: usize) -> Result<Option<Vec<f32>>> {
        Ok(None)
    }

    fn rows(&self, _name: &str) -> Option<usize> {
        None
    }

    fn has(&self, name: &str) -> bool {
        let in_layer = name.strip_prefix("blk.").and_then(|n| n.split_once('.'));
        let name = in_layer.map_or(name, |(_layer, name)| name);
        self.sample.has.contains(&name)
    }
}

/// xorshift64* and Box-Muller: enough for test weights, the same on every platform.
struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        (bits as f32 + 0.5) / (1u64 << 24) as f32
    }

    fn normal(&mut self) -> f32 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f32::consts::PI * v).cos()
    }
}
