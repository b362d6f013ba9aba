//! How a compaction shares its core and its disk with everything else.

use std::cell::Cell;
use std::time::Duration;

use crate::base::Instant;
use crate::io;

/// How long it works before the others get their turn. Ordinary requests end within it.
const SLICE: Duration = Duration::from_micros(200);

/// Records that are looked at in one piece of work: about ten microseconds where keys are short.
pub const RECORDS_PER_TURN: usize = 64;

/// What was not used of the disk's budget is kept for so long: a core that had no time may catch up a little.
const CREDIT: Duration = Duration::from_millis(100);

/// While it waits for its budget it looks so often whether it was stopped.
const STOP_LOOK: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub struct Pace {
    /// What may be read and written in a second; none for no limit.
    bytes_per_second: Option<f64>,
    /// Its turn began then; none where nobody else is to get one.
    turn_began: Option<Cell<Instant>>,
    /// What was moved so far is paid for then.
    paid_at: Cell<Instant>,
    is_stopped: Cell<bool>,
}

impl Pace {
    /// In turns of a core, with at most `bytes_per_second` read and written, which is no limit where it is not finite.
    pub fn new(bytes_per_second: f64) -> Pace {
        let now = io::now();
        Pace {
            // Beyond what a disk can do it only costs a look at the clock.
            bytes_per_second: Some(bytes_per_second.max(1.0)).filter(|bytes| *bytes < 1e12),
            turn_began: Some(Cell::new(now)),
            paid_at: Cell::new(now),
            is_stopped: Cell::new(false),
        }
    }

    /// As fast as it goes, without turns.
    #[cfg(test)]
    pub fn unlimited() -> Pace {
        Pace {
            bytes_per_second: None,
            turn_began: None,
            paid_at: Cell::default(),
            is_stopped: Cell::new(false),
        }
    }

    /// Lets the others go first if the turn is over. To be called after every small piece of work.
    pub async fn turn(&self) {
        let Some(began) = &self.turn_began else { return };
        if io::now().since(began.get()) >= SLICE {
            io::yield_now().await;
            began.set(io::now());
        }
    }

    /// Waits until `bytes` more may be read or written.
    pub async fn spend(&self, bytes: usize) {
        self.turn().await;
        let Some(bytes_per_second) = self.bytes_per_second else {
            return;
        };
        let from = self.paid_at.get().max(io::now() - CREDIT);
        while io::now() < from && !self.is_stopped() {
            io::sleep_until(from.min(io::now() + STOP_LOOK)).await;
        }
        self.paid_at
            .set(from + Duration::from_secs_f64(bytes as f64 / bytes_per_second));
    }

    /// Asks for its end: it is no more of use.
    pub fn stop(&self) {
        self.is_stopped.set(true);
    }

    /// Whether it was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }
}
