//! The table of kernels, compiled once for each instruction set: here, and only here, stands
//! `#[target_feature]`.

use puna_format::DType;
use puna_graph::{Act, RopeLayout};

use crate::activations::{self, Tile, TileMut};
use crate::attend::{self, Attend, Carry, Half, Single};
use crate::dot::float::Lines;
use crate::dot::{self, Quant, float, for_quants};
use crate::isa::{HAS_SCALAR, Isa};
use crate::pack::Layout;
use crate::rows;
use crate::simd::Simd;
#[cfg(any(test, target_arch = "x86_64"))]
use crate::simd::amx;

pub(crate) type TileFn = fn(&[u8], usize, &Tile<'_>, &mut [f32]);
pub(crate) type StripFn = fn(&[u8], usize, Lines<'_>, &mut [f32]);
pub(crate) type FirstFn = fn(&[u8], usize, &[f32], &mut [f32], &mut [f32]);
pub(crate) type TransposeFn = fn(&mut [f32]);
pub(crate) type NextFn = fn(&[f32], &[f32], &mut [f32]);
pub(crate) type LayerNormFn = fn(&[f32], &[f32], &[f32], f32, &mut [f32]);
pub(crate) type RopeFn = fn(RopeLayout, &[f32], &[f32], &[f32], &mut [f32]);
pub(crate) type AttendFn = fn(&Attend<'_>, &mut [f32]) -> Carry;

/// A type's products: tiles of 1, 4 and [`Kernels::widest`] tokens.
pub(crate) struct QuantKernels {
    pub(crate) dtype: DType,
    pub(crate) layout: Layout,
    tiles: [TileFn; 3],
}

/// Products with floats: strips of some tokens, with how many they are, few first.
pub(crate) struct FloatKernels {
    pub(crate) dtype: DType,
    pub(crate) bytes: usize,
    strips: &'static [(usize, StripFn)],
    squares: Option<SquareKernels>,
}

/// Products with floats of a whole tile of tokens, see `dot/squares.rs`.
pub(crate) struct SquareKernels {
    /// Tokens of the tile.
    pub(crate) size: usize,
    pub(crate) first: FirstFn,
    pub(crate) transpose: TransposeFn,
    pub(crate) next: NextFn,
}

/// All kernels of one instruction set; the functions are those of `rows.rs`, `activations.rs`,
/// `dot/` and `attend.rs`.
pub(crate) struct Kernels {
    /// Lanes of a vector: rows of a packed group, cells of a block of K.
    pub(crate) rows: usize,
    /// Tokens of the widest tile.
    pub(crate) widest: usize,
    pub(crate) quants: &'static [QuantKernels],
    pub(crate) floats: &'static [FloatKernels],
    /// By type of K, type of V (f16, f32), and queries (1, 4, 8).
    attends: [[[AttendFn; 3]; 2]; 2],
    pub(crate) quantize: fn(&[f32], usize, usize, &mut TileMut<'_>),
    pub(crate) rms_norm: fn(&[f32], &[f32], f32, &mut [f32]),
    pub(crate) layer_norm: LayerNormFn,
    pub(crate) add: fn(&mut [f32], &[f32]),
    pub(crate) softcap: fn(&mut [f32], f32),
    pub(crate) act: fn(Act, &mut [f32]),
    pub(crate) glu: fn(Act, &mut [f32], &[f32]),
    pub(crate) rope: RopeFn,
}

impl QuantKernels {
    /// The kernel for a tile of `size` tokens.
    pub(crate) fn tile(&self, size: usize) -> TileFn {
        match size {
            1 => self.tiles[0],
            4 => self.tiles[1],
            _ => self.tiles[2],
        }
    }
}

impl FloatKernels {
    /// The kernel for the next of `left` tokens, and how many it takes.
    pub(crate) fn strip(&self, left: usize) -> (usize, StripFn) {
        let fits = self.strips.iter().rfind(|s| s.0 <= left);
        *fits.expect("there is a strip of one token")
    }

    /// The kernels for a whole tile of `size` tokens, where it is not cut into strips.
    pub(crate) fn squares(&self, size: usize) -> Option<&SquareKernels> {
        self.squares.as_ref().filter(|s| s.size == size)
    }
}

impl Kernels {
    pub(crate) fn quant(&self, dtype: DType) -> Option<&'static QuantKernels> {
        self.quants.iter().find(|q| q.dtype == dtype)
    }

    pub(crate) fn float(&self, dtype: DType) -> Option<&'static FloatKernels> {
        self.floats.iter().find(|f| f.dtype == dtype)
    }

    /// What transposes the lines of a tile of `size` tokens, where kernels for floats want that: all types' or
    /// none.
    pub(crate) fn transpose(&self, size: usize) -> Option<TransposeFn> {
        self.floats[0].squares(size).map(|s| s.transpose)
    }

    /// The kernel for `n` queries, and how many it takes.
    pub(crate) fn attend(&self, k_is_f32: bool, v_is_f32: bool, n: usize) -> (AttendFn, usize) {
        let (which, takes) = match n {
            1 => (0, 1),
            2..=4 => (1, 4),
            _ => (2, attend::MAX_QUERIES),
        };
        let of_types = &self.attends[usize::from(k_is_f32)][usize::from(v_is_f32)];
        (of_types[which], takes)
    }

    /// The kernels of an instruction set that is available.
    pub(crate) fn of(isa: Isa) -> &'static Kernels {
        assert!(isa.is_available(), "{} is not available", isa.name());
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => &avxvnni::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => &avx512vnni::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Amx => &avx512amx::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &neon::KERNELS,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Isa::Simd128 => &simd128::KERNELS,
            #[cfg(all(
                target_arch = "wasm32",
                target_feature = "simd128",
                feature = "relaxed"
            ))]
            Isa::Relaxed => &relaxed::KERNELS,
            _ if HAS_SCALAR => &scalar::KERNELS,
            _ => unreachable!("{} is available", isa.name()),
        }
    }
}

