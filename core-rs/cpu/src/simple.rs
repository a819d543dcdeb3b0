//! The ops that go row by row: workers share rows out by turns, and heads in runs.

use puna_graph::{Lookup, Norm, NormKind, Op, Operand, Result, Rope, WeightId};

use crate::experts;
use crate::run::Ctx;

pub(crate) fn run(ctx: &mut Ctx<'_>, op: &Op) -> Result<()> {
    let k = ctx.core.kernels;
    match op {
        Op::Embed { weight, scale, out } => {
            for t in rows(ctx, *out) {
                let row = ctx.row_mut(*out, t);
                let id = ctx.batch().tokens[t] as usize;
                ctx.weight(*weight).row(id, &mut ctx.local.bytes, row)?;
                if *scale != 1.0 {
                    row.iter_mut().for_each(|x| *x *= scale);
                }
            }
        }
        Op::Lookup { weight, by, out } => {
            for t in rows(ctx, *out) {
                let id = match by {
                    Lookup::Position => ctx.batch().pos[t] as usize,
                    Lookup::Row(row) => *row as usize,
                };
                let row = ctx.row_mut(*out, t);
                ctx.weight(*weight).row(id, &mut ctx.local.bytes, row)?;
            }
        }
        Op::HeadNorm {
            x,
            n_head,
            norm,
            out,
        } => head_norm(ctx, norm, *x, *n_head, *out),
        Op::Norm { x, norm: n, out } => {
            for t in rows(ctx, *out) {
                norm(ctx, n, ctx.row(*x, t), ctx.row_mut(*out, t));
            }
        }
        Op::Rope {
            x,
            n_head,
            rope,
            out,
        } => turn(ctx, rope, *x, *n_head, *out),
        Op::KvStore { k, v, layer } => store(ctx, *k, *v, *layer, None),
        Op::RopeStore(r) => {
            turn(ctx, &r.rope, r.q, r.n_head, r.out);
            store(ctx, r.k, r.v, r.layer, Some(&r.rope));
        }
        Op::Glu { gate, up, act, out } => from(ctx, *gate, *out, |t, row| {
            (k.glu)(*act, row, ctx.row(*up, t));
        }),
        Op::Act { x, act, out } => from(ctx, *x, *out, |_, row| (k.act)(*act, row)),
        Op::Add { a, b, out } => from(ctx, *a, *out, |t, row| (k.add)(row, ctx.row(*b, t))),
        Op::Scale { x, by, out } => from(ctx, *x, *out, |_, row| {
            row.iter_mut().for_each(|x| *x *= by);
        }),
        Op::Softcap { x, cap, out } => from(ctx, *x, *out, |_, row| (k.softcap)(row, *cap)),
        Op::Select { x, out } => {
            for r in rows(ctx, *out) {
                let t = ctx.batch().outputs[r] as usize;
                ctx.row_mut(*out, r).copy_from_slice(ctx.row(*x, t));
            }
        }
        Op::Route(r) => {
            for t in rows(ctx, r.out) {
                experts::route(ctx, r, t);
            }
        }
        Op::ScaleExperts {
            x,
            route,
            weight,
            out,
        } => {
            let by = ctx.weight(*weight).vector();
            from(ctx, *x, *out, |t, row| {
                let (n_used, width) = (route.width / 2, row.len());
                let chosen = ctx.row(*route, t).iter().take(n_used);
                for (x, &e) in row.chunks_exact_mut(width / n_used).zip(chosen) {
                    x.iter_mut().for_each(|x| *x *= by[e as usize]);
                }
            });
        }
        Op::Combine { x, route, out } => {
            for t in rows(ctx, *out) {
                experts::combine(ctx.row(*x, t), ctx.row(*route, t), ctx.row_mut(*out, t));
            }
        }
        Op::Linear { .. } | Op::FusedLinear(_) | Op::LinearExperts(_) | Op::Attention(_) => {
            unreachable!("{} has a file of its own", op.name())
        }
    }
    Ok(())
}

/// The rows of a value that are this worker's.
fn rows(ctx: &Ctx<'_>, x: Operand) -> impl Iterator<Item = usize> + use<> {
    (ctx.worker..ctx.n_rows(x)).step_by(ctx.n_workers)
}

