//! Listening sockets: one for each core, in one SO_REUSEPORT group, with a multishot accept.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use io_uring::types::Fd;
use io_uring::{cqueue, opcode};

use super::super::super::local;
use super::super::core;
use super::super::ring::{Completions, OpId};
use super::{Stream, address};

/// Connections that wait in the kernel to be accepted. The system cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Connections that were accepted and that no task has asked for yet; past this the kernel keeps them.
const ACCEPTED_MAX: usize = 64;

/// A bound and listening socket on its way to its core.
#[derive(Debug)]
pub struct Bound {
    socket: OwnedFd,
    local: SocketAddr,
}

impl Bound {
    /// The address that was bound, with the port that the system chose when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// The kernel takes a killed process's rings down after the process is gone, and until then its listeners stand. So a
/// port that is taken is asked for again: 100 times with 10 ms between.
const TAKEN_WAITS: u32 = 100;
const TAKEN_WAIT: std::time::Duration = std::time::Duration::from_millis(10);

/// Binds `address` once for each of `cores` cores; the kernel spreads new connections over them.
///
/// # Errors
/// `AddrInUse` also when the other user of the port is a process that would share it.
pub fn bind(address: SocketAddr, cores: usize) -> io::Result<Vec<Bound>> {
    let mut waits_left = TAKEN_WAITS;
    loop {
        match bind_now(address, cores) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && waits_left > 0 => {
                waits_left -= 1;
                std::thread::sleep(TAKEN_WAIT);
            }
            outcome => return outcome,
        }
    }
}

fn bind_now(address: SocketAddr, cores: usize) -> io::Result<Vec<Bound>> {
    // Every socket of a port that was bound with SO_REUSEPORT lets others of the same user join. So the first one asks for
    // the port for itself, which fails while anybody listens there, and stands by until the group is bound.
    let probe = address::new_socket(&address)?;
    address::set_option(&probe, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    address::bind(&probe, &address)?;
    let local = address::local_of(&probe)?;
    let mut group = Vec::with_capacity(cores);
    for _ in 0..cores {
        let socket = address::new_socket(&local)?;
        address::set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
        address::set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT)?;
        address::bind(&socket, &local)?;
        group.push(socket);
    }
    drop(probe);
    let mut bound = Vec::with_capacity(cores);
    for socket in group {
        // SAFETY: plain numbers.
        address::succeeded(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
        bound.push(Bound { socket, local });
    }
    Ok(bound)
}

/// Accepts connections on one core.
pub struct Listener {
    accepting: Rc<Accepting>,
    local: SocketAddr,
}

/// Lives as long as the multishot accept does.
struct Accepting {
    socket: OwnedFd,
    accepted: RefCell<VecDeque<io::Result<OwnedFd>>>,
    waker: RefCell<Option<Waker>>,
    armed: Cell<Option<OpId>>,
    cancelled: Cell<bool>,
}

impl Listener {
    /// Makes the calling core the one that accepts for `bound`.
    ///
    /// # Errors
    /// None today; the simulated build has some.
    pub fn new(bound: Bound) -> io::Result<Listener> {
        Ok(Listener {
            accepting: Rc::new(Accepting {
                socket: bound.socket,
                accepted: RefCell::default(),
                waker: RefCell::default(),
                armed: Cell::new(None),
                cancelled: Cell::new(false),
            }),
            local: bound.local,
        })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection and where it comes from.
    ///
    /// # Errors
    /// Of one connection that went away before it was accepted, or of the system (out of descriptors): wait a little, and call
    /// again.
    pub async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        let accepting = &self.accepting;
        let socket = std::future::poll_fn(|cx| accepting.poll_accept(cx)).await?;
        Stream::accepted(socket)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.cancel();
        self.accepting.accepted.borrow_mut().clear();
    }
}

impl Accepting {
    fn poll_accept(self: &Rc<Accepting>, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let next = self.accepted.borrow_mut().pop_front();
        if let Some(next) = next {
            return Poll::Ready(next);
        }
        if self.armed.get().is_none() {
            self.arm();
        }
        local::register(&mut self.waker.borrow_mut(), cx);
        Poll::Pending
    }

    fn arm(self: &Rc<Accepting>) {
        let entry = opcode::AcceptMulti::new(Fd(self.socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.cancelled.set(false);
        // SAFETY: the entry holds no pointer, and its descriptor is the sink's.
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
}

impl Completions for Accepting {
    fn complete(self: Rc<Self>, result: i32, flags: u32) {
        if !cqueue::more(flags) {
            self.armed.set(None);
        }
        let mut accepted = self.accepted.borrow_mut();
        match result {
            // SAFETY: a new descriptor, which the kernel gave to this completion alone.
            0.. => accepted.push_back(Ok(unsafe { OwnedFd::from_raw_fd(result) })),
            _ if result == -libc::ECANCELED => {}
            _ => accepted.push_back(Err(io::Error::from_raw_os_error(-result))),
        }
        if Rc::strong_count(&self) == 1 {
            // The listener is gone, and this was the last completion: nobody will ever ask.
            accepted.clear();
        }
        if accepted.len() >= ACCEPTED_MAX {
            self.cancel();
        }
        drop(accepted);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
