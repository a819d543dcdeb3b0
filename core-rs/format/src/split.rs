//! Cutting a model into parts and putting one together: what llama.cpp's `gguf-split` does. Tensors go
//! through in pieces, so no file has to fit in memory.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::gguf::{Gguf, TensorInfo};
use crate::header::ALIGNMENT_KEY;
use crate::metadata::Metadata;
use crate::new_file::NewFile;
use crate::parts::{COUNT_KEY, NO_KEY, PartName, TENSORS_KEY};
use crate::writer::{WriteProgress, Writer};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 8 << 20;
/// A part's name has five digits, but its count is 16 bits.
const MAX_PARTS: usize = u16::MAX as usize;
/// Parts that keep their lock until all are written; systems let a process have 256 files and more. From the
/// 129th on, finished parts lie unlocked: another writer of the same name may take them for abandoned and
/// remove them, and `put_in_place` fails then.
const MAX_OPEN: usize = 128;

/// When a part is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartLimit {
    /// After so many tensors (`--split-max-tensors`; llama.cpp's default is 128).
    Tensors(usize),
    /// Before its tensors, padded, exceed so many bytes (`--split-max-size`). A tensor larger than that
    /// has a part of its own.
    Bytes(u64),
}

/// How a model is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SplitOptions {
    pub limit: PartLimit,
    /// The first part has metadata only (`--no-tensor-first-split`), so that it stays small.
    pub no_tensor_first: bool,
}

/// Which tensors go into which part, in the order of [`Gguf::tensors`].
///
/// Errors: a limit of 0; more than 65535 parts.
pub fn plan_split(src: &Gguf, options: &SplitOptions) -> Result<Vec<Range<usize>>> {
    if let PartLimit::Tensors(0) | PartLimit::Bytes(0) = options.limit {
        return Err(Error::invalid("the limit of a part", 0, "at least 1"));
    }
    let mut parts = Vec::new();
    if options.no_tensor_first {
        parts.push(0..0);
    }
    let (mut first, mut n_bytes) = (0, 0u64);
    for (i, tensor) in src.tensors().enumerate() {
        let padded = tensor.n_bytes.next_multiple_of(src.alignment);
        let full = match options.limit {
            PartLimit::Tensors(most) => i - first >= most,
            PartLimit::Bytes(most) => i > first && n_bytes.saturating_add(padded) > most,
        };
        if full {
            parts.push(first..i);
            (first, n_bytes) = (i, 0);
        }
        n_bytes = n_bytes.saturating_add(padded);
    }
    let n_tensors = src.tensors().len();
    if first < n_tensors || parts.is_empty() {
        parts.push(first..n_tensors);
    }
    if parts.len() > MAX_PARTS {
        let expected = format!("at most {MAX_PARTS}: give each part more");
        return Err(Error::invalid("number of parts", parts.len(), expected));
    }
    Ok(parts)
}

/// Cuts a model into `PREFIX-00001-of-0000N.gguf` and so on, and returns their paths. All of them are
/// written before any has its name, so a full disk leaves none.
///
/// Errors: as for [`plan_split`]; a prefix without a file name; the disk.
pub fn split_file(
    src: &Gguf,
    prefix: &Path,
    options: &SplitOptions,
    progress: &mut dyn FnMut(WriteProgress),
) -> Result<Vec<PathBuf>> {
    let plan = plan_split(src, options)?;
    let tensors: Vec<&TensorInfo> = src.tensors().collect();
    let n_bytes = |tensors: &[&TensorInfo]| tensors.iter().map(|t| t.n_bytes).sum::<u64>();
    let mut told = |range: Range<usize>, now: WriteProgress| {
        progress(WriteProgress {
            tensors_done: range.start + now.tensors_done,
            n_tensors: tensors.len(),
            bytes_done: n_bytes(&tensors[..range.start]) + now.bytes_done,
            n_bytes: n_bytes(&tensors),
            ..now
        });
    };
    let write = |metadata, range| copying(src, metadata, &tensors[range]);
    write_parts(prefix, &src.metadata, &plan, &write, &mut told)
}

