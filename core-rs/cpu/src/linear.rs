//! Matrices times rows, with what stands before and behind them.
//!
//! Two steps. First rows are normed and quantized, tile by tile, into a form that all workers
//! share (one row alone is prepared by each worker for itself: cheaper than a barrier). Then
//! workers take blocks of [`COLUMNS`] output columns; their weights stay in the cache while all
//! tiles of tokens pass, so weights are read from memory once. In which order they pass: [`Order`].

use puna_graph::{Added, FusedLinear, Operand, Part, Result, WeightId};

use crate::activations::{Activations, TileSpan};
use crate::columns::{Block, COLUMNS, MAX_TILE, ZEROS, columns, stride};
use crate::rows::add;
use crate::run::Ctx;
use crate::simple::norm;
use crate::weight::Weight;

/// Room for the results of one place, made once an op: zeros for each block cost some
/// hundredths of a token in WASM.
struct Room {
    y: Block,
    up: Block,
    /// Of one group, before it is spread.
    part: Block,
}

/// A linear with nothing around it.
pub(crate) fn single(
    ctx: &mut Ctx<'_>,
    x: Operand,
    weight: WeightId,
    bias: Option<WeightId>,
    out: Operand,
) -> Result<()> {
    let plain = FusedLinear {
        x,
        add: None,
        norm: None,
        parts: vec![Part { weight, bias }],
        glu: None,
        residual: None,
        softcap: None,
        out,
    };
    fused(ctx, &plain)
}

pub(crate) fn fused(ctx: &mut Ctx<'_>, f: &FusedLinear) -> Result<()> {
    let tiles = ctx.tiles(f.x);
    let core = ctx.core;
    match tiles {
        [] => return Ok(()),
        [one] if alone(tiles) => prepare(ctx, f, *one, None),
        _ => {
            for tile in tiles.iter().skip(ctx.worker).step_by(ctx.n_workers) {
                prepare(ctx, f, *tile, Some(&core.activations));
            }
            if !ctx.meet() {
                return Ok(());
            }
        }
    }
    multiply(ctx, f, tiles)
}

