//! TCP between simulated hosts.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::super::local;
use super::wire::{Arrived, Connection, Side};
use super::world::{self, Host, World};

/// Connections that wait to be accepted; past this they are refused.
const BACKLOG: usize = 4096;
/// Ports that a host gives to its own connections, in turn.
const FIRST_CLIENT_PORT: u16 = 32_768;
/// How long a connection to a silent host is tried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);

/// The sockets of a host.
#[derive(Default)]
pub(super) struct Sockets {
    listening: RefCell<BTreeMap<u16, Rc<Group>>>,
    next_port: Cell<u16>,
    /// Every connection that this host is a side of, until it is closed.
    connections: RefCell<Vec<(Rc<Connection>, usize)>>,
}

/// The listening sockets of one port, one for each core.
struct Group {
    /// A core accepts.
    is_open: Cell<bool>,
    backlogs: Vec<Backlog>,
}

#[derive(Default)]
struct Backlog {
    waiting: RefCell<VecDeque<Rc<Connection>>>,
    waker: RefCell<Option<Waker>>,
}

/// The addresses that a written address stands for: simulated hosts have no names.
///
/// # Errors
/// For a name.
pub fn resolve_now(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let address: IpAddr = host.parse().map_err(|_| io::ErrorKind::NotFound)?;
    Ok(vec![SocketAddr::new(address, port)])
}

/// A host's address.
pub(super) fn address_of(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host as u8 + 1))
}

fn host_of(world: &World, address: SocketAddr) -> Option<Rc<Host>> {
    let hosts = world.hosts.borrow();
    if address.ip().is_loopback() {
        return Some(world::place().host);
    }
    hosts
        .iter()
        .find(|host| address_of(host.index) == address.ip())
        .cloned()
}

/// A bound and listening socket on its way to its core.
#[derive(Debug)]
pub struct Bound {
    host: usize,
    index: usize,
    local: SocketAddr,
}

impl Bound {
    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// Binds `address` once for each of `cores` cores; the world spreads new connections over them.
///
/// # Errors
/// `AddrInUse`; `AddrNotAvailable` for an address of another host.
pub fn bind(address: SocketAddr, cores: usize) -> io::Result<Vec<Bound>> {
    let host = world::place().host;
    let ip = address.ip();
    if !ip.is_unspecified() && !ip.is_loopback() && ip != address_of(host.index) {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let mut listening = host.sockets.listening.borrow_mut();
    if listening.contains_key(&address.port()) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let group = Group {
        is_open: Cell::new(false),
        backlogs: (0..cores).map(|_| Backlog::default()).collect(),
    };
    listening.insert(address.port(), Rc::new(group));
    let bound = |index| Bound {
        host: host.index,
        index,
        local: address,
    };
    Ok((0..cores).map(bound).collect())
}

impl Drop for Bound {
    fn drop(&mut self) {
        let world = world::current();
        let host = world.hosts.borrow()[self.host].clone();
        // The group ends with the first of its sockets: a process closes them together.
        let gone = host.sockets.listening.borrow_mut().remove(&self.local.port());
        if let Some(group) = gone {
            for backlog in &group.backlogs {
                let waiting = std::mem::take(&mut *backlog.waiting.borrow_mut());
                waiting.iter().for_each(|connection| connection.reset(&world));
            }
        }
    }
}

/// Accepts connections on one core.
pub struct Listener {
    group: Rc<Group>,
    bound: Bound,
}

impl Listener {
    /// Makes the calling core the one that accepts for `bound`.
    ///
    /// # Errors
    /// When the port is no longer listened on.
    pub fn new(bound: Bound) -> io::Result<Listener> {
        let place = world::place();
        let listening = place.host.sockets.listening.borrow();
        let group = listening.get(&bound.local.port()).cloned();
        let group = group.ok_or(io::ErrorKind::NotConnected)?;
        group.is_open.set(true);
        Ok(Listener { group, bound })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.bound.local
    }

    /// The next connection and where it comes from.
    ///
    /// # Errors
    /// None here.
    pub async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        let backlog = &self.group.backlogs[self.bound.index];
        let connection = poll_fn(|cx| match backlog.waiting.borrow_mut().pop_front() {
            Some(connection) => Poll::Ready(connection),
            None => {
                local::register(&mut backlog.waker.borrow_mut(), cx);
                Poll::Pending
            }
        })
        .await;
        let peer = connection.sides[0].address;
        Ok((Stream::new(connection, 1), peer))
    }
}

/// A connected socket.
pub struct Stream {
    connection: Rc<Connection>,
    side: usize,
}

impl Stream {
    fn new(connection: Rc<Connection>, side: usize) -> Stream {
        let host = world::place().host;
        let mut all = host.sockets.connections.borrow_mut();
        all.push((connection.clone(), side));
        Stream { connection, side }
    }

