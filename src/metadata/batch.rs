//! Metadata records as a batch of the metadata log (Kafka's `MetadataRecordSerde` in a `BatchBuilder`).

use crate::base::{LeaderEpoch, NodeId, Offset, Timestamp};
use crate::wire::batch::{BatchBuilder, ControlType};
use crate::wire::compression::Codec;
use crate::wire::messages::LeaderChangeMessage;
use crate::wire::messages::leader_change_message::Voter;
use crate::wire::records::{MetadataRecord, encode_record};
use crate::wire::{Encode, EncodeError, Encoder};
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
    assert!(
        !records.is_empty(),
        "a batch of no records has no place in the log"
    );
    let mut batch = BatchBuilder::new(Codec::None).at(base_offset, epoch);
    for record in records {
        let value = encode_record(record, version_of(record)).map_err(RecordBatchError::Encode)?;
        batch.add(now, None, Some(&value), &[]);
        if batch.size_bytes() > METADATA_BATCH_BYTES_MAX {
            return Err(RecordBatchError::TooLarge {
                bytes: batch.size_bytes(),
            });
        }
    }
    Ok(batch.build())
}

/// The control batch that a quorum's new leader begins its epoch with: here the only voter, elected by itself.
pub fn leader_change_batch(
    leader: NodeId,
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<Bytes, RecordBatchError> {
    const VERSION: i16 = 0;
    let voters = || {
        std::iter::once(Voter {
            voter_id: leader.0,
            ..Voter::default()
        })
        .collect()
    };
    let message = LeaderChangeMessage {
        version: VERSION,
        leader_id: leader.0,
        voters: voters(),
        granting_voters: voters(),
    };
    let mut value = Encoder::new();
    message
        .encode(&mut value, VERSION)
        .map_err(RecordBatchError::Encode)?;
    let mut batch = BatchBuilder::new(Codec::None).control().at(base_offset, epoch);
    batch.add_control(now, ControlType::LeaderChange, &value.into_bytes());
    Ok(batch.build())
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
