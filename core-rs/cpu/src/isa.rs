//! Instruction sets: which there are, which this CPU has, which one is asked for.

use puna_graph::{Error, Result};

/// An instruction set with kernels of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// The same with AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW and VL.
    Avx512,
    /// The same with VNNI.
    Avx512Vnni,
    /// The same with AMX for prompts, where the system grants its use.
    Avx512Amx,
    /// aarch64 with the dot product instructions.
    Neon,
    /// WebAssembly with SIMD.
    Simd128,
    /// WebAssembly with relaxed SIMD.
    Relaxed,
}

/// Whether plain Rust is among this build's kernels: a module of WASM that has SIMD runs only where
/// there is SIMD, and would be a third larger to download (tests compare with plain Rust everywhere).
pub(crate) const HAS_SCALAR: bool = cfg!(test) || !WASM_SIMD;

const WASM_SIMD: bool = cfg!(all(target_arch = "wasm32", target_feature = "simd128"));

/// From slow to fast.
const ALL: [Isa; 9] = [
    Isa::Scalar,
    Isa::Avx2,
    Isa::AvxVnni,
    Isa::Avx512,
    Isa::Avx512Vnni,
    Isa::Avx512Amx,
    Isa::Neon,
    Isa::Simd128,
    Isa::Relaxed,
];

impl Isa {
    /// The name that `PUNA_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx512 => "avx512",
            Isa::Avx512Vnni => "avx512vnni",
            Isa::Avx512Amx => "avx512amx",
            Isa::Neon => "neon",
            Isa::Simd128 => "simd128",
            Isa::Relaxed => "relaxed",
        }
    }

    /// What this build has kernels for and this CPU can run, from slow to fast; never empty.
    pub fn available() -> Vec<Isa> {
        ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The fastest one available.
    pub fn detect() -> Isa {
        let found = ALL.into_iter().rev().find(|isa| isa.is_available());
        found.unwrap_or(Isa::Scalar)
    }

    /// The one that the environment variable `PUNA_ISA` names, else the fastest.
    ///
    /// # Errors
    /// A name that is unknown or not available here; the message lists those that are.
    pub fn from_env() -> Result<Isa> {
        match std::env::var("PUNA_ISA") {
            Ok(name) if !name.is_empty() => Self::from_name(&name),
            _ => Ok(Self::detect()),
        }
    }

    /// # Errors
    /// See [`Isa::from_env`].
    pub fn from_name(name: &str) -> Result<Isa> {
        let found = ALL.into_iter().find(|isa| isa.name() == name);
        match found {
            Some(isa) => isa.check().map(|()| isa),
            None => Err(refused(name)),
        }
    }

    pub(crate) fn check(self) -> Result<()> {
        if self.is_available() {
            return Ok(());
        }
        Err(refused(self.name()))
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn is_available(self) -> bool {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = || has!("avx2") && has!("fma") && has!("f16c");
        let avx512 = || avx2() && has!("avx512f") && has!("avx512bw") && has!("avx512vl");
        match self {
            Isa::Scalar => true,
            Isa::Avx2 => avx2(),
            Isa::AvxVnni => avx2() && has!("avxvnni"),
            Isa::Avx512 => avx512(),
            Isa::Avx512Vnni => avx512() && has!("avx512vnni"),
            Isa::Avx512Amx => Isa::Avx512Vnni.is_available() && crate::simd::amx::is_granted(),
            _ => false,
        }
    }

    #[cfg(target_arch = "aarch64")]
    pub(crate) fn is_available(self) -> bool {
        match self {
            Isa::Scalar => true,
            Isa::Neon => std::arch::is_aarch64_feature_detected!("dotprod"),
            _ => false,
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(crate) fn is_available(self) -> bool {
        match self {
            Isa::Scalar => HAS_SCALAR,
            Isa::Simd128 => WASM_SIMD,
            Isa::Relaxed => WASM_SIMD && cfg!(feature = "relaxed"),
            _ => false,
        }
    }
}

fn refused(name: &str) -> Error {
    let there: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
    Error::Unsupported {
        executor: "cpu".into(),
        message: format!(
            "instruction set {name:?} is not available, expected one of {}",
            there.join(", ")
        ),
    }
}