#[cfg(test)]
impl Kernels {
    /// Those that multiply sixteen tokens as AMX does, in plain Rust, each with the kernels that differ from
    /// it in this alone.
    pub(crate) fn with_emulated_tiles() -> Vec<(&'static Kernels, &'static Kernels)> {
        let scalar = (&scalar_tiles::KERNELS, &scalar::KERNELS);
        #[cfg(target_arch = "x86_64")]
        if Isa::Avx512Vnni.is_available() {
            return vec![scalar, (&avx512_tiles::KERNELS, &avx512vnni::KERNELS)];
        }
        vec![scalar]
    }
}

/// Defines safe functions that run a generic kernel with an instruction set switched on.
macro_rules! entries {
    (#[$feature:meta]; $(
        fn $name:ident $(<$($p:ident : $b:ident),* $(; $t:ident)?>)? ($($arg:ident : $ty:ty),*)
            $(-> $ret:ty)? = $body:expr;
    )*) => { $(
        pub(super) fn $name $(<$($p: $b,)* $(const $t: usize)?>)? ($($arg: $ty),*) $(-> $ret)? {
            #[$feature]
            #[inline(never)]
            #[allow(unused_unsafe)]
            unsafe fn inner $(<$($p: $b,)* $(const $t: usize)?>)? ($($arg: $ty),*) $(-> $ret)? {
                $body
            }
            // SAFETY: this module's table is handed out by `Kernels::of`, after it has checked that
            // the CPU has these features.
            unsafe { inner $(::<$($p,)* $($t)?>)? ($($arg),*) }
        }
    )* };
}

/// The products of all types in the registry, by the `quant` of the module it is used in.
macro_rules! quants {
    ($($file:ident :: $name:ident),*) => { &[$(quant::<dot::$file::$name>()),*] };
}

