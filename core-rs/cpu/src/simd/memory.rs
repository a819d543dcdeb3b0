//! Memory that workers share: activations, the cache, packed weights, scratch.
//!
//! A [`Shared`] hands out `&mut` pieces through `&self`, which the compiler cannot check. The
//! promise is kept by how ops are run: between two barriers each element is either read by workers
//! or written by exactly one of them. Plans help, since no op reads the arena that it writes
//! (`puna_graph::plan`), and ops deal rows and groups of rows to workers so that none gets two.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use puna_graph::{Error, Result};

/// Plain numbers: zero bytes are a value, and nothing needs dropping.
pub(crate) trait Number: Copy + Send + Sync + 'static {}
impl Number for u8 {}
impl Number for i8 {}
impl Number for i32 {}
impl Number for f32 {}

/// Cache lines; a vector never crosses one.
const ALIGN: usize = 64;
/// From this size on memory is aligned to and asked for in huge pages: fewer page faults while
/// packing, fewer TLB misses while streaming.
const HUGE: usize = 2 << 20;

/// Zeroed, aligned numbers that several workers may write, each its own part.
pub(crate) struct Shared<T: Number> {
    start: NonNull<T>,
    len: usize,
    /// Keeps the bytes alive.
    _chunk: Arc<Chunk>,
}

/// Zeroed bytes of the system's, given back when dropped.
struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

/// A bump allocator for what lasts as long as the executor: blocks of any size side by side in huge pages. A map
/// for each block would leave its end in small pages: a fifth of a model of a billion weights, whose TLB misses
/// are 2 % of a decoded token (Zen 5). A chunk is given back with the last of its blocks.
#[derive(Default)]
pub(crate) struct Bump {
    chunk: Option<Arc<Chunk>>,
    used: usize,
}

/// Bytes of a chunk for a block of `n_bytes`: many, where the system gives only those that are touched and
/// addresses are plenty; else each block has a chunk of its own.
fn chunk_bytes(n_bytes: usize) -> Option<usize> {
    const MANY: usize = 256 << 20;
    match cfg!(all(target_os = "linux", target_pointer_width = "64")) {
        true => n_bytes.max(MANY).checked_next_multiple_of(HUGE),
        false => Some(n_bytes),
    }
}

// SAFETY: `Number`s have no threads of their own; who may touch what when is the promise above.
unsafe impl<T: Number> Send for Shared<T> {}
// SAFETY: the same.
unsafe impl<T: Number> Sync for Shared<T> {}
// SAFETY: bytes that anyone may free, once.
unsafe impl Send for Chunk {}
// SAFETY: they are reached through `Shared` alone.
unsafe impl Sync for Chunk {}

/// The bytes of `len` numbers, some at least.
fn n_bytes<T>(len: usize) -> Result<usize> {
    len.max(1)
        .checked_mul(size_of::<T>())
        .ok_or_else(|| no_room::<T>(len))
}

fn no_room<T>(len: usize) -> Error {
    Error::Memory {
        executor: "cpu".into(),
        message: format!("no room: {len} numbers of {} bytes", size_of::<T>()),
    }
}

impl Chunk {
    /// `None`: the system has no room.
    fn new(n_bytes: usize) -> Option<Arc<Chunk>> {
        let align = if n_bytes >= HUGE { HUGE } else { ALIGN };
        let layout = Layout::from_size_align(n_bytes, align).ok()?;
        // SAFETY: the layout has a size, at least one byte.
        let start = NonNull::new(unsafe { alloc_zeroed_lazily(layout) })?;
        Some(Arc::new(Chunk { start, layout }))
    }
}

impl Bump {
    /// `len` zeros, as [`Shared::try_zeroed`].
    pub(crate) fn try_zeroed<T: Number>(&mut self, len: usize) -> Result<Shared<T>> {
        let n_bytes = n_bytes::<T>(len)?;
        let fits = |chunk: &&Arc<Chunk>| n_bytes <= chunk.layout.size() - self.used;
        let chunk = match self.chunk.as_ref().filter(fits) {
            Some(chunk) => Arc::clone(chunk),
            None => {
                let chunk = chunk_bytes(n_bytes).and_then(Chunk::new);
                let chunk = chunk.or_else(|| Chunk::new(n_bytes));
                let chunk = chunk.ok_or_else(|| no_room::<T>(len))?;
                self.used = 0;
                Arc::clone(self.chunk.insert(chunk))
            }
        };
        // SAFETY: in bounds: it fits.
        let start = unsafe { chunk.start.add(self.used) }.cast();
        self.used = (self.used + n_bytes)
            .next_multiple_of(ALIGN)
            .min(chunk.layout.size());
        Ok(Shared::new(start, len, chunk))
    }
}

impl<T: Number> Shared<T> {
    fn new(start: NonNull<T>, len: usize, chunk: Arc<Chunk>) -> Self {
        Shared {
            start,
            len,
            _chunk: chunk,
        }
    }

    /// `len` zeros. Pages are taken when first touched.
    ///
    /// # Errors
    /// The system has no room for them.
    pub(crate) fn try_zeroed(len: usize) -> Result<Self> {
        let chunk = Chunk::new(n_bytes::<T>(len)?).ok_or_else(|| no_room::<T>(len))?;
        Ok(Shared::new(chunk.start.cast(), len, chunk))
    }

