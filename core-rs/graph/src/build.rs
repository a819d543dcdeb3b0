//! Builds a graph op by op. The model room calls this; shapes are checked here once, so that
//! everything behind can index without asking. A wrong width is a bug of the caller (the model
//! checks what comes from files), hence `assert!`.

use puna_format::DType;

use crate::graph::{
    Const, ConstId, Graph, KvLayer, Operand, Rows, Value, ValueId, Weight, WeightId,
};
use crate::op::{Act, Attention, Gating, LinearExperts, Lookup, Mask, Norm, Op, Rope, Route};

#[derive(Default)]
pub struct Builder {
    graph: Graph,
}

/// The numbers of an attention op that are not operands; see [`Attention`].
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub n_head: usize,
    pub scale: f32,
    pub softcap: Option<f32>,
    pub mask: Mask,
    pub alibi: Option<f32>,
}

/// The numbers of a route op; see [`Route`].
#[derive(Clone, Copy, Debug)]
pub struct Routing {
    pub gating: Gating,
    pub bias: Option<WeightId>,
    pub n_used: usize,
    pub normalize: bool,
    pub scale: f32,
}

impl Builder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The weight of that name, declared once however often it is used (tied embeddings).
    pub fn weight(&mut self, name: &str, dtype: DType, shape: &[usize]) -> WeightId {
        let known = self.graph.weights.iter().position(|w| w.name == name);
        let index = known.unwrap_or_else(|| {
            self.graph.weights.push(Weight {
                name: name.to_string(),
                dtype,
                shape: shape.to_vec(),
            });
            self.graph.weights.len() - 1
        });
        WeightId(index as u32)
    }

    /// A table that lives in the plan; tables of one name are one table.
    pub fn constant(&mut self, name: &str, data: Vec<f32>) -> ConstId {
        let known = self.graph.consts.iter().position(|c| c.name == name);
        let index = known.unwrap_or_else(|| {
            self.graph.consts.push(Const {
                name: name.to_string(),
                data,
            });
            self.graph.consts.len() - 1
        });
        ConstId(index as u32)
    }

    pub fn value(&mut self, name: &str, rows: Rows, width: usize) -> Operand {
        self.graph.values.push(Value {
            name: name.to_string(),
            rows,
            width,
        });
        self.graph
            .whole(ValueId(self.graph.values.len() as u32 - 1))
    }

    /// Marks the start of the next layer: where a plan may be split.
    pub fn begin_layer(&mut self) {
        self.graph.layer_starts.push(self.graph.ops.len());
    }

    /// Declares the cache of one layer; answers the index that `kv_store` and `attention` take.
    pub fn kv_layer(&mut self, n_head_kv: usize, dim_k: usize, dim_v: usize) -> usize {
        let layer = self.graph.kv.len();
        self.graph.kv.push(KvLayer {
            layer,
            n_head_kv,
            dim_k,
            dim_v,
        });
        layer
    }

    pub fn embed(&mut self, name: &str, weight: WeightId, scale: f32) -> Operand {
        let width = self.graph.weight(weight).n_in();
        let out = self.value(name, Rows::Tokens, width);
        self.graph.ops.push(Op::Embed { weight, scale, out });
        out
    }

    pub fn lookup(&mut self, name: &str, weight: WeightId, by: Lookup) -> Operand {
        let table = self.graph.weight(weight);
        if let Lookup::Row(row) = by {
            assert!((row as usize) < table.n_out(), "{name}: row {row}");
        }
        let out = self.value(name, Rows::Tokens, table.n_in());
        self.graph.ops.push(Op::Lookup { weight, by, out });
        out
    }

    pub fn norm(&mut self, name: &str, x: Operand, norm: Norm) -> Operand {
        for id in norm.weight.into_iter().chain(norm.bias) {
            assert_eq!(self.graph.weight(id).n_in(), x.width, "{name}: norm width");
        }
        let out = self.like(name, x, x.width);
        self.graph.ops.push(Op::Norm { x, norm, out });
        out
    }

    /// A norm of each head into given columns, so that q and k can share one value.
    pub fn head_norm_into(&mut self, x: Operand, n_head: usize, norm: Norm, out: Operand) {
        let name = self.graph.value(out.value).name.clone();
        assert_eq!(x.width, out.width, "{name}: head norm");
        assert_eq!(x.width % n_head, 0, "{name}: heads");
        for id in norm.weight.into_iter().chain(norm.bias) {
            let n: usize = self.graph.weight(id).shape.iter().product();
            let fits = n == x.width / n_head || n == x.width;
            assert!(fits, "{name}: head norm of {n} for {n_head} heads");
        }
        self.graph.ops.push(Op::HeadNorm {
            x,
            n_head,
            norm,
            out,
        });
    }

    pub fn linear(
        &mut self,
        name: &str,
        x: Operand,
        weight: WeightId,
        bias: Option<WeightId>,
    ) -> Operand {
        let n_out = self.graph.weight(weight).n_out();
        let out = self.like(name, x, n_out);
        self.linear_into(x, weight, bias, out);
        out
    }

    /// A linear that fills given columns, so that q, k and v can share one value.
    pub fn linear_into(
        &mut self,
        x: Operand,
        weight: WeightId,
        bias: Option<WeightId>,
        out: Operand,
    ) {
        let w = self.graph.weight(weight);
        assert_eq!(w.n_in(), x.width, "{}: n_in", w.name);
        assert_eq!(w.n_out(), out.width, "{}: n_out", w.name);
        if let Some(b) = bias {
            assert_eq!(self.graph.weight(b).n_in(), out.width, "{}: bias", w.name);
        }
        self.graph.ops.push(Op::Linear {
            x,
            weight,
            bias,
            out,
        });
    }

    pub fn rope(&mut self, name: &str, x: Operand, n_head: usize, rope: Rope) -> Operand {
        assert_eq!(x.width % n_head, 0, "{name}: heads");
        assert!(rope.n_rot <= x.width / n_head, "{name}: n_rot");
        assert_eq!(
            self.graph.constant(rope.freqs).len(),
            rope.n_rot / 2,
            "{name}: freqs"
        );
        let out = self.like(name, x, x.width);
        self.graph.ops.push(Op::Rope {
            x,
            n_head,
            rope,
            out,
        });
        out
    }

    pub fn kv_store(&mut self, k: Operand, v: Operand, layer: usize) {
        let kv = self.graph.kv[layer];
        assert_eq!(k.width, kv.n_head_kv * kv.dim_k, "layer {layer}: k width");
        assert_eq!(v.width, kv.n_head_kv * kv.dim_v, "layer {layer}: v width");
        self.graph.ops.push(Op::KvStore { k, v, layer });
    }

    pub fn attention(&mut self, name: &str, q: Operand, layer: usize, heads: Heads) -> Operand {
        let kv = self.graph.kv[layer];
        assert_eq!(q.width, heads.n_head * kv.dim_k, "{name}: q width");
        assert_eq!(heads.n_head % kv.n_head_kv, 0, "{name}: grouped heads");
        let out = self.like(name, q, heads.n_head * kv.dim_v);
        self.graph.ops.push(Op::Attention(Attention {
            q,
            layer,
            n_head: heads.n_head,
            scale: heads.scale,
            softcap: heads.softcap,
            mask: heads.mask,
            alibi: heads.alibi,
            out,
        }));
        out
    }

    pub fn glu(&mut self, name: &str, gate: Operand, up: Operand, act: Act) -> Operand {
        assert_eq!(gate.width, up.width, "{name}: glu");
        let out = self.like(name, gate, gate.width);
        self.graph.ops.push(Op::Glu { gate, up, act, out });
        out
    }

    pub fn act(&mut self, name: &str, x: Operand, act: Act) -> Operand {
        let out = self.like(name, x, x.width);
        self.graph.ops.push(Op::Act { x, act, out });
        out
    }

    pub fn add(&mut self, name: &str, a: Operand, b: Operand) -> Operand {
        assert_eq!(a.width, b.width, "{name}: add");
        let out = self.like(name, a, a.width);
        self.graph.ops.push(Op::Add { a, b, out });
        out
    }

    pub fn scale(&mut self, name: &str, x: Operand, by: f32) -> Operand {
        let out = self.like(name, x, x.width);
        self.graph.ops.push(Op::Scale { x, by, out });
        out
    }

    pub fn softcap(&mut self, name: &str, x: Operand, cap: f32) -> Operand {
        let out = self.like(name, x, x.width);
        self.graph.ops.push(Op::Softcap { x, cap, out });
        out
    }

    /// From one row a token to one row an output.
    pub fn select(&mut self, name: &str, x: Operand) -> Operand {
        let out = self.value(name, Rows::Outputs, x.width);
        self.graph.ops.push(Op::Select { x, out });
        out
    }

    /// Chooses experts; see [`Route`].
    pub fn route(&mut self, name: &str, x: Operand, r: Routing) -> Operand {
        assert!((1..=x.width).contains(&r.n_used), "{name}: n_used");
        if let Some(b) = r.bias {
            assert_eq!(self.graph.weight(b).n_in(), x.width, "{name}: bias");
        }
        let out = self.like(name, x, 2 * r.n_used);
        self.graph.ops.push(Op::Route(Route {
            x,
            gating: r.gating,
            bias: r.bias,
            n_used: r.n_used,
            normalize: r.normalize,
            scale: r.scale,
            out,
        }));
        out
    }

    /// `weights` is one tensor with all experts, or one for each; see [`LinearExperts`].
    pub fn linear_experts(
        &mut self,
        name: &str,
        x: Operand,
        route: Operand,
        weights: Vec<WeightId>,
        n_expert: usize,
    ) -> Operand {
        let first = self.graph.weight(weights[0]);
        let (n_in, n_used) = (first.n_in(), route.width / 2);
        let n_out = match weights.len() {
            1 => first.n_out() / n_expert,
            _ => first.n_out(),
        };
        assert!([1, n_expert].contains(&weights.len()), "{name}: experts");
        for id in &weights {
            let w = self.graph.weight(*id);
            assert_eq!(w.n_in(), n_in, "{name}: n_in");
            assert_eq!(w.n_out() * weights.len(), n_out * n_expert, "{name}: n_out");
        }
        assert!(
            x.width == n_in || x.width == n_in * n_used,
            "{name}: x of {} for {n_used} experts of {n_in}",
            x.width
        );
        let out = self.like(name, x, n_used * n_out);
        self.graph.ops.push(Op::LinearExperts(LinearExperts {
            x,
            route,
            weights,
            n_expert,
            out,
        }));
        out
    }

    /// What experts made, times each one's number.
    pub fn scale_experts(
        &mut self,
        name: &str,
        x: Operand,
        route: Operand,
        weight: WeightId,
    ) -> Operand {
        assert_eq!(x.width % (route.width / 2), 0, "{name}: scale");
        let out = self.like(name, x, x.width);
        self.graph.ops.push(Op::ScaleExperts {
            x,
            route,
            weight,
            out,
        });
        out
    }

    /// The weighted sum of what experts made.
    pub fn combine(&mut self, name: &str, x: Operand, route: Operand) -> Operand {
        let n_used = route.width / 2;
        assert_eq!(x.width % n_used, 0, "{name}: combine");
        let out = self.like(name, x, x.width / n_used);
        self.graph.ops.push(Op::Combine { x, route, out });
        out
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The finished graph; `hidden` (the normed state before the output matrix) is kept for
    /// reading where it is given, which costs the fusion of that norm.
    pub fn finish(mut self, hidden: Option<Operand>, logits: impl Into<Option<Operand>>) -> Graph {
        self.graph.hidden = hidden.map(|h| h.value);
        self.graph.logits = logits.into().map(|l| l.value);
        self.graph
    }

    fn like(&mut self, name: &str, x: Operand, width: usize) -> Operand {
        let rows = self.graph.value(x.value).rows;
        self.value(name, rows, width)
    }
}
