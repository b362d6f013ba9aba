//! What a topic asks of a producer's batch beyond that it is well-formed, and which of its records are not so.
//!
//! The rules and their order are those of Kafka's `LogValidator`: all records are looked at, and one that breaks a rule
//! keeps the whole batch out.

use std::fmt;

use super::walk::Glimpse;
use super::{BatchError, Depth, TimestampType};
use crate::base::Timestamp;
use crate::wire::ErrorCode;

/// So many records of a batch are named that break a rule; the others are counted. A client has told a batch of usual size what
/// is wrong with each.
pub const BREACHES_NAMED_MAX: usize = 4_096;

/// What a topic asks of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How far it is looked into.
    pub depth: Depth,
    /// The largest batch, header included (`max.message.bytes`).
    pub size_bytes_max: usize,
    /// Whether every record has a key: compaction keeps the last value of each.
    pub needs_keys: bool,
    /// Whose time counts.
    pub times: Times,
}

/// What a topic asks of the records' times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The producer's are kept, both of these included; a record without one is fine.
    Kept { earliest: Timestamp, latest: Timestamp },
    /// The broker's take their place.
    Replaced,
}

/// A rule that a record breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It has no key.
    Keyless,
    /// Its time is outside of what the topic keeps.
    Time {
        timestamp: Timestamp,
        earliest: Timestamp,
        latest: Timestamp,
    },
    /// The producer says that the broker has set the time.
    AppendTime,
}

/// The records of a batch that break a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaches {
    /// The first ones by their places in the batch, at most [`BREACHES_NAMED_MAX`]; none of a batch that is taken at its header's
    /// word.
    pub named: Vec<(i32, Breach)>,
    /// How many there are.
    pub count: usize,
    has_time: bool,
}

/// Why a batch may not be appended to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// To none.
    Batch(BatchError),
    /// It is larger than the topic takes.
    TooLarge {
        size_bytes: usize,
        size_bytes_max: usize,
    },
    /// It would be larger than the topic takes in the codec that the topic asks for.
    TooLargeRecoded { size_bytes_max: usize },
    /// Records break the topic's rules.
    Records(Box<Breaches>),
}

impl Rules {
    /// Those that every topic has.
    pub fn of_any_topic(depth: Depth) -> Rules {
        Rules {
            depth,
            size_bytes_max: usize::MAX,
            needs_keys: false,
            times: Times::Kept {
                earliest: Timestamp(i64::MIN),
                latest: Timestamp(i64::MAX),
            },
        }
    }

    pub(super) fn check_size(&self, size_bytes: usize) -> Result<(), Unfit> {
        let size_bytes_max = self.size_bytes_max;
        match size_bytes <= size_bytes_max {
            true => Ok(()),
            false => Err(Unfit::TooLarge {
                size_bytes,
                size_bytes_max,
            }),
        }
    }

    /// The rule that a record of a batch with times of `kind` breaks.
    #[inline]
    pub(super) fn breach(&self, kind: TimestampType, record: &Glimpse) -> Option<Breach> {
        match self.needs_keys && !record.has_key {
            true => Some(Breach::Keyless),
            false => self.times.breach(kind, record.timestamp),
        }
    }
}

impl Times {
    /// The rule that a time of this `kind` breaks.
    #[inline]
    pub(super) fn breach(self, kind: TimestampType, timestamp: Timestamp) -> Option<Breach> {
        match self {
            Times::Kept { earliest, latest } if timestamp != Timestamp::NONE => {
                let is_kept = (earliest..=latest).contains(&timestamp);
                (!is_kept).then_some(Breach::Time {
                    timestamp,
                    earliest,
                    latest,
                })
            }
            _ => (kind == TimestampType::LogAppendTime).then_some(Breach::AppendTime),
        }
    }
}

impl Breaches {
    /// Of a batch that is taken at its header's word, whose times break a rule.
    pub(super) fn of_header() -> Breaches {
        Breaches {
            has_time: true,
            ..Breaches::default()
        }
    }

    /// One more; they come in the order of the batch.
    #[cold]
    pub fn add(&mut self, index: i32, breach: Breach) {
        self.count += 1;
        self.has_time |= breach != Breach::Keyless;
        if self.named.len() < BREACHES_NAMED_MAX {
            self.named.push((index, breach));
        }
    }

    /// Kafka's code for all of them: one wrong time goes before whatever else is wrong.
    pub fn code(&self) -> ErrorCode {
        match self.has_time {
            true => ErrorCode::INVALID_TIMESTAMP,
            false => ErrorCode::INVALID_RECORD,
        }
    }
}

impl Unfit {
    /// Kafka's code for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Unfit::Batch(error) => error.code(),
            Unfit::TooLarge { .. } | Unfit::TooLargeRecoded { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            Unfit::Records(breaches) => breaches.code(),
        }
    }
}

impl From<BatchError> for Unfit {
    fn from(error: BatchError) -> Self {
        Unfit::Batch(error)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Batch(error) => error.fmt(f),
            Unfit::TooLarge {
                size_bytes,
                size_bytes_max,
            } => write!(
                f,
                "the batch is {size_bytes} bytes, max.message.bytes is {size_bytes_max}"
            ),
            Unfit::TooLargeRecoded { size_bytes_max } => write!(
                f,
                "in the topic's compression.type the batch is more than max.message.bytes, which is {size_bytes_max}"
            ),
            Unfit::Records(breaches) => write!(f, "{} records break the topic's rules", breaches.count),
        }
    }
}

impl std::error::Error for Unfit {}
