//! Record batches of format 2 (KIP-98, Kafka's `DefaultRecordBatch`), viewed where they lie.
//!
//! A batch is validated once, gets its base offset and leader epoch written in place, and is not encoded again unless its topic asks
//! for another codec. Neither field is under the checksum, which covers everything from the attributes on.

mod build;
mod edit;
mod error;
mod rebuild;
mod recode;
mod record;
mod rules;
mod validate;
mod walk;

use std::borrow::Cow;

use crate::base::{self, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::compression::{self, Codec};

pub use build::{BatchBuilder, ControlType};
pub use edit::{set_base_offset, set_create_time, set_leader_epoch, set_log_append_time};
pub use error::{BatchError, RecordFault};
pub use rebuild::{Rebuilt, emptied};
pub use record::{Headers, Record, RecordIter};
pub use rules::{BREACHES_NAMED_MAX, Breach, Breaches, Rules, Times, Unfit};
pub use validate::{Arrived, Checked, Depth, validate};
pub use walk::DECOMPRESSED_BYTES_MAX;

/// Where the fields of a batch lie, in bytes from its start; all are big-endian.
pub mod layout {
    /// `int64`: the first record's offset; 0 from a producer.
    pub const BASE_OFFSET: usize = 0;
    /// `int32`: the bytes behind this field.
    pub const LENGTH: usize = 8;
    /// `int32`: the leader's epoch when it was appended.
    pub const LEADER_EPOCH: usize = 12;
    /// `int8`: the format, 2.
    pub const MAGIC: usize = 16;
    /// `uint32`: CRC-32C of everything from [`ATTRIBUTES`] on.
    pub const CRC: usize = 17;
    /// `int16`: codec in bits 0–2, then log-append time, transactional, control, delete horizon.
    pub const ATTRIBUTES: usize = 21;
    /// `int32`: the last record's offset minus the first's.
    pub const LAST_OFFSET_DELTA: usize = 23;
    /// `int64`: what the records' timestamps count from.
    pub const BASE_TIMESTAMP: usize = 27;
    /// `int64`: the latest timestamp, or the time of the append.
    pub const MAX_TIMESTAMP: usize = 35;
    /// `int64`: the idempotent producer, or −1.
    pub const PRODUCER_ID: usize = 43;
    /// `int16`: its epoch, or −1.
    pub const PRODUCER_EPOCH: usize = 51;
    /// `int32`: the first record's sequence, or −1.
    pub const BASE_SEQUENCE: usize = 53;
    /// `int32`: how many records there are.
    pub const RECORDS_COUNT: usize = 57;
    /// The records, compressed or not.
    pub const RECORDS: usize = 61;

    /// What [`LENGTH`] does not count.
    pub const LENGTH_OVERHEAD: usize = 12;
    /// The smallest length that any format's batch can have (Kafka's `LegacyRecord.RECORD_OVERHEAD_V0`).
    pub const LENGTH_MIN: i32 = 14;

    /// The codec, in the attributes.
    pub const CODEC_MASK: i16 = 0x07;
    /// [`MAX_TIMESTAMP`] is the time of the append and holds for all records, in the attributes.
    pub const LOG_APPEND_TIME: i16 = 0x08;
    /// Part of a transaction, in the attributes.
    pub const TRANSACTIONAL: i16 = 0x10;
    /// Not a client's: a transaction's end or the metadata log's own, in the attributes.
    pub const CONTROL: i16 = 0x20;
    /// [`BASE_TIMESTAMP`] is when the cleaner may drop tombstones (KIP-534), in the attributes.
    pub const DELETE_HORIZON: i16 = 0x40;
}

/// The format that everyone has written since Kafka 0.11.
pub const MAGIC: i8 = 2;

/// The smallest batch: a header without records, as the cleaner leaves behind.
pub const SIZE_BYTES_MIN: usize = layout::RECORDS;

/// Whose clock a batch's timestamps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// One whole batch of format 2. Only its size and magic are known to be right: see [`validate`] for the rest.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    /// Invariant: at least a header, and exactly as long as its length field says.
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the start of `bytes`, which may hold more behind it.
    pub fn first(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let size = size_bytes_at(bytes)?;
        let left = bytes.len();
        let bytes = bytes
            .get(..size)
            .ok_or(BatchError::Incomplete { needed: size, left })?;
        match bytes[layout::MAGIC] as i8 {
            MAGIC if size < SIZE_BYTES_MIN => Err(BatchError::TooSmall { size }),
            MAGIC => Ok(BatchView { bytes }),
            magic => Err(BatchError::UnsupportedMagic { magic }),
        }
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes it takes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The first record's offset.
    pub fn base_offset(&self) -> Offset {
        Offset(i64::from_be_bytes(self.field(layout::BASE_OFFSET)))
    }

    /// The last record's offset; it may have been compacted away.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().0.wrapping_add(self.last_offset_delta().into()))
    }

    /// The offset that the next batch has.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.wrapping_add(1))
    }

    /// The leader's epoch at the append.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::from_be_bytes(self.field(layout::LEADER_EPOCH)))
    }

    /// The checksum that it carries.
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(self.field(layout::CRC))
    }

    /// The checksum that it should carry.
    pub fn computed_crc(&self) -> u32 {
        base::crc32c(&self.bytes[layout::ATTRIBUTES..])
    }

    /// Whether its bytes are those that were written.
    pub fn crc_is_valid(&self) -> bool {
        self.crc() == self.computed_crc()
    }

    /// The attributes: see [`layout`].
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(self.field(layout::ATTRIBUTES))
    }

    /// How its records are compressed.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let id = (self.attributes() & layout::CODEC_MASK) as u8;
        Codec::from_id(id).ok_or(BatchError::UnknownCodec { id })
    }

    /// Whether its records are compressed, in whatever way.
    pub fn is_compressed(&self) -> bool {
        self.attributes() & layout::CODEC_MASK != 0
    }

    /// Whose clock its timestamps are.
    pub fn timestamp_type(&self) -> TimestampType {
        match self.has(layout::LOG_APPEND_TIME) {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        }
    }

    /// Whether it is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.has(layout::TRANSACTIONAL)
    }

    /// Whether it is the broker's own and not for consumers.
    pub fn is_control(&self) -> bool {
        self.has(layout::CONTROL)
    }

    /// The last record's offset minus the first's.
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.field(layout::LAST_OFFSET_DELTA))
    }

    /// What the records' timestamps count from.
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.field(layout::BASE_TIMESTAMP)))
    }

    /// From when on its tombstones and markers may go, if the cleaner has said so (KIP-534).
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.has(layout::DELETE_HORIZON).then(|| self.base_timestamp())
    }

    /// The latest timestamp of its records.
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.field(layout::MAX_TIMESTAMP)))
    }

    /// The idempotent producer, or [`ProducerId::NONE`].
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64::from_be_bytes(self.field(layout::PRODUCER_ID)))
    }

    /// Whether an idempotent producer wrote it.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id() > ProducerId::NONE
    }

    /// The producer's epoch.
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::from_be_bytes(self.field(layout::PRODUCER_EPOCH)))
    }

    /// The first record's sequence, or −1.
    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(self.field(layout::BASE_SEQUENCE))
    }

    /// The last record's sequence, or −1; after the largest comes 0.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence() {
            -1 => -1,
            base => base.wrapping_add(self.last_offset_delta()) & i32::MAX,
        }
    }

    /// How many records it says to have.
    pub fn records_count(&self) -> i32 {
        i32::from_be_bytes(self.field(layout::RECORDS_COUNT))
    }

    /// The records as they lie there, compressed or not.
    pub fn raw_records(&self) -> &'a [u8] {
        &self.bytes[layout::RECORDS..]
    }

    /// The records' bytes, decompressed where they have to be.
    ///
    /// # Errors
    /// An unknown codec, damaged data, or more than `size_bytes_max` bytes.
    pub fn payload(&self, size_bytes_max: usize) -> Result<Cow<'a, [u8]>, BatchError> {
        match self.codec()? {
            Codec::None => Ok(Cow::Borrowed(self.raw_records())),
            codec => Ok(Cow::Owned(compression::decompress(
                codec,
                self.raw_records(),
                size_bytes_max,
            )?)),
        }
    }

    /// As [`payload`](Self::payload), with a `turn` for others after every piece that is decompressed.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub async fn payload_in_turns(
        &self,
        size_bytes_max: usize,
        turn: impl AsyncFn(),
    ) -> Result<Cow<'a, [u8]>, BatchError> {
        match self.codec()? {
            Codec::None => Ok(Cow::Borrowed(self.raw_records())),
            codec => {
                let bytes =
                    compression::decompress_in_turns(codec, self.raw_records(), size_bytes_max, turn).await;
                Ok(Cow::Owned(bytes?))
            }
        }
    }

    /// The records in `payload`, which [`BatchView::payload`] gave.
    pub fn records<'p>(&self, payload: &'p [u8]) -> RecordIter<'p> {
        RecordIter::new(self, payload)
    }

    fn has(&self, attribute: i16) -> bool {
        self.attributes() & attribute != 0
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("a field of the header")
    }
}

