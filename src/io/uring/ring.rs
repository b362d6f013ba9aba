//! One core's io_uring, and the table of operations in flight.
//!
//! The table owns what the kernel reads or writes (buffers, addresses, descriptors) from the moment an operation is queued until
//! its last completion, whatever becomes of the future that waits for it. A dropped future leaves its operation behind as an
//! orphan: nobody hears the result, and the table drops the memory when the kernel is done.

use std::any::Any;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use super::super::local;
use super::core;
use super::net::Outgoing;

/// Operations queued in one pass before the kernel is entered early. 64 B each.
const SUBMISSION_ENTRIES: u32 = 256;
/// Completions between two passes before the kernel keeps them in a slower list. 16 B each.
const COMPLETION_ENTRIES: u32 = 4096;
/// Completions taken from the ring at once.
pub(super) const REAP_BATCH: usize = 64;

/// The user data of completions that belong to no operation of this core: a peer's wake-up, a cancellation's own result.
const NO_OPERATION: u64 = u64::MAX;
/// The user data of a wake-up's own completion, which comes only when it has failed.
const WAKE: u64 = u64::MAX - 1;

/// An operation in flight: its place in the table and how often the place was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpId {
    slot: u32,
    generation: u32,
}

impl OpId {
    fn user_data(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

/// One core's ring. Made, used and dropped on one thread.
pub(super) struct Ring {
    uring: IoUring,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pub(super) enters: u64,
}

struct Slot {
    generation: u32,
    operation: Operation,
}

enum Operation {
    Free,
    Once(Once),
    Many(Rc<dyn Completions>),
}

/// An operation with exactly one completion.
struct Once {
    state: OnceState,
    /// Keeps the descriptor open, so that its number still means this file when the kernel sees it.
    _fd: Option<Rc<dyn Any>>,
    held: Held,
}

enum OnceState {
    Waiting(Option<Waker>),
    Orphaned,
    Done(i32),
}

/// Memory that an operation lends to the kernel.
pub(super) enum Held {
    Nothing,
    Buffer(BytesMut),
    Outgoing(Box<Outgoing>),
    Address(#[expect(dead_code, reason = "the kernel reads it")] Box<libc::sockaddr_storage>),
    /// What is opened: the result is a descriptor.
    Path(#[expect(dead_code, reason = "the kernel reads it")] std::ffi::CString),
    /// What is made or removed: the result is no descriptor.
    Name(#[expect(dead_code, reason = "the kernel reads it")] std::ffi::CString),
    /// What is renamed, and how.
    Names(#[expect(dead_code, reason = "the kernel reads them")] [std::ffi::CString; 2]),
    /// What is written.
    Bytes(#[expect(dead_code, reason = "the kernel reads them")] bytes::Bytes),
}

/// What hears the completions of a multishot operation.
pub(super) trait Completions {
    /// One completion. `flags` are the completion's; without F_MORE it was the last one.
    fn complete(self: Rc<Self>, result: i32, flags: u32);
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something completed or interrupted the sleep.
    ByEvent,
    /// Only the time limit.
    ByTime,
}

impl Ring {
    pub(super) fn new() -> io::Result<Ring> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(COMPLETION_ENTRIES)
            .build(SUBMISSION_ENTRIES)?;
        Ok(Ring {
            uring,
            slots: Vec::new(),
            free: Vec::new(),
            enters: 0,
        })
    }

    /// Places the kernel's workers for this ring.
    pub(super) fn let_workers_run_on(&self, cpus: &libc::cpu_set_t) -> io::Result<()> {
        self.uring.submitter().register_iowq_aff(cpus)
    }

    pub(super) fn fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    pub(super) fn uring(&self) -> &IoUring {
        &self.uring
    }

    /// Queues an operation with one completion; [`Completion`] waits for it.
    ///
    /// # Safety
    /// Every pointer in `entry` must point into memory that `held` owns and that doesn't move with it, or into memory that is
    /// never freed. A descriptor in it must be `fd`'s.
    unsafe fn begin_once(&mut self, entry: squeue::Entry, fd: Option<Rc<dyn Any>>, held: Held) -> OpId {
        let id = self.place(Operation::Once(Once {
            state: OnceState::Waiting(None),
            _fd: fd,
            held,
        }));
        // SAFETY: by this function's contract the memory lives in the table until the last completion.
        unsafe { self.push(&entry.user_data(id.user_data())) };
        id
    }

    /// Queues a multishot operation. `sink` lives until the last completion.
    ///
    /// # Safety
    /// As [`Ring::begin_once`], with `sink` as the owner of memory and descriptor.
    pub(super) unsafe fn begin_many(&mut self, entry: squeue::Entry, sink: Rc<dyn Completions>) -> OpId {
        let id = self.place(Operation::Many(sink));
        // SAFETY: by this function's contract the sink owns what the entry points to, and the table owns the sink.
        unsafe { self.push(&entry.user_data(id.user_data())) };
        id
    }

    /// Closes a descriptor in one of the kernel's workers. Nobody hears how it ends.
    pub(super) fn close(&mut self, fd: OwnedFd) {
        let entry = opcode::Close::new(Fd(fd.into_raw_fd()))
            .build()
            .flags(squeue::Flags::ASYNC | squeue::Flags::SKIP_SUCCESS)
            .user_data(NO_OPERATION);
        // SAFETY: the entry holds no pointer, and the descriptor is nobody else's.
        unsafe { self.push(&entry) };
    }

    /// Asks the kernel to end an operation early. Its completion still comes.
    pub(super) fn cancel(&mut self, id: OpId) {
        let entry = opcode::AsyncCancel::new(id.user_data())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(NO_OPERATION);
        // SAFETY: the entry holds no pointer.
        unsafe { self.push(&entry) };
    }

    /// Asks the kernel to end every operation.
    pub(super) fn cancel_all(&mut self) {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::any().all())
            .build()
            .user_data(NO_OPERATION);
        // SAFETY: the entry holds no pointer.
        unsafe { self.push(&entry) };
    }

    /// Posts an empty completion to a peer's ring, which ends its sleep.
    pub(super) fn message_ring(&mut self, peer_ring: RawFd) {
        let entry = opcode::MsgRingData::new(Fd(peer_ring), 0, NO_OPERATION, None)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(WAKE);
        // SAFETY: the entry holds no pointer.
        unsafe { self.push(&entry) };
    }

    /// How many operations the kernel, or the submission queue, still holds.
    pub(super) fn in_flight(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| match &slot.operation {
                Operation::Free => false,
                Operation::Once(once) => !matches!(once.state, OnceState::Done(_)),
                Operation::Many(_) => true,
            })
            .count()
    }

    fn place(&mut self, operation: Operation) -> OpId {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    operation: Operation::Free,
                });
                u32::try_from(self.slots.len() - 1).expect("each operation in flight takes memory")
            }
        };
        let place = &mut self.slots[slot as usize];
        place.operation = operation;
        OpId {
            slot,
            generation: place.generation,
        }
    }

