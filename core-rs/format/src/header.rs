//! Reading the header of GGUF, versions 1, 2 and 3 (`research/llamacpp.md` section 8).
//!
//! ```text
//! "GGUF"  u32 version  count n_tensors  count n_kv          count = u32 in version 1, u64 after
//! n_kv      × string key, u32 type, value                   string = count n_bytes, bytes
//! n_tensors × string name, u32 n_dims, count[n_dims] shape, u32 type, u64 offset
//! padding to `general.alignment` (32 where absent)
//! data: offsets count from here, each a multiple of the alignment
//! ```
//!
//! The magic number reads the same in both byte orders; every other number of a big-endian file, the
//! version first, has its high byte first.
//!
//! The header is a stranger's: every count is checked against the bytes that are left before anything
//! is allocated for it, and every tensor against the file's end and against its neighbours.

use std::sync::Arc;

use crate::DType;
use crate::bytes::{Order, Reader, check_end};
use crate::byteswap::Swapped;
use crate::error::{Error, Result};
use crate::gguf::TensorInfo;
use crate::metadata::Metadata;
use crate::source::Source;
use crate::value::{ARRAY_TYPE_ID, Array, STRING_TYPE_ID, Strings, Value, for_scalars};

pub(crate) const MAGIC: [u8; 4] = *b"GGUF";
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;
pub(crate) const ALIGNMENT_KEY: &str = "general.alignment";
/// Larger alignments would only serve to blow up what is written from a hostile file.
pub(crate) const MAX_ALIGNMENT: u64 = 1 << 20;
/// Dimensions of a tensor, and bytes of its name (with a closing zero in llama.cpp's struct).
pub(crate) const MAX_DIMS: usize = 4;
pub(crate) const MAX_NAME_BYTES: usize = 63;
const MAX_KEY_BYTES: u64 = 65_535;
/// Elements of one array, as llama.cpp limits it.
const MAX_ARRAY_LEN: u64 = 1 << 30;

/// A header read and checked.
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) order: Order,
    pub(crate) alignment: u64,
    pub(crate) data_offset: u64,
    pub(crate) metadata: Metadata,
    pub(crate) tensors: Vec<TensorInfo>,
}

/// One file, opened and checked; its source reads tensor data as little-endian.
pub(crate) struct Part {
    pub(crate) header: Header,
    source: Arc<dyn Source>,
}

impl Part {
    pub(crate) fn open(source: Arc<dyn Source>) -> Result<Self> {
        let mut header = Header::read(source.as_ref())?;
        header.check_layout(source.len())?;
        let source = match header.order {
            Order::Little => source,
            Order::Big => Arc::new(Swapped::new(source, &header.tensors)?),
        };
        Ok(Part { header, source })
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.header.metadata
    }

    pub(crate) fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }
}

impl Header {
    fn read(source: &dyn Source) -> Result<Self> {
        let mut reader = Reader::new(source);
        let magic = reader.scalar::<u32>("the magic number")?.to_le_bytes();
        if magic != MAGIC {
            return Err(Error::BadMagic { found: magic });
        }
        let version = read_version(&mut reader)?;
        let order = reader.order;
        let mut fields = Fields { reader, version };
        // The least a tensor and a pair can take: lengths, type, and offset or one byte of value.
        let (min_tensor, min_pair) = match version {
            1 => (4 + 4 + 4 + 8, 4 + 4 + 1),
            _ => (8 + 4 + 4 + 8, 8 + 4 + 1),
        };
        let n_tensors = fields.count("the number of tensors", min_tensor)?;
        let n_pairs = fields.count("the number of metadata pairs", min_pair)?;
        let metadata = fields.metadata(n_pairs)?;
        let alignment = read_alignment(&metadata)?;
        let mut tensors = Vec::new();
        for _ in 0..n_tensors {
            tensors.push(fields.tensor()?);
        }
        let data_offset = fields.reader.pos().next_multiple_of(alignment);
        Ok(Header {
            version,
            order,
            alignment,
            data_offset,
            metadata,
            tensors,
        })
    }

