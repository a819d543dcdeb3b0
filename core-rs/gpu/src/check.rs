//! The known product: a tiny model with every type of matrix is run on a host and on the scalar
//! interpreter when a device is opened. Drivers do miscompile shaders; then better no device.

use std::sync::Arc;

use puna_format::{Bytes, DType, TensorInfo, quant};
use puna_graph::build::Heads;
use puna_graph::reference::Reference;
use puna_graph::{
    Act, Batch, Builder, Cell, Executor, Graph, KvDType, Mask, Norm, NormKind, Operand, Output,
    Plan, Read, Result, Rope, RopeLayout, Tensor, WeightId,
};

use crate::exec::{GpuExecutor, device_error};
use crate::host::Host;
use crate::pack::TYPES;
use crate::place::GpuOptions;

/// Largest difference of a logit, of the largest logit: sums in f32 in another order, and keys and
/// values rounded to f16.
const TOLERANCE: f32 = 4e-3;
const N_EMBD: usize = 256;
const N_VOCAB: usize = 40;
const N_TOKENS: usize = 9;

/// A check under way. In a tab: start it, await the host, and ask [`SelfCheck::poll`].
pub struct SelfCheck<H: Host> {
    gpu: GpuExecutor<H>,
    expected: Vec<Vec<f32>>,
    /// Batches whose logits have been compared.
    done: usize,
    ran: bool,
}

/// Weights of a model, one after the other: seeded numbers in each weight's type.
pub struct Weights {
    tensors: Vec<Tensor>,
}

impl Weights {
    /// Numbers for every weight of a graph, about as large as those of trained models.
    pub fn random(graph: &Graph, seed: u64) -> Result<Weights> {
        let mut random = Random(seed);
        let tensors = graph.weights.iter().map(|w| {
            let n: usize = w.shape.iter().product();
            let scale = if w.shape.len() > 1 {
                1.7 / (w.n_in() as f32).sqrt()
            } else {
                0.4
            };
            let centre = if w.shape.len() > 1 { 0.0 } else { 1.0 };
            let values: Vec<f32> = (0..n).map(|_| centre + scale * random.next()).collect();
            let mut bytes = vec![0; w.dtype.row_bytes(w.n_in())? * w.n_out()];
            quant::encode_row(w.dtype, &values, &mut bytes)?;
            let info = TensorInfo {
                name: w.name.clone(),
                dtype: w.dtype,
                shape: w.shape.iter().map(|&n| n as u64).collect(),
                offset: 0,
                n_bytes: bytes.len() as u64,
            };
            Ok(Tensor {
                info,
                source: Arc::new(Bytes::new(bytes)),
            })
        });
        Ok(Weights {
            tensors: tensors.collect::<Result<_>>()?,
        })
    }

    /// Uploads them all.
    pub fn upload(&self, executor: &mut dyn Executor) -> Result<()> {
        for (i, tensor) in self.tensors.iter().enumerate() {
            executor.upload(WeightId(i as u32), tensor)?;
        }
        Ok(())
    }

    /// Uploads those that `graph` (a half of the graph they were made for) names.
    pub fn upload_named(&self, executor: &mut dyn Executor, graph: &Graph) -> Result<()> {
        for (i, weight) in graph.weights.iter().enumerate() {
            let named = self.tensors.iter().find(|t| t.info.name == weight.name);
            let Some(tensor) = named else {
                return Err(device_error(format!("no weight {}", weight.name)));
            };
            executor.upload(WeightId(i as u32), tensor)?;
        }
        Ok(())
    }
}

/// Numbers in -1 … 1 (Vigna 2015, xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A residual block for each type: one attention layer, then a gated unit a type.
fn graph() -> Graph {
    let mut b = Builder::new();
    let table = b.weight("token_embd", DType::F16, &[N_EMBD, N_VOCAB]);
    let mut x = b.embed("embd", table, 1.0);
    let norm = |b: &mut Builder, name: &str| Norm {
        kind: NormKind::Rms,
        weight: Some(b.weight(name, DType::F32, &[N_EMBD])),
        bias: None,
        eps: 1e-5,
    };
    x = attention(&mut b, x, norm);
    for &dtype in TYPES {
        let name = dtype.name();
        let n = norm(&mut b, &format!("{name}.norm"));
        let normed = b.norm(&format!("{name}.normed"), x, n);
        let product = |b: &mut Builder, part: &str| {
            let w = b.weight(&format!("{name}.{part}"), dtype, &[N_EMBD, N_EMBD]);
            b.linear(&format!("{name}.{part}"), normed, w, None)
        };
        let (gate, up) = (product(&mut b, "gate"), product(&mut b, "up"));
        let y = b.glu(&format!("{name}.glu"), gate, up, Act::Silu);
        x = b.add(&format!("{name}.out"), x, y);
    }
    let x = b.select("chosen", x);
    let n = norm(&mut b, "output_norm");
    let normed = b.norm("normed", x, n);
    let output = b.weight("output", DType::Q8_0, &[N_EMBD, N_VOCAB]);
    let logits = b.linear("logits", normed, output, None);
    b.finish(None, logits).fused()
}

