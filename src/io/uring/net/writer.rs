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

/// Bytes in one operation. The kernel copies them before it lets the core go on, some 25 us of them; between two operations others get
/// their turn. Without it an answer of 1 MiB held up all else for 300 us.
const BYTES_MAX: usize = 128 << 10;

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
        self.lend();
        if let [only] = self.vectors[..] {
            return opcode::Send::new(fd, only.iov_base.cast(), only.iov_len as u32)
                .flags(flags)
                .build();
        }
        // SAFETY: all-zero bytes are a valid header: no address, no control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = self.vectors.as_mut_ptr();
        message.msg_iovlen = self.vectors.len();
        let message = self.message.insert(message);
        opcode::SendMsg::new(fd, message).flags(flags as u32).build()
    }

    /// Points the vectors to what one operation takes.
    fn lend(&mut self) {
        let mut room = BYTES_MAX;
        let lent = self.segments.iter().take(SEGMENTS_MAX).map_while(|segment| {
            let len = segment.len().min(room);
            room -= len;
            (len > 0).then(|| libc::iovec {
                iov_base: segment.as_ptr().cast_mut().cast(),
                iov_len: len,
            })
        });
        self.vectors.clear();
        self.vectors.extend(lent);
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
    #[test]
    fn one_operation_takes_no_more_than_leaves_the_others_their_turn() {
        let (half, whole) = (BYTES_MAX / 2, BYTES_MAX);
        for (segments, lent) in [
            (vec![whole + 1], vec![whole]),
            (vec![10, half, whole], vec![10, half, half - 10]),
            (vec![half, half, 1], vec![half, half]),
            (vec![1; SEGMENTS_MAX + 1], vec![1; SEGMENTS_MAX]),
        ] {
            let mut outgoing = Outgoing::default();
            let filled = segments.into_iter().map(|len| Bytes::from(vec![0; len]));
            outgoing.segments.extend(filled);
            outgoing.lend();
            let lens: Vec<usize> = outgoing.vectors.iter().map(|vector| vector.iov_len).collect();
            assert_eq!(lens, lent);
        }
    }
}
