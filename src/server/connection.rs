//! One connection: requests are handled in the order they came, and answered in that order.
//!
//! Two tasks share a queue of at most [`IN_FLIGHT_MAX`] requests. The *reader* cuts frames and queues them; it
//! stops reading the socket while the queue is full. The *answerer* polls the request at the front, and sends its answer before
//! it polls the next: as in Kafka a request sees what those before it did, and a client that doesn't read its answers costs
//! one of them. Only requests that [overlap](api::Started::overlaps) run together: produce requests, whose
//! answers are small and whose waits (for another core, for a flush) would otherwise add up.
//!
//! So a client that doesn't read holds one answer here (at most 8 MiB of records, and little when many of them do so), a full queue and
//! what its own socket takes; then its requests are not read either.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::api::{self, Begun, Origin, Pending, Reply};
use crate::io::local::Notify;
use crate::io::net::{Stream, Writer};
use crate::io::{self, Planted};
use crate::shard::{Place, Sending, Shard};

use super::connections::Activity;
use super::frames::Frames;
use super::log_limit::LogLimit;

/// Requests of one connection that may be under way. Java producers keep 5, librdkafka's many by default;
/// past this the client waits in its own socket buffer.
const IN_FLIGHT_MAX: usize = 64;

/// Bytes of requests that wait in the queue, before no more are read: one produce request of Kafka's default size
/// for each of the five that a Java producer has under way, and more than one frame only if they are small.
const QUEUED_BYTES_MAX: usize = 8 << 20;

/// Answers of one connection that wait to be sent; while they are more, no further produce request begins. Usual answers have
/// some hundred bytes, one to a request that names 262,144 partitions some ten million.
const UNSENT_BYTES_MAX: usize = 1 << 20;

/// Bytes in one send. A client that takes no such piece within `connections.max.idle.ms` counts as idle.
const SEND_BYTES_MAX: usize = 1 << 20;

/// Segments in one send, below the kernel's limit of 1,024 (`IOV_MAX`).
const SEND_SEGMENTS_MAX: usize = 512;

/// What the two tasks of a connection share.
pub struct Connection {
    shard: Rc<Shard>,
    origin: Rc<Origin>,
    activity: Activity,
    /// Whether it never goes to make room for another.
    is_protected: bool,
    queue: RefCell<VecDeque<Slot>>,
    queued_bytes: Cell<usize>,
    /// The answerer, to wake when a request was queued or the connection ends.
    answerer: RefCell<Option<Waker>>,
    /// Wakes the reader: the queue has room, or the connection ends.
    room: Notify,
    /// Nothing more will be read.
    ending: Cell<bool>,
    /// Nothing more will be sent either.
    closed: Cell<bool>,
    /// The answerer while it sends, to wake when the connection is closed.
    sender: RefCell<Option<Waker>>,
    /// Bytes of answers that the client has not taken yet.
    unsent_bytes: Cell<usize>,
    /// Given back with the connection.
    _place: Place,
}

/// What a connection is served with.
pub struct Terms {
    /// Its entry among those of its core.
    pub activity: Activity,
    /// Its place among those of the node.
    pub place: Place,
    /// Whether it never goes to make room for another.
    pub is_protected: bool,
}

struct Slot {
    /// Of one that may run beside others like it: whether it has begun.
    overlaps: Option<Begun>,
    /// Need not run when nobody will read its answer.
    only_reads: bool,
    /// Of its frame.
    frame_bytes: usize,
    /// It has been run, and is to be run on.
    has_run: bool,
    state: SlotState,
}

enum SlotState {
    Running(Pending),
    Done(Reply),
}

/// Serves `stream` until either side closes it.
pub async fn serve(shard: Rc<Shard>, stream: Stream, origin: Origin, terms: Terms, limit: Rc<LogLimit>) {
    let frame_bytes_max = shard.config().request_bytes_max();
    let (reader, writer) = stream.split();
    let connection = Rc::new(Connection {
        shard,
        origin: Rc::new(origin),
        activity: terms.activity,
        is_protected: terms.is_protected,
        queue: RefCell::default(),
        queued_bytes: Cell::new(0),
        answerer: RefCell::default(),
        room: Notify::default(),
        ending: Cell::new(false),
        closed: Cell::new(false),
        sender: RefCell::default(),
        unsent_bytes: Cell::new(0),
        _place: terms.place,
    });
    connection.activity.open(&connection);
    io::spawn(connection.clone().answer(writer, limit.clone()));
    let activity = &connection.activity;
    let on_bytes = || activity.note();
    connection
        .read(
            Frames::new(reader, frame_bytes_max, activity.incoming(), &on_bytes),
            &limit,
        )
        .await;
}

