//! The core's receive buffers: a ring shared with the kernel, from which each receive takes one and to which it comes back
//! when its [`Chunk`] is dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// Receive buffers of one core. With [`BUFFER_BYTES`] this bounds what the kernel may fill ahead of the program: 4 MiB. A page
/// of it costs memory only once it has been used.
pub(super) const BUFFERS: u16 = 256;
/// One receive buffer: a typical request whole, and a 1 MiB batch in few enough pieces.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;
/// With fewer free buffers than this, what is received is copied out at once, so that slow readers can't hold the rest.
const FREE_LOW: u16 = BUFFERS / 4;
/// The buffer group's number, for the kernel.
pub(super) const GROUP: u16 = 0;

const _: () = assert!(BUFFERS.is_power_of_two(), "the kernel's ring masks its index");

/// The buffers of one core. `Chunk`s keep it alive.
pub(super) struct Pool {
    memory: Mapping,
    entries: Mapping,
    tail: Cell<u16>,
    free: Cell<u16>,
    /// Receivers that ended for lack of buffers, oldest first.
    starved: RefCell<VecDeque<Weak<dyn Starved>>>,
}

/// A receiver that waits for a free buffer.
pub(super) trait Starved {
    /// A buffer is free: start receiving again. False when it isn't needed after all.
    fn feed(self: Rc<Self>) -> bool;
}

impl Pool {
    pub(super) fn new() -> io::Result<Rc<Pool>> {
        let pool = Pool {
            memory: Mapping::new(usize::from(BUFFERS) * BUFFER_BYTES)?,
            entries: Mapping::new(usize::from(BUFFERS) * size_of::<BufRingEntry>())?,
            tail: Cell::new(0),
            free: Cell::new(0),
            starved: RefCell::default(),
        };
        for buffer in 0..BUFFERS {
            pool.put(buffer);
        }
        Ok(Rc::new(pool))
    }

    /// Makes the kernel take buffers from here.
    ///
    /// # Safety
    /// The pool must outlive `uring`.
    pub(super) unsafe fn register(&self, uring: &IoUring) -> io::Result<()> {
        let address = self.entries.at.as_ptr().addr() as u64;
        // SAFETY: the mapping has room for BUFFERS entries and outlives the ring by this function's contract.
        unsafe {
            uring
                .submitter()
                .register_buf_ring_with_flags(address, BUFFERS, GROUP, 0)
        }
    }

    /// What the kernel has put into `buffer`: a view of it, or a copy when buffers are short.
    pub(super) fn received(self: &Rc<Pool>, buffer: u16, len: usize) -> Chunk {
        assert!(
            buffer < BUFFERS && len <= BUFFER_BYTES,
            "the kernel named a buffer that isn't there"
        );
        self.free.set(self.free.get() - 1);
        let chunk = Chunk {
            data: Data::Provided {
                pool: self.clone(),
                buffer,
            },
            start: 0,
            end: len,
        };
        if self.free.get() < FREE_LOW {
            return Chunk {
                data: Data::Copied(chunk.as_ref().into()),
                start: 0,
                end: len,
            };
        }
        chunk
    }

    /// A completion named `buffer`, with nothing in it.
    pub(super) fn unused(&self, buffer: u16) {
        self.free.set(self.free.get() - 1);
        self.give_back(buffer);
    }

    /// `receiver` ended for lack of buffers. True when there is one again already, and it may go on itself.
    pub(super) fn wait(&self, receiver: Weak<dyn Starved>) -> bool {
        if self.free.get() > 0 {
            return true;
        }
        self.starved.borrow_mut().push_back(receiver);
        false
    }

    fn give_back(&self, buffer: u16) {
        self.put(buffer);
        loop {
            let next = self.starved.borrow_mut().pop_front();
            let Some(receiver) = next else { return };
            if receiver.upgrade().is_some_and(|receiver| receiver.feed()) {
                return;
            }
        }
    }

    /// Hands `buffer` to the kernel.
    fn put(&self, buffer: u16) {
        let tail = self.tail.get();
        let entries = self.entries.at.cast::<BufRingEntry>().as_ptr();
        // SAFETY: the index is below BUFFERS, for which the mapping has room. The kernel reads an entry only after the tail
        // has passed it, and gave this one back before: no more than BUFFERS buffers exist.
        unsafe {
            let entry = &mut *entries.add(usize::from(tail % BUFFERS));
            entry.set_addr(
                self.memory
                    .at
                    .as_ptr()
                    .add(usize::from(buffer) * BUFFER_BYTES)
                    .addr() as u64,
            );
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(buffer);
        }
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the tail lies in the first entry, aligned for u16, and is written by this thread only.
        let published = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        published.store(tail.wrapping_add(1), Ordering::Release);
        self.free.set(self.free.get() + 1);
    }
}

/// Bytes that arrived, at most [`BUFFER_BYTES`]. Dropping it gives the core its buffer back, so copy out what must stay.
pub struct Chunk {
    data: Data,
    start: usize,
    end: usize,
}

enum Data {
    Provided { pool: Rc<Pool>, buffer: u16 },
    Copied(Box<[u8]>),
}

impl Chunk {
    /// Drops the first `count` bytes from view.
    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "advanced past a chunk's end");
        self.start += count;
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.data {
            Data::Copied(bytes) => &bytes[self.start..self.end],
            // SAFETY: the pool's mapping is alive, and the range is inside `buffer`'s part of it, which the kernel filled up to
            // `end` and doesn't touch until it is given back.
            Data::Provided { pool, buffer } => unsafe {
                let at = pool
                    .memory
                    .at
                    .as_ptr()
                    .add(usize::from(*buffer) * BUFFER_BYTES + self.start);
                std::slice::from_raw_parts(at, self.end - self.start)
            },
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Data::Provided { pool, buffer } = &self.data {
            pool.give_back(*buffer);
        }
    }
}

/// Private zeroed memory, page-aligned, that costs nothing until it is touched.
struct Mapping {
    at: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Mapping> {
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no other memory.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).expect("the kernel maps nothing at address zero unasked");
        Ok(Mapping { at, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and its owner is going away.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.bytes) };
    }
}
