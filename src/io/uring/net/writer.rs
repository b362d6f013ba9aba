//! Sending: the segments as they are, without a copy, until all of them have gone.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use bytes::{Buf, Bytes};
use io_uring::types::Fd;
use io_uring::{opcode, squeue};

use super::super::ring::{self, Held, OnDrop, check};

/// Segments in one operation; Linux's own limit (UIO_MAXIOV).
const SEGMENTS_MAX: usize = 1024;

/// The sending half of a connection.
pub struct Writer {
    socket: Rc<OwnedFd>,
    /// The memory of the last operation, for the next one.
    spare: Cell<Option<Box<Outgoing>>>,
}

/// What one send lends to the kernel.
#[derive(Default)]
pub(in super::super) struct Outgoing {
    /// What has not gone yet, none of it empty; the first one may be the rest of a segment.
    segments: std::collections::VecDeque<Bytes>,
    vectors: Vec<libc::iovec>,
    message: Option<libc::msghdr>,
}

impl Writer {
    pub(super) fn new(socket: Rc<OwnedFd>) -> Writer {
        Writer {
            socket,
            spare: Cell::new(None),
        }
    }

    /// Sends all of `segments`, in order. One call at a time. A future that is dropped before it is ready may have sent a part:
    /// the connection is of no use then.
    ///
    /// # Errors
    /// The connection's: reset, closed.
    pub async fn send(&mut self, segments: Vec<Bytes>) -> io::Result<()> {
        let mut outgoing = self.spare.take().unwrap_or_default();
        outgoing.segments.clear();
        outgoing
            .segments
            .extend(segments.into_iter().filter(|segment| !segment.is_empty()));
        while !outgoing.segments.is_empty() {
            let entry = outgoing.entry(&self.socket);
            let held = Held::Outgoing(outgoing);
            // SAFETY: the entry points into the box, and to segments that the box owns; `Bytes` never move what they point to.
            let send = unsafe { ring::begin(entry, Some(self.socket.clone()), held, OnDrop::Cancel) };
            let (result, held) = send.await;
            let Held::Outgoing(returned) = held else {
                unreachable!("the box was given to the operation")
            };
            outgoing = returned;
            match check(result)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => outgoing.advance(sent),
            }
        }
        self.spare.set(Some(outgoing));
        Ok(())
    }

    /// Ends both directions now: the peer sees the end, and this side's reader too.
    pub fn shutdown(&self) {
        // SAFETY: plain numbers. It fails only when the connection is gone already.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
    }
}

impl Outgoing {
    /// The operation that sends what is left, or as much of it as one takes.
    fn entry(&mut self, socket: &OwnedFd) -> squeue::Entry {
        // With MSG_WAITALL the kernel itself goes on after a short send.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let fd = Fd(socket.as_raw_fd());
        if let [only] = self.segments.make_contiguous()
            && let Ok(len) = u32::try_from(only.len())
        {
            return opcode::Send::new(fd, only.as_ptr(), len).flags(flags).build();
        }
        self.vectors.clear();
        self.vectors.extend(
            self.segments
                .iter()
                .take(SEGMENTS_MAX)
                .map(|segment| libc::iovec {
                    iov_base: segment.as_ptr().cast_mut().cast(),
                    iov_len: segment.len(),
                }),
        );
        // SAFETY: all-zero bytes are a valid header: no address, no control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = self.vectors.as_mut_ptr();
        message.msg_iovlen = self.vectors.len();
        let message = self.message.insert(message);
        opcode::SendMsg::new(fd, message).flags(flags as u32).build()
    }

    /// The first `sent` bytes have gone.
    fn advance(&mut self, mut sent: usize) {
        while sent > 0 {
            let first = self
                .segments
                .front_mut()
                .expect("the kernel sends no more than it was given");
            if first.len() > sent {
                first.advance(sent);
                return;
            }
            sent -= first.len();
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_send_leaves_exactly_the_rest() {
        let pieces = ["abc", "de", "fghi"];
        for sent in 0..=9 {
            let mut outgoing = Outgoing::default();
            outgoing
                .segments
                .extend(pieces.map(|piece| Bytes::from_static(piece.as_bytes())));
            outgoing.advance(sent);
            let rest: Vec<u8> = outgoing.segments.iter().flatten().copied().collect();
            assert_eq!(rest, b"abcdefghi"[sent..]);
            assert!(outgoing.segments.iter().all(|segment| !segment.is_empty()));
        }
    }
}
