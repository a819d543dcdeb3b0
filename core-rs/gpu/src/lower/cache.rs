//! Ops on the K/V cache: rotation and storing, attention, and the lists behind cache operations.

use puna_graph::{Attention, KvDType, KvLayer, Operand, Rope, RopeLayout, RopeStore};

use super::{At, CacheLists, Lowering, k};
use crate::dispatch::Count;

/// What `rope_store` reads and writes; absent parts are not run.
#[derive(Clone, Copy, Default)]
struct Parts<'r> {
    /// q, its number of elements a head, and where it goes.
    q: Option<(At, usize, usize, At)>,
    k: Option<At>,
    v: Option<At>,
    rope: Option<&'r Rope>,
    layer: Option<usize>,
    rope_k: bool,
}

fn eights(dim: usize) -> usize {
    dim.div_ceil(8)
}

impl Lowering<'_> {
    /// Types of the cache as constants of the kernels that touch it.
    fn kv_constants(&self) -> [(&'static str, f64); 2] {
        let is_f32 = |t: KvDType| f64::from(u8::from(t == KvDType::F32));
        [
            ("K_F32", is_f32(self.options.type_k)),
            ("V_F32", is_f32(self.options.type_v)),
        ]
    }

    pub(super) fn rope(&mut self, x: Operand, dim: usize, rope: &Rope, out: Operand) {
        self.run_rope_store(Parts {
            q: Some((self.at(x), x.width, dim, self.at(out))),
            rope: Some(rope),
            ..Parts::default()
        });
    }

    pub(super) fn store(&mut self, k: Operand, v: Operand, layer: usize) {
        self.run_rope_store(Parts {
            k: Some(self.at(k)),
            v: Some(self.at(v)),
            layer: Some(layer),
            ..Parts::default()
        });
    }

    pub(super) fn rope_store(&mut self, r: &RopeStore) {
        let dim = self.plan.graph.kv[r.layer].dim_k;
        self.run_rope_store(Parts {
            q: Some((self.at(r.q), r.q.width, dim, self.at(r.out))),
            k: Some(self.at(r.k)),
            v: Some(self.at(r.v)),
            rope: Some(&r.rope),
            layer: Some(r.layer),
            rope_k: true,
        });
    }

    fn run_rope_store(&mut self, parts: Parts<'_>) {
        let place = parts.layer.map(|l| self.places.kv[l]);
        let params = self.rope_store_params(&parts);
        let read = |at: Option<At>| at.map_or(self.places.vectors, |at| at.region);
        let unused = self.scratch.unused;
        let regions = [
            self.places.state,
            self.places.vectors,
            read(parts.q.map(|q| q.0)),
            read(parts.k),
            read(parts.v),
            parts.q.map_or(unused[0], |q| q.3.region),
            place.map_or(unused[1], |p| p.k),
            place.map_or(unused[2], |p| p.v),
        ];
        let constants = self.kv_constants();
        let n = (params.n_q + params.n_k + params.n_v) as usize;
        let extent = self.each(Count::Tokens, n);
        self.steps
            .push("rope_store", &constants, &params, &regions, extent);
    }

    fn rope_store_params(&self, parts: &Parts<'_>) -> k::RopeStore {
        let none = KvLayer {
            layer: 0,
            n_head_kv: 0,
            dim_k: 1,
            dim_v: 1,
        };
        let kv = parts.layer.map_or(none, |l| self.plan.graph.kv[l]);
        let dim_k = parts.q.map_or(kv.dim_k, |q| q.2);
        let (eights_k, eights_v) = (eights(kv.dim_k), eights(kv.dim_v));
        let first = |at: Option<At>| at.map_or(0, |at| at.first);
        let stride = |at: Option<At>| at.map_or(0, |at| at.stride);
        let (q, out) = (parts.q.map(|q| q.0), parts.q.map(|q| q.3));
        let turn = parts
            .rope
            .map_or(k::RopeStore::default(), |r| k::RopeStore {
                neox: (r.layout == RopeLayout::Neox) as u32,
                n_rot: r.n_rot as u32,
                freqs: self.places.consts[r.freqs.index()],
                magnitude: r.magnitude,
                ..k::RopeStore::default()
            });
        k::RopeStore {
            n_q: parts.q.map_or(0, |q| q.1 as u32),
            n_k: parts.k.map_or(0, |_| (kv.n_head_kv * eights_k) as u32),
            n_v: parts.v.map_or(0, |_| (kv.n_head_kv * eights_v) as u32),
            dim_k: dim_k as u32,
            dim_v: kv.dim_v as u32,
            eights_k: eights_k as u32,
            eights_v: eights_v as u32,
            n_cells: self.options.n_cells as u32,
            rope_k: parts.rope_k as u32,
            q_at: first(q),
            q_stride: stride(q),
            k_in_at: first(parts.k),
            k_stride: stride(parts.k),
            v_in_at: first(parts.v),
            v_stride: stride(parts.v),
            out_at: first(out),
            out_stride: stride(out),
            ..turn
        }
    }

    pub(super) fn attention(&mut self, a: &Attention) {
        let kv = self.plan.graph.kv[a.layer];
        let place = self.places.kv[a.layer];
        let (q, out) = (self.at(a.q), self.at(a.out));
        let params = k::Attention {
            n_head: a.n_head as u32,
            n_group: (a.n_head / kv.n_head_kv) as u32,
            dim_k: kv.dim_k as u32,
            dim_v: kv.dim_v as u32,
            eights_k: eights(kv.dim_k) as u32,
            eights_v: eights(kv.dim_v) as u32,
            n_cells: self.options.n_cells as u32,
            window: a.mask.window.unwrap_or(0),
            scale: a.scale,
            softcap: a.softcap.unwrap_or(0.0),
            q_at: q.first,
            q_stride: q.stride,
            out_at: out.first,
            out_stride: out.stride,
        };
        let regions = [
            self.places.state,
            self.places.cells,
            place.k,
            place.v,
            q.region,
            out.region,
        ];
        let constants = self.kv_constants();
        let extent = self.rows(Count::Tokens, 1, a.n_head);
        self.steps
            .push("attention", &constants, &params, &regions, extent);
    }

    /// The lists that move rows of one layer's cache. "Tokens" are the cells that the state names.
    pub(super) fn cache(&mut self, layer: usize) -> CacheLists {
        self.cache_read(layer);
        let read = self.steps.finish_list(&format!("read cache {layer}"));
        let kv = self.plan.graph.kv[layer];
        let place = self.places.kv[layer];
        let row = |region, width: usize| At {
            region,
            first: 0,
            stride: width as u32,
        };
        let rows = Parts {
            k: Some(row(place.k_rows, kv.n_head_kv * kv.dim_k)),
            v: Some(row(place.v_rows, kv.n_head_kv * kv.dim_v)),
            layer: Some(layer),
            ..Parts::default()
        };
        self.run_rope_store(rows);
        let write = self.steps.finish_list(&format!("write cache {layer}"));
        let turn = self.plan.graph.key_rope(layer).map(|rope| {
            // Turning once more must not scale once more.
            let turn = Rope {
                magnitude: 1.0,
                ..rope
            };
            self.run_rope_store(Parts {
                v: None,
                rope: Some(&turn),
                rope_k: true,
                ..rows
            });
            self.steps.finish_list(&format!("turn cache {layer}"))
        });
        CacheLists { read, write, turn }
    }

    fn cache_read(&mut self, layer: usize) {
        let kv = self.plan.graph.kv[layer];
        let place = self.places.kv[layer];
        let (eights_k, eights_v) = (eights(kv.dim_k), eights(kv.dim_v));
        let params = k::CacheRead {
            n_k: (kv.n_head_kv * eights_k) as u32,
            n_v: (kv.n_head_kv * eights_v) as u32,
            dim_k: kv.dim_k as u32,
            dim_v: kv.dim_v as u32,
            eights_k: eights_k as u32,
            eights_v: eights_v as u32,
            n_cells: self.options.n_cells as u32,
            k_stride: (kv.n_head_kv * kv.dim_k) as u32,
            v_stride: (kv.n_head_kv * kv.dim_v) as u32,
        };
        let regions = [
            self.places.state,
            place.k,
            place.v,
            place.k_rows,
            place.v_rows,
        ];
        let extent = self.each(Count::Tokens, (params.n_k + params.n_v) as usize);
        let constants = self.kv_constants();
        self.steps
            .push("cache_read", &constants, &params, &regions, extent);
    }
}
