//! Receiving: a multishot receive into the core's buffers, which ends and starts again by itself.
//!
//! The receive is armed while the reader has room. It ends when its core's buffers run out (then it waits for one), when the
//! reader holds [`CHUNKS_MAX`] chunks that nobody has asked for (then it is cancelled: back-pressure), and when a large
//! frame is to go straight to its own memory. What still arrives after a cancel is kept.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, BytesMut};
use io_uring::types::Fd;
use io_uring::{cqueue, opcode};

use super::super::super::local;
use super::super::buffers::{BUFFER_BYTES, Chunk, GROUP, Starved};
use super::super::core;
use super::super::ring::{self, Completions, Held, OnDrop, OpId, check};

/// Chunks that one reader holds before it stops receiving: 128 KiB at most, plus what the kernel has under way.
const CHUNKS_MAX: usize = 8;
/// A frame of which more than this is missing is received into its own memory: below, the copy costs less than the two
/// more operations.
const DIRECT_MIN: usize = 4 * BUFFER_BYTES;

/// The receiving half of a connection.
pub struct Reader {
    receiving: Rc<Receiving>,
}

/// Lives as long as the multishot receive does.
struct Receiving {
    socket: Rc<OwnedFd>,
    chunks: RefCell<VecDeque<Chunk>>,
    end: Cell<Option<End>>,
    waker: RefCell<Option<Waker>>,
    armed: Cell<Option<OpId>>,
    cancelled: Cell<bool>,
    /// No new multishot receive: the reader is gone, or a frame is being received directly.
    held_back: Cell<bool>,
    starved: Cell<bool>,
}

/// After the last chunk.
#[derive(Clone, Copy)]
enum End {
    Closed,
    Error(i32),
}

impl Reader {
    pub(super) fn new(socket: Rc<OwnedFd>) -> Reader {
        Reader {
            receiving: Rc::new(Receiving {
                socket,
                chunks: RefCell::default(),
                end: Cell::new(None),
                waker: RefCell::default(),
                armed: Cell::new(None),
                cancelled: Cell::new(false),
                held_back: Cell::new(false),
                starved: Cell::new(false),
            }),
        }
    }

    /// What arrived next; `None` when the peer has closed its side.
    ///
    /// # Errors
    /// The connection's: reset, timed out. After an error every call fails.
    pub async fn recv(&mut self) -> io::Result<Option<Chunk>> {
        let receiving = &self.receiving;
        std::future::poll_fn(|cx| receiving.poll_chunk(cx)).await
    }

    /// Appends exactly `len` bytes to `buf`: what has arrived is copied, and when much is missing the rest is received straight
    /// into `buf`. Dropping the future before it is ready loses bytes: the connection is of no use then.
    ///
    /// # Errors
    /// `UnexpectedEof` when the peer closes before, and the connection's errors.
    pub async fn recv_exact(&mut self, mut buf: BytesMut, len: usize) -> io::Result<BytesMut> {
        buf.reserve(len);
        let mut missing = self.receiving.take_arrived(&mut buf, len);
        if missing > DIRECT_MIN {
            let receiving = &self.receiving;
            let _held_back = HoldBack::new(receiving);
            std::future::poll_fn(|cx| receiving.poll_stopped(cx)).await;
            missing = receiving.take_arrived(&mut buf, missing);
            while missing > 0 {
                if let Some(end) = receiving.end.get() {
                    return Err(end.while_more_was_due());
                }
                let received;
                (buf, received) = receive_into(&receiving.socket, buf, missing).await?;
                missing -= received;
            }
            return Ok(buf);
        }
        while missing > 0 {
            let Some(mut chunk) = self.recv().await? else {
                return Err(End::Closed.while_more_was_due());
            };
            let count = chunk.len().min(missing);
            buf.put_slice(&chunk[..count]);
            missing -= count;
            if count < chunk.len() {
                chunk.advance(count);
                self.receiving.chunks.borrow_mut().push_front(chunk);
            }
        }
        Ok(buf)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.receiving.held_back.set(true);
        self.receiving.cancel();
        let chunks = std::mem::take(&mut *self.receiving.chunks.borrow_mut());
        drop(chunks);
    }
}

/// One plain receive of up to `missing` bytes behind what `buf` holds. Waits for all of them, and may come short.
async fn receive_into(
    socket: &Rc<OwnedFd>,
    mut buf: BytesMut,
    missing: usize,
) -> io::Result<(BytesMut, usize)> {
    let room = buf.spare_capacity_mut();
    assert!(room.len() >= missing, "the room was reserved");
    let (at, len) = (
        room.as_mut_ptr().cast(),
        u32::try_from(missing).unwrap_or(u32::MAX),
    );
    let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), at, len)
        .flags(libc::MSG_WAITALL)
        .build();
    // SAFETY: the memory is `buf`'s, which the operation holds and which doesn't move with it; the descriptor is `socket`'s.
    let receive = unsafe { ring::begin(entry, Some(socket.clone()), Held::Buffer(buf), OnDrop::Cancel) };
    let (result, held) = receive.await;
    let Held::Buffer(mut buf) = held else {
        unreachable!("the buffer was given to the operation")
    };
    match check(result)? {
        0 => Err(End::Closed.while_more_was_due()),
        received => {
            // SAFETY: the kernel has filled this many bytes of the spare capacity.
            unsafe { buf.set_len(buf.len() + received) };
            Ok((buf, received))
        }
    }
}

