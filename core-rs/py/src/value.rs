//! Metadata values between GGUF and Python.

use puna_format::{Array, Strings, Value};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::error::{Result, argument};

/// Runs a macro over GGUF's scalar types: variant, Rust type, name.
macro_rules! for_scalars {
    ($run:ident) => {
        $run! {
            U8, u8, "u8"; I8, i8, "i8"; U16, u16, "u16"; I16, i16, "i16"; U32, u32, "u32";
            I32, i32, "i32"; F32, f32, "f32"; Bool, bool, "bool"; U64, u64, "u64";
            I64, i64, "i64"; F64, f64, "f64"
        }
    };
}

pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    macro_rules! scalar {
        ($($variant:ident, $t:ty, $name:literal);*) => {
            match value {
                $(Value::$variant(x) => Ok(x.into_pyobject(py)?.to_owned().into_any()),)*
                Value::String(bytes) => Ok(text(py, bytes)),
                Value::Array(array) => list(py, array),
            }
        };
    }
    for_scalars!(scalar)
}

fn list<'py>(py: Python<'py>, array: &Array) -> PyResult<Bound<'py, PyAny>> {
    macro_rules! elements {
        ($($variant:ident, $t:ty, $name:literal);*) => {
            match array {
                $(Array::$variant(list) => PyList::new(py, list),)*
                Array::String(list) => PyList::new(py, list.iter().map(|bytes| text(py, bytes))),
            }
        };
    }
    Ok(for_scalars!(elements)?.into_any())
}

/// Files promise UTF-8; tokens of byte-level vocabularies break the promise.
fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyAny> {
    match std::str::from_utf8(bytes) {
        Ok(text) => PyString::new(py, text).into_any(),
        Err(_) => PyBytes::new(py, bytes).into_any(),
    }
}

/// `value` as the GGUF type of that name.
///
/// # Errors
/// An unknown type, or a value that it cannot hold.
pub fn from_python(key: &str, value: &Bound<'_, PyAny>, value_type: &str) -> Result<Value> {
    let converted = match value_type.strip_prefix("array of ") {
        Some(element) => array(value, element)?.map(Value::Array),
        None => scalar(value, value_type)?,
    };
    converted.ok_or_else(|| {
        let found = value.repr().map_or_else(|_| "?".into(), |r| r.to_string());
        argument(key, found, &format!("a value of GGUF's type {value_type}"))
    })
}

fn scalar(value: &Bound<'_, PyAny>, name: &str) -> Result<Option<Value>> {
    macro_rules! convert {
        ($($variant:ident, $t:ty, $name:literal);*) => {
            match name {
                $($name => value.extract::<$t>().ok().map(Value::$variant),)*
                "string" => string(value).map(Value::String),
                _ => return Err(unknown(name)),
            }
        };
    }
    Ok(for_scalars!(convert))
}

fn array(value: &Bound<'_, PyAny>, name: &str) -> Result<Option<Array>> {
    macro_rules! convert {
        ($($variant:ident, $t:ty, $name:literal);*) => {
            match name {
                $($name => value.extract::<Vec<$t>>().ok().map(Array::$variant),)*
                "string" => strings(value)?.map(Array::String),
                _ => return Err(unknown(name)),
            }
        };
    }
    Ok(for_scalars!(convert))
}

fn string(value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Some(bytes.as_bytes().to_vec());
    }
    value.extract::<String>().ok().map(String::into_bytes)
}

fn strings(value: &Bound<'_, PyAny>) -> Result<Option<Strings>> {
    let mut list = Strings::new();
    for item in value.try_iter()? {
        match string(&item?) {
            Some(bytes) => list.push(&bytes),
            None => return Ok(None),
        }
    }
    Ok(Some(list))
}

fn unknown(name: &str) -> crate::error::Error {
    let expected = "u8 i8 u16 i16 u32 i32 f32 bool u64 i64 f64 string, or \"array of\" one of them";
    argument("type", format!("{name:?}"), expected)
}
