//! The GPU that a session runs on: natively a device of the wgpu crate; in a tab an object of
//! Python's (`puna.browser.Gpu`) that hands everything to `webgpu.js`.

use std::sync::Mutex;

use puna_engine::{GpuFactory, SessionOptions};
use puna_gpu::check::SelfCheck;
use puna_gpu::{DeviceLimits, GpuExecutor, GpuOptions, Host, Program};
use puna_graph::{Error, Executor, Plan, Result};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// Calls `use_it` with what makes executors on `host`, else on a native device, where one can be.
/// `is_software` becomes true where the device that was opened is a program on the CPU.
pub fn with_factory<T>(
    host: Option<Py<PyAny>>,
    is_software: &mut bool,
    use_it: impl FnOnce(Option<&mut GpuFactory>) -> puna_engine::Result<T>,
) -> puna_engine::Result<T> {
    if let Some(host) = host {
        let host = PyHost::new(host)?;
        *is_software = host.is_software;
        let mut host = Some(host);
        return use_it(Some(&mut |plan: Plan, options: &SessionOptions| {
            // A plan is cut in two parts at most, and one of them is the CPU's.
            let host = host.take().ok_or_else(|| device_error("used twice"))?;
            let exec = GpuExecutor::new(&plan, host, gpu_options(options))?;
            Ok(Box::new(exec) as Box<dyn Executor>)
        }));
    }
    #[cfg(feature = "wgpu")]
    return use_it(Some(&mut |plan: Plan, options: &SessionOptions| {
        let context = puna_gpu::GpuContext::open(None)?;
        *is_software = context.info.kind == puna_gpu::DeviceKind::Software;
        let exec = puna_gpu::WgpuExecutor::open(&plan, &context, gpu_options(options))?;
        Ok(Box::new(exec) as Box<dyn Executor>)
    }));
    #[cfg(not(feature = "wgpu"))]
    use_it(None)
}

fn gpu_options(options: &SessionOptions) -> GpuOptions {
    GpuOptions {
        n_cells: options.n_ctx,
        type_k: options.type_k,
        type_v: options.type_v,
    }
}

fn device_error(message: impl ToString) -> Error {
    Error::Device {
        executor: "gpu".into(),
        message: message.to_string(),
    }
}

/// A Python object with the verbs of [`Host`]: `name`, `is_software`, `max_binding`, `max_buffer`,
/// `create(json)`, `write(buffer, offset, bytes)`, `submit(list, grids)` with grids as bytes of u32, and
/// `read(buffer, offset, n)`, which answers bytes or None.
struct PyHost {
    object: Py<PyAny>,
    name: String,
    is_software: bool,
    limits: DeviceLimits,
}

impl PyHost {
    fn new(object: Py<PyAny>) -> Result<PyHost> {
        let facts = Python::attach(|py| {
            let host = object.bind(py);
            let limits = DeviceLimits {
                max_binding: host.getattr("max_binding")?.extract()?,
                max_buffer: host.getattr("max_buffer")?.extract()?,
            };
            let name = host.getattr("name")?.extract()?;
            Ok::<_, PyErr>((name, host.getattr("is_software")?.extract()?, limits))
        });
        let (name, is_software, limits) = facts.map_err(device_error)?;
        Ok(PyHost {
            object,
            name,
            is_software,
            limits,
        })
    }

    fn call<T>(&self, work: impl for<'py> FnOnce(&Bound<'py, PyAny>) -> PyResult<T>) -> Result<T> {
        Python::attach(|py| work(self.object.bind(py))).map_err(device_error)
    }
}

impl Host for PyHost {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn limits(&self) -> DeviceLimits {
        self.limits
    }

    fn create(&mut self, program: &Program) -> Result<()> {
        let json = serde_json::to_string(program).map_err(device_error)?;
        self.call(|host| host.call_method1("create", (json,)).map(drop))
    }

    fn write(&mut self, buffer: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        self.call(|host| {
            let bytes = PyBytes::new(host.py(), bytes);
            host.call_method1("write", (buffer, offset, bytes))
                .map(drop)
        })
    }

    fn submit(&mut self, list: usize, grids: &[[u32; 3]]) -> Result<()> {
        self.call(|host| {
            let grids = PyBytes::new(host.py(), bytemuck::cast_slice(grids));
            host.call_method1("submit", (list, grids)).map(drop)
        })
    }

    fn read(&mut self, buffer: usize, offset: u64, n_bytes: u64) -> Result<Option<Vec<u8>>> {
        self.call(|host| {
            let answer = host.call_method1("read", (buffer, offset, n_bytes))?;
            let bytes: Option<PyBackedBytes> = answer.extract()?;
            Ok(bytes.map(|b| b.to_vec()))
        })
    }
}

/// The check of a tab's device against the scalar interpreter, before a model is loaded on it.
#[pyclass(frozen, module = "puna._core")]
pub struct GpuCheck(Mutex<SelfCheck<PyHost>>);

#[pymethods]
impl GpuCheck {
    /// `host` is used up by the check.
    #[new]
    fn new(host: Py<PyAny>) -> crate::error::Result<Self> {
        Ok(GpuCheck(Mutex::new(SelfCheck::start(PyHost::new(host)?)?)))
    }

    /// Whether it is done; False: await the host and ask again. A device that computes something
    /// wrong is an error.
    fn poll(&self) -> crate::error::Result<bool> {
        let mut check = self.0.lock().unwrap_or_else(|e| e.into_inner());
        Ok(check.poll()?.is_some())
    }
}
