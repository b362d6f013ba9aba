//! What the answers of a core's connections hold until their clients have taken them.
//!
//! An answer is in memory as long as its reader takes to read it, and what it was read from, files or the tail, can't be given up
//! before. While much waits, fetches are answered with little: readers that don't read take the memory, not the service, from the others.

use std::cell::Cell;
use std::rc::Rc;

/// Bytes of records in one answer, whatever the client allows. A client that wants more asks again.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Bytes of one core that wait to be taken, before answers become small.
const UNSENT_BYTES_MAX: usize = 32 << 20;
/// And how small.
const ANSWER_BYTES_BEYOND: usize = 64 << 10;
/// Bytes of one core that wait to be taken, before whoever has most of them has to go: answers that name very much are not made
/// smaller.
const HELD_BYTES_MAX: usize = 512 << 20;

/// The bytes of all answers of one core that are being sent.
#[derive(Default)]
pub struct Unsent {
    bytes: Cell<usize>,
}

/// The part of them that one connection is sending; taken off when it is dropped.
pub struct Sending {
    all: Rc<Unsent>,
    bytes: usize,
}

impl Unsent {
    /// Counts `bytes` that are about to be sent.
    pub fn begin(self: &Rc<Self>, bytes: usize) -> Sending {
        self.bytes.set(self.bytes.get() + bytes);
        Sending {
            all: self.clone(),
            bytes,
        }
    }

    /// How many bytes of records the next answer may have.
    pub fn allowance(&self) -> usize {
        if self.bytes.get() < UNSENT_BYTES_MAX {
            ANSWER_BYTES_MAX
        } else {
            ANSWER_BYTES_BEYOND
        }
    }

    /// Whether more waits than may.
    pub fn is_too_much(&self) -> bool {
        self.bytes.get() > HELD_BYTES_MAX
    }
}

impl Sending {
    /// So many of them were taken.
    pub fn taken(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.all.bytes.set(self.all.bytes.get() - bytes);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.taken(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_small_while_much_waits() {
        let unsent = Rc::new(Unsent::default());
        let mut first = unsent.begin(UNSENT_BYTES_MAX);
        assert_eq!(unsent.allowance(), ANSWER_BYTES_BEYOND);
        first.taken(1);
        assert_eq!(unsent.allowance(), ANSWER_BYTES_MAX);
        let second = unsent.begin(1);
        assert_eq!(unsent.allowance(), ANSWER_BYTES_BEYOND);
        drop(first);
        drop(second);
        let too_much = unsent.begin(HELD_BYTES_MAX + 1);
        assert!(unsent.is_too_much());
        drop(too_much);
        assert!(!unsent.is_too_much());
        assert_eq!(unsent.bytes.get(), 0);
    }
}
