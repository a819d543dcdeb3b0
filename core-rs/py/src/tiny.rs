//! Small models with random weights, for tests.

use puna_format::Writer;
use puna_model::{ARCHS, arch};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::Result;
use crate::gguf::parse_dtype;

/// The model architectures there are.
#[pyfunction]
pub fn architectures() -> Vec<&'static str> {
    ARCHS.iter().map(|arch| arch.name).collect()
}

/// A GGUF file with a tiny model of `arch`: seeded random weights, a vocabulary of bytes and small
/// letters.
#[pyfunction]
#[pyo3(signature = (arch="llama", dtype="F32", seed=0))]
pub fn tiny_model<'py>(
    py: Python<'py>,
    arch: &str,
    dtype: &str,
    seed: u64,
) -> Result<Bound<'py, PyBytes>> {
    let model = puna_model::tiny::tiny(arch::find(arch)?, parse_dtype(dtype)?, seed)?;
    let mut writer = Writer::with_metadata(model.metadata);
    for (name, dtype, shape, bytes) in model.tensors {
        writer.add_tensor(&name, dtype, &shape, bytes)?;
    }
    let mut file = vec![];
    writer.write_to(&mut file, &mut |_| ())?;
    Ok(PyBytes::new(py, &file))
}
