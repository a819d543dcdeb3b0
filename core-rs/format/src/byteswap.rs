//! Tensor data of big-endian files, turned round as it is read, so that the codecs and every kernel
//! know one order only.
//!
//! A block is a row of fields; those wider than a byte are stored high byte first. Which fields are
//! wide is how ggml's code takes them on a big-endian machine (`research/llamacpp.md` 2.1 has the
//! layouts): where the block says bytes and the code copies four of them into a `u32`, the field is
//! four bytes wide. `IQ2_XXS` has no such layout: the same bytes are taken as a word when written and
//! one by one when read, so no big-endian machine makes sense of its own files.

use std::path::Path;
use std::sync::Arc;

use crate::DType;
use crate::error::{Error, Result};
use crate::gguf::TensorInfo;
use crate::source::Source;

/// Fields of a block in order: bytes of each, and how many such in a row.
type Fields = &'static [(usize, usize)];

/// `None`: no big-endian layout is known.
fn fields(dtype: DType) -> Option<Fields> {
    Some(match dtype {
        DType::I8 => &[(1, 1)],
        DType::F16 | DType::BF16 | DType::I16 => &[(2, 1)],
        DType::F32 | DType::I32 => &[(4, 1)],
        DType::F64 | DType::I64 => &[(8, 1)],
        DType::Q4_0 | DType::IQ4_NL => &[(2, 1), (1, 16)],
        DType::Q4_1 => &[(2, 2), (1, 16)],
        DType::Q5_0 => &[(2, 1), (4, 1), (1, 16)],
        DType::Q5_1 => &[(2, 2), (4, 1), (1, 16)],
        DType::Q8_0 => &[(2, 1), (1, 32)],
        DType::Q8_1 => &[(2, 2), (1, 32)],
        DType::Q2_K => &[(1, 80), (2, 2)],
        DType::Q3_K => &[(1, 108), (2, 1)],
        DType::Q4_K => &[(2, 2), (1, 140)],
        DType::Q5_K => &[(2, 2), (1, 172)],
        DType::Q6_K => &[(1, 208), (2, 1)],
        DType::Q8_K => &[(4, 1), (1, 256), (2, 16)],
        DType::IQ1_S => &[(2, 1), (1, 32), (2, 8)],
        DType::IQ1_M => &[(1, 48), (2, 4)],
        DType::IQ2_XS => &[(2, 33), (1, 8)],
        DType::IQ2_S => &[(2, 1), (1, 80)],
        DType::IQ3_XXS => &[(2, 1), (1, 64), (4, 8)],
        DType::IQ3_S => &[(2, 1), (1, 108)],
        DType::IQ4_XS => &[(2, 2), (1, 132)],
        DType::TQ1_0 => &[(1, 52), (2, 1)],
        DType::TQ2_0 => &[(1, 64), (2, 1)],
        DType::MXFP4 => &[(1, 17)],
        DType::NVFP4 => &[(1, 36)],
        DType::Q1_0 | DType::Q2_0 => &[(2, 1), (1, 16)],
        _ => return None,
    })
}

/// Turns whole blocks round.
fn swap_blocks(fields: Fields, blocks: &mut [u8]) {
    match fields {
        [(2, 1)] => swap_all::<2>(blocks),
        [(4, 1)] => swap_all::<4>(blocks),
        [(8, 1)] => swap_all::<8>(blocks),
        fields => {
            let block_bytes = fields.iter().map(|(width, count)| width * count).sum();
            for block in blocks.chunks_exact_mut(block_bytes) {
                swap_fields(fields, block);
            }
        }
    }
}