fn attention(b: &mut Builder, x: Operand, norm: impl Fn(&mut Builder, &str) -> Norm) -> Operand {
    let (n_head, n_head_kv, dim) = (4, 2, 64);
    let n = norm(b, "attn_norm");
    let normed = b.norm("attn.normed", x, n);
    let product = |b: &mut Builder, name: &str, n_out: usize| {
        let w = b.weight(name, DType::Q4_0, &[N_EMBD, n_out]);
        b.linear(name, normed, w, None)
    };
    let q = product(b, "attn_q", n_head * dim);
    let k = product(b, "attn_k", n_head_kv * dim);
    let v = product(b, "attn_v", n_head_kv * dim);
    let freqs = (0..dim / 2).map(|i| 10000f32.powf(-2.0 * i as f32 / dim as f32));
    let rope = Rope {
        layout: RopeLayout::Neox,
        n_rot: dim,
        freqs: b.constant("freqs", freqs.collect()),
        magnitude: 1.0,
    };
    let layer = b.kv_layer(n_head_kv, dim, dim);
    let (q, k) = (
        b.rope("q", q, n_head, rope),
        b.rope("k", k, n_head_kv, rope),
    );
    b.kv_store(k, v, layer);
    let heads = Heads {
        n_head,
        scale: 0.125,
        softcap: None,
        mask: Mask::CAUSAL,
        alibi: None,
    };
    let y = b.attention("attn", q, layer, heads);
    let w = b.weight("attn_output", DType::Q4_0, &[n_head * dim, N_EMBD]);
    let y = b.linear("attn_out", y, w, None);
    b.add("attn_sum", x, y)
}

/// A prompt, then one token behind it.
fn batches() -> [Batch; 2] {
    let batch = |from: usize, n: usize| Batch {
        tokens: (from..from + n).map(|t| (t * 7 % N_VOCAB) as u32).collect(),
        pos: (from..from + n).map(|t| t as i32).collect(),
        seq: vec![3; n],
        cells: (from..from + n).map(|t| t as u32).collect(),
        outputs: vec![0, n as u32 - 1][..n.min(2)].to_vec(),
        cache: (0..from + n)
            .map(|t| Cell {
                pos: t as i32,
                seqs: 8,
            })
            .collect(),
        ..Batch::default()
    };
    [batch(0, N_TOKENS), batch(N_TOKENS, 1)]
}

impl<H: Host> SelfCheck<H> {
    /// Prepares the check on `host`, which is used up by it.
    ///
    /// # Errors
    /// What creating buffers and pipelines can answer.
    pub fn start(host: H) -> Result<Self> {
        let graph = graph();
        let n_cells = N_TOKENS + 1;
        let weights = Weights::random(&graph, 7)?;
        let mut reference = Reference::new(&graph, N_TOKENS, 2, n_cells);
        weights.upload(&mut reference)?;
        let mut expected = vec![];
        for batch in batches() {
            reference.run(&batch)?;
            match reference.read(Read::Logits)? {
                Some(Output::F32(logits)) => expected.push(logits),
                _ => return Err(device_error("self-check: the interpreter gave no logits")),
            }
        }
        let options = GpuOptions {
            n_cells,
            type_k: KvDType::F16,
            type_v: KvDType::F16,
        };
        let mut gpu = GpuExecutor::new(&Plan::new(graph, N_TOKENS, 2), host, options)?;
        weights.upload(&mut gpu)?;
        Ok(SelfCheck {
            gpu,
            expected,
            done: 0,
            ran: false,
        })
    }

    /// `None`: await the host and ask again.
    ///
    /// # Errors
    /// The device computes something else than the scalar interpreter.
    pub fn poll(&mut self) -> Result<Option<()>> {
        while self.done < self.expected.len() {
            if !self.ran {
                self.gpu.run(&batches()[self.done])?;
                self.ran = true;
            }
            let Some(Output::F32(logits)) = self.gpu.read(Read::Logits)? else {
                return Ok(None);
            };
            self.compare(&logits)?;
            self.done += 1;
            self.ran = false;
        }
        Ok(Some(()))
    }

    fn compare(&self, logits: &[f32]) -> Result<()> {
        let expected = &self.expected[self.done];
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let worst = logits.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0f32, |m, d| if d.is_nan() { f32::NAN } else { m.max(d) });
        if logits.len() == expected.len() && worst <= TOLERANCE * largest {
            return Ok(());
        }
        Err(device_error(format!(
            "{}: the self-check differs by {worst} from the scalar interpreter, expected at most \
             {}; its driver computes something wrong, use the CPU or another device",
            self.gpu.host.name(),
            TOLERANCE * largest
        )))
    }
}
