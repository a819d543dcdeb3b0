//! Models in several files: `NAME-00001-of-00003.gguf` and so on. Each is a GGUF file of its own with
//! some of the tensors; the first has the metadata of all, and opening it opens the rest. Names and
//! keys are llama.cpp's (`research/llamacpp.md` section 8).

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::header::Part;
use crate::metadata::Metadata;
use crate::source::Source;

/// Which part this is, from 0 (u16).
pub(crate) const NO_KEY: &str = "split.no";
/// Parts in all (u16). Absent, 0 or 1: the file is whole.
pub(crate) const COUNT_KEY: &str = "split.count";
/// Tensors in all parts together (i32).
pub(crate) const TENSORS_KEY: &str = "split.tensors.count";

/// The name of a part taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartName<'a> {
    pub prefix: &'a str,
    /// From 0, as in `split.no`; the name itself counts from 1.
    pub no: usize,
    pub count: usize,
}

impl<'a> PartName<'a> {
    /// `None`: not the name of a part.
    pub fn parse(file_name: &'a str) -> Option<Self> {
        let stem = file_name.strip_suffix(".gguf")?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (prefix, no) = rest.rsplit_once('-')?;
        let number = |digits: &str| match digits.len() {
            5 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<usize>().ok(),
            _ => None,
        };
        let (no, count) = (number(no)?, number(count)?);
        let no = no.checked_sub(1).filter(|&no| no < count)?;
        Some(PartName { prefix, no, count })
    }
}

impl std::fmt::Display for PartName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}-{:05}-of-{:05}.gguf",
            self.prefix,
            self.no + 1,
            self.count
        )
    }
}

/// All parts of the model that `first` begins: `first` alone where it is whole.
///
/// Errors: `first` is another part than the first; its name is not that of a part; a part is missing,
/// broken, or not the one its name says.
pub(crate) fn open_all(first: Part) -> Result<Vec<Part>> {
    let count = first.metadata().get_u32(COUNT_KEY)?.unwrap_or(0) as usize;
    if count < 2 {
        return Ok(vec![first]);
    }
    let source = first.source().clone();
    let name = first_name(source.name(), first.metadata(), count)?;
    let mut parts = vec![first];
    for no in 1..count {
        let file_name = PartName { no, ..name }.to_string();
        let part = source.beside(&file_name)?;
        let part = Part::open(part).and_then(|part| check(part, no, count));
        parts.push(part.map_err(|e| e.in_file(Path::new(&file_name)))?);
    }
    Ok(parts)
}

/// The name of the first part, from what was opened.
fn first_name<'a>(
    file_name: Option<&'a str>,
    metadata: &Metadata,
    count: usize,
) -> Result<PartName<'a>> {
    let name = file_name.and_then(PartName::parse);
    let no = metadata.u32(NO_KEY)?;
    if no != 0 {
        let first = name.map(|name| PartName { no: 0, ..name }.to_string());
        let first = first.unwrap_or_else(|| format!("*-00001-of-{count:05}.gguf"));
        let expected = format!("0: open the first part, {first}, which opens the others");
        return Err(Error::invalid(NO_KEY, no, expected));
    }
    match (name, file_name) {
        (Some(name), _) if name.no == 0 && name.count == count => Ok(name),
        (_, Some(found)) => {
            let what = format!("the name of the first of {count} parts");
            let expected = format!("a name that ends in -00001-of-{count:05}.gguf");
            Err(Error::invalid(what, format!("{found:?}"), expected))
        }
        (_, None) => {
            let expected = "0 or 1 where there is no file name to find other parts by";
            Err(Error::invalid(COUNT_KEY, count, expected))
        }
    }
}

/// Parts that the caller has found, in order.
pub(crate) fn open_given(sources: Vec<Arc<dyn Source>>) -> Result<Vec<Part>> {
    let count = sources.len();
    let open = |(no, source): (usize, Arc<dyn Source>)| {
        let name = source.name().map(str::to_owned);
        let name = name.unwrap_or_else(|| format!("part {} of {count}", no + 1));
        let part = Part::open(source).and_then(|part| check(part, no, count));
        part.map_err(|e| e.in_file(Path::new(&name)))
    };
    sources.into_iter().enumerate().map(open).collect()
}

/// Whether a part is the one that belongs here; a whole file is the only part.
fn check(part: Part, no: usize, count: usize) -> Result<Part> {
    if count == 1 && part.metadata().get_u32(COUNT_KEY)?.unwrap_or(0) < 2 {
        return Ok(part);
    }
    for (key, expected) in [(NO_KEY, no), (COUNT_KEY, count)] {
        let found = part.metadata().u32(key)?;
        if found as usize != expected {
            let expected = format!("{expected} for part {} of {count}", no + 1);
            return Err(Error::invalid(key, found, expected));
        }
    }
    Ok(part)
}

/// Takes the keys that speak of parts out of what is one model now. Error: the parts hold another
/// number of tensors than the first promised.
pub(crate) fn join_metadata(metadata: &mut Metadata, n_tensors: usize) -> Result<()> {
    if !metadata.contains(COUNT_KEY) {
        return Ok(());
    }
    if let Some(promised) = metadata
        .get_u64(TENSORS_KEY)?
        .filter(|&n| n != n_tensors as u64)
    {
        let what = "number of tensors in all parts";
        let expected = format!("{promised}, by {TENSORS_KEY} of the first part");
        return Err(Error::invalid(what, n_tensors, expected));
    }
    for key in [NO_KEY, COUNT_KEY, TENSORS_KEY] {
        metadata.remove(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        let name = PartName::parse("a-of-b-00002-of-00003.gguf").unwrap();
        assert_eq!((name.prefix, name.no, name.count), ("a-of-b", 1, 3));
        assert_eq!(name.to_string(), "a-of-b-00002-of-00003.gguf");
        for other in [
            "a.gguf",
            "a-2-of-3.gguf",
            "a-00000-of-00003.gguf",
            "a-00004-of-00003.gguf",
            "a-+0001-of-00003.gguf",
            "a-00001-of-00003.safetensors",
            "00001-of-00003.gguf",
        ] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }
}
