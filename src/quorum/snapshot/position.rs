//! `<offset>-<epoch>.raft`: the Raft index of the last entry that a snapshot contains. Magic, version, index, CRC-32C of them.
//!
//! The term is the epoch in the name. Kafka's snapshots come without such a file; a quorum of one then numbers anew, from
//! the snapshot's end offset.

use super::files::SnapshotId;
use crate::base::crc32c;
use crate::io::OpenOptions;
use crate::io::fs::{self, File};
use crate::log::checkpoint::Malformed;
use crate::log::{LogError, at};
use crate::quorum::entries::Position;
use std::io;
use std::path::Path;

const MAGIC: [u8; 4] = *b"RLRI";
const VERSION: [u8; 2] = [0, 1];
const CRC_AT: usize = 14;
/// The file's size.
pub const RAFT_BYTES: usize = 18;

/// Where `id` stands.
pub fn read_now(dir: &Path, id: SnapshotId) -> Result<Position, LogError> {
    let path = id.raft_path(dir);
    let index = match fs::read_whole_now(&path, RAFT_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => id.offset.0.unsigned_abs(),
        read => decode(&at(&path, read)?).ok_or(LogError::Malformed {
            path,
            problem: Malformed {
                line: 1,
                expected: "a snapshot's place as it was written (the only voter may do without the file)",
            },
        })?,
    };
    Ok(Position {
        index,
        term: id.epoch,
        offset: id.offset,
    })
}

/// Writes it and flushes it, before the snapshot has its name: what a crash leaves of it alone is a rest. Its own name is as durable
/// as the directory's next flush makes it.
pub async fn write(dir: &Path, id: SnapshotId, position: Position) -> io::Result<()> {
    let file = File::open_now(id.raft_path(dir), OpenOptions::read_write_truncate())?;
    file.write_at_now(0, &[&encode(position.index)])?;
    file.sync_data().await
}

fn encode(index: u64) -> [u8; RAFT_BYTES] {
    let mut bytes = [0; RAFT_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&VERSION);
    bytes[6..CRC_AT].copy_from_slice(&index.to_be_bytes());
    let crc = crc32c(&bytes[..CRC_AT]);
    bytes[CRC_AT..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The Raft index in the bytes of a `.raft` file; `None` when they are not as they were written.
pub fn decode(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; RAFT_BYTES] = bytes.try_into().ok()?;
    let index = u64::from_be_bytes(bytes[6..CRC_AT].try_into().ok()?);
    let has_room_above = index <= i64::MAX.unsigned_abs();
    (encode(index) == *bytes && has_room_above).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, Offset};

    #[test]
    fn a_place_reads_back_and_any_other_byte_is_noticed() {
        let bytes = encode(77);
        assert_eq!(decode(&bytes), Some(77));
        assert_eq!(decode(&encode(u64::MAX)), None, "no entry can follow it");
        for at in 0..RAFT_BYTES {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert_eq!(decode(&changed), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn without_the_file_the_index_is_the_offset() {
        let dir = tempfile::tempdir().unwrap();
        let id = SnapshotId {
            offset: Offset(1000),
            epoch: LeaderEpoch(3),
        };
        let missing = read_now(dir.path(), id).unwrap();
        assert_eq!((missing.index, missing.term), (1000, LeaderEpoch(3)));
        let position = Position { index: 12, ..missing };
        std::fs::write(id.raft_path(dir.path()), encode(position.index)).unwrap();
        assert_eq!(read_now(dir.path(), id).unwrap(), position);
        std::fs::write(id.raft_path(dir.path()), "torn").unwrap();
        assert!(matches!(
            read_now(dir.path(), id),
            Err(LogError::Malformed { .. })
        ));
    }
}
