//! A record batch's header as recovery and lookups need it: the 61 bytes in front of the records (KIP-98's format v2),
//! read without the rest of the batch.

use std::fmt;

use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, crc32c, crc32c_append};
use crate::log::producers::{EndMarker, ProducedBatch};
use crate::wire::batch::{self, BatchView, ControlType, layout};

/// Bytes of a header.
pub const HEADER_BYTES: usize = layout::RECORDS;

/// The CRC covers the batch from here on: neither base offset nor leader epoch are under it.
pub const CRC_FROM: usize = layout::ATTRIBUTES;

/// One batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// Bytes of header and records together: at least [`HEADER_BYTES`], at most 2 GiB + 11.
    pub size_bytes: usize,
    /// The leader's epoch when the batch was appended; −1 for none.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from [`CRC_FROM`] on, as the batch claims it.
    pub crc: u32,
    /// Codec, timestamp type, flags.
    pub attributes: i16,
    /// What its records' timestamps count from, or when the cleaner may drop its tombstones: see [`layout`].
    pub base_timestamp: Timestamp,
    /// The largest timestamp of its records; −1 for none.
    pub max_timestamp: Timestamp,
    /// −1 for none.
    pub producer_id: ProducerId,
    /// −1 for none.
    pub producer_epoch: ProducerEpoch,
    /// −1 for none.
    pub base_sequence: i32,
    /// How many records it says to have; compaction leaves fewer than there are offsets.
    pub records_count: i32,
}

/// Why bytes are no batch of format v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchProblem {
    /// The file ends inside the batch.
    Torn,
    /// A length or offset that no batch can have.
    Malformed,
    /// Another format: 0 and 1 are Kafka's before 0.11.
    Magic(i8),
    /// Its CRC doesn't match its bytes.
    Crc,
    /// Its offsets lie before the end of the batch in front of it, or too far from the segment's first.
    Offsets,
}

impl fmt::Display for BatchProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchProblem::Torn => f.write_str("the file ends inside a batch"),
            BatchProblem::Malformed => f.write_str("not a record batch"),
            BatchProblem::Magic(magic) => write!(f, "a record batch of format {magic}; only 2 is supported"),
            BatchProblem::Crc => f.write_str("a record batch's CRC does not match"),
            BatchProblem::Offsets => f.write_str("a record batch's offsets do not follow the ones before it"),
        }
    }
}

/// Whether `bytes` begin with a whole message of Kafka's formats 0 or 1, before 0.11 (`LegacyRecord`): offset, size, CRC-32 of what
/// follows it, magic.
pub fn is_old_message(bytes: &[u8]) -> bool {
    const SIZE_AT: usize = 8;
    const CRC_AT: usize = 12;
    const MAGIC_AT: usize = 16;
    let int = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
    };
    let is_whole = || {
        let behind = CRC_AT.checked_add(int(SIZE_AT)? as usize)?;
        let body = bytes.get(MAGIC_AT..behind)?;
        let mut crc = flate2::Crc::new();
        crc.update(body);
        Some(matches!(body.first(), Some(0 | 1)) && Some(crc.sum()) == int(CRC_AT))
    };
    is_whole().unwrap_or(false)
}

impl BatchHeader {
    /// Reads the header that `bytes` begin with.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchProblem> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(BatchProblem::Torn)?;
        let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let int = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let short = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let length = int(layout::LENGTH);
        if length < layout::LENGTH_MIN {
            return Err(BatchProblem::Malformed);
        }
        let magic = bytes[layout::MAGIC] as i8;
        if magic != batch::MAGIC {
            return Err(BatchProblem::Magic(magic));
        }
        let base_offset = Offset(long(layout::BASE_OFFSET));
        let last_offset_delta = int(layout::LAST_OFFSET_DELTA);
        let last_offset = base_offset
            .0
            .checked_add(i64::from(last_offset_delta))
            .filter(|&last| last < i64::MAX);
        let (Some(last_offset), true) = (last_offset, base_offset.0 >= 0 && last_offset_delta >= 0) else {
            return Err(BatchProblem::Malformed);
        };
        let size_bytes = length as usize + layout::LENGTH_OVERHEAD;
        if size_bytes < HEADER_BYTES {
            return Err(BatchProblem::Malformed);
        }
        Ok(BatchHeader {
            base_offset,
            last_offset: Offset(last_offset),
            size_bytes,
            leader_epoch: LeaderEpoch(int(layout::LEADER_EPOCH)),
            crc: int(layout::CRC) as u32,
            attributes: short(layout::ATTRIBUTES),
            base_timestamp: Timestamp(long(layout::BASE_TIMESTAMP)),
            max_timestamp: Timestamp(long(layout::MAX_TIMESTAMP)),
            producer_id: ProducerId(long(layout::PRODUCER_ID)),
            producer_epoch: ProducerEpoch(short(layout::PRODUCER_EPOCH)),
            base_sequence: int(layout::BASE_SEQUENCE),
            records_count: int(layout::RECORDS_COUNT),
        })
    }

    /// The offset behind the last record.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset.0 + 1)
    }

    /// Whether its records are transaction markers or of the log's own making, not a client's.
    pub fn is_control(&self) -> bool {
        self.attributes & layout::CONTROL != 0
    }

    /// What producer states go by; `None` without a producer, and for control batches, which have no sequence.
    pub fn produced(&self) -> Option<ProducedBatch> {
        if self.producer_id == ProducerId::NONE || self.is_control() {
            return None;
        }
        Some(ProducedBatch {
            producer_id: self.producer_id,
            epoch: self.producer_epoch,
            first_sequence: self.base_sequence,
            base_offset: self.base_offset,
            last_offset: self.last_offset,
            max_timestamp: self.max_timestamp,
            is_transactional: self.attributes & layout::TRANSACTIONAL != 0,
        })
    }
}

