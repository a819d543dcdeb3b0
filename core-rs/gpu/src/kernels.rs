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
            #[cfg(all(test, feature = "wgpu"))]
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

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    //! Every variant through naga, the compiler that wgpu and Firefox have.

    use wgpu::naga;

    use super::*;

    /// WebGPU's core limit.
    const WORKGROUP_BYTES: u32 = 16384;

    fn parse(name: &str) -> (naga::Module, naga::valid::ModuleInfo) {
        let source = wgpu_shaders::source(name).expect("listed");
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&source)));
        // What core WGSL has beyond naga's own core: pack2x16float and unpack2x16float.
        let capabilities = naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let flags = naga::valid::ValidationFlags::all();
        let info = naga::valid::Validator::new(flags, capabilities)
            .validate(&module)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&source)));
        (module, info)
    }

    #[test]
    fn every_variant_is_valid_and_within_core_limits() {
        for variant in wgpu_shaders::variants() {
            let (module, _) = parse(variant.name);
            let entry = &module.entry_points[0];
            assert!(
                entry.workgroup_size.iter().product::<u32>() <= 256,
                "{}",
                variant.name
            );
            let layout = module.to_ctx();
            let bytes: u32 = module
                .global_variables
                .iter()
                .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
                .map(|(_, v)| module.types[v.ty].inner.size(layout))
                .sum();
            assert!(bytes <= WORKGROUP_BYTES, "{}: {bytes} bytes", variant.name);
            let storage = bindings(variant.kernel)
                .iter()
                .filter(|a| **a != Uniform)
                .count();
            assert!(storage <= 8, "{}: {storage} storage buffers", variant.name);
        }
    }

    #[test]
    fn bindings_are_those_of_the_table() {
        for variant in wgpu_shaders::variants() {
            let (module, _) = parse(variant.name);
            let mut found = vec![None; bindings(variant.kernel).len()];
            for (_, v) in module.global_variables.iter() {
                let Some(binding) = &v.binding else { continue };
                found[binding.binding as usize] = Some(match v.space {
                    naga::AddressSpace::Uniform => Uniform,
                    naga::AddressSpace::Storage { access } => {
                        match access.contains(naga::StorageAccess::STORE) {
                            true => Write,
                            false => Read,
                        }
                    }
                    other => panic!("{}: {other:?}", variant.name),
                });
            }
            let expected: Vec<_> = bindings(variant.kernel).iter().copied().map(Some).collect();
            assert_eq!(found, expected, "{}", variant.name);
        }
    }

    /// Fields of `Params` in a kernel, with their types; all are words, so order is offset.
    fn params_of(kernel: &str) -> Vec<(String, &'static str)> {
        let variant = wgpu_shaders::variants()
            .find(|v| v.kernel == kernel)
            .expect("used");
        let (module, _) = parse(variant.name);
        let found = module
            .types
            .iter()
            .find(|(_, t)| t.name.as_deref() == Some("Params"));
        let naga::TypeInner::Struct { members, .. } = &found.expect("has Params").1.inner else {
            panic!("{kernel}: Params is no struct");
        };
        let named = members.iter().map(|m| {
            let kind = match module.types[m.ty].inner.scalar_kind() {
                Some(naga::ScalarKind::Float) => "f32",
                _ => "u32",
            };
            (m.name.clone().expect("named"), kind)
        });
        named.collect()
    }

    #[test]
    fn parameters_are_those_of_the_shaders() {
        let all: &[(&str, &[(&str, &str)])] = &[
            ("matvec", Linear::FIELDS),
            ("matmul", Linear::FIELDS),
            ("norm", Norm::FIELDS),
            ("embed", Embed::FIELDS),
            ("map", Map::FIELDS),
            ("select", Select::FIELDS),
            ("rope_store", RopeStore::FIELDS),
            ("attention", Attention::FIELDS),
            ("cache_read", CacheRead::FIELDS),
            ("argmax_parts", ArgmaxParts::FIELDS),
            ("argmax_final", ArgmaxFinal::FIELDS),
        ];
        assert_eq!(all.len(), KERNELS.len());
        for (kernel, fields) in all {
            let found = params_of(kernel);
            let found: Vec<(&str, &str)> = found.iter().map(|(n, t)| (n.as_str(), *t)).collect();
            assert_eq!(found, fields.to_vec(), "{kernel}");
        }
    }
}
