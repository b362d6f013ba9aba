//! Finding records by timestamp, to the record (ListOffsets; Kafka's `UnifiedLog.fetchOffsetByTimestamp`).

use std::io;

use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::io::fs::File;
use crate::io::in_words;
use crate::log::Log;
use crate::log::header::{BatchHeader, BatchProblem};
use crate::log::names;
use crate::log::read::Piece;
use crate::log::segment::MaxTimestamp;
use crate::log::walk::{Source, Walk, bad_batch, ready};
use crate::wire::batch::BatchView;

/// A batch whose records would take more memory than this, or don't decompress, is not looked into: it answers with
/// its first offset.
const RECORDS_BYTES_MAX: usize = 64 << 20;

/// A record that was found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The leader epoch that it was written in; −1 for none.
    pub leader_epoch: LeaderEpoch,
}

/// What to look for where, without a borrow of the log.
#[derive(Debug)]
pub struct LookupPlan {
    target: Target,
    start: Offset,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    AtLeast(Timestamp),
    Exactly(Timestamp),
}

impl Target {
    fn matches(self, timestamp: Timestamp) -> bool {
        match self {
            Target::AtLeast(wanted) => timestamp >= wanted,
            Target::Exactly(wanted) => timestamp == wanted,
        }
    }
}

impl Log {
    /// A plan for the first record whose timestamp is at least `timestamp`. Blocks for a few reads of the indexes.
    pub fn offset_for_timestamp(&self, timestamp: Timestamp) -> io::Result<LookupPlan> {
        let mut plan = LookupPlan {
            target: Target::AtLeast(timestamp),
            start: self.start_offset,
            pieces: Vec::new(),
        };
        let reaches = |max: MaxTimestamp| max.timestamp >= timestamp;
        let first = self.segment_of(self.start_offset);
        let candidates = (first..self.segments.len())
            .filter(|&n| self.segments[n].max_timestamp().is_some_and(reaches))
            // In the first one deleted records may be all that reaches; then the second has one.
            .take(2);
        for n in candidates {
            let segment = &self.segments[n];
            let of_index = |error| in_words(error, segment.path(names::TIME_INDEX).display());
            let from = segment.floor_of_timestamp_now(timestamp).map_err(of_index)?;
            plan.pieces.push(self.piece_now(n, from.max(self.start_offset))?);
        }
        Ok(plan)
    }

    /// A plan for the first record that has the largest timestamp of all (KIP-734).
    pub fn offset_of_max_timestamp(&self) -> io::Result<LookupPlan> {
        let mut largest: Option<(usize, MaxTimestamp)> = None;
        for n in self.segment_of(self.start_offset)..self.segments.len() {
            let Some(max) = self.segments[n].max_timestamp() else {
                continue;
            };
            if largest.is_none_or(|(_, known)| max.timestamp > known.timestamp) {
                largest = Some((n, max));
            }
        }
        let target = Target::Exactly(largest.map_or(Timestamp::NONE, |(_, max)| max.timestamp));
        let pieces = match largest {
            Some((n, max)) => vec![self.piece_now(n, max.batch_end)?],
            None => Vec::new(),
        };
        Ok(LookupPlan {
            target,
            start: self.start_offset,
            pieces,
        })
    }
}

impl LookupPlan {
    /// Looks; `None` when the log has no such record. `InvalidData` when the file has something else than batches. Every error names
    /// the file.
    pub async fn run(self) -> io::Result<Option<TimestampedOffset>> {
        self.run_from(Source::awaiting).await
    }

    /// The same, blocking: for start-up.
    pub fn run_now(self) -> io::Result<Option<TimestampedOffset>> {
        ready(self.run_from(Source::blocking))
    }

    async fn run_from(self, source: impl Fn(File) -> Source) -> io::Result<Option<TimestampedOffset>> {
        for piece in &self.pieces {
            let found = self.find_in(piece, source(piece.file.clone())).await;
            let found = found.map_err(|error| in_words(error, piece.path.display()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn find_in(&self, piece: &Piece, source: Source) -> io::Result<Option<TimestampedOffset>> {
        let mut walk = Walk::new(source.clone(), piece.range.from, piece.end);
        let reaches = |header: &BatchHeader| {
            self.target.matches(header.max_timestamp) && header.last_offset >= self.start
        };
        while let Some((position, header)) = walk.find(reaches).await? {
            if let Some(Found { offset, timestamp }) = self.find_record(&source, position, &header).await? {
                return Ok(Some(TimestampedOffset {
                    offset,
                    timestamp,
                    leader_epoch: header.leader_epoch,
                }));
            }
        }
        Ok(None)
    }

    async fn find_record(
        &self,
        source: &Source,
        position: u64,
        header: &BatchHeader,
    ) -> io::Result<Option<Found>> {
        let bytes = source.read_at(position, header.size_bytes).await?;
        let Some(payload) = BatchView::first(&bytes)
            .ok()
            .map(|batch| (batch, batch.payload(RECORDS_BYTES_MAX)))
        else {
            return Err(bad_batch(position, BatchProblem::Torn));
        };
        let (batch, Ok(payload)) = payload else {
            let offset = header.base_offset.max(self.start);
            return Ok(Some(Found {
                offset,
                timestamp: header.max_timestamp,
            }));
        };
        let places = batch.records(&payload).map_while(Result::ok);
        let mut places = places.map(|record| Found {
            offset: record.offset,
            timestamp: record.timestamp,
        });
        Ok(places.find(|place| self.target.matches(place.timestamp) && place.offset >= self.start))
    }
}

struct Found {
    offset: Offset,
    timestamp: Timestamp,
}
