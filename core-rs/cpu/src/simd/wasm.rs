//! WebAssembly's SIMD, plain and relaxed: vectors of four lanes, [`N`] of them side by side.
//!
//! Relaxed has one instruction for four bytes of four rows, `i32x4.relaxed_dot_i8x16_i7x16_add`. Its
//! second operand must be 0 … 127, so that is where the weights go; weights of eight bits go in two
//! parts. Plain has no product of bytes: weights and activations are widened to i16, whose
//! products are added in pairs.

use std::arch::wasm32::*;

use super::Simd;

/// Vectors side by side. Eight rows use a broadcast activation twice.
const N: usize = 2;

#[derive(Clone, Copy)]
pub(super) struct Wasm<const RELAXED: bool> {
    _made_here: (),
}

impl<const RELAXED: bool> Wasm<RELAXED> {
    /// # Safety
    /// The engine has relaxed SIMD where the parameter says so (else it would have refused the
    /// module); plain SIMD is a feature of the whole build.
    #[inline(always)]
    pub(super) unsafe fn new() -> Self {
        Wasm { _made_here: () }
    }
}

#[inline(always)]
fn zip<const M: usize>(a: [v128; M], b: [v128; M], f: impl Fn(v128, v128) -> v128) -> [v128; M] {
    let mut out = a;
    for i in 0..M {
        out[i] = f(a[i], b[i]);
    }
    out
}

#[inline(always)]
fn map<const M: usize>(a: [v128; M], f: impl Fn(v128) -> v128) -> [v128; M] {
    let mut out = a;
    for x in &mut out {
        *x = f(*x);
    }
    out
}

/// Sixteen bytes from `bytes[at..]`.
#[inline(always)]
fn load16(bytes: &[u8], at: usize) -> v128 {
    let bytes = &bytes[at..at + 16];
    // SAFETY: sixteen bytes, as just checked; alignment is not asked for.
    unsafe { v128_load(bytes.as_ptr().cast()) }
}

/// Four u16 from `bytes[at..]`, widened.
#[inline(always)]
fn load_halves(bytes: &[u8], at: usize) -> v128 {
    let bytes = &bytes[at..at + 8];
    // SAFETY: eight bytes, as just checked; alignment is not asked for.
    unsafe { u32x4_load_extend_u16x4(bytes.as_ptr().cast()) }
}

/// f16 in the low halves of four lanes, to f32: moving exponent and mantissa in place leaves a
/// value 2^112 too small, also for subnormals; infinity and NaN need the full exponent.
#[inline(always)]
fn half_to_f32(h: v128) -> v128 {
    let sign = u32x4_shl(v128_and(h, u32x4_splat(0x8000)), 16);
    let rest = u32x4_shl(v128_and(h, u32x4_splat(0x7fff)), 13);
    let value = f32x4_mul(rest, f32x4_splat(f32::from_bits(0x7780_0000)));
    let is_special = u32x4_ge(rest, u32x4_splat(0x7c00 << 13));
    let special = v128_and(is_special, u32x4_splat(0x7f80_0000));
    v128_or(v128_or(value, special), sign)
}

#[inline(always)]
fn quad(x: &[i8; 16], j: usize) -> v128 {
    let b = |i| x[4 * j + i] as u8;
    i32x4_splat(i32::from_le_bytes([b(0), b(1), b(2), b(3)]))
}

#[cfg(feature = "relaxed")]
#[inline(always)]
fn relaxed_dot(acc: v128, w: v128, x: v128) -> v128 {
    i32x4_relaxed_dot_i8x16_i7x16_add(x, w, acc)
}

#[cfg(not(feature = "relaxed"))]
#[inline(always)]
fn relaxed_dot(_: v128, _: v128, _: v128) -> v128 {
    unreachable!("no token of relaxed SIMD is made in this build")
}

/// Codes are below 16, where relaxed does what plain does, without its check.
#[cfg(feature = "relaxed")]
#[inline(always)]
fn relaxed_swizzle(table: v128, codes: v128) -> v128 {
    i8x16_relaxed_swizzle(table, codes)
}

#[cfg(not(feature = "relaxed"))]
#[inline(always)]
fn relaxed_swizzle(_: v128, _: v128) -> v128 {
    unreachable!("no token of relaxed SIMD is made in this build")
}

/// `acc + products`, by way of i16: weights up to 255.
#[inline(always)]
fn wide_dot(acc: [v128; N], w: &[[v128; N]; 4], x: &[i8; 16]) -> [v128; N] {
    let mut low = [i32x4_splat(0); N];
    let mut high = low;
    for j in 0..2 {
        // SAFETY: eight bytes from 0 or 8 on.
        let x = unsafe { i16x8_load_extend_i8x8(x[8 * j..8 * j + 8].as_ptr()) };
        let xs = [i64x2_shuffle::<0, 0>(x, x), i64x2_shuffle::<1, 1>(x, x)];
        for (x, w) in xs.into_iter().zip(&w[2 * j..]) {
            for i in 0..N {
                let (first, second) = (u16x8_extend_low_u8x16(w[i]), u16x8_extend_high_u8x16(w[i]));
                low[i] = i32x4_add(low[i], i32x4_dot_i16x8(first, x));
                high[i] = i32x4_add(high[i], i32x4_dot_i16x8(second, x));
            }
        }
    }
    let mut acc = acc;
    for i in 0..N {
        let even = i32x4_shuffle::<0, 2, 4, 6>(low[i], high[i]);
        let odd = i32x4_shuffle::<1, 3, 5, 7>(low[i], high[i]);
        acc[i] = i32x4_add(acc[i], i32x4_add(even, odd));
    }
    acc
}

