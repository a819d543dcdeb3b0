//! Where the lowering asks for tensors, and the ledger of what was asked.

use std::collections::HashSet;

use puna_format::{DType, Gguf};

use crate::error::{Error, Result};

/// Answers the type of a tensor by name, checking that its shape (GGUF's order) is the wanted one.
pub trait Weights {
    /// `None` where the file has no such tensor.
    fn find(&mut self, name: &str, shape: &[usize]) -> Result<Option<DType>>;

    /// The values of a small tensor that becomes a table in the plan; `None` where absent.
    fn table(&mut self, name: &str, n: usize) -> Result<Option<Vec<f32>>>;

    /// Rows of a matrix; `None` where the file has no such tensor.
    fn rows(&self, name: &str) -> Option<usize>;

    /// Whether the file has the tensor, for forms that the file decides.
    fn has(&self, name: &str) -> bool;
}

/// The tensors of a file; [`FileWeights::finish`] refuses what nobody asked for.
pub struct FileWeights<'a> {
    gguf: &'a Gguf,
    used: HashSet<String>,
}

impl<'a> FileWeights<'a> {
    pub fn new(gguf: &'a Gguf) -> Self {
        FileWeights {
            gguf,
            used: HashSet::new(),
        }
    }

    /// Checks that every tensor of the file was used.
    pub fn finish(self, arch: &str) -> Result<()> {
        let unused: Vec<&str> = self
            .gguf
            .tensors()
            .map(|t| t.name.as_str())
            .filter(|name| !self.used.contains(*name))
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        Err(Error::UnusedTensors {
            arch: arch.into(),
            count: unused.len(),
            names: unused[..unused.len().min(5)].join(", "),
        })
    }
}

impl Weights for FileWeights<'_> {
    fn find(&mut self, name: &str, shape: &[usize]) -> Result<Option<DType>> {
        let Some(tensor) = self.gguf.tensor(name) else {
            return Ok(None);
        };
        // Trailing sizes of 1 say nothing: some writers add them.
        let found: Vec<u64> = tensor.shape.clone();
        let used_dims = found.iter().rposition(|&n| n != 1).map_or(1, |i| i + 1);
        let wanted: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        let wanted_dims = wanted.iter().rposition(|&n| n != 1).map_or(1, |i| i + 1);
        if found.get(..used_dims) != wanted.get(..wanted_dims) {
            return Err(Error::Shape {
                name: name.into(),
                found,
                expected: shape.to_vec(),
            });
        }
        self.used.insert(name.into());
        Ok(Some(tensor.dtype))
    }

    fn table(&mut self, name: &str, n: usize) -> Result<Option<Vec<f32>>> {
        match self.find(name, &[n])? {
            None => Ok(None),
            Some(_) => Ok(Some(self.gguf.dequantize(name)?)),
        }
    }

    fn rows(&self, name: &str) -> Option<usize> {
        let shape = &self.gguf.tensor(name)?.shape;
        Some(shape.get(1).map_or(1, |&n| n as usize))
    }

    fn has(&self, name: &str) -> bool {
        self.gguf.tensor(name).is_some()
    }
}
