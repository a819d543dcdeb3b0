//! Fusion: fewer, larger ops. The way back is `decompose.rs`.
//!
//! [`Graph::fused`] recognises the chains that every decoder layer is made of; what it produces
//! is defined by [`Graph::decomposed`].
//!
//! A llama layer of 14 simple ops becomes 6:
//! `norm+qkv · rope+store · attention · linear+add · norm+gate+up+glu · linear+add`.

use std::collections::HashMap;

use crate::graph::{Graph, Operand, ValueId};
use crate::op::{Added, FusedLinear, Op, Part, RopeStore};

/// Who reads and who writes each value, by index of op.
struct Uses {
    readers: HashMap<ValueId, Vec<usize>>,
    writers: HashMap<ValueId, Vec<usize>>,
}

impl Uses {
    fn of(graph: &Graph, ops: &[Option<Op>]) -> Self {
        let mut uses = Uses {
            readers: HashMap::new(),
            writers: HashMap::new(),
        };
        for (i, op) in ops.iter().enumerate() {
            let Some(op) = op else { continue };
            for x in op.inputs() {
                uses.readers.entry(x.value).or_default().push(i);
            }
            for x in op.outputs() {
                uses.writers.entry(x.value).or_default().push(i);
            }
        }
        // What leaves the graph has a reader that no op may absorb.
        for id in [graph.hidden, graph.logits].into_iter().flatten() {
            uses.readers.entry(id).or_default().push(usize::MAX);
        }
        uses
    }

    fn only_reader(&self, x: Operand) -> Option<usize> {
        match self.readers.get(&x.value).map(Vec::as_slice) {
            Some([one]) if *one != usize::MAX => Some(*one),
            _ => None,
        }
    }

    fn only_writer(&self, x: Operand) -> Option<usize> {
        match self.writers.get(&x.value).map(Vec::as_slice) {
            Some([one]) => Some(*one),
            _ => None,
        }
    }
}

impl Graph {
    /// The same computation in fused ops. Split a graph before fusing it: the starts of layers
    /// are not kept.
    pub fn fused(&self) -> Graph {
        let mut ops: Vec<Option<Op>> = self.ops.iter().cloned().map(Some).collect();
        for pass in [
            fuse_parts,
            fuse_glu,
            fuse_residual,
            fuse_softcap,
            fuse_norm,
            fuse_added,
            fuse_rope_store,
        ] {
            pass(self, &mut ops);
        }
        Graph {
            ops: ops.into_iter().flatten().collect(),
            layer_starts: vec![],
            ..self.clone()
        }
    }
}

/// Every linear becomes a fused one; linears over one input into neighbouring columns become one.
fn fuse_parts(graph: &Graph, ops: &mut [Option<Op>]) {
    let mut last: Option<usize> = None;
    for i in 0..ops.len() {
        let Some(Op::Linear {
            x,
            weight,
            bias,
            out,
        }) = ops[i].clone()
        else {
            last = None;
            continue;
        };
        let part = Part { weight, bias };
        if let Some(Op::FusedLinear(f)) = last.and_then(|l| ops[l].as_mut())
            && f.x == x
            && f.out.value == out.value
            && f.out.col + f.out.width == out.col
        {
            f.parts.push(part);
            f.out.width += out.width;
            ops[i] = None;
        } else {
            ops[i] = Some(Op::FusedLinear(FusedLinear {
                x,
                add: None,
                norm: None,
                parts: vec![part],
                glu: None,
                residual: None,
                softcap: None,
                out,
            }));
            last = Some(i);
        }
    }
    debug_assert!(graph.ops.len() == ops.len());
}

/// `glu(gate·x, up·x)` becomes one op with two parts.
fn fuse_glu(graph: &Graph, ops: &mut [Option<Op>]) {
    for i in 0..ops.len() {
        let Some(Op::Glu { gate, up, act, out }) = ops[i].clone() else {
            continue;
        };
        let uses = Uses::of(graph, ops);
        let (Some(g), Some(u)) = (uses.only_writer(gate), uses.only_writer(up)) else {
            continue;
        };
        let absorbed = match (&ops[g], &ops[u]) {
            // One matrix holds gate and up, one after the other, in two parts of one value.
            (Some(Op::FusedLinear(a)), _) if g == u => {
                let halves = a.parts.len() == 2
                    && a.out.col == gate.col
                    && gate.width == up.width
                    && gate.col + gate.width == up.col
                    && a.out.width == 2 * gate.width;
                let part_width = graph.weight(a.parts[0].weight).n_out();
                (halves && part_width == gate.width).then(|| a.parts.clone())
            }
            (Some(Op::FusedLinear(a)), Some(Op::FusedLinear(b))) => {
                let alike = a.x == b.x && a.parts.len() == 1 && b.parts.len() == 1;
                let single = uses.only_reader(gate) == Some(i) && uses.only_reader(up) == Some(i);
                let whole = a.out == gate && b.out == up;
                (alike && single && whole).then(|| vec![a.parts[0], b.parts[0]])
            }
            _ => None,
        };
        let (Some(parts), Some(Op::FusedLinear(a))) = (absorbed, ops[g].clone()) else {
            continue;
        };
        ops[u] = None;
        ops[i] = None;
        ops[g] = Some(Op::FusedLinear(FusedLinear {
            parts,
            glu: Some(act),
            out,
            ..a
        }));
    }
}

