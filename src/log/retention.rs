//! Deleting the oldest segments by age and size (Kafka's `UnifiedLog.deleteOldSegments`, for `cleanup.policy=delete`).

use std::io;

use crate::base::{Offset, Timestamp};
use crate::io::{Planted, is_planted};
use crate::log::segment::Segment;
use crate::log::{Log, LogOptions, Removal};

/// What the decision looks at of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    size_bytes: u64,
    max_timestamp: Option<Timestamp>,
    /// The offset behind its last record.
    end: Offset,
}

impl Log {
    /// How many segments, oldest first, lie before the log's start, or `retention.bytes` and `retention.ms` call expired; of these none
    /// with records at or behind the high watermark `upper`.
    pub fn expired_segments(&self, now: Timestamp, upper: Offset) -> usize {
        let bases = self.segments[1..].iter();
        let before_start = bases.take_while(|next| next.base() <= self.start_offset).count();
        let ends = self.segments[1..]
            .iter()
            .map(Segment::base)
            .chain([self.end_offset]);
        let candidates: Vec<Candidate> = self
            .segments
            .iter()
            .zip(ends)
            .map(|(segment, end)| Candidate {
                size_bytes: segment.size_bytes(),
                max_timestamp: segment.max_timestamp().map(|max| max.timestamp),
                end,
            })
            .collect();
        expired(&candidates, &self.options, now, upper).max(before_start)
    }

    /// Moves the start up to `offset`, which is not behind the end; the files of what lies before it go with
    /// [`delete_old_segments_now`](Self::delete_old_segments_now).
    pub fn delete_records_before(&mut self, offset: Offset) {
        self.start_offset = self.start_offset.max(offset);
        self.epochs_unwritten |= self.epochs.truncate_start(self.start_offset);
    }

    /// Deletes the expired segments; their files go with the [`Removal`]. Reads under way still see them. The active one is sealed for it,
    /// and what is sealed goes once it is settled: while there are [expired](Self::expired_segments) ones left, it is to be asked again
    /// after the [upkeep](Self::begin_upkeep). Not while a compaction is under way, which needs them all: the next look finds them again.
    pub fn delete_old_segments_now(&mut self, now: Timestamp, upper: Offset) -> io::Result<Removal> {
        if self.compaction.is_under_way() {
            return Ok(Removal::default());
        }
        let mut count = self.expired_segments(now, upper);
        if is_planted(Planted::RetentionTakesOneMore) && (1..self.segments.len()).contains(&count) {
            count += 1;
        }
        if count == self.segments.len() {
            self.roll_now(self.end_offset, now)?;
        }
        self.remove_first_segments_now(count)
    }

    /// Deletes the segments that end at or before `offset`, as [`delete_old_segments_now`](Self::delete_old_segments_now). Never the
    /// active one.
    pub fn delete_segments_before_now(&mut self, offset: Offset) -> io::Result<Removal> {
        if self.compaction.is_under_way() {
            return Ok(Removal::default());
        }
        let bases = self.segments[1..].iter();
        let count = bases.take_while(|next| next.base() <= offset).count();
        self.remove_first_segments_now(count)
    }

    fn remove_first_segments_now(&mut self, count: usize) -> io::Result<Removal> {
        let mut removal = Removal::default();
        for _ in 0..count.min(self.removable()) {
            self.remove_first_segment_now(&mut removal)?;
        }
        Ok(removal)
    }

    /// How many segments, oldest first, can go: nothing is on its way to their files, and the one behind has its own name. That name has
    /// to tell where the log ends when a crash leaves nothing in it, and the producers that it is recovered from are known nowhere else.
    fn removable(&self) -> usize {
        let pairs = self.segments.windows(2);
        pairs
            .take_while(|pair| pair[0].is_settled() && pair[1].is_named())
            .count()
    }

    /// The start moves first: a segment that can't be removed is not read again, and goes at the next try.
    fn remove_first_segment_now(&mut self, removal: &mut Removal) -> io::Result<()> {
        self.start_offset = self.start_offset.max(self.segments[1].base());
        self.epochs_unwritten |= self.epochs.truncate_start(self.start_offset);
        let first = &mut self.segments[0];
        first.retire_now(removal)?;
        self.names.changed();
        self.segments.remove(0);
        Ok(())
    }
}

fn expired(segments: &[Candidate], options: &LogOptions, now: Timestamp, upper: Offset) -> usize {
    let total: u64 = segments.iter().map(|segment| segment.size_bytes).sum();
    let mut excess = match u64::try_from(options.retention_bytes) {
        Ok(retained) => total.saturating_sub(retained),
        Err(_) => 0,
    };
    let too_old = |segment: &Candidate| {
        let age = segment.max_timestamp.map(|max| now.0.saturating_sub(max.0));
        options.retention_ms >= 0 && age.is_some_and(|age| age > options.retention_ms)
    };
    let deletable = |segment: &&Candidate| segment.end <= upper && segment.size_bytes > 0;
    let by_size = segments.iter().take_while(deletable).take_while(|segment| {
        let fits = excess >= segment.size_bytes;
        excess = excess.saturating_sub(segment.size_bytes);
        fits
    });
    let by_size = by_size.count();
    let by_age = segments[by_size..]
        .iter()
        .take_while(deletable)
        .take_while(|segment| too_old(segment));
    by_size + by_age.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(of: &[(u64, i64)]) -> Vec<Candidate> {
        let ends = 1..;
        of.iter()
            .zip(ends)
            .map(|(&(size_bytes, max), end)| Candidate {
                size_bytes,
                max_timestamp: (max >= 0).then_some(Timestamp(max)),
                end: Offset(end * 10),
            })
            .collect()
    }

    #[test]
    fn the_oldest_go_by_size_and_then_by_age_up_to_the_high_watermark() {
        let log = segments(&[(100, 10), (100, 20), (100, 30), (50, 40)]);
        let count = |retention_bytes, retention_ms, now, upper| {
            let options = LogOptions {
                retention_bytes,
                retention_ms,
                ..LogOptions::default()
            };
            expired(&log, &options, Timestamp(now), Offset(upper))
        };
        assert_eq!(count(-1, -1, i64::MAX, 40), 0);
        assert_eq!(count(350, -1, 0, 40), 0);
        assert_eq!(
            count(251, -1, 0, 40),
            0,
            "a segment goes only if the rest is still large enough"
        );
        assert_eq!(count(250, -1, 0, 40), 1);
        assert_eq!(count(0, -1, 0, 40), 4);
        assert_eq!(
            count(0, -1, 0, 39),
            3,
            "the active segment has records behind the high watermark"
        );
        assert_eq!(count(-1, 5, 15, 40), 0);
        assert_eq!(count(-1, 5, 16, 40), 1);
        assert_eq!(count(250, 5, 26, 40), 2);
        assert_eq!(count(-1, 5, 1000, 40), 4);
    }

    #[test]
    fn segments_without_timestamps_have_no_age_and_empty_ones_nothing_to_delete() {
        let options = LogOptions {
            retention_ms: 0,
            retention_bytes: 0,
            ..LogOptions::default()
        };
        let by_age = LogOptions {
            retention_bytes: -1,
            ..options.clone()
        };
        assert_eq!(
            expired(&segments(&[(9, -1)]), &by_age, Timestamp(i64::MAX), Offset(99)),
            0
        );
        assert_eq!(
            expired(&segments(&[(9, 5), (0, -1)]), &options, Timestamp(99), Offset(99)),
            1
        );
    }
}
