//! One connection: requests are handled in the order they came, and answered in that order.
//!
//! Two tasks share a queue of at most [`IN_FLIGHT_MAX`] requests. The *reader* cuts frames and queues them; it
//! stops reading the socket while the queue is full. The *answerer* polls the request at the front, and sends its answer before
//! it polls the next: as in Kafka a request sees what those before it did, and a client that doesn't read its answers costs
//! one of them. Only requests that [overlap](api::Started::overlaps) run together: produce requests, whose
//! answers are small and whose waits (for another core, for a flush) would otherwise add up.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;

use crate::api::{self, Origin, Pending, Reply};
use crate::io::local::Notify;
use crate::io::net::{Stream, Writer};
use crate::io::{self, Planted};
use crate::shard::Shard;

use super::frames::Frames;
use super::log_limit::LogLimit;

/// Requests of one connection that may be under way. Java producers keep 5, librdkafka's many by default;
/// past this the client waits in its own socket buffer.
const IN_FLIGHT_MAX: usize = 64;

/// Segments in one send, below the kernel's limit of 1,024 (`IOV_MAX`).
const SEND_SEGMENTS_MAX: usize = 512;

/// What the two tasks of a connection share.
struct Connection {
    shard: Rc<Shard>,
    origin: Rc<Origin>,
    queue: RefCell<VecDeque<Slot>>,
    /// The answerer, to wake when a request was queued or the connection ends.
    answerer: RefCell<Option<Waker>>,
    /// Wakes the reader: the queue has room, or the connection ends.
    room: Notify,
    /// Nothing more will be read.
    ending: Cell<bool>,
}

struct Slot {
    /// May run beside others like it.
    overlaps: bool,
    /// Need not run when nobody will read its answer.
    only_reads: bool,
    state: SlotState,
}

enum SlotState {
    Running(Pending),
    Done(Reply),
}

/// Serves `stream` until either side closes it.
pub async fn serve(shard: Rc<Shard>, stream: Stream, origin: Origin, limit: Rc<LogLimit>) {
    let frame_bytes_max = shard.config().request_bytes_max();
    let (reader, writer) = stream.split();
    let connection = Rc::new(Connection {
        shard,
        origin: Rc::new(origin),
        queue: RefCell::default(),
        answerer: RefCell::default(),
        room: Notify::default(),
        ending: Cell::new(false),
    });
    io::spawn(connection.clone().answer(writer, limit.clone()));
    connection
        .read(Frames::new(reader, frame_bytes_max), &limit)
        .await;
}

impl Connection {
    async fn read(&self, mut frames: Frames, limit: &LogLimit) {
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
        while self.queue.borrow().len() >= IN_FLIGHT_MAX && !self.ending.get() {
            self.room.notified().await;
        }
        let started = api::start(self.shard.clone(), self.origin.clone(), frame);
        self.queue.borrow_mut().push_back(Slot {
            overlaps: started.overlaps,
            only_reads: started.only_reads,
            state: SlotState::Running(started.future),
        });
        self.wake_answerer();
    }

    /// Reads no more. What was received whole still runs: a producer with `acks=0` may be gone already.
    fn end(&self) {
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
                        self.queue.borrow_mut().clear();
                        self.end();
                    }
                }
            }
            self.room.notify();
            if !segments.is_empty() && writer.send(std::mem::take(&mut segments)).await.is_err() {
                self.end();
            }
            if self.ending.get() && self.queue.borrow().is_empty() {
                break;
            }
        }
        writer.shutdown();
    }

    /// Polls the front request and those that overlap with it; ready when the front one is done, or the connection ends
    /// with nothing left.
    fn poll_queue(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.answerer.replace(Some(cx.waker().clone()));
        let mut queue = self.queue.borrow_mut();
        if self.ending.get() {
            queue.retain(|slot| !(slot.only_reads && matches!(slot.state, SlotState::Running(_))));
        }
        let overlapping = queue.iter().take_while(|slot| slot.overlaps).count();
        for slot in queue.iter_mut().take(overlapping.max(1)) {
            if let SlotState::Running(future) = &mut slot.state
                && let Poll::Ready(reply) = future.as_mut().poll(cx)
            {
                slot.state = SlotState::Done(reply);
            }
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
        match queue.pop_front()?.state {
            SlotState::Done(reply) => Some(reply),
            SlotState::Running(_) => None,
        }
    }
}

impl Slot {
    fn is_done(&self) -> bool {
        matches!(self.state, SlotState::Done(_))
    }
}
