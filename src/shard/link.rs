//! Requests between the cores of a node, on credit.
//!
//! Each core may have [`CREDITS_PER_PEER`] requests outstanding with each peer. A mailbox holds
//! [`MAILBOX_MESSAGES`], so requests and replies always find room: two cores cannot block each other, and a
//! core that asks too much waits in line for its own credit. Watch notices come on top; at most one per
//! watch that the peer registered. What finds a mailbox full waits in an outbox, in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::CoreId;
use crate::io;
use crate::io::local::{Sender, oneshot};
use crate::io::mesh::Port;

use super::message::{Message, Reply, Request, WatchId};

/// Requests one core may have outstanding with one peer. Enough to keep a peer busy for longer than a
/// parked core takes to wake (about 50 µs), at some 0.3 µs a message.
pub const CREDITS_PER_PEER: usize = 256;

/// Messages one mailbox holds: every request and every reply of both directions, and as many notices.
pub const MAILBOX_MESSAGES: usize = 1024;

const _: () = assert!(MAILBOX_MESSAGES >= 2 * CREDITS_PER_PEER);

/// This core's end of the mesh.
pub struct Link {
    port: Port<Message>,
    cores: u16,
    peers: RefCell<Vec<Peer>>,
    slots: RefCell<Slots>,
}

/// What the link keeps about one other core.
struct Peer {
    credits: usize,
    /// Who waits for a credit, first come first served.
    waiting: VecDeque<Sender<Credit>>,
    /// Messages that found the mailbox full.
    outbox: VecDeque<Message>,
    sending: bool,
}

/// The right to have one request outstanding with a peer; comes back when dropped.
struct Credit {
    link: Rc<Link>,
    peer: CoreId,
}

impl Link {
    /// The link of the core that `port` belongs to, on a node of `cores`.
    pub fn new(port: Port<Message>, cores: u16) -> Rc<Link> {
        let peer = || Peer {
            credits: CREDITS_PER_PEER,
            waiting: VecDeque::new(),
            outbox: VecDeque::new(),
            sending: false,
        };
        Rc::new(Link {
            port,
            cores,
            peers: RefCell::new((0..cores).map(|_| peer()).collect()),
            slots: RefCell::default(),
        })
    }

    /// Every core of the node but this one.
    pub fn peers(&self) -> impl Iterator<Item = CoreId> + use<> {
        let here = io::core();
        (0..self.cores).map(CoreId).filter(move |core| *core != here)
    }

    /// Asks `peer` and waits for its reply. Requests of one task to one peer arrive in the order asked.
    pub async fn ask(self: &Rc<Self>, peer: CoreId, request: Request) -> Reply {
        let credit = self.credit(peer).await;
        let (sender, receiver) = oneshot();
        let slot = self.slots.borrow_mut().insert(Outstanding {
            reply: sender,
            _credit: credit,
        });
        self.post(peer, Message::Request { slot, request });
        receiver.await.expect("a slot is emptied only by its reply")
    }

    /// Answers a request of `peer`.
    pub fn reply(self: &Rc<Self>, peer: CoreId, slot: u32, reply: Reply) {
        self.post(peer, Message::Reply { slot, reply });
    }

    /// Tells `peer` that its watch has fired.
    pub fn fired(self: &Rc<Self>, peer: CoreId, watch: WatchId) {
        self.post(peer, Message::Fired(watch));
    }

    /// The next message from any core.
    pub async fn receive(&self) -> (CoreId, Message) {
        self.port.recv().await
    }

    /// Hands the reply to who asked; one that no longer listens is not an error.
    pub fn deliver(&self, slot: u32, reply: Reply) {
        let outstanding = self.slots.borrow_mut().take(slot);
        // Dropped after the borrow ends: giving the credit back may wake the next in line.
        let Outstanding {
            reply: sender,
            _credit,
        } = outstanding;
        let _ = sender.send(reply);
    }

    async fn credit(self: &Rc<Self>, peer: CoreId) -> Credit {
        let receiver = {
            let mut peers = self.peers.borrow_mut();
            let state = &mut peers[peer.index()];
            if state.credits > 0 && state.waiting.is_empty() {
                state.credits -= 1;
                return Credit {
                    link: self.clone(),
                    peer,
                };
            }
            let (sender, receiver) = oneshot();
            state.waiting.push_back(sender);
            receiver
        };
        receiver.await.expect("who waits in line is served")
    }

    /// Sends now, or leaves the message in the outbox when the mailbox is full.
    fn post(self: &Rc<Self>, peer: CoreId, message: Message) {
        let mut peers = self.peers.borrow_mut();
        let state = &mut peers[peer.index()];
        if state.sending {
            state.outbox.push_back(message);
            return;
        }
        if let Err(message) = self.port.try_send(peer, message) {
            state.outbox.push_back(message);
            state.sending = true;
            io::spawn(self.clone().empty_outbox(peer));
        }
    }

