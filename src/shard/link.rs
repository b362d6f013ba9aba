//! Requests between the cores of a node, on credit.
//!
//! Each core may have so many requests outstanding with each peer that their messages take half of a mailbox at the most:
//! requests and replies always find room, two cores cannot block each other, and a core that asks too much waits in line
//! for its own credit. Notices come on top; at most one per watch and per interest that the peer registered. What finds a
//! mailbox full waits in an outbox, in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::CoreId;
use crate::io::local::{Sender, oneshot};
use crate::io::mesh::Port;
use crate::io::{self, Planted};
use crate::partition::Interest;

use super::message::{Message, Reply, Request, WatchId};

/// Messages one mailbox holds: the requests and the replies of both directions, and as many notices. A quarter of them
/// keeps a peer busy for longer than a parked core takes to wake (about 50 µs), at some 0.3 µs a message.
pub const MAILBOX_MESSAGES: usize = 1024;

/// Requests one core may have outstanding with one peer whose mailbox holds so many messages.
fn credits_per_peer(mailbox_messages: usize) -> usize {
    (mailbox_messages / 4).max(1)
}

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
    /// Requests that wait for a credit, first come first served. They lie here and not with who asked: a credit that
    /// waited for its asker to run would be held by a connection that is busy with a reader who doesn't read.
    waiting: VecDeque<Waiting>,
    /// Messages that found the mailbox full.
    outbox: VecDeque<Message>,
    sending: bool,
}

/// A request that has no credit yet.
struct Waiting {
    request: Request,
    reply: Sender<Reply>,
}

