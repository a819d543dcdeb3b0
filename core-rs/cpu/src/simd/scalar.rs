//! Plain Rust, four rows at a time: what every other instruction set is compared with, and what
//! runs where there is none.

use half::f16;

use super::Simd;

#[derive(Clone, Copy)]
pub(super) struct Scalar;

const N: usize = 4;

#[inline(always)]
fn map<A: Copy, B: Copy + Default>(a: [A; N], f: impl Fn(A) -> B) -> [B; N] {
    let mut out = [B::default(); N];
    for (out, a) in out.iter_mut().zip(a) {
        *out = f(a);
    }
    out
}

#[inline(always)]
fn zip<A: Copy + Default>(a: [A; N], b: [A; N], f: impl Fn(A, A) -> A) -> [A; N] {
    let mut out = [A::default(); N];
    for i in 0..N {
        out[i] = f(a[i], b[i]);
    }
    out
}

#[inline(always)]
fn halves(bytes: &[u8], at: usize) -> [u16; N] {
    let bytes = &bytes[at..at + 2 * N];
    let mut out = [0; N];
    for (out, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *out = u16::from_le_bytes([pair[0], pair[1]]);
    }
    out
}

impl Simd for Scalar {
    type I = [u32; N];
    type F = [f32; N];
    const ROWS: usize = N;
    const BIASED: bool = false;

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        [x as u32; N]
    }
    #[inline(always)]
    fn load(self, bytes: &[u8], at: usize) -> Self::I {
        let bytes = &bytes[at..at + 4 * N];
        let mut out = [0; N];
        for (out, quad) in out.iter_mut().zip(bytes.chunks_exact(4)) {
            *out = u32::from_le_bytes([quad[0], quad[1], quad[2], quad[3]]);
        }
        out
    }
    #[inline(always)]
    fn load_u8(self, bytes: &[u8], at: usize) -> Self::I {
        let mut out = [0; N];
        out.iter_mut()
            .zip(&bytes[at..at + N])
            .for_each(|(o, &b)| *o = u32::from(b));
        out
    }
    #[inline(always)]
    fn load_u16(self, bytes: &[u8], at: usize) -> Self::I {
        map(halves(bytes, at), u32::from)
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    fn shl(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| a << n)
    }
    #[inline(always)]
    fn shr(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| a >> n)
    }
    #[inline(always)]
    fn sar(self, a: Self::I, n: u32) -> Self::I {
        map(a, |a| (a as i32 >> n) as u32)
    }
    #[inline(always)]
    fn dot7<const MAX: i32>(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I {
        let mut acc = acc;
        for (j, w) in w.iter().enumerate() {
            for (acc, w) in acc.iter_mut().zip(w) {
                for (b, w) in w.to_le_bytes().into_iter().enumerate() {
                    let product = i32::from(w) * i32::from(x[4 * j + b]);
                    *acc = acc.wrapping_add(product as u32);
                }
            }
        }
        acc
    }
    #[inline(always)]
    fn dot8(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I {
        let mut acc = acc;
        for (j, w) in w.iter().enumerate() {
            for (acc, w) in acc.iter_mut().zip(w) {
                for (b, w) in w.to_le_bytes().into_iter().enumerate() {
                    let product = i32::from(w as i8) * i32::from(x[4 * j + b]);
                    *acc = acc.wrapping_add(product as u32);
                }
            }
        }
        acc
    }

    #[inline(always)]
    fn lookup16(self, table: &[u8; 16], codes: Self::I) -> Self::I {
        map(codes, |c| {
            u32::from_le_bytes(c.to_le_bytes().map(|c| table[usize::from(c)]))
        })
    }

    #[inline(always)]
    fn to_f(self, a: Self::I) -> Self::F {
        map(a, |a| a as i32 as f32)
    }
    #[inline(always)]
    fn as_f(self, a: Self::I) -> Self::F {
        map(a, f32::from_bits)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; N]
    }
    #[inline(always)]
    fn load_f(self, x: &[f32], at: usize) -> Self::F {
        let mut out = [0.0; N];
        out.copy_from_slice(&x[at..at + N]);
        out
    }
    #[inline(always)]
    fn load_f32(self, bytes: &[u8], at: usize) -> Self::F {
        map(self.load(bytes, at), f32::from_bits)
    }
    #[inline(always)]
    fn load_f16(self, bytes: &[u8], at: usize) -> Self::F {
        map(halves(bytes, at), |h| f16::from_bits(h).to_f32())
    }
    #[inline(always)]
    fn store_f(self, a: Self::F, x: &mut [f32], at: usize) {
        x[at..at + N].copy_from_slice(&a);
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        zip(zip(a, b, |a, b| a * b), c, |p, c| p + c)
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        zip(zip(a, b, |a, b| a * b), c, |p, c| c - p)
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        a.iter().sum()
    }
}
