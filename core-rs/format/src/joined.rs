//! Several files as one: their bytes in a row. A model in parts is read through this, so that whoever
//! has a tensor's offset needs not know in which file it lies.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::source::{Source, check_range};

/// Sources one behind the other. A slice never reaches over the end of one.
pub(crate) struct Joined {
    parts: Vec<Part>,
    len: u64,
}

struct Part {
    start: u64,
    source: Arc<dyn Source>,
}

impl Joined {
    /// Error: more than 2^63 bytes in all.
    pub(crate) fn new(sources: Vec<Arc<dyn Source>>) -> Result<Self> {
        let mut joined = Joined {
            parts: Vec::with_capacity(sources.len()),
            len: 0,
        };
        for source in sources {
            let start = joined.len;
            let end = start.checked_add(source.len());
            joined.len = end.filter(|&n| n <= i64::MAX as u64).ok_or_else(|| {
                Error::invalid("size of all parts", "over 2^63 bytes", "less than that")
            })?;
            joined.parts.push(Part { start, source });
        }
        Ok(joined)
    }

    /// Where part `i` begins.
    pub(crate) fn start(&self, i: usize) -> u64 {
        self.parts[i].start
    }

    /// The part that holds `offset`, and the place within it; past the end the last part.
    fn part_at(&self, offset: u64) -> Option<(&Part, u64)> {
        let behind = self.parts.partition_point(|part| part.start <= offset);
        let part = self.parts.get(behind.checked_sub(1)?)?;
        Some((part, offset - part.start))
    }
}

impl Source for Joined {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_range(offset, buf.len(), self.len)?;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            // The range lies within the whole, so some part holds `at`.
            let Some((part, local)) = self.part_at(at) else {
                return Ok(());
            };
            let left = part.source.len() - local;
            let n = left.min(rest.len() as u64) as usize;
            let (now, later) = rest.split_at_mut(n);
            part.source.read_at(local, now)?;
            at += n as u64;
            rest = later;
        }
        Ok(())
    }

    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let (part, local) = self.part_at(offset)?;
        part.source.slice(local, len)
    }

    fn intact(&self) -> Result<()> {
        self.parts.iter().try_for_each(|part| part.source.intact())
    }

    fn release(&self, offset: u64, len: u64) {
        let Some(end) = offset.checked_add(len) else {
            return;
        };
        for part in &self.parts {
            let part_end = part.start + part.source.len();
            let (from, to) = (offset.max(part.start), end.min(part_end));
            if from < to {
                part.source.release(from - part.start, to - from);
            }
        }
    }

    fn name(&self) -> Option<&str> {
        self.parts.first()?.source.name()
    }

    fn paths(&self) -> Vec<&Path> {
        self.parts.iter().flat_map(|p| p.source.paths()).collect()
    }

    fn beside(&self, name: &str) -> Result<Arc<dyn Source>> {
        match self.parts.first() {
            Some(part) => part.source.beside(name),
            None => Err(Error::invalid("number of parts", 0, "at least 1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Bytes;

    #[test]
    fn reads_reach_over_the_ends_of_parts_and_slices_do_not() {
        let parts = [&[0u8, 1, 2][..], &[], &[3], &[4, 5]];
        let sources = parts.map(|p| Arc::new(Bytes::new(p)) as Arc<dyn Source>);
        let joined = Joined::new(sources.to_vec()).unwrap();
        assert_eq!((joined.len(), joined.start(3)), (6, 4));
        for from in 0..=6 {
            for to in from..=6 {
                let mut buf = vec![9; to - from];
                joined.read_at(from as u64, &mut buf).unwrap();
                assert!(buf.iter().enumerate().all(|(i, &x)| x == (from + i) as u8));
            }
        }
        assert!(joined.read_at(5, &mut [0; 2]).is_err());
        assert_eq!(joined.slice(1, 2).unwrap(), [1, 2]);
        assert_eq!(joined.slice(3, 1).unwrap(), [3]);
        assert!(joined.slice(2, 2).is_none());
        assert!(joined.slice(6, 1).is_none());
        joined.release(0, u64::MAX);
    }
}
