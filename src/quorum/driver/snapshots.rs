//! When a snapshot is written, and what goes once it is.

use super::{Quorum, State};
use crate::base::Timestamp;
use crate::log::Removal;
use crate::metadata::Image;
use crate::quorum::snapshot::{self, Held, SnapshotJob};
use std::io;

impl Quorum {
    /// Whether so much came since the last snapshot that it is time for one.
    pub fn snapshot_is_due(&self) -> bool {
        self.bytes_since_snapshot >= self.limits.bytes_between_snapshots
    }

    /// Begins a snapshot of `image`, which must have applied everything that is committed. `None` when nothing has changed, when one is under
    /// way, or when the log is in doubt. To be run without the quorum, and then [told of](Self::end_snapshot).
    pub fn begin_snapshot(&mut self, image: &Image, now: Timestamp) -> Option<SnapshotJob> {
        let newest = self.snapshots.last().map(|held| held.id.offset);
        let idle = self.state == State::Settled && !self.snapshot_under_way;
        if !idle || image.transaction_is_open() || newest == Some(image.next_offset()) {
            return None;
        }
        let position = self.machine().position_at(image.next_offset())?;
        self.snapshot_under_way = true;
        // What comes from here on belongs to the next; a snapshot that fails is tried again no sooner.
        self.bytes_since_snapshot = 0;
        Some(SnapshotJob::new(image.clone(), position, self.dir.clone(), now))
    }

    /// Takes note of what became of a snapshot; what `metadata.max.retention.*` calls superfluous now goes with the [`Removal`].
    ///
    /// # Errors
    /// The disk's. The log goes on: it has all that it had.
    pub fn end_snapshot(&mut self, written: io::Result<Held>, now: Timestamp) -> io::Result<Removal> {
        self.snapshot_under_way = false;
        let held = written?;
        self.snapshots.push(held);
        if let Some(machine) = &mut self.machine
            && let Some(position) = machine.position_at(held.id.offset)
        {
            machine.compact(position);
        }
        self.remove_surplus_now(now)
    }

    /// One at a time, because the log's size falls with each.
    fn remove_surplus_now(&mut self, now: Timestamp) -> io::Result<Removal> {
        let mut removal = Removal::default();
        let limits = &self.limits;
        while snapshot::surplus(
            &self.snapshots,
            self.log.size_bytes(),
            limits.retention_bytes,
            limits.retention_ms,
            now,
        ) > 0
        {
            // Segments first: a log that begins behind its oldest snapshot is one that can be read.
            removal.add(self.log.delete_segments_before_now(self.snapshots[1].id.offset)?);
            snapshot::remove_now(&self.dir, self.snapshots[0].id, &mut removal)?;
            self.snapshots.remove(0);
        }
        Ok(removal)
    }
}
