//! The records of `__consumer_offsets`: how Kafka's group coordinator frames its keys and values
//! (`GroupCoordinatorRecordSerde`), and in which version it writes each (`GroupCoordinatorRecordHelpers`).
//!
//! A key is two bytes of the record's kind and then the key's fields; a value two bytes of its version and then its
//! fields. A record without a value is a tombstone. The schemas of all kinds stand in `src/wire/schema/group_log.msg`;
//! share and streams groups have theirs there too, so that a log that Kafka wrote is read to its end.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

use crate::wire::messages::OffsetCommitValue;
use crate::wire::{DecodeError, Decoder, EncodeError, Encoder};

pub use crate::wire::messages::GroupRecord;

/// The newest version of an offset's value, and the only one that carries the topic's id.
const OFFSET_VERSION: i16 = 4;
/// The only version of an offset's value that says when it expires.
const EXPIRING_OFFSET_VERSION: i16 = 1;
/// What Kafka writes of classic groups. Version 4, which it can read (KIP-915), differs in its encoding alone.
const CLASSIC_GROUP_VERSION: i16 = 3;

/// A record as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub key: Bytes,
    /// `None` for a tombstone.
    pub value: Option<Bytes>,
}

/// `record` in the version that Kafka 4.3.1 writes.
///
/// # Errors
/// A text of more than 32,767 bytes, or a value that the version can't say. Nothing that came in a request has either.
pub fn encode(record: &GroupRecord<'_>) -> Result<Encoded, EncodeError> {
    encode_as(record, version_written(record))
}

/// `record` with its value in `version`.
fn encode_as(record: &GroupRecord<'_>, version: i16) -> Result<Encoded, EncodeError> {
    let mut e = Encoder::new();
    e.put_i16(record.id());
    record.encode_key(&mut e)?;
    let key_bytes = e.size_bytes();
    if !record.is_tombstone() {
        e.put_i16(version);
        record.encode_value(&mut e, version)?;
    }
    let mut key = e.into_bytes();
    let value = key.split_off(key_bytes);
    Ok(Encoded {
        key,
        value: (!record.is_tombstone()).then_some(value),
    })
}

/// The version in which Kafka 4.3.1 writes the value of `record`.
pub fn version_written(record: &GroupRecord<'_>) -> i16 {
    match record {
        GroupRecord::OffsetCommit(_, Some(value)) => offset_version(value),
        GroupRecord::GroupMetadata(..) => CLASSIC_GROUP_VERSION,
        _ => 0,
    }
}

fn offset_version(value: &OffsetCommitValue<'_>) -> i16 {
    if value.expire_timestamp == OffsetCommitValue::default().expire_timestamp {
        OFFSET_VERSION
    } else {
        EXPIRING_OFFSET_VERSION
    }
}

/// The record with this key and value, `None` being what the log says for null.
///
/// Bytes behind what the schema says are passed over, as by Kafka. Text that is not UTF-8 is refused: no broker writes any.
pub fn decode<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Result<GroupRecord<'a>, RecordError> {
    let mut d = Decoder::new(key.ok_or(RecordError::NoKey)?);
    let id = d.i16().map_err(RecordError::Key)?;
    let record = GroupRecord::decode_key(id, &mut d).ok_or(RecordError::UnknownKind { id })?;
    let mut record = record.map_err(RecordError::Key)?;
    if let Some(value) = value {
        decode_value(&mut record, value)?;
    }
    Ok(record)
}

fn decode_value<'a>(record: &mut GroupRecord<'a>, value: &'a [u8]) -> Result<(), RecordError> {
    let kind = record.kind_name();
    let unreadable = |error| RecordError::Value { kind, error };
    let mut d = Decoder::new(value);
    let version = d.i16().map_err(unreadable)?;
    let versions = GroupRecord::value_versions(record.id());
    if !versions.is_some_and(|versions| versions.contains(&version)) {
        return Err(RecordError::UnknownVersion { kind, version });
    }
    record.decode_value(&mut d, version).map_err(unreadable)
}

/// Why what stands in the log is no record that we know.
///
/// As in Kafka's `CoordinatorLoaderImpl`, a kind that is not known is left out with a line in the log, since an upgrade that
/// was taken back may have left it there; after anything else the group's partition is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// A record without a key.
    NoKey,
    /// A kind that Kafka 4.3.1 does not have.
    UnknownKind { id: i16 },
    /// A version that Kafka 4.3.1 does not have of this kind.
    UnknownVersion { kind: &'static str, version: i16 },
    /// A key that does not decode.
    Key(DecodeError),
    /// A value that does not decode.
    Value { kind: &'static str, error: DecodeError },
}

impl RecordError {
    /// Whether the record may be left out.
    pub fn may_be_skipped(&self) -> bool {
        matches!(self, RecordError::UnknownKind { .. })
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::NoKey => write!(f, "a record without a key"),
            RecordError::UnknownKind { id } => write!(f, "records of kind {id} are not known"),
            RecordError::UnknownVersion { kind, version } => {
                write!(f, "{kind}: version {version} is not known")
            }
            RecordError::Key(error) => write!(f, "the key: {error}"),
            RecordError::Value { kind, error } => write!(f, "{kind}: {error}"),
        }
    }
}

impl std::error::Error for RecordError {}
