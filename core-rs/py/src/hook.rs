//! Logits processors and stopping criteria: Python called before each choice of a token.

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use puna_engine::{Hook, HookError};

use crate::error::{Error, argument};

/// `callable(tokens, logits)` gets the tokens so far as bytes of i32 and the logits as a bytearray
/// of f32. It answers `None` to let them be, `True` to end the completion, or a buffer with the
/// bytes of the logits to choose by.
pub fn of_python(callable: Py<PyAny>) -> Hook {
    Hook::new(move |tokens, logits| {
        Python::attach(|py| call(py, &callable, tokens, logits))
            .map_err(|e| Box::new(e) as HookError)
    })
}

fn call(
    py: Python<'_>,
    callable: &Py<PyAny>,
    tokens: &[u32],
    logits: &mut Vec<f32>,
) -> PyResult<bool> {
    let tokens = PyBytes::new(py, bytemuck::cast_slice(tokens));
    let given = PyByteArray::new(py, bytemuck::cast_slice(logits));
    let answer = callable.bind(py).call1((tokens, given))?;
    if answer.is_none() {
        return Ok(false);
    }
    if let Ok(ended) = answer.extract::<bool>() {
        return Ok(ended);
    }
    let bytes = PyBuffer::<u8>::get(&answer)?.to_vec(py)?;
    if bytes.len() != logits.len() * 4 {
        let found = format!("{} bytes of logits", bytes.len());
        let expected = format!("{} of n_vocab = {} values", logits.len() * 4, logits.len());
        return Err(argument("logits_processor", found, &expected).into());
    }
    *logits = bytemuck::pod_collect_to_vec(&bytes);
    Ok(false)
}

/// The exception behind a request's error: what its hook raised, or the engine's own.
pub fn exception(error: HookError) -> Py<PyAny> {
    let engines = |error: HookError| match error.downcast::<puna_engine::Error>() {
        Ok(known) => Error::from(*known),
        Err(other) => argument("hook", other, "one that does not fail"),
    };
    let error = match error.downcast::<PyErr>() {
        Ok(raised) => *raised,
        Err(other) => engines(other).into(),
    };
    Python::attach(|py| error.into_value(py).into_any())
}
