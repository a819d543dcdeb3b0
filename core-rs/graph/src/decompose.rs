//! The way back from fused ops to simple ones, which is what defines them. A backend without a fused
//! kernel runs the decomposition; tests compare the two.

use crate::graph::{Graph, Operand, Rows, Value, ValueId};
use crate::op::{FusedLinear, Op, RopeStore};

impl Graph {
    /// The same computation in simple ops only.
    pub fn decomposed(&self) -> Graph {
        let mut graph = Graph {
            ops: vec![],
            ..self.clone()
        };
        for op in &self.ops {
            match op {
                Op::FusedLinear(f) => linear(&mut graph, f),
                Op::RopeStore(r) => rope_store(&mut graph, r),
                simple => graph.ops.push(simple.clone()),
            }
        }
        graph
    }
}

fn temp(graph: &mut Graph, name: &str, rows: Rows, width: usize) -> Operand {
    let id = ValueId(graph.values.len() as u32);
    graph.values.push(Value {
        name: name.to_string(),
        rows,
        width,
    });
    graph.whole(id)
}

/// What stands before the matrices of a [`FusedLinear`]; answers what they multiply.
fn prologue(graph: &mut Graph, f: &FusedLinear, name: &str, rows: Rows) -> Operand {
    let mut x = f.x;
    if let Some(add) = f.add {
        let mut delta = add.delta;
        if let Some(norm) = add.norm {
            let out = temp(graph, &format!("{name}.delta"), rows, delta.width);
            graph.ops.push(Op::Norm {
                x: delta,
                norm,
                out,
            });
            delta = out;
        }
        graph.ops.push(Op::Add {
            a: x,
            b: delta,
            out: add.sum,
        });
        x = add.sum;
    }
    if let Some(norm) = f.norm {
        let out = temp(graph, &format!("{name}.norm"), rows, x.width);
        graph.ops.push(Op::Norm { x, norm, out });
        x = out;
    }
    x
}

/// The definition of [`FusedLinear`].
fn linear(graph: &mut Graph, f: &FusedLinear) {
    let name = graph.value(f.out.value).name.clone();
    let rows = graph.value(f.out.value).rows;
    let x = prologue(graph, f, &name, rows);
    // How many steps still follow decides which of them writes `f.out`.
    let mut steps = [f.glu.is_some(), f.residual.is_some(), f.softcap.is_some()]
        .iter()
        .filter(|&&s| s)
        .count();
    let widths: Vec<usize> = f
        .parts
        .iter()
        .map(|p| graph.weight(p.weight).n_out())
        .collect();
    let n: usize = widths.iter().sum();
    let mut y = if steps == 0 {
        f.out
    } else {
        temp(graph, &format!("{name}.linear"), rows, n)
    };
    let mut col = 0;
    for (part, width) in f.parts.iter().zip(&widths) {
        graph.ops.push(Op::Linear {
            x,
            weight: part.weight,
            bias: part.bias,
            out: y.columns(col, *width),
        });
        col += width;
    }
    let mut next = |graph: &mut Graph, what: &str| {
        steps -= 1;
        match steps {
            0 => f.out,
            _ => temp(graph, &format!("{name}.{what}"), rows, f.out.width),
        }
    };
    if let Some(act) = f.glu {
        let out = next(graph, "glu");
        let (gate, up) = (y.columns(0, n / 2), y.columns(n / 2, n / 2));
        graph.ops.push(Op::Glu { gate, up, act, out });
        y = out;
    }
    if let Some(residual) = f.residual {
        let out = next(graph, "sum");
        graph.ops.push(Op::Add {
            a: residual,
            b: y,
            out,
        });
        y = out;
    }
    if let Some(cap) = f.softcap {
        let out = next(graph, "softcap");
        graph.ops.push(Op::Softcap { x: y, cap, out });
    }
}

/// The definition of [`RopeStore`].
fn rope_store(graph: &mut Graph, r: &RopeStore) {
    let kv = graph.kv[r.layer];
    let name = graph.value(r.out.value).name.clone();
    let k = temp(graph, &format!("{name}.k"), Rows::Tokens, r.k.width);
    graph.ops.push(Op::Rope {
        x: r.q,
        n_head: r.n_head,
        rope: r.rope,
        out: r.out,
    });
    graph.ops.push(Op::Rope {
        x: r.k,
        n_head: kv.n_head_kv,
        rope: r.rope,
        out: k,
    });
    graph.ops.push(Op::KvStore {
        k,
        v: r.v,
        layer: r.layer,
    });
}
