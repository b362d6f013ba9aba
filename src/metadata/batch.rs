//! Metadata records as a batch of the metadata log (Kafka's `MetadataRecordSerde` in a `BatchBuilder`).

use super::membership::{CONTROL_VERSION, Membership, control_value};
use crate::base::{LeaderEpoch, NodeId, Offset, Timestamp};
use crate::wire::EncodeError;
use crate::wire::batch::{BatchBuilder, ControlType};
use crate::wire::compression::Codec;
use crate::wire::messages::leader_change_message::Voter;
use crate::wire::messages::{LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord};
use crate::wire::records::{MetadataRecord, encode_record};
use bytes::Bytes;
use std::fmt;

/// The largest batch of metadata (Kafka's `internal.metadata.max.batch.size.in.bytes`).
pub const METADATA_BATCH_BYTES_MAX: usize = 8 << 20;

/// Why records can't become a batch.
#[derive(Debug)]
pub enum RecordBatchError {
    /// They come to more than [`METADATA_BATCH_BYTES_MAX`].
    TooLarge {
        /// Their bytes, at least.
        bytes: usize,
    },
    /// One of them doesn't fit its schema.
    Encode(EncodeError),
}

impl fmt::Display for RecordBatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordBatchError::TooLarge { bytes } => {
                write!(
                    f,
                    "a metadata change of {bytes} bytes; at most {METADATA_BATCH_BYTES_MAX} are possible"
                )
            }
            RecordBatchError::Encode(error) => write!(f, "a metadata record can't be written: {error}"),
        }
    }
}

impl std::error::Error for RecordBatchError {}

/// One batch of `records`, which must not be empty, at `base_offset` in the quorum's `epoch`.
pub fn record_batch(
    records: &[MetadataRecord<'_>],
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<Bytes, RecordBatchError> {
    value_batch(records.iter().map(record_value), base_offset, epoch, now)
}

/// The same of framed records.
pub fn value_batch(
    values: impl IntoIterator<Item = Result<Bytes, RecordBatchError>>,
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<Bytes, RecordBatchError> {
    let mut batch = BatchBuilder::new(Codec::None).at(base_offset, epoch);
    for value in values {
        batch.add(now, None, Some(&value?), &[]);
        if batch.size_bytes() > METADATA_BATCH_BYTES_MAX {
            return Err(RecordBatchError::TooLarge {
                bytes: batch.size_bytes(),
            });
        }
    }
    assert!(
        batch.records_count() > 0,
        "a batch of no records has no place in the log"
    );
    Ok(batch.build())
}

/// The control batch that a quorum's new leader, elected by itself, begins its epoch with. In a log's first one `membership` names the
/// voters, as Kafka writes it.
pub fn leader_change_batch(
    leader: NodeId,
    membership: &Membership,
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<Bytes, RecordBatchError> {
    let voters = || {
        std::iter::once(Voter {
            voter_id: leader.0,
            ..Voter::default()
        })
        .collect()
    };
    let change = LeaderChangeMessage {
        version: CONTROL_VERSION,
        leader_id: leader.0,
        voters: voters(),
        granting_voters: voters(),
    };
    let mut records = vec![(ControlType::LeaderChange, control_value(&change)?)];
    records.extend(membership.records()?);
    Ok(control_batch(&records, base_offset, epoch, now))
}

/// The batch that a snapshot begins with (KIP-630): it holds the log up to a batch of time `last_contained`.
pub fn snapshot_header_batch(
    last_contained: Timestamp,
    membership: &Membership,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<Bytes, RecordBatchError> {
    let header = SnapshotHeaderRecord {
        version: CONTROL_VERSION,
        last_contained_log_timestamp: last_contained.0,
    };
    let mut records = vec![(ControlType::SnapshotHeader, control_value(&header)?)];
    records.extend(membership.records()?);
    Ok(control_batch(&records, Offset(0), epoch, now))
}

/// The batch that a snapshot ends with.
pub fn snapshot_footer_batch(
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<Bytes, RecordBatchError> {
    let footer = SnapshotFooterRecord {
        version: CONTROL_VERSION,
    };
    let records = [(ControlType::SnapshotFooter, control_value(&footer)?)];
    Ok(control_batch(&records, base_offset, epoch, now))
}

fn control_batch(
    records: &[(ControlType, Bytes)],
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Bytes {
    let mut batch = BatchBuilder::new(Codec::None).control().at(base_offset, epoch);
    for (control, value) in records {
        batch.add_control(now, *control, value);
    }
    batch.build()
}

/// `record` as the value of a record of the log, in the version that Kafka writes.
pub fn record_value(record: &MetadataRecord<'_>) -> Result<Bytes, RecordBatchError> {
    encode_record(record, version_of(record)).map_err(RecordBatchError::Encode)
}

/// The version that Kafka writes at metadata.version 30 (`MetadataVersion.*RecordVersion`).
fn version_of(record: &MetadataRecord<'_>) -> i16 {
    match record {
        MetadataRecord::RegisterBrokerRecord(_) => 4,
        MetadataRecord::PartitionRecord(_) | MetadataRecord::PartitionChangeRecord(_) => 2,
        MetadataRecord::BrokerRegistrationChangeRecord(_) => 3,
        _ => 0,
    }
}