    fn release(&mut self, slot: u32) -> Operation {
        let place = &mut self.slots[slot as usize];
        // 31 bits, so that no operation's user data equals NO_OPERATION or WAKE.
        place.generation = (place.generation + 1) & (u32::MAX >> 1);
        self.free.push(slot);
        std::mem::replace(&mut place.operation, Operation::Free)
    }

    /// # Safety
    /// What `entry` points to stays valid until its last completion.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller's contract.
        while unsafe { self.uring.submission().push(entry) }.is_err() {
            // Full: what is queued goes to the kernel now. Completions wait in their ring for the next reap.
            self.submit();
        }
    }

    /// Whether the kernel has something to be entered for: operations to take, or completions to post.
    #[inline]
    pub(super) fn wants_enter(&mut self) -> bool {
        let submission = self.uring.submission();
        !submission.is_empty() || submission.taskrun() || submission.cq_overflow()
    }

    /// Whether operations wait to be submitted.
    pub(super) fn has_queued(&mut self) -> bool {
        !self.uring.submission().is_empty()
    }

    /// Whether completions wait to be reaped.
    #[inline]
    pub(super) fn has_completions(&mut self) -> bool {
        !self.uring.completion().is_empty()
    }

    /// Submits what is queued and lets the kernel post what has completed.
    pub(super) fn submit(&mut self) {
        self.enter(None);
    }

    /// Submits what is queued and sleeps until a completion, or for `limit`.
    pub(super) fn sleep(&mut self, limit: Duration) -> Woken {
        self.enter(Some(limit))
    }

    fn enter(&mut self, sleep: Option<Duration>) -> Woken {
        self.enters += 1;
        let queued = self.uring.submission().len() as u32;
        let submitter = self.uring.submitter();
        let result = match sleep {
            // SAFETY: no argument is passed; what the queued entries point to is kept by the table.
            None => unsafe {
                submitter.enter::<libc::sigset_t>(queued, 0, EnterFlags::GETEVENTS.bits(), None)
            },
            Some(limit) => {
                let time = Timespec::new().sec(limit.as_secs()).nsec(limit.subsec_nanos());
                let args = SubmitArgs::new().timespec(&time);
                let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
                // SAFETY: `args` and `time` outlive the call, and EXT_ARG says what `args` is.
                unsafe { submitter.enter(queued, 1, flags.bits(), Some(&args)) }
            }
        };
        match result {
            // When it has submitted something, the kernel doesn't say that the time ran out.
            Ok(_) if sleep.is_some() && !self.has_completions() => Woken::ByTime,
            Ok(_) => Woken::ByEvent,
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME) => Woken::ByTime,
                // Interrupted, or completions must be reaped or memory be freed before more is taken: the next pass tries again.
                Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => Woken::ByEvent,
                _ => panic!("io_uring_enter: {error}"),
            },
        }
    }

    /// Takes up to [`REAP_BATCH`] completions out of the ring.
    fn take_completions(&mut self, into: &mut Vec<cqueue::Entry>) {
        into.clear();
        into.extend(self.uring.completion().take(REAP_BATCH));
    }

    /// Books one completion, and returns what must be done about it once the ring is free again.
    fn book(&mut self, entry: &cqueue::Entry) -> Booked {
        let user_data = entry.user_data();
        if user_data == NO_OPERATION {
            return Booked::Nothing;
        }
        if user_data == WAKE {
            // The peer now sleeps until its time limit, at most a second.
            tracing::error!(
                "a sleeping core could not be woken: {}",
                io::Error::from_raw_os_error(-entry.result())
            );
            return Booked::Nothing;
        }
        let (slot, generation) = (user_data as u32, (user_data >> 32) as u32);
        let place = &mut self.slots[slot as usize];
        assert_eq!(
            place.generation, generation,
            "a completion came for an operation that had ended"
        );
        match &mut place.operation {
            Operation::Free => panic!("a completion came for a free place of the table"),
            Operation::Many(sink) => {
                let sink = sink.clone();
                if !cqueue::more(entry.flags()) {
                    // The clone keeps the sink alive, so this drops only a count.
                    self.release(slot);
                }
                Booked::Many(sink)
            }
            Operation::Once(once) => {
                match std::mem::replace(&mut once.state, OnceState::Done(entry.result())) {
                    OnceState::Waiting(waker) => waker.map_or(Booked::Nothing, Booked::Wake),
                    OnceState::Orphaned => {
                        if let (Held::Path(_), result @ 0..) = (&once.held, entry.result()) {
                            // SAFETY: a new descriptor, which the kernel gave to this open alone, and nobody hears of it.
                            once._fd = Some(Rc::new(unsafe { OwnedFd::from_raw_fd(result) }));
                        }
                        Booked::Drop(self.release(slot))
                    }
                    OnceState::Done(_) => panic!("a second completion came for a single operation"),
                }
            }
        }
    }
}

