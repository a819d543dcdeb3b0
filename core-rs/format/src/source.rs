//! Where bytes come from: a memory map, a file read in pieces, or a buffer in memory. A reader asks
//! for ranges and never knows which; the browser adds its own (ranges of a `Blob` or over HTTP).
//!
//! The `unsafe` of this crate is here and in `source/`: mapping a file. A map is only as steady as its
//! file. If another program shortens a mapped file, touching a page behind the new end raises SIGBUS,
//! which no bounds check can see coming. So `Mmap` looks at the file's length whenever it hands out bytes
//! (once a millisecond, see [`Mmap::slice`]), and no longer does when the file is too short; `read_at`
//! copies from the file and not from the map, and names the shortened file in its error. Bytes held while
//! the file shrinks turn to zeros (`lost.rs`), and [`Source::intact`] tells. Writers that replace files by
//! rename, as [`crate::Writer`] does, are always safe, since the map keeps the old file; Windows refuses
//! to shorten a mapped file.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, IoContext, Result};

#[cfg(all(unix, not(target_family = "wasm")))]
mod lost;

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

    /// Asked when work with bytes of `slice` is done. Error: they were not those of the file all the time,
    /// so that what was made of them is worth nothing.
    fn intact(&self) -> Result<()> {
        Ok(())
    }

    /// A hint that these bytes will not be read again soon: a map gives their pages back.
    fn release(&self, _offset: u64, _len: u64) {}

    /// The file's name without its folder; `None` where there is none, or it is not UTF-8.
    fn name(&self) -> Option<&str> {
        None
    }

    /// The files that the bytes come from; none where they have no path.
    fn paths(&self) -> Vec<&Path> {
        vec![]
    }

    /// Opens the file of this name in the same folder, in the same way: for models in several files.
    fn beside(&self, name: &str) -> Result<Arc<dyn Source>> {
        let expected = "opened by path, so that files beside it can be found";
        Err(Error::invalid(
            format!("the source that refers to the file {name:?}"),
            "a buffer or stream without a folder",
            expected,
        ))
    }
}

/// Checks that `offset .. offset + wanted` lies within `len` bytes.
pub(crate) fn check_range(offset: u64, wanted: usize, len: u64) -> Result<()> {
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

/// Any range of a source: borrowed where it lies in memory, else read.
pub(crate) fn read_range(source: &dyn Source, offset: u64, n_bytes: u64) -> Result<Cow<'_, [u8]>> {
    if let Some(bytes) = source.slice(offset, n_bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let end = offset.checked_add(n_bytes);
    let fits = end.is_some_and(|end| end <= source.len());
    let count = usize::try_from(n_bytes).ok().filter(|_| fits);
    let Some(count) = count else {
        return Err(Error::Truncated {
            what: "a range".into(),
            offset,
            wanted: n_bytes,
            len: source.len(),
        });
    };
    let mut bytes = vec![0; count];
    source.read_at(offset, &mut bytes)?;
    Ok(Cow::Owned(bytes))
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
    path: PathBuf,
    len: u64,
}

impl FileSource {
    pub fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = open_regular(path)?;
            let len = file.metadata().doing("read the size of the file")?.len();
            Ok(FileSource {
                file: PositionedFile::new(file),
                path: path.to_path_buf(),
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
                    let error = Error::Truncated {
                        what: "a range of a file that became shorter while in use".into(),
                        offset,
                        wanted: buf.len() as u64,
                        len: offset + done as u64,
                    };
                    return Err(error.in_file(&self.path));
                }
                Ok(n) => done += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let error = Err(e).doing("read the file");
                    return error.map_err(|e: Error| e.in_file(&self.path));
                }
            }
        }
        Ok(())
    }

    fn slice(&self, _offset: u64, _len: u64) -> Option<&[u8]> {
        None
    }

    fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    fn paths(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn beside(&self, name: &str) -> Result<Arc<dyn Source>> {
        let path = self.path.with_file_name(name);
        Ok(Arc::new(FileSource::open(&path)?))
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
    #[cfg(unix)]
    watch: lost::Watch, // before the map, so that it goes first
    map: Option<memmap2::Mmap>, // None for an empty file, which cannot be mapped
    file: FileSource,
    opened: std::time::Instant,
    /// Microseconds since `opened` until which the file's length is taken to be as it was.
    fresh_until: std::sync::atomic::AtomicU64,
}

#[cfg(not(target_family = "wasm"))]
impl Mmap {
    pub fn open(path: &Path) -> Result<Self> {
        let file = FileSource::open(path)?;
        let map = match file.len {
            0 => None,
            _ => Some(Self::map(&file).map_err(|e| e.in_file(path))?),
        };
        Ok(Mmap {
            #[cfg(unix)]
            watch: lost::Watch::new(map.as_deref().unwrap_or(&[])),
            map,
            file,
            opened: std::time::Instant::now(),
            fresh_until: std::sync::atomic::AtomicU64::new(0),
        })
    }

    fn map(file: &FileSource) -> Result<memmap2::Mmap> {
        // SAFETY: the map is read-only and handed out only as `&[u8]` that borrows from it. That no
        // one else writes to the file meanwhile is the user's promise; pages that a shortened file
        // loses are `Watch`'s to fill (see above).
        let map = unsafe { memmap2::Mmap::map(&file.file.0) }.doing("map the file into memory")?;
        if map.len() as u64 >= file.len {
            return Ok(map);
        }
        let expected = format!("{}, as when it was opened", file.len);
        Err(Error::invalid("the size of the file", map.len(), expected))
    }

    fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }

    fn has_lost(&self) -> bool {
        #[cfg(unix)]
        return self.watch.has_lost();
        #[cfg(not(unix))]
        false
    }

    /// Whether the file is still as long as its map. Asking the system takes about as long as reading
    /// a row of floats, so it is asked once a millisecond.
    fn is_whole(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        const FRESH_US: u64 = 1000;
        if self.has_lost() {
            return false;
        }
        let now = self.opened.elapsed().as_micros() as u64;
        if now < self.fresh_until.load(Relaxed) {
            return true;
        }
        let metadata = self.file.file.0.metadata();
        let whole = metadata.is_ok_and(|now| now.len() >= self.file.len);
        if whole {
            self.fresh_until.store(now + FRESH_US, Relaxed);
        }
        whole
    }
}

#[cfg(not(target_family = "wasm"))]
impl Source for Mmap {
    fn len(&self) -> u64 {
        self.file.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, buf)
    }

    /// `None` also when the file has become shorter than it was: then `read_at` says so.
    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        sub_slice(self.bytes(), offset, len).filter(|_| self.is_whole())
    }

    fn intact(&self) -> Result<()> {
        if !self.has_lost() {
            return Ok(());
        }
        let expected = format!("{} bytes that do not change", self.len());
        let error = Error::invalid("the mapped file", "shorter, or unreadable", expected);
        Err(error.in_file(&self.file.path))
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

    fn name(&self) -> Option<&str> {
        self.file.name()
    }

    fn paths(&self) -> Vec<&Path> {
        self.file.paths()
    }

    fn beside(&self, name: &str) -> Result<Arc<dyn Source>> {
        let path = self.file.path.with_file_name(name);
        Ok(Arc::new(Mmap::open(&path)?))
    }
}
