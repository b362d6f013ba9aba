//! What can be wrong with a batch, and Kafka's code for it.

use std::fmt;

use crate::wire::compression::CompressionError;
use crate::wire::error::ErrorCode;

/// Why bytes are not a batch that may be appended or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// No batch at all where one is needed.
    Empty,
    /// The bytes end before the batch does.
    Incomplete { needed: usize, left: usize },
    /// A length that no batch of any format can have.
    LengthTooSmall { length: i32 },
    /// A format that never existed.
    UnknownMagic { magic: i8 },
    /// Format 0 or 1, which Kafka 4 no longer takes from producers.
    UnsupportedMagic { magic: i8 },
    /// Too small for a header of format 2.
    TooSmall { size: usize },
    /// Something behind the one batch that a partition may have in a request.
    MoreThanOne { left: usize },
    /// A producer's batch starts at offset 0.
    BaseOffset { base_offset: i64 },
    /// The checksum is another.
    Crc { stored: u32, computed: u32 },
    /// A codec that does not exist.
    UnknownCodec { id: u8 },
    /// The last offset lies before the first.
    OffsetRange { last_offset_delta: i32 },
    /// No records, or not as many as there are offsets.
    RecordsCount {
        records_count: i32,
        last_offset_delta: i32,
    },
    /// Clients don't write control batches.
    Control,
    /// A producer id without a sequence.
    BaseSequence { base_sequence: i32 },
    /// A record is not well-formed; its place in the batch, and why.
    Record { index: i32, fault: RecordFault },
    /// The records don't decompress.
    Compression(CompressionError),
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// Lengths inside point behind its end.
    Structure,
    /// Its content ends before its size does.
    Size,
    /// Fewer than no headers, or more than bytes are left.
    HeaderCount,
    /// Its offset is not the next one.
    OffsetDelta { offset_delta: i32 },
    /// Bytes are left behind the last record.
    TrailingBytes { left: usize },
}

impl BatchError {
    /// The code with which Kafka answers a produce request that carries such a batch.
    pub fn code(&self) -> ErrorCode {
        match self {
            BatchError::LengthTooSmall { .. }
            | BatchError::UnknownMagic { .. }
            | BatchError::TooSmall { .. }
            | BatchError::Crc { .. } => ErrorCode::CORRUPT_MESSAGE,
            // Kafka has no such limit; its clients answer this code with smaller batches.
            BatchError::Compression(CompressionError::TooLarge { .. }) => ErrorCode::MESSAGE_TOO_LARGE,
            // Kafka lets these escape as unexpected exceptions.
            BatchError::UnknownCodec { .. } | BatchError::Compression(CompressionError::Corrupt { .. }) => {
                ErrorCode::UNKNOWN_SERVER_ERROR
            }
            BatchError::Empty
            | BatchError::Incomplete { .. }
            | BatchError::UnsupportedMagic { .. }
            | BatchError::MoreThanOne { .. }
            | BatchError::BaseOffset { .. }
            | BatchError::OffsetRange { .. }
            | BatchError::RecordsCount { .. }
            | BatchError::Control
            | BatchError::BaseSequence { .. }
            | BatchError::Record { .. } => ErrorCode::INVALID_RECORD,
        }
    }
}

impl From<CompressionError> for BatchError {
    fn from(error: CompressionError) -> Self {
        BatchError::Compression(error)
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Empty => write!(f, "no record batch; exactly one per partition is needed"),
            BatchError::Incomplete { needed, left } => {
                write!(f, "the record batch needs {needed} bytes, {left} are there")
            }
            BatchError::LengthTooSmall { length } => write!(f, "a record batch of length {length}"),
            BatchError::UnknownMagic { magic } => write!(f, "record format {magic} does not exist"),
            BatchError::UnsupportedMagic { magic } => {
                write!(f, "record format {magic} is no longer accepted, only format 2 is")
            }
            BatchError::TooSmall { size } => write!(f, "a record batch of {size} bytes, 61 are the least"),
            BatchError::MoreThanOne { left } => {
                write!(
                    f,
                    "{left} bytes follow the record batch; exactly one per partition is allowed"
                )
            }
            BatchError::BaseOffset { base_offset } => {
                write!(
                    f,
                    "the base offset of a produced batch must be 0, not {base_offset}"
                )
            }
            BatchError::Crc { stored, computed } => {
                write!(
                    f,
                    "the record batch's checksum is {computed:#010x}, it carries {stored:#010x}"
                )
            }
            BatchError::UnknownCodec { id } => write!(f, "compression codec {id} does not exist"),
            BatchError::OffsetRange { last_offset_delta } => {
                write!(f, "a last offset delta of {last_offset_delta}")
            }
            BatchError::RecordsCount {
                records_count,
                last_offset_delta,
            } => {
                write!(
                    f,
                    "{records_count} records with a last offset delta of {last_offset_delta}"
                )
            }
            BatchError::Control => write!(f, "clients may not write control records"),
            BatchError::BaseSequence { base_sequence } => {
                write!(f, "a producer id with sequence {base_sequence}")
            }
            BatchError::Record { index, fault } => write!(f, "record {index} of the batch: {fault}"),
            BatchError::Compression(error) => write!(f, "the record batch: {error}"),
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::Structure => write!(f, "not well-formed"),
            RecordFault::Size => write!(f, "its size is not that of its content"),
            RecordFault::HeaderCount => write!(f, "an impossible number of headers"),
            RecordFault::OffsetDelta { offset_delta } => {
                write!(f, "out of order, its offset delta is {offset_delta}")
            }
            RecordFault::TrailingBytes { left } => write!(f, "{left} bytes follow the last record"),
        }
    }
}

impl std::error::Error for BatchError {}
