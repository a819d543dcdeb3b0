//! Some columns of a matrix, ready to be multiplied with tiles of tokens, whatever its type is: packed
//! groups, strips of floats or squares of floats (`dot/`).

use std::ops::Range;

use puna_format::DType;
use puna_format::quant::decode_row;
use puna_graph::{Error, Result, WeightId};

use crate::activations::{Activations, TileSpan};
use crate::dot::float::STRIP;
use crate::dot::squares::room;
use crate::run::Ctx;
use crate::simd::kernels::FloatKernels;
use crate::weight::{Packed, Plain, Weight};

/// Columns of a block: a multiple of every instruction set's rows and of a strip.
pub(crate) const COLUMNS: usize = 16;
/// Most tokens of a tile.
pub(crate) const MAX_TILE: usize = 16;
/// Results of a tile, [`stride`] numbers a token.
pub(crate) type Block = [f32; MAX_TILE * COLUMNS];
pub(crate) const ZEROS: Block = [0.0; MAX_TILE * COLUMNS];

/// Numbers from one token's results to the next one's. A tile of one token has the whole room, for the
/// columns of several blocks.
pub(crate) fn stride(tile: TileSpan) -> usize {
    match tile.size {
        1 => MAX_TILE * COLUMNS,
        _ => COLUMNS,
    }
}

/// Columns of a block, or those of several for one token.
pub(crate) enum Columns<'a> {
    Groups(Groups<'a>),
    Floats(Floats<'a>),
}

/// Columns of a type with integer kernels.
pub(crate) struct Groups<'a> {
    packed: &'a Packed,
    /// By their number in the matrix.
    groups: Range<usize>,
}

/// Columns of floats, each a row: of the file, or decoded.
pub(crate) struct Floats<'a> {
    kernels: &'static FloatKernels,
    bytes: &'a [u8],
    n: usize,
    /// For whole tiles of tokens, see `dot/squares.rs`; filled by the first of them.
    squares: &'a mut Vec<f32>,
    filled: bool,
}

/// Room for what is made of a block's weights, kept from block to block.
#[derive(Default)]
pub(crate) struct Decoded {
    /// Of a type without kernels.
    rows: Vec<f32>,
    squares: Vec<f32>,
}

/// Columns `c` of a matrix, `n_in` elements each.
///
/// # Errors
/// Their file is shorter than it was; bytes that their type's decoder refuses.
pub(crate) fn columns<'a>(
    ctx: &Ctx<'a>,
    id: WeightId,
    c: Range<usize>,
    n_in: usize,
    decoded: &'a mut Decoded,
) -> Result<Columns<'a>> {
    match ctx.weight(id) {
        Weight::Packed(p) => Ok(Columns::Groups(Groups::new(p, c))),
        Weight::Plain(p) => Floats::new(ctx, (id, p), c, n_in, decoded).map(Columns::Floats),
        Weight::Vector(_) => panic!("a vector used as a matrix"),
    }
}

impl Columns<'_> {
    /// `y[t * stride + c]` for the tokens of a tile, see [`stride`]; `part` is room for those of a
    /// group or a strip.
    pub(crate) fn product(
        &mut self,
        x: &Activations,
        tile: TileSpan,
        n_in: usize,
        y: &mut Block,
        part: &mut Block,
    ) {
        match self {
            Columns::Groups(w) => w.product(x, tile, n_in, y, part),
            Columns::Floats(w) => w.product(x, tile, n_in, y, part),
        }
    }
}

impl<'a> Groups<'a> {
    fn new(packed: &'a Packed, c: Range<usize>) -> Self {
        let rows = packed.kernels.layout.rows;
        Groups {
            packed,
            groups: c.start / rows..c.end.div_ceil(rows),
        }
    }

    fn product(
        &self,
        x: &Activations,
        tile: TileSpan,
        n_in: usize,
        y: &mut Block,
        part: &mut Block,
    ) {
        let (w, kernels) = (self.packed, self.packed.kernels);
        let (run, rows) = (kernels.tile(tile.size), kernels.layout.rows);
        let x = x.tile(tile, n_in);
        let groups = self.groups.clone().map(|g| w.group(g));
        for (i, group) in groups.enumerate() {
            // What the kernel writes lies as `y` has it: groups of one token side by side, or one as wide as
            // a block.
            if tile.size == 1 || rows == COLUMNS {
                run(group, w.n_blocks(), &x, &mut y[i * rows..]);
            } else {
                run(group, w.n_blocks(), &x, part);
                spread(part, rows, tile.size, &mut y[i * rows..]);
            }
        }
    }
}

impl<'a> Floats<'a> {
    fn new(
        ctx: &Ctx<'a>,
        (id, p): (WeightId, &'a Plain),
        c: Range<usize>,
        n_in: usize,
        decoded: &'a mut Decoded,
    ) -> Result<Self> {
        let Decoded { rows, squares } = decoded;
        let n = c.len();
        // Matrices are in memory, or mapped from a file, which may shrink.
        let Some(bytes) = p.rows(c.clone()) else {
            return Err(Error::Weight {
                name: ctx.core.plan.graph.weight(id).name.clone(),
                message: format!("rows {} to {} are gone from its file", c.start, c.end),
            });
        };
        let (kernels, bytes) = match p.kernels {
            Some(kernels) => (kernels, bytes),
            None => {
                rows.resize(n * n_in, 0.0);
                decode_row(p.dtype, bytes, rows)?;
                let f32s = ctx.core.kernels.float(DType::F32).expect("always there");
                (f32s, bytemuck::cast_slice(rows))
            }
        };
        Ok(Floats {
            kernels,
            bytes,
            n,
            squares,
            filled: false,
        })
    }

    fn product(
        &mut self,
        x: &Activations,
        tile: TileSpan,
        n_in: usize,
        y: &mut Block,
        part: &mut Block,
    ) {
        if let Some(s) = self.kernels.squares(tile.size) {
            let x = x.transposed(tile, n_in);
            if std::mem::replace(&mut self.filled, true) {
                return (s.next)(self.squares, x, y);
            }
            if self.squares.len() < room(n_in) {
                self.squares.resize(room(n_in), 0.0);
            }
            return (s.first)(self.bytes, n_in, x, self.squares, y);
        }
        let row_bytes = n_in * self.kernels.bytes;
        for first in (0..self.n).step_by(STRIP) {
            let w = &self.bytes[first * row_bytes..(first + STRIP).min(self.n) * row_bytes];
            let mut t = 0;
            while t < tile.size {
                let (at_once, run) = self.kernels.strip(tile.size - t);
                run(w, n_in, x.lines(tile, t, n_in), part);
                spread(part, STRIP, at_once, &mut y[t * COLUMNS + first..]);
                t += at_once;
            }
        }
    }
}

/// Copies `[n][width]` into the first columns of `[n][COLUMNS]`, whose last row may be cut.
fn spread(from: &[f32], width: usize, n: usize, to: &mut [f32]) {
    let rows = to.chunks_mut(COLUMNS).zip(from.chunks_exact(width));
    for (to, from) in rows.take(n) {
        to[..width].copy_from_slice(from);
    }
}
