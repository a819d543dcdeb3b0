//! A model file, and the sessions made from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use puna_engine::SessionOptions;
use puna_graph::KvDType;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Result, argument};
use crate::gguf::{File, GgufFile};
use crate::session::Session;
use crate::tokenizer::Tokenizer;
use crate::{gpu, signals, source, value};

/// A model file with its tokenizer; weights go into sessions.
#[pyclass(frozen, module = "puna._core")]
pub struct Model(Arc<puna_engine::Model>);

#[pymethods]
impl Model {
    /// `source` is a path, bytes, or a file object with `read` and `seek`. Without `mmap` a path is
    /// read instead of mapped. `overrides` are keys of the metadata with other values, each with
    /// GGUF's type.
    #[new]
    #[pyo3(signature = (source, *, mmap=true, overrides=vec![]))]
    fn new(
        source: &Bound<'_, PyAny>,
        mmap: bool,
        overrides: Vec<(String, Bound<'_, PyAny>, String)>,
    ) -> Result<Self> {
        let path = source.extract::<PathBuf>().ok();
        let source = source::source(source, mmap)?;
        let overrides = overrides
            .iter()
            .map(|(key, x, kind)| Ok((key.clone(), value::from_python(key, x, kind)?)))
            .collect::<Result<Vec<_>>>()?;
        let py_free = || {
            let mut gguf = puna_format::Gguf::from_source(source)?;
            for (key, value) in overrides {
                gguf.metadata.set(&key, value);
            }
            puna_engine::Model::new(gguf)
        };
        let model = Python::attach(|py| py.detach(py_free));
        let model = model.map_err(|e| match (e, &path) {
            (puna_engine::Error::Format(e), Some(path)) => e.in_file(path).into(),
            (e, _) => e,
        })?;
        Ok(Model(Arc::new(model)))
    }

    #[getter]
    fn file(&self) -> GgufFile {
        GgufFile(Arc::new(File::Of(self.0.clone())))
    }

    #[getter]
    fn tokenizer(&self) -> Tokenizer {
        Tokenizer(self.0.tokenizer().clone())
    }

    /// Sizes by GGUF's names.
    fn hparams<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let h = self.0.hparams()?;
        let dict = PyDict::new(py);
        dict.set_item("arch", h.arch)?;
        dict.set_item("context_length", h.context_length)?;
        dict.set_item("n_embd", h.n_embd)?;
        dict.set_item("n_layer", h.n_layer)?;
        dict.set_item("n_vocab", h.n_vocab)?;
        dict.set_item("n_ff", h.n_ff)?;
        dict.set_item("n_head", h.n_head)?;
        dict.set_item("n_head_kv", h.n_head_kv)?;
        dict.set_item("n_embd_head_k", h.n_embd_head_k)?;
        dict.set_item("n_embd_head_v", h.n_embd_head_v)?;
        Ok(dict)
    }

    /// Loads the weights. `progress(bytes done, bytes in all)` may answer False to stop; `host` is
    /// the GPU of a browser tab (`puna/webgpu.js`).
    #[pyo3(signature = (
        *, n_ctx=0, n_batch=512, n_seq_max=1, n_threads=None, n_gpu_layers=0, logits_all=false,
        type_k="f16", type_v="f16", swa_full=true, hidden=false, embedding=false, rope_freq_base=None, rope_freq_scale=None, progress=None,
        host=None,
    ))]
    #[allow(clippy::too_many_arguments)] // Python names them
    fn session(
        &self,
        py: Python<'_>,
        n_ctx: usize,
        n_batch: usize,
        n_seq_max: usize,
        n_threads: Option<usize>,
        n_gpu_layers: i32,
        logits_all: bool,
        type_k: &str,
        type_v: &str,
        swa_full: bool,
        hidden: bool,
        embedding: bool,
        rope_freq_base: Option<f32>,
        rope_freq_scale: Option<f32>,
        progress: Option<Py<PyAny>>,
        host: Option<Py<PyAny>>,
    ) -> Result<Session> {
        let options = SessionOptions {
            n_ctx,
            n_batch,
            n_seq_max,
            n_threads,
            n_gpu_layers,
            logits_all,
            type_k: kv_dtype("type_k", type_k)?,
            type_v: kv_dtype("type_v", type_v)?,
            swa_full,
            keep_hidden: hidden,
            embedding,
            rope_freq_base,
            rope_freq_scale,
            ..SessionOptions::default()
        };
        self.load(py, &options, progress, host)
    }
}

impl Model {
    fn load(
        &self,
        py: Python<'_>,
        options: &SessionOptions,
        progress: Option<Py<PyAny>>,
        host: Option<Py<PyAny>>,
    ) -> Result<Session> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut raised = Ok(());
        let mut tell = |done: u64, total: u64| {
            let told = progress.as_ref().map(|progress| {
                Python::attach(|py| {
                    let answer = progress.call1(py, (done, total))?;
                    Ok(answer.extract::<bool>(py).unwrap_or(true))
                })
            });
            let go_on = told.unwrap_or(Ok(true)).unwrap_or_else(|e: PyErr| {
                raised = Err(e);
                false
            });
            go_on && !stop.load(Ordering::Relaxed)
        };
        let mut is_software = false;
        let work = || {
            gpu::with_factory(host, &mut is_software, |gpu| {
                self.0.session(options, gpu, &mut tell)
            })
        };
        let (session, interrupted) = signals::run(py, true, &stop, work);
        interrupted?;
        raised?;
        Ok(Session::new(session?, is_software, options.cancel.clone()))
    }
}

fn kv_dtype(name: &str, value: &str) -> Result<KvDType> {
    KvDType::from_name(value).ok_or_else(|| {
        let known: Vec<String> = KvDType::ALL.iter().map(|t| t.name()).collect();
        argument(name, format!("{value:?}"), &known.join(", "))
    })
}
