//! The `.snapshot` file: a partition's producer states at the offset that the file is named after, in Kafka's format
//! (`ProducerStateManager`, version 1): version, CRC-32C of what follows it, count, 46 bytes for each producer.

use std::fmt;

use crate::base::{Offset, ProducerEpoch, ProducerId, Timestamp, crc32c};
use crate::log::producers::{ProducerState, ProducerStates, RememberedBatch};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const COUNT_AT: usize = 6;
const ENTRIES_AT: usize = 10;
const ENTRY_BYTES: usize = 46;

/// A snapshot larger than this is not read: 1.4 million producers on one partition, ten times what Kafka's operators
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

/// The file's bytes, producers by rising id. Of each producer's batches only the newest is kept.
pub fn encode(states: &ProducerStates) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRIES_AT + states.len() * ENTRY_BYTES);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend((states.len() as u32).to_be_bytes());
    for (id, state) in states.iter() {
        let newest = state.batches().last().copied().unwrap_or(NO_BATCH);
        bytes.extend(id.0.to_be_bytes());
        bytes.extend(state.epoch().0.to_be_bytes());
        bytes.extend(newest.last_sequence.to_be_bytes());
        bytes.extend(newest.last_offset.0.to_be_bytes());
        bytes.extend(newest.offset_delta.to_be_bytes());
        bytes.extend(state.last_timestamp().0.to_be_bytes());
        bytes.extend(state.coordinator_epoch().to_be_bytes());
        bytes.extend(
            state
                .transaction_start()
                .unwrap_or(Offset::UNKNOWN)
                .0
                .to_be_bytes(),
        );
    }
    let crc = crc32c(&bytes[COUNT_AT..]);
    bytes[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// What Kafka writes for a producer of which no batch is remembered.
const NO_BATCH: RememberedBatch = RememberedBatch {
    last_sequence: -1,
    last_offset: Offset::UNKNOWN,
    offset_delta: 0,
    timestamp: Timestamp::NONE,
};

/// Reads [`encode`]. Allocates no more than the producers that are really there.
pub fn decode(bytes: &[u8]) -> Result<ProducerStates, SnapshotError> {
    let Some((header, entries)) = bytes.split_at_checked(ENTRIES_AT) else {
        return Err(SnapshotError::Length);
    };
    let version = i16::from_be_bytes([header[0], header[1]]);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    if header[CRC_AT..COUNT_AT] != crc32c(&bytes[COUNT_AT..]).to_be_bytes() {
        return Err(SnapshotError::Crc);
    }
    let count = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
    if entries.len() % ENTRY_BYTES != 0 || entries.len() / ENTRY_BYTES != count {
        return Err(SnapshotError::Length);
    }
    let mut states = ProducerStates::default();
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let (id, state) = decode_entry(entry);
        states.insert(id, state);
    }
    Ok(states)
}

fn decode_entry(entry: &[u8]) -> (ProducerId, ProducerState) {
    let long = |at: usize| i64::from_be_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
    let int = |at: usize| i32::from_be_bytes(entry[at..at + 4].try_into().expect("four bytes"));
    let epoch = ProducerEpoch(i16::from_be_bytes([entry[8], entry[9]]));
    let timestamp = Timestamp(long(26));
    let newest = RememberedBatch {
        last_sequence: int(10),
        last_offset: Offset(long(14)),
        offset_delta: int(22),
        timestamp,
    };
    let transaction_start = Offset(long(38));
    let state = ProducerState::from_snapshot(
        epoch,
        (newest.last_offset.0 >= 0 && newest.offset_delta >= 0).then_some(newest),
        int(34),
        (transaction_start.0 >= 0).then_some(transaction_start),
        timestamp,
    );
    (ProducerId(long(0)), state)
}

#[cfg(test)]
mod tests {
    use super::*;
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
