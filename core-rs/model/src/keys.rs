//! Reads an architecture's keys (`{arch}.…`) with their limits. Files are hostile: every number that
//! sizes something is bounded here.

use puna_format::Metadata;

use crate::error::{Error, Result};

/// More than any model has; keeps a hostile header from asking for absurd work.
pub const MAX_LAYERS: usize = 4096;
pub const MAX_EXPERTS: usize = 4096;
pub const MAX_WIDTH: usize = 1 << 24;

/// Reads keys below `{arch}.`.
pub struct Keys<'a> {
    pub metadata: &'a Metadata,
    pub arch: &'a str,
}

impl Keys<'_> {
    pub fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    /// A number from 1 up.
    pub fn size(&self, key: &str) -> Result<Option<usize>> {
        match self.metadata.get_u32(&self.name(key))? {
            None => Ok(None),
            Some(n) => in_range(&self.name(key), n as usize, 1, MAX_WIDTH).map(Some),
        }
    }

    /// A number from 1 up where 0 says that there is none.
    pub fn size_or_none(&self, key: &str) -> Result<Option<usize>> {
        match self.metadata.get_u32(&self.name(key))? {
            Some(0) => Ok(None),
            _ => self.size(key),
        }
    }

    pub fn required(&self, key: &str) -> Result<usize> {
        let n = self.metadata.u32(&self.name(key))?;
        in_range(&self.name(key), n as usize, 1, MAX_WIDTH)
    }

    /// One number a layer, from a list or from one for all.
    pub fn per_layer(&self, key: &str, n_layer: usize) -> Result<Option<Vec<usize>>> {
        let name = self.name(key);
        self.metadata
            .get_u32_per_layer(&name, n_layer)?
            .map(|list| {
                list.into_iter()
                    .map(|n| in_range(&name, n as usize, 1, MAX_WIDTH))
                    .collect()
            })
            .transpose()
    }

    pub fn float(&self, key: &str) -> Result<Option<f32>> {
        match self.metadata.get_f32(&self.name(key))? {
            Some(x) if !x.is_finite() => Err(hparam(self.name(key), x, "a finite number")),
            x => Ok(x),
        }
    }

    pub fn positive(&self, key: &str) -> Result<Option<f32>> {
        match self.float(key)? {
            Some(x) if x <= 0.0 => Err(hparam(self.name(key), x, "a number above 0")),
            x => Ok(x),
        }
    }

    /// A number above 0 where 0 says that there is none.
    pub fn positive_or_none(&self, key: &str) -> Result<Option<f32>> {
        match self.float(key)? {
            Some(0.0) => Ok(None),
            _ => self.positive(key),
        }
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        Ok(self.metadata.get_bool(&self.name(key))?)
    }
}

pub fn in_range(name: &str, n: usize, min: usize, max: usize) -> Result<usize> {
    if (min..=max).contains(&n) {
        Ok(n)
    } else {
        Err(hparam(name, n, format!("{min} to {max}")))
    }
}

pub fn hparam(key: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Error {
    Error::Hparam {
        key: key.into(),
        value: value.to_string(),
        expected: expected.into(),
    }
}
