//! What a start finds in the log directories: which partitions are where, and what is none of the cluster's (on core 0, before any partition
//! is open).
//!
//! A directory of which something can't be read because its disk fails is passed over, as one that fails later.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use crate::base::{TopicId, TopicPartition};
use crate::io::{has_disk_failed, random_uuid};
use crate::log::dir::{self, FoundPartition};
use crate::log::{self, LogError, Opened, Removal};
use crate::metadata::names::METADATA_TOPIC;
use crate::metadata::{Partition, Topic};

use super::Shard;
use super::data_dirs::{DirIndex, FoundDir};

impl Shard {
    /// Beside a new metadata log no partition can stand: it is the log that is missing, and nothing is to be touched.
    pub(super) fn refuse_partitions_without_their_log(self: &Rc<Self>) -> Result<(), LogError> {
        match self.partition_dirs()?.into_iter().next() {
            None => Ok(()),
            Some((.., found)) => Err(LogError::Io {
                path: found.path,
                error: io::Error::other(
                    "a partition is here, and the metadata log that knows its topic is not: put __cluster_metadata-0 back",
                ),
            }),
        }
    }

    /// What the last run has deleted and not removed. To be asked before anything is deleted now.
    pub fn find_deleted(self: &Rc<Self>) -> Removal {
        let mut deleted = Removal::default();
        for (_, path, _) in self.node.dirs.found() {
            match dir::deleted_partitions_now(path) {
                Ok(removal) => deleted.add(removal),
                Err(error) => tracing::warn!("what was deleted is not removed: {error}"),
            }
        }
        deleted
    }

    /// What looks like a partition's directory in the log directories that are online.
    pub(super) fn partition_dirs(
        self: &Rc<Self>,
    ) -> Result<Vec<(DirIndex, &FoundDir, FoundPartition)>, LogError> {
        let mut all = Vec::new();
        for (index, path, dir) in self.node.dirs.found() {
            if let Some(found) = self.unless_disk_fails(index, || dir::partitions_now(path))? {
                let of_topics = found.into_iter().filter(|found| found.topic != METADATA_TOPIC);
                all.extend(of_topics.map(|found| (index, dir, found)));
            }
        }
        Ok(all)
    }

    /// What `work` in a log directory comes to; nothing when that is offline, or goes offline by it.
    pub(super) fn unless_disk_fails<T>(
        self: &Rc<Self>,
        dir: DirIndex,
        work: impl FnOnce() -> Result<T, LogError>,
    ) -> Result<Option<T>, LogError> {
        if !self.online_dirs.contains(dir) {
            return Ok(None);
        }
        match work() {
            Ok(done) => Ok(Some(done)),
            Err(LogError::Io { path, error }) if has_disk_failed(&error) => {
                self.fail_dir(dir, format!("{}: {error}", path.display()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets aside what stands in the log directories and is no partition of the image: the topic was deleted, and the process
    /// died before its files were.
    pub(super) fn set_strays_aside(self: &Rc<Self>) -> Result<(), LogError> {
        for (index, dir, found) in self.partition_dirs()? {
            self.unless_disk_fails(index, || self.set_aside_if_stray(&found, index, dir.opened))?;
        }
        Ok(())
    }

    fn set_aside_if_stray(
        &self,
        found: &FoundPartition,
        dir: DirIndex,
        opened: Opened,
    ) -> Result<(), LogError> {
        let reason = match self.is_stray(found, dir, opened) {
            // Opening it says so again, and takes that partition alone out of service.
            Err(error) if error.is_damage() => return Ok(()),
            reason => reason?,
        };
        let Some(reason) = reason else {
            return Ok(());
        };
        let aside = log::at(&found.path, log::set_aside_now(&found.path, random_uuid()))?;
        tracing::warn!("{} {reason}: it is now {}", found.path.display(), aside.display());
        Ok(())
    }

    /// Why the found directory is no partition of the image; by the topic's id, or by its name where no id stands.
    /// After a crash records without an id may be those of a topic that had this name before.
    fn is_stray(
        &self,
        found: &FoundPartition,
        dir: DirIndex,
        opened: Opened,
    ) -> Result<Option<&'static str>, LogError> {
        let image = self.image.borrow();
        let named = image.topic_by_name(&found.topic);
        let is_as_left = |topic: &Topic| {
            let partition = TopicPartition {
                topic: topic.id,
                partition: found.partition,
            };
            let left = self.left(dir, partition);
            topic.partitions.contains_key(&found.partition)
                && left.is_some_and(|left| left.is_as_it_was_now(&found.path))
        };
        if named.is_some_and(is_as_left) {
            return Ok(None);
        }
        let topic = match log::read_topic_id_now(&found.path, opened)? {
            Some(written) => named.filter(|topic| topic.id == written),
            None if opened == Opened::AfterCrash && log::has_batches_now(&found.path)? => {
                return Ok(Some("has records, and a crash has left no topic id beside them"));
            }
            None => named,
        };
        let is_known = topic.is_some_and(|topic| topic.partitions.contains_key(&found.partition));
        Ok((!is_known).then_some("belongs to no topic of this cluster"))
    }

    /// In which log directory the files of each partition are, once the [strays](Self::set_strays_aside) are gone.
    ///
    /// # Errors
    /// A partition that is in two: which one counts is for the operator to say, as in Kafka.
    pub(super) fn find_partitions(self: &Rc<Self>) -> Result<BTreeMap<TopicPartition, TopicId>, LogError> {
        let mut places: BTreeMap<TopicPartition, (TopicId, PathBuf)> = BTreeMap::new();
        for (_, dir, found) in self.partition_dirs()? {
            let Some(partition) = self.partition_named(&found) else {
                continue;
            };
            if let Some((_, other)) = places.get(&partition) {
                return Err(LogError::Io {
                    error: io::Error::other(format!(
                        "the partition is in {} too: delete the one that doesn't count, most likely in the directory that failed last",
                        other.display()
                    )),
                    path: found.path,
                });
            }
            places.insert(partition, (dir.id, found.path));
        }
        let ids = places.into_iter().map(|(partition, (id, _))| (partition, id));
        Ok(ids.collect())
    }

    /// The partition whose name a directory has, if the image has its topic.
    pub(super) fn partition_named(&self, found: &FoundPartition) -> Option<TopicPartition> {
        let image = self.image.borrow();
        let topic = image.topic_by_name(&found.topic)?;
        Some(TopicPartition {
            topic: topic.id,
            partition: found.partition,
        })
    }

    /// Tells how many partitions are out of service since their directory is missing.
    pub(super) fn warn_of_offline(&self) {
        let image = self.image.borrow();
        let is_offline = |partition: &&Partition| {
            partition.replicas.contains(&self.node.id())
                && !image.is_replica_online(partition, self.node.id())
        };
        let partitions = image.topics().flat_map(|topic| topic.partitions.values());
        let missing: Vec<String> = partitions
            .filter(is_offline)
            .filter_map(|partition| partition.directory_of(self.node.id()))
            .map(|directory| directory.to_string())
            .collect();
        let directories: BTreeSet<&String> = missing.iter().collect();
        if !missing.is_empty() {
            tracing::error!(
                "{} partitions answer KAFKA_STORAGE_ERROR: they lie in log directories that are not there, of directory.id {}",
                missing.len(),
                directories.into_iter().cloned().collect::<Vec<_>>().join(", ")
            );
        }
    }
}
