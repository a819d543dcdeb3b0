//! The one place where bytes of a file are indexed. Every read says how much it needs and what for;
//! what does not lie within the file is an error that names both. Nothing is allocated for a length
//! that the file is too short to hold.

use crate::error::{Error, Result};
use crate::source::Source;

/// How much a source that is not in memory is read ahead: most headers in a few reads.
const WINDOW_BYTES: u64 = 256 << 10;

/// The order of the bytes of a number in a file, whatever the host's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Little,
    Big,
}

/// A cursor over a [`Source`]: over its memory where there is one, else over a window that slides.
pub(crate) struct Reader<'a> {
    source: &'a dyn Source,
    /// Of every number read from here on.
    pub(crate) order: Order,
    len: u64,
    pos: u64,
    mapped: Option<&'a [u8]>,
    window: Vec<u8>,
    window_start: u64,
}

/// A number as GGUF stores it.
pub(crate) trait Scalar: Sized {
    const N_BYTES: usize;
    /// `bytes` has exactly `N_BYTES` bytes.
    fn from_bytes(bytes: &[u8], order: Order) -> Self;
}

/// The reverse of [`Scalar`], always little-endian.
pub(crate) trait ToBytes {
    /// Appends the bytes, little-endian.
    fn put(&self, out: &mut Vec<u8>);
}

macro_rules! scalar {
    ($($t:ty),*) => {$(
        impl Scalar for $t {
            const N_BYTES: usize = size_of::<$t>();
            fn from_bytes(bytes: &[u8], order: Order) -> Self {
                let mut raw = [0; size_of::<$t>()];
                raw.copy_from_slice(bytes);
                match order {
                    Order::Little => <$t>::from_le_bytes(raw),
                    Order::Big => <$t>::from_be_bytes(raw),
                }
            }
        }

        impl ToBytes for $t {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
scalar!(u8, i8, u16, i16, u32, i32, f32, u64, i64, f64);

impl Scalar for bool {
    const N_BYTES: usize = 1;
    /// Any byte but 0 is true, as llama.cpp reads it.
    fn from_bytes(bytes: &[u8], _order: Order) -> Self {
        bytes[0] != 0
    }
}

impl ToBytes for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        let len = source.len();
        Reader {
            source,
            order: Order::Little,
            len,
            pos: 0,
            mapped: source
                .slice(0, len)
                .filter(|bytes| bytes.len() as u64 == len),
            window: Vec::new(),
            window_start: 0,
        }
    }

    /// The offset of the next byte to be read.
    pub(crate) fn pos(&self) -> u64 {
        self.pos
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.len - self.pos
    }

    fn truncated(&self, wanted: u64, what: &str) -> Error {
        Error::Truncated {
            what: what.into(),
            offset: self.pos,
            wanted,
            len: self.len,
        }
    }

    /// The next `n` bytes; `what` names them in the error when the file ends before.
    pub(crate) fn take(&mut self, n: u64, what: &str) -> Result<&[u8]> {
        if n > self.remaining() {
            return Err(self.truncated(n, what));
        }
        let start = self.pos;
        let count = usize::try_from(n).map_err(|_| self.truncated(n, what))?;
        self.pos += n;
        if let Some(bytes) = self.mapped {
            let start = start as usize; // the whole file is in memory, so offsets fit
            return Ok(&bytes[start..start + count]);
        }
        let window_end = self.window_start + self.window.len() as u64;
        if start < self.window_start || start + n > window_end {
            let wanted = n.max(WINDOW_BYTES).min(self.len - start);
            self.window.resize(wanted as usize, 0);
            self.window_start = start;
            self.source.read_at(start, &mut self.window)?;
        }
        let from = (start - self.window_start) as usize;
        Ok(&self.window[from..from + count])
    }

    pub(crate) fn scalar<T: Scalar>(&mut self, what: &str) -> Result<T> {
        let order = self.order;
        Ok(T::from_bytes(self.take(T::N_BYTES as u64, what)?, order))
    }

    /// `count` numbers in a row.
    pub(crate) fn scalars<T: Scalar>(&mut self, count: u64, what: &str) -> Result<Vec<T>> {
        let n_bytes = count
            .checked_mul(T::N_BYTES as u64)
            .ok_or_else(|| self.truncated(u64::MAX, what))?;
        let order = self.order;
        let numbers = self.take(n_bytes, what)?.chunks_exact(T::N_BYTES);
        Ok(numbers.map(|raw| T::from_bytes(raw, order)).collect())
    }
}

/// Checks that a file of `len` bytes does not end before its tensors do, of which it takes name and end in the
/// order of their data.
pub(crate) fn check_end<'a>(
    ends: impl Iterator<Item = (&'a str, u64)> + Clone,
    len: u64,
) -> Result<()> {
    let mut missing = ends.skip_while(|&(_, end)| end <= len);
    match missing.clone().last().zip(missing.next()) {
        None => Ok(()),
        Some(((_, expected), (first, _))) => Err(Error::CutOff {
            tensor: first.into(),
            len,
            expected,
        }),
    }
}
