//! The node's log directories: where each is, what the start found in it, and whether it is still in use.
//!
//! A directory is online until something of it could not be read, written or flushed; from then on, until the next start, nobody touches it:
//! its partitions are closed on every core, its checkpoints are not written, and its clean stop is not marked. Which of those that are
//! online take new partitions is the controller's to decide (`metadata::controller`).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::base::{PartitionIndex, TopicId};
use crate::log::dir::CheckpointedOffsets;
use crate::log::{Opened, Resume};

/// A log directory of the node, by its place in `log.dirs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirIndex(pub usize);

/// One log directory.
#[derive(Debug)]
pub struct DataDir {
    /// As clients are told: absolute.
    pub path: PathBuf,
    /// What stood in it; none of one that could not be used when the node started.
    pub found: Option<FoundDir>,
}

/// What the start found in a log directory, or put there.
#[derive(Debug)]
pub struct FoundDir {
    /// Its id in the cluster's metadata.
    pub id: TopicId,
    /// How the last run left it.
    pub opened: Opened,
    /// What its checkpoints say of the logs.
    pub offsets: CheckpointedOffsets,
}

impl FoundDir {
    /// What its checkpoints say of one log.
    pub fn resume(&self, topic: &str, partition: PartitionIndex) -> Resume {
        self.offsets.resume(topic, partition)
    }
}

/// The node's log directories, in the order of `log.dirs`; the same on every core.
#[derive(Debug)]
pub struct DataDirs(Vec<DataDir>);

impl DataDirs {
    /// Those of a node that starts.
    pub fn new(dirs: Vec<DataDir>) -> DataDirs {
        DataDirs(dirs)
    }

    /// All of them, with their places.
    pub fn all(&self) -> impl Iterator<Item = (DirIndex, &DataDir)> {
        let places = (0..).map(DirIndex);
        places.zip(&self.0)
    }

    /// Those that could be used when the node started.
    pub fn found(&self) -> impl Iterator<Item = (DirIndex, &Path, &FoundDir)> {
        self.all()
            .filter_map(|(index, dir)| Some((index, dir.path.as_path(), dir.found.as_ref()?)))
    }

    /// One of them.
    pub fn get(&self, index: DirIndex) -> &DataDir {
        &self.0[index.0]
    }

    /// The one that the metadata names so, if the start found it.
    pub fn by_id(&self, id: TopicId) -> Option<DirIndex> {
        let named = self.found().find(|(_, _, found)| found.id == id);
        named.map(|(index, ..)| index)
    }

    /// The one at `path`.
    pub fn by_path(&self, path: &Path) -> Option<DirIndex> {
        let there = self.all().find(|(_, dir)| dir.path == path);
        there.map(|(index, _)| index)
    }

    /// Whether any was left by a crash.
    pub fn is_any_after_crash(&self) -> bool {
        self.found()
            .any(|(_, _, found)| found.opened == Opened::AfterCrash)
    }
}

/// Which directories this core still uses. Core 0 tells the others.
#[derive(Debug)]
pub(super) struct OnlineDirs(RefCell<Vec<bool>>);

impl OnlineDirs {
    /// Those that the start found.
    pub fn new(dirs: &DataDirs) -> OnlineDirs {
        let online = dirs.all().map(|(_, dir)| dir.found.is_some());
        OnlineDirs(RefCell::new(online.collect()))
    }

    pub fn contains(&self, dir: DirIndex) -> bool {
        self.0.borrow()[dir.0]
    }

    /// Takes one out; false when it was out before.
    pub fn remove(&self, dir: DirIndex) -> bool {
        std::mem::replace(&mut self.0.borrow_mut()[dir.0], false)
    }

    /// Those that are not among them.
    pub fn offline(&self) -> BTreeSet<DirIndex> {
        let online = self.0.borrow();
        let places = (0..online.len()).map(DirIndex);
        places.filter(|dir| !online[dir.0]).collect()
    }

    /// How many are left.
    pub fn count(&self) -> usize {
        self.0.borrow().iter().filter(|is_online| **is_online).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: u8, opened: Opened) -> Option<FoundDir> {
        Some(FoundDir {
            id: TopicId([id; 16]),
            opened,
            offsets: CheckpointedOffsets::default(),
        })
    }

    fn dirs() -> DataDirs {
        let dir = |path: &str, found| DataDir {
            path: path.into(),
            found,
        };
        DataDirs::new(vec![
            dir("/a", found(1, Opened::AfterCleanStop)),
            dir("/b", None),
            dir("/c", found(3, Opened::AfterCrash)),
        ])
    }

    #[test]
    fn a_directory_is_known_by_its_id_while_it_can_be_used_and_by_its_path_always() {
        let dirs = dirs();
        assert_eq!(dirs.by_id(TopicId([3; 16])), Some(DirIndex(2)));
        assert_eq!(dirs.by_id(TopicId([2; 16])), None);
        assert_eq!(dirs.by_path(Path::new("/b")), Some(DirIndex(1)));
        assert_eq!(dirs.by_path(Path::new("/b/t-0")), None);
        assert!(dirs.is_any_after_crash());
    }

    #[test]
    fn a_directory_goes_offline_once() {
        let online = OnlineDirs::new(&dirs());
        assert_eq!(online.count(), 2);
        assert!(!online.remove(DirIndex(1)), "the start found it so");
        assert!(online.remove(DirIndex(0)) && !online.remove(DirIndex(0)));
        assert!(!online.contains(DirIndex(0)) && online.contains(DirIndex(2)));
        assert_eq!(online.count(), 1);
    }
}
