//! Why an append or a read was refused, and the one place where that becomes a Kafka error code.

use crate::base::Timestamp;
use crate::log;
use crate::log::producers::SequenceError;
use crate::wire::ErrorCode;
use crate::wire::batch::BatchError;

/// Why a batch was not appended.
#[derive(Debug)]
pub enum AppendError {
    /// The batch itself is wrong.
    Batch(BatchError),
    /// Larger than the topic's `max.message.bytes`.
    TooLarge {
        size_bytes: usize,
        size_bytes_max: usize,
    },
    /// A compacted topic keeps the last value of each key, so it needs keys.
    KeylessOnCompacted,
    /// Outside what `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` allow.
    Timestamp {
        timestamp: Timestamp,
        earliest: i64,
        latest: i64,
    },
    /// Not the producer's next sequence, or an old epoch.
    Sequence(SequenceError),
    /// The log refused: the batch, or the disk.
    Log(log::AppendError),
    /// A flush failed earlier.
    Offline,
}

/// Why a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The disk failed.
    Disk,
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
}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> Self {
        AppendError::Batch(error)
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
                ReadError::Disk
            }
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal { code, message: None }
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
            ReadError::Disk => ErrorCode::KAFKA_STORAGE_ERROR,
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
        let (code, message) = match error {
            AppendError::Batch(error) => (error.code(), error.to_string()),
            AppendError::TooLarge {
                size_bytes,
                size_bytes_max,
            } => (
                ErrorCode::MESSAGE_TOO_LARGE,
                format!("the batch is {size_bytes} bytes, max.message.bytes is {size_bytes_max}"),
            ),
            AppendError::KeylessOnCompacted => (
                ErrorCode::INVALID_RECORD,
                "a record without a key cannot be kept on a compacted topic".to_string(),
            ),
            AppendError::Timestamp {
                timestamp,
                earliest,
                latest,
            } => (
                ErrorCode::INVALID_TIMESTAMP,
                format!("timestamp {timestamp:?} is outside the topic's range {earliest}..={latest}"),
            ),
            AppendError::Sequence(error) => (sequence_code(error), error.to_string()),
            AppendError::Log(error) => (log_code(&error), error.to_string()),
            AppendError::Offline => (
                ErrorCode::KAFKA_STORAGE_ERROR,
                "a flush of this partition failed: nothing more is written to it before a restart"
                    .to_string(),
            ),
        };
        Refusal {
            code,
            message: Some(message),
        }
    }
}
