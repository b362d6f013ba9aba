//! Messages between the cores of a process: bounded queues whose messages take a moment to be seen.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::super::local;
use super::world::{self, Alarm};
use crate::base::{CoreId, Instant};

/// One core's end of the mesh: sends to every core, itself included, and receives from every core. Several tasks may
/// send; one task receives.
pub struct Port<M: Send + 'static> {
    here: usize,
    mesh: Arc<Mutex<Mesh<M>>>,
}

struct Mesh<M> {
    cores: usize,
    capacity: usize,
    /// By sender, then receiver.
    queues: Vec<Vec<Queue<M>>>,
    /// By receiver.
    receivers: Vec<Option<Waker>>,
    /// By receiver: whom it asks first.
    next: Vec<usize>,
}

struct Queue<M> {
    messages: VecDeque<(Instant, M)>,
    waiting: VecDeque<u64>,
    wakers: Vec<(u64, Waker)>,
    next_ticket: u64,
}

/// The ports of a mesh over `cores` cores; index = `CoreId`. Each queue holds `capacity` messages.
pub fn build<M: Send + 'static>(cores: usize, capacity: usize) -> Vec<Port<M>> {
    assert!(capacity > 0, "a queue without room carries nothing");
    let capacity = world::with(|world| capacity.min(world.faults.borrow().mailbox_messages_max));
    let queue = || Queue {
        messages: VecDeque::new(),
        waiting: VecDeque::new(),
        wakers: Vec::new(),
        next_ticket: 0,
    };
    let mesh = Arc::new(Mutex::new(Mesh {
        cores,
        capacity,
        queues: (0..cores)
            .map(|_| (0..cores).map(|_| queue()).collect())
            .collect(),
        receivers: (0..cores).map(|_| None).collect(),
        next: vec![0; cores],
    }));
    let port = |here| Port {
        here,
        mesh: mesh.clone(),
    };
    (0..cores).map(port).collect()
}

impl<M: Send + 'static> Port<M> {
    fn mesh(&self) -> MutexGuard<'_, Mesh<M>> {
        self.mesh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that one mailbox holds.
    pub fn capacity(&self) -> usize {
        self.mesh().capacity
    }

    /// Puts `message` into `to`'s mailbox, or gives it back when the mailbox is full or others wait for room in it.
    pub fn try_send(&self, to: CoreId, message: M) -> Result<(), M> {
        self.put(to, message, false)
    }

    fn put(&self, to: CoreId, message: M, has_turn: bool) -> Result<(), M> {
        let world = world::current();
        let delay = world.draw(&world.faults.borrow().mail_nanos);
        let (at, waker) = {
            let mut mesh = self.mesh();
            let capacity = mesh.capacity;
            let queue = &mut mesh.queues[self.here][to.index()];
            if queue.messages.len() >= capacity || (!has_turn && !queue.waiting.is_empty()) {
                return Err(message);
            }
            let last = queue.messages.back().map_or(Instant(0), |(at, _)| *at);
            let at = last.max(world.now() + delay);
            queue.messages.push_back((at, message));
            (at, mesh.receivers[to.index()].take())
        };
        if let Some(waker) = waker {
            let alarm = Rc::new(Alarm::default());
            *alarm.waker.borrow_mut() = Some(waker);
            world.alarm_at(at, alarm);
        }
        Ok(())
    }

    /// Puts `message` into `to`'s mailbox. Waits while it is full; those who wait get their turn in the order in which they
    /// came. Dropping the future before it is ready drops the message unsent.
    pub async fn send(&self, to: CoreId, message: M) {
        let Err(message) = self.try_send(to, message) else {
            return;
        };
        let ticket = {
            let mut mesh = self.mesh();
            let queue = &mut mesh.queues[self.here][to.index()];
            let ticket = queue.next_ticket;
            queue.next_ticket += 1;
            queue.waiting.push_back(ticket);
            ticket
        };
        let place = Waiting {
            port: self,
            to,
            ticket,
        };
        let mut message = Some(message);
        poll_fn(|cx| {
            let is_first = self.mesh().queues[self.here][to.index()].waiting.front() == Some(&ticket);
            if is_first && let Some(unsent) = message.take() {
                match self.put(to, unsent, true) {
                    Ok(()) => return Poll::Ready(()),
                    Err(unsent) => message = Some(unsent),
                }
            }
            let mut mesh = self.mesh();
            let wakers = &mut mesh.queues[self.here][to.index()].wakers;
            wakers.retain(|(other, _)| *other != ticket);
            wakers.push((ticket, cx.waker().clone()));
            Poll::Pending
        })
        .await;
        drop(place);
    }

    /// The next message, and who sent it.
    pub async fn recv(&self) -> (CoreId, M) {
        poll_fn(|cx| match self.try_recv() {
            Some(received) => Poll::Ready(received),
            None => {
                let mut mesh = self.mesh();
                local::register(&mut mesh.receivers[self.here], cx);
                // A message that is under way rings when it is there.
                let next = (0..mesh.cores)
                    .filter_map(|from| mesh.queues[from][self.here].messages.front())
                    .map(|(at, _)| *at)
                    .min();
                drop(mesh);
                if let Some(at) = next {
                    let alarm = Rc::new(Alarm::default());
                    *alarm.waker.borrow_mut() = Some(cx.waker().clone());
                    world::with(|world| world.alarm_at(at, alarm));
                }
                Poll::Pending
            }
        })
        .await
    }

    /// The next message, if there is one now.
    pub fn try_recv(&self) -> Option<(CoreId, M)> {
        let now = world::now();
        let mut mesh = self.mesh();
        let (cores, first) = (mesh.cores, mesh.next[self.here]);
        for step in 0..cores {
            let from = (first + step) % cores;
            let queue = &mut mesh.queues[from][self.here];
            if queue.messages.front().is_some_and(|(at, _)| *at <= now) {
                let (_, message) = queue.messages.pop_front()?;
                let waker = queue.first_waker();
                mesh.next[self.here] = (from + 1) % cores;
                drop(mesh);
                if let Some(waker) = waker {
                    waker.wake();
                }
                return Some((CoreId(from as u16), message));
            }
        }
        None
    }
}

impl<M> Queue<M> {
    fn first_waker(&mut self) -> Option<Waker> {
        let first = *self.waiting.front()?;
        let at = self.wakers.iter().position(|(ticket, _)| *ticket == first)?;
        Some(self.wakers.swap_remove(at).1)
    }
}

/// A place in the line of those who wait for room.
struct Waiting<'a, M: Send + 'static> {
    port: &'a Port<M>,
    to: CoreId,
    ticket: u64,
}

impl<M: Send + 'static> Drop for Waiting<'_, M> {
    fn drop(&mut self) {
        let waker = {
            let mut mesh = self.port.mesh();
            let queue = &mut mesh.queues[self.port.here][self.to.index()];
            queue.waiting.retain(|ticket| *ticket != self.ticket);
            queue.wakers.retain(|(ticket, _)| *ticket != self.ticket);
            queue.first_waker()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
