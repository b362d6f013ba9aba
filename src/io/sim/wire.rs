//! Streams of bytes between hosts: cut anywhere, late, reset, cut off; in order and whole as long as they last.
//!
//! A connection has two lines, one for each direction. A line takes bytes while it has room, cuts them into pieces, and
//! lets each arrive after its flight. A lost piece holds back everything behind it, as TCP does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use super::world::{self, World};
use crate::base::Instant;

/// Bytes of one line that were sent and not read; past this a sender waits.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// How often a sender tries again while its packets don't get through.
const RETRY: Duration = Duration::from_millis(50);

/// Two hosts that talk. Lines go by side: 0 is who connected.
pub(super) struct Connection {
    pub(super) sides: [Side; 2],
    lines: [RefCell<Line>; 2],
}

/// One end.
pub(super) struct Side {
    pub(super) host: usize,
    pub(super) address: SocketAddr,
    /// Both halves were dropped, or the process is gone.
    is_closed: Cell<bool>,
    /// The host went without a word: nothing arrives, nothing is said.
    pub(super) is_dead: Cell<bool>,
}

/// What one side sends to the other.
#[derive(Default)]
struct Line {
    in_flight: VecDeque<Piece>,
    arrived: VecDeque<Bytes>,
    unread_bytes: usize,
    is_pumping: bool,
    has_ended: bool,
    was_reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    frame: FrameCut,
}

enum Piece {
    Bytes(Instant, Bytes),
    End(Instant),
}

/// Follows the frames of a stream (a size of four bytes, then that many), to tell where a cut falls.
#[derive(Default)]
struct FrameCut {
    header_bytes: usize,
    size: u32,
    body_left: u32,
}

/// What a reader finds.
pub(super) enum Arrived {
    Bytes(Bytes),
    End,
    Reset,
    Nothing,
}

impl Side {
    pub(super) fn new(host: usize, address: SocketAddr) -> Side {
        Side {
            host,
            address,
            is_closed: Cell::new(false),
            is_dead: Cell::new(false),
        }
    }
}

impl Connection {
    pub(super) fn new(client: Side, server: Side) -> Rc<Connection> {
        Rc::new(Connection {
            sides: [client, server],
            lines: Default::default(),
        })
    }

