//! The one place where Rust errors become Python exceptions: the hierarchy of `puna.errors`.

use puna_engine::Error as Engine;
use puna_format::Error as Format;
use puna_graph::Error as Graph;
use puna_model::Error as Model;
use puna_text::Error as Text;
use pyo3::PyErr;
use pyo3::prelude::*;

mod python {
    use pyo3::import_exception;
    import_exception!(puna.errors, ArgumentError);
    import_exception!(puna.errors, ArgumentTypeError);
    import_exception!(puna.errors, Cancelled);
    import_exception!(puna.errors, ClosedError);
    import_exception!(puna.errors, ContextError);
    import_exception!(puna.errors, DeviceError);
    import_exception!(puna.errors, FileError);
    import_exception!(puna.errors, FormatError);
    import_exception!(puna.errors, MissingFileError);
    import_exception!(puna.errors, ModelError);
    import_exception!(puna.errors, OutOfMemory);
    import_exception!(puna.errors, TemplateError);
    import_exception!(puna.errors, TokenError);
    import_exception!(puna.errors, TruncatedError);
    import_exception!(puna.errors, UnsupportedError);
}

/// An error on its way to Python.
#[derive(Debug)]
pub struct Error(PyErr);

pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        error.0
    }
}

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Error {
        Error(error)
    }
}

macro_rules! through_engine {
    ($($t:ty),*) => {$(
        impl From<$t> for Error {
            fn from(error: $t) -> Error {
                Engine::from(error).into()
            }
        }
    )*};
}
through_engine!(Format, Graph, Model, Text);

impl From<Engine> for Error {
    fn from(error: Engine) -> Error {
        let message = error.to_string();
        Error(match error {
            Engine::Argument { .. } => python::ArgumentError::new_err(message),
            Engine::PromptTooLong { .. } | Engine::CacheFull { .. } => {
                python::ContextError::new_err(message)
            }
            Engine::Memory { .. } => python::OutOfMemory::new_err(message),
            Engine::Token { .. } => python::TokenError::new_err(message),
            Engine::Format(e) => format(e, message),
            Engine::Model(e) => model(e, message),
            Engine::Text(e) => text(e, message),
            Engine::Graph(e) => graph(e, message),
        })
    }
}

fn format(error: Format, message: String) -> PyErr {
    match error {
        Format::File { path, source } => format_in_file(*source, message, &path.to_string_lossy()),
        Format::Tensor { source, .. } => format(*source, message),
        other => format_in_file(other, message, ""),
    }
}

/// `path` is empty where the bytes came from no file.
fn format_in_file(error: Format, message: String, path: &str) -> PyErr {
    match error {
        Format::File { source, .. } | Format::Tensor { source, .. } => {
            format_in_file(*source, message, path)
        }
        Format::Io { source, .. } => io(&source, message, path),
        Format::Unsupported { .. } => python::UnsupportedError::new_err(message),
        Format::Cancelled { .. } => python::Cancelled::new_err(message),
        Format::Argument { .. } => python::ArgumentError::new_err(message),
        Format::Truncated { .. } | Format::CutOff { .. } => {
            python::TruncatedError::new_err(message)
        }
        _ => python::FormatError::new_err(message),
    }
}

/// The operating system's refusal, or the exception that a Python file object raised.
fn io(error: &std::io::Error, message: String, path: &str) -> PyErr {
    let raised = error.get_ref().and_then(|e| e.downcast_ref::<PyErr>());
    Python::attach(|py| {
        if let Some(raised) = raised {
            return raised.clone_ref(py);
        }
        let exception = match error.kind() {
            std::io::ErrorKind::NotFound => python::MissingFileError::new_err(message),
            std::io::ErrorKind::OutOfMemory => python::OutOfMemory::new_err(message),
            _ => python::FileError::new_err(message),
        };
        // What Python's own errors carry; the message says it too, so a failure here loses nothing.
        let value = exception.value(py);
        let _set = value.setattr("errno", error.raw_os_error());
        let _set = (!path.is_empty()).then(|| value.setattr("filename", path));
        exception
    })
}

fn model(error: Model, message: String) -> PyErr {
    match error {
        Model::Format(e) => format(e, message),
        Model::Architecture { .. } | Model::UnusedTensors { .. } => {
            python::UnsupportedError::new_err(message)
        }
        _ => python::ModelError::new_err(message),
    }
}

fn text(error: Text, message: String) -> PyErr {
    match error {
        Text::Unknown { .. } => python::UnsupportedError::new_err(message),
        Text::Vocab { .. } => python::ModelError::new_err(message),
        Text::Param { .. } | Text::Logits { .. } => python::ArgumentError::new_err(message),
        Text::Token { .. } => python::TokenError::new_err(message),
        Text::Template(_) => python::TemplateError::new_err(message),
    }
}

fn graph(error: Graph, message: String) -> PyErr {
    match error {
        Graph::Cancelled => python::Cancelled::new_err(message),
        Graph::Device { .. } => python::DeviceError::new_err(message),
        Graph::Memory { .. } => python::OutOfMemory::new_err(message),
        Graph::Unsupported { .. } => python::UnsupportedError::new_err(message),
        Graph::Format(e) => format(e, message),
        _ => python::ModelError::new_err(message),
    }
}

/// An argument outside its range, by name, value and range.
pub fn argument(name: &str, value: impl std::fmt::Display, expected: &str) -> Error {
    let message = format!("{name} = {value}, expected {expected}");
    Error(python::ArgumentError::new_err(message))
}

/// An argument of a wrong type, by name, value and what was expected.
pub fn argument_type(name: &str, value: impl std::fmt::Display, expected: &str) -> Error {
    let message = format!("{name} = {value}, expected {expected}");
    Error(python::ArgumentTypeError::new_err(message))
}

/// The session was closed, by hand or because the engine panicked in it.
pub fn closed() -> Error {
    Error(python::ClosedError::new_err(
        "this model is closed, expected an open one",
    ))
}

/// Token ids as Python has them.
pub fn token_ids(ids: &[i64], n_vocab: usize) -> Result<Vec<u32>> {
    let check = |&id: &i64| match u32::try_from(id) {
        Ok(good) if (good as usize) < n_vocab => Ok(good),
        _ => {
            let most = n_vocab.saturating_sub(1);
            let message = format!("token id {id}, expected 0 to {most}");
            Err(Error(python::TokenError::new_err(message)))
        }
    };
    ids.iter().map(check).collect()
}
