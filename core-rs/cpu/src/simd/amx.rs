//! Intel's AMX: one instruction multiplies two small matrices of bytes, "tiles", that lie in registers
//! of 1 KiB.
//!
//! ```text
//! out[16][cols] = x[16][k] * w[k][cols]        i32 = i8 * i8, k = 16 or 32, cols at most 16
//!
//! x  rows of k bytes, 32 bytes apart: sixteen tokens' sub-blocks, as `activations.rs` lays them out
//! w  k / 4 rows of `cols` words: word j has elements 4 * j ..+ 4 of each column, as `pack.rs` has them
//! ```
//!
//! Linux saves tiles (8 KiB) only for processes that asked for it, so [`is_granted`] does. It says no where
//! that is refused (a signal stack may be too small for them), and on systems whose way of asking is
//! another. Compilers do not use tiles by themselves: their shape holds from one `asm!` to the next.
//!
//! The first who asks has one product compared with plain Rust: a CPU or an emulator that multiplies
//! otherwise than the manual says goes without tiles.

#[cfg(target_arch = "x86_64")]
use std::marker::PhantomData;

/// Rows of a tile of activations: tokens.
pub(crate) const TOKENS: usize = 16;
/// Bytes from one token's activations to the next one's.
const X_STEP: usize = 32;
/// Most columns of a tile: words of a cache line.
pub(crate) const MAX_COLUMNS: usize = 16;

/// Something that starts on a cache line: a row of a tile is one, and then comes from one.
#[repr(align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Aligned<T>(pub(crate) T);

/// Products of tiles of one shape. A type that has them may hold the registers of its thread.
pub(crate) trait Tiles {
    /// `cols` columns, sums of `k` products.
    ///
    /// # Safety
    /// The process may use the instructions, and no other value of this type lives on this thread.
    unsafe fn new(cols: usize, k: usize) -> Self;

    /// `out[16][cols] = x * w`; `x` has sixteen rows of 32 bytes, of which the first `k` count.
    fn product(&self, x: &[i8], w: &[i8], out: &mut [i32]);
}

/// What a product takes and gives at least, in elements.
fn check(cols: usize, k: usize, x: &[i8], w: &[i8], out: &[i32]) {
    assert!(x.len() >= (TOKENS - 1) * X_STEP + k && w.len() >= k * cols);
    assert!(out.len() >= TOKENS * cols);
}

/// Plain Rust, by which the instructions are checked, and kernels tested where there are none.
pub(super) struct Emulated {
    cols: usize,
    k: usize,
}

impl Tiles for Emulated {
    unsafe fn new(cols: usize, k: usize) -> Self {
        Emulated { cols, k }
    }

    fn product(&self, x: &[i8], w: &[i8], out: &mut [i32]) {
        check(self.cols, self.k, x, w, out);
        for t in 0..TOKENS {
            for c in 0..self.cols {
                let products = (0..self.k).map(|i| {
                    let w = w[(i / 4 * self.cols + c) * 4 + i % 4];
                    i32::from(x[t * X_STEP + i]) * i32::from(w)
                });
                out[t * self.cols + c] = products.sum();
            }
        }
    }
}

/// The instructions. Tiles have their shape while a value lives, and are let go with it: then switching
/// threads costs nothing.
#[cfg(target_arch = "x86_64")]
pub(super) struct Amx {
    cols: usize,
    k: usize,
    /// Registers are those of a thread: neither `Send` nor `Sync`.
    _of_thread: PhantomData<*const ()>,
}