    /// Connects to `peer`.
    ///
    /// # Errors
    /// Refused where nobody listens, timed out where nobody is.
    pub async fn connect(peer: SocketAddr) -> io::Result<Stream> {
        let world = world::current();
        let place = world::place();
        let delay = world.draw(&world.faults.borrow().flight_nanos);
        crate::io::sleep(delay * 2).await;
        let deadline = world.now() + CONNECT_PATIENCE;
        let target = loop {
            let target = host_of(&world, peer);
            let reachable =
                target.filter(|host| host.has_power.get() && !world.is_cut(place.host.index, host.index));
            match reachable {
                Some(host) => break host,
                None if world.now() > deadline => return Err(io::ErrorKind::TimedOut.into()),
                None => crate::io::sleep(Duration::from_millis(200)).await,
            }
        };
        let group = target.sockets.listening.borrow().get(&peer.port()).cloned();
        let group = group.ok_or(io::ErrorKind::ConnectionRefused)?;
        let backlog = &group.backlogs[world.chance.index(group.backlogs.len())];
        if !group.is_open.get() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if backlog.waiting.borrow().len() >= BACKLOG {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let client = Side::new(place.host.index, place.host.next_client_address());
        let server = Side::new(target.index, peer);
        let connection = Connection::new(client, server);
        backlog.waiting.borrow_mut().push_back(connection.clone());
        if let Some(waker) = backlog.waker.borrow_mut().take() {
            waker.wake();
        }
        Ok(Stream::new(connection, 0))
    }

    /// The two directions, for two tasks.
    pub fn split(self) -> (Reader, Writer) {
        let end = Rc::new(self);
        (Reader(end.clone()), Writer(end))
    }

    /// The other end's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.connection.sides[1 - self.side].address
    }

    /// This end's address.
    ///
    /// # Errors
    /// None here.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.sides[self.side].address)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let world = world::current();
        self.connection.close(&world, self.side);
        let host = world.hosts.borrow()[self.connection.sides[self.side].host].clone();
        let mut all = host.sockets.connections.borrow_mut();
        all.retain(|(connection, side)| !(Rc::ptr_eq(connection, &self.connection) && *side == self.side));
    }
}

/// Bytes that were received.
pub struct Chunk(Bytes);

impl Chunk {
    /// Drops the first `count` bytes.
    pub fn advance(&mut self, count: usize) {
        bytes::Buf::advance(&mut self.0, count);
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The receiving half of a connection.
pub struct Reader(Rc<Stream>);

impl Reader {
    /// What has arrived, at least one byte; `None` at the end.
    ///
    /// # Errors
    /// The connection's.
    pub async fn recv(&mut self) -> io::Result<Option<Chunk>> {
        Ok(self.bytes().await?.map(Chunk))
    }

    /// Appends exactly `len` bytes to `buf`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends before, and the connection's.
    pub async fn recv_exact(&mut self, mut buf: BytesMut, len: usize) -> io::Result<BytesMut> {
        let mut missing = len;
        while missing > 0 {
            let Some(mut bytes) = self.bytes().await? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            if bytes.len() > missing {
                let rest = bytes.split_off(missing);
                self.0.connection.unread(self.0.side, rest);
            }
            missing -= bytes.len();
            buf.extend_from_slice(&bytes);
        }
        Ok(buf)
    }

    async fn bytes(&mut self) -> io::Result<Option<Bytes>> {
        let Stream { connection, side } = &*self.0;
        poll_fn(|cx| match connection.receive(*side) {
            Arrived::Bytes(bytes) => Poll::Ready(Ok(Some(bytes))),
            Arrived::End => Poll::Ready(Ok(None)),
            Arrived::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Arrived::Nothing => {
                connection.wait_for_bytes(*side, cx.waker());
                Poll::Pending
            }
        })
        .await
    }
}

/// The sending half of a connection.
pub struct Writer(Rc<Stream>);

impl Writer {
    /// Sends all of `segments`, in order. One call at a time.
    ///
    /// # Errors
    /// The connection's: reset, closed.
    pub async fn send(&mut self, segments: Vec<Bytes>) -> io::Result<()> {
        let Stream { connection, side } = &*self.0;
        for mut segment in segments {
            poll_fn(|cx| {
                while !segment.is_empty() {
                    let sent = world::with(|world| connection.send(world, *side, &segment));
                    match sent {
                        Ok(0) => {
                            connection.wait_for_room(*side, cx.waker());
                            return Poll::Pending;
                        }
                        Ok(sent) => drop(segment.split_to(sent)),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Poll::Ready(Ok(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Ends both directions now: the peer sees the end, and this side's reader too.
    pub fn shutdown(&self) {
        let Stream { connection, side } = &*self.0;
        world::with(|world| {
            connection.end(world, *side);
            connection.end_now(1 - *side);
        });
    }
}

impl Host {
    fn next_client_address(&self) -> SocketAddr {
        let port = self.sockets.next_port.get().max(FIRST_CLIENT_PORT);
        self.sockets
            .next_port
            .set(port.checked_add(1).unwrap_or(FIRST_CLIENT_PORT));
        SocketAddr::new(address_of(self.index), port)
    }

    /// The host lost its power: its listeners are gone and its connections silent.
    pub(super) fn silence(&self) {
        self.sockets.listening.borrow_mut().clear();
        for (connection, side) in self.sockets.connections.borrow_mut().drain(..) {
            connection.sides[side].is_dead.set(true);
        }
    }
}
