//! Writing GGUF version 3. The header needs every tensor's name, type and shape, but no data; data is
//! then asked for one tensor at a time, so a file larger than memory can be written.
//!
//! A file appears whole or not at all: see `new_file.rs`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::DType;
use crate::bytes::ToBytes;
use crate::error::{Error, IoContext, Result};
use crate::header::{
    ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, MAX_NAME_BYTES, check_alignment, tensor_size,
};
use crate::metadata::Metadata;
use crate::new_file::NewFile;
use crate::value::{Array, Value, for_scalars};

const VERSION: u32 = 3;

/// Writes a tensor's bytes, exactly as many as were promised.
type Provider<'a> = Box<dyn FnMut(&mut dyn Write) -> Result<()> + 'a>;

/// Where a tensor's bytes come from when their turn comes.
enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    Provider(Provider<'a>),
}

struct Tensor<'a> {
    name: String,
    dtype: DType,
    shape: Vec<u64>,
    n_bytes: u64,
    data: Data<'a>,
}

/// How far writing is: told before each tensor and once at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteProgress<'a> {
    /// The tensor that comes next; empty at the end.
    pub tensor: &'a str,
    pub tensors_done: usize,
    pub n_tensors: usize,
    pub bytes_done: u64,
    pub n_bytes: u64,
}

/// A GGUF file in the making: metadata, and tensors in the order they are added.
#[derive(Default)]
pub struct Writer<'a> {
    metadata: Metadata,
    tensors: Vec<Tensor<'a>>,
    by_name: HashMap<String, usize>,
}

impl<'a> Writer<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the metadata of another file.
    pub fn with_metadata(metadata: Metadata) -> Self {
        Writer {
            metadata,
            ..Self::default()
        }
    }

    /// Sets a metadata key. `general.alignment` (u32) also sets how the data is laid out.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.metadata.set(key, value);
        self
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Adds a tensor whose bytes are at hand, encoded as `dtype`; `shape[0]` is the row length.
    ///
    /// Errors: the name is taken or longer than 63 bytes, the shape is impossible, or `bytes` has not
    /// the length that type and shape give.
    pub fn add_tensor(
        &mut self,
        name: &str,
        dtype: DType,
        shape: &[u64],
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Result<()> {
        let bytes = bytes.into();
        let (_, n_bytes) = tensor_size(name, dtype, shape)?;
        check_length(name, bytes.len() as u64, n_bytes)?;
        self.add(name, dtype, shape, Data::Bytes(bytes))
    }

    /// Adds a tensor whose bytes `provider` writes when their turn comes, exactly as many as type and
    /// shape give. Errors: as for `add_tensor`.
    pub fn add_tensor_with(
        &mut self,
        name: &str,
        dtype: DType,
        shape: &[u64],
        provider: impl FnMut(&mut dyn Write) -> Result<()> + 'a,
    ) -> Result<()> {
        self.add(name, dtype, shape, Data::Provider(Box::new(provider)))
    }

    fn add(&mut self, name: &str, dtype: DType, shape: &[u64], data: Data<'a>) -> Result<()> {
        let (_, n_bytes) = tensor_size(name, dtype, shape)?;
        if name.len() > MAX_NAME_BYTES {
            let what = format!("length of the tensor name {name:?}");
            return Err(Error::invalid(what, name.len(), "at most 63 bytes"));
        }
        let place = self.tensors.len();
        if self.by_name.insert(name.into(), place).is_some() {
            return Err(Error::DuplicateTensor { name: name.into() });
        }
        self.tensors.push(Tensor {
            name: name.into(),
            dtype,
            shape: shape.to_vec(),
            n_bytes,
            data,
        });
        Ok(())
    }

    /// Writes the file: beside `path` first, then renamed, so that `path` is never half a file. On an
    /// error nothing is left, and an older file at `path` stays.
    pub fn write(self, path: &Path, progress: &mut dyn FnMut(WriteProgress)) -> Result<()> {
        self.write_beside(path, progress)?.put_in_place()
    }

    /// Writes the whole file beside `path`, on the disk but not yet in its place.
    pub(crate) fn write_beside(
        self,
        path: &Path,
        progress: &mut dyn FnMut(WriteProgress),
    ) -> Result<NewFile> {
        NewFile::write(path, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            self.write_to(&mut out, progress)?;
            out.flush().doing("write the file")
        })
    }

    /// Writes the file to anything that takes bytes in order.
    pub fn write_to(
        mut self,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(WriteProgress),
    ) -> Result<()> {
        let alignment = self.alignment()?;
        let header = self.header(alignment)?;
        out.write_all(&header).doing("write the header")?;
        let n_tensors = self.tensors.len();
        let n_bytes = self.tensors.iter().map(|t| t.n_bytes).sum();
        let mut report = |tensor: &str, tensors_done, bytes_done| {
            progress(WriteProgress {
                tensor,
                tensors_done,
                n_tensors,
                bytes_done,
                n_bytes,
            });
        };
        let mut bytes_done = 0;
        for (i, tensor) in self.tensors.iter_mut().enumerate() {
            report(&tensor.name, i, bytes_done);
            write_data(tensor, out)?;
            let padding = tensor.n_bytes.next_multiple_of(alignment) - tensor.n_bytes;
            let zeros = vec![0; padding as usize];
            out.write_all(&zeros).doing("write padding")?;
            bytes_done += tensor.n_bytes;
        }
        report("", n_tensors, bytes_done);
        Ok(())
    }

    fn alignment(&self) -> Result<u64> {
        let alignment = self.metadata.get_u32(ALIGNMENT_KEY)?;
        let alignment = alignment.map_or(DEFAULT_ALIGNMENT, u64::from);
        check_alignment(alignment)?;
        Ok(alignment)
    }

    /// Everything before the data, padded.
    fn header(&self, alignment: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        VERSION.put(&mut out);
        (self.tensors.len() as u64).put(&mut out);
        (self.metadata.len() as u64).put(&mut out);
        for (key, value) in self.metadata.iter() {
            put_string(key.as_bytes(), &mut out);
            put_value(value, &mut out);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            put_string(tensor.name.as_bytes(), &mut out);
            (tensor.shape.len() as u32).put(&mut out);
            tensor.shape.iter().for_each(|n| n.put(&mut out));
            tensor.dtype.id().put(&mut out);
            offset.put(&mut out);
            let end = offset.checked_add(tensor.n_bytes);
            offset = end
                .and_then(|end| end.checked_next_multiple_of(alignment))
                .ok_or_else(|| {
                    let what = format!("end of tensor {:?}", tensor.name);
                    Error::invalid(what, "beyond 2^64 bytes", "a file of less")
                })?;
        }
        let padded = out.len().next_multiple_of(alignment as usize);
        out.resize(padded, 0);
        Ok(out)
    }
}

