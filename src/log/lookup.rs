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
    rest: Option<Rest>,
}

/// Where to look when all records of the first segment that have the largest timestamp were deleted.
#[derive(Debug)]
struct Rest {
    /// The first segment, from the log's start on.
    first: Piece,
    /// The largest timestamp of the others, and where it is.
    others: Option<(Timestamp, Piece)>,
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
            rest: None,
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
        let first = self.segment_of(self.start_offset);
        let largest = self.largest_timestamp(first);
        let rest = match largest {
            Some((n, _)) if n == first => Some(self.rest_now(first)?),
            _ => None,
        };
        let target = Target::Exactly(largest.map_or(Timestamp::NONE, |(_, max)| max.timestamp));
        let pieces = match largest {
            Some((n, max)) => vec![self.piece_now(n, max.batch_end)?],
            None => Vec::new(),
        };
        Ok(LookupPlan {
            target,
            start: self.start_offset,
            pieces,
            rest,
        })
    }

    /// The first segment from the `from`th on that has the largest timestamp of all these.
    fn largest_timestamp(&self, from: usize) -> Option<(usize, MaxTimestamp)> {
        let mut largest: Option<(usize, MaxTimestamp)> = None;
        for n in from..self.segments.len() {
            let Some(max) = self.segments[n].max_timestamp() else {
                continue;
            };
            if largest.is_none_or(|(_, known)| max.timestamp > known.timestamp) {
                largest = Some((n, max));
            }
        }
        largest
    }

    fn rest_now(&self, first: usize) -> io::Result<Rest> {
        let others = self.largest_timestamp(first + 1);
        Ok(Rest {
            first: self.piece_now(first, self.start_offset)?,
            others: match others {
                Some((n, max)) => Some((max.timestamp, self.piece_now(n, max.batch_end)?)),
                None => None,
            },
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
            let found = self.find_in(piece, self.target, &source).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        match &self.rest {
            Some(rest) => self.find_in_rest(rest, &source).await,
            None => Ok(None),
        }
    }

    async fn find_in_rest(
        &self,
        rest: &Rest,
        source: &impl Fn(File) -> Source,
    ) -> io::Result<Option<TimestampedOffset>> {
        let of_first = self
            .max_timestamp_in(&rest.first, source(rest.first.file.clone()))
            .await;
        let of_first = of_first.map_err(|error| in_words(error, rest.first.path.display()))?;
        let (piece, timestamp) = match &rest.others {
            Some((timestamp, piece)) if *timestamp > of_first => (piece, *timestamp),
            _ if of_first > Timestamp::NONE => (&rest.first, of_first),
            _ => return Ok(None),
        };
        self.find_in(piece, Target::Exactly(timestamp), source).await
    }

    /// The largest timestamp from the log's start on, or [`Timestamp::NONE`].
    async fn max_timestamp_in(&self, piece: &Piece, source: Source) -> io::Result<Timestamp> {
        let mut max = Timestamp::NONE;
        let mut walk = Walk::new(source.clone(), piece.range.from, piece.end);
        while let Some((position, header)) = walk.find(|header| header.last_offset >= self.start).await? {
            if header.base_offset >= self.start {
                max = max.max(header.max_timestamp);
                continue;
            }
            let take = |record: Found| {
                max = max.max(record.timestamp);
                false
            };
            self.visit_records(&source, position, &header, take).await?;
        }
        Ok(max)
    }

    async fn find_in(
        &self,
        piece: &Piece,
        target: Target,
        source: &impl Fn(File) -> Source,
    ) -> io::Result<Option<TimestampedOffset>> {
        let found = self.walk(piece, target, source(piece.file.clone())).await;
        found.map_err(|error| in_words(error, piece.path.display()))
    }

    async fn walk(
        &self,
        piece: &Piece,
        target: Target,
        source: Source,
    ) -> io::Result<Option<TimestampedOffset>> {
        let mut walk = Walk::new(source.clone(), piece.range.from, piece.end);
        let reaches =
            |header: &BatchHeader| target.matches(header.max_timestamp) && header.last_offset >= self.start;
        while let Some((position, header)) = walk.find(reaches).await? {
            let mut found = None;
            let take = |record: Found| {
                let is_it = target.matches(record.timestamp);
                found = is_it.then_some(record);
                is_it
            };
            self.visit_records(&source, position, &header, take).await?;
            if let Some(Found { offset, timestamp }) = found {
                return Ok(Some(TimestampedOffset {
                    offset,
                    timestamp,
                    leader_epoch: header.leader_epoch,
                }));
            }
        }
        Ok(None)
    }

    /// Shows `visit` the records of a batch that are not deleted, until it says that it has seen enough. One that is not looked into counts
    /// as one record with the largest timestamp.
    async fn visit_records(
        &self,
        source: &Source,
        position: u64,
        header: &BatchHeader,
        mut visit: impl FnMut(Found) -> bool,
    ) -> io::Result<()> {
        let bytes = source.read_at(position, header.size_bytes).await?;
        let Some(payload) = BatchView::first(&bytes)
            .ok()
            .map(|batch| (batch, batch.payload(RECORDS_BYTES_MAX)))
        else {
            return Err(bad_batch(position, BatchProblem::Torn));
        };
        let (batch, Ok(payload)) = payload else {
            visit(Found {
                offset: header.base_offset.max(self.start),
                timestamp: header.max_timestamp,
            });
            return Ok(());
        };
        let records = batch.records(&payload).map_while(Result::ok);
        let mut kept = records.filter(|record| record.offset >= self.start);
        kept.any(|record| {
            visit(Found {
                offset: record.offset,
                timestamp: record.timestamp,
            })
        });
        Ok(())
    }
}

struct Found {
    offset: Offset,
    timestamp: Timestamp,
}
