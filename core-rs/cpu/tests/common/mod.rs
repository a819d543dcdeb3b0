//! A small decoder with random weights, and batches for it.

use std::sync::Arc;

use puna_format::{Bytes, DType, Source, TensorInfo, quant};
use puna_graph::build::Heads;
use puna_graph::{
    Act, Batch, Builder, Cell, Executor, Graph, Mask, Norm, NormKind, Operand, Output, Plan, Read,
    Rope, RopeLayout, Rows, Tensor, WeightId,
};

pub struct Random(pub u64);

impl Random {
    pub fn float(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// What varies between the models of the tests.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub dtype: DType,
    pub n_layer: usize,
    pub n_embd: usize,
    pub n_ff: usize,
    pub n_vocab: usize,
    pub n_head: usize,
    pub n_head_kv: usize,
    pub dim_k: usize,
    pub dim_v: usize,
    pub n_rot: usize,
    pub layout: RopeLayout,
    pub kind: NormKind,
    pub act: Act,
    pub window: Option<u32>,
    pub causal: bool,
    pub alibi: Option<f32>,
    pub softcap: Option<f32>,
    pub bias: bool,
    pub post_norm: bool,
    pub tied: bool,
}

impl Shape {
    pub fn of(dtype: DType) -> Shape {
        Shape {
            dtype,
            n_layer: 2,
            n_embd: 256,
            n_ff: 512,
            n_vocab: 100,
            n_head: 4,
            n_head_kv: 2,
            dim_k: 64,
            dim_v: 64,
            n_rot: 64,
            layout: RopeLayout::Norm,
            kind: NormKind::Rms,
            act: Act::Silu,
            window: None,
            causal: true,
            alibi: None,
            softcap: None,
            bias: false,
            post_norm: false,
            tied: false,
        }
    }
}

struct Maker {
    b: Builder,
    s: Shape,
}

impl Maker {
    fn matrix(&mut self, name: String, n_in: usize, n_out: usize) -> WeightId {
        self.b.weight(&name, self.s.dtype, &[n_in, n_out])
    }

    fn vector(&mut self, name: String, n: usize) -> WeightId {
        self.b.weight(&name, DType::F32, &[n])
    }

    fn norm(&mut self, name: &str, x: Operand) -> Operand {
        let weight = Some(self.vector(format!("{name}.weight"), x.width));
        let layer = self.s.kind == NormKind::Layer;
        let bias = layer.then(|| self.vector(format!("{name}.bias"), x.width));
        let norm = Norm {
            kind: self.s.kind,
            weight,
            bias,
            eps: 1e-5,
        };
        self.b.norm(name, x, norm)
    }

    fn linear(&mut self, name: &str, x: Operand, n_out: usize) -> Operand {
        let weight = self.matrix(format!("{name}.weight"), x.width, n_out);
        let bias = self.s.bias;
        let bias = bias.then(|| self.vector(format!("{name}.bias"), n_out));
        self.b.linear(name, x, weight, bias)
    }

    fn qkv(&mut self, il: usize, x: Operand) -> [Operand; 3] {
        let s = self.s;
        let n = [
            s.n_head * s.dim_k,
            s.n_head_kv * s.dim_k,
            s.n_head_kv * s.dim_v,
        ];
        let all = self
            .b
            .value(&format!("blk.{il}.qkv"), Rows::Tokens, n.iter().sum());
        let mut col = 0;
        ["q", "k", "v"].map(|which| {
            let i = ["q", "k", "v"].iter().position(|&w| w == which).unwrap();
            let out = all.columns(col, n[i]);
            col += n[i];
            let weight = self.matrix(format!("blk.{il}.attn_{which}.weight"), x.width, n[i]);
            let bias = self.s.bias;
            let bias = bias.then(|| self.vector(format!("blk.{il}.attn_{which}.bias"), n[i]));
            self.b.linear_into(x, weight, bias, out);
            out
        })
    }

