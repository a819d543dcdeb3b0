//! Where bytes come from: a memory map, a file read in pieces, or a buffer in memory. A reader asks
//! for ranges and never knows which; the browser adds its own (ranges of a `Blob` or over HTTP).
//!
//! The one `unsafe` of this crate is here: mapping a file. A map is only as steady as its file. If
//! another program shortens a mapped file, touching a page behind the new end raises SIGBUS, which no
//! bounds check can see coming. `Mmap` therefore takes its length once, when it is made, and every
//! range is checked against it: a file that grows, or whose header lies, is harmless; a file that
//! shrinks while it is in use is not. Writers that replace files by rename, as [`crate::Writer`]
//! does, are safe, since the map keeps the old file. `FileSource` reports a shrunken file as an error.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, IoContext, Result};

/// Random access to the bytes of a file that does not change.
pub trait Source: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`. Error: the range does not lie within the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// The bytes themselves, where they already lie in memory; `None` where they must be read, or
    /// where the range does not lie within the file.
    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]>;

    /// A hint that these bytes will not be read again soon: a map gives their pages back.
    fn release(&self, _offset: u64, _len: u64) {}
}

/// Checks that `offset .. offset + wanted` lies within `len` bytes.
fn check_range(offset: u64, wanted: usize, len: u64) -> Result<()> {
    match offset.checked_add(wanted as u64) {
        Some(end) if end <= len => Ok(()),
        _ => Err(Error::Truncated {
            what: "a range".into(),
            offset,
            wanted: wanted as u64,
            len,
        }),
    }
}

fn sub_slice(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    bytes.get(start..end)
}

/// A buffer in memory.
pub struct Bytes(Vec<u8>);

impl Bytes {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Bytes(bytes.into())
    }
}

impl Source for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_range(offset, buf.len(), self.len())?;
        let start = offset as usize;
        buf.copy_from_slice(&self.0[start..start + buf.len()]);
        Ok(())
    }

    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        sub_slice(&self.0, offset, len)
    }
}

/// A file read in pieces, on every platform. The length is taken when the file is opened.
pub struct FileSource {
    file: PositionedFile,
    len: u64,
}

impl FileSource {
    pub fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = open_regular(path)?;
            let len = file.metadata().doing("read the size of the file")?.len();
            Ok(FileSource {
                file: PositionedFile::new(file),
                len,
            })
        };
        open().map_err(|e: Error| e.in_file(path))
    }
}

impl Source for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_range(offset, buf.len(), self.len)?;
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(offset + done as u64, &mut buf[done..]) {
                Ok(0) => {
                    return Err(Error::Truncated {
                        what: "a range of a file that became shorter while in use".into(),
                        offset,
                        wanted: buf.len() as u64,
                        len: offset + done as u64,
                    });
                }
                Ok(n) => done += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).doing("read the file"),
            }
        }
        Ok(())
    }

    fn slice(&self, _offset: u64, _len: u64) -> Option<&[u8]> {
        None
    }
}

/// Opening a directory succeeds on Unix and fails later with a puzzling message: say it here.
fn open_regular(path: &Path) -> Result<File> {
    let file = File::open(path).doing("open the file")?;
    if file.metadata().doing("look at the file")?.is_dir() {
        return Err(Error::invalid("the path", "a directory", "a file"));
    }
    Ok(file)
}

/// Reading at a position without a shared cursor, so that threads do not wait for each other.
#[cfg(unix)]
struct PositionedFile(File);

#[cfg(unix)]
impl PositionedFile {
    fn new(file: File) -> Self {
        PositionedFile(file)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }
}

#[cfg(windows)]
struct PositionedFile(File);

#[cfg(windows)]
impl PositionedFile {
    fn new(file: File) -> Self {
        PositionedFile(file)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.0, buf, offset)
    }
}

/// Elsewhere one cursor, behind a lock.
#[cfg(not(any(unix, windows)))]
struct PositionedFile(std::sync::Mutex<File>);

#[cfg(not(any(unix, windows)))]
impl PositionedFile {
    fn new(file: File) -> Self {
        PositionedFile(std::sync::Mutex::new(file))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.0.lock().unwrap_or_else(|e| e.into_inner());
        file.seek(SeekFrom::Start(offset))?;
        file.read(buf)
    }
}

/// A read-only map of a whole file: pages come from the page cache when touched, and no copy is made.
#[cfg(not(target_family = "wasm"))]
pub struct Mmap {
    map: Option<memmap2::Mmap>, // None for an empty file, which cannot be mapped
}

#[cfg(not(target_family = "wasm"))]
impl Mmap {
    pub fn open(path: &Path) -> Result<Self> {
        Self::map(path).map_err(|e| e.in_file(path))
    }

    fn map(path: &Path) -> Result<Self> {
        let file = open_regular(path)?;
        if file.metadata().doing("read the size of the file")?.len() == 0 {
            return Ok(Mmap { map: None });
        }
        // SAFETY: the map is read-only and handed out only as `&[u8]` that borrows from it. That no
        // one else writes to or shortens the file meanwhile is the user's promise (see above).
        let map = unsafe { memmap2::Mmap::map(&file) }.doing("map the file into memory")?;
        Ok(Mmap { map: Some(map) })
    }

    fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

#[cfg(not(target_family = "wasm"))]
impl Source for Mmap {
    fn len(&self) -> u64 {
        self.bytes().len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_range(offset, buf.len(), self.len())?;
        let start = offset as usize;
        buf.copy_from_slice(&self.bytes()[start..start + buf.len()]);
        Ok(())
    }

    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        sub_slice(self.bytes(), offset, len)
    }

    #[cfg(unix)]
    fn release(&self, offset: u64, len: u64) {
        const PAGE_BYTES: u64 = 1 << 16; // the largest page in use (64 KiB, on some ARM and POWER)
        let start = offset.next_multiple_of(PAGE_BYTES);
        let end = offset.saturating_add(len).min(self.len()) / PAGE_BYTES * PAGE_BYTES;
        let (Some(map), true) = (&self.map, start < end) else {
            return;
        };
        let advice = memmap2::UncheckedAdvice::DontNeed;
        // SAFETY: the map is of a file, shared and read-only, so pages given back are read again from
        // the file on the next touch: what `slice` handed out keeps its contents.
        let _hint =
            unsafe { map.unchecked_advise_range(advice, start as usize, (end - start) as usize) };
    }
}