/// The size of the batch at the start of `bytes`, of which the first 17 suffice.
///
/// # Errors
/// [`BatchError::Incomplete`] if there are fewer; a length or a magic that no format has.
pub fn size_bytes_at(bytes: &[u8]) -> Result<usize, BatchError> {
    let incomplete = BatchError::Incomplete {
        needed: layout::CRC,
        left: bytes.len(),
    };
    let length = bytes
        .get(layout::LENGTH..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(incomplete)?;
    let length = i32::from_be_bytes(*length);
    if length < layout::LENGTH_MIN {
        return Err(BatchError::LengthTooSmall { length });
    }
    match *bytes.get(layout::MAGIC).ok_or(incomplete)? as i8 {
        0..=MAGIC => Ok(layout::LENGTH_OVERHEAD + length as usize),
        magic => Err(BatchError::UnknownMagic { magic }),
    }
}

/// The batches in `bytes`, one after the other; the first error is the last item. A batch cut off at the end, as in
/// an answer to a fetch, is [`BatchError::Incomplete`].
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

/// See [`batches`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = BatchView::first(self.rest);
        self.rest = match &batch {
            Ok(batch) => &self.rest[batch.size_bytes()..],
            Err(_) => &[],
        };
        Some(batch)
    }
}

#[cfg(test)]
mod tests;
