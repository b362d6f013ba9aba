//! A segment between a clean stop and the start behind it.

use super::{MaxTimestamp, Segment, are_sane};
use crate::base::{Offset, ProducerId, Timestamp};
use crate::log::aborted::AbortedIndex;
use crate::log::clean_start::{AbortedLeft, IndexLeft, SegmentLeft, TimeIndexLeft};
use crate::log::index::{Index, OffsetEntry, Place, TimeEntry};
use crate::log::txn_index::AbortedTransaction;

impl Segment {
    /// What a start needs to know of it; none while its files lack anything.
    pub fn left(&self) -> Option<SegmentLeft> {
        if self.pending_entries() > 0 || !self.is_named() || self.has_leftover {
            return None;
        }
        let count = |entries: usize| u32::try_from(entries).ok();
        Some(SegmentLeft {
            base: self.base().0,
            size_bytes: u32::try_from(self.size_bytes).ok()?,
            offsets: match self.offsets.last() {
                None => None,
                Some(last) => Some(IndexLeft {
                    count: count(self.offsets.entry_count())?,
                    relative_offset: last.relative_offset,
                    position: last.position,
                }),
            },
            times: match self.times.last() {
                None => None,
                Some(last) => Some(TimeIndexLeft {
                    count: count(self.times.entry_count())?,
                    relative_offset: last.relative_offset,
                    timestamp: last.timestamp.0,
                }),
            },
            aborted: match self.aborted.last() {
                None => None,
                Some(last) => Some(AbortedLeft {
                    count: count(self.aborted.written_count())?,
                    first_offset_min: self.aborted.first_offset_min().0,
                    producer_id: last.producer_id.0,
                    first_offset: last.first_offset.0,
                    last_offset: last.last_offset.0,
                    last_stable_offset: last.last_stable_offset.0,
                }),
            },
        })
    }

    /// The segment as it was left, its files not looked at; none when it can't have been so.
    pub fn reopened(place: Place, left: &SegmentLeft, now: Timestamp) -> Option<Segment> {
        let size_bytes = u64::from(left.size_bytes);
        let last_offset = left.offsets.map(|index| OffsetEntry {
            relative_offset: index.relative_offset,
            position: index.position,
        });
        let last_time = left.times.map(|index| TimeEntry {
            timestamp: Timestamp(index.timestamp),
            relative_offset: index.relative_offset,
        });
        let last_aborted = left.aborted.map(aborted_transaction);
        let is_in_it = |last: AbortedTransaction| last.is_sane() && last.last_offset >= place.base;
        if !are_sane(last_offset, last_time, size_bytes) || !last_aborted.is_none_or(is_in_it) {
            return None;
        }
        let count = |count: Option<u32>| count.unwrap_or_default() as usize;
        let aborted = match (left.aborted, last_aborted) {
            (Some(index), Some(last)) => {
                AbortedIndex::closed(index.count as usize, last, Offset(index.first_offset_min))
            }
            _ => AbortedIndex::default(),
        };
        let max = last_time.map(|entry| MaxTimestamp {
            timestamp: entry.timestamp,
            batch_end: Offset(place.base.0 + i64::from(entry.relative_offset)),
        });
        let last_indexed = last_offset.map_or(0, |entry| entry.position as u64);
        Some(Segment {
            size_bytes,
            offsets: Index::closed(count(left.offsets.map(|index| index.count)), last_offset),
            times: Index::closed(count(left.times.map(|index| index.count)), last_time),
            aborted,
            bytes_since_entry: size_bytes - last_indexed,
            max,
            written_back: size_bytes,
            is_settled: true,
            ..Segment::empty(place, None, None, now)
        })
    }
}

fn aborted_transaction(index: AbortedLeft) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: ProducerId(index.producer_id),
        first_offset: Offset(index.first_offset),
        last_offset: Offset(index.last_offset),
        last_stable_offset: Offset(index.last_stable_offset),
    }
}
