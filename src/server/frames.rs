//! Cuts a connection's bytes into request frames.
//!
//! A frame is a size (i32, big-endian) and that many bytes. Each frame gets one allocation of its own, so that a record batch
//! which stays in memory keeps alive nothing but the request it came in. Small frames are copied out of the ring's
//! buffers; what is missing of a large one is received straight into place.

use std::cell::Cell;
use std::fmt;
use std::io;

use bytes::BytesMut;

use crate::io::net::{Chunk, Reader};

/// From this many missing bytes on, the rest of a frame is received without the copy.
const RECEIVE_IN_PLACE_BYTES_MIN: usize = 32 << 10;

/// What a frame is given before its bytes are there. A larger one gets as much again as has arrived: a size that is
/// claimed and never sent costs this and no more.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// Memory that a core gives to frames which aren't whole yet before it becomes sparing. Enough for a few producers with large requests;
/// ten thousand clients that begin a request and leave it there must not have a megabyte each.
const INCOMING_BYTES_MAX: usize = 16 << 20;
/// What a frame is given ahead from then on.
const AHEAD_BYTES_BEYOND: usize = 4 << 10;

/// What is received in place at once: who sends slowly is seen to send.
const RECEIVE_IN_PLACE_BYTES_MAX: usize = 4 << 20;

/// What a core holds for frames that aren't whole yet.
#[derive(Default)]
pub struct Incoming {
    bytes: Cell<usize>,
}

/// One frame's part of it.
struct Held<'a> {
    incoming: &'a Incoming,
    bytes: usize,
}

impl Incoming {
    /// How much a frame of which `arrived` bytes are there may be given beyond them.
    fn ahead(&self, arrived: usize) -> usize {
        let least = match self.bytes.get() < INCOMING_BYTES_MAX {
            true => AHEAD_BYTES_MAX,
            false => AHEAD_BYTES_BEYOND,
        };
        arrived.max(least)
    }
}

impl Held<'_> {
    fn set(&mut self, bytes: usize) {
        self.incoming
            .bytes
            .set(self.incoming.bytes.get() - self.bytes + bytes);
        self.bytes = bytes;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The frames of one connection.
pub struct Frames<'a> {
    reader: Reader,
    frame_bytes_max: usize,
    incoming: &'a Incoming,
    /// Hears of every arrival.
    on_bytes: &'a dyn Fn(),
    chunk: Option<Chunk>,
    chunk_at: usize,
}

/// Why there are no more frames.
#[derive(Debug)]
pub enum FrameError {
    /// The size field is negative or over `socket.request.max.bytes`.
    Size { size: i32, size_max: usize },
    /// The peer closed the connection inside a frame.
    Truncated,
    /// The socket failed.
    Socket(io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Size { size, size_max } => {
                write!(
                    f,
                    "a frame of {size} bytes; socket.request.max.bytes allows 0 to {size_max}"
                )
            }
            FrameError::Truncated => write!(f, "the peer closed the connection inside a frame"),
            FrameError::Socket(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        FrameError::Socket(error)
    }
}

impl<'a> Frames<'a> {
    /// The frames of what `reader` receives, each at most `frame_bytes_max` bytes; `on_bytes` is called whenever something has
    /// arrived.
    pub fn new(
        reader: Reader,
        frame_bytes_max: usize,
        incoming: &'a Incoming,
        on_bytes: &'a dyn Fn(),
    ) -> Frames<'a> {
        Frames {
            reader,
            frame_bytes_max,
            incoming,
            on_bytes,
            chunk: None,
            chunk_at: 0,
        }
    }

    /// The next whole frame, without its size; `None` when the peer closed between frames.
    pub async fn next(&mut self) -> Result<Option<BytesMut>, FrameError> {
        let mut size = [0; 4];
        for (filled, byte) in size.iter_mut().enumerate() {
            match self.next_byte().await? {
                Some(next) => *byte = next,
                None if filled == 0 => return Ok(None),
                None => return Err(FrameError::Truncated),
            }
        }
        let size = i32::from_be_bytes(size);
        let size_bytes = match usize::try_from(size) {
            Ok(size_bytes) if size_bytes <= self.frame_bytes_max => size_bytes,
            _ => {
                return Err(FrameError::Size {
                    size,
                    size_max: self.frame_bytes_max,
                });
            }
        };
        self.body(size_bytes).await.map(Some)
    }

    async fn next_byte(&mut self) -> Result<Option<u8>, FrameError> {
        if !self.fill().await? {
            return Ok(None);
        }
        let byte = self.rest()[0];
        self.take(1);
        Ok(Some(byte))
    }

    async fn body(&mut self, size_bytes: usize) -> Result<BytesMut, FrameError> {
        let incoming = self.incoming;
        let mut held = Held { incoming, bytes: 0 };
        let mut frame = BytesMut::with_capacity(size_bytes.min(incoming.ahead(0)));
        while frame.len() < size_bytes {
            if frame.capacity() == frame.len() {
                frame.reserve(incoming.ahead(frame.len()).min(size_bytes - frame.len()));
            }
            held.set(frame.capacity());
            let ahead = (frame.capacity() - frame.len()).min(size_bytes - frame.len());
            if self.rest().is_empty() && ahead >= RECEIVE_IN_PLACE_BYTES_MIN {
                frame = self.receive_in_place(frame, ahead).await?;
                continue;
            }
            if !self.fill().await? {
                return Err(FrameError::Truncated);
            }
            let taken = ahead.min(self.rest().len());
            frame.extend_from_slice(&self.rest()[..taken]);
            self.take(taken);
        }
        Ok(frame)
    }

    async fn receive_in_place(&mut self, frame: BytesMut, missing: usize) -> Result<BytesMut, FrameError> {
        let now = missing.min(RECEIVE_IN_PLACE_BYTES_MAX);
        match self.reader.recv_exact(frame, now).await {
            Ok(frame) => {
                (self.on_bytes)();
                Ok(frame)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(FrameError::Truncated),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that something unread is at hand; false when the peer closed.
    async fn fill(&mut self) -> Result<bool, FrameError> {
        while self.rest().is_empty() {
            self.chunk = None;
            self.chunk_at = 0;
            match self.reader.recv().await? {
                Some(chunk) => {
                    (self.on_bytes)();
                    self.chunk = Some(chunk);
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn rest(&self) -> &[u8] {
        self.chunk.as_ref().map_or(&[], |chunk| &chunk[self.chunk_at..])
    }

    /// Marks bytes as read; an emptied chunk goes back to the ring at once.
    fn take(&mut self, bytes: usize) {
        self.chunk_at += bytes;
        if self.rest().is_empty() {
            self.chunk = None;
            self.chunk_at = 0;
        }
    }
}
