//! The one room with `unsafe`: vectors of each instruction set behind a small trait, the table of
//! kernels compiled for each, and memory that workers share.
//!
//! Kernels are written once, generic over [`Simd`], `#[inline(always)]` and without
//! `#[target_feature]`. Only the outermost instantiation (`kernels.rs`) carries the attribute; there
//! everything collapses into one function whose intrinsics the compiler may use. (The pattern is
//! that of memchr's `Vector`.) A value of an implementor is proof that the CPU has the
//! instructions: the tokens can only be made in this folder, by `Kernels::of` after a check.

#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) mod amx;
pub(crate) mod kernels;
pub(crate) mod memory;
mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

#[cfg(target_arch = "x86_64")]
use crate::pack::LINE;

pub(crate) use kernels::Kernels;
pub(crate) use memory::{Bump, Shared};

/// Vectors of [`Simd::ROWS`] lanes of 32 bits: in `I` a lane is an integer or four bytes, in `F`
/// a float. Lane `r` belongs to row `r` of a group of weight rows (see `pack.rs`).
pub(crate) trait Simd: Copy + 'static {
    type I: Copy;
    type F: Copy;

    /// Lanes, and so the rows of a packed group.
    const ROWS: usize;
    /// Whether [`Simd::dot8`] takes bytes as `weight + 128` rather than signed.
    const BIASED: bool;
    /// Whether chains of products are cut after four: V8 runs code in the order in which LLVM wrote
    /// it, and LLVM writes all operands of a chain before its first product, which are more than
    /// there are registers.
    const SHORT_CHAINS: bool = false;

    fn splat_i(self, x: i32) -> Self::I;
    /// `ROWS * 4` bytes from `bytes[at..]`.
    fn load(self, bytes: &[u8], at: usize) -> Self::I;
    /// `ROWS` bytes from `bytes[at..]`, one a lane; the next takes little-endian u16.
    fn load_u8(self, bytes: &[u8], at: usize) -> Self::I;
    fn load_u16(self, bytes: &[u8], at: usize) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn or(self, a: Self::I, b: Self::I) -> Self::I;
    /// Sums of i32 lanes.
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn shl(self, a: Self::I, n: u32) -> Self::I;
    /// Zeros come in from the left.
    fn shr(self, a: Self::I, n: u32) -> Self::I;
    /// The sign comes in from the left.
    fn sar(self, a: Self::I, n: u32) -> Self::I;
    /// `acc[r] + sum over j < 4, b < 4 of w[j].byte(r, b) * x[4 * j + b]`, weights `0 ..= MAX`,
    /// `MAX` at most 63, exact.
    fn dot7<const MAX: i32>(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I;
    /// The same for weights of eight bits, as [`Simd::BIASED`] says; `x` at least -127.
    fn dot8(self, acc: Self::I, w: &[Self::I; 4], x: &[i8; 16]) -> Self::I;

    /// Byte by byte, what the table has for a code of `0 ..= 15`.
    fn lookup16(self, table: &[u8; 16], codes: Self::I) -> Self::I;

    /// From i32 lanes.
    fn to_f(self, a: Self::I) -> Self::F;
    /// The lanes' bits, taken for floats.
    fn as_f(self, a: Self::I) -> Self::F;
    fn splat(self, x: f32) -> Self::F;
    /// `ROWS` floats from `x[at..]`; the next three take `ROWS` little-endian numbers from bytes.
    fn load_f(self, x: &[f32], at: usize) -> Self::F;
    fn load_f32(self, bytes: &[u8], at: usize) -> Self::F;
    fn load_f16(self, bytes: &[u8], at: usize) -> Self::F;
    #[inline(always)]
    fn load_bf16(self, bytes: &[u8], at: usize) -> Self::F {
        self.as_f(self.shl(self.load_u16(bytes, at), 16))
    }
    fn store_f(self, a: Self::F, x: &mut [f32], at: usize);
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the CPU can.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c - a * b`, likewise.
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The sum of all lanes.
    fn sum(self, a: Self::F) -> f32;
    /// Ends a sub-block of a type that is multiplied in steps: what stands behind this is not read before
    /// it. Nothing where that makes products slower (AVX2 has too few registers for it).
    #[inline(always)]
    fn end_step(self) {}
    /// A hint that the cache line `at` bytes from the start of `bytes` is read soon; it may lie
    /// behind the end.
    #[inline(always)]
    fn prefetch(self, _bytes: &[u8], _at: usize) {}
    /// The same for `n` lines that follow each other.
    #[inline(always)]
    fn prefetch_run(self, _bytes: &[u8], _at: usize, _n: usize) {}
}

/// [`Simd::prefetch_run`] by one instruction, again and again: a CPU's prefetcher knows a stream by the
/// instruction that reads it, and runs ahead of this one. Compilers spell such loops out, with an instruction
/// for each line.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_run(bytes: &[u8], at: usize, n: usize) {
    let start = bytes.as_ptr().wrapping_add(at).addr();
    // SAFETY: hints that read nothing; any address will do.
    unsafe {
        std::arch::asm!(
            "2:",
            "prefetcht0 [{line}]",
            "add {line}, {LINE}",
            "dec {left}",
            "jnz 2b",
            line = inout(reg) start => _,
            left = inout(reg) n.max(1) => _,
            LINE = const LINE,
            options(nomem, nostack),
        );
    }
}