    /// Makes offsets absolute; no tensor may begin off the grid, end behind the file, or lie on another.
    fn check_layout(&mut self, file_len: u64) -> Result<()> {
        for tensor in &mut self.tensors {
            let what = || format!("offset of tensor {:?}", tensor.name);
            if !tensor.offset.is_multiple_of(self.alignment) {
                let expected = format!("a multiple of the alignment {}", self.alignment);
                return Err(Error::invalid(what(), tensor.offset, expected));
            }
            let start = self.data_offset.checked_add(tensor.offset);
            let end = start.and_then(|start| start.checked_add(tensor.n_bytes));
            let (Some(start), Some(_)) = (start, end) else {
                let what = format!("offset of tensor {:?}", tensor.name);
                let expected = "one whose data ends below 2^64";
                return Err(Error::invalid(what, tensor.offset, expected));
            };
            tensor.offset = start;
        }
        let mut in_order: Vec<&TensorInfo> = self.tensors.iter().collect();
        in_order.sort_by_key(|tensor| tensor.offset);
        for pair in in_order.windows(2) {
            let end = pair[0].offset + pair[0].n_bytes;
            if pair[1].offset < end {
                let what = format!("offset of tensor {:?}", pair[1].name);
                let expected = format!("at least {end}, where {:?} ends", pair[0].name);
                return Err(Error::invalid(what, pair[1].offset, expected));
            }
        }
        let ends = in_order
            .iter()
            .map(|t| (t.name.as_str(), t.offset + t.n_bytes));
        check_end(ends, file_len)
    }
}

/// Also finds the byte order: a small number stored high byte first reads as one with empty low bytes.
fn read_version(reader: &mut Reader) -> Result<u32> {
    let mut version = reader.scalar::<u32>("the version")?;
    if version != 0 && version & 0xffff == 0 {
        reader.order = Order::Big;
        version = version.swap_bytes();
    }
    match version {
        1..=3 => Ok(version),
        found => Err(Error::BadVersion { found }),
    }
}

fn read_alignment(metadata: &Metadata) -> Result<u64> {
    let alignment = match metadata.get(ALIGNMENT_KEY) {
        None => DEFAULT_ALIGNMENT,
        Some(Value::U32(alignment)) => u64::from(*alignment),
        Some(other) => {
            return Err(Error::WrongType {
                key: ALIGNMENT_KEY.into(),
                found: other.type_name(),
                expected: "u32".into(),
            });
        }
    };
    check_alignment(alignment)?;
    Ok(alignment)
}

pub(crate) fn check_alignment(alignment: u64) -> Result<()> {
    if alignment.is_power_of_two() && alignment <= MAX_ALIGNMENT {
        return Ok(());
    }
    let expected = format!("a power of two up to {MAX_ALIGNMENT}");
    Err(Error::invalid(ALIGNMENT_KEY, alignment, expected))
}

/// GGUF's fields on top of the reader's numbers.
struct Fields<'a> {
    reader: Reader<'a>,
    version: u32,
}