fn swap_fields(fields: Fields, block: &mut [u8]) {
    let mut rest = block;
    for &(width, count) in fields {
        let (run, after) = rest.split_at_mut(width * count);
        if width > 1 {
            run.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        rest = after;
    }
}

fn swap_all<const WIDTH: usize>(numbers: &mut [u8]) {
    for number in numbers.as_chunks_mut::<WIDTH>().0 {
        number.reverse();
    }
}

/// Bytes of the largest block (Q8_K), for the one a range begins or ends in.
const MAX_BLOCK_BYTES: usize = 292;

/// Where a tensor lies that has to be turned round.
struct Span {
    start: u64,
    end: u64,
    block_bytes: u64,
    fields: Fields,
}

/// A big-endian file that reads as if it were little-endian, but for its header.
pub(crate) struct Swapped {
    inner: Arc<dyn Source>,
    spans: Vec<Span>, // in the order of the file, apart from each other
}

impl Swapped {
    /// `tensors` with absolute offsets. Error: a type of which no big-endian layout is known.
    pub(crate) fn new(inner: Arc<dyn Source>, tensors: &[TensorInfo]) -> Result<Self> {
        let mut spans = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let fields = fields(tensor.dtype).ok_or_else(|| unsupported(tensor))?;
            if let [(1, _)] = fields {
                continue; // bytes only: as they are
            }
            spans.push(Span {
                start: tensor.offset,
                end: tensor.offset + tensor.n_bytes,
                block_bytes: tensor.dtype.block_bytes() as u64,
                fields,
            });
        }
        spans.sort_by_key(|span| span.start);
        Ok(Swapped { inner, spans })
    }

    /// Turns round what `buf`, read from `offset`, has of a span.
    fn swap(&self, span: &Span, offset: u64, buf: &mut [u8]) -> Result<()> {
        let from = offset.max(span.start);
        let to = (offset + buf.len() as u64).min(span.end);
        let block_of =
            |at: u64| span.start + (at - span.start) / span.block_bytes * span.block_bytes;
        let mut at = from;
        while at < to {
            let block = block_of(at);
            let whole_end = block_of(to);
            let n = if block == at && whole_end > at {
                let n = (whole_end - at) as usize;
                swap_blocks(span.fields, &mut buf[(at - offset) as usize..][..n]);
                n
            } else {
                let mut whole = [0; MAX_BLOCK_BYTES];
                let whole = &mut whole[..span.block_bytes as usize];
                self.inner.read_at(block, whole)?;
                swap_fields(span.fields, whole);
                let skip = (at - block) as usize;
                let n = (whole.len() - skip).min((to - at) as usize);
                buf[(at - offset) as usize..][..n].copy_from_slice(&whole[skip..skip + n]);
                n
            };
            at += n as u64;
        }
        Ok(())
    }
}

fn unsupported(tensor: &TensorInfo) -> Error {
    let known = DType::all().iter().copied();
    let error = Error::Unsupported {
        action: "read big-endian data of",
        dtype: tensor.dtype,
        supported: known.filter(|&t| fields(t).is_some()).collect(),
    };
    error.in_tensor(&tensor.name)
}

impl Source for Swapped {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, buf)?;
        let end = offset + buf.len() as u64;
        let first = self.spans.partition_point(|span| span.end <= offset);
        for span in self.spans[first..].iter().take_while(|s| s.start < end) {
            self.swap(span, offset, buf)?;
        }
        Ok(())
    }

    /// Only what needs no turning is there as it should be.
    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let end = offset.checked_add(len)?;
        let first = self.spans.partition_point(|span| span.end <= offset);
        match self.spans.get(first) {
            Some(span) if span.start < end => None,
            _ => self.inner.slice(offset, len),
        }
    }

    fn intact(&self) -> Result<()> {
        self.inner.intact()
    }

    fn release(&self, offset: u64, len: u64) {
        self.inner.release(offset, len);
    }

    fn name(&self) -> Option<&str> {
        self.inner.name()
    }

    fn paths(&self) -> Vec<&Path> {
        self.inner.paths()
    }

    fn beside(&self, name: &str) -> Result<Arc<dyn Source>> {
        self.inner.beside(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Bytes;

    #[test]
    fn fields_fill_the_block_of_every_type() {
        for &dtype in DType::all() {
            let Some(fields) = fields(dtype) else {
                assert_eq!(dtype, DType::IQ2_XXS);
                continue;
            };
            let n: usize = fields.iter().map(|(width, count)| width * count).sum();
            assert_eq!(n, dtype.block_bytes(), "{dtype}");
            assert!(n <= MAX_BLOCK_BYTES);
        }
    }

    #[test]
    fn any_range_reads_as_the_whole_does() {
        let raw: Vec<u8> = (0..400u32).map(|i| (i * 37 % 251) as u8).collect();
        let tensor = |dtype: DType, offset: u64, blocks: u64| TensorInfo {
            name: "t".into(),
            dtype,
            shape: vec![blocks * dtype.block_len() as u64],
            offset,
            n_bytes: blocks * dtype.block_bytes() as u64,
        };
        let tensors = [
            tensor(DType::F32, 32, 5),
            tensor(DType::Q5_0, 64, 4),
            tensor(DType::MXFP4, 160, 3),
            tensor(DType::F64, 224, 2),
        ];
        let source = Swapped::new(Arc::new(Bytes::new(raw.clone())), &tensors).unwrap();
        let mut whole = vec![0; 400];
        source.read_at(0, &mut whole).unwrap();
        let q5 = [
            raw[65], raw[64], raw[69], raw[68], raw[67], raw[66], raw[70],
        ];
        assert_eq!(whole[64..71], q5);
        assert_eq!(whole[..32], raw[..32]);
        assert_eq!(source.slice(160, 51).unwrap(), &raw[160..211]);
        assert!(source.slice(60, 5).is_none());
        for from in 0..400 {
            for to in from..400 {
                let mut part = vec![0; to - from];
                source.read_at(from as u64, &mut part).unwrap();
                assert_eq!(part, whole[from..to], "{from}..{to}");
            }
        }
    }
}
