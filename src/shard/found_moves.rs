//! What a start finds of replicas that were on their way to another log directory when the last run ended (on core 0, before any partition is
//! open): see `log::moved` for what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::{TopicId, TopicPartition};
use crate::io::{fs, random_uuid, spawn};
use crate::log::dir::{self, FoundPartition};
use crate::log::{self, LogError, moved, names};

use super::Shard;
use super::data_dirs::{DirIndex, FoundDir};

/// A partition's directory, and the log directory that it is in.
type Found<'a> = (DirIndex, &'a FoundDir, FoundPartition);

impl Shard {
    /// Ends the moves of which only names were missing, once the strays are gone and before the partitions are looked for.
    pub(super) fn finish_moves(self: &Rc<Self>) -> Result<(), LogError> {
        if self.node.dirs.found().count() < 2 {
            return Ok(());
        }
        let mut places: BTreeMap<TopicPartition, Found<'_>> = BTreeMap::new();
        for found in self.partition_dirs()? {
            let Some(partition) = self.partition_named(&found.2) else {
                continue;
            };
            match places.remove(&partition) {
                Some(other) => places.insert(partition, self.end_double(other, found)?),
                None => places.insert(partition, found),
            };
        }
        self.place_copies(&places.into_keys().collect())
    }

    /// A partition that is in two directories has moved from one to the other, if one says so: that one stays. Else both do.
    fn end_double<'a>(self: &Rc<Self>, one: Found<'a>, other: Found<'a>) -> Result<Found<'a>, LogError> {
        let has_moved = |(dir, _, to): &Found<'_>, (_, from, _): &Found<'_>| {
            let source = self.unless_disk_fails(*dir, || moved::marked_source_now(&to.path))?;
            Ok::<_, LogError>(source.flatten() == Some(from.id))
        };
        let (stays, goes) = match (has_moved(&one, &other)?, has_moved(&other, &one)?) {
            (true, false) => (one, other),
            (false, true) => (other, one),
            _ => return Ok(one),
        };
        let (dir, _, from) = &goes;
        tracing::warn!(
            "{} had moved to {}, and goes",
            from.path.display(),
            stays.2.path.display()
        );
        let delete = || log::at(&from.path, log::delete_now(&from.path, random_uuid()));
        let removal = self.unless_disk_fails(*dir, delete)?;
        self.unless_disk_fails(*dir, || self.sync(*dir))?;
        spawn(removal.unwrap_or_default().run());
        Ok(stays)
    }

    /// Gives the copies their names whose partitions are not `found`, for they had been deleted where they were.
    fn place_copies(self: &Rc<Self>, found: &BTreeSet<TopicPartition>) -> Result<(), LogError> {
        for (index, path, dir) in self.node.dirs.found() {
            let copies = self.unless_disk_fails(index, || dir::unfinished_moves_now(path))?;
            for copy in copies.into_iter().flatten() {
                let partition = self.partition_named(&copy);
                let missing = partition.filter(|partition| !found.contains(partition));
                if let Some(partition) = missing {
                    self.unless_disk_fails(index, || self.place_if_whole(&copy, partition.topic, dir))?;
                }
            }
        }
        Ok(())
    }

    fn place_if_whole(&self, copy: &FoundPartition, topic: TopicId, dir: &FoundDir) -> Result<(), LogError> {
        let source = moved::marked_source_now(&copy.path)?;
        // What is in a directory that is missing may have its name yet.
        let is_source_here = source.is_some_and(|source| self.online_ids().contains(&source));
        if !is_source_here || log::read_topic_id_now(&copy.path, dir.opened)? != Some(topic) {
            return Ok(());
        }
        let name = names::partition_dir(&copy.topic, copy.partition);
        let place = log::at(&copy.path, moved::place_copy_now(&copy.path, &name))?;
        tracing::warn!("{} had moved here, and has its name now", place.display());
        Ok(())
    }

    fn sync(&self, dir: DirIndex) -> Result<(), LogError> {
        let path = &self.node.dirs.get(dir).path;
        log::at(path, fs::sync_dir_now(path))
    }

    /// Removes the copies that were being made to move partitions between directories: their partitions are `found` elsewhere, whole. Other
    /// copies stay: what they were made of may be on a disk that is missing.
    pub(super) fn remove_unfinished_moves(
        self: &Rc<Self>,
        found: &BTreeMap<TopicPartition, TopicId>,
    ) -> Result<(), LogError> {
        for (index, path, _) in self.node.dirs.found() {
            let copies = self.unless_disk_fails(index, || dir::unfinished_moves_now(path))?;
            for copy in copies.into_iter().flatten() {
                let partition = self.partition_named(&copy);
                if partition.is_some_and(|partition| found.contains_key(&partition)) {
                    tracing::warn!("{} is an unfinished copy, and goes", copy.path.display());
                    let delete = || log::at(&copy.path, log::delete_now(&copy.path, random_uuid()));
                    let removal = self.unless_disk_fails(index, delete)?;
                    spawn(removal.unwrap_or_default().run());
                }
            }
        }
        Ok(())
    }
}