/// `x + linear(y)` becomes the epilogue of the linear, where x is there before it.
fn fuse_residual(graph: &Graph, ops: &mut [Option<Op>]) {
    for i in 0..ops.len() {
        let Some(Op::Add { a, b, out }) = ops[i] else {
            continue;
        };
        let uses = Uses::of(graph, ops);
        for (residual, delta) in [(a, b), (b, a)] {
            let Some(l) = uses.only_writer(delta) else {
                continue;
            };
            let before = uses
                .writers
                .get(&residual.value)
                .is_none_or(|w| w.iter().all(|&w| w < l));
            let Some(Op::FusedLinear(f)) = &mut ops[l] else {
                continue;
            };
            let free = f.residual.is_none() && f.softcap.is_none() && f.glu.is_none();
            if free && before && f.out == delta && uses.only_reader(delta) == Some(i) {
                f.residual = Some(residual);
                f.out = out;
                ops[i] = None;
                break;
            }
        }
    }
}

/// A soft cap right behind a linear becomes its epilogue.
fn fuse_softcap(graph: &Graph, ops: &mut [Option<Op>]) {
    for i in 0..ops.len() {
        let Some(Op::Softcap { x, cap, out }) = ops[i] else {
            continue;
        };
        let uses = Uses::of(graph, ops);
        let Some(l) = uses.only_writer(x) else {
            continue;
        };
        if let Some(Op::FusedLinear(f)) = &mut ops[l]
            && f.softcap.is_none()
            && f.out == x
            && uses.only_reader(x) == Some(i)
        {
            f.softcap = Some(cap);
            f.out = out;
            ops[i] = None;
        }
    }
}

/// A norm that only one linear reads becomes its prologue.
fn fuse_norm(graph: &Graph, ops: &mut [Option<Op>]) {
    for i in 0..ops.len() {
        let Some(Op::Norm { x, norm, out }) = ops[i].clone() else {
            continue;
        };
        let uses = Uses::of(graph, ops);
        let Some(l) = uses.only_reader(out) else {
            continue;
        };
        if let Some(Op::FusedLinear(f)) = &mut ops[l]
            && f.x == out
            && f.norm.is_none()
        {
            f.x = x;
            f.norm = Some(norm);
            ops[i] = None;
        }
    }
}

/// `h = x + norm(y)` whose first reader is a norm and linear becomes the prologue of that linear.
fn fuse_added(graph: &Graph, ops: &mut [Option<Op>]) {
    for i in 0..ops.len() {
        let Some(Op::Add { a, b, out }) = ops[i] else {
            continue;
        };
        let uses = Uses::of(graph, ops);
        let Some(&l) = uses.readers.get(&out.value).and_then(|r| r.iter().min()) else {
            continue;
        };
        // A post norm of either side, read by nothing else, comes along.
        let post = |x: Operand| {
            let n = uses.only_writer(x)?;
            match &ops[n] {
                Some(Op::Norm { x: y, norm, out }) if *out == x => {
                    (uses.only_reader(x) == Some(i)).then_some((n, *y, *norm))
                }
                _ => None,
            }
        };
        let (x, delta, normed) = match (post(b), post(a)) {
            (Some((n, y, norm)), _) => (a, y, Some((n, norm))),
            (None, Some((n, y, norm))) => (b, y, Some((n, norm))),
            (None, None) => (a, b, None),
        };
        if l == usize::MAX {
            continue;
        }
        if let Some(Op::FusedLinear(f)) = &mut ops[l]
            && f.x == out
            && f.norm.is_some()
            && f.add.is_none()
        {
            f.x = x;
            f.add = Some(Added {
                delta,
                norm: normed.map(|(_, norm)| norm),
                sum: out,
            });
            ops[i] = None;
            if let Some((n, _)) = normed {
                ops[n] = None;
            }
        }
    }
}

/// `rope(q)`, `rope(k)`, `kv_store` become one op.
fn fuse_rope_store(graph: &Graph, ops: &mut [Option<Op>]) {
    for i in 0..ops.len() {
        let Some(Op::KvStore { k, v, layer }) = ops[i] else {
            continue;
        };
        let uses = Uses::of(graph, ops);
        let Some(rk) = uses.only_writer(k) else {
            continue;
        };
        let Some(Op::Rope {
            x: k_in,
            rope,
            out: k_out,
            ..
        }) = ops[rk]
        else {
            continue;
        };
        // The rope of q is the other rope of the same table just before the store.
        let rq = (0..i).rev().find(|&j| {
            j != rk
                && matches!(&ops[j], Some(Op::Rope { rope: r, x, .. })
                    if *r == rope && x.value == k_in.value)
        });
        let Some(rq) = rq else { continue };
        let Some(Op::Rope {
            x: q, n_head, out, ..
        }) = ops[rq]
        else {
            continue;
        };
        if k_out == k && uses.only_reader(k) == Some(i) && uses.only_writer(out) == Some(rq) {
            ops[rq] = None;
            ops[rk] = None;
            ops[i] = Some(Op::RopeStore(RopeStore {
                q,
                k: k_in,
                v,
                n_head,
                rope,
                layer,
                out,
            }));
        }
    }
}