/// A module with the table of one instruction set: `$widest` tokens in its widest tile, of which floats
/// take one of `$n` at once, or all with rows as `dot/squares.rs` has them; `$forms` is how some types are
/// packed for it.
macro_rules! instruction_set {
    ($name:ident, $simd:ty, $token:expr, $widest:literal by [$($n:literal),*] $(or $a:literal, $b:literal)?, $forms:ident, #[$feature:meta]) => {
        mod $name {
            use super::*;
            use crate::attend::Element;
            use crate::dot::float::Float;

            pub(super) type S = $simd;

            // SAFETY of making tokens: as for calling `inner`, see `entries`.
            entries! { #[$feature];
                fn tile<Q: Quant; T>(w: &[u8], n_blocks: usize, x: &Tile<'_>, out: &mut [f32]) =
                    dot::tile::<S, Q, T>(unsafe { $token }, w, n_blocks, x, out);
                fn strip<W: Float; T>(w: &[u8], n_in: usize, x: Lines<'_>, out: &mut [f32]) =
                    float::strip::<S, W, T>(unsafe { $token }, w, n_in, x, out);
                fn attend<K: Element, V: Element; N>(a: &Attend<'_>, out: &mut [f32]) -> Carry =
                    attend::attend::<S, K, V, N>(unsafe { $token }, a, out);
                fn quantize(x: &[f32], t: usize, size: usize, out: &mut TileMut<'_>) =
                    activations::quantize::<S>(unsafe { $token }, x, t, size, out);
                fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) =
                    rows::rms_norm(x, weight, eps, out);
                fn layer_norm(x: &[f32], w: &[f32], b: &[f32], eps: f32, out: &mut [f32]) =
                    rows::layer_norm(x, w, b, eps, out);
                fn add(out: &mut [f32], x: &[f32]) = rows::add(out, x);
                fn softcap(x: &mut [f32], cap: f32) = rows::softcap(x, cap);
                fn act(act: Act, x: &mut [f32]) = rows::act(act, x);
                fn glu(act: Act, gate: &mut [f32], up: &[f32]) = rows::glu(act, gate, up);
                fn rope(layout: RopeLayout, cos: &[f32], sin: &[f32], x: &[f32], out: &mut [f32]) =
                    rows::rope(layout, cos, sin, x, out);
            }

            const fn quant<Q: Quant>() -> QuantKernels {
                QuantKernels {
                    dtype: Q::DTYPE,
                    layout: Layout::of::<S, Q>(),
                    tiles: [tile::<Q, 1>, tile::<Q, 4>, tile::<Q, $widest>],
                }
            }

            const fn float<W: Float>() -> FloatKernels {
                FloatKernels {
                    dtype: W::DTYPE,
                    bytes: W::BYTES,
                    strips: &[$(($n, strip::<W, $n>)),*],
                    squares: squares::<W>(),
                }
            }

            $(
            const VECTORS: usize = $widest / S::ROWS;
            // SAFETY of making tokens: as for calling `inner`, see `entries`.
            entries! { #[$feature];
                fn first<W: Float>(
                    w: &[u8], n_in: usize, x: &[f32], squares: &mut [f32], out: &mut [f32]
                ) = dot::squares::first::<S, W, $a, $b, VECTORS>(unsafe { $token }, w, n_in, x, squares, out);
                fn transpose(lines: &mut [f32]) = dot::squares::transpose::<S, $widest>(lines);
                fn next(w: &[f32], x: &[f32], out: &mut [f32]) =
                    dot::squares::next::<S, $a, $b, VECTORS>(unsafe { $token }, w, x, out);
            }
            )?

            const fn squares<W: Float>() -> Option<SquareKernels> {
                $(
                let _ = ($a, $b); // a repetition must name one of its variables
                return Some(SquareKernels { size: $widest, first: first::<W>, transpose, next });
                )?
                #[allow(unreachable_code)]
                None
            }

            const fn attends<K: Element, V: Element>() -> [AttendFn; 3] {
                [attend::<K, V, 1>, attend::<K, V, 4>, attend::<K, V, 8>]
            }

            pub(super) static KERNELS: Kernels = Kernels {
                rows: S::ROWS,
                widest: $widest,
                quants: for_quants!(quants, $forms),
                floats: &[
                    float::<float::F32>(),
                    float::<float::F16>(),
                    float::<float::BF16>(),
                ],
                attends: [
                    [attends::<Half, Half>(), attends::<Half, Single>()],
                    [attends::<Single, Half>(), attends::<Single, Single>()],
                ],
                quantize,
                rms_norm,
                layer_norm,
                add,
                softcap,
                act,
                glu,
                rope,
            };
        }
    };
}

/// A module with the table of an instruction set that is `$base` but for its widest tile of tokens, which
/// `$tiles` multiply.
#[cfg(any(test, target_arch = "x86_64"))]
macro_rules! with_tiles {
    ($name:ident, $base:ident, $token:expr, $tiles:ty, $forms:ident, #[$feature:meta]) => {
        mod $name {
            use super::$base::{self as base, S};
            use super::*;

            // SAFETY of making tokens: as for calling `inner`, see `entries`. Tiles live as long as the
            // product that they are made for, one at a time.
            entries! { #[$feature];
                fn wide<Q: Quant; T>(w: &[u8], n_blocks: usize, x: &Tile<'_>, out: &mut [f32]) = {
                    const { assert!(T == amx::TOKENS) };
                    let tiles = unsafe { <$tiles as amx::Tiles>::new(S::ROWS, dot::SUB / Q::N_SCALES) };
                    dot::amx::tile::<S, Q, $tiles>(unsafe { $token }, &tiles, w, n_blocks, x, out)
                };
            }

            const fn quant<Q: Quant>() -> QuantKernels {
                QuantKernels {
                    dtype: Q::DTYPE,
                    layout: Layout::of::<S, Q>(),
                    tiles: [base::tile::<Q, 1>, base::tile::<Q, 4>, wide::<Q, { amx::TOKENS }>],
                }
            }

            pub(super) static KERNELS: Kernels = Kernels {
                widest: amx::TOKENS,
                quants: for_quants!(quants, $forms),
                ..base::KERNELS
            };
        }
    };
}

instruction_set!(scalar, crate::simd::scalar::Scalar, crate::simd::scalar::Scalar, 8 by [1, 4], in_bits, #[cfg(all())]);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx2, crate::simd::avx2::Avx2<false>, crate::simd::avx2::Avx2::new(), 16 by [1, 2] or 6, 5, in_bits,
    #[target_feature(enable = "avx2,fma,f16c")]
);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avxvnni, crate::simd::avx2::Avx2<true>, crate::simd::avx2::Avx2::new(), 16 by [1, 2] or 6, 5, in_bits,
    #[target_feature(enable = "avx2,avxvnni,fma,f16c")]
);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx512, crate::simd::avx512::Avx512<false>, crate::simd::avx512::Avx512::new(), 16 by [1, 4] or 16, 16, in_bits,
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma,f16c")]
);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx512vnni, crate::simd::avx512::Avx512<true>, crate::simd::avx512::Avx512::new(), 16 by [1, 4] or 16, 16, in_bits,
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
);
#[cfg(target_arch = "x86_64")]
with_tiles!(
    avx512amx, avx512vnni, crate::simd::avx512::Avx512::new(), amx::Amx, in_bits,
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
);
// Tiles in plain Rust, to test what stands around them.
#[cfg(test)]
with_tiles!(scalar_tiles, scalar, crate::simd::scalar::Scalar, amx::Emulated, in_bits, #[cfg(all())]);
#[cfg(all(test, target_arch = "x86_64"))]
with_tiles!(
    avx512_tiles, avx512vnni, crate::simd::avx512::Avx512::new(), amx::Emulated, in_bits,
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
);
#[cfg(target_arch = "aarch64")]
instruction_set!(
    neon, crate::simd::neon::Neon, crate::simd::neon::Neon::new(), 8 by [1, 4], in_bits,
    #[target_feature(enable = "neon,dotprod")]
);
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
instruction_set!(
    simd128, crate::simd::wasm::Wasm<false>, crate::simd::wasm::Wasm::new(), 4 by [1, 4], in_bytes,
    #[cfg(all())]
);
#[cfg(all(
    target_arch = "wasm32",
    target_feature = "simd128",
    feature = "relaxed"
))]
instruction_set!(
    relaxed, crate::simd::wasm::Wasm<true>, crate::simd::wasm::Wasm::new(), 4 by [1, 4], in_bytes,
    #[target_feature(enable = "relaxed-simd")]
);
