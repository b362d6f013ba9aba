//! Which snapshots there are: their names, as Kafka spells them (`Snapshots`).

use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::io::fs;
use crate::log::{LogError, Removal, at};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

const CHECKPOINT: &str = "checkpoint";
/// A snapshot that is being written, or was when the process died.
const PART: &str = "checkpoint.part";
/// A snapshot that is being removed, or was when the process died.
const DELETED: &str = "checkpoint.deleted";
/// Where a snapshot stands in Raft's numbers.
const RAFT: &str = "raft";

/// An offset above this is no log's: a name that has one is some other file's.
const OFFSET_MAX: i64 = i64::MAX / 2;

/// Names a snapshot: everything before `offset`, the last batch of which is of `epoch`. The newer is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The offset behind what it contains.
    pub offset: Offset,
    /// The epoch of the last batch that it contains.
    pub epoch: LeaderEpoch,
}

/// A snapshot on disk, as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub id: SnapshotId,
    /// Its size.
    pub bytes: u64,
    /// When the last batch that it contains was written.
    pub last_contained: Timestamp,
}

impl fmt::Display for SnapshotId {
    /// 20 and 10 digits, so that names sort as snapshots do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}", self.offset.0, self.epoch.0)
    }
}

impl SnapshotId {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<SnapshotId> {
        let (offset, epoch) = text.split_once('-')?;
        let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(offset, 20) || !digits(epoch, 10) {
            return None;
        }
        Some(SnapshotId {
            offset: Offset(offset.parse().ok().filter(|&offset| offset <= OFFSET_MAX)?),
            epoch: LeaderEpoch(epoch.parse().ok()?),
        })
    }

    /// The finished snapshot in the metadata log's directory.
    pub fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{self}.{CHECKPOINT}"))
    }

    /// The snapshot while it is written.
    pub fn part_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{self}.{PART}"))
    }

    /// Its place in Raft's numbers.
    pub fn raft_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{self}.{RAFT}"))
    }
}

/// The snapshots in the metadata log's directory, oldest first.
pub fn found_now(dir: &Path) -> Result<Vec<SnapshotId>, LogError> {
    let mut found: Vec<SnapshotId> = named_now(dir)?
        .into_iter()
        .filter(|(_, kind)| kind == CHECKPOINT)
        .map(|(id, _)| id)
        .collect();
    found.sort();
    Ok(found)
}

/// Removes what a crash left of snapshots that were being written or removed.
pub fn tidy_now(dir: &Path) -> Result<(), LogError> {
    let kept = found_now(dir)?;
    for (id, kind) in named_now(dir)? {
        let path = match kind.as_str() {
            PART | DELETED => dir.join(format!("{id}.{kind}")),
            RAFT if !kept.contains(&id) => id.raft_path(dir),
            _ => continue,
        };
        at(&path, fs::remove_file_now(&path))?;
    }
    Ok(())
}

/// Takes a snapshot away, its place last: a `.raft` without a snapshot is known to be a rest. Its file goes with the [`Removal`].
pub fn remove_now(dir: &Path, id: SnapshotId, removal: &mut Removal) -> io::Result<()> {
    let deleted = dir.join(format!("{id}.{DELETED}"));
    fs::rename_now(id.path(dir), &deleted)?;
    removal.take_file(deleted);
    removal.take_file(id.raft_path(dir));
    Ok(())
}

fn named_now(dir: &Path) -> Result<Vec<(SnapshotId, String)>, LogError> {
    let entries = at(dir, fs::read_dir_now(dir))?;
    let named = entries.into_iter().filter_map(|entry| {
        let (id, kind) = entry.name.to_str()?.split_once('.')?;
        Some((SnapshotId::parse(id)?, kind.to_owned()))
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(offset: i64, epoch: i32) -> SnapshotId {
        SnapshotId {
            offset: Offset(offset),
            epoch: LeaderEpoch(epoch),
        }
    }

    #[test]
    fn names_are_kafkas_and_read_back() {
        let name = "00000000000000000049-0000000001";
        assert_eq!(id(49, 1).to_string(), name);
        assert_eq!(SnapshotId::parse(name), Some(id(49, 1)));
        for bad in [
            "49-1",
            "00000000000000000049",
            "0000000000000000004x-0000000001",
            "09223372036854775807-0000000001",
            "",
        ] {
            assert_eq!(SnapshotId::parse(bad), None, "{bad}");
        }
        assert!(id(5, 1) < id(49, 1) && id(49, 1) < id(49, 2));
    }

    #[test]
    fn what_a_crash_left_goes_and_whole_snapshots_stay() {
        let dir = tempfile::tempdir().unwrap();
        let whole = [id(0, 0), id(7, 2)];
        let rest = [id(9, 2).part_path(dir.path()), id(9, 2).raft_path(dir.path())];
        let kept = [
            whole[0].path(dir.path()),
            whole[1].path(dir.path()),
            whole[1].raft_path(dir.path()),
        ];
        for path in rest.iter().chain(&kept) {
            std::fs::write(path, "x").unwrap();
        }
        tidy_now(dir.path()).unwrap();
        assert!(rest.iter().all(|path| !path.exists()));
        assert!(kept.iter().all(|path| path.exists()));
        assert_eq!(found_now(dir.path()).unwrap(), whole);
        let mut removal = Removal::default();
        for id in whole {
            remove_now(dir.path(), id, &mut removal).unwrap();
        }
        assert_eq!(found_now(dir.path()).unwrap(), []);
        // A crash before anything of it is removed: the next start does it.
        tidy_now(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