/// The marker that ends a transaction (Kafka's `EndTransactionMarker`), if `batch` is a control batch with one; other
/// control batches are the metadata log's own.
pub fn end_marker(header: &BatchHeader, batch: &[u8]) -> Option<EndMarker> {
    if !header.is_control() || header.producer_id == ProducerId::NONE {
        return None;
    }
    let batch = BatchView::first(batch).ok()?;
    let payload = batch.payload(MARKER_BYTES_MAX).ok()?;
    let record = batch.records(&payload).next()?.ok()?;
    let is_abort = match ControlType::from_key(record.key?)? {
        ControlType::Abort => true,
        ControlType::Commit => false,
        _ => return None,
    };
    // The value: a version, which may rise, and the coordinator's epoch.
    let epoch = record.value?.get(2..6)?.try_into().ok()?;
    Some(EndMarker {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        coordinator_epoch: i32::from_be_bytes(epoch),
        offset: header.base_offset,
        timestamp: record.timestamp,
        is_abort,
    })
}

/// A marker takes some twenty bytes.
const MARKER_BYTES_MAX: usize = 4096;

/// A CRC over a batch that arrives in pieces, the first of them with the whole header.
pub struct BatchCrc(u32);

impl BatchCrc {
    /// Begins with the batch's first bytes.
    pub fn begin(first: &[u8]) -> BatchCrc {
        BatchCrc(crc32c(&first[CRC_FROM..]))
    }

    /// The bytes that follow.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = crc32c_append(self.0, bytes);
    }

    /// Whether it is the one that the header claims.
    pub fn matches(&self, header: &BatchHeader) -> bool {
        self.0 == header.crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch::BatchBuilder;
    use crate::wire::compression::Codec;
    use proptest::prelude::*;

    const KAFKAS: &[u8] = include_bytes!("../../tests/fixtures/kafka-log/kept-0/00000000000000000000.log");

    #[test]
    fn kafkas_batches_parse_and_their_crcs_match() {
        let mut at = 0;
        let mut offsets = Vec::new();
        while at < KAFKAS.len() {
            let header = BatchHeader::parse(&KAFKAS[at..]).unwrap();
            let batch = &KAFKAS[at..at + header.size_bytes];
            let mut crc = BatchCrc::begin(&batch[..HEADER_BYTES]);
            crc.update(&batch[HEADER_BYTES..]);
            assert!(crc.matches(&header));
            offsets.push((header.base_offset.0, header.last_offset.0));
            at += header.size_bytes;
        }
        assert_eq!(offsets[..4], [(0, 2), (3, 3), (4, 5), (6, 7)]);
        assert_eq!(offsets.len(), 11);
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = KAFKAS[..HEADER_BYTES].to_vec();
            bytes[at] = byte;
            BatchHeader::parse(&bytes)
        };
        assert_eq!(BatchHeader::parse(&KAFKAS[..60]), Err(BatchProblem::Torn));
        assert_eq!(BatchHeader::parse(&[0; 61]), Err(BatchProblem::Malformed));
        assert_eq!(changed(0, 0x80), Err(BatchProblem::Malformed), "negative offset");
        assert_eq!(changed(8, 0x80), Err(BatchProblem::Malformed), "negative length");
        assert_eq!(changed(16, 1), Err(BatchProblem::Magic(1)));
        assert_eq!(changed(23, 0x80), Err(BatchProblem::Malformed), "negative count");
        let mut short = KAFKAS[..HEADER_BYTES].to_vec();
        short[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(BatchHeader::parse(&short), Err(BatchProblem::Malformed));
    }

    #[test]
    fn the_end_of_a_transaction_reads() {
        let mut batch = BatchBuilder::new(Codec::None)
            .producer(ProducerId(9), ProducerEpoch(2), -1)
            .transactional()
            .control();
        batch.add_control(Timestamp(1000), ControlType::Commit, &[0, 0, 0, 0, 0, 7]);
        let batch = batch.build();
        let header = BatchHeader::parse(&batch).unwrap();
        let marker = EndMarker {
            producer_id: ProducerId(9),
            epoch: ProducerEpoch(2),
            coordinator_epoch: 7,
            offset: Offset(0),
            timestamp: Timestamp(1000),
            is_abort: false,
        };
        assert_eq!(end_marker(&header, &batch), Some(marker));
        assert_eq!(header.produced(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(header) = BatchHeader::parse(&bytes) {
                prop_assert!(header.next_offset() > header.base_offset);
                let _ = end_marker(&header, &bytes);
            }
        }
    }
}
