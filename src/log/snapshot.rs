//! The `.snapshot` file: a partition's producer states at the offset that the file is named after, in Kafka's format
//! (`ProducerStateManager`, version 1): version, CRC-32C of what follows it, count, 46 bytes for each entry.
//!
//! Kafka writes one entry a producer, with its newest batch. Here each batch that is remembered has one, the newest last: of several
//! entries of a producer Kafka takes the last, and we know the others again, so that a retry of one of them is no error after a restart.

use std::fmt;

use crate::base::{Offset, ProducerEpoch, ProducerId, Timestamp, crc32c};
use crate::log::producers::{ProducerState, ProducerStates, RememberedBatch};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const ENTRIES_AT: usize = HEADER_BYTES;

/// Bytes in front of the entries.
pub const HEADER_BYTES: usize = 10;
/// Bytes of each entry.
pub const ENTRY_BYTES: usize = 46;
/// The CRC covers the file from here on.
pub const COUNT_AT: usize = 6;

/// A snapshot larger than this is not read: 280,000 producers on one partition, twice what Kafka's operators
/// report as trouble.
pub const BYTES_MAX: usize = 64 << 20;

/// Why a file is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// Its version is not 1.
    Version(i16),
    /// Its length doesn't fit its count: torn, or not a snapshot at all.
    Length,
    /// Its bytes are not the ones that were written.
    Crc,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Version(version) => write!(f, "unknown version {version}"),
            SnapshotError::Length => f.write_str("its length does not fit its count of producers"),
            SnapshotError::Crc => f.write_str("its CRC does not match"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// The file's bytes, producers by rising id, their batches from the oldest to the newest.
pub fn encode(states: &ProducerStates) -> Vec<u8> {
    let entries: usize = states.iter().map(|(_, state)| state.batches().len().max(1)).sum();
    let mut bytes = Vec::with_capacity(ENTRIES_AT + entries * ENTRY_BYTES);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend((entries as u32).to_be_bytes());
    for (id, state) in states.iter() {
        let (newest, older) = state.batches().split_last().unwrap_or((&NO_BATCH, &[]));
        for batch in older {
            encode_entry(&mut bytes, id, state, batch, batch.timestamp);
        }
        encode_entry(&mut bytes, id, state, newest, state.last_timestamp());
    }
    let crc = crc32c(&bytes[COUNT_AT..]);
    bytes[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_entry(
    bytes: &mut Vec<u8>,
    id: ProducerId,
    state: &ProducerState,
    batch: &RememberedBatch,
    timestamp: Timestamp,
) {
    let transaction_start = state.transaction_start().unwrap_or(Offset::UNKNOWN);
    bytes.extend(id.0.to_be_bytes());
    bytes.extend(state.epoch().0.to_be_bytes());
    bytes.extend(batch.last_sequence.to_be_bytes());
    bytes.extend(batch.last_offset.0.to_be_bytes());
    bytes.extend(batch.offset_delta.to_be_bytes());
    bytes.extend(timestamp.0.to_be_bytes());
    bytes.extend(state.coordinator_epoch().to_be_bytes());
    bytes.extend(transaction_start.0.to_be_bytes());
}

/// What Kafka writes for a producer of which no batch is remembered.
const NO_BATCH: RememberedBatch = RememberedBatch {
    last_sequence: -1,
    last_offset: Offset::UNKNOWN,
    offset_delta: 0,
    timestamp: Timestamp::NONE,
};

/// What stands in front of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// CRC-32C of everything from [`COUNT_AT`] on, as the file claims it.
    pub crc: u32,
    /// How many entries follow, as the file claims it.
    pub count: u32,
}

impl Header {
    /// Reads the header that `bytes` begin with.
    pub fn decode(bytes: &[u8]) -> Result<Header, SnapshotError> {
        let header = bytes.get(..HEADER_BYTES).ok_or(SnapshotError::Length)?;
        let version = i16::from_be_bytes([header[0], header[1]]);
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let int = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
        Ok(Header {
            crc: int(CRC_AT),
            count: int(COUNT_AT),
        })
    }
}

/// One entry as the file has it, whether or not that makes sense: a producer, with one of its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's last record; −1 when no batch of the producer is remembered.
    pub last_sequence: i32,
    /// The offset of the batch's last record; −1 when no batch of the producer is remembered.
    pub last_offset: Offset,
    /// The batch's offsets, less one.
    pub offset_delta: i32,
    /// The batch's time; with the newest batch, when the producer wrote last.
    pub timestamp: Timestamp,
    /// The epoch of the coordinator that ended its last transaction; −1 for none.
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction; −1 for none.
    pub transaction_start: Offset,
}

impl Entry {
    /// Reads one.
    pub fn decode(entry: &[u8; ENTRY_BYTES]) -> Entry {
        let long = |at: usize| i64::from_be_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
        let int = |at: usize| i32::from_be_bytes(entry[at..at + 4].try_into().expect("four bytes"));
        Entry {
            producer_id: ProducerId(long(0)),
            epoch: ProducerEpoch(i16::from_be_bytes([entry[8], entry[9]])),
            last_sequence: int(10),
            last_offset: Offset(long(14)),
            offset_delta: int(22),
            timestamp: Timestamp(long(26)),
            coordinator_epoch: int(34),
            transaction_start: Offset(long(38)),
        }
    }

    /// What it says of its producer.
    fn state(&self) -> ProducerState {
        let newest = RememberedBatch {
            last_sequence: self.last_sequence,
            last_offset: self.last_offset,
            offset_delta: self.offset_delta,
            timestamp: self.timestamp,
        };
        ProducerState::from_snapshot(
            self.epoch,
            (self.last_offset.0 >= 0 && self.offset_delta >= 0).then_some(newest),
            self.coordinator_epoch,
            (self.transaction_start.0 >= 0).then_some(self.transaction_start),
            self.timestamp,
        )
    }
}

/// Reads [`encode`]. Allocates no more than the producers that are really there.
pub fn decode(bytes: &[u8]) -> Result<ProducerStates, SnapshotError> {
    let header = Header::decode(bytes)?;
    if header.crc != crc32c(&bytes[COUNT_AT..]) {
        return Err(SnapshotError::Crc);
    }
    let (entries, rest) = bytes[ENTRIES_AT..].as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() || entries.len() != header.count as usize {
        return Err(SnapshotError::Length);
    }
    let mut states = ProducerStates::default();
    for entry in entries.iter().map(Entry::decode) {
        let (id, mut state) = (entry.producer_id, entry.state());
        if let Some(earlier) = states.get(id).filter(|earlier| earlier.epoch() == state.epoch()) {
            state.follow(earlier);
        }
        states.insert(id, state);
    }
    Ok(states)
}

/// The same file as Kafka would write it: of each producer its newest batch.
#[cfg(test)]
pub fn newest_only(bytes: &[u8]) -> Vec<u8> {
    let entries: Vec<&[u8]> = bytes[ENTRIES_AT..].chunks(ENTRY_BYTES).collect();
    let is_last = |n: &usize| {
        let next = entries.get(n + 1);
        next.is_none_or(|next| next[..8] != entries[*n][..8])
    };
    let newest: Vec<&[u8]> = (0..entries.len()).filter(is_last).map(|n| entries[n]).collect();
    let mut written = VERSION.to_be_bytes().to_vec();
    let counted = [&(newest.len() as u32).to_be_bytes()[..], &newest.concat()].concat();
    written.extend(crc32c(&counted).to_be_bytes());
    written.extend(counted);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::producers::{ProducedBatch, Sequence};
    use proptest::prelude::*;

    const KAFKAS: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-log/kept-0/00000000000000000033.snapshot");

    #[test]
    fn kafkas_snapshot_reads_and_is_written_again_byte_for_byte() {
        let states = decode(KAFKAS).unwrap();
        let lasts: Vec<_> = states
            .iter()
            .map(|(id, s)| (id.0, s.batches()[0].last_offset.0))
            .collect();
        assert_eq!(lasts, [(0, 8), (1, 12), (2, 15), (3, 18), (4, 22), (5, 32)]);
        assert_eq!(encode(&states), KAFKAS);
    }

    #[test]
    fn every_remembered_batch_is_known_again_and_the_newest_stands_last_for_kafka() {
        let mut states = ProducerStates::default();
        let batch = |id, n: i64| ProducedBatch {
            producer_id: ProducerId(id),
            epoch: ProducerEpoch(2),
            first_sequence: 3 * n as i32,
            base_offset: Offset(10 * n),
            last_offset: Offset(10 * n + 2),
            max_timestamp: Timestamp(1_000 + n),
            is_transactional: false,
        };
        let batches = (0..7).map(|n| batch(7, n)).chain((0..2).map(|n| batch(8, n)));
        batches.for_each(|batch| states.update(&batch, Timestamp(500)));
        let bytes = encode(&states);
        assert_eq!(decode(&bytes), Ok(forget_when_seen(states.clone())));
        for n in 2..7 {
            let again = decode(&bytes).unwrap().check(&batch(7, n));
            assert!(matches!(again, Ok(Sequence::Duplicate(_))), "{n}: {again:?}");
        }
        assert!(decode(&bytes).unwrap().check(&batch(7, 1)).is_err());
        let sequences = bytes[ENTRIES_AT..].chunks(ENTRY_BYTES);
        let sequences: Vec<i32> = sequences
            .map(|entry| i32::from_be_bytes(entry[10..14].try_into().unwrap()))
            .collect();
        assert_eq!(sequences, [8, 11, 14, 17, 20, 2, 5]);
    }

    /// A file has one time for a producer's last batch and for when it was seen.
    fn forget_when_seen(states: ProducerStates) -> ProducerStates {
        let mut forgotten = ProducerStates::default();
        for (id, state) in states.iter() {
            let mut again = ProducerState::from_snapshot(
                state.epoch(),
                state.batches().last().copied(),
                state.coordinator_epoch(),
                state.transaction_start(),
                state.last_timestamp(),
            );
            again.follow(state);
            forgotten.insert(id, again);
        }
        forgotten
    }

    #[test]
    fn a_torn_or_changed_snapshot_is_refused() {
        for len in 0..KAFKAS.len() {
            assert!(decode(&KAFKAS[..len]).is_err(), "{len} bytes");
        }
        for at in 0..KAFKAS.len() {
            let mut changed = KAFKAS.to_vec();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let mut sealed = [&[0, 1, 0, 0, 0, 0], &bytes[..]].concat();
            let crc = crc32c(&sealed[6..]);
            sealed[2..6].copy_from_slice(&crc.to_be_bytes());
            if let Ok(states) = decode(&sealed) {
                prop_assert_eq!(decode(&encode(&states)).map(|s| s.len()), Ok(states.len()));
            }
        }
    }
}
