//! The attention op: which worker looks at which queries and cells.
//!
//! Queries that share a K/V head and a sequence, neighbouring tokens' heads of one group, are
//! taken [`MAX_QUERIES`] at a time (`attend.rs`); workers take those pieces by turns.

use puna_graph::op::alibi_slope;
use puna_graph::{Attention, Spans};

use crate::attend::{Alibi, Attend, MAX_QUERIES};
use crate::run::Ctx;

/// Queries that go together: `n` of the flat list `token * group + head of the group`.
#[derive(Clone, Copy)]
struct Queries {
    first: usize,
    n: usize,
    /// Whether its sequence has no other token in the batch.
    alone: bool,
}

pub(crate) fn run(ctx: &mut Ctx<'_>, a: &Attention) {
    let n_head_kv = ctx.core.caches[a.layer].shape.n_head_kv;
    let group = a.n_head / n_head_kv;
    let pieces = pieces(&ctx.batch().seq, group);
    let spans = ctx.spans(a.mask);
    loop {
        // Heads of one piece follow each other; long pieces, those of late tokens, come first.
        let i = ctx.take();
        if i >= pieces.len() * n_head_kv {
            return;
        }
        let piece = pieces[pieces.len() - 1 - i / n_head_kv];
        attend(ctx, a, spans, piece, i % n_head_kv, group);
    }
}

/// Cuts the queries of one K/V head into pieces, none across two sequences.
fn pieces(seq: &[u32], group: usize) -> Vec<Queries> {
    let mut pieces = vec![];
    let mut token = 0;
    for run in seq.chunk_by(|a, b| a == b) {
        let (mut first, end) = (token * group, (token + run.len()) * group);
        while first < end {
            let n = (end - first).min(MAX_QUERIES);
            let alone = run.len() == 1;
            pieces.push(Queries { first, n, alone });
            first += n;
        }
        token += run.len();
    }
    pieces
}

fn attend(
    ctx: &mut Ctx<'_>,
    a: &Attention,
    spans: &Spans,
    piece: Queries,
    head: usize,
    group: usize,
) {
    let core = ctx.core;
    let cache = &core.caches[a.layer];
    let (dim_k, dim_v) = (cache.shape.dim_k, cache.shape.dim_v);
    let (k_is_f32, v_is_f32) = (cache.k.is_read_as_f32(), cache.v.is_read_as_f32());
    let (kernel, room) = core.kernels.attend(k_is_f32, v_is_f32, piece.n);
    // Where a query's token and head are; missing queries repeat the last.
    let place = |i: usize| {
        let flat = piece.first + i.min(piece.n - 1);
        (flat / group, head * group + flat % group)
    };
    let mut q = std::mem::take(&mut ctx.local.queries);
    q.resize(dim_k * room, 0.0);
    let mut runs = [&[][..]; MAX_QUERIES];
    for (i, runs) in runs.iter_mut().enumerate().take(room) {
        let (t, h) = place(i);
        *runs = spans.of(t);
        let row = ctx.row(a.q.columns(h * dim_k, dim_k), t);
        for (q, x) in q.chunks_exact_mut(room).zip(row) {
            q[i] = x * a.scale;
        }
    }
    let first = runs[..room]
        .iter()
        .filter_map(|r| r.first())
        .map(|r| r.0)
        .min();
    let end = runs[..room]
        .iter()
        .filter_map(|r| r.last())
        .map(|r| r.1)
        .max();
    let alibi = a.alibi.map(|max_bias| Alibi {
        slopes: std::array::from_fn(|i| alibi_slope(max_bias, a.n_head, place(i).1)),
        pos: std::array::from_fn(|i| ctx.batch().pos[place(i).0]),
        cells: &ctx.view(a.layer).cache,
    });
    let (k, v, stride_v) = (cache.k.head(head), cache.v.head(head), cache.v.stride());
    let call = Attend {
        q: &q,
        k,
        v,
        dim_k,
        stride_v,
        runs,
        cells: (first.unwrap_or(0) as usize, end.unwrap_or(0) as usize),
        softcap: a.softcap,
        alibi,
        ahead: piece.alone && k.room() + v.room() == 0,
    };
    let out = &mut ctx.local.heads;
    out.resize(room * stride_v + k.room().max(v.room()), 0.0);
    let carry = kernel(&call, out);
    ctx.local.queries = q;
    for i in 0..piece.n {
        let (t, h) = place(i);
        let from = &ctx.local.heads[i * stride_v..][..dim_v];
        let to = ctx.row_mut(a.out.columns(h * dim_v, dim_v), t);
        for (to, x) in to.iter_mut().zip(from) {
            *to = x / carry.sum[i];
        }
    }
}