    /// The same for sizes that a model's batches have.
    ///
    /// # Panics
    /// The system has no room for them after all.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self::try_zeroed(len).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        (self.len * size_of::<T>()) as u64
    }

    /// Elements that no worker writes now.
    #[inline]
    pub(crate) fn get(&self, range: Range<usize>) -> &[T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds (checked), initialised (zeroed); not written meanwhile: the promise
        // at the head of this file.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// Elements that only the calling worker touches now.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn get_mut(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds (checked), initialised (zeroed); no one else touches them: the promise
        // at the head of this file.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// A hint that the cache line of element `at` is read or written soon; none but on x86-64, as
    /// [`super::Simd::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint that reads nothing; any address will do.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.start.as_ptr().wrapping_add(at).cast())
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

/// Large blocks come fresh from the system, which zeroes them page by page on first touch.
///
/// # Safety
/// The layout's size is not zero.
unsafe fn alloc_zeroed_lazily(layout: Layout) -> *mut u8 {
    #[cfg(target_os = "linux")]
    if layout.size() >= HUGE {
        // SAFETY: anonymous private maps have no precondition; what is given back was just mapped.
        return unsafe { map_aligned(layout.size()) };
    }
    // SAFETY: the caller's promise.
    unsafe { alloc_zeroed(layout) }
}

/// `alloc_zeroed` with a large alignment would write the zeros itself, so map and trim.
///
/// # Safety
/// None needed; unmap `size` rounded up to [`HUGE`].
#[cfg(target_os = "linux")]
unsafe fn map_aligned(size: usize) -> *mut u8 {
    let kept = size.next_multiple_of(HUGE);
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: the pages are new; the parts before and behind the aligned one are no one's.
    unsafe {
        let map = libc::mmap(std::ptr::null_mut(), kept + HUGE, access, kind, -1, 0);
        if map == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        let start = (map as usize).next_multiple_of(HUGE);
        let before = start - map as usize;
        if before > 0 {
            libc::munmap(map, before);
        }
        if before < HUGE {
            libc::munmap((start + kept) as *mut libc::c_void, HUGE - before);
        }
        // The last part of a huge page stays small pages.
        libc::madvise(
            start as *mut libc::c_void,
            size / HUGE * HUGE,
            libc::MADV_HUGEPAGE,
        );
        start as *mut u8
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if self.layout.size() >= HUGE {
            let kept = self.layout.size().next_multiple_of(HUGE);
            // SAFETY: mapped by `map_aligned`, which kept this many bytes.
            unsafe { libc::munmap(self.start.as_ptr().cast(), kept) };
            return;
        }
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_is_an_error() {
        for len in [1 << 46, isize::MAX as usize / 4 - 8, usize::MAX] {
            let error = Shared::<f32>::try_zeroed(len).err().expect("no room");
            assert!(error.to_string().contains("no room"), "{error}");
        }
    }

    /// The first and the last byte of a block are zero, and are `value` then.
    fn fill(block: &Shared<u8>, value: u8) {
        assert_eq!(block.start.as_ptr() as usize % ALIGN, 0);
        for at in [0, block.len - 1] {
            assert_eq!(block.get(at..at + 1), [0]);
        }
        for at in [0, block.len - 1] {
            block.get_mut(at..at + 1)[0] = value;
        }
    }

    #[test]
    fn blocks_of_a_chunk_are_zeros_that_no_other_has() {
        let mut memory = Bump::default();
        let large = if cfg!(target_os = "linux") {
            200 << 20
        } else {
            1 << 20
        };
        let sizes = [1, 100, HUGE, 3, large, 2 * large, 5, 64];
        let blocks = sizes.map(|n| memory.try_zeroed::<u8>(n).expect("room"));
        drop(memory);
        for (i, block) in blocks.iter().enumerate() {
            fill(block, 1 + i as u8);
        }
        for (i, (block, n)) in blocks.iter().zip(sizes).enumerate() {
            let ends = [block.get(0..1)[0], block.get(n - 1..n)[0]];
            assert_eq!(ends, [1 + i as u8; 2]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn blocks_lie_side_by_side_and_go_with_the_last() {
        let mut memory = Bump::default();
        let [a, b] = [1, 100].map(|n| memory.try_zeroed::<u8>(n).expect("room"));
        assert_eq!(b.start.as_ptr() as usize - a.start.as_ptr() as usize, ALIGN);
        let chunk = Arc::downgrade(&a._chunk);
        drop((memory, a));
        assert!(chunk.upgrade().is_some());
        drop(b);
        assert!(chunk.upgrade().is_none());
    }

    #[test]
    fn a_block_that_there_is_no_room_for_takes_nothing_from_others() {
        let mut memory = Bump::default();
        fill(&memory.try_zeroed(64).expect("room"), 1);
        let kept = memory.try_zeroed(100).expect("room");
        fill(&kept, 2);
        let error = memory.try_zeroed::<f32>(1 << 60).err().expect("no room");
        assert!(error.to_string().contains("no room"), "{error}");
        fill(&memory.try_zeroed(50).expect("room"), 3);
        assert_eq!(kept.get(0..1), [2]);
    }
}
