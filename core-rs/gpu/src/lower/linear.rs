//! Fused linear ops: one dispatch a stack and piece, and a norm in front of tiled ones.

use puna_graph::{FusedLinear, Result};

use super::{At, Lowering, Shape, act_code, k, plane_words, unsupported};
use super::{ENOUGH_GROUPS, NONE};
use crate::dispatch::Region;
use crate::place::{Piece, Stack};

/// What a product reads in front and does behind, apart from the matrix itself.
struct Io<'f> {
    f: &'f FusedLinear,
    /// Norm and sum inside the kernel.
    prologue: bool,
    x: At,
    out: At,
    /// Column of `f.out` (and of the residual) where this stack begins.
    column: usize,
    /// Residual, cap and gated unit; `false` for halves of a unit that meet later.
    epilogue: bool,
}

impl Lowering<'_> {
    pub(super) fn linear(&mut self, i: usize, f: &FusedLinear) -> Result<()> {
        let places = self.places;
        let stacks = &places.stacks[&i];
        let mut x = self.at(f.x);
        let has_prologue = f.norm.is_some() || f.add.is_some();
        let inside = self.shape != Shape::Many;
        if has_prologue && !inside {
            let params = self.norm_params(f.x, f.add, f.norm.as_ref());
            x = self.scratch_at(self.scratch.normed, f.x.width);
            self.norm(params, f.x, f.add, x, f.x.width);
        }
        let io = Io {
            f,
            prologue: has_prologue && inside,
            x,
            out: self.at(f.out),
            column: 0,
            epilogue: true,
        };
        if f.glu.is_some() && stacks.len() == 2 {
            return self.glu_apart(stacks, io);
        }
        let mut first = true;
        for &(stack, column) in stacks {
            self.stack(&places.all_stacks[stack], &Io { column, ..io }, first);
            first = false;
        }
        Ok(())
    }

    fn scratch_at(&self, region: Region, width: usize) -> At {
        At {
            region,
            first: 0,
            stride: width as u32,
        }
    }

    /// Gate and up of different types: each to a buffer of its own, then the unit.
    fn glu_apart(&mut self, stacks: &[(usize, usize)], io: Io<'_>) -> Result<()> {
        let f = io.f;
        if f.residual.is_some() || f.softcap.is_some() {
            return unsupported("a gated unit of two types with a residual or a soft cap".into());
        }
        let places = self.places;
        let outs = [self.scratch.gate, self.scratch.up].map(|r| self.scratch_at(r, f.out.width));
        for (n, (&(stack, _), out)) in stacks.iter().zip(outs).enumerate() {
            let half = Io {
                out,
                epilogue: false,
                ..io
            };
            self.stack(&places.all_stacks[stack], &half, n == 0);
        }
        let act = f.glu.map_or(0, act_code);
        self.map(4, act, 0.0, outs[0], Some(outs[1]), f.out);
        Ok(())
    }

    /// The dispatches of one stack. The first of an op writes its residual sum.
    fn stack(&mut self, stack: &Stack, io: &Io<'_>, first: bool) {
        for (n, piece) in stack.pieces.iter().enumerate() {
            let params = self.linear_params(stack, piece, io, first && n == 0);
            let add = io.f.add.filter(|_| io.prologue);
            let none = self.places.vectors;
            let residual = io.f.residual.filter(|_| io.epilogue);
            let regions = [
                piece.region,
                piece.region,
                self.places.vectors,
                io.x.region,
                add.map_or(none, |a| self.at(a.delta).region),
                residual.map_or(none, |r| self.at(r).region),
                io.out.region,
                add.map_or(self.scratch.unused[0], |a| self.at(a.sum).region),
            ];
            let count = self.count(io.f.x).1;
            let n_out = piece.outputs.len();
            let (kernel, extent) = match self.shape {
                Shape::Many => {
                    let outputs = if stack.gated { 32 } else { 64 };
                    ("matmul", self.rows(count, 64, n_out.div_ceil(outputs)))
                }
                _ => {
                    let outputs = group_outputs(stack) * params.passes as usize;
                    ("matvec", self.rows(count, 1, n_out.div_ceil(outputs)))
                }
            };
            let variant = format!("{kernel}_{}", stack.layout.quant());
            self.steps.push(&variant, &[], &params, &regions, extent);
        }
    }

    fn linear_params(
        &self,
        stack: &Stack,
        piece: &Piece,
        io: &Io<'_>,
        write_sum: bool,
    ) -> k::Linear {
        let f = io.f;
        let (add, norm) = match io.prologue {
            true => (f.add, f.norm.as_ref()),
            false => (None, None),
        };
        let n = self.norm_params(f.x, add, norm);
        let planes = plane_words(&piece.planes);
        let n_out = piece.outputs.len();
        let start = piece.outputs.start as u32;
        let column = io.column as u32 + start;
        let residual = f.residual.filter(|_| io.epilogue).map(|r| self.at(r));
        let bias = |at: u32| if at == NONE { NONE } else { at + start };
        k::Linear {
            n_blocks: stack.layout.n_blocks as u32,
            n_out: n_out as u32,
            up: if stack.gated { n_out as u32 } else { 0 },
            passes: (n_out / group_outputs(stack) / ENOUGH_GROUPS).clamp(1, 8) as u32,
            plane_1: planes[0],
            plane_2: planes[1],
            plane_3: planes[2],
            x_at: io.x.first,
            x_stride: io.x.stride,
            write_sum: (n.write_sum == 1 && write_sum) as u32,
            bias: bias(stack.bias),
            up_bias: bias(stack.up_bias),
            act: f.glu.map_or(0, act_code),
            residual: residual.is_some() as u32,
            residual_at: residual.map_or(0, |r| r.first + column),
            residual_stride: residual.map_or(0, |r| r.stride),
            softcap: f.softcap.filter(|_| io.epilogue).unwrap_or(0.0),
            out_at: io.out.first + column,
            out_stride: io.out.stride,
            ..prologue(&n)
        }
    }
}

/// The fields that a linear has from the norm in front of it.
fn prologue(n: &k::Norm) -> k::Linear {
    k::Linear {
        n_in: n.n_in,
        rows: n.rows,
        add: n.add,
        delta_at: n.delta_at,
        delta_stride: n.delta_stride,
        sum_at: n.sum_at,
        sum_stride: n.sum_stride,
        post: n.post,
        post_weight: n.post_weight,
        post_bias: n.post_bias,
        post_eps: n.post_eps,
        norm: n.norm,
        norm_weight: n.norm_weight,
        norm_bias: n.norm_bias,
        norm_eps: n.norm_eps,
        ..k::Linear::default()
    }
}

/// Outputs that a workgroup of matvec makes in one pass.
fn group_outputs(stack: &Stack) -> usize {
    if stack.gated { 8 } else { 16 }
}
