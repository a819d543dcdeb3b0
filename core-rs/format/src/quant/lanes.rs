//! Eight numbers side by side, as vectors of the CPU: the few operations that encoders need.

use std::ops::{Add, Div, Mul, Sub};

use wide::{f32x8, i16x8, i32x8, u8x16};

pub(crate) const LANES: usize = 8;

#[derive(Clone, Copy)]
pub(crate) struct Lanes(f32x8);

/// Added to |x| < 2^22, this leaves the nearest integer (ties to even) in the lowest bits. Exact, and
/// the same on CPUs without a rounding instruction.
const SHIFT: f32 = 12_582_912.0; // 1.5 · 2^23

impl Lanes {
    #[inline(always)]
    pub(crate) fn of(x: f32) -> Self {
        Lanes(f32x8::splat(x))
    }

    /// The first eight values of `x`.
    #[inline(always)]
    pub(crate) fn load(x: &[f32]) -> Self {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(&x[..LANES]);
        Lanes(f32x8::from(lanes))
    }

    #[inline(always)]
    pub(crate) fn to_array(self) -> [f32; LANES] {
        self.0.to_array()
    }

    /// `N` elements of eight lanes from eight rows of `N`, a multiple of 8.
    #[inline(always)]
    pub(crate) fn transpose<const N: usize>(x: &[f32]) -> [Lanes; N] {
        let mut columns = [Lanes::of(0.0); N];
        for (i, columns) in columns.chunks_exact_mut(LANES).enumerate() {
            let tile: [f32x8; LANES] =
                std::array::from_fn(|l| Lanes::load(&x[l * N + i * LANES..]).0);
            for (column, lanes) in columns.iter_mut().zip(f32x8::transpose(tile)) {
                *column = Lanes(lanes);
            }
        }
        columns
    }

    /// The smaller. Of no meaning for NaN.
    #[inline(always)]
    pub(crate) fn min(self, other: Lanes) -> Lanes {
        Lanes(self.0.fast_min(other.0))
    }

    #[inline(always)]
    pub(crate) fn max(self, other: Lanes) -> Lanes {
        Lanes(self.0.fast_max(other.0))
    }

    /// Within `low ..= high`; something in between for NaN.
    #[inline(always)]
    pub(crate) fn within(self, low: f32, high: f32) -> Lanes {
        self.max(Lanes::of(low)).min(Lanes::of(high))
    }

    #[inline(always)]
    pub(crate) fn abs(self) -> Lanes {
        Lanes(self.0.abs())
    }

    #[inline(always)]
    pub(crate) fn sqrt(self) -> Lanes {
        Lanes(self.0.sqrt())
    }

    /// To the nearest integer, ties to even; |x| < 2^22.
    #[inline(always)]
    pub(crate) fn round(self) -> Lanes {
        (self + Lanes::of(SHIFT)) - Lanes::of(SHIFT)
    }

    /// To the nearest integer, halves away from zero; |x| < 2^22.
    #[inline(always)]
    pub(crate) fn round_away(self) -> Lanes {
        let (one, zero) = (Lanes::of(1.0), Lanes::of(0.0));
        let size = self.abs();
        let near = size.round();
        let below = size - near; // exact
        let size = near + Lanes::if_less(below, Lanes::of(0.5), zero, one);
        Lanes::if_less(self, zero, zero - size, size)
    }

    /// Numbers from 0 to 255 as bytes, or from -128 to 127 as the bytes of an i8; ties to even.
    #[inline(always)]
    pub(crate) fn to_bytes(self) -> [u8; LANES] {
        low_bytes(self.0.fast_round_int())
    }

    /// Numbers from 0 to below 256 as bytes; what is behind the point is cut off.
    #[inline(always)]
    pub(crate) fn whole_bytes(self) -> [u8; LANES] {
        low_bytes(self.0.fast_trunc_int())
    }

    /// Bytes of two numbers from 0 to below 16: `self` in the low four bits. Cut off as above.
    #[inline(always)]
    pub(crate) fn nibbles(self, high: Lanes) -> [u8; LANES] {
        let high: i32x8 = high.0.fast_trunc_int();
        low_bytes(self.0.fast_trunc_int() | high << 4)
    }

    /// `yes` where `a < b`, else `no`, also where a comparison with NaN says nothing.
    #[inline(always)]
    pub(crate) fn if_less(a: Lanes, b: Lanes, yes: Lanes, no: Lanes) -> Lanes {
        Lanes(a.0.simd_lt(b.0).select(yes.0, no.0))
    }

    /// The largest of the eight.
    #[inline(always)]
    pub(crate) fn largest(self) -> f32 {
        self.fold(|a, b| if a > b { a } else { b })
    }

    /// The smallest of the eight.
    #[inline(always)]
    pub(crate) fn smallest(self) -> f32 {
        self.fold(|a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn fold(self, join: fn(f32, f32) -> f32) -> f32 {
        let v = self.to_array();
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| join(v[i], v[i + 4]));
        join(join(a, c), join(b, d))
    }
}

#[inline(always)]
fn low_bytes(x: i32x8) -> [u8; LANES] {
    let words = i16x8::from_i32x8_saturate(x & i32x8::splat(255));
    let bytes = u8x16::narrow_i16x8(words, words).to_array();
    std::array::from_fn(|i| bytes[i])
}

macro_rules! operator {
    ($($trait:ident, $name:ident, $op:tt;)*) => {$(
        impl $trait for Lanes {
            type Output = Lanes;
            #[inline(always)]
            fn $name(self, other: Lanes) -> Lanes {
                Lanes(self.0 $op other.0)
            }
        }
    )*};
}
operator! { Add, add, +; Sub, sub, -; Mul, mul, *; Div, div, /; }

/// The largest size in a slice of a multiple of 8 elements.
#[inline(always)]
pub(crate) fn largest_size(x: &[f32]) -> f32 {
    let mut largest = Lanes::of(0.0);
    for x in x.chunks_exact(LANES) {
        largest = largest.max(Lanes::load(x).abs());
    }
    largest.largest()
}

/// The smallest and the largest value of a slice of a multiple of 8 elements.
#[inline(always)]
pub(crate) fn min_max(x: &[f32]) -> (f32, f32) {
    let (mut min, mut max) = (Lanes::of(f32::MAX), Lanes::of(f32::MIN));
    for x in x.chunks_exact(LANES) {
        let x = Lanes::load(x);
        min = min.min(x);
        max = max.max(x);
    }
    (min.smallest(), max.largest())
}

/// The value of the largest size, with its sign; of two, the first. A slice of a multiple of 8 elements.
#[inline(always)]
pub(crate) fn extreme(x: &[f32]) -> f32 {
    let (mut least, mut most) = (Lanes::of(0.0), Lanes::of(0.0));
    for x in x.chunks_exact(LANES) {
        let x = Lanes::load(x);
        least = least.min(x);
        most = most.max(x);
    }
    let (least, most) = ((Lanes::of(0.0) - least).largest(), most.largest());
    if least == most {
        let first = x.iter().find(|v| v.abs() == most);
        return first.copied().unwrap_or(0.0);
    }
    if least > most { -least } else { most }
}
