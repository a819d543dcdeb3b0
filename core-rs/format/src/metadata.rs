//! The metadata of a file: an ordered map with typed getters. Files disagree on integer widths, so
//! the getters take any width that holds the value; everything else is an error that says what was
//! found.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::value::{Array, Strings, Value};

/// Keys and values in the order of the file.
#[derive(Clone, Default, Debug)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Metadata {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|&i| &self.entries[i].1)
    }

    pub fn contains(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    /// Sets a key: in its old place if it exists, else at the end.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        match self.index.get(key) {
            Some(&i) => self.entries[i].1 = value.into(),
            None => {
                self.index.insert(key.into(), self.entries.len());
                self.entries.push((key.into(), value.into()));
            }
        }
    }

    /// Takes a key out. Returns its value if it was there.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.index.remove(key)?;
        for place in self.index.values_mut().filter(|place| **place > at) {
            *place -= 1;
        }
        Some(self.entries.remove(at).1)
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        convert(value).map(Some).ok_or_else(|| Error::WrongType {
            key: key.into(),
            found: summary(value),
            expected: expected.into(),
        })
    }

    /// `get_x` gave nothing: the key is missing.
    fn required<T>(&self, key: &str, expected: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::MissingKey {
            key: key.into(),
            expected: expected.into(),
        })
    }
}

/// What a wrong value is, short enough for a message.
fn summary(value: &Value) -> String {
    match value {
        Value::Array(array) => format!("{} with {} elements", value.type_name(), array.len()),
        Value::String(bytes) => {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
            format!("string {text:?}")
        }
        other => match other.as_float() {
            Some(number) => format!("{} {number}", other.type_name()),
            None => format!("{other:?}"),
        },
    }
}

/// For each type a getter that gives `None` where the key is absent, and one that makes that an error.
/// Both err where the key holds something else.
macro_rules! getters {
    ($($get:ident, $require:ident, $t:ty, $expected:literal, $convert:expr;)*) => {
        impl Metadata {$(
            #[doc = concat!("The key as ", $expected, "; `None` where it is absent.")]
            pub fn $get(&self, key: &str) -> Result<Option<$t>> {
                self.typed(key, $expected, $convert)
            }

            #[doc = concat!("The key as ", $expected, "; an error where it is absent.")]
            pub fn $require(&self, key: &str) -> Result<$t> {
                let value = self.$get(key)?;
                self.required(key, $expected, value)
            }
        )*}
    };
}

getters! {
    get_u32, u32, u32, "a whole number from 0 to 4294967295", whole;
    get_i32, i32, i32, "a whole number of 32 bits", whole;
    get_u64, u64, u64, "a whole number from 0 up", whole;
    get_i64, i64, i64, "a whole number of 64 bits", whole;
    get_f32, f32, f32, "a number", |v| v.as_float().map(|x| x as f32);
    get_bool, bool, bool, "a bool", as_bool;
    get_u32s, u32s, Vec<u32>, "an array of whole numbers from 0 up", |v| whole_list(v.as_array()?);
    get_i32s, i32s, Vec<i32>, "an array of whole numbers of 32 bits", |v| whole_list(v.as_array()?);
    get_f32s, f32s, Vec<f32>, "an array of numbers", |v| floats(v.as_array()?);
    get_bools, bools, Vec<bool>, "an array of bools", |v| bools(v.as_array()?);
}

/// Getters that borrow.
impl Metadata {
    /// The key as text; `None` where it is absent. Error: not a string, or not UTF-8.
    pub fn get_str(&self, key: &str) -> Result<Option<&str>> {
        let expected = "a string of valid UTF-8";
        match self.get(key) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| Error::WrongType {
                key: key.into(),
                found: summary(value),
                expected: expected.into(),
            }),
        }
    }

    /// The key as text; an error where it is absent.
    pub fn str(&self, key: &str) -> Result<&str> {
        let value = self.get_str(key)?;
        self.required(key, "a string", value)
    }

    /// The key as a list of byte strings; `None` where it is absent.
    pub fn get_strings(&self, key: &str) -> Result<Option<&Strings>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(Array::String(list))) => Ok(Some(list)),
            Some(other) => Err(Error::WrongType {
                key: key.into(),
                found: summary(other),
                expected: "an array of strings".into(),
            }),
        }
    }

    /// The key as a list of byte strings; an error where it is absent.
    pub fn strings(&self, key: &str) -> Result<&Strings> {
        let value = self.get_strings(key)?;
        self.required(key, "an array of strings", value)
    }

    /// A number for each of `n` layers, from a scalar (all alike) or an array; `None` where the key is
    /// absent. Error: an array of another length.
    pub fn get_u32_per_layer(&self, key: &str, n: usize) -> Result<Option<Vec<u32>>> {
        if !matches!(self.get(key), Some(Value::Array(_))) {
            return Ok(self.get_u32(key)?.map(|x| vec![x; n]));
        }
        let list = self.u32s(key)?;
        if list.len() == n {
            return Ok(Some(list));
        }
        Err(Error::WrongType {
            key: key.into(),
            found: format!("an array with {} elements", list.len()),
            expected: format!("a number, or an array with {n} elements, one a layer"),
        })
    }
}

fn whole<T: TryFrom<i128>>(value: &Value) -> Option<T> {
    T::try_from(value.as_integer()?).ok()
}

fn as_bool(value: &Value) -> Option<bool> {
    match value.as_integer()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn whole_list<T: TryFrom<i128>>(array: &Array) -> Option<Vec<T>> {
    array.values().map(|v| whole(&v)).collect()
}

fn floats(array: &Array) -> Option<Vec<f32>> {
    match array {
        Array::F32(list) => Some(list.clone()),
        other => other.values().map(|v| Some(v.as_float()? as f32)).collect(),
    }
}

fn bools(array: &Array) -> Option<Vec<bool>> {
    array.values().map(|v| as_bool(&v)).collect()
}