impl<const RELAXED: bool> Simd for Wasm<RELAXED> {
    type I = [v128; N];
    type F = [v128; N];
    const ROWS: usize = 4 * N;
    const BIASED: bool = true;
    const SHORT_CHAINS: bool = true;

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        [i32x4_splat(x); N]
    }
    #[inline(always)]
    fn load(self, bytes: &[u8], at: usize) -> Self::I {
        let mut out = [i32x4_splat(0); N];
        for (i, out) in out.iter_mut().enumerate() {
            *out = load16(bytes, at + 16 * i);
        }
        out
    }
    #[inline(always)]
    fn load_u8(self, bytes: &[u8], at: usize) -> Self::I {
        let bytes = &bytes[at..at + 4 * N];
        // SAFETY: eight bytes, as just checked; alignment is not asked for.
        let all = unsafe { u16x8_load_extend_u8x8(bytes.as_ptr()) };
        [u32x4_extend_low_u16x8(all), u32x4_extend_high_u16x8(all)]
    }
    #[inline(always)]
    fn load_u16(self, bytes: &[u8], at: usize) -> Self::I {
        let mut out = [i32x4_splat(0); N];
        for (i, out) in out.iter_mut().enumerate() {
            *out = load_halves(bytes, at + 8 * i);
        }
        out
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| v128_and(a, b))
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| v128_or(a, b))
    }
    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| i32x4_add(a, b))
    }
    #[inline(always)]
    fn shl(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| u32x4_shl(a, n))
    }
    #[inline(always)]
    fn shr(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| u32x4_shr(a, n))
    }
    #[inline(always)]
    fn sar(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| i32x4_shr(a, n))
    }
    #[inline(always)]
    fn dot7<const MAX: i32>(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I {
        if !RELAXED {
            return wide_dot(acc, w, x);
        }
        let mut acc = acc;
        for (j, w) in w.iter().enumerate() {
            let x = quad(x, j);
            for i in 0..N {
                acc[i] = relaxed_dot(acc[i], w[i], x);
            }
        }
        acc
    }
    #[inline(always)]
    fn dot8(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I {
        if !RELAXED {
            return wide_dot(acc, w, x);
        }
        // Upper seven bits and the lowest one.
        let mut acc = acc;
        let mut upper = self.splat_i(0);
        let (seven, one) = (u8x16_splat(0x7f), u8x16_splat(1));
        for (j, w) in w.iter().enumerate() {
            let x = quad(x, j);
            for i in 0..N {
                upper[i] = relaxed_dot(upper[i], v128_and(u32x4_shr(w[i], 1), seven), x);
                acc[i] = relaxed_dot(acc[i], v128_and(w[i], one), x);
            }
        }
        zip(acc, upper, |a, u| i32x4_add(a, i32x4_shl(u, 1)))
    }

    #[inline(always)]
    fn lookup16(self, table: &[u8; 16], codes: Self::I) -> Self::I {
        let table = load16(table, 0);
        match RELAXED {
            true => map(codes, |c| relaxed_swizzle(table, c)),
            false => map(codes, |c| i8x16_swizzle(table, c)),
        }
    }

    #[inline(always)]
    fn to_f(self, a: Self::I) -> Self::F {
        map(a, |a| f32x4_convert_i32x4(a))
    }
    #[inline(always)]
    fn as_f(self, a: Self::I) -> Self::F {
        a
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [f32x4_splat(x); N]
    }
    #[inline(always)]
    fn load_f(self, x: &[f32], at: usize) -> Self::F {
        let x = &x[at..at + 4 * N];
        let mut out = [f32x4_splat(0.0); N];
        for (i, out) in out.iter_mut().enumerate() {
            // SAFETY: four floats from 4 · i on, as just checked.
            *out = unsafe { v128_load(x[4 * i..4 * i + 4].as_ptr().cast()) };
        }
        out
    }
    #[inline(always)]
    fn load_f32(self, bytes: &[u8], at: usize) -> Self::F {
        self.load(bytes, at)
    }
    #[inline(always)]
    fn load_f16(self, bytes: &[u8], at: usize) -> Self::F {
        map(self.load_u16(bytes, at), half_to_f32)
    }
    #[inline(always)]
    fn store_f(self, a: Self::F, x: &mut [f32], at: usize) {
        let x = &mut x[at..at + 4 * N];
        for (i, a) in a.into_iter().enumerate() {
            // SAFETY: four floats from 4 · i on, as just checked.
            unsafe { v128_store(x[4 * i..4 * i + 4].as_mut_ptr().cast(), a) }
        }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| f32x4_mul(a, b))
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // `c` first: see `SHORT_CHAINS`, of which a relaxed `madd` would be a chain.
        zip(c, zip(a, b, |a, b| f32x4_mul(a, b)), |c, p| f32x4_add(c, p))
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        zip(zip(a, b, |a, b| f32x4_mul(a, b)), c, |p, c| f32x4_sub(c, p))
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        let mut sum = 0.0;
        for a in a {
            sum += (f32x4_extract_lane::<0>(a) + f32x4_extract_lane::<1>(a))
                + (f32x4_extract_lane::<2>(a) + f32x4_extract_lane::<3>(a));
        }
        sum
    }
}
