//! Measures what a test allocates, by an allocator that all unit tests run under.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What `f` gives, and how many times the thread allocated meanwhile.
pub fn counted<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATIONS.get();
    let value = f();
    (value, ALLOCATIONS.get() - before)
}

/// What `f` gives, and the most bytes that the thread held meanwhile beyond what it held before.
pub fn peak_bytes<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE_BYTES.get();
    PEAK_BYTES.set(before);
    let value = f();
    (value, PEAK_BYTES.get().saturating_sub(before).unsigned_abs())
}

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Below zero where another thread's memory was given back.
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn took(bytes: usize) {
    // A thread that is ending has no counts any more, and no test that asks for them.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    let live = LIVE_BYTES.try_with(|live| {
        live.set(live.get().wrapping_add_unsigned(bytes));
        live.get()
    });
    let _ = PEAK_BYTES.try_with(|peak| peak.set(peak.get().max(live.unwrap_or(0))));
}

fn gave_back(bytes: usize) {
    let _ = LIVE_BYTES.try_with(|live| live.set(live.get().wrapping_sub_unsigned(bytes)));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        gave_back(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it moves, both are there.
        took(size);
        gave_back(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}
