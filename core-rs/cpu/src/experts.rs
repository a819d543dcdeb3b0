//! Mixtures of experts: the choice, the products, and their sum.
//!
//! The slow algorithm of the products: for each row and each of its experts, the expert's matrix
//! times the row. Departures from it:
//! 1. Rows are gathered by expert, so that an expert's weights are read once for all its rows, in
//!    tiles of tokens like those of `linear.rs`. Its rows go to tiles in the order of the batch.
//! 2. Workers take blocks of [`COLUMNS`] columns of one expert. Blocks are aligned to the rows of
//!    the whole tensor, as packed groups are; columns of a neighbouring expert are left out.
//! 3. One token whose experts all multiply the same row is prepared once by each worker, without
//!    a barrier.

use std::ops::Range;

use puna_graph::reference::SMALLEST_SUM;
use puna_graph::{Gating, LinearExperts, Op, Plan, Result, Route, WeightId};

use crate::activations::{Activations, TileSpan, padded, tiling};
use crate::columns::{COLUMNS, ZEROS, columns, stride};
use crate::linear::few_at_once;
use crate::run::Ctx;
use crate::simd::Kernels;
use crate::weight::Weight;

/// One row of one expert: which row of the batch, and which of its experts this is.
#[derive(Clone, Copy)]
struct Pair {
    row: usize,
    slot: usize,
}

/// The rows of one expert.
struct Group {
    expert: usize,
    tiles: Vec<TileSpan>,
}

/// Room for the rows of all experts of the widest op.
pub(crate) fn room(plan: &Plan, kernels: &Kernels) -> Activations {
    let (mut n_rows, mut quantized, mut plain) = (0, 0, 0);
    for op in &plan.graph.ops {
        let Op::LinearExperts(l) = op else { continue };
        let rows = plan.capacity(plan.graph.value(l.x.value).rows);
        let n_pairs = rows * l.n_used();
        let n_groups = n_pairs.min(l.n_expert);
        n_rows = n_rows.max(n_pairs + n_groups * padded(0, kernels.widest));
        for &id in &l.weights {
            let weight = plan.graph.weight(id);
            let widest = match kernels.quant(weight.dtype) {
                Some(_) => &mut quantized,
                None => &mut plain,
            };
            *widest = weight.n_in().max(*widest);
        }
    }
    Activations::new(n_rows, quantized, plain, kernels.rows)
}

pub(crate) fn linear(ctx: &mut Ctx<'_>, l: &LinearExperts) -> Result<()> {
    let n_in = ctx.core.plan.graph.weight(l.weights[0]).n_in();
    let (pairs, mut groups) = gather(ctx, l);
    let core = ctx.core;
    let alone = ctx.n_rows(l.x) == 1 && l.x.width == n_in;
    if alone {
        let tile = tiling(1, core.kernels.widest)[0];
        prepare(ctx, l, n_in, (tile, &pairs[..1]), None);
        groups.iter_mut().for_each(|g| g.tiles[0].at = 0);
    } else {
        let tiles = groups.iter().flat_map(|g| &g.tiles);
        for tile in tiles.skip(ctx.worker).step_by(ctx.n_workers) {
            let pairs = &pairs[tile.first..][..tile.n_used];
            prepare(ctx, l, n_in, (*tile, pairs), Some(&core.routed));
        }
        if !ctx.meet() {
            return Ok(());
        }
    }
    multiply(ctx, l, n_in, &pairs, &groups, alone)
}

/// The rows of each expert, those with one gathered: pairs by expert, and where each one's are.
fn gather(ctx: &Ctx<'_>, l: &LinearExperts) -> (Vec<Pair>, Vec<Group>) {
    let mut chosen: Vec<(usize, Pair)> = vec![];
    for row in 0..ctx.n_rows(l.x) {
        let route = ctx.row(l.route, row);
        for (slot, &expert) in route[..l.n_used()].iter().enumerate() {
            chosen.push((expert as usize, Pair { row, slot }));
        }
    }
    chosen.sort_by_key(|c| c.0); // stable: rows stay in order
    let (mut groups, mut first, mut at) = (vec![], 0, 0);
    for same in chosen.chunk_by(|a, b| a.0 == b.0) {
        let mut tiles = tiling(same.len(), ctx.core.kernels.widest);
        for tile in &mut tiles {
            tile.first += first;
            tile.at += at;
        }
        let last = tiles.last().expect("a chunk has a row");
        at = last.at + last.size;
        first += same.len();
        let expert = same[0].0;
        groups.push(Group { expert, tiles });
    }
    (chosen.into_iter().map(|c| c.1).collect(), groups)
}

/// Puts the rows of a tile as kernels want them; `shared` is `None` where every worker does.
fn prepare(
    ctx: &mut Ctx<'_>,
    l: &LinearExperts,
    n_in: usize,
    (tile, pairs): (TileSpan, &[Pair]),
    shared: Option<&Activations>,
) {
    let is_int = |id: &WeightId| matches!(ctx.weight(*id), Weight::Packed(_));
    let (ints, floats) = (l.weights.iter().any(is_int), !l.weights.iter().all(is_int));
    let to = shared.unwrap_or(&ctx.local.activations);
    for (t, pair) in pairs.iter().enumerate() {
        let x = match l.x.width == n_in {
            true => ctx.row(l.x, pair.row),
            false => ctx.row(l.x.columns(pair.slot * n_in, n_in), pair.row),
        };
        if ints {
            (ctx.core.kernels.quantize)(x, t, tile.size, &mut to.tile_mut(tile, n_in));
        }
        if floats {
            to.put_lines(tile, t, x);
        }
    }
    if floats {
        to.transpose_lines(tile, n_in, ctx.core.kernels);
    }
}

