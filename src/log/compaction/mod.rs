//! Compaction: of each key only the newest record stays (Kafka's `LogCleaner`, `Cleaner` and `LogCleanerManager`; KIP-58, KIP-354,
//! KIP-534).
//!
//! [`Log::dirt`] tells what there is to do. [`Log::begin_compaction`] makes a [`Round`], which reads and writes without a borrow of the
//! log; each group of segments that it has compacted is put in place by [`Log::place_compacted_now`], in one step of the core, and
//! [`Log::end_compaction`] ends it. Reads under way keep the files that they have.
//!
//! Pages: `dirt`, `groups`, `key_map`, `keyed`, `transactions` and `retain` decide and touch no file; `reader` and `output` are one file each; `swap`
//! is what a crash may interrupt; `round` puts them together, `pace` lets others in between.

mod dirt;
mod groups;
mod key_map;
mod keyed;
mod output;
mod pace;
mod reader;
mod retain;
mod round;
mod swap;
#[cfg(test)]
mod tests;
mod transactions;

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::base::{Offset, Timestamp};
use crate::log::header::BatchProblem;
use crate::log::index::Place;
use crate::log::segment::Segment;
use crate::log::{Log, Removal};
use crate::wire::batch::BatchError;

use groups::{GroupLimits, Member};
use retain::LastBatches;
use round::{Plan, Source};

pub use dirt::{Candidate, CompactionRules, Dirt};
pub use key_map::{KeyHash, KeyMap, KeyMapLimits, KeySecret};
pub use pace::Pace;
pub use round::{Compacted, Groups, Round};
pub(super) use swap::finish_interrupted_now;

/// What a log remembers of its compactions.
#[derive(Debug, Default)]
pub struct CompactionState {
    /// Up to where it is compacted; none before the first time.
    cleaned: Option<Offset>,
    /// A round is under way: no segment may be taken away.
    is_under_way: bool,
}

/// Why a round ended early. The log is as it was.
#[derive(Debug)]
pub enum CompactionError {
    /// A segment has something else than whole batches.
    BadBatch {
        /// The segment's `.log` file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is there.
        problem: BatchProblem,
    },
    /// A batch is larger than any that a producer can send.
    BatchTooLarge {
        /// The segment's file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// Its size.
        size_bytes: usize,
    },
    /// A batch's records don't read.
    BadRecords {
        /// The segment's file.
        path: PathBuf,
        /// Where in it the batch begins.
        position: u64,
        /// What is wrong with them.
        error: BatchError,
    },
    /// What is left of the segment at `base` compresses worse than before, so much that it is too large for a segment.
    GrewTooLarge {
        /// The segment's base offset.
        base: Offset,
    },
    /// The disk refused.
    Disk(io::Error),
    /// The disk failed while the outcome was to become the one that counts: what it holds is not known.
    InDoubt(io::Error),
    /// Nobody needs the outcome any more.
    Stopped,
}

impl fmt::Display for CompactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompactionError::BadBatch {
                path,
                position,
                problem,
            } => {
                write!(f, "{}: at byte {position}: {problem}", path.display())
            }
            CompactionError::BatchTooLarge {
                path,
                position,
                size_bytes,
            } => write!(
                f,
                "{}: at byte {position}: a batch of {size_bytes} bytes",
                path.display()
            ),
            CompactionError::BadRecords {
                path,
                position,
                error,
            } => {
                write!(f, "{}: at byte {position}: {error}", path.display())
            }
            CompactionError::GrewTooLarge { base } => {
                write!(f, "what is left of the segment at {base} does not fit into one")
            }
            CompactionError::Disk(error) | CompactionError::InDoubt(error) => write!(f, "{error}"),
            CompactionError::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for CompactionError {}

impl From<io::Error> for CompactionError {
    fn from(error: io::Error) -> CompactionError {
        CompactionError::Disk(error)
    }
}

impl CompactionState {
    /// As it was left when the log was compacted up to `cleaned`.
    pub fn new(cleaned: Option<Offset>) -> CompactionState {
        CompactionState {
            cleaned,
            is_under_way: false,
        }
    }

    /// What was compacted behind `end` is gone.
    pub fn forget_behind(&mut self, end: Offset) {
        self.cleaned = self.cleaned.map(|cleaned| cleaned.min(end));
    }

    /// A copy of the log that `source` is of: compacted as far.
    pub fn inherit(&mut self, source: &CompactionState) {
        self.cleaned = source.cleaned;
    }

    /// Whether the segments must stay as they are.
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }
}

