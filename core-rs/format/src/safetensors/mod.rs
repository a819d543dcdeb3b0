//! Reading safetensors, the format models are published in: a file, or the several that a
//! `model.safetensors.index.json` names. Nothing in them is ever run, and the header is a stranger's:
//! see `header.rs` for its layout and checks.

mod dtype;
mod header;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

pub use dtype::Dtype;
use header::{Entries, Header, MAX_HEADER_BYTES};

use crate::error::{Error, Result};
use crate::joined::Joined;
use crate::source::{Source, read_range};

/// What a folder of a model holds: the index where there are several files, else the file.
const FOLDER_NAMES: [&str; 2] = ["model.safetensors.index.json", "model.safetensors"];

/// One tensor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    /// As numpy has it: the last size is the row length, and runs fastest (the reverse of GGUF's
    /// order). Empty for a single number; a size may be 0.
    pub shape: Vec<u64>,
    /// Of the first byte, within [`SafeTensors::source`].
    pub offset: u64,
    pub n_bytes: u64,
}

/// An opened model: headers in memory, data in the source.
pub struct SafeTensors {
    /// Texts of the file, of the first where there are several.
    pub metadata: Vec<(String, String)>,
    n_files: usize,
    tensors: Vec<Tensor>,
    by_name: HashMap<String, usize>,
    source: Arc<dyn Source>,
}

impl SafeTensors {
    /// Opens a file, an index with the files it names, or the folder of a model: mapped natively, read
    /// in pieces on wasm.
    ///
    /// Errors: as for [`SafeTensors::from_source`]; a folder without a model.
    pub fn open(path: &Path) -> Result<Self> {
        let inside = FOLDER_NAMES.map(|name| path.join(name));
        let path = match path.is_dir() {
            false => path,
            true => inside.iter().find(|file| file.is_file()).ok_or_else(|| {
                let expected = format!("with {} or {}", FOLDER_NAMES[0], FOLDER_NAMES[1]);
                Error::invalid("the folder", "without such a model", expected).in_file(path)
            })?,
        };
        #[cfg(not(target_family = "wasm"))]
        let source = crate::source::Mmap::open(path)?;
        #[cfg(target_family = "wasm")]
        let source = crate::source::FileSource::open(path)?;
        Self::from_source(Arc::new(source)).map_err(|e| e.in_file(path))
    }

    /// Reads the header of a source; of an index, the headers of the files it names, which are found by
    /// [`Source::beside`]. Only tensors that the index names are part of the model.
    ///
    /// Errors: a header that is no JSON of safetensors or is longer than 100 MB; a shape, type or place
    /// that cannot be; data with gaps or overlaps; an index that names files elsewhere, or tensors that
    /// are not where it says.
    pub fn from_source(source: Arc<dyn Source>) -> Result<Self> {
        if is_index(source.as_ref())? {
            return Self::from_index(source.as_ref());
        }
        let header = Header::read(source.as_ref())?;
        Ok(Self::new(header.metadata, header.tensors, 1, source))
    }

    fn from_index(index: &dyn Source) -> Result<Self> {
        let places = read_index(index)?;
        let (mut sources, mut headers) = (Vec::new(), Vec::new());
        for &file in places.by_file().keys() {
            let source = index.beside(check_file_name(file)?)?;
            let header = Header::read(source.as_ref());
            headers.push(header.map_err(|e| e.in_file(Path::new(file)))?);
            sources.push(source);
        }
        let source = Joined::new(sources)?;
        let n_files = headers.len();
        let (mut metadata, mut tensors) = (None, Vec::new());
        for (i, (header, (file, wanted))) in headers.into_iter().zip(places.by_file()).enumerate() {
            let mut found = header.tensors;
            found.retain(|tensor| wanted.contains(tensor.name.as_str()));
            check_all_there(&wanted, &found, file)?;
            found.iter_mut().for_each(|t| t.offset += source.start(i));
            tensors.append(&mut found);
            metadata.get_or_insert(header.metadata);
        }
        let metadata = metadata.unwrap_or_default();
        Ok(Self::new(metadata, tensors, n_files, Arc::new(source)))
    }

