//! AVX-512 (F, BW, VL), with VNNI or without: sixteen rows. With VNNI four bytes of sixteen rows are
//! one instruction, `vpdpbusd`, whose activations come broadcast from memory.

use std::arch::x86_64::*;
use std::sync::atomic::{Ordering, compiler_fence};

use super::Simd;

#[derive(Clone, Copy)]
pub(super) struct Avx512<const VNNI: bool> {
    _made_here: (),
}

impl<const VNNI: bool> Avx512<VNNI> {
    /// # Safety
    /// The CPU has AVX-512 F, BW and VL, and VNNI where the parameter says so.
    #[inline(always)]
    pub(super) unsafe fn new() -> Self {
        Avx512 { _made_here: () }
    }
}

#[inline(always)]
fn quad(x: &[i8; 16], j: usize) -> i32 {
    let b = |i| x[4 * j + i] as u8;
    i32::from_le_bytes([b(0), b(1), b(2), b(3)])
}

// SAFETY of every block below: a token exists only where the CPU has the instructions (`new`); each
// load and store is of a slice whose length was just checked.
impl<const VNNI: bool> Simd for Avx512<VNNI> {
    type I = __m512i;
    type F = __m512;
    const ROWS: usize = 16;
    const BIASED: bool = true;

    #[inline(always)]
    fn splat_i(self, x: i32) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_set1_epi32(x) }
    }
    #[inline(always)]
    fn load(self, bytes: &[u8], at: usize) -> __m512i {
        let bytes = &bytes[at..at + 64];
        // SAFETY: see the head of this impl.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }
    #[inline(always)]
    fn load_u8(self, bytes: &[u8], at: usize) -> __m512i {
        let bytes = &bytes[at..at + 16];
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }
    #[inline(always)]
    fn load_u16(self, bytes: &[u8], at: usize) -> __m512i {
        let bytes = &bytes[at..at + 32];
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.as_ptr().cast())) }
    }
    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_or_si512(a, b) }
    }
    #[inline(always)]
    fn add_i(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn shl(self, a: __m512i, n: u32) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_sll_epi32(a, _mm_cvtsi32_si128(n as i32)) }
    }
    #[inline(always)]
    fn shr(self, a: __m512i, n: u32) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_srl_epi32(a, _mm_cvtsi32_si128(n as i32)) }
    }
    #[inline(always)]
    fn sar(self, a: __m512i, n: u32) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_sra_epi32(a, _mm_cvtsi32_si128(n as i32)) }
    }
    #[inline(always)]
    fn dot7<const MAX: i32>(self, acc: __m512i, w: &[__m512i; 4], x: &[i8; 16]) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            if VNNI {
                let mut acc = acc;
                for (j, &w) in w.iter().enumerate() {
                    acc = _mm512_dpbusd_epi32(acc, w, _mm512_set1_epi32(quad(x, j)));
                }
                return acc;
            }
            // Pairs of products fit in i16: twice 63 · 128 twice.
            let pair = |j: usize| _mm512_maddubs_epi16(w[j], _mm512_set1_epi32(quad(x, j)));
            let ones = _mm512_set1_epi16(1);
            let low = _mm512_madd_epi16(_mm512_add_epi16(pair(0), pair(1)), ones);
            let high = _mm512_madd_epi16(_mm512_add_epi16(pair(2), pair(3)), ones);
            _mm512_add_epi32(acc, _mm512_add_epi32(low, high))
        }
    }
    #[inline(always)]
    fn dot8(self, acc: __m512i, w: &[__m512i; 4], x: &[i8; 16]) -> __m512i {
        if VNNI {
            return self.dot7::<63>(acc, w, x);
        }
        // Without VNNI pairs of full bytes would saturate: upper four bits and lower four apart.
        let mask = self.splat_i(0x0f0f_0f0f);
        // Written out: a closure would not be inlined here, where the instruction set is switched on.
        let [a, b, c, d] = *w;
        let low = |x| self.and(x, mask);
        let high = |x| self.and(self.shr(x, 4), mask);
        let (low, high) = (
            [low(a), low(b), low(c), low(d)],
            [high(a), high(b), high(c), high(d)],
        );
        let upper = self.dot7::<15>(self.splat_i(0), &high, x);
        let acc = self.dot7::<15>(acc, &low, x);
        // SAFETY: see the head of this impl.
        unsafe { _mm512_add_epi32(acc, self.shl(upper, 4)) }
    }

    #[inline(always)]
    fn lookup16(self, table: &[u8; 16], codes: __m512i) -> __m512i {
        // SAFETY: see the head of this impl.
        unsafe {
            let table = _mm_loadu_si128(table.as_ptr().cast());
            _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes)
        }
    }

    #[inline(always)]
    fn to_f(self, a: __m512i) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn as_f(self, a: __m512i) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_castsi512_ps(a) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load_f(self, x: &[f32], at: usize) -> __m512 {
        let x = &x[at..at + 16];
        // SAFETY: see the head of this impl.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }
    #[inline(always)]
    fn load_f32(self, bytes: &[u8], at: usize) -> __m512 {
        let bytes = &bytes[at..at + 64];
        // SAFETY: see the head of this impl.
        unsafe { _mm512_loadu_ps(bytes.as_ptr().cast()) }
    }
    #[inline(always)]
    fn load_f16(self, bytes: &[u8], at: usize) -> __m512 {
        let bytes = &bytes[at..at + 32];
        // SAFETY: see the head of this impl.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast())) }
    }
    #[inline(always)]
    fn store_f(self, a: __m512, x: &mut [f32], at: usize) {
        let x = &mut x[at..at + 16];
        // SAFETY: see the head of this impl.
        unsafe { _mm512_storeu_ps(x.as_mut_ptr(), a) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn fnma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn prefetch(self, bytes: &[u8], at: usize) {
        // SAFETY: a hint that reads nothing; any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast()) }
    }
    #[inline(always)]
    fn prefetch_run(self, bytes: &[u8], at: usize, n: usize) {
        super::prefetch_run(bytes, at, n);
    }
    /// No instruction, only an order: left alone, LLVM reads a block's vectors all over it.
    #[inline(always)]
    fn end_step(self) {
        compiler_fence(Ordering::SeqCst);
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe { _mm512_reduce_add_ps(a) }
    }
}
