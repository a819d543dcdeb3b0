//! `puna._core`, the Python module. It converts arguments, results and errors and does nothing
//! else: what can be asked of the engine is in `puna-engine`, what a user sees is in `python/puna`.

use pyo3::prelude::*;

mod build;

#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::build::{_panic, build_info, version};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::build::quiet_panics();
        Ok(())
    }
}
