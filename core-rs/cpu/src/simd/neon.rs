//! NEON with the dot product instructions: eight rows in two vectors. `sdot` by lane takes four
//! activations of a vector of sixteen; both operands are signed, so weights of eight bits need no
//! bias.

use std::arch::aarch64::*;
use std::arch::asm;

use super::Simd;

/// Vectors side by side.
const N: usize = 2;

#[derive(Clone, Copy)]
pub(super) struct Neon {
    _made_here: (),
}

impl Neon {
    /// # Safety
    /// The CPU has NEON and its dot product instructions.
    #[inline(always)]
    pub(super) unsafe fn new() -> Self {
        Neon { _made_here: () }
    }
}

/// `acc[r] + sum over b < 4 of w.byte(r, b) * x[4 * LANE + b]`. The intrinsic is not stable yet.
///
/// # Safety
/// The CPU has the dot product instructions.
#[inline(always)]
unsafe fn sdot<const LANE: u32>(mut acc: uint32x4_t, w: uint32x4_t, x: int8x16_t) -> uint32x4_t {
    // SAFETY: registers only; the instruction is there by the caller's promise.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {acc:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            acc = inout(vreg) acc,
            w = in(vreg) w,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

// SAFETY of every block below: a token exists only where the CPU has the instructions (`new`); each
// load and store is of a slice whose length was just checked.
impl Simd for Neon {
    type I = [uint32x4_t; N];
    type F = [float32x4_t; N];
    const ROWS: usize = 4 * N;
    const BIASED: bool = false;

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe { [vdupq_n_u32(x as u32); N] }
    }
    #[inline(always)]
    fn load(self, bytes: &[u8], at: usize) -> Self::I {
        let bytes = &bytes[at..at + 16 * N];
        // SAFETY: see the head of this impl.
        unsafe {
            [
                vreinterpretq_u32_u8(vld1q_u8(bytes.as_ptr())),
                vreinterpretq_u32_u8(vld1q_u8(bytes[16..].as_ptr())),
            ]
        }
    }
    #[inline(always)]
    fn load_u8(self, bytes: &[u8], at: usize) -> Self::I {
        let bytes = &bytes[at..at + 4 * N];
        // SAFETY: see the head of this impl.
        unsafe {
            let all = vmovl_u8(vld1_u8(bytes.as_ptr()));
            [vmovl_u16(vget_low_u16(all)), vmovl_high_u16(all)]
        }
    }
    #[inline(always)]
    fn load_u16(self, bytes: &[u8], at: usize) -> Self::I {
        halves(bytes, at)
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe { [vandq_u32(a[0], b[0]), vandq_u32(a[1], b[1])] }
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe { [vorrq_u32(a[0], b[0]), vorrq_u32(a[1], b[1])] }
    }
    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe { [vaddq_u32(a[0], b[0]), vaddq_u32(a[1], b[1])] }
    }
    #[inline(always)]
    fn shl(self, a: Self::I, n: u32) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe {
            let n = vdupq_n_s32(n as i32);
            [vshlq_u32(a[0], n), vshlq_u32(a[1], n)]
        }
    }
    #[inline(always)]
    fn shr(self, a: Self::I, n: u32) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe {
            let n = vdupq_n_s32(-(n as i32));
            [vshlq_u32(a[0], n), vshlq_u32(a[1], n)]
        }
    }
    #[inline(always)]
    fn sar(self, a: Self::I, n: u32) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe {
            let n = vdupq_n_s32(-(n as i32));
            let one = |a| vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(a), n));
            [one(a[0]), one(a[1])]
        }
    }
    #[inline(always)]
    fn dot7<const MAX: i32>(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I {
        self.dot8(acc, w, x)
    }
    #[inline(always)]
    fn dot8(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I {
        let mut acc = acc;
        // SAFETY: see the head of this impl.
        unsafe {
            let x = vld1q_s8(x.as_ptr());
            for i in 0..N {
                acc[i] = sdot::<0>(acc[i], w[0][i], x);
                acc[i] = sdot::<1>(acc[i], w[1][i], x);
                acc[i] = sdot::<2>(acc[i], w[2][i], x);
                acc[i] = sdot::<3>(acc[i], w[3][i], x);
            }
        }
        acc
    }

    #[inline(always)]
    fn lookup16(self, table: &[u8; 16], codes: Self::I) -> Self::I {
        // SAFETY: see the head of this impl.
        unsafe {
            let table = vld1q_u8(table.as_ptr());
            let one = |c| vreinterpretq_u32_u8(vqtbl1q_u8(table, vreinterpretq_u8_u32(c)));
            [one(codes[0]), one(codes[1])]
        }
    }

    #[inline(always)]
    fn to_f(self, a: Self::I) -> Self::F {
        // SAFETY: see the head of this impl.
        unsafe {
            let one = |a| vcvtq_f32_s32(vreinterpretq_s32_u32(a));
            [one(a[0]), one(a[1])]
        }
    }
    #[inline(always)]
    fn as_f(self, a: Self::I) -> Self::F {
        // SAFETY: see the head of this impl.
        unsafe { [vreinterpretq_f32_u32(a[0]), vreinterpretq_f32_u32(a[1])] }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: see the head of this impl.
        unsafe { [vdupq_n_f32(x); N] }
    }
    #[inline(always)]
    fn load_f(self, x: &[f32], at: usize) -> Self::F {
        let x = &x[at..at + 4 * N];
        // SAFETY: see the head of this impl.
        unsafe { [vld1q_f32(x.as_ptr()), vld1q_f32(x[4..].as_ptr())] }
    }
    #[inline(always)]
    fn load_f32(self, bytes: &[u8], at: usize) -> Self::F {
        self.as_f(self.load(bytes, at))
    }
    #[inline(always)]
    fn load_f16(self, bytes: &[u8], at: usize) -> Self::F {
        let words = halves(bytes, at);
        [half_to_f32(words[0]), half_to_f32(words[1])]
    }
    #[inline(always)]
    fn store_f(self, a: Self::F, x: &mut [f32], at: usize) {
        let x = &mut x[at..at + 4 * N];
        // SAFETY: see the head of this impl.
        unsafe {
            vst1q_f32(x.as_mut_ptr(), a[0]);
            vst1q_f32(x[4..].as_mut_ptr(), a[1]);
        }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see the head of this impl.
        unsafe { [vmulq_f32(a[0], b[0]), vmulq_f32(a[1], b[1])] }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: see the head of this impl.
        unsafe { [vfmaq_f32(c[0], a[0], b[0]), vfmaq_f32(c[1], a[1], b[1])] }
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: see the head of this impl.
        unsafe { [vfmsq_f32(c[0], a[0], b[0]), vfmsq_f32(c[1], a[1], b[1])] }
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe { vaddvq_f32(vaddq_f32(a[0], a[1])) }
    }
}

/// Eight u16 from `bytes[at..]`, widened.
#[inline(always)]
fn halves(bytes: &[u8], at: usize) -> [uint32x4_t; N] {
    let bytes = &bytes[at..at + 8 * N];
    // SAFETY: sixteen bytes, as just checked; NEON is part of aarch64.
    unsafe {
        let all = vreinterpretq_u16_u8(vld1q_u8(bytes.as_ptr()));
        [vmovl_u16(vget_low_u16(all)), vmovl_high_u16(all)]
    }
}

/// f16 in the low halves of four lanes, to f32 (the conversion's intrinsic is not stable yet).
#[inline(always)]
fn half_to_f32(h: uint32x4_t) -> float32x4_t {
    // SAFETY: registers only; NEON is part of aarch64.
    unsafe {
        let out: float32x4_t;
        asm!(
            "fcvtl {out:v}.4s, {h:v}.4h",
            out = out(vreg) out,
            h = in(vreg) vmovn_u32(h),
            options(pure, nomem, nostack, preserves_flags)
        );
        out
    }
}