    /// Takes as much of `bytes` as there is room for; how much.
    pub(super) fn send(self: &Rc<Self>, world: &World, side: usize, bytes: &Bytes) -> std::io::Result<usize> {
        let mut line = self.lines[side].borrow_mut();
        if line.was_reset || self.sides[side].is_closed.get() {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let peer = &self.sides[1 - side];
        if peer.is_closed.get() && !peer.is_dead.get() {
            drop(line);
            // What reaches a closed socket is answered with a reset.
            let connection = self.clone();
            let flight = world.draw(&world.faults.borrow().flight_nanos);
            world.after(flight, move || world::with(|world| connection.reset(world)));
            return Ok(bytes.len());
        }
        let room = LINE_BYTES_MAX - line.unread_bytes.min(LINE_BYTES_MAX);
        let taken = room.min(bytes.len());
        line.unread_bytes += taken;
        let mut left = bytes.slice(..taken);
        while !left.is_empty() {
            let piece = left.split_to(piece_bytes(world).min(left.len()));
            if line.frame.cuts_header(&piece) {
                world.seen.borrow_mut().frames_cut_in_header += 1;
            }
            let at = world.now() + flight(world);
            line.in_flight.push_back(Piece::Bytes(at, piece));
        }
        drop(line);
        self.pump(world, side);
        Ok(taken)
    }

    pub(super) fn wait_for_room(&self, side: usize, waker: &Waker) {
        self.lines[side].borrow_mut().writer = Some(waker.clone());
    }

    /// What `side` finds to read.
    pub(super) fn receive(&self, side: usize) -> Arrived {
        let mut line = self.lines[1 - side].borrow_mut();
        if let Some(bytes) = line.arrived.pop_front() {
            line.unread_bytes -= bytes.len();
            let writer = line.writer.take();
            drop(line);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Arrived::Bytes(bytes);
        }
        match (line.was_reset, line.has_ended) {
            (true, _) => Arrived::Reset,
            (_, true) => Arrived::End,
            _ => Arrived::Nothing,
        }
    }

    /// Puts back what `side` did not take of the last piece.
    pub(super) fn unread(&self, side: usize, bytes: Bytes) {
        let mut line = self.lines[1 - side].borrow_mut();
        line.unread_bytes += bytes.len();
        line.arrived.push_front(bytes);
    }

    pub(super) fn wait_for_bytes(&self, side: usize, waker: &Waker) {
        self.lines[1 - side].borrow_mut().reader = Some(waker.clone());
    }

    /// Ends what `side` sends: the peer reads what is under way, then the end.
    pub(super) fn end(self: &Rc<Self>, world: &World, side: usize) {
        let at = world.now() + flight(world);
        self.lines[side].borrow_mut().in_flight.push_back(Piece::End(at));
        self.pump(world, side);
    }

    /// Lets `side`'s peer read the end at once, whatever is under way.
    pub(super) fn end_now(&self, side: usize) {
        let reader = {
            let mut line = self.lines[side].borrow_mut();
            line.in_flight.clear();
            line.arrived.clear();
            line.unread_bytes = 0;
            line.has_ended = true;
            line.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// `side` is gone: its process dropped it, or died.
    pub(super) fn close(self: &Rc<Self>, world: &World, side: usize) {
        if self.sides[side].is_closed.replace(true) || self.sides[side].is_dead.get() {
            return;
        }
        let has_unread = self.lines[1 - side].borrow().unread_bytes > 0;
        if has_unread {
            // As Linux: closing with unread bytes resets.
            let connection = self.clone();
            let flight = flight(world);
            world.after(flight, move || world::with(|world| connection.reset(world)));
        } else {
            self.end(world, side);
        }
    }

    /// Breaks both directions now; what is under way is lost.
    pub(super) fn reset(&self, world: &World) {
        let mut wakers = Vec::new();
        for (side, line) in self.lines.iter().enumerate() {
            let mut line = line.borrow_mut();
            if line.was_reset {
                return;
            }
            line.was_reset = true;
            let under_way = !line.in_flight.is_empty() || !line.arrived.is_empty();
            if side == 1 && under_way {
                world.seen.borrow_mut().resets_with_reply_in_flight += 1;
            }
            line.in_flight.clear();
            line.arrived.clear();
            line.unread_bytes = 0;
            wakers.extend(line.reader.take());
            wakers.extend(line.writer.take());
        }
        world.seen.borrow_mut().resets += 1;
        world.note(u64::from_be_bytes(*b"reset   "));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets the next piece of a line arrive at its time.
    fn pump(self: &Rc<Self>, world: &World, side: usize) {
        let next = {
            let mut line = self.lines[side].borrow_mut();
            if line.is_pumping {
                return;
            }
            let Some(first) = line.in_flight.front() else {
                return;
            };
            let at = match first {
                Piece::Bytes(at, _) | Piece::End(at) => *at,
            };
            line.is_pumping = true;
            at
        };
        let connection = self.clone();
        let delay = next.since(world.now());
        world.after(delay, move || world::with(|world| connection.arrive(world, side)));
    }

    fn arrive(self: &Rc<Self>, world: &World, side: usize) {
        self.lines[side].borrow_mut().is_pumping = false;
        let (from, to) = (&self.sides[side], &self.sides[1 - side]);
        if to.is_dead.get() || from.is_dead.get() {
            // A host without power takes nothing and says nothing.
            return;
        }
        if world.is_cut(from.host, to.host) {
            self.hold_back(side, world.now() + RETRY);
            return self.pump(world, side);
        }
        let (loss, reset, resend) = {
            let faults = world.faults.borrow();
            (faults.loss, faults.reset, faults.resend)
        };
        if world.chance.happens(reset) {
            return self.reset(world);
        }
        if world.chance.happens(loss) {
            world.seen.borrow_mut().losses += 1;
            self.hold_back(side, world.now() + resend);
            return self.pump(world, side);
        }
        let reader = {
            let mut line = self.lines[side].borrow_mut();
            match line.in_flight.pop_front() {
                Some(Piece::Bytes(_, bytes)) => {
                    world.seen.borrow_mut().pieces += 1;
                    world.note(bytes.len() as u64);
                    line.arrived.push_back(bytes);
                }
                Some(Piece::End(_)) => line.has_ended = true,
                None => {}
            }
            line.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        self.pump(world, side);
    }

    fn hold_back(&self, side: usize, until: Instant) {
        if let Some(Piece::Bytes(at, _) | Piece::End(at)) =
            self.lines[side].borrow_mut().in_flight.front_mut()
        {
            *at = until;
        }
    }
}

impl FrameCut {
    /// Whether the end of `piece`, which follows what was seen before, falls inside a frame's size.
    fn cuts_header(&mut self, piece: &[u8]) -> bool {
        let mut left = piece;
        while let Some((first, rest)) = left.split_first() {
            if self.body_left > 0 {
                let skipped = (self.body_left as usize).min(left.len());
                self.body_left -= skipped as u32;
                left = &left[skipped..];
                continue;
            }
            self.size = self.size << 8 | u32::from(*first);
            self.header_bytes += 1;
            if self.header_bytes == 4 {
                (self.body_left, self.size, self.header_bytes) = (self.size, 0, 0);
            }
            left = rest;
        }
        self.header_bytes > 0
    }
}

fn piece_bytes(world: &World) -> usize {
    let faults = world.faults.borrow();
    let most = if world.chance.happens(faults.tiny_piece) {
        8
    } else {
        faults.piece_bytes_max
    };
    1 + world.chance.index(most)
}

/// How long the next piece flies. Pieces of a line arrive in order whatever they draw.
fn flight(world: &World) -> Duration {
    world.draw(&world.faults.borrow().flight_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_inside_a_frames_size_is_told_from_one_inside_its_body() {
        let mut frames = FrameCut::default();
        for (piece, expected) in [
            (&[0, 0][..], true),
            (&[0, 3, 7], false),
            (&[7, 7], false),
            (&[0, 0, 0, 1, 9, 0], true),
            (&[0, 0, 0], false),
        ] {
            assert_eq!(frames.cuts_header(piece), expected, "{piece:?}");
        }
    }
}