impl Connection {
    /// When it was last active.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Whether its client waits for us: then it isn't idle, however long that takes.
    pub fn is_served(&self) -> bool {
        self.sender.borrow().is_none() && !self.queue.borrow().is_empty()
    }

    /// Bytes of answers that its client has not taken yet.
    pub fn unsent_bytes(&self) -> usize {
        match self.closed.get() {
            true => 0,
            false => self.unsent_bytes.get(),
        }
    }

    /// Whether it may be closed to make room for another.
    pub fn may_make_room(&self) -> bool {
        !self.is_protected && !self.closed.get()
    }

    /// Ends it now, whatever its client still waits for.
    pub fn close(&self) {
        tracing::debug!("closing the connection of {}: it must go", self.origin.peer);
        self.closed.set(true);
        self.clear_queue();
        self.end();
        if let Some(sender) = self.sender.borrow_mut().take() {
            sender.wake();
        }
    }

    async fn read(&self, mut frames: Frames<'_>, limit: &LogLimit) {
        while !self.ending.get() {
            match frames.next().await {
                Ok(Some(frame)) => self.queue(frame).await,
                Ok(None) => break,
                Err(error) => {
                    limit.report(format_args!(
                        "closing the connection of {}: {error}",
                        self.origin.peer
                    ));
                    break;
                }
            }
        }
        self.end();
    }

    async fn queue(&self, frame: BytesMut) {
        while self.is_full(frame.len()) && !self.ending.get() {
            self.room.notified().await;
        }
        let frame_bytes = frame.len();
        self.queued_bytes.set(self.queued_bytes.get() + frame_bytes);
        let started = api::start(self.shard.clone(), self.origin.clone(), frame);
        self.queue.borrow_mut().push_back(Slot {
            overlaps: started.overlaps,
            only_reads: started.only_reads,
            frame_bytes,
            has_run: false,
            state: SlotState::Running(started.future),
        });
        self.wake_answerer();
    }

    /// Whether a frame has to wait before it is queued. Alone it may be as large as it is.
    fn is_full(&self, frame_bytes: usize) -> bool {
        let queued = self.queue.borrow().len();
        queued >= IN_FLIGHT_MAX || queued > 0 && self.queued_bytes.get() + frame_bytes > QUEUED_BYTES_MAX
    }

    fn clear_queue(&self) {
        let cleared = std::mem::take(&mut *self.queue.borrow_mut());
        self.queued_bytes.set(0);
        // Their futures may reach back to this connection's shard as they go.
        drop(cleared);
    }

    /// Reads no more. What was received whole still runs: a producer with `acks=0` may be gone already.
    pub fn end(&self) {
        self.ending.set(true);
        self.wake_answerer();
        self.room.notify();
    }

    fn wake_answerer(&self) {
        if let Some(answerer) = self.answerer.borrow_mut().take() {
            answerer.wake();
        }
    }

    async fn answer(self: Rc<Self>, mut writer: Writer, limit: Rc<LogLimit>) {
        let mut segments = Vec::new();
        loop {
            poll_fn(|cx| self.poll_queue(cx)).await;
            while let Some(reply) = self.take_answered(segments.len()) {
                match reply {
                    Reply::Send(answer) => segments.extend(answer),
                    Reply::Silent => {}
                    Reply::Close(reason) => {
                        limit.report(format_args!(
                            "closing the connection of {}: {reason}",
                            self.origin.peer
                        ));
                        self.clear_queue();
                        self.end();
                    }
                }
            }
            self.room.notify();
            let bytes = bytes_in(&segments);
            self.unsent_bytes.set(bytes);
            let sending = self.shard.unsent().begin(bytes);
            self.keep_unsent_within_bounds(&limit);
            if !self
                .send(&mut writer, std::mem::take(&mut segments), sending)
                .await
            {
                self.end();
            }
            self.unsent_bytes.set(0);
            if self.ending.get() && self.queue.borrow().is_empty() {
                break;
            }
        }
        writer.shutdown();
    }

    /// While the answers of all clients that don't read take too much, closes the connection that has most of them.
    fn keep_unsent_within_bounds(&self, limit: &LogLimit) {
        if self.shard.unsent().is_too_much()
            && let Some(holder) = self.activity.holder_of_most()
        {
            limit.report(format_args!(
                "closing the connection of {}: it has not read {} bytes of answers, and the clients of this core together too many",
                holder.origin.peer,
                holder.unsent_bytes()
            ));
            holder.close();
        }
    }

