//! What there is to compute on.

use puna_cpu::Isa;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::error::Result;

/// The CPU: instruction set in use, those available, threads.
#[pyfunction]
pub fn cpu(py: Python<'_>) -> Result<Bound<'_, PyDict>> {
    let names = |isas: Vec<Isa>| isas.into_iter().map(Isa::name).collect::<Vec<_>>();
    let cpu = PyDict::new(py);
    cpu.set_item("isa", Isa::from_env()?.name())?;
    cpu.set_item("isas", names(Isa::available()))?;
    cpu.set_item("threads", n_threads())?;
    Ok(cpu)
}

/// Every GPU that the native executor can use, the one it takes first.
#[pyfunction]
pub fn gpus(py: Python<'_>) -> Result<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    #[cfg(feature = "wgpu")]
    for gpu in py.detach(puna_gpu::devices) {
        let dict = PyDict::new(py);
        dict.set_item("name", gpu.name)?;
        dict.set_item("backend", gpu.backend)?;
        dict.set_item("driver", gpu.driver)?;
        dict.set_item("kind", format!("{:?}", gpu.kind).to_lowercase())?;
        dict.set_item("max_buffer_bytes", gpu.limits.max_buffer)?;
        dict.set_item("f16", gpu.f16)?;
        dict.set_item("subgroups", gpu.subgroups)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// Cores this process may use.
fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}