    async fn empty_outbox(self: Rc<Self>, peer: CoreId) {
        while let Some(message) = self.next_in_outbox(peer) {
            self.port.send(peer, message).await;
        }
    }

    fn next_in_outbox(&self, peer: CoreId) -> Option<Message> {
        let mut peers = self.peers.borrow_mut();
        let state = &mut peers[peer.index()];
        let message = state.outbox.pop_front();
        state.sending = message.is_some();
        message
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        loop {
            let next = {
                let mut peers = self.link.peers.borrow_mut();
                let state = &mut peers[self.peer.index()];
                match state.waiting.pop_front() {
                    Some(next) => next,
                    None => {
                        state.credits += 1;
                        return;
                    }
                }
            };
            if next.is_closed() {
                continue;
            }
            let _ = next.send(Credit {
                link: self.link.clone(),
                peer: self.peer,
            });
            return;
        }
    }
}

struct Outstanding {
    reply: Sender<Reply>,
    _credit: Credit,
}

/// Requests whose reply is outstanding; bounded by the credits.
#[derive(Default)]
struct Slots {
    used: Vec<Option<Outstanding>>,
    free: Vec<u32>,
}

impl Slots {
    fn insert(&mut self, outstanding: Outstanding) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.used[slot as usize] = Some(outstanding);
            return slot;
        }
        self.used.push(Some(outstanding));
        u32::try_from(self.used.len() - 1).expect("credits bound the slots")
    }

    fn take(&mut self, slot: u32) -> Outstanding {
        let outstanding = self.used[slot as usize]
            .take()
            .expect("a reply comes once, for a used slot");
        self.free.push(slot);
        outstanding
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::io::{Options, mesh};

    const ASKED: usize = 10 * CREDITS_PER_PEER;

    /// Asks far more than there are credits, all at once, of a peer that answers only when nothing more comes.
    async fn ask_much(link: Rc<Link>) {
        let receiving = link.clone();
        io::spawn(async move {
            while let (_, Message::Reply { slot, reply }) = receiving.receive().await {
                receiving.deliver(slot, reply);
            }
        });
        let ask = |n| {
            let link = link.clone();
            io::spawn(async move { link.ask(CoreId(1), Request::Unwatch(WatchId(n as u64))).await })
        };
        let asked: Vec<_> = (0..ASKED).map(ask).collect();
        for reply in asked {
            assert!(matches!(reply.await, Reply::Done));
        }
        let peers = link.peers.borrow();
        assert_eq!(peers[1].credits, CREDITS_PER_PEER, "every credit came back");
        assert!(peers[1].waiting.is_empty());
        assert!(link.slots.borrow().used.len() <= CREDITS_PER_PEER);
    }

    /// Returns the most requests that were outstanding at once.
    async fn answer_late(link: Rc<Link>) -> usize {
        let (mut answered, mut held, mut most) = (0, Vec::new(), 0);
        let mut expected = 0;
        while answered < ASKED {
            match io::timeout(Duration::from_millis(20), link.receive()).await {
                Ok((peer, Message::Request { slot, request })) => {
                    let Request::Unwatch(WatchId(n)) = request else {
                        panic!("nothing else was asked")
                    };
                    assert_eq!(n, expected, "requests arrive in the order asked");
                    expected += 1;
                    held.push((peer, slot));
                    most = most.max(held.len());
                }
                Ok(_) => panic!("only requests come this way"),
                Err(_) => {
                    answered += held.len();
                    for (peer, slot) in held.drain(..) {
                        link.reply(peer, slot, Reply::Done);
                    }
                }
            }
        }
        most
    }

    #[test]
    fn a_core_that_asks_too_much_waits_for_its_credit() {
        let ports = mesh::build::<Message>(2, MAILBOX_MESSAGES);
        let ports: Vec<_> = ports.into_iter().map(Some).collect();
        let ports = Arc::new(Mutex::new(ports));
        let most = Arc::new(Mutex::new(0));
        let seen = most.clone();
        io::run(Options::unpinned(2), move |core| {
            let port = ports.lock().unwrap()[core.index()].take().unwrap();
            let seen = seen.clone();
            async move {
                let link = Link::new(port, 2);
                if core == CoreId(0) {
                    ask_much(link).await;
                } else {
                    let most = answer_late(link).await;
                    *seen.lock().unwrap() = most;
                }
            }
        })
        .unwrap();
        assert_eq!(*most.lock().unwrap(), CREDITS_PER_PEER);
    }
}