/// Writes parts by the writer that `writer(metadata of the part, its tensors)` makes. `progress` is told
/// the part's tensors, and how far the part is.
pub(crate) fn write_parts<'a>(
    prefix: &Path,
    metadata: &Metadata,
    plan: &[Range<usize>],
    writer: &dyn Fn(Metadata, Range<usize>) -> Result<Writer<'a>>,
    progress: &mut dyn FnMut(Range<usize>, WriteProgress),
) -> Result<Vec<PathBuf>> {
    let count = plan.len();
    let n_tensors = plan.last().map_or(0, |range| range.end);
    let paths = part_paths(prefix, count)?;
    let mut written = Vec::new();
    for (no, range) in plan.iter().enumerate() {
        let metadata = part_metadata(metadata, n_tensors, no, count);
        let mut told = |now: WriteProgress| {
            // The end of a part is not the end.
            if no + 1 == count || !now.tensor.is_empty() {
                progress(range.clone(), now);
            }
        };
        let writer = writer(metadata, range.clone())?;
        let mut new = writer.write_beside(&paths[no], &mut told)?;
        if no >= MAX_OPEN {
            new.close();
        }
        written.push(new);
    }
    written.into_iter().try_for_each(NewFile::put_in_place)?;
    Ok(paths)
}

/// Where so many parts lie. Error: a prefix without a file name.
pub(crate) fn part_paths(prefix: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let stem = prefix.file_name().and_then(|name| name.to_str());
    let prefix_name = stem.ok_or_else(|| {
        let expected = "a path that ends in a name of valid UTF-8";
        Error::invalid("the prefix of the parts", prefix.display(), expected)
    })?;
    let name = |no| PartName {
        prefix: prefix_name,
        no,
        count,
    };
    let path = |no| prefix.with_file_name(name(no).to_string());
    Ok((0..count).map(path).collect())
}

/// Writes a model, of several parts as a rule, as one file, little-endian and of version 3.
pub fn merge_file(src: &Gguf, dst: &Path, progress: &mut dyn FnMut(WriteProgress)) -> Result<()> {
    let tensors: Vec<&TensorInfo> = src.tensors().collect();
    copying(src, src.metadata.clone(), &tensors)?.write(dst, progress)
}

/// The first part has all metadata; the others only what tells how their data lies.
fn part_metadata(whole: &Metadata, n_tensors: usize, no: usize, count: usize) -> Metadata {
    let mut metadata = match no {
        0 => whole.clone(),
        _ => Metadata::new(),
    };
    if let Some(alignment) = whole.get(ALIGNMENT_KEY) {
        metadata.set(ALIGNMENT_KEY, alignment.clone());
    }
    metadata.set(NO_KEY, no as u16);
    metadata.set(COUNT_KEY, count as u16);
    metadata.set(TENSORS_KEY, n_tensors as i32);
    metadata
}

/// A writer of tensors as they are.
fn copying<'a>(
    src: &'a Gguf,
    metadata: Metadata,
    tensors: &[&'a TensorInfo],
) -> Result<Writer<'a>> {
    let mut writer = Writer::with_metadata(metadata);
    for &tensor in tensors {
        let copy = move |out: &mut dyn Write| copy_tensor(src, tensor, out);
        writer.add_tensor_with(&tensor.name, tensor.dtype, &tensor.shape, copy)?;
    }
    Ok(writer)
}

fn copy_tensor(src: &Gguf, tensor: &TensorInfo, out: &mut dyn Write) -> Result<()> {
    let mut done = 0;
    while done < tensor.n_bytes {
        let n = COPY_BYTES.min(tensor.n_bytes - done);
        src.copy_range(tensor.offset + done, n, out)
            .map_err(|e| e.in_tensor(&tensor.name))?;
        done += n;
    }
    Ok(())
}