impl Log {
    /// Up to where it is compacted: what `cleaner-offset-checkpoint` says of it. None before the first time.
    pub fn cleaned_to(&self) -> Option<Offset> {
        self.compaction.cleaned
    }

    /// What there is to compact. From `stable_end` on records may still be taken back. Blocks for a read of each dirty segment's first
    /// header, once, where the rules need it.
    pub fn dirt(&self, rules: &CompactionRules, stable_end: Offset, now: Timestamp) -> Dirt {
        // The first one that isn't on stable storage ends it as the active one does: what supersedes must be durable before what it
        // supersedes goes.
        let end = self.first_unsettled();
        let dirty = self.segment_of(self.compaction.cleaned.unwrap_or_default())..end;
        let candidate = |(n, segment): (usize, &Segment)| Candidate {
            base: segment.base(),
            size_bytes: segment.size_bytes(),
            latest: segment
                .max_timestamp()
                .map_or(segment.created(), |max| max.timestamp),
            first: match rules.has_lag_max() && dirty.contains(&n) {
                true => first_timestamp_of_now(segment),
                false => Timestamp::NONE,
            },
        };
        let candidates: Vec<Candidate> = self.segments[..=end].iter().enumerate().map(candidate).collect();
        let range = self.start_offset..self.end_offset;
        Dirt::find(
            &candidates,
            range,
            stable_end,
            self.compaction.cleaned,
            rules,
            now,
        )
    }

    /// Begins a round over what [`dirt`](Self::dirt) has found. Until [`end_compaction`](Self::end_compaction) no segment is taken away.
    pub fn begin_compaction(&mut self, dirt: Dirt, rules: CompactionRules, now: Timestamp) -> Round {
        assert!(!self.compaction.is_under_way, "one round at a time");
        self.compaction.is_under_way = true;
        Round::new(Plan {
            dir: self.dir.clone(),
            sources: self.sources_before(dirt.first_uncleanable),
            dirt,
            rules,
            limits: GroupLimits {
                bytes_max: self.options.segment_bytes.into(),
                index_bytes_max: self.options.index_bytes_max.into(),
            },
            index_interval_bytes: self.options.index_interval_bytes,
            lasts: LastBatches::of(&self.producers),
            aborted: self.aborted_transactions(self.segments[0].base(), dirt.first_uncleanable),
            now,
        })
    }

    fn sources_before(&self, first_uncleanable: Offset) -> Vec<Source> {
        let pairs = self.segments.windows(2);
        let pairs = pairs.take_while(|pair| pair[0].base() < first_uncleanable);
        let source = |pair: &[Segment]| Source {
            place: Place {
                dir: self.dir.clone(),
                base: pair[0].base(),
            },
            member: Member {
                base: pair[0].base(),
                end: pair[1].base(),
                size_bytes: pair[0].size_bytes(),
                index_bytes: pair[0].index_bytes(),
            },
        };
        pairs.map(source).collect()
    }

    /// Puts a compacted segment in the place of those that it was made of. What is of no use any more goes with the [`Removal`]. The
    /// directory's names have changed: they are durable with the next flush.
    ///
    /// # Errors
    /// What the directory holds is not known: nothing more may be written, and a start tells.
    pub fn place_compacted_now(&mut self, compacted: &Compacted, now: Timestamp) -> io::Result<Removal> {
        assert!(self.compaction.is_under_way, "a round keeps its segments");
        let base = compacted.old[0];
        let from = self.segments.partition_point(|segment| segment.base() < base);
        let replaced = from..from + compacted.old.len();
        let bases = self.segments[replaced.clone()].iter().map(Segment::base);
        assert!(
            bases.eq(compacted.old.iter().copied()),
            "a round keeps its segments"
        );
        let removal = swap::place_now(&self.dir, base, &compacted.old)?;
        let place = Place {
            dir: self.dir.clone(),
            base,
        };
        let (segment, is_trusted) = Segment::open_now(place, now)?;
        if !is_trusted {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the indexes of the compacted segment at {base} are not its own"),
            ));
        }
        self.segments.splice(replaced, [segment]);
        self.names.changed();
        Ok(removal)
    }

    /// A round has ended; it was `cleaned_to` if it has come to its end.
    pub fn end_compaction(&mut self, cleaned_to: Option<Offset>) {
        self.compaction.is_under_way = false;
        self.compaction.cleaned = cleaned_to.or(self.compaction.cleaned);
    }
}

/// The time of a settled segment's first batch; its file is closed if it had to be opened.
fn first_timestamp_of_now(segment: &Segment) -> Timestamp {
    segment.first_timestamp().unwrap_or_else(|| {
        let first = segment.first_timestamp_now();
        segment.release();
        first
    })
}
