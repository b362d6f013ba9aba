//! What an operator is told while the logs of a core are opened, which after a crash may take long.

use std::time::Duration;

use crate::base::{CoreId, Instant};
use crate::io;
use crate::log::Recovery;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(2);

/// How far a core is.
pub struct Progress {
    topics: usize,
    opened: usize,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// With so many topics to open.
    pub fn begin(topics: usize) -> Progress {
        let now = io::now();
        Progress {
            topics,
            opened: 0,
            begun: now,
            told: now,
        }
    }

    /// One more topic is open; tells how far it is, if the last line is a while ago.
    pub fn tell_now_and_then(&mut self, core: CoreId, recovery: Recovery) {
        self.opened += 1;
        if io::now().since(self.told) >= INTERVAL {
            self.told = io::now();
            self.tell(core, recovery);
        }
    }

    /// Tells what it came to, if anybody had to wait for it, or anything was checked.
    pub fn tell_if_long(&self, core: CoreId, recovery: Recovery) {
        if io::now().since(self.begun) >= INTERVAL || recovery.segments_scanned > 0 {
            self.tell(core, recovery);
        }
    }

    fn tell(&self, core: CoreId, recovery: Recovery) {
        tracing::info!(
            "core {core}: {} of {} topics opened after {:?}; checked {} segments of {} bytes, cut {} bytes and {} segments",
            self.opened,
            self.topics,
            io::now().since(self.begun),
            recovery.segments_scanned,
            recovery.bytes_scanned,
            recovery.bytes_cut,
            recovery.segments_removed
        );
    }
}
