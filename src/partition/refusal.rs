//! Why an append or a read was refused, and the one place where that becomes a Kafka error code.

use std::io;

use crate::base::Offset;
use crate::io::{has_disk_failed, may_pass};
use crate::log;
use crate::log::producers::SequenceError;
use crate::wire::ErrorCode;
use crate::wire::batch::{BatchError, Breaches, Unfit};

/// Why a batch was not appended.
#[derive(Debug)]
pub enum AppendError {
    /// The batch is wrong in itself, or for this topic.
    Unfit(Unfit),
    /// Not the producer's next sequence, or an old epoch.
    Sequence(SequenceError),
    /// The log refused: the batch, or the disk.
    Log(log::AppendError),
    /// A flush failed earlier.
    Offline,
    /// It isn't open, for this reason.
    Absent(ErrorCode),
}

/// Why a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The disk refused.
    Disk,
    /// The disk failed: see [`has_disk_failed`].
    DiskFailed,
    /// The reader knows an older leader.
    FencedLeaderEpoch,
    /// The reader knows a newer leader.
    UnknownLeaderEpoch,
    /// Before the log's start or behind its end.
    OffsetOutOfRange,
}

/// A refusal as the wire says it; plain data, so it also crosses cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's error code.
    pub code: ErrorCode,
    /// What was wrong, for the client's log.
    pub message: Option<String>,
    /// The records that were wrong, where it was single ones; then these say more than the message.
    pub breaches: Option<Box<Breaches>>,
    /// Where the log starts, if the answer [tells](AppendError::tells_log_start) that; else [`Offset::UNKNOWN`].
    pub log_start_offset: Offset,
}

impl From<Unfit> for AppendError {
    fn from(unfit: Unfit) -> Self {
        AppendError::Unfit(unfit)
    }
}

impl From<SequenceError> for AppendError {
    fn from(error: SequenceError) -> Self {
        AppendError::Sequence(error)
    }
}

impl From<log::AppendError> for AppendError {
    fn from(error: log::AppendError) -> Self {
        AppendError::Log(error)
    }
}

impl From<log::ReadError> for ReadError {
    fn from(error: log::ReadError) -> Self {
        match error {
            log::ReadError::OutOfRange { .. } => ReadError::OffsetOutOfRange,
            log::ReadError::Disk(error) => {
                tracing::error!("finding a place in the log failed: {error}");
                match has_disk_failed(&error) {
                    true => ReadError::DiskFailed,
                    false => ReadError::Disk,
                }
            }
        }
    }
}

impl AppendError {
    /// What the disk said, if it failed in a way that doesn't pass: its directory must go offline.
    pub fn disk_failure(&self) -> Option<&io::Error> {
        match self {
            AppendError::Log(log::AppendError::Disk(error)) if !may_pass(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the answer tells where the log starts. Kafka's does, but for what it sees in the request already (`ProduceRequest.validateRecords`)
    /// and for what it counts as no failure of its own (`ReplicaManager.appendRecordsToLeader`).
    pub fn tells_log_start(&self) -> bool {
        use BatchError::{Empty, Incomplete, MoreThanOne, UnsupportedMagic};
        match self {
            AppendError::Unfit(Unfit::Batch(
                Empty | Incomplete { .. } | UnsupportedMagic { .. } | MoreThanOne { .. },
            )) => false,
            AppendError::Unfit(unfit) => !matches!(
                unfit.code(),
                ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::CORRUPT_MESSAGE
            ),
            AppendError::Sequence(_) | AppendError::Log(log::AppendError::OffsetInPast { .. }) => true,
            AppendError::Log(_) | AppendError::Offline | AppendError::Absent(_) => false,
        }
    }
}

impl Refusal {
    /// With words of what was wrong.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            message: Some(message.into()),
            ..Refusal::from(code)
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal {
            code,
            message: None,
            breaches: None,
            log_start_offset: Offset::UNKNOWN,
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Refusal::from(error.code())
    }
}

impl ReadError {
    /// Kafka's code for it.
    pub fn code(self) -> ErrorCode {
        match self {
            ReadError::FencedLeaderEpoch => ErrorCode::FENCED_LEADER_EPOCH,
            ReadError::UnknownLeaderEpoch => ErrorCode::UNKNOWN_LEADER_EPOCH,
            ReadError::OffsetOutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
            ReadError::Disk | ReadError::DiskFailed => ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }
}

fn log_code(error: &log::AppendError) -> ErrorCode {
    match error {
        log::AppendError::Malformed(_) => ErrorCode::CORRUPT_MESSAGE,
        log::AppendError::LargerThanSegment { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
        // A leader numbers its batches itself; that one is in the past is our own fault.
        log::AppendError::OffsetInPast { .. } => ErrorCode::UNKNOWN_SERVER_ERROR,
        log::AppendError::Disk(_) => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

fn sequence_code(error: SequenceError) -> ErrorCode {
    match error {
        SequenceError::Fenced { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
        SequenceError::OutOfOrder { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        SequenceError::OutsideTransaction => ErrorCode::INVALID_TXN_STATE,
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Unfit(Unfit::Records(breaches)) => {
                let refusal = Refusal::from(breaches.code());
                Refusal {
                    breaches: Some(breaches),
                    ..refusal
                }
            }
            AppendError::Unfit(unfit) => Refusal::new(unfit.code(), unfit.to_string()),
            AppendError::Sequence(error) => Refusal::new(sequence_code(error), error.to_string()),
            AppendError::Log(error) => Refusal::new(log_code(&error), error.to_string()),
            AppendError::Absent(code) => Refusal::from(code),
            AppendError::Offline => Refusal::new(
                ErrorCode::KAFKA_STORAGE_ERROR,
                "a flush of this partition failed: nothing more is written to it before a restart",
            ),
        }
    }
}
