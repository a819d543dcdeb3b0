//! What was built: version, target, SIMD build; and what a panic does in it.

use pyo3::prelude::*;

/// The version of the engine, equal to that of the Python package.
#[pyfunction]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// What this module was compiled with: `target` (architecture and system), `simd` (`"relaxed"` or
/// `"simd128"` in the Pyodide wheel, `"runtime"` natively, where the CPU is asked at run time) and
/// `wgpu` (whether the native GPU executor is inside).
#[pyfunction]
pub fn build_info(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
    let simd = match (cfg!(target_family = "wasm"), cfg!(feature = "relaxed")) {
        (false, _) => "runtime",
        (true, true) => "relaxed",
        (true, false) => "simd128",
    };
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let info = pyo3::types::PyDict::new(py);
    info.set_item("target", target)?;
    info.set_item("simd", simd)?;
    info.set_item("wgpu", cfg!(feature = "wgpu"))?;
    Ok(info)
}

/// Panics with the given message.
///
/// The one way to see, in the wheel as it ships, that a panic unwinds into a Python exception and
/// leaves the interpreter alive: a wheel linked without unwinding would kill the tab instead.
#[pyfunction]
pub fn _panic(message: &str) {
    panic!("{message}");
}

/// In a tab the exception is the whole report: without this, every panic that Python handles would
/// print a line to the page's console as well.
pub fn quiet_panics() {
    if cfg!(target_os = "emscripten") {
        std::panic::set_hook(Box::new(|_| {}));
    }
}
