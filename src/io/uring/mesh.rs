//! Messages between the cores: for each ordered pair of cores a bounded queue with one writer and one reader (`rtrb`).
//!
//! The driver looks into the queues in each pass. A sender that finds its peer asleep wakes it through the ring
//! (MSG_RING); see `shared::PerCore::park` for why no message is slept over. A sender for whom there is no room
//! waits in order, and the reader's core wakes it when there is room again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::super::local;
use super::core::{self, Core};
use crate::base::CoreId;

/// One core's end of the mesh: sends to every core, itself included, and receives from every core.
///
/// May be moved to its core's thread, and stays there from its first use on. Several tasks may send; one task receives.
pub struct Port<M: Send + 'static> {
    capacity: usize,
    state: RefCell<State<M>>,
}

enum State<M> {
    Packed(Option<Box<Parts<M>>>),
    Open { inner: Rc<Inner<M>>, thread: ThreadId },
}

// SAFETY: before its first use a port holds only `Parts`, which are `Send` when M is. After that it holds an `Rc`, and every
// access checks that it happens on the thread that made it (`Port::inner`, `Drop`).
unsafe impl<M: Send + 'static> Send for Port<M> {}

/// What `build` hands out: index = peer.
struct Parts<M> {
    producers: Vec<Producer<M>>,
    consumers: Vec<Consumer<M>>,
    room: Vec<Arc<Room>>,
    room_for_peers: Vec<Arc<Room>>,
}

/// Set by a sender that waits for room in a queue, until the reader has made some. One for each queue.
#[derive(Default)]
struct Room {
    wanted: AtomicBool,
}

/// The ports of a mesh over `cores` cores; index = `CoreId`. Each queue holds `capacity` messages.
pub fn build<M: Send + 'static>(cores: usize, capacity: usize) -> Vec<Port<M>> {
    assert!(capacity > 0, "a queue without room carries nothing");
    let mut parts: Vec<_> = (0..cores)
        .map(|_| Parts {
            producers: Vec::with_capacity(cores),
            consumers: Vec::with_capacity(cores),
            room: Vec::with_capacity(cores),
            room_for_peers: Vec::with_capacity(cores),
        })
        .collect();
    for from in 0..cores {
        for to in 0..cores {
            let (producer, consumer) = RingBuffer::new(capacity);
            let room = Arc::new(Room::default());
            parts[from].producers.push(producer);
            parts[from].room.push(room.clone());
            // `from` is the outer loop, so each reader's list grows in the order of its peers.
            parts[to].consumers.push(consumer);
            parts[to].room_for_peers.push(room);
        }
    }
    let packed = |parts| Port {
        capacity,
        state: RefCell::new(State::Packed(Some(Box::new(parts)))),
    };
    parts.into_iter().map(packed).collect()
}

impl<M: Send + 'static> Port<M> {
    /// Messages that one mailbox holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Puts `message` into `to`'s mailbox, or gives it back when the mailbox is full or others wait for room in it.
    #[inline]
    pub fn try_send(&self, to: CoreId, message: M) -> Result<(), M> {
        self.inner().try_send(to, message, false)
    }

    /// Puts `message` into `to`'s mailbox. Waits while it is full; those who wait get their turn in the order in which they
    /// came. Dropping the future before it is ready drops the message unsent.
    pub async fn send(&self, to: CoreId, message: M) {
        let Err(message) = self.try_send(to, message) else {
            return;
        };
        let inner = self.inner();
        let ticket = Rc::new(Ticket::default());
        inner.outgoing[to.index()]
            .waiting
            .borrow_mut()
            .push_back(ticket.clone());
        Sending {
            inner,
            to,
            ticket,
            message: Some(message),
        }
        .await;
    }

    /// The next message, and who sent it. The cores are asked in turn. For one task at a time: a second one takes the
    /// first one's place.
    pub async fn recv(&self) -> (CoreId, M) {
        let inner = self.inner();
        std::future::poll_fn(|cx| match inner.try_recv() {
            Some(received) => Poll::Ready(received),
            None => {
                local::register(&mut inner.receiver.borrow_mut(), cx);
                Poll::Pending
            }
        })
        .await
    }

    /// The next message, if there is one now.
    pub fn try_recv(&self) -> Option<(CoreId, M)> {
        self.inner().try_recv()
    }

    /// The port's state; at the first use, the calling core becomes its core.
    #[inline]
    fn inner(&self) -> Rc<Inner<M>> {
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Open { inner, thread } => {
                debug_assert_eq!(*thread, std::thread::current().id(), "a port is used on one core");
                if inner.core != core::core() {
                    panic!("a port of core {} was used on another core", inner.core);
                }
                inner.clone()
            }
            State::Packed(parts) => {
                let parts = parts.take().expect("packed until its first use");
                let inner = core::with(|core| Inner::open(*parts, core));
                *state = State::Open {
                    inner: inner.clone(),
                    thread: std::thread::current().id(),
                };
                inner
            }
        }
    }
}

impl<M: Send + 'static> Drop for Port<M> {
    fn drop(&mut self) {
        if let State::Open { thread, .. } = self.state.get_mut()
            && *thread != std::thread::current().id()
        {
            eprintln!("ringlog: a port was dropped off its core");
            std::process::abort();
        }
    }
}

/// A port on its core.
struct Inner<M> {
    core: CoreId,
    outgoing: Vec<Outgoing<M>>,
    incoming: Vec<Incoming<M>>,
    receiver: RefCell<Option<Waker>>,
    /// Whom to ask first, so that one busy peer can't keep the others out.
    next: Cell<usize>,
    /// Whether something was taken since room was last announced.
    taken: Cell<bool>,
}

