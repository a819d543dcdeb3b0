//! An opened GGUF file: what a reader asks of it. The bytes of its header are `header.rs`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::header::Header;
use crate::metadata::Metadata;
use crate::source::Source;
use crate::{DType, quant};

/// One tensor of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: DType,
    /// GGUF's order: `shape[0]` is the row length, and runs fastest. Empty for a single number.
    pub shape: Vec<u64>,
    /// Of the first byte, from the start of the file.
    pub offset: u64,
    pub n_bytes: u64,
}

impl TensorInfo {
    /// Elements in all; fits, since reading and writing check it.
    pub fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements of a row, the unit of decoding.
    pub fn row_len(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }
}

/// An opened GGUF file: its header in memory, its data in the source.
pub struct Gguf {
    pub version: u32,
    pub alignment: u64,
    /// Where the data section begins, from the start of the file.
    pub data_offset: u64,
    pub metadata: Metadata,
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    source: Arc<dyn Source>,
}

impl Gguf {
    /// Opens a file: mapped natively, read in pieces on wasm.
    pub fn open(path: &Path) -> Result<Self> {
        #[cfg(not(target_family = "wasm"))]
        let source = crate::source::Mmap::open(path)?;
        #[cfg(target_family = "wasm")]
        let source = crate::source::FileSource::open(path)?;
        Self::from_source(Arc::new(source)).map_err(|e| e.in_file(path))
    }

    /// Reads the header of a source.
    pub fn from_source(source: Arc<dyn Source>) -> Result<Self> {
        let mut header = Header::read(source.as_ref())?;
        header.check_layout(source.len())?;
        let by_name = header.by_name()?;
        Ok(Gguf {
            version: header.version,
            alignment: header.alignment,
            data_offset: header.data_offset,
            metadata: header.metadata,
            tensors: header.tensors,
            by_name,
            source,
        })
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &TensorInfo> {
        self.tensors.iter()
    }

    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&i| &self.tensors[i])
    }

    /// The tensor of this name, or an error that names it.
    pub fn require_tensor(&self, name: &str) -> Result<&TensorInfo> {
        self.tensor(name).ok_or_else(|| Error::MissingTensor {
            name: name.into(),
            n_tensors: self.tensors.len(),
        })
    }

    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// A tensor's bytes: borrowed where the file is mapped, else read.
    pub fn read_tensor(&self, tensor: &TensorInfo) -> Result<Cow<'_, [u8]>> {
        self.read_range(tensor.offset, tensor.n_bytes)
    }

    /// Any range of the file: borrowed where the file is mapped, else read.
    pub fn read_range(&self, offset: u64, n_bytes: u64) -> Result<Cow<'_, [u8]>> {
        if let Some(bytes) = self.source.slice(offset, n_bytes) {
            return Ok(Cow::Borrowed(bytes));
        }
        let end = offset.checked_add(n_bytes);
        let fits = end.is_some_and(|end| end <= self.source.len());
        let count = usize::try_from(n_bytes).ok().filter(|_| fits);
        let Some(count) = count else {
            return Err(Error::Truncated {
                what: "a range".into(),
                offset,
                wanted: n_bytes,
                len: self.source.len(),
            });
        };
        let mut bytes = vec![0; count];
        self.source.read_at(offset, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// All elements of a tensor as f32, `shape[0]` fastest.
    pub fn dequantize(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.require_tensor(name)?;
        quant::check_decode(tensor.dtype)?;
        let bytes = self.read_tensor(tensor)?;
        let mut values = vec![0.0; tensor.n_elements() as usize];
        quant::decode_row(tensor.dtype, &bytes, &mut values)?;
        Ok(values)
    }
}