/// What follows from a completion. Carried out while the ring isn't borrowed: wakers, sinks and dropped buffers may use it.
enum Booked {
    Nothing,
    Wake(Waker),
    Many(Rc<dyn Completions>),
    Drop(Operation),
}

/// Hears every completion that is in the ring now. Returns how many.
pub(super) fn reap(core: &core::Core, scratch: &mut Vec<cqueue::Entry>) -> usize {
    let mut count = 0;
    loop {
        core.ring.borrow_mut().take_completions(scratch);
        for entry in scratch.iter() {
            let booked = core.ring.borrow_mut().book(entry);
            match booked {
                Booked::Nothing => {}
                Booked::Wake(waker) => waker.wake(),
                Booked::Many(sink) => sink.complete(entry.result(), entry.flags()),
                Booked::Drop(operation) => drop(operation),
            }
        }
        count += scratch.len();
        if scratch.len() < REAP_BATCH {
            return count;
        }
    }
}

/// Queues an operation on the calling core's ring.
///
/// # Safety
/// Every pointer in `entry` must point into memory that `held` owns and that doesn't move with it. A descriptor in it must be
/// `fd`'s.
pub(super) unsafe fn begin(
    entry: squeue::Entry,
    fd: Option<Rc<dyn Any>>,
    held: Held,
    on_drop: OnDrop,
) -> Completion {
    // SAFETY: the same contract.
    let id = core::with(|core| unsafe { core.ring.borrow_mut().begin_once(entry, fd, held) });
    Completion {
        id: Some(id),
        on_drop,
    }
}

/// What becomes of an operation whose future is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDrop {
    /// It goes on unheard.
    Finish,
    /// The kernel is asked to end it.
    Cancel,
}

/// Waits for an operation's completion: its result, and the memory it had lent.
pub(super) struct Completion {
    id: Option<OpId>,
    on_drop: OnDrop,
}

impl Future for Completion {
    type Output = (i32, Held);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(i32, Held)> {
        let id = self.id.expect("polled after it was ready");
        core::with(|core| {
            let mut ring = core.ring.borrow_mut();
            let Operation::Once(once) = &mut ring.slots[id.slot as usize].operation else {
                panic!("an operation's place was freed before its future ended");
            };
            match &mut once.state {
                OnceState::Waiting(waker) => {
                    local::register(waker, cx);
                    Poll::Pending
                }
                OnceState::Orphaned => panic!("an orphaned operation's future was polled"),
                &mut OnceState::Done(result) => {
                    let Operation::Once(once) = ring.release(id.slot) else {
                        unreachable!()
                    };
                    self.id = None;
                    drop(ring);
                    Poll::Ready((result, once.held))
                }
            }
        })
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        core::try_with(|core| {
            let mut ring = core.ring.borrow_mut();
            let Operation::Once(once) = &mut ring.slots[id.slot as usize].operation else {
                panic!("an operation's place was freed before its future ended");
            };
            let finished = match std::mem::replace(&mut once.state, OnceState::Orphaned) {
                OnceState::Done(_) => Some(ring.release(id.slot)),
                _ => {
                    if self.on_drop == OnDrop::Cancel {
                        ring.cancel(id);
                    }
                    None
                }
            };
            drop(ring);
            drop(finished);
        });
    }
}

/// The result of a system call as io_uring gives it: a negated error number, or a count.
pub(super) fn check(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