impl Link {
    /// The link of the core that `port` belongs to, on a node of `cores`.
    pub fn new(port: Port<Message>, cores: u16) -> Rc<Link> {
        let credits = credits_per_peer(port.capacity());
        let peer = || Peer {
            credits,
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
        let (reply, receiver) = oneshot();
        self.send_or_line_up(peer, Waiting { request, reply });
        receiver.await.expect("every request is answered")
    }

    fn send_or_line_up(self: &Rc<Self>, peer: CoreId, asked: Waiting) {
        let state = &mut self.peers.borrow_mut()[peer.index()];
        if state.credits == 0 {
            return state.waiting.push_back(asked);
        }
        state.credits -= 1;
        self.send_request(peer, state, asked);
    }

    /// Answers a request of `peer`.
    pub fn reply(self: &Rc<Self>, peer: CoreId, slot: u32, reply: Reply) {
        self.post(peer, Message::Reply { slot, reply });
    }

    /// Tells `peer` that its watch has fired.
    pub fn fired(self: &Rc<Self>, peer: CoreId, watch: WatchId) {
        self.post(peer, Message::Fired(watch));
    }

    /// Tells `peer` that a partition of its fetch session has changed.
    pub fn changed(self: &Rc<Self>, peer: CoreId, interest: Interest) {
        self.post(peer, Message::Changed(interest));
    }

    /// The next message from any core.
    pub async fn receive(&self) -> (CoreId, Message) {
        self.port.recv().await
    }

    /// Hands the reply of `peer` to who asked, and its credit to who is next. One that no longer listens is not an error.
    pub fn deliver(self: &Rc<Self>, peer: CoreId, slot: u32, reply: Reply) {
        let asker = self.slots.borrow_mut().take(slot);
        self.pass_credit_on(peer);
        let _ = asker.send(reply);
    }

    fn pass_credit_on(self: &Rc<Self>, peer: CoreId) {
        let state = &mut self.peers.borrow_mut()[peer.index()];
        while let Some(next) = state.waiting.pop_front() {
            if !next.reply.is_closed() {
                return self.send_request(peer, state, next);
            }
        }
        state.credits += 1;
    }

    fn send_request(self: &Rc<Self>, peer: CoreId, state: &mut Peer, asked: Waiting) {
        let Waiting { request, reply } = asked;
        let slot = self.slots.borrow_mut().insert(reply);
        self.send(peer, state, Message::Request { slot, request });
    }

    fn post(self: &Rc<Self>, peer: CoreId, message: Message) {
        self.send(peer, &mut self.peers.borrow_mut()[peer.index()], message);
    }

    /// Sends now, or leaves the message in the outbox when the mailbox is full.
    fn send(self: &Rc<Self>, peer: CoreId, state: &mut Peer, message: Message) {
        if state.sending {
            state.outbox.push_back(message);
            return;
        }
        if let Err(message) = self.port.try_send(peer, message) {
            if io::is_planted(Planted::MessageDropped) {
                return;
            }
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

/// Who waits for which reply; bounded by the credits.
#[derive(Default)]
struct Slots {
    used: Vec<Option<Sender<Reply>>>,
    free: Vec<u32>,
}

impl Slots {
    fn insert(&mut self, reply: Sender<Reply>) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.used[slot as usize] = Some(reply);
            return slot;
        }
        self.used.push(Some(reply));
        u32::try_from(self.used.len() - 1).expect("credits bound the slots")
    }

    fn take(&mut self, slot: u32) -> Sender<Reply> {
        let reply = self.used[slot as usize]
            .take()
            .expect("a reply comes once, for a used slot");
        self.free.push(slot);
        reply
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::sync::{Arc, Mutex};
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::io::{Options, mesh};

    const CREDITS: usize = MAILBOX_MESSAGES / 4;
    const ASKED: usize = 10 * CREDITS;

    async fn receive_replies(link: Rc<Link>) {
        while let (peer, Message::Reply { slot, reply }) = link.receive().await {
            link.deliver(peer, slot, reply);
        }
    }

    /// Asks far more than there are credits, all at once, of a peer that answers only when nothing more comes.
    async fn ask_much(link: Rc<Link>) {
        io::spawn(receive_replies(link.clone()));
        let ask = |n| {
            let link = link.clone();
            io::spawn(async move { link.ask(CoreId(1), Request::Unwatch(WatchId(n as u64))).await })
        };
        let asked: Vec<_> = (0..ASKED).map(ask).collect();
        for reply in asked {
            assert!(matches!(reply.await, Reply::Done));
        }
        let peers = link.peers.borrow();
        assert_eq!(peers[1].credits, CREDITS, "every credit came back");
        assert!(peers[1].waiting.is_empty());
        assert!(link.slots.borrow().used.len() <= CREDITS);
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

    /// Runs `main` with the link of each of two cores.
    fn on_two_cores<Fut: Future<Output = ()> + 'static>(
        mailbox_messages: usize,
        main: impl Fn(Rc<Link>) -> Fut + Clone + Send + 'static,
    ) {
        let ports = mesh::build::<Message>(2, mailbox_messages);
        let ports: Vec<_> = ports.into_iter().map(Some).collect();
        let ports = Arc::new(Mutex::new(ports));
        let run = move |core: CoreId| {
            let port = ports.lock().unwrap()[core.index()].take().unwrap();
            let main = main.clone();
            async move { main(Link::new(port, 2)).await }
        };
        io::run(Options::unpinned(2), run).unwrap();
    }

    #[test]
    fn a_core_that_asks_too_much_waits_for_its_credit() {
        let most = Arc::new(Mutex::new(0));
        let seen = most.clone();
        on_two_cores(MAILBOX_MESSAGES, move |link| {
            let seen = seen.clone();
            async move {
                if io::core() == CoreId(0) {
                    ask_much(link).await;
                } else {
                    let most = answer_late(link).await;
                    *seen.lock().unwrap() = most;
                }
            }
        });
        assert_eq!(*most.lock().unwrap(), CREDITS);
    }

    #[test]
    fn an_asker_that_is_not_run_holds_nobody_up() {
        // Room for one request at a time.
        on_two_cores(4, |link| async move {
            if io::core() == CoreId(1) {
                for _ in 0..3 {
                    let (peer, Message::Request { slot, .. }) = link.receive().await else {
                        panic!("only requests come this way")
                    };
                    link.reply(peer, slot, Reply::Done);
                }
                return;
            }
            io::spawn(receive_replies(link.clone()));
            let ask = |n| Box::pin(link.ask(CoreId(1), Request::Unwatch(WatchId(n))));
            let mut asked = [ask(0), ask(1), ask(2)];
            for asker in &mut asked {
                let is_pending = poll_fn(|cx| Poll::Ready(asker.as_mut().poll(cx).is_pending()));
                assert!(is_pending.await);
            }
            let [first, held_up, last] = asked;
            let replies = io::timeout(Duration::from_secs(10), async { (first.await, last.await) });
            assert!(
                replies.await.is_ok(),
                "the third waits for the second, which nobody runs"
            );
            assert!(matches!(held_up.await, Reply::Done));
        });
    }
}
