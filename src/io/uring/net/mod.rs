//! TCP through the core's ring.
//!
//! A connection is split into a [`Reader`] and a [`Writer`], each used by one task. When both are gone and their operations have
//! ended, the socket is closed.

mod address;
mod listener;
mod reader;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::opcode;
use io_uring::types::Fd;

pub use super::buffers::Chunk;
pub use address::resolve_now;
pub use listener::{Bound, Listener, bind};
pub use reader::Reader;
pub(super) use writer::Outgoing;
pub use writer::Writer;

use super::ring::{self, Held, OnDrop, check};

/// A connected socket, with TCP_NODELAY.
#[derive(Debug)]
pub struct Stream {
    socket: Rc<OwnedFd>,
    peer: SocketAddr,
}

impl Stream {
    /// Connects to `peer`.
    ///
    /// # Errors
    /// The system's: refused, unreachable, out of descriptors.
    pub async fn connect(peer: SocketAddr) -> io::Result<Stream> {
        let socket = Rc::new(address::new_socket(&peer)?);
        let (storage, len) = address::to_system(&peer);
        let storage = Box::new(storage);
        let entry = opcode::Connect::new(Fd(socket.as_raw_fd()), (&raw const *storage).cast(), len).build();
        // SAFETY: the address is in a box that the operation holds, and the descriptor is `socket`'s.
        let connecting = unsafe {
            ring::begin(
                entry,
                Some(socket.clone()),
                Held::Address(storage),
                OnDrop::Cancel,
            )
        };
        check(connecting.await.0)?;
        Ok(Stream { socket, peer })
    }

    /// A socket that was just accepted. It asks for signs of life by itself (SO_KEEPALIVE, at the system's pace), so that a
    /// peer that vanished without a word is noticed in the end.
    fn accepted(socket: OwnedFd) -> io::Result<(Stream, SocketAddr)> {
        address::set_no_delay(&socket)?;
        address::set_option(&socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE)?;
        let peer = address::peer_of(&socket)?;
        let socket = Rc::new(socket);
        Ok((Stream { socket, peer }, peer))
    }

    /// The two directions, for two tasks.
    pub fn split(self) -> (Reader, Writer) {
        (Reader::new(self.socket.clone()), Writer::new(self.socket))
    }

    /// The other end's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// This end's address.
    ///
    /// # Errors
    /// When the system no longer knows it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        address::local_of(&self.socket)
    }
}
