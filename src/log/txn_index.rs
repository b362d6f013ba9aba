//! The `.txnindex` file: the transactions that ended as aborted in a segment, in Kafka's format (`TransactionIndex`,
//! `AbortedTxn`, version 0). Entries are appended as transactions end, so their last offsets rise.

use std::fmt;

use crate::base::{Offset, ProducerId};

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 34;

const VERSION: i16 = 0;

/// A transaction whose records don't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record's offset.
    pub first_offset: Offset,
    /// The offset of its ABORT marker.
    pub last_offset: Offset,
    /// Where the first transaction began that was open behind the marker; the offset behind the marker if none was.
    pub last_stable_offset: Offset,
}

/// Why bytes are no entry: their version, which is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVersion(pub i16);

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown version {}", self.0)
    }
}

impl std::error::Error for UnknownVersion {}

impl AbortedTransaction {
    /// Reads one.
    pub fn decode(entry: &[u8; ENTRY_BYTES]) -> Result<AbortedTransaction, UnknownVersion> {
        let long = |at: usize| i64::from_be_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
        match i16::from_be_bytes([entry[0], entry[1]]) {
            VERSION => Ok(AbortedTransaction {
                producer_id: ProducerId(long(2)),
                first_offset: Offset(long(10)),
                last_offset: Offset(long(18)),
                last_stable_offset: Offset(long(26)),
            }),
            version => Err(UnknownVersion(version)),
        }
    }

    /// Whether there can be such a transaction.
    pub fn is_sane(&self) -> bool {
        self.first_offset.0 >= 0 && self.first_offset < self.last_offset
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut entry = [0; ENTRY_BYTES];
        entry[..2].copy_from_slice(&VERSION.to_be_bytes());
        let longs = [
            self.producer_id.0,
            self.first_offset.0,
            self.last_offset.0,
            self.last_stable_offset.0,
        ];
        for (bytes, long) in entry[2..].chunks_exact_mut(8).zip(longs) {
            bytes.copy_from_slice(&long.to_be_bytes());
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KAFKAS: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-log/transacted-0/00000000000000000004.txnindex");

    #[test]
    fn kafkas_entries_read_and_are_written_again() {
        let (entries, rest) = KAFKAS.as_chunks::<ENTRY_BYTES>();
        assert_eq!((entries.len(), rest.len()), (4, 0));
        let first = AbortedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(1),
            last_offset: Offset(5),
            last_stable_offset: Offset(6),
        };
        assert_eq!(AbortedTransaction::decode(&entries[0]), Ok(first));
        for entry in entries {
            assert_eq!(
                AbortedTransaction::decode(entry).map(|it| it.encode()),
                Ok(*entry)
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_read_back_or_have_another_version(bytes: [u8; 32], version in -1i16..2) {
            let entry: [u8; ENTRY_BYTES] = [&version.to_be_bytes()[..], &bytes].concat().try_into().unwrap();
            let read = AbortedTransaction::decode(&entry);
            prop_assert_eq!(read.map(|it| it.encode()), if version == 0 { Ok(entry) } else { Err(UnknownVersion(version)) });
        }
    }
}
