//! Cutting a segment at an offset (Kafka's `LogSegment.truncateTo`).

use std::io;

use crate::base::Offset;
use crate::log::index::OffsetEntry;
use crate::log::names;
use crate::log::removal::Removal;
use crate::log::walk::{Source, Step, Walk, bad_batch, ready};

use super::{MaxTimestamp, Segment};

impl Segment {
    /// Cuts off every batch that ends at or behind `offset`, in the file and in the indexes; the offset behind the last one that stays.
    /// The segment may be appended to then, and nothing of it counts as flushed. Blocks for a read of an index interval.
    ///
    /// # Errors
    /// The system's, or `InvalidData` for a batch that doesn't read: what the files hold is not known then.
    pub fn truncate_now(&mut self, offset: Offset) -> io::Result<Offset> {
        self.cut_leftover_now()?;
        let is_before = |relative: i32| self.place.base.0 + i64::from(relative) < offset.0;
        self.offsets
            .truncate_now(&self.place, |entry| is_before(entry.relative_offset))?;
        self.times
            .truncate_now(&self.place, |entry| is_before(entry.relative_offset))?;
        self.aborted.truncate_now(&self.place, offset)?;
        self.max = self.times.last().map(|entry| MaxTimestamp {
            timestamp: entry.timestamp,
            batch_end: Offset(self.place.base.0 + i64::from(entry.relative_offset)),
        });
        let last_indexed = self.offsets.last().map_or(0, position);
        let (bytes, end) = self.walk_to(last_indexed, offset)?;
        self.file_now()?.set_len_now(bytes)?;
        self.size_bytes = bytes;
        self.written_back = self.written_back.min(bytes);
        self.bytes_since_entry = bytes - last_indexed;
        if bytes == 0 {
            self.first_timestamp.set(None);
        }
        self.snapshot = None;
        self.has_unflushed_indexes = true;
        self.is_settled = false;
        Ok(end)
    }

    /// Goes over the batches from the one at `position` up to the first that reaches `offset`, and notes their times; where that one
    /// begins in the file, and the offset behind those before it.
    fn walk_to(&mut self, mut position: u64, offset: Offset) -> io::Result<(u64, Offset)> {
        let mut end = self.base();
        let mut walk = Walk::new(Source::blocking(self.file_now()?), position, self.size_bytes);
        loop {
            match ready(walk.next())? {
                Step::Batch { header, .. } if header.last_offset < offset => {
                    self.note_max(&header);
                    position += header.size_bytes as u64;
                    end = header.next_offset();
                }
                Step::Batch { .. } | Step::End => return Ok((position, end)),
                Step::Bad { position, problem } => return Err(bad_batch(position, problem)),
            }
        }
    }

    /// Takes its files away under names that say so; they go with the [`Removal`]. The producer snapshot is that of its beginning. It never
    /// gets its own name on the way, which would tell a start after a crash that the segment before it is whole.
    pub fn retire_now(&mut self, removal: &mut Removal) -> io::Result<()> {
        if let Some(spare_path) = &self.spare_path {
            removal.take_file_now(spare_path)?;
        }
        for kind in [
            names::LOG,
            names::INDEX,
            names::TIME_INDEX,
            names::TXN_INDEX,
            names::SNAPSHOT,
        ] {
            removal.take_file_now(&self.path(kind))?;
        }
        Ok(())
    }
}

fn position(entry: OffsetEntry) -> u64 {
    entry.position as u64
}
