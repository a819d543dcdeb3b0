//! A plan or graph as text, one op a line: what tests snapshot and people read.

use std::fmt::{self, Display, Formatter};

use crate::graph::{Graph, Operand, Rows};
use crate::op::{Norm, NormKind, Op, Part};
use crate::plan::Plan;

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for op in &self.ops {
            writeln!(f, "{}", line(self, op))?;
        }
        Ok(())
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "plan: {} ops, {} tokens, {} outputs, arenas of {:?} f32",
            self.graph.ops.len(),
            self.n_tokens,
            self.n_outputs,
            self.arenas
        )?;
        for op in &self.graph.ops {
            let places: Vec<String> = op
                .outputs()
                .iter()
                .map(|x| {
                    let slot = self.slot(x.value);
                    format!("{}:{}", slot.arena, slot.offset)
                })
                .collect();
            writeln!(f, "{:<90} @ {}", line(&self.graph, op), places.join(" "))?;
        }
        Ok(())
    }
}

/// `name[cols]` with the columns only where they are not the whole value.
fn operand(g: &Graph, x: Operand) -> String {
    let value = g.value(x.value);
    if x.width == value.width {
        value.name.clone()
    } else {
        format!("{}[{}..{}]", value.name, x.col, x.col + x.width)
    }
}

fn norm(g: &Graph, n: &Norm) -> String {
    let kind = match n.kind {
        NormKind::Rms => "rms",
        NormKind::Layer => "layer",
    };
    match n.weight {
        Some(w) => format!("{kind}({})", g.weight(w).name),
        None => kind.to_string(),
    }
}

fn part(g: &Graph, p: &Part) -> String {
    let w = g.weight(p.weight);
    let bias = if p.bias.is_some() { "+bias" } else { "" };
    format!("{}:{}{bias}", w.name, w.dtype.name())
}

fn line(g: &Graph, op: &Op) -> String {
    let o = |x: &Operand| operand(g, *x);
    let outs: Vec<String> = op
        .outputs()
        .iter()
        .map(|x| {
            let rows = match g.value(x.value).rows {
                Rows::Tokens => "t",
                Rows::Outputs => "o",
            };
            format!("{}[{rows},{}]", operand(g, *x), x.width)
        })
        .collect();
    let body = match op {
        Op::Embed { weight, scale, .. } => {
            format!("{} *{scale}", g.weight(*weight).name)
        }
        Op::Lookup { weight, by, .. } => format!("{} {by:?}", g.weight(*weight).name),
        Op::Norm { x, norm: n, .. } => format!("{} {}", o(x), norm(g, n)),
        Op::HeadNorm {
            x, n_head, norm: n, ..
        } => format!("{} heads={n_head} {}", o(x), norm(g, n)),
        Op::Linear {
            x, weight, bias, ..
        } => {
            let p = Part {
                weight: *weight,
                bias: *bias,
            };
            format!("{} {}", o(x), part(g, &p))
        }
        Op::Rope {
            x, n_head, rope, ..
        } => format!("{} heads={n_head} {:?}", o(x), rope.layout),
        Op::KvStore { k, v, layer } => format!("k={} v={} layer={layer}", o(k), o(v)),
        Op::Attention(a) => {
            let mut s = format!(
                "{} layer={} heads={} scale={}",
                o(&a.q),
                a.layer,
                a.n_head,
                a.scale
            );
            a.softcap.iter().for_each(|c| s += &format!(" softcap={c}"));
            let window = a.mask.window;
            window.iter().for_each(|w| s += &format!(" window={w}"));
            a.alibi.iter().for_each(|m| s += &format!(" alibi={m}"));
            if !a.mask.causal {
                s += " all";
            }
            s
        }
        Op::Glu { gate, up, act, .. } => format!("{act:?} gate={} up={}", o(gate), o(up)),
        Op::Act { x, act, .. } => format!("{act:?} {}", o(x)),
        Op::Add { a, b, .. } => format!("{} + {}", o(a), o(b)),
        Op::Scale { x, by, .. } => format!("{} *{by}", o(x)),
        Op::Softcap { x, cap, .. } => format!("{} cap={cap}", o(x)),
        Op::Select { x, .. } => o(x),
        Op::Route(r) => format!("{} {:?} {} chosen", o(&r.x), r.gating, r.n_used),
        Op::LinearExperts(l) => {
            let w = g.weight(l.weights[0]);
            let (n, dtype) = (l.n_expert, w.dtype.name());
            format!("{} by {} {}:{dtype} of {n}", o(&l.x), o(&l.route), w.name)
        }
        Op::ScaleExperts {
            x, route, weight, ..
        } => format!("{} by {} *{}", o(x), o(route), g.weight(*weight).name),
        Op::Combine { x, route, .. } => format!("{} by {}", o(x), o(route)),
        Op::FusedLinear(l) => {
            let mut s = o(&l.x);
            if let Some(a) = &l.add {
                let post = a
                    .norm
                    .as_ref()
                    .map(|n| norm(g, n) + " ")
                    .unwrap_or_default();
                s += &format!(" + {post}{}", o(&a.delta));
            }
            l.norm.iter().for_each(|n| s += &format!(" {}", norm(g, n)));
            l.parts
                .iter()
                .for_each(|p| s += &format!(" {}", part(g, p)));
            l.glu.iter().for_each(|a| s += &format!(" glu={a:?}"));
            l.residual.iter().for_each(|r| s += &format!(" + {}", o(r)));
            l.softcap.iter().for_each(|c| s += &format!(" softcap={c}"));
            s
        }
        Op::RopeStore(r) => format!(
            "q={} k={} v={} heads={} {:?} layer={}",
            o(&r.q),
            o(&r.k),
            o(&r.v),
            r.n_head,
            r.rope.layout,
            r.layer
        ),
    };
    let target = if outs.is_empty() {
        "cache".to_string()
    } else {
        outs.join(", ")
    };
    format!("{target} = {} {body}", op.name())
}
