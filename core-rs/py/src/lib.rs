//! `puna._core`, the Python module. It converts arguments, results and errors and does nothing
//! else: what can be asked of the engine is in `puna-engine`, what a user sees is in `python/puna`.
#![deny(unsafe_code)]

use pyo3::prelude::*;

mod array;
mod build;
mod devices;
mod error;
mod event;
mod gguf;
mod gpu;
mod hook;
mod locked;
mod model;
mod quant;
mod sampler;
mod session;
mod signals;
mod source;
mod tiny;
mod tokenizer;
mod value;

// Objects are frozen and locked, so free-threaded Python needs no GIL for them.
#[pymodule(gil_used = false)]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::array::{Array, concat, slice_rows};
    #[pymodule_export]
    use super::build::{_panic, build_info, version};
    #[pymodule_export]
    use super::devices::{cpu, gpus};
    #[pymodule_export]
    use super::event::Event;
    #[pymodule_export]
    use super::gguf::{GgufFile, GgufWriter};
    #[pymodule_export]
    use super::gpu::GpuCheck;
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::quant::{decode, dtypes, encode, file_type, file_types, quantize_file};
    #[pymodule_export]
    use super::sampler::{Sampler, SamplerParams};
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::tiny::{architectures, tiny_model};
    #[pymodule_export]
    use super::tokenizer::{ChatTemplate, Tokenizer};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::build::quiet_panics();
        Ok(())
    }
}