/// Adds and norms the rows of a tile and puts them as kernels want them; `shared` is `None` where every worker does.
fn prepare(ctx: &mut Ctx<'_>, f: &FusedLinear, tile: TileSpan, shared: Option<&Activations>) {
    let n_in = f.x.width;
    let is_int = |p: &Part| matches!(ctx.weight(p.weight), Weight::Packed(_));
    let (ints, floats) = (f.parts.iter().any(is_int), !f.parts.iter().all(is_int));
    let writes_sum = shared.is_some() || ctx.worker == 0;
    let (mut sum, mut normed) = std::mem::take(&mut ctx.local.rows);
    let to = shared.unwrap_or(&ctx.local.activations);
    for t in 0..tile.n_used {
        let row = tile.first + t;
        let mut x = ctx.row(f.x, row);
        if let Some(add) = &f.add {
            add_row(ctx, add, row, x, &mut sum);
            if writes_sum {
                ctx.row_mut(add.sum, row).copy_from_slice(&sum);
            }
            x = &sum;
        }
        if let Some(n) = &f.norm {
            normed.resize(n_in, 0.0);
            norm(ctx, n, x, &mut normed);
            x = &normed;
        }
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
    ctx.local.rows = (sum, normed);
}

/// `sum = x + norm(delta)`
fn add_row(ctx: &Ctx<'_>, add: &Added, row: usize, x: &[f32], sum: &mut Vec<f32>) {
    let delta = ctx.row(add.delta, row);
    sum.resize(x.len(), 0.0);
    match &add.norm {
        Some(n) => norm(ctx, n, delta, sum),
        None => sum.copy_from_slice(delta),
    }
    (ctx.core.kernels.add)(sum, x);
}

/// Multiplies all tiles with all blocks of columns, those of a gated unit's two matrices together.
fn multiply(ctx: &mut Ctx<'_>, f: &FusedLinear, tiles: &[TileSpan]) -> Result<()> {
    let widths: Vec<usize> = f
        .parts
        .iter()
        .map(|p| ctx.core.plan.graph.weight(p.weight).n_out())
        .collect();
    let n_parts = if f.glu.is_some() { 1 } else { f.parts.len() };
    let n_blocks: usize = widths[..n_parts].iter().map(|n| n.div_ceil(COLUMNS)).sum();
    let (alone, order) = (alone(tiles), order(ctx, f, tiles, n_blocks));
    let mut room = Room {
        y: ZEROS,
        up: ZEROS,
        part: ZEROS,
    };
    while let Some(taken) = ctx.take_next_to(n_blocks, order.at_once) {
        for near in tiles.chunks(order.n_near) {
            let mut blocks = taken.clone();
            while !blocks.is_empty() {
                let n = blocks.len().min(order.together);
                let place = place(&widths, blocks.start, n);
                one_place(ctx, f, (near, alone), place, &mut room)?;
                blocks.start += place.n.div_ceil(COLUMNS);
            }
        }
    }
    Ok(())
}

/// The order in which blocks of columns meet tiles of tokens.
struct Order {
    /// Blocks that a worker takes at a time.
    at_once: usize,
    /// Blocks that are multiplied as one.
    together: usize,
    /// Tiles that pass all blocks taken before others do.
    n_near: usize,
}

/// Most blocks that are taken at once for a single tile, and that are multiplied as one for one token.
const AT_ONCE: usize = 8;
const _: () = assert!(
    AT_ONCE <= MAX_TILE,
    "what one token has of them fits a Block"
);
/// How often a worker comes for blocks at least, before it takes several: all shall end together.
const TAKES: usize = 32;
/// The same for many tokens, where workers come for more work each time.
const TAKES_OF_MANY: usize = 8;
/// Most blocks that tiles of many tokens pass before the next tiles do: the activations of those tiles come
/// from the second-level cache then, for all blocks but the first. On a Zen 5 server prompts of 4096
/// columns are 2 to 6 % faster for it.
const NEAR_BLOCKS: usize = 4;
/// Bytes of codes of such tiles; their scales and sums are five eighths more.
const NEAR_BYTES: usize = 256 << 10;

/// How many of `n_blocks` are taken at once where each is little work: enough to pay for taking them.
pub(crate) fn few_at_once(n_blocks: usize, n_workers: usize) -> usize {
    (n_blocks / (TAKES * n_workers)).clamp(1, AT_ONCE)
}

fn order(ctx: &Ctx<'_>, f: &FusedLinear, tiles: &[TileSpan], n_blocks: usize) -> Order {
    let all = |is: fn(&Weight) -> bool| f.parts.iter().all(|p| is(ctx.weight(p.weight)));
    // One token's columns of several blocks are computed together, so that memory is read in long runs. Of
    // rows that are decoded first, one block's stay in the cache.
    let has_kernels = |w: &Weight| !matches!(w, Weight::Plain(p) if p.kernels.is_none());
    let together = if alone(tiles) && all(has_kernels) {
        AT_ONCE
    } else {
        1
    };
    let (at_once, n_near) = match tiles {
        [_] => (few_at_once(n_blocks, ctx.n_workers), 1),
        [tile, ..] if all(|w| matches!(w, Weight::Packed(_))) => {
            let n_near = NEAR_BYTES / (f.x.width * tile.size);
            let at_once = n_blocks / (TAKES_OF_MANY * ctx.n_workers);
            (at_once.clamp(1, NEAR_BLOCKS), n_near.max(1))
        }
        // What is made of a block of floats serves all tiles.
        _ => (1, tiles.len()),
    };
    Order {
        at_once,
        together,
        n_near,
    }
}

/// Whether there is one token only.
fn alone(tiles: &[TileSpan]) -> bool {
    matches!(tiles, [one] if one.size == 1)
}

/// Columns of a block or several: of which part, from which of its columns on, how many, and where they
/// go.
#[derive(Clone, Copy)]
struct Place {
    part: usize,
    c: usize,
    n: usize,
    col: usize,
}

/// Up to `n` blocks from `block` of parts of these widths, in one part.
fn place(widths: &[usize], mut block: usize, n: usize) -> Place {
    let (mut part, mut col) = (0, 0);
    while block >= widths[part].div_ceil(COLUMNS) {
        block -= widths[part].div_ceil(COLUMNS);
        col += widths[part];
        part += 1;
    }
    let c = block * COLUMNS;
    Place {
        part,
        c,
        n: (n * COLUMNS).min(widths[part] - c),
        col: col + c,
    }
}

/// The columns of one place, for the tokens of some tiles; `alone` is of all tiles: the last of many may be
/// of one token too.
fn one_place(
    ctx: &mut Ctx<'_>,
    f: &FusedLinear,
    (tiles, alone): (&[TileSpan], bool),
    place: Place,
    room: &mut Room,
) -> Result<()> {
    debug_assert!(
        alone || place.n <= COLUMNS,
        "several blocks are for one token"
    );
    let (n_in, core) = (f.x.width, ctx.core);
    let of_up = Place { part: 1, ..place };
    let [mut decoded, mut decoded_up] = std::mem::take(&mut ctx.local.decoded);
    let of = |place: Place, decoded| {
        let weight = f.parts[place.part].weight;
        columns(ctx, weight, place.c..place.c + place.n, n_in, decoded)
    };
    let mut weights = of(place, &mut decoded)?;
    let mut glu = match f.glu {
        Some(act) => Some((act, of(of_up, &mut decoded_up)?)),
        None => None,
    };
    let x = match alone {
        true => &ctx.local.activations,
        false => &core.activations,
    };
    for &tile in tiles {
        ask_for(ctx, f, tile, place);
        weights.product(x, tile, n_in, &mut room.y, &mut room.part);
        bias(ctx, f, place, tile, &mut room.y);
        if let Some((act, up)) = &mut glu {
            up.product(x, tile, n_in, &mut room.up, &mut room.part);
            bias(ctx, f, of_up, tile, &mut room.up);
            let len = used(tile, place);
            (core.kernels.glu)(*act, &mut room.y[..len], &room.up[..len]);
        }
        finish(ctx, f, tile, place, &mut room.y);
    }
    ctx.local.decoded = [decoded, decoded_up];
    Ok(())
}

/// Asks for the first line of each row that [`finish`] touches, while products are computed: no cache nearby
/// has it. Of several lines that follow each other the CPU fetches the rest itself.
fn ask_for(ctx: &Ctx<'_>, f: &FusedLinear, tile: TileSpan, place: Place) {
    for x in f.residual.iter().chain([&f.out]) {
        let x = x.columns(place.col, place.n);
        (tile.first..tile.first + tile.n_used).for_each(|row| ctx.prefetch(x, row));
    }
}

fn bias(ctx: &Ctx<'_>, f: &FusedLinear, place: Place, tile: TileSpan, y: &mut Block) {
    let Some(id) = f.parts[place.part].bias else {
        return;
    };
    let bias = &ctx.weight(id).vector()[place.c..][..place.n];
    for y in y.chunks_exact_mut(stride(tile)).take(tile.n_used) {
        add(y, bias);
    }
}

/// Numbers of a [`Block`] that a tile fills, those of tokens and columns that are not there included.
fn used(tile: TileSpan, place: Place) -> usize {
    match tile.size {
        1 => place.n,
        size => size * COLUMNS,
    }
}

/// Residual, soft cap, and out.
fn finish(ctx: &Ctx<'_>, f: &FusedLinear, tile: TileSpan, place: Place, y: &mut Block) {
    let rows = || tile.first..tile.first + tile.n_used;
    if let Some(residual) = f.residual {
        let residual = residual.columns(place.col, place.n);
        for (y, row) in y.chunks_exact_mut(stride(tile)).zip(rows()) {
            let residual = ctx.row(residual, row);
            match place.n {
                // Of constant length: a few instructions.
                COLUMNS => add(&mut y[..COLUMNS], &residual[..COLUMNS]),
                _ => add(y, residual),
            }
        }
    }
    if let Some(cap) = f.softcap {
        (ctx.core.kernels.softcap)(&mut y[..used(tile, place)], cap);
    }
    let out = f.out.columns(place.col, place.n);
    for (y, row) in y.chunks_exact(stride(tile)).zip(rows()) {
        let to = ctx.row_mut(out, row);
        match place.n {
            COLUMNS => to[..COLUMNS].copy_from_slice(&y[..COLUMNS]),
            n => to.copy_from_slice(&y[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_end_with_their_part() {
        let at = |widths: &[usize], block, n| {
            let p = place(widths, block, n);
            (p.part, p.c, p.n, p.col)
        };
        assert_eq!(at(&[37, 20], 0, 8), (0, 0, 37, 0));
        assert_eq!(at(&[37, 20], 2, 8), (0, 32, 5, 32));
        assert_eq!(at(&[37, 20], 3, 8), (1, 0, 20, 37));
        assert_eq!(at(&[37, 20], 4, 1), (1, 16, 4, 53));
        assert_eq!(at(&[200], 2, 8), (0, 32, 128, 32));
    }
}
