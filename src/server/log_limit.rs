//! One log line a second for what a hostile client could cause at will; the rest is counted and told with the next.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::base::Instant;
use crate::io;

const INTERVAL: Duration = Duration::from_secs(1);

/// Limits the lines of one core.
#[derive(Default)]
pub struct LogLimit {
    next: Cell<Instant>,
    withheld: Cell<u64>,
}

impl LogLimit {
    /// Logs `what` as a warning, or counts it when a line was logged within the last second.
    pub fn report(&self, what: fmt::Arguments<'_>) {
        let now = io::now();
        if now < self.next.get() {
            self.withheld.set(self.withheld.get() + 1);
            return;
        }
        self.next.set(now + INTERVAL);
        match self.withheld.replace(0) {
            0 => tracing::warn!("{what}"),
            withheld => tracing::warn!("{what} ({withheld} lines like it withheld)"),
        }
    }
}
