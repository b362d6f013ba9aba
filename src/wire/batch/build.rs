//! Writes batches: for clients, for the metadata log, for tests.

use bytes::{BufMut, Bytes, BytesMut};

use super::edit::{put, set_crc};
use super::{MAGIC, layout};
use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire::compression::{self, Codec};
use crate::wire::varint;

/// A batch being filled.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records, not compressed.
    buffer: BytesMut,
    codec: Codec,
    attributes: i16,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    records_count: i32,
}

/// What a control record says (Kafka's `ControlRecordType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum ControlType {
    /// A transaction ended and its records don't count.
    Abort = 0,
    /// A transaction ended and its records count.
    Commit = 1,
    /// The metadata log has a new leader.
    LeaderChange = 2,
    /// A snapshot begins.
    SnapshotHeader = 3,
    /// A snapshot ends.
    SnapshotFooter = 4,
    /// The level of `kraft.version`.
    KRaftVersion = 5,
    /// The voters of the quorum.
    KRaftVoters = 6,
}

impl ControlType {
    /// The type that a control record's key names: a version, which may rise, and the type.
    pub fn from_key(key: &[u8]) -> Option<ControlType> {
        let [_, _, hi, lo, ..] = *key else { return None };
        Some(match i16::from_be_bytes([hi, lo]) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KRaftVersion,
            6 => ControlType::KRaftVoters,
            _ => return None,
        })
    }

    /// The key of such a record.
    pub fn key(self) -> [u8; 4] {
        let [hi, lo] = (self as i16).to_be_bytes();
        [0, 0, hi, lo]
    }
}

impl BatchBuilder {
    /// An empty batch at offset 0, whose records will be compressed by `codec`.
    pub fn new(codec: Codec) -> Self {
        BatchBuilder {
            buffer: BytesMut::zeroed(layout::RECORDS),
            codec,
            attributes: codec.id().into(),
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            records_count: 0,
        }
    }

    /// Names the idempotent producer and the first record's sequence.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Makes it part of the producer's transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes |= layout::TRANSACTIONAL;
        self
    }

    /// Makes it a control batch; see [`BatchBuilder::add_control`].
    pub fn control(mut self) -> Self {
        self.attributes |= layout::CONTROL;
        self
    }

    /// Gives it its place in a log.
    pub fn at(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        self
    }

    /// How many records it holds so far.
    pub fn records_count(&self) -> i32 {
        self.records_count
    }

    /// Its size so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Adds a record behind the others.
    ///
    /// # Panics
    /// Past 2,147,483,647 records, or bytes in a field.
    pub fn add(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        if self.records_count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let offset_delta = i64::from(self.records_count);
        let header_sizes = headers
            .iter()
            .map(|(name, value)| sized(Some(name.as_bytes())) + sized(*value));
        let size = 1
            + varint_len(timestamp_delta)
            + varint_len(offset_delta)
            + sized(key)
            + sized(value)
            + varint_len(headers.len() as i64)
            + header_sizes.sum::<usize>();
        self.put_varint(i64::from(i32::try_from(size).expect("a record below 2 GiB")));
        self.buffer.put_u8(0);
        self.put_varint(timestamp_delta);
        self.put_varint(offset_delta);
        self.put_bytes(key);
        self.put_bytes(value);
        self.put_varint(headers.len() as i64);
        for (name, value) in headers {
            self.put_bytes(Some(name.as_bytes()));
            self.put_bytes(*value);
        }
        self.records_count = self
            .records_count
            .checked_add(1)
            .expect("fewer than 2^31 records");
    }

    /// Adds a control record, whose value the message for `control_type` encodes to.
    pub fn add_control(&mut self, timestamp: Timestamp, control_type: ControlType, value: &[u8]) {
        self.add(timestamp, Some(&control_type.key()), Some(value), &[]);
    }

    /// The finished batch.
    ///
    /// # Panics
    /// If it holds no record, or 2 GiB.
    pub fn build(self) -> Bytes {
        self.build_mut().freeze()
    }

    /// The finished batch, to be written to.
    pub fn build_mut(mut self) -> BytesMut {
        assert!(self.records_count > 0, "a batch needs a record");
        if self.codec != Codec::None {
            let compressed = compression::compress(self.codec, &self.buffer[layout::RECORDS..]);
            self.buffer.truncate(layout::RECORDS);
            self.buffer.extend_from_slice(&compressed);
        }
        let length = i32::try_from(self.buffer.len() - layout::LENGTH_OVERHEAD).expect("a batch below 2 GiB");
        let batch = &mut self.buffer;
        put(batch, layout::BASE_OFFSET, self.base_offset.0.to_be_bytes());
        put(batch, layout::LENGTH, length.to_be_bytes());
        put(batch, layout::LEADER_EPOCH, self.leader_epoch.0.to_be_bytes());
        put(batch, layout::MAGIC, MAGIC.to_be_bytes());
        put(batch, layout::ATTRIBUTES, self.attributes.to_be_bytes());
        put(
            batch,
            layout::LAST_OFFSET_DELTA,
            (self.records_count - 1).to_be_bytes(),
        );
        put(batch, layout::BASE_TIMESTAMP, self.base_timestamp.0.to_be_bytes());
        put(batch, layout::MAX_TIMESTAMP, self.max_timestamp.0.to_be_bytes());
        put(batch, layout::PRODUCER_ID, self.producer_id.0.to_be_bytes());
        put(batch, layout::PRODUCER_EPOCH, self.producer_epoch.0.to_be_bytes());
        put(batch, layout::BASE_SEQUENCE, self.base_sequence.to_be_bytes());
        put(batch, layout::RECORDS_COUNT, self.records_count.to_be_bytes());
        set_crc(batch);
        self.buffer
    }

    fn put_varint(&mut self, value: i64) {
        let (bytes, len) = varint::bytes_of(varint::zigzag64(value));
        self.buffer.extend_from_slice(&bytes[..len]);
    }

    fn put_bytes(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else {
            return self.put_varint(-1);
        };
        self.put_varint(i64::from(
            i32::try_from(bytes.len()).expect("a field below 2 GiB"),
        ));
        self.buffer.extend_from_slice(bytes);
    }
}

/// The bytes that `bytes` take behind their length.
fn sized(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_len(bytes.len() as i64) + bytes.len())
}

fn varint_len(value: i64) -> usize {
    varint::len_of(varint::zigzag64(value))
}