#[cfg(target_arch = "x86_64")]
impl Tiles for Amx {
    #[inline(always)]
    unsafe fn new(cols: usize, k: usize) -> Self {
        assert!(
            (1..=MAX_COLUMNS).contains(&cols) && (4..=X_STEP).contains(&k) && k.is_multiple_of(4)
        );
        // Palette 1; then bytes of a row as u16 from byte 16 on, rows as u8 from byte 48 on: of tile 0
        // the sums, of 1 the activations, of 2 the weights.
        let mut shape = Aligned([0u8; 64]);
        shape.0[0] = 1;
        let tiles = [(4 * cols, TOKENS), (k, TOKENS), (4 * cols, k / 4)];
        for (i, (n_bytes, rows)) in tiles.into_iter().enumerate() {
            shape.0[16 + 2 * i] = n_bytes as u8;
            shape.0[48 + i] = rows as u8;
        }
        // SAFETY: the CPU has the instruction (the caller's promise), it reads 64 bytes, and what it
        // would refuse was checked.
        unsafe {
            std::arch::asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const shape,
                options(nostack, readonly, preserves_flags)
            );
        }
        Amx {
            cols,
            k,
            _of_thread: PhantomData,
        }
    }

    #[inline(always)]
    fn product(&self, x: &[i8], w: &[i8], out: &mut [i32]) {
        check(self.cols, self.k, x, w, out);
        // SAFETY: tiles have the shape that `check` takes the slices for (`new`; no other value has
        // changed it since), so that many bytes are read and written. No one else uses tiles.
        unsafe {
            std::arch::asm!(
                "tilezero tmm0",
                "tileloadd tmm1, [{x} + {x_step}]",
                "tileloadd tmm2, [{w} + {step}]",
                "tdpbssd tmm0, tmm1, tmm2",
                "tilestored [{out} + {step}], tmm0",
                x = in(reg) x.as_ptr(),
                x_step = in(reg) X_STEP,
                w = in(reg) w.as_ptr(),
                out = in(reg) out.as_mut_ptr(),
                step = in(reg) 4 * self.cols,
                out("tmm0") _, out("tmm1") _, out("tmm2") _,
                options(nostack, preserves_flags)
            );
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Amx {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the CPU has the instruction (`new`), and no one else uses tiles.
        unsafe { std::arch::asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}

/// Whether this CPU has tiles of bytes, the system lets this process use them, and they multiply as plain
/// Rust does. Asks the system at the first call. Only for CPUs with AVX.
#[cfg(target_arch = "x86_64")]
pub(crate) fn is_granted() -> bool {
    static GRANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *GRANTED.get_or_init(|| has_instructions() && system_grants() && multiplies_as_plain_rust())
}

/// AMX-TILE and AMX-INT8 in CPUID, and both parts of a tile's state in XCR0.
#[cfg(target_arch = "x86_64")]
fn has_instructions() -> bool {
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    const CONFIG_AND_DATA: u32 = 1 << 17 | 1 << 18;
    if std::arch::x86_64::__cpuid_count(7, 0).edx & TILE_AND_INT8 != TILE_AND_INT8 {
        return false;
    }
    let enabled: u32;
    // SAFETY: a CPU with tiles has it, and a system with AVX, which all callers have, lets programs use it.
    unsafe {
        std::arch::asm!(
            "xgetbv",
            in("ecx") 0, out("eax") enabled, out("edx") _,
            options(nomem, nostack, preserves_flags)
        );
    }
    enabled & CONFIG_AND_DATA == CONFIG_AND_DATA
}

/// Asks Linux for the state of tiles, for all threads of this process.
#[cfg(target_arch = "x86_64")]
fn system_grants() -> bool {
    #[cfg(target_os = "linux")]
    {
        // From Linux's `asm/prctl.h` and `Documentation/arch/x86/xstate.rst`.
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        // SAFETY: takes two numbers; all it changes is what the process may use.
        unsafe {
            libc::syscall(
                libc::SYS_arch_prctl,
                ARCH_REQ_XCOMP_PERM,
                XFEATURE_XTILEDATA,
            ) == 0
        }
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(target_arch = "x86_64")]
fn multiplies_as_plain_rust() -> bool {
    let mut numbers = Aligned([0i8; 2 * TOKENS * X_STEP]);
    for (i, number) in numbers.0.iter_mut().enumerate() {
        // All bytes, the signs of neighbours mixed.
        *number = (i * 181 + i / 256) as u8 as i8;
    }
    let (x, w) = numbers.0.split_at(TOKENS * X_STEP);
    [X_STEP, X_STEP / 2].into_iter().all(|k| {
        let mut sums = [0; TOKENS * MAX_COLUMNS];
        let mut expected = sums;
        // SAFETY: the CPU has tiles and the process may use them (`is_granted`); one lives at a time.
        unsafe {
            Amx::new(MAX_COLUMNS, k).product(x, w, &mut sums);
            Emulated::new(MAX_COLUMNS, k).product(x, w, &mut expected);
        }
        sums == expected
    })
}
