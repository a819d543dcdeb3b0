//! An opened GGUF file: what a reader asks of it. The bytes of its header are `header.rs`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::Order;
use crate::error::{Error, IoContext, Result};
use crate::header::{Header, Part};
use crate::joined::Joined;
use crate::metadata::Metadata;
use crate::parts;
use crate::source::{Source, read_range};
use crate::{DType, quant};

/// One tensor of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: DType,
    /// GGUF's order: `shape[0]` is the row length, and runs fastest. Empty for a single number.
    pub shape: Vec<u64>,
    /// Of the first byte, within [`Gguf::source`].
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

/// An opened model: the headers of its file, or files, in memory, its data in the source. What a
/// big-endian file holds is given out as little-endian.
pub struct Gguf {
    pub version: u32,
    pub alignment: u64,
    /// Whether the numbers in the file (the first, if there are several) have their high byte first.
    pub big_endian: bool,
    /// Where the data section begins, from the start of the (first) file.
    pub data_offset: u64,
    /// Of the first file, where there are several, without what it says of parts.
    pub metadata: Metadata,
    /// How many of the tensors each file has.
    n_tensors_each: Vec<usize>,
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    source: Arc<dyn Source>,
}

impl Gguf {
    /// Opens a file: mapped natively, read in pieces on wasm. The first of several parts opens all.
    pub fn open(path: &Path) -> Result<Self> {
        #[cfg(not(target_family = "wasm"))]
        let source = crate::source::Mmap::open(path)?;
        #[cfg(target_family = "wasm")]
        let source = crate::source::FileSource::open(path)?;
        Self::from_source(Arc::new(source)).map_err(|e| e.in_file(path))
    }

    /// Reads the header of a source. Where it is the first of several parts, the others are opened by
    /// [`Source::beside`].
    ///
    /// Errors: a broken header; another part than the first, or parts that are missing or do not belong
    /// together; a big-endian file with a type of which no such layout is known.
    pub fn from_source(source: Arc<dyn Source>) -> Result<Self> {
        Self::from_opened(parts::open_all(Part::open(source)?)?)
    }

    /// Reads the parts of a model, all of them and in order. Errors: as for `from_source`.
    pub fn from_parts(sources: Vec<Arc<dyn Source>>) -> Result<Self> {
        Self::from_opened(parts::open_given(sources)?)
    }

    fn from_opened(parts: Vec<Part>) -> Result<Self> {
        let n_tensors_each = parts.iter().map(|p| p.header.tensors.len()).collect();
        let (mut headers, mut sources) = (Vec::new(), Vec::new());
        for part in parts {
            sources.push(part.source().clone());
            headers.push(part.header);
        }
        let source: Arc<dyn Source> = match sources.as_slice() {
            [] => return Err(Error::invalid("number of parts", 0, "at least 1")),
            [only] => only.clone(),
            _ => {
                let joined = Joined::new(sources)?;
                for (i, header) in headers.iter_mut().enumerate() {
                    let start = joined.start(i);
                    header.tensors.iter_mut().for_each(|t| t.offset += start);
                }
                Arc::new(joined)
            }
        };
        let mut rest = headers.split_off(1);
        let mut first = headers.remove(0);
        for header in &mut rest {
            first.tensors.append(&mut header.tensors);
        }
        parts::join_metadata(&mut first.metadata, first.tensors.len())?;
        Self::new(first, n_tensors_each, source)
    }

    fn new(header: Header, n_tensors_each: Vec<usize>, source: Arc<dyn Source>) -> Result<Self> {
        let mut by_name = HashMap::with_capacity(header.tensors.len());
        for (i, tensor) in header.tensors.iter().enumerate() {
            if by_name.insert(tensor.name.clone(), i).is_some() {
                let name = tensor.name.clone();
                return Err(Error::DuplicateTensor { name });
            }
        }
        Ok(Gguf {
            version: header.version,
            alignment: header.alignment,
            big_endian: header.order == Order::Big,
            data_offset: header.data_offset,
            metadata: header.metadata,
            n_tensors_each,
            tensors: header.tensors,
            by_name,
            source,
        })
    }

    /// Files the model lies in: 1, or the number of its parts.
    pub fn n_files(&self) -> usize {
        self.n_tensors_each.len()
    }

    /// Which tensors lie in which file, in the order of [`Gguf::tensors`].
    pub fn parts(&self) -> Vec<Range<usize>> {
        let mut first = 0;
        let range = |&n: &usize| {
            first += n;
            first - n..first
        };
        self.n_tensors_each.iter().map(range).collect()
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

    /// What tensors' offsets count in: the file, or all parts in a row, with data as little-endian.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// A tensor's bytes: borrowed where the file is mapped, else read.
    pub fn read_tensor(&self, tensor: &TensorInfo) -> Result<Cow<'_, [u8]>> {
        self.read_range(tensor.offset, tensor.n_bytes)
    }

    /// Any range of the file: borrowed where the file is mapped, else read.
    pub fn read_range(&self, offset: u64, n_bytes: u64) -> Result<Cow<'_, [u8]>> {
        read_range(self.source.as_ref(), offset, n_bytes)
    }

    /// Writes a range of the file to `out`. A write fails on lost pages of a map as if `out` were broken,
    /// so the source has the first word.
    pub(crate) fn copy_range(&self, offset: u64, n_bytes: u64, out: &mut dyn Write) -> Result<()> {
        let bytes = self.read_range(offset, n_bytes)?;
        let written = out.write_all(&bytes).doing("write tensor data");
        drop(bytes);
        self.source.intact()?;
        if written.is_err() {
            let mut again = vec![0; n_bytes as usize];
            self.source.read_at(offset, &mut again)?;
        }
        self.source.release(offset, n_bytes);
        written
    }

    /// All elements of a tensor as f32, `shape[0]` fastest.
    pub fn dequantize(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.require_tensor(name)?;
        quant::check_decode(tensor.dtype)?;
        let bytes = self.read_tensor(tensor)?;
        let mut values = vec![0.0; tensor.n_elements() as usize];
        quant::decode_row(tensor.dtype, &bytes, &mut values)?;
        self.source.intact()?;
        Ok(values)
    }
}