/// Where an expert's rows are: the tensor, and its rows in there.
fn rows_of(l: &LinearExperts, expert: usize) -> (WeightId, Range<usize>) {
    let n_out = l.out.width / l.n_used();
    match l.weights.as_slice() {
        [all] => (*all, expert * n_out..(expert + 1) * n_out),
        each => (each[expert], 0..n_out),
    }
}

/// Blocks of [`COLUMNS`] that touch these rows, by their number in the tensor.
fn blocks(rows: &Range<usize>) -> Range<usize> {
    rows.start / COLUMNS..rows.end.div_ceil(COLUMNS)
}

fn multiply(
    ctx: &mut Ctx<'_>,
    l: &LinearExperts,
    n_in: usize,
    pairs: &[Pair],
    groups: &[Group],
    alone: bool,
) -> Result<()> {
    let lengths = groups.iter().map(|g| blocks(&rows_of(l, g.expert).1).len());
    let ends: Vec<usize> = lengths
        .scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        })
        .collect();
    let n_blocks = ends.last().copied().unwrap_or(0);
    let at_once = match pairs.len() == groups.len() {
        true => few_at_once(n_blocks, ctx.n_workers),
        false => 1,
    };
    while let Some(taken) = ctx.take_next_to(n_blocks, at_once) {
        for i in taken {
            let g = ends.partition_point(|&end| end <= i);
            let (id, rows) = rows_of(l, groups[g].expert);
            let range = blocks(&rows);
            let block = range.end - (ends[g] - i);
            one_block(
                ctx,
                l,
                n_in,
                pairs,
                &groups[g].tiles,
                (id, rows, block),
                alone,
            )?;
        }
    }
    Ok(())
}

/// The columns of one block that are the expert's, for all its rows.
fn one_block(
    ctx: &mut Ctx<'_>,
    l: &LinearExperts,
    n_in: usize,
    pairs: &[Pair],
    tiles: &[TileSpan],
    (id, rows, block): (WeightId, Range<usize>, usize),
    alone: bool,
) -> Result<()> {
    let c = block * COLUMNS;
    let n = COLUMNS.min(ctx.core.plan.graph.weight(id).n_out() - c);
    let own = rows.start.max(c)..rows.end.min(c + n);
    let mut decoded = std::mem::take(&mut ctx.local.decoded[0]);
    let mut weights = columns(ctx, id, c..c + n, n_in, &mut decoded)?;
    let core = ctx.core;
    let x = match alone {
        true => &ctx.local.activations,
        false => &core.routed,
    };
    let (mut y, mut part) = (ZEROS, ZEROS);
    let n_out = rows.len();
    for &tile in tiles {
        weights.product(x, tile, n_in, &mut y, &mut part);
        let pairs = &pairs[tile.first..][..tile.n_used];
        for (y, pair) in y.chunks_exact(stride(tile)).zip(pairs) {
            let col = pair.slot * n_out + own.start - rows.start;
            let out = ctx.row_mut(l.out.columns(col, own.len()), pair.row);
            out.copy_from_slice(&y[own.start - c..own.end - c]);
        }
    }
    ctx.local.decoded[0] = decoded;
    Ok(())
}

/// Chooses the experts of a row; see [`Route`].
pub(crate) fn route(ctx: &Ctx<'_>, r: &Route, row: usize) {
    let mut p = ctx.row(r.x, row).to_vec();
    match r.gating {
        Gating::Sigmoid => p.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
        Gating::Softmax => {
            let max = p.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            p.iter_mut().for_each(|x| *x = (*x - max).exp());
            let sum: f32 = p.iter().sum();
            p.iter_mut().for_each(|x| *x /= sum);
        }
    }
    let bias = r.bias.map_or(&[][..], |id| ctx.weight(id).vector());
    let mut left: Vec<(f32, usize)> = p.iter().enumerate().map(|(e, &p)| (p, e)).collect();
    left.iter_mut()
        .zip(bias)
        .for_each(|((score, _), b)| *score += b);
    let (ids, weights) = ctx.row_mut(r.out, row).split_at_mut(r.n_used);
    for (id, weight) in ids.iter_mut().zip(&mut *weights) {
        // NaN is larger than nothing, so the choice is always of experts that there are.
        let best = (1..left.len()).fold(0, |best, i| match left[i].0 > left[best].0 {
            true => i,
            false => best,
        });
        let (_, e) = left.remove(best);
        (*id, *weight) = (e as f32, p[e]);
    }
    let sum: f32 = weights.iter().sum();
    let by = match r.normalize {
        true => r.scale / sum.max(SMALLEST_SUM),
        false => r.scale,
    };
    weights.iter_mut().for_each(|w| *w *= by);
}

/// `out = Σ_s w[s] * x[s]`
pub(crate) fn combine(x: &[f32], route: &[f32], out: &mut [f32]) {
    let weights = &route[route.len() / 2..];
    out.fill(0.0);
    for (x, w) in x.chunks_exact(out.len()).zip(weights) {
        out.iter_mut().zip(x).for_each(|(out, x)| *out += w * x);
    }
}
