//! AVX2 with FMA and F16C: eight rows. `vpmaddubsw` multiplies unsigned by signed bytes and adds
//! pairs in i16, which saturate: so how large weights are decides how many pairs may be added
//! before they are widened, and weights of eight bits go by their absolute value, their sign moved
//! to the activations. With AVX-VNNI (Intel's desktops since 2021) four products are one instruction that
//! adds them in i32.

use std::arch::x86_64::*;

use super::Simd;

#[derive(Clone, Copy)]
pub(super) struct Avx2<const VNNI: bool> {
    _made_here: (),
}

impl<const VNNI: bool> Avx2<VNNI> {
    /// # Safety
    /// The CPU has AVX2, FMA and F16C, and AVX-VNNI where the parameter says so.
    #[inline(always)]
    pub(super) unsafe fn new() -> Self {
        Avx2 { _made_here: () }
    }
}

#[inline(always)]
fn quad(x: &[i8; 16], j: usize) -> i32 {
    let b = |i| x[4 * j + i] as u8;
    i32::from_le_bytes([b(0), b(1), b(2), b(3)])
}

// SAFETY of every block below: a token exists only where the CPU has the instructions (`new`); each
// load and store is of a slice whose length was just checked.
impl<const VNNI: bool> Simd for Avx2<VNNI> {
    type I = __m256i;
    type F = __m256;
    const ROWS: usize = 8;
    const BIASED: bool = VNNI;

    #[inline(always)]
    fn splat_i(self, x: i32) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_set1_epi32(x) }
    }
    #[inline(always)]
    fn load(self, bytes: &[u8], at: usize) -> __m256i {
        let bytes = &bytes[at..at + 32];
        // SAFETY: see the head of this impl.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }
    #[inline(always)]
    fn load_u8(self, bytes: &[u8], at: usize) -> __m256i {
        let bytes = &bytes[at..at + 8];
        // SAFETY: see the head of this impl.
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes.as_ptr().cast())) }
    }
    #[inline(always)]
    fn load_u16(self, bytes: &[u8], at: usize) -> __m256i {
        let bytes = &bytes[at..at + 16];
        // SAFETY: see the head of this impl.
        unsafe { _mm256_cvtepu16_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }
    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_or_si256(a, b) }
    }
    #[inline(always)]
    fn add_i(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn shl(self, a: __m256i, n: u32) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(n as i32)) }
    }
    #[inline(always)]
    fn shr(self, a: __m256i, n: u32) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_srl_epi32(a, _mm_cvtsi32_si128(n as i32)) }
    }
    #[inline(always)]
    fn sar(self, a: __m256i, n: u32) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(n as i32)) }
    }
    #[inline(always)]
    fn dot7<const MAX: i32>(self, acc: __m256i, w: &[__m256i; 4], x: &[i8; 16]) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe {
            if VNNI {
                let mut acc = acc;
                for (j, &w) in w.iter().enumerate() {
                    acc = _mm256_dpbusd_avx_epi32(acc, w, _mm256_set1_epi32(quad(x, j)));
                }
                return acc;
            }
            let pair = |j: usize| _mm256_maddubs_epi16(w[j], _mm256_set1_epi32(quad(x, j)));
            let ones = _mm256_set1_epi16(1);
            let low = _mm256_add_epi16(pair(0), pair(1));
            let high = _mm256_add_epi16(pair(2), pair(3));
            // Two pairs of 63 · 127 fit in i16, eight of 15 · 127 too.
            let sum = if MAX <= 15 {
                _mm256_madd_epi16(_mm256_add_epi16(low, high), ones)
            } else {
                _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones))
            };
            _mm256_add_epi32(acc, sum)
        }
    }
    #[inline(always)]
    fn dot8(self, acc: __m256i, w: &[__m256i; 4], x: &[i8; 16]) -> __m256i {
        if VNNI {
            return self.dot7::<63>(acc, w, x);
        }
        // SAFETY: see the head of this impl.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let mut acc = acc;
            for (j, &w) in w.iter().enumerate() {
                // One pair of 128 · 127 fits in i16, two do not.
                let x = _mm256_sign_epi8(_mm256_set1_epi32(quad(x, j)), w);
                let pair = _mm256_maddubs_epi16(_mm256_abs_epi8(w), x);
                acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pair, ones));
            }
            acc
        }
    }

    #[inline(always)]
    fn lookup16(self, table: &[u8; 16], codes: __m256i) -> __m256i {
        // SAFETY: see the head of this impl.
        unsafe {
            let table = _mm_loadu_si128(table.as_ptr().cast());
            _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), codes)
        }
    }

    #[inline(always)]
    fn to_f(self, a: __m256i) -> __m256 {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn as_f(self, a: __m256i) -> __m256 {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_castsi256_ps(a) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load_f(self, x: &[f32], at: usize) -> __m256 {
        let x = &x[at..at + 8];
        // SAFETY: see the head of this impl.
        unsafe { _mm256_loadu_ps(x.as_ptr()) }
    }
    #[inline(always)]
    fn load_f32(self, bytes: &[u8], at: usize) -> __m256 {
        let bytes = &bytes[at..at + 32];
        // SAFETY: see the head of this impl.
        unsafe { _mm256_loadu_ps(bytes.as_ptr().cast()) }
    }
    #[inline(always)]
    fn load_f16(self, bytes: &[u8], at: usize) -> __m256 {
        let bytes = &bytes[at..at + 16];
        // SAFETY: see the head of this impl.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }
    #[inline(always)]
    fn store_f(self, a: __m256, x: &mut [f32], at: usize) {
        let x = &mut x[at..at + 8];
        // SAFETY: see the head of this impl.
        unsafe { _mm256_storeu_ps(x.as_mut_ptr(), a) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn fnma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the head of this impl.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
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
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        // SAFETY: see the head of this impl.
        unsafe {
            let halves = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
            let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
            _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)))
        }
    }
}