struct Outgoing<M> {
    producer: RefCell<Producer<M>>,
    room: Arc<Room>,
    waiting: RefCell<VecDeque<Rc<Ticket>>>,
}

struct Incoming<M> {
    consumer: RefCell<Consumer<M>>,
    room: Arc<Room>,
}

/// A place in the queue of those who wait for room.
#[derive(Default)]
struct Ticket {
    waker: RefCell<Option<Waker>>,
}

impl<M: Send + 'static> Inner<M> {
    fn open(parts: Parts<M>, core: &Core) -> Rc<Inner<M>> {
        let outgoing = parts
            .producers
            .into_iter()
            .zip(parts.room)
            .map(|(producer, room)| Outgoing {
                producer: RefCell::new(producer),
                room,
                waiting: RefCell::default(),
            });
        let incoming = parts
            .consumers
            .into_iter()
            .zip(parts.room_for_peers)
            .map(|(consumer, room)| Incoming {
                consumer: RefCell::new(consumer),
                room,
            });
        let inner = Rc::new(Inner {
            core: core.id,
            outgoing: outgoing.collect(),
            incoming: incoming.collect(),
            receiver: RefCell::new(None),
            next: Cell::new(0),
            taken: Cell::new(false),
        });
        let weak: Weak<Inner<M>> = Rc::downgrade(&inner);
        core.add_mailbox(weak);
        inner
    }

    #[inline]
    fn try_send(&self, to: CoreId, message: M, has_turn: bool) -> Result<(), M> {
        let outgoing = &self.outgoing[to.index()];
        if !has_turn && !outgoing.waiting.borrow().is_empty() {
            return Err(message);
        }
        match outgoing.producer.borrow_mut().push(message) {
            Ok(()) => {
                if to != self.core {
                    core::with(|core| core.wake_peer(to));
                }
                Ok(())
            }
            Err(PushError::Full(message)) => Err(message),
        }
    }

    fn try_recv(&self) -> Option<(CoreId, M)> {
        let cores = self.incoming.len();
        let first = self.next.get();
        for step in 0..cores {
            let from = (first + step) % cores;
            if let Ok(message) = self.incoming[from].consumer.borrow_mut().pop() {
                self.next.set((from + 1) % cores);
                self.taken.set(true);
                return Some((CoreId(from as u16), message));
            }
        }
        None
    }

    /// Wakes the peers that wait for room in the queues from which something was taken.
    fn announce_room(&self, core: &Core) {
        if !self.taken.replace(false) {
            return;
        }
        // The other half of `has_room`: the queue was read before, `wanted` is read after.
        fence(Ordering::SeqCst);
        for (from, incoming) in self.incoming.iter().enumerate() {
            if incoming.room.wanted.load(Ordering::Relaxed)
                && incoming.room.wanted.swap(false, Ordering::SeqCst)
            {
                let from = CoreId(from as u16);
                if from != self.core {
                    core.wake_peer(from);
                }
            }
        }
    }
}

impl<M> Outgoing<M> {
    /// Whether the first of those who wait may go on. When there is no room the reader is told that it is wanted.
    fn has_room(&self) -> bool {
        if self.waiting.borrow().is_empty() {
            return false;
        }
        if !self.producer.borrow().is_full() {
            return true;
        }
        self.room.wanted.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        !self.producer.borrow().is_full()
    }

    fn wake_first(&self) {
        let waker = self
            .waiting
            .borrow()
            .front()
            .and_then(|ticket| ticket.waker.borrow_mut().take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What the driver sees of a port.
pub(super) trait Mailbox {
    /// Wakes whoever can go on: the receiver when there is a message, senders when there is room, here and at the peers.
    fn look(&self, core: &Core);
    /// Whether [`Mailbox::look`] would wake someone here.
    fn has_mail(&self) -> bool;
}

impl<M: Send + 'static> Mailbox for Inner<M> {
    #[inline]
    fn look(&self, core: &Core) {
        self.announce_room(core);
        if self.has_message() {
            let waker = self.receiver.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        for outgoing in &self.outgoing {
            if outgoing.has_room() {
                outgoing.wake_first();
            }
        }
    }

    fn has_mail(&self) -> bool {
        self.has_message() && self.receiver.borrow().is_some() || self.outgoing.iter().any(|o| o.has_room())
    }
}

impl<M> Inner<M> {
    #[inline]
    fn has_message(&self) -> bool {
        self.incoming
            .iter()
            .any(|incoming| !incoming.consumer.borrow().is_empty())
    }
}

/// A sender that waits for room.
struct Sending<M: Send + 'static> {
    inner: Rc<Inner<M>>,
    to: CoreId,
    ticket: Rc<Ticket>,
    message: Option<M>,
}

impl<M: Send + 'static> Unpin for Sending<M> {}

impl<M: Send + 'static> Future for Sending<M> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let outgoing = &this.inner.outgoing[this.to.index()];
        let is_first = outgoing
            .waiting
            .borrow()
            .front()
            .is_some_and(|first| Rc::ptr_eq(first, &this.ticket));
        if is_first {
            let message = this.message.take().expect("polled after it was ready");
            match this.inner.try_send(this.to, message, true) {
                // The drop gives up the place and lets the next one try.
                Ok(()) => return Poll::Ready(()),
                Err(message) => this.message = Some(message),
            }
        }
        local::register(&mut this.ticket.waker.borrow_mut(), cx);
        Poll::Pending
    }
}

impl<M: Send + 'static> Drop for Sending<M> {
    fn drop(&mut self) {
        let outgoing = &self.inner.outgoing[self.to.index()];
        outgoing
            .waiting
            .borrow_mut()
            .retain(|ticket| !Rc::ptr_eq(ticket, &self.ticket));
        outgoing.wake_first();
    }
}