    /// Sends `segments` piece by piece; false when the connection is of no use any more.
    async fn send(&self, writer: &mut Writer, mut segments: Vec<Bytes>, mut unsent: Sending) -> bool {
        while !segments.is_empty() && !self.closed.get() {
            let rest = segments.split_off(first_piece(&segments));
            let piece = std::mem::replace(&mut segments, rest);
            let piece_bytes = bytes_in(&piece);
            let mut sending = pin!(writer.send(piece));
            let sent = poll_fn(|cx| {
                if self.closed.get() {
                    return Poll::Ready(false);
                }
                self.sender.replace(Some(cx.waker().clone()));
                self.go_on_meanwhile(cx);
                sending.as_mut().poll(cx).map(|outcome| outcome.is_ok())
            });
            let sent = sent.await;
            self.sender.take();
            if !sent {
                return false;
            }
            unsent.taken(piece_bytes);
            self.unsent_bytes.set(self.unsent_bytes.get() - piece_bytes);
            self.activity.note();
        }
        !self.closed.get()
    }

    /// Lets produce requests go on while an answer is sent: one that has begun and isn't run would hold what others wait for,
    /// as long as this client doesn't read. What else stands at the front has not begun.
    fn go_on_meanwhile(&self, cx: &mut Context<'_>) {
        let goes_on = self
            .queue
            .borrow()
            .front()
            .is_some_and(|front| front.overlaps.is_some());
        if goes_on {
            let _ = self.poll_queue(cx);
        }
    }

    /// Polls the front request and those that overlap with it; ready when the front one is done, or the connection ends
    /// with nothing left.
    fn poll_queue(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.answerer.replace(Some(cx.waker().clone()));
        let mut queue = self.queue.borrow_mut();
        if self.ending.get() {
            queue.retain(|slot| !(slot.only_reads && matches!(slot.state, SlotState::Running(_))));
            self.queued_bytes
                .set(queue.iter().map(|slot| slot.frame_bytes).sum());
        }
        let mut may_begin = true;
        let mut unsent_bytes = 0;
        for (place, slot) in queue.iter_mut().enumerate() {
            if !may_begin || (place > 0 && slot.overlaps.is_none()) {
                break;
            }
            if unsent_bytes > UNSENT_BYTES_MAX && !slot.has_run {
                break;
            }
            slot.has_run = true;
            if let SlotState::Running(future) = &mut slot.state
                && let Poll::Ready(reply) = future.as_mut().poll(cx)
            {
                slot.state = SlotState::Done(reply);
            }
            may_begin = slot.lets_the_next_begin();
            unsent_bytes += slot.unsent_bytes();
        }
        let is_answered = queue.front().is_some_and(Slot::is_done);
        let is_over = self.ending.get() && queue.is_empty();
        if is_answered || is_over {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// The front request's reply, if it is done and one send can still take it.
    fn take_answered(&self, segments: usize) -> Option<Reply> {
        let mut queue = self.queue.borrow_mut();
        if io::is_planted(Planted::ReplyOutOfOrder)
            && let Some(done) = queue.iter().rposition(Slot::is_done)
        {
            queue.swap(0, done);
        }
        if segments >= SEND_SEGMENTS_MAX || !queue.front().is_some_and(Slot::is_done) {
            return None;
        }
        let slot = queue.pop_front()?;
        self.queued_bytes.set(self.queued_bytes.get() - slot.frame_bytes);
        match slot.state {
            SlotState::Done(reply) => Some(reply),
            SlotState::Running(_) => None,
        }
    }
}

fn bytes_in(segments: &[Bytes]) -> usize {
    segments.iter().map(Bytes::len).sum()
}

/// How many of `segments` go together: whole ones, at least the first, and no more than one send's bytes.
fn first_piece(segments: &[Bytes]) -> usize {
    let mut bytes = 0;
    let fits = segments.iter().take_while(|segment| {
        bytes += segment.len();
        bytes <= SEND_BYTES_MAX
    });
    fits.count().max(1)
}

impl Slot {
    fn lets_the_next_begin(&self) -> bool {
        let begun = self.overlaps.as_ref();
        begun.is_some_and(|begun| begun.is_set() || self.is_done())
    }

    /// What its answer holds until it is sent.
    fn unsent_bytes(&self) -> usize {
        match &self.state {
            SlotState::Done(Reply::Send(segments)) => bytes_in(segments),
            _ => 0,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.state, SlotState::Done(_))
    }
}
