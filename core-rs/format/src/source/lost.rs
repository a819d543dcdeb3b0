//! What happens when a map's file loses pages: another program shortens it, or its disk fails. The system
//! then sends SIGBUS to whoever touches a lost page, which ends the process. Here a handler puts pages of
//! zeros in the place of the lost ones, so that the reader goes on, and marks the map: a mark that
//! [`super::Source::intact`] turns into an error once the work with those bytes is done.
//!
//! The handler comes with the first map. What is no page of a map of ours goes to the handler that was
//! there before, or ends the process as ever.

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

/// A map that the handler knows. Slots are never freed, so that the handler may walk them at any time.
struct Slot {
    start: AtomicUsize,
    /// 0 where the slot is free.
    end: AtomicUsize,
    taken: AtomicBool,
    lost: AtomicBool,
    next: *const Slot,
}

static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(null_mut());
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(4096);
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

fn slots() -> impl Iterator<Item = &'static Slot> {
    let mut next: *const Slot = SLOTS.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: `next` is null or points to a slot that `new_slot` leaked whole before linking it.
        let slot = unsafe { next.as_ref() }?;
        next = slot.next;
        Some(slot)
    })
}

/// Watches over a map for as long as it lives, which must not be longer than the map does.
pub(super) struct Watch(&'static Slot);

// SAFETY: all that changes in a slot is atomic; `next` is written once, before others see the slot.
unsafe impl Send for Watch {}
// SAFETY: as above.
unsafe impl Sync for Watch {}

impl Watch {
    pub(super) fn new(map: &[u8]) -> Watch {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(install);
        let free = |slot: &&Slot| !slot.taken.swap(true, Ordering::AcqRel);
        let slot = slots().find(free).unwrap_or_else(new_slot);
        let range = map.as_ptr_range();
        slot.lost.store(false, Ordering::Relaxed);
        slot.start.store(range.start.addr(), Ordering::Release);
        slot.end.store(range.end.addr(), Ordering::Release);
        Watch(slot)
    }

    /// Whether some page of the map is zeros in place of what was in the file.
    pub(super) fn has_lost(&self) -> bool {
        self.0.lost.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.end.store(0, Ordering::Release);
        self.0.taken.store(false, Ordering::Release);
    }
}

fn new_slot() -> &'static Slot {
    let slot = Box::leak(Box::new(Slot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        taken: AtomicBool::new(true),
        lost: AtomicBool::new(false),
        next: null(),
    }));
    let pointer: *mut Slot = slot;
    let mut head = SLOTS.load(Ordering::Acquire);
    loop {
        // SAFETY: no one else has the slot before the exchange succeeds, and then it is not written.
        unsafe { (*pointer).next = head };
        match SLOTS.compare_exchange(head, pointer, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: leaked above, so it lives for ever.
            Ok(_) => return unsafe { &*pointer },
            Err(now) => head = now,
        }
    }
}

fn install() {
    // SAFETY: plain calls of the C library with pointers to values that outlive them; a `sigaction` of
    // zeros is a valid one, which the first call fills. The handler does only what a handler may.
    unsafe {
        PAGE_BYTES.store(
            libc::sysconf(libc::_SC_PAGESIZE) as usize,
            Ordering::Relaxed,
        );
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, null(), &mut action) != 0 {
            return;
        }
        BEFORE.get_or_init(|| action);
        let ours: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_bus_error;
        action.sa_sigaction = ours as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        // Where this fails, a lost page ends the process, as without us.
        let _unchanged = libc::sigaction(libc::SIGBUS, &action, null_mut());
    }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system hands a valid `info` to a handler with SA_SIGINFO.
    let (code, at) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    if !(is_of_page(code) && slots().any(|slot| slot.fill(at))) {
        pass_on(signal, info, context);
    }
}

/// Whether somebody sent the signal: then what would be the address tells who. Linux has codes of 0 and
/// less for that, the BSDs such of 0x10001 and more.
fn was_sent(code: c_int) -> bool {
    !(1..0x1_0000).contains(&code)
}

/// Whether an access found no page behind its address. One to an odd address would fail again after
/// zeros came, for ever. Apple's kernel for ARM gives that code to every SIGBUS, even to sent ones.
fn is_of_page(code: c_int) -> bool {
    !was_sent(code) && (cfg!(target_vendor = "apple") || code != libc::BUS_ADRALN)
}

impl Slot {
    /// Puts zeros from the page of `at` to the end of the map, if it lies in this one.
    fn fill(&self, at: usize) -> bool {
        let end = self.end.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Acquire);
        // Another map may have taken the slot in between.
        let is_one_map = self.end.load(Ordering::Acquire) == end;
        if !is_one_map || !(start..end).contains(&at) {
            return false;
        }
        let page_bytes = PAGE_BYTES.load(Ordering::Relaxed);
        let first = at / page_bytes * page_bytes;
        self.lost.store(true, Ordering::Release);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
        let page = std::ptr::without_provenance_mut(first);
        // SAFETY: `start` and `end` are of one map that was there while this handler ran, and so was the
        // map that holds `at`, since this thread is reading it: they are the same. Its reader keeps it
        // from being unmapped, nobody writes to it, and what is read from these pages was lost already.
        let zeros = unsafe { libc::mmap(page, end - first, libc::PROT_READ, flags, -1, 0) };
        zeros == page
    }
}

/// To the handler that was there before.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = BEFORE.get();
    let handler = before.map_or(libc::SIG_DFL, |b| b.sa_sigaction);
    let takes_info = before.is_some_and(|b| b.sa_flags & libc::SA_SIGINFO != 0);
    // SAFETY: `info` is valid, and `sigaction` said that this handler is a function of this form. Without
    // one, the signal comes again, with nobody to catch it.
    unsafe {
        match handler {
            // Only what is sent can be ignored: the system ends who cannot go on.
            libc::SIG_IGN if was_sent((*info).si_code) => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
            _ if takes_info => {
                type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
                std::mem::transmute::<usize, Handler>(handler)(signal, info, context);
            }
            _ => std::mem::transmute::<usize, extern "C" fn(c_int)>(handler)(signal),
        }
    }
}