impl Fields<'_> {
    /// A count or length: 32 bits in version 1, 64 after.
    fn size(&mut self, what: &str) -> Result<u64> {
        match self.version {
            1 => Ok(self.reader.scalar::<u32>(what)?.into()),
            _ => self.reader.scalar(what),
        }
    }

    /// A count of things of at least `min_bytes` each, all of which must fit in what is left.
    fn count(&mut self, what: &str, min_bytes: u64) -> Result<u64> {
        let count = self.size(what)?;
        let most = self.reader.remaining() / min_bytes;
        if count > most {
            let expected = format!("at most {most}, for which the file is long enough");
            return Err(Error::invalid(what, count, expected));
        }
        Ok(count)
    }

    fn name(&mut self, what: &str, max_bytes: u64) -> Result<String> {
        let n_bytes = self.size(what)?;
        if n_bytes > max_bytes {
            let expected = format!("at most {max_bytes}");
            return Err(Error::invalid(
                format!("length of {what}"),
                n_bytes,
                expected,
            ));
        }
        let bytes = self.reader.take(n_bytes, what)?;
        let text = std::str::from_utf8(bytes).map(str::to_owned);
        let lossy = || String::from_utf8_lossy(bytes).into_owned();
        text.map_err(|_| Error::invalid(what, format!("{:?}", lossy()), "valid UTF-8"))
    }

    fn metadata(&mut self, n_pairs: u64) -> Result<Metadata> {
        let mut metadata = Metadata::new();
        for _ in 0..n_pairs {
            let key = self.name("a metadata key", MAX_KEY_BYTES)?;
            if key.is_empty() {
                return Err(Error::invalid("a metadata key", "empty", "a name"));
            }
            if metadata.contains(&key) {
                return Err(Error::DuplicateKey { key });
            }
            let type_id = self.reader.scalar::<u32>(&key)?;
            let value = self.value(&key, type_id)?;
            metadata.set(&key, value);
        }
        Ok(metadata)
    }

    fn value(&mut self, key: &str, type_id: u32) -> Result<Value> {
        macro_rules! read {
            ($($variant:ident, $t:ty, $id:literal, $name:literal);*) => {
                match type_id {
                    $($id => Value::$variant(self.reader.scalar(key)?),)*
                    STRING_TYPE_ID => {
                        let n_bytes = self.size(key)?;
                        Value::String(self.reader.take(n_bytes, key)?.to_vec())
                    }
                    ARRAY_TYPE_ID => Value::Array(self.array(key)?),
                    other => return Err(bad_type(key, other)),
                }
            };
        }
        Ok(for_scalars!(read))
    }

    fn array(&mut self, key: &str) -> Result<Array> {
        let type_id = self.reader.scalar::<u32>(key)?;
        let count = self.size(key)?;
        if count > MAX_ARRAY_LEN {
            let what = format!("length of the array {key:?}");
            return Err(Error::invalid(what, count, "at most 2^30"));
        }
        macro_rules! read {
            ($($variant:ident, $t:ty, $id:literal, $name:literal);*) => {
                match type_id {
                    $($id => Array::$variant(self.reader.scalars(count, key)?),)*
                    STRING_TYPE_ID => Array::String(self.strings(key, count)?),
                    ARRAY_TYPE_ID => {
                        let what = format!("element type of the array {key:?}");
                        return Err(Error::invalid(what, "array", "a number, bool or string"));
                    }
                    other => return Err(bad_type(key, other)),
                }
            };
        }
        Ok(for_scalars!(read))
    }

    fn strings(&mut self, key: &str, count: u64) -> Result<Strings> {
        let mut list = Strings::new();
        for _ in 0..count {
            let n_bytes = self.size(key)?;
            list.push(self.reader.take(n_bytes, key)?);
        }
        Ok(list)
    }

    fn tensor(&mut self) -> Result<TensorInfo> {
        let name = self.name("a tensor name", MAX_NAME_BYTES as u64)?;
        let n_dims = self.reader.scalar::<u32>(&name)?;
        if n_dims as usize > MAX_DIMS {
            let what = format!("number of dimensions of tensor {name:?}");
            return Err(Error::invalid(what, n_dims, "at most 4"));
        }
        let mut shape = Vec::with_capacity(n_dims as usize);
        for _ in 0..n_dims {
            shape.push(self.size(&name)?);
        }
        let type_id = self.reader.scalar::<u32>(&name)?;
        let dtype = DType::from_id(type_id).ok_or_else(|| {
            let what = format!("type of tensor {name:?}");
            Error::invalid(what, type_id, "the number of a type in use (0 to 42)")
        })?;
        let offset = self.reader.scalar(&name)?;
        let (_, n_bytes) = tensor_size(&name, dtype, &shape)?;
        Ok(TensorInfo {
            name,
            dtype,
            shape,
            offset,
            n_bytes,
        })
    }
}

fn bad_type(key: &str, type_id: u32) -> Error {
    let what = format!("value type of the metadata key {key:?}");
    Error::invalid(what, type_id, "a number from 0 to 12")
}

/// Elements and bytes of a tensor, if both are possible.
pub(crate) fn tensor_size(name: &str, dtype: DType, shape: &[u64]) -> Result<(u64, u64)> {
    if shape.len() > MAX_DIMS {
        let what = format!("number of dimensions of tensor {name:?}");
        return Err(Error::invalid(what, shape.len(), "at most 4"));
    }
    let what = || format!("shape of tensor {name:?}");
    let mut n_elements = 1u64;
    for &n in shape {
        let product = n_elements.checked_mul(n).filter(|&p| p <= i64::MAX as u64);
        let refused = |expected| Error::invalid(what(), format!("{shape:?}"), expected);
        n_elements = product.ok_or_else(|| refused("sizes from 1 up with a product below 2^63"))?;
        if n_elements == 0 {
            // GGUF can hold one, and llama.cpp loads it; rows of it cannot be counted.
            let expected = "sizes from 1 up: a tensor without elements is for no model";
            return Err(refused(expected));
        }
    }
    let row_len = shape.first().copied().unwrap_or(1);
    let block_len = dtype.block_len() as u64;
    if !row_len.is_multiple_of(block_len) {
        let expected = format!("rows of a multiple of {block_len} elements for {dtype}");
        return Err(Error::invalid(what(), format!("{shape:?}"), expected));
    }
    (n_elements / block_len)
        .checked_mul(dtype.block_bytes() as u64)
        .filter(|&n| n <= i64::MAX as u64)
        .map(|n_bytes| (n_elements, n_bytes))
        .ok_or_else(|| Error::invalid(what(), format!("{shape:?}"), "less than 2^63 bytes"))
}
