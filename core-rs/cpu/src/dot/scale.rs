//! What products do behind the whole sums of a sub-block: they multiply them by the scales of weights and
//! activations, and subtract minima.

use super::{Quant, Sub};
use crate::activations::Tile;
use crate::pack::Group;
use crate::simd::Simd;

/// Scales and minima of a sub-block, times those of its block.
#[derive(Clone, Copy)]
pub(super) struct Scales<S: Simd> {
    pub(super) scale: [S::F; 2],
    min: S::F,
    half_mins: [S::F; 2],
}

#[cfg(any(test, target_arch = "x86_64"))] // where `amx.rs` is
impl<S: Simd> Scales<S> {
    #[inline(always)]
    pub(super) fn zero(s: S) -> Self {
        Scales {
            scale: [s.splat(0.0); 2],
            min: s.splat(0.0),
            half_mins: [s.splat(0.0); 2],
        }
    }
}

/// The scales of sub-block `i` of block `b`, `d` being those of the block.
#[inline(always)]
pub(super) fn scaled<S: Simd, Q: Quant>(
    s: S,
    group: &Group,
    (b, i): (usize, usize),
    sub: &Sub<S>,
    (d, d_min): (S::F, S::F),
) -> Scales<S> {
    let mins = Q::half_mins(s, group, b, i);
    Scales {
        scale: [s.mul(sub.scale[0], d), s.mul(sub.scale[1], d)],
        min: s.mul(sub.min, d_min),
        half_mins: [s.mul(mins[0], d_min), s.mul(mins[1], d_min)],
    }
}

/// Adds the whole sums of both halves, or that of the whole in the first place, times the scales of weights
/// and that of activations.
#[inline(always)]
pub(super) fn add_scaled<S: Simd, Q: Quant>(
    s: S,
    sums: [S::I; 2],
    scale: [S::F; 2],
    d: S::F,
    acc: S::F,
) -> S::F {
    if Q::N_SCALES == 1 {
        return s.fma(s.to_f(sums[0]), s.mul(scale[0], d), acc);
    }
    let sum = s.mul(s.to_f(sums[0]), scale[0]);
    s.fma(s.fma(s.to_f(sums[1]), scale[1], sum), d, acc)
}

/// Subtracts what minima add to the product of sub-block `i` with token `n` of `T`.
#[inline(always)]
pub(super) fn subtract_mins<S: Simd, Q: Quant, const T: usize>(
    s: S,
    scales: &Scales<S>,
    x: &Tile<'_>,
    i: usize,
    n: usize,
    acc: S::F,
) -> S::F {
    if Q::HALF_MINS {
        let d = s.splat(x.d[i * T + n]);
        s.fma(negative::<S, T>(s, scales.half_mins, x, i, n), d, acc)
    } else if Q::MINS {
        s.fnma(scales.min, s.splat(x.sums[i * T + n]), acc)
    } else {
        acc
    }
}

/// What the minima of both halves of sub-block `i` subtract from token `n` of `T`, but for the scales
/// of both: as a negative number.
#[inline(always)]
pub(super) fn negative<S: Simd, const T: usize>(
    s: S,
    mins: [S::F; 2],
    x: &Tile<'_>,
    i: usize,
    n: usize,
) -> S::F {
    let neg = &x.neg[i * 3 * T..][..3 * T];
    let first = s.mul(s.to_f(s.splat_i(neg[T + n])), mins[0]);
    s.fma(s.to_f(s.splat_i(neg[2 * T + n])), mins[1], first)
}