fn check_length(name: &str, found: u64, expected: u64) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let what = format!("number of bytes of tensor {name:?}");
    Err(Error::invalid(what, found, expected.to_string()))
}

fn write_data(tensor: &mut Tensor, out: &mut dyn Write) -> Result<()> {
    match &mut tensor.data {
        Data::Bytes(bytes) => out.write_all(bytes).doing("write tensor data"),
        Data::Provider(provider) => {
            let mut counted = Counted { out, n_bytes: 0 };
            provider(&mut counted)?;
            check_length(&tensor.name, counted.n_bytes, tensor.n_bytes)
        }
    }
}

/// Counts what goes through.
struct Counted<'a> {
    out: &'a mut dyn Write,
    n_bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.n_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn put_string(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u64).put(out);
    out.extend_from_slice(bytes);
}

fn put_value(value: &Value, out: &mut Vec<u8>) {
    value.type_id().put(out);
    macro_rules! put {
        ($($variant:ident, $t:ty, $id:literal, $name:literal);*) => {
            match value {
                $(Value::$variant(x) => x.put(out),)*
                Value::String(bytes) => put_string(bytes, out),
                Value::Array(array) => put_array(array, out),
            }
        };
    }
    for_scalars!(put);
}

fn put_array(array: &Array, out: &mut Vec<u8>) {
    array.element_type_id().put(out);
    (array.len() as u64).put(out);
    macro_rules! put {
        ($($variant:ident, $t:ty, $id:literal, $name:literal);*) => {
            match array {
                $(Array::$variant(list) => list.iter().for_each(|x| x.put(out)),)*
                Array::String(list) => list.iter().for_each(|bytes| put_string(bytes, out)),
            }
        };
    }
    for_scalars!(put);
}