    /// Names differ: a header and an index have each once.
    fn new(
        metadata: Vec<(String, String)>,
        tensors: Vec<Tensor>,
        n_files: usize,
        source: Arc<dyn Source>,
    ) -> Self {
        let names = tensors.iter().map(|t| t.name.clone());
        SafeTensors {
            metadata,
            n_files,
            by_name: names.zip(0..).collect(),
            tensors,
            source,
        }
    }

    /// Files the model lies in, without an index.
    pub fn n_files(&self) -> usize {
        self.n_files
    }

    /// The tensors in the order of files and of data in them.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &Tensor> {
        self.tensors.iter()
    }

    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.by_name.get(name).map(|&i| &self.tensors[i])
    }

    /// The tensor of this name, or an error that names it.
    pub fn require_tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensor(name).ok_or_else(|| Error::MissingTensor {
            name: name.into(),
            n_tensors: self.tensors.len(),
        })
    }

    /// What tensors' offsets count in: the file, or all files in a row.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// A tensor's bytes, little-endian: borrowed where the file is mapped, else read.
    pub fn read_tensor(&self, tensor: &Tensor) -> Result<Cow<'_, [u8]>> {
        read_range(self.source.as_ref(), tensor.offset, tensor.n_bytes)
    }

    /// All numbers of a tensor of floats as f32, the last size fastest. Errors: no tensor of this name,
    /// or one of another type than F64, F32, F16, BF16, F8_E4M3, F8_E5M2.
    pub fn to_f32(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.require_tensor(name)?;
        let bytes = self.read_tensor(tensor)?;
        let values = tensor.dtype.decode(&bytes).map_err(|e| e.in_tensor(name))?;
        self.source.intact()?;
        Ok(values)
    }
}

/// An index is JSON; a file begins with the length of its header, whose upper bytes are 0.
fn is_index(source: &dyn Source) -> Result<bool> {
    let mut beginning = [0; 8];
    let n = source.len().min(8) as usize;
    source.read_at(0, &mut beginning[..n])?;
    let text = beginning.trim_ascii_start();
    Ok(text.first() == Some(&b'{') && (n < 8 || beginning[4..].iter().all(|&b| b != 0)))
}

/// Which file each tensor is in.
#[derive(Deserialize)]
struct Index {
    weight_map: Entries,
}

impl Index {
    fn by_file(&self) -> BTreeMap<&str, HashSet<&str>> {
        let mut by_file = BTreeMap::<_, HashSet<_>>::new();
        for (name, file) in &self.weight_map.0 {
            by_file
                .entry(file.as_str())
                .or_default()
                .insert(name.as_str());
        }
        by_file
    }
}

fn read_index(source: &dyn Source) -> Result<Index> {
    if source.len() > MAX_HEADER_BYTES {
        let expected = format!("at most {MAX_HEADER_BYTES} bytes");
        return Err(Error::invalid(
            "the size of the index",
            source.len(),
            expected,
        ));
    }
    let bytes = read_range(source, 0, source.len())?;
    let index: Index = header::parse(&bytes, "the index")?;
    match index.weight_map.0.is_empty() {
        true => Err(Error::invalid(
            "weight_map",
            "empty",
            "the files of tensors",
        )),
        false => Ok(index),
    }
}

/// A stranger's index must not lead out of its folder.
fn check_file_name(name: &str) -> Result<&str> {
    let plain = !name.is_empty() && !name.contains(['/', '\\', ':', '\0']);
    if plain && name != "." && name != ".." {
        return Ok(name);
    }
    let expected = "the name of a file beside the index";
    Err(Error::invalid(
        "a file of weight_map",
        format!("{name:?}"),
        expected,
    ))
}

fn check_all_there(wanted: &HashSet<&str>, found: &[Tensor], file: &str) -> Result<()> {
    if found.len() == wanted.len() {
        return Ok(());
    }
    let found: HashSet<&str> = found.iter().map(|t| t.name.as_str()).collect();
    let missing = wanted.difference(&found).min();
    let error = Error::MissingTensor {
        name: missing.map(|name| (*name).to_owned()).unwrap_or_default(),
        n_tensors: found.len(),
    };
    Err(error.in_file(Path::new(file)))
}