    fn layer(&mut self, il: usize, x: Operand) -> Operand {
        let s = self.s;
        let name = |what: &str| format!("blk.{il}.{what}");
        let normed = self.norm(&name("attn_norm"), x);
        let [q, k, v] = self.qkv(il, normed);
        let freqs = (0..s.n_rot / 2).map(|i| 10000f32.powf(-2.0 * i as f32 / s.n_rot as f32));
        let rope = Rope {
            layout: s.layout,
            n_rot: s.n_rot,
            freqs: self.b.constant("freqs", freqs.collect()),
            magnitude: 1.0,
        };
        let q = self.b.rope(&name("q_rope"), q, s.n_head, rope);
        let k = self.b.rope(&name("k_rope"), k, s.n_head_kv, rope);
        let layer = self.b.kv_layer(s.n_head_kv, s.dim_k, s.dim_v);
        self.b.kv_store(k, v, layer);
        let heads = Heads {
            n_head: s.n_head,
            scale: 1.0 / (s.dim_k as f32).sqrt(),
            softcap: s.softcap,
            mask: Mask {
                causal: s.causal,
                window: s.window,
            },
            alibi: s.alibi,
        };
        let a = self.b.attention(&name("attn"), q, layer, heads);
        let mut a = self.linear(&name("attn_output"), a, s.n_embd);
        if s.post_norm {
            a = self.norm(&name("post_attention_norm"), a);
        }
        let x = self.b.add(&name("attn_add"), a, x);
        let normed = self.norm(&name("ffn_norm"), x);
        let gate = self.linear(&name("ffn_gate"), normed, s.n_ff);
        let up = self.linear(&name("ffn_up"), normed, s.n_ff);
        let glu = self.b.glu(&name("ffn_glu"), gate, up, s.act);
        let down = self.linear(&name("ffn_down"), glu, s.n_embd);
        self.b.add(&name("ffn_add"), down, x)
    }
}

pub fn graph(s: Shape) -> Graph {
    let mut m = Maker {
        b: Builder::new(),
        s,
    };
    let table = m.matrix("token_embd.weight".into(), s.n_embd, s.n_vocab);
    let mut x = m.b.embed("embed", table, 2.0);
    for il in 0..s.n_layer {
        m.b.begin_layer();
        x = m.layer(il, x);
    }
    let x = m.b.select("select", x);
    let x = m.norm("output_norm", x);
    let logits = match s.tied {
        true => m.b.linear("output", x, table, None),
        false => m.linear("output", x, s.n_vocab),
    };
    let logits = match s.softcap {
        Some(cap) => m.b.softcap("logits", logits, cap),
        None => logits,
    };
    m.b.finish(None, logits)
}

/// Random weights for each tensor of a graph: unit variance is kept through matrices.
pub fn upload(graph: &Graph, executors: &mut [&mut dyn Executor]) {
    upload_as(graph, executors, |bytes| Arc::new(Bytes::new(bytes)));
}

/// The same from sources of any kind.
pub fn upload_as(
    graph: &Graph,
    executors: &mut [&mut dyn Executor],
    source: impl Fn(Vec<u8>) -> Arc<dyn Source>,
) {
    let mut random = Random(0x1234_5678_9abc_def1);
    for (i, w) in graph.weights.iter().enumerate() {
        let n_in = w.n_in();
        let mut bytes = vec![];
        for _ in 0..w.n_out() {
            let scale = (3.0 / n_in as f32).sqrt();
            let values: Vec<f32> = (0..n_in)
                .map(|_| match w.shape.len() {
                    1 => 1.0 + 0.1 * random.float(),
                    _ => random.float() * scale,
                })
                .collect();
            let mut row = vec![0; w.dtype.row_bytes(n_in).unwrap()];
            quant::encode_row(w.dtype, &values, &mut row).unwrap();
            bytes.extend(row);
        }
        let tensor = Tensor {
            info: TensorInfo {
                name: w.name.clone(),
                dtype: w.dtype,
                shape: w.shape.iter().map(|&n| n as u64).collect(),
                offset: 0,
                n_bytes: bytes.len() as u64,
            },
            source: source(bytes),
        };
        for e in executors.iter_mut() {
            e.upload(WeightId(i as u32), &tensor).unwrap();
        }
    }
}

/// One sequence: tokens at `first ..`, each in the cell of its position; all are outputs.
pub fn batch(first: usize, n: usize, n_vocab: usize) -> Batch {
    let at = first..first + n;
    Batch {
        tokens: at
            .clone()
            .map(|i| ((i * 37 + 11) % n_vocab) as u32)
            .collect(),
        input: None,
        pos: at.clone().map(|i| i as i32).collect(),
        seq: vec![0; n],
        cells: at.map(|i| i as u32).collect(),
        outputs: (0..n as u32).collect(),
        cache: (0..first + n)
            .map(|i| Cell {
                pos: i as i32,
                seqs: 1,
            })
            .collect(),
    }
}

pub fn logits(e: &mut dyn Executor) -> Vec<f32> {
    match e.read(Read::Logits).unwrap() {
        Some(Output::F32(x)) => x,
        other => panic!("{other:?}"),
    }
}

pub fn plan(graph: &Graph, n_tokens: usize) -> Plan {
    Plan::new(graph.fused(), n_tokens, n_tokens)
}

/// Root of the mean squared difference, as a share of the expected values' size.
pub fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |x: f64| x * x;
    let sum = |f: &dyn Fn(usize) -> f64| (0..found.len()).map(f).sum::<f64>();
    let apart = sum(&|i| square(f64::from(found[i]) - f64::from(expected[i])));
    (apart / sum(&|i| square(f64::from(expected[i])))).sqrt()
}