/// `out = x`, then `change(t, out)`.
fn from(ctx: &Ctx<'_>, x: Operand, out: Operand, change: impl Fn(usize, &mut [f32])) {
    for t in rows(ctx, out) {
        let row = ctx.row_mut(out, t);
        row.copy_from_slice(ctx.row(x, t));
        change(t, row);
    }
}

pub(crate) fn norm(ctx: &Ctx<'_>, norm: &Norm, x: &[f32], out: &mut [f32]) {
    let (weight, bias) = (vector(ctx, norm.weight), vector(ctx, norm.bias));
    norm_by(ctx, norm, (weight, bias), x, out);
}

/// A vector of weights, empty where there is none.
fn vector<'a>(ctx: &Ctx<'a>, id: Option<WeightId>) -> &'a [f32] {
    id.map_or(&[], |id| ctx.weight(id).vector())
}

/// Each head with its piece of the weights, or with all of them where they are one head's.
fn head_norm(ctx: &Ctx<'_>, norm: &Norm, x: Operand, n_head: usize, out: Operand) {
    let (weight, bias) = (vector(ctx, norm.weight), vector(ctx, norm.bias));
    let dim = x.width / n_head;
    for (t, h) in heads(ctx, ctx.n_rows(x), n_head) {
        let x = ctx.row(x.columns(h * dim, dim), t);
        let out = ctx.row_mut(out.columns(h * dim, dim), t);
        norm_by(
            ctx,
            norm,
            (of_head(weight, h, dim), of_head(bias, h, dim)),
            x,
            out,
        );
    }
}

fn of_head(weight: &[f32], h: usize, dim: usize) -> &[f32] {
    match weight.len() > dim {
        true => &weight[h * dim..][..dim],
        false => weight,
    }
}

/// A norm by these weights and biases.
fn norm_by(
    ctx: &Ctx<'_>,
    norm: &Norm,
    (weight, bias): (&[f32], &[f32]),
    x: &[f32],
    out: &mut [f32],
) {
    match norm.kind {
        NormKind::Rms => {
            (ctx.core.kernels.rms_norm)(x, weight, norm.eps, out);
            if !bias.is_empty() {
                (ctx.core.kernels.add)(out, bias);
            }
        }
        NormKind::Layer => (ctx.core.kernels.layer_norm)(x, weight, bias, norm.eps, out),
    }
}

/// Heads are the unit, so that one token is work for several workers; each has a run of neighbours, as
/// memory has them.
fn heads(
    ctx: &Ctx<'_>,
    n_tokens: usize,
    n_head: usize,
) -> impl Iterator<Item = (usize, usize)> + use<> {
    let share = |worker: usize| n_tokens * n_head * worker / ctx.n_workers;
    (share(ctx.worker)..share(ctx.worker + 1)).map(move |i| (i / n_head, i % n_head))
}

fn turn(ctx: &Ctx<'_>, rope: &Rope, x: Operand, n_head: usize, out: Operand) {
    let (turns, dim) = (ctx.turns(rope), x.width / n_head);
    for (t, h) in heads(ctx, ctx.n_rows(x), n_head) {
        let (cos, sin) = turns.of(t, rope.n_rot / 2);
        let x = ctx.row(x.columns(h * dim, dim), t);
        let out = ctx.row_mut(out.columns(h * dim, dim), t);
        (ctx.core.kernels.rope)(rope.layout, cos, sin, x, out);
    }
}

fn store(ctx: &mut Ctx<'_>, k: Operand, v: Operand, layer: usize, rope: Option<&Rope>) {
    let cache = &ctx.core.caches[layer];
    let (n_head, dim_k, dim_v) = (cache.shape.n_head_kv, cache.shape.dim_k, cache.shape.dim_v);
    ctx.local.heads.resize(dim_k, 0.0);
    for (t, h) in heads(ctx, ctx.batch().n_tokens(), n_head) {
        let mut key = ctx.row(k.columns(h * dim_k, dim_k), t);
        if let Some(rope) = rope {
            let (cos, sin) = ctx.turns(rope).of(t, rope.n_rot / 2);
            (ctx.core.kernels.rope)(rope.layout, cos, sin, key, &mut ctx.local.heads);
            key = &ctx.local.heads;
        }
        let value = ctx.row(v.columns(h * dim_v, dim_v), t);
        cache.store(h, ctx.view(layer).cells[t] as usize, key, value);
    }
}
