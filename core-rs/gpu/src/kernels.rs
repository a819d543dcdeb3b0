//! The kernels as Rust sees them: bindings of each, and a struct for each one's parameters.
//!
//! The structs repeat the `Params` of the WGSL files field by field (a test compares names, types
//! and offsets through naga). Binding 0 is `Params`, binding 1 the head of the state buffer.

use bytemuck::{Pod, Zeroable};

use crate::dispatch::Access::{self, Read, Uniform, Write};

/// Stands for "no such vector" where an offset into `vectors` is expected.
pub const NONE: u32 = u32::MAX;

/// Every kernel file with its bindings.
pub const KERNELS: &[(&str, &[Access])] = &[
    (
        "matvec",
        &[
            Uniform, Uniform, Read, Read, Read, Read, Read, Read, Write, Write,
        ],
    ),
    (
        "matmul",
        &[
            Uniform, Uniform, Read, Read, Read, Read, Read, Read, Write, Write,
        ],
    ),
    ("norm", &[Uniform, Uniform, Read, Read, Read, Write, Write]),
    ("embed", &[Uniform, Uniform, Read, Read, Read, Write]),
    ("map", &[Uniform, Uniform, Read, Read, Write]),
    ("select", &[Uniform, Uniform, Read, Read, Write]),
    (
        "rope_store",
        &[
            Uniform, Uniform, Read, Read, Read, Read, Read, Write, Write, Write,
        ],
    ),
    (
        "attention",
        &[Uniform, Uniform, Read, Read, Read, Read, Read, Write],
    ),
    (
        "cache_read",
        &[Uniform, Uniform, Read, Read, Read, Write, Write],
    ),
    ("argmax_parts", &[Uniform, Uniform, Read, Write]),
    ("argmax_final", &[Uniform, Uniform, Read, Write]),
];

/// The bindings of a kernel file.
pub fn bindings(kernel: &str) -> &'static [Access] {
    let found = KERNELS.iter().find(|(name, _)| *name == kernel);
    found.unwrap_or_else(|| panic!("no kernel {kernel}")).1
}

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
        pub struct $name { $(pub $field: $type),* }

        impl $name {
            /// Names and types of the fields, for the comparison with WGSL.
            #[cfg(test)]
            pub const FIELDS: &[(&str, &str)] = &[$((stringify!($field), stringify!($type))),*];
        }
    )*};
}

params! {
    /// Of matvec and matmul.
    Linear {
        n_in: u32, n_blocks: u32, n_out: u32, up: u32, rows: u32, passes: u32,
        plane_1: u32, plane_2: u32, plane_3: u32,
        x_at: u32, x_stride: u32,
        add: u32, delta_at: u32, delta_stride: u32, write_sum: u32, sum_at: u32, sum_stride: u32,
        post: u32, post_weight: u32, post_bias: u32, post_eps: f32,
        norm: u32, norm_weight: u32, norm_bias: u32, norm_eps: f32,
        bias: u32, up_bias: u32, act: u32,
        residual: u32, residual_at: u32, residual_stride: u32,
        softcap: f32,
        out_at: u32, out_stride: u32,
    }
    Norm {
        n_in: u32, rows: u32, x_at: u32, x_stride: u32,
        add: u32, delta_at: u32, delta_stride: u32, write_sum: u32, sum_at: u32, sum_stride: u32,
        post: u32, post_weight: u32, post_bias: u32, post_eps: f32,
        norm: u32, norm_weight: u32, norm_bias: u32, norm_eps: f32,
        out_at: u32, out_stride: u32,
    }
    Embed {
        n_in: u32, n_blocks: u32, first_row: u32, n_rows: u32,
        plane_1: u32, plane_2: u32, plane_3: u32,
        scale: f32, out_at: u32, out_stride: u32,
    }
    Map {
        what: u32, act: u32, factor: f32, width: u32, rows: u32,
        a_at: u32, a_stride: u32, b_at: u32, b_stride: u32, out_at: u32, out_stride: u32,
    }
    Select { width: u32, x_at: u32, x_stride: u32, out_at: u32, out_stride: u32 }
    RopeStore {
        n_q: u32, n_k: u32, n_v: u32,
        dim_k: u32, dim_v: u32, eights_k: u32, eights_v: u32, n_cells: u32,
        rope_k: u32, neox: u32, n_rot: u32, freqs: u32, magnitude: f32,
        q_at: u32, q_stride: u32, k_in_at: u32, k_stride: u32, v_in_at: u32, v_stride: u32,
        out_at: u32, out_stride: u32,
    }
    Attention {
        n_head: u32, n_group: u32,
        dim_k: u32, dim_v: u32, eights_k: u32, eights_v: u32, n_cells: u32,
        window: u32, scale: f32, softcap: f32,
        q_at: u32, q_stride: u32, out_at: u32, out_stride: u32,
    }
    CacheRead {
        n_k: u32, n_v: u32,
        dim_k: u32, dim_v: u32, eights_k: u32, eights_v: u32, n_cells: u32,
        k_stride: u32, v_stride: u32,
    }
    ArgmaxParts { n: u32, n_parts: u32, x_at: u32, x_stride: u32 }
    ArgmaxFinal { n_parts: u32 }
}
