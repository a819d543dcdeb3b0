//! The header of a safetensors file and its checks.
//!
//! ```text
//! u64 n, little-endian
//! n bytes of JSON: {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …,
//!                   "__metadata__": {"KEY": "TEXT", …}}
//! data: offsets count from here; tensors fill it without gaps or overlaps
//! ```

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::{Dtype, Tensor};
use crate::bytes::{Reader, check_end};
use crate::error::{Error, Result};
use crate::source::Source;

/// As the format's own reader limits it; the largest models have some megabytes.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;
const METADATA_KEY: &str = "__metadata__";

/// A file's tensors, with offsets from the start of the file, in the order of their data; and its
/// metadata.
pub(super) struct Header {
    pub(super) metadata: Vec<(String, String)>,
    pub(super) tensors: Vec<Tensor>,
}

impl Header {
    pub(super) fn read(source: &dyn Source) -> Result<Self> {
        let mut reader = Reader::new(source);
        let n = reader.scalar::<u64>("the length of the header")?;
        if n > MAX_HEADER_BYTES {
            let expected = format!("at most {MAX_HEADER_BYTES}: not a safetensors file?");
            return Err(Error::invalid("the length of the header", n, expected));
        }
        let json: Json = parse(reader.take(n, "the header")?, "the header")?;
        let data_offset = reader.pos();
        let tensors = json.tensors.into_iter();
        let tensors = tensors.map(|(name, described)| described.check(name, data_offset));
        let mut header = Header {
            metadata: json.metadata,
            tensors: tensors.collect::<Result<_>>()?,
        };
        header.tensors.sort_by_key(|t| (t.offset, t.n_bytes));
        header.check_layout(data_offset, source.len())?;
        Ok(header)
    }

    /// Tensors fill the data: none lies on another, nothing lies between them or behind the last.
    fn check_layout(&self, data_offset: u64, file_len: u64) -> Result<()> {
        let mut end = data_offset;
        for tensor in &self.tensors {
            if tensor.offset != end {
                let what = format!("first of data_offsets of tensor {:?}", tensor.name);
                let expected = format!("{}, where the one before ends", end - data_offset);
                return Err(Error::invalid(what, tensor.offset - data_offset, expected));
            }
            end += tensor.n_bytes;
        }
        let ends = self
            .tensors
            .iter()
            .map(|t| (t.name.as_str(), t.offset + t.n_bytes));
        check_end(ends, file_len)?;
        if end < file_len {
            let expected = format!("{end}, where the last tensor ends");
            return Err(Error::invalid("the size of the file", file_len, expected));
        }
        Ok(())
    }
}

/// JSON of a file. Error: what is wrong with it, with line and column.
pub(super) fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::invalid(what, e, "JSON of safetensors"))
}

#[derive(Deserialize)]
struct Described {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Described {
    fn check(self, name: String, data_offset: u64) -> Result<Tensor> {
        let dtype = Dtype::from_name(&self.dtype).ok_or_else(|| {
            let known: Vec<_> = Dtype::ALL.iter().map(|t| t.name()).collect();
            let expected = format!("one of {}", known.join(" "));
            let what = format!("dtype of tensor {name:?}");
            Error::invalid(what, format!("{:?}", self.dtype), expected)
        })?;
        let n_bits = self
            .shape
            .iter()
            .try_fold(dtype.bits(), |n, &x| n.checked_mul(x));
        let n_bits = n_bits.filter(|n| n.is_multiple_of(8)).ok_or_else(|| {
            let what = format!("shape of tensor {name:?}");
            let expected = format!("whole bytes of {dtype}, below 2^64 bits");
            Error::invalid(what, format!("{:?}", self.shape), expected)
        })?;
        let (start, end) = self.data_offsets;
        let n_bytes = n_bits / 8;
        let what = || format!("data_offsets of tensor {name:?}");
        if end.checked_sub(start) != Some(n_bytes) {
            let expected = format!("{n_bytes} bytes apart, by {dtype} {:?}", self.shape);
            return Err(Error::invalid(
                what(),
                format!("{:?}", [start, end]),
                expected,
            ));
        }
        let offset = data_offset.checked_add(start);
        let offset = offset.filter(|_| data_offset.checked_add(end).is_some());
        Ok(Tensor {
            offset: offset.ok_or_else(|| {
                Error::invalid(what(), format!("{:?}", [start, end]), "within 2^64 bytes")
            })?,
            name,
            dtype,
            shape: self.shape,
            n_bytes,
        })
    }
}

/// The whole header: tensors by name, and one key that is none.
struct Json {
    metadata: Vec<(String, String)>,
    tensors: Vec<(String, Described)>,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Tensors;

        impl<'de> Visitor<'de> for Tensors {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Json, A::Error> {
                let (mut tensors, mut seen) = (Vec::new(), HashSet::new());
                let mut metadata = None;
                while let Some(key) = new_key(&mut map, &mut seen)? {
                    if key == METADATA_KEY {
                        metadata = map.next_value::<Option<Entries>>()?;
                        continue;
                    }
                    let named = |e| A::Error::custom(format_args!("tensor {key:?}: {e}"));
                    let described = map.next_value().map_err(named)?;
                    tensors.push((key, described));
                }
                let metadata = metadata.unwrap_or_default().0;
                Ok(Json { metadata, tensors })
            }
        }

        deserializer.deserialize_map(Tensors)
    }
}

/// The next key. Error: it was there before.
fn new_key<'de, A: MapAccess<'de>>(
    map: &mut A,
    seen: &mut HashSet<String>,
) -> std::result::Result<Option<String>, A::Error> {
    let key = map.next_key::<String>()?;
    match key {
        Some(key) if !seen.insert(key.clone()) => {
            Err(A::Error::custom(format_args!("{key:?} appears twice")))
        }
        key => Ok(key),
    }
}

/// Texts by key, in the order of the file.
#[derive(Default)]
pub(super) struct Entries(pub(super) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries, A::Error> {
                let (mut entries, mut seen) = (Vec::new(), HashSet::new());
                while let Some(key) = new_key(&mut map, &mut seen)? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Texts)
    }
}