impl End {
    fn while_more_was_due(self) -> io::Error {
        match self {
            End::Closed => io::ErrorKind::UnexpectedEof.into(),
            End::Error(errno) => io::Error::from_raw_os_error(errno),
        }
    }
}

impl Receiving {
    fn poll_chunk(self: &Rc<Receiving>, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        let next = self.chunks.borrow_mut().pop_front();
        if let Some(chunk) = next {
            return Poll::Ready(Ok(Some(chunk)));
        }
        match self.end.get() {
            Some(End::Closed) => return Poll::Ready(Ok(None)),
            Some(End::Error(errno)) => return Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None => {}
        }
        local::register(&mut self.waker.borrow_mut(), cx);
        self.arm();
        Poll::Pending
    }

    /// Ready when no receive is under way.
    fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed.get().is_none() {
            return Poll::Ready(());
        }
        self.cancel();
        local::register(&mut self.waker.borrow_mut(), cx);
        Poll::Pending
    }

    /// Moves up to `wanted` bytes that have arrived into `buf`; returns how many are still missing.
    fn take_arrived(&self, buf: &mut BytesMut, wanted: usize) -> usize {
        let mut missing = wanted;
        while missing > 0 {
            let next = self.chunks.borrow_mut().pop_front();
            let Some(mut chunk) = next else { break };
            let count = chunk.len().min(missing);
            buf.put_slice(&chunk[..count]);
            missing -= count;
            if count < chunk.len() {
                chunk.advance(count);
                self.chunks.borrow_mut().push_front(chunk);
            }
        }
        missing
    }

    /// Starts the multishot receive, unless it runs or must not.
    fn arm(self: &Rc<Receiving>) {
        if self.armed.get().is_some()
            || self.held_back.get()
            || self.starved.get()
            || self.end.get().is_some()
        {
            return;
        }
        let entry = opcode::RecvMulti::new(Fd(self.socket.as_raw_fd()), GROUP).build();
        self.cancelled.set(false);
        // SAFETY: the entry holds no pointer; the sink keeps the descriptor open, and its core's pool outlives the ring.
        let id = core::with(|core| unsafe { core.ring.borrow_mut().begin_many(entry, self.clone()) });
        self.armed.set(Some(id));
    }

    fn cancel(&self) {
        if let Some(id) = self.armed.get()
            && !self.cancelled.replace(true)
        {
            core::try_with(|core| core.ring.borrow_mut().cancel(id));
        }
    }

    /// The receive ended because the core's buffers were all in use.
    fn starve(self: &Rc<Receiving>) {
        self.starved.set(true);
        let this: Rc<dyn Starved> = self.clone();
        let free_again = core::with(|core| {
            core.published().stats.buffers_exhausted.add(1);
            core.pool.wait(Rc::downgrade(&this))
        });
        if free_again {
            self.starved.set(false);
        }
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Completions for Receiving {
    fn complete(self: Rc<Self>, result: i32, flags: u32) {
        let last = !cqueue::more(flags);
        if last {
            self.armed.set(None);
        }
        let buffer = cqueue::buffer_select(flags);
        match (result, buffer) {
            (1.., Some(buffer)) => {
                let chunk = core::with(|core| core.pool.clone()).received(buffer, result as usize);
                self.chunks.borrow_mut().push_back(chunk);
            }
            (_, Some(buffer)) => core::with(|core| core.pool.clone()).unused(buffer),
            (1.., None) => panic!("the kernel received {result} bytes into no buffer"),
            (_, None) => {}
        }
        match -result {
            0 => self.end.set(Some(End::Closed)),
            libc::ENOBUFS => self.starve(),
            libc::ECANCELED => {}
            errno @ 1.. => self.end.set(Some(End::Error(errno))),
            _ => {}
        }
        let waits = self.waker.borrow().is_some();
        if self.chunks.borrow().len() >= CHUNKS_MAX {
            self.cancel();
        } else if last && waits {
            self.arm();
        }
        if waits {
            self.wake();
        }
    }
}

impl Starved for Receiving {
    fn feed(self: Rc<Self>) -> bool {
        self.starved.set(false);
        // A reader that nobody waits for arms itself when it is asked next.
        let waits = self.waker.borrow().is_some();
        if waits {
            self.arm();
        }
        waits && self.armed.get().is_some()
    }
}

/// While it lives, its reader starts no multishot receive.
struct HoldBack<'a>(&'a Receiving);

impl<'a> HoldBack<'a> {
    fn new(receiving: &'a Receiving) -> HoldBack<'a> {
        receiving.held_back.set(true);
        HoldBack(receiving)
    }
}

impl Drop for HoldBack<'_> {
    fn drop(&mut self) {
        self.0.held_back.set(false);
    }
}
