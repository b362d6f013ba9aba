//! One connection to the broker: Kafka frames over a TCP socket that never blocks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Unsent bytes kept while the broker doesn't read. More means that it cannot keep up at all.
const UNSENT_BYTES_MAX: usize = 64 << 20;
/// The largest frame accepted: a fetch answer of the size asked for, with room to spare.
const FRAME_BYTES_MAX: usize = 64 << 20;
const RECEIVE_BYTES: usize = 256 * 1024;

pub struct Socket {
    stream: TcpStream,
    unsent: Vec<u8>,
    unsent_from: usize,
    received: Vec<u8>,
    received_from: usize,
    scratch: Box<[u8]>,
}

impl Socket {
    pub fn connect(address: SocketAddr) -> Result<Socket, String> {
        let stream = TcpStream::connect(address).map_err(|e| format!("cannot connect to {address}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        stream.set_nonblocking(true).map_err(|e| e.to_string())?;
        Ok(Socket {
            stream,
            unsent: Vec::new(),
            unsent_from: 0,
            received: Vec::new(),
            received_from: 0,
            scratch: vec![0; RECEIVE_BYTES].into(),
        })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn has_unsent(&self) -> bool {
        self.unsent_from < self.unsent.len()
    }

    /// Sends the frame, or keeps what the kernel doesn't take yet.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        if self.has_unsent() {
            self.unsent.extend_from_slice(frame);
            return self.flush();
        }
        let sent = self.write_some(frame)?;
        if sent < frame.len() {
            self.unsent.extend_from_slice(&frame[sent..]);
        }
        Ok(())
    }

    /// Sends what waits.
    pub fn flush(&mut self) -> Result<(), String> {
        if !self.has_unsent() {
            return Ok(());
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.unsent_from += self.write_some(&unsent[self.unsent_from..])?;
        self.unsent = unsent;
        if !self.has_unsent() {
            self.unsent.clear();
            self.unsent_from = 0;
        } else if self.unsent.len() - self.unsent_from > UNSENT_BYTES_MAX {
            return Err(format!(
                "the broker left {UNSENT_BYTES_MAX} bytes of requests unread: it cannot keep up"
            ));
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("send: {e}")),
            }
        }
        Ok(sent)
    }

    /// Receives what is there, without waiting; whether anything came.
    pub fn receive(&mut self) -> Result<bool, String> {
        match self.stream.read(&mut self.scratch) {
            Ok(0) => Err("the broker closed the connection".into()),
            Ok(n) => {
                if self.received_from > 0 {
                    self.received.drain(..self.received_from);
                    self.received_from = 0;
                }
                self.received.extend_from_slice(&self.scratch[..n]);
                Ok(true)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(e) => Err(format!("receive: {e}")),
        }
    }

    /// The next whole frame received, from its correlation id on.
    pub fn frame(&mut self) -> Result<Option<&[u8]>, String> {
        let rest = &self.received[self.received_from..];
        let Some(size) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes(*size) as usize;
        if size > FRAME_BYTES_MAX {
            return Err(format!("the broker announced a frame of {size} bytes"));
        }
        if rest.len() < 4 + size {
            return Ok(None);
        }
        let from = self.received_from + 4;
        self.received_from = from + size;
        Ok(Some(&self.received[from..from + size]))
    }

    /// Sends a request and waits for its answer: for the few before the run begins.
    pub fn ask(&mut self, request: &[u8], patience: Duration) -> Result<Vec<u8>, String> {
        self.send(request)?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = self.frame()? {
                return Ok(answer.to_vec());
            }
            if Instant::now() > deadline {
                return Err(format!("no answer within {patience:?}"));
            }
            self.flush()?;
            if !self.receive()? {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
