//! Metadata values, as GGUF types them. Strings are kept as raw bytes: files promise UTF-8, but
//! tokens of byte-level vocabularies break the promise, and copying a file must not change it.

/// One metadata value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(Vec<u8>),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array; all elements have one type. GGUF has no arrays of arrays.
#[derive(Clone, PartialEq, Debug)]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Strings),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

/// A list of byte strings in one buffer: a vocabulary of 150,000 tokens is two allocations.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>, // of each string in `bytes`
}

impl Strings {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|i| self.get(i).unwrap_or_default())
    }
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lossy = self.iter().map(String::from_utf8_lossy);
        f.debug_list().entries(lossy).finish()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Strings {
    fn from_iter<I: IntoIterator<Item = T>>(strings: I) -> Self {
        let mut list = Strings::new();
        for string in strings {
            list.push(string.as_ref());
        }
        list
    }
}

/// GGUF's number of the type "array"; the other numbers are in the table below.
pub(crate) const ARRAY_TYPE_ID: u32 = 9;
pub(crate) const STRING_TYPE_ID: u32 = 8;

/// Runs a macro once over all scalar types: (variant, Rust type, GGUF number, name).
macro_rules! for_scalars {
    ($run:ident) => {
        $run! {
            U8, u8, 0, "u8"; I8, i8, 1, "i8"; U16, u16, 2, "u16"; I16, i16, 3, "i16";
            U32, u32, 4, "u32"; I32, i32, 5, "i32"; F32, f32, 6, "f32"; Bool, bool, 7, "bool";
            U64, u64, 10, "u64"; I64, i64, 11, "i64"; F64, f64, 12, "f64"
        }
    };
}
pub(crate) use for_scalars;

macro_rules! describe {
    ($($variant:ident, $t:ty, $id:literal, $name:literal);*) => {
        impl Value {
            /// GGUF's number of this type.
            pub(crate) fn type_id(&self) -> u32 {
                match self {
                    $(Value::$variant(_) => $id,)*
                    Value::String(_) => STRING_TYPE_ID,
                    Value::Array(_) => ARRAY_TYPE_ID,
                }
            }

            /// The type in words: `u32`, `string`, `array of f32`.
            pub fn type_name(&self) -> String {
                match self {
                    $(Value::$variant(_) => $name.into(),)*
                    Value::String(_) => "string".into(),
                    Value::Array(array) => format!("array of {}", array.element_name()),
                }
            }
        }

        impl Array {
            pub(crate) fn element_type_id(&self) -> u32 {
                match self {
                    $(Array::$variant(_) => $id,)*
                    Array::String(_) => STRING_TYPE_ID,
                }
            }

            /// The elements' type in words: `f32`, `string`.
            pub fn element_name(&self) -> &'static str {
                match self {
                    $(Array::$variant(_) => $name,)*
                    Array::String(_) => "string",
                }
            }

            pub fn len(&self) -> usize {
                match self {
                    $(Array::$variant(list) => list.len(),)*
                    Array::String(list) => list.len(),
                }
            }

            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        $(
            impl From<$t> for Value {
                fn from(value: $t) -> Self {
                    Value::$variant(value)
                }
            }

            impl From<Vec<$t>> for Value {
                fn from(list: Vec<$t>) -> Self {
                    Value::Array(Array::$variant(list))
                }
            }
        )*
    };
}
for_scalars!(describe);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text.into_bytes())
    }
}

impl From<Strings> for Value {
    fn from(list: Strings) -> Self {
        Value::Array(Array::String(list))
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Value::Array(array)
    }
}

impl Value {
    /// The number, if it is a whole one of any width (or a bool: 0 or 1).
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Value::U8(x) => x.into(),
            Value::I8(x) => x.into(),
            Value::U16(x) => x.into(),
            Value::I16(x) => x.into(),
            Value::U32(x) => x.into(),
            Value::I32(x) => x.into(),
            Value::U64(x) => x.into(),
            Value::I64(x) => x.into(),
            Value::Bool(x) => x.into(),
            _ => return None,
        })
    }

    /// The number, whole or not.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Value::F32(x) => Some(x.into()),
            Value::F64(x) => Some(x),
            Value::Bool(_) => None,
            _ => self.as_integer().map(|x| x as f64),
        }
    }

    /// The text, if it is a string of valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }
}

impl Array {
    /// The element at `index` as a value of its own.
    pub fn get(&self, index: usize) -> Option<Value> {
        macro_rules! pick {
            ($($variant:ident, $t:ty, $id:literal, $name:literal);*) => {
                match self {
                    $(Array::$variant(list) => list.get(index).map(|&x| Value::$variant(x)),)*
                    Array::String(list) => list.get(index).map(|s| Value::String(s.to_vec())),
                }
            };
        }
        for_scalars!(pick)
    }

    /// Every element by `Value::as_integer`, in one pass.
    pub(crate) fn values(&self) -> impl Iterator<Item = Value> {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}
