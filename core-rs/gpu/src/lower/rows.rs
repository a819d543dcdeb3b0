//! Ops that work row by row, without the cache: embedding, norms, elementwise maps, the choice.

use puna_graph::{Added, Norm, NormKind, Operand, ValueId, WeightId};

use super::scratch::n_parts;
use super::{At, Lowering, k, plane_words};
use crate::dispatch::Count;

impl Lowering<'_> {
    pub(super) fn embed(&mut self, i: usize, weight: WeightId, scale: f32, out: Operand) {
        let stack = &self.places.all_stacks[self.places.stacks[&i][0].0];
        let out_at = self.at(out);
        for piece in &stack.pieces {
            let planes = plane_words(&piece.planes);
            let params = k::Embed {
                n_in: self.plan.graph.weight(weight).n_in() as u32,
                n_blocks: stack.layout.n_blocks as u32,
                first_row: piece.outputs.start as u32,
                n_rows: piece.outputs.len() as u32,
                plane_1: planes[0],
                plane_2: planes[1],
                plane_3: planes[2],
                scale,
                out_at: out_at.first,
                out_stride: out_at.stride,
            };
            let regions = [piece.region, piece.region, self.places.state, out_at.region];
            let extent = self.each(Count::Tokens, stack.layout.n_blocks * 4);
            let variant = format!("embed_{}", stack.layout.quant());
            self.steps.push(&variant, &[], &params, &regions, extent);
        }
    }

    /// The parameters that a norm and a linear have in common; `out` is left open.
    pub(super) fn norm_params(
        &self,
        x: Operand,
        add: Option<Added>,
        norm: Option<&Norm>,
    ) -> k::Norm {
        let kind = |norm: Option<&Norm>| match norm.map(|n| n.kind) {
            None => 0,
            Some(NormKind::Rms) => 1,
            Some(NormKind::Layer) => 2,
        };
        let x_at = self.at(x);
        let post = add.and_then(|a| a.norm);
        let delta = add.map(|a| self.at(a.delta));
        let sum = add.map(|a| self.at(a.sum));
        k::Norm {
            n_in: x.width as u32,
            rows: self.count(x).0,
            x_at: x_at.first,
            x_stride: x_at.stride,
            add: add.is_some() as u32,
            delta_at: delta.map_or(0, |d| d.first),
            delta_stride: delta.map_or(0, |d| d.stride),
            write_sum: add.is_some() as u32,
            sum_at: sum.map_or(0, |s| s.first),
            sum_stride: sum.map_or(0, |s| s.stride),
            post: kind(post.as_ref()),
            post_weight: self.vector(post.and_then(|n| n.weight)),
            post_bias: self.vector(post.and_then(|n| n.bias)),
            post_eps: post.map_or(0.0, |n| n.eps),
            norm: kind(norm),
            norm_weight: self.vector(norm.and_then(|n| n.weight)),
            norm_bias: self.vector(norm.and_then(|n| n.bias)),
            norm_eps: norm.map_or(0.0, |n| n.eps),
            out_at: 0,
            out_stride: 0,
        }
    }

    pub(super) fn norm(
        &mut self,
        n: k::Norm,
        x: Operand,
        add: Option<Added>,
        out: At,
        width: usize,
    ) {
        debug_assert_eq!(n.n_in as usize, width);
        let params = k::Norm {
            out_at: out.first,
            out_stride: out.stride,
            ..n
        };
        let none = self.places.vectors;
        let regions = [
            self.places.vectors,
            self.at(x).region,
            add.map_or(none, |a| self.at(a.delta).region),
            out.region,
            add.map_or(self.scratch.unused[0], |a| self.at(a.sum).region),
        ];
        let extent = self.rows(self.count(x).1, 1, 1);
        self.steps.push("norm", &[], &params, &regions, extent);
    }

    pub(super) fn map(
        &mut self,
        what: u32,
        act: u32,
        factor: f32,
        a: At,
        b: Option<At>,
        out: Operand,
    ) {
        let out_at = self.at(out);
        let (rows, count) = self.count(out);
        let params = k::Map {
            what,
            act,
            factor,
            width: out.width as u32,
            rows,
            a_at: a.first,
            a_stride: a.stride,
            b_at: b.map_or(0, |b| b.first),
            b_stride: b.map_or(0, |b| b.stride),
            out_at: out_at.first,
            out_stride: out_at.stride,
        };
        let regions = [
            a.region,
            b.map_or(self.places.vectors, |b| b.region),
            out_at.region,
        ];
        let extent = self.each(count, out.width);
        self.steps.push("map", &[], &params, &regions, extent);
    }

    pub(super) fn select(&mut self, x: Operand, out: Operand) {
        if self.alias.contains_key(&out.value) {
            return;
        }
        let (x_at, out_at) = (self.at(x), self.at(out));
        let params = k::Select {
            width: out.width as u32,
            x_at: x_at.first,
            x_stride: x_at.stride,
            out_at: out_at.first,
            out_stride: out_at.stride,
        };
        let regions = [self.places.state, x_at.region, out_at.region];
        let extent = self.each(Count::Outputs, out.width);
        self.steps.push("select", &[], &params, &regions, extent);
    }

    pub(super) fn argmax(&mut self, logits: ValueId) {
        let x = self.at(self.plan.graph.whole(logits));
        let n_parts = n_parts(self.plan.graph.value(logits).width);
        let params = k::ArgmaxParts {
            n: self.plan.graph.value(logits).width as u32,
            n_parts,
            x_at: x.first,
            x_stride: x.stride,
        };
        let extent = self.rows(Count::Outputs, 1, n_parts as usize);
        let regions = [x.region, self.scratch.parts];
        self.steps
            .push("argmax_parts", &[], &params, &regions, extent);
        let extent = self.rows(Count::Outputs, 1, 1);
        let regions = [self.scratch.parts, self.scratch.chosen];
        self.steps.push(
            "argmax_final",
            &[],
            &k::ArgmaxFinal { n_parts },
            &regions,
            extent,
        );
    }
}
