//! The offset checkpoints of the data directories, which core 0 writes for all cores: up to where each log is on stable storage, where it
//! starts, and up to where it is committed and compacted (Kafka's `LogManager.checkpointLogRecoveryOffsets` and the like).
//!
//! Kafka's files name topics, not their ids. So none may name a topic that is gone: another one of that name would be opened by the
//! offsets of the old. They are written anew at a start, before anybody can create a topic, and with every deletion, before the next change.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::{Offset, TopicPartition};
use crate::io::local::Notify;
use crate::io::{self, may_pass, write_whole};
use crate::log::checkpoint::{self, Offsets};
use crate::log::dir::{self, CheckpointedOffsets};
use crate::log::{Log, Resume};
use crate::partition::Partition;

use super::data_dirs::DirIndex;
use super::message::{Reply, Request};
use super::{Shard, TimeSlice};

/// What is written of one partition.
#[derive(Clone, Copy, Debug)]
pub struct PartitionOffsets {
    partition: TopicPartition,
    /// Where it lies.
    dir: DirIndex,
    recovery_point: Offset,
    /// Where its files don't tell.
    start: Option<Offset>,
    high_watermark: Offset,
    /// If it ever was compacted.
    cleaned: Option<Offset>,
}

/// What is written of one core's partitions.
#[derive(Debug, Default)]
pub struct CoreOffsets {
    /// Of those that are open, and as they were left of those that could not be opened.
    pub offsets: Vec<PartitionOffsets>,
    /// The directories that the core has given up: their partitions are not all among them.
    pub offline: BTreeSet<DirIndex>,
}

impl CoreOffsets {
    /// Adds another core's.
    pub fn add(&mut self, other: CoreOffsets) {
        self.offsets.extend(other.offsets);
        self.offline.extend(other.offline);
    }
}

/// What core 0 has written.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// The texts of the files, by their directories and names.
    written: RefCell<BTreeMap<(DirIndex, &'static str), String>>,
    is_writing: Cell<bool>,
    written_once: Notify,
    /// How often it was asked for, and which of those the files cover: who waits meanwhile is served by one writing.
    asked: Cell<u64>,
    covered: Cell<u64>,
    /// The directories in which the last writing could not write everything.
    unwritten: RefCell<BTreeSet<DirIndex>>,
}

impl PartitionOffsets {
    fn of(partition: TopicPartition, dir: DirIndex, replica: &Partition) -> PartitionOffsets {
        PartitionOffsets {
            partition,
            dir,
            recovery_point: replica.log().recovery_point(),
            start: replica.log().start_to_checkpoint(),
            high_watermark: replica.committed(),
            cleaned: replica.log().cleaned_to(),
        }
    }

    /// As the last life has left them, of one that could not be opened: without them the next start would take what is damaged for a
    /// torn end, and cut it off.
    fn of_unopened(partition: TopicPartition, dir: DirIndex, resume: Resume) -> PartitionOffsets {
        PartitionOffsets {
            partition,
            dir,
            recovery_point: resume.recovery_point,
            start: Some(resume.start_offset).filter(|start| *start > Offset(0)),
            high_watermark: resume.recovery_point,
            cleaned: resume.cleaned,
        }
    }

    /// As they are of a copy once that takes the log's place.
    fn of_copy(
        partition: TopicPartition,
        dir: DirIndex,
        replica: &Partition,
        copy: &Log,
    ) -> PartitionOffsets {
        PartitionOffsets {
            recovery_point: copy.recovery_point(),
            // Where its own files begin may be before.
            start: Some(replica.log().start_offset()).filter(|start| *start > Offset(0)),
            ..PartitionOffsets::of(partition, dir, replica)
        }
    }

    /// As they are once it is closed.
    pub(super) fn of_closing(
        partition: TopicPartition,
        dir: DirIndex,
        replica: &Partition,
    ) -> PartitionOffsets {
        PartitionOffsets {
            recovery_point: replica.log().end_offset(),
            high_watermark: replica.log().end_offset(),
            ..PartitionOffsets::of(partition, dir, replica)
        }
    }
}

impl Shard {
    /// Writes the checkpoints, and goes on with that every `log.flush.offset.checkpoint.interval.ms`; the task ends with the core.
    pub async fn start_checkpoints(self: &Rc<Self>) {
        self.write_checkpoints().await;
        let shard = self.clone();
        io::spawn(async move {
            loop {
                io::sleep(shard.config().checkpoint_interval()).await;
                shard.write_checkpoints().await;
            }
        });
    }

    /// The offsets of this core's partitions.
    pub(super) async fn offsets_here(&self) -> CoreOffsets {
        let mut offsets = Vec::new();
        let partitions = self.owned.borrow().all();
        let add = |partition| {
            let owned = self.owned.borrow();
            let replica = owned.get(partition);
            let placed = replica.and_then(|replica| Some((self.dir_here(replica)?, replica)));
            offsets.extend(placed.map(|(dir, replica)| PartitionOffsets::of(partition, dir, replica)));
            // In the same step, so that no file misses what has moved meanwhile.
            let copy = replica.and_then(|replica| {
                let of_copy = |dir, copy: &mut Log| PartitionOffsets::of_copy(partition, dir, replica, copy);
                self.moving.with_copy(partition, of_copy)
            });
            offsets.extend(copy);
        };
        TimeSlice::default().each(partitions, add).await;
        offsets.extend(self.offsets_of_unopened());
        CoreOffsets {
            offsets,
            offline: self.online_dirs.offline(),
        }
    }

    /// The offsets of what this core could not open.
    pub(super) fn offsets_of_unopened(&self) -> Vec<PartitionOffsets> {
        let owned = self.owned.borrow();
        let placed = owned
            .unopened()
            .filter_map(|(partition, resume)| Some((partition, self.dir_of(partition)?, resume)));
        placed
            .map(|(partition, dir, resume)| PartitionOffsets::of_unopened(partition, dir, resume))
            .collect()
    }

    /// Writes the files that would say something else than they do; the directories in which not all could be. What can't be written is told, and tried again the
    /// next time: without it a start has more to check.
    pub(super) async fn write_checkpoints(self: &Rc<Self>) -> BTreeSet<DirIndex> {
        let checkpoints = &self.checkpoints;
        let number = checkpoints.asked.get() + 1;
        checkpoints.asked.set(number);
        while checkpoints.is_writing.replace(true) {
            checkpoints.written_once.notified().await;
        }
        if checkpoints.covered.get() < number {
            let covers = checkpoints.asked.get();
            let unwritten = self.write_all_checkpoints().await;
            checkpoints.unwritten.replace(unwritten);
            checkpoints.covered.set(covers);
        }
        checkpoints.is_writing.set(false);
        checkpoints.written_once.notify();
        checkpoints.unwritten.borrow().clone()
    }

    async fn write_all_checkpoints(self: &Rc<Self>) -> BTreeSet<DirIndex> {
        let replies = self.ask_peers(|| Request::Offsets).await;
        let mut all = self.offsets_here().await;
        for reply in replies {
            if let Reply::Offsets(theirs) = reply {
                all.add(theirs);
            }
        }
        let mut unwritten = BTreeSet::new();
        for (index, offsets) in self.named_offsets(all).await.into_iter().enumerate() {
            let files = offsets.iter().flat_map(|offsets| {
                [
                    (dir::RECOVERY_POINTS, &offsets.recovery_points),
                    (dir::START_OFFSETS, &offsets.start_offsets),
                    (dir::HIGH_WATERMARKS, &offsets.high_watermarks),
                    (dir::CLEANED, &offsets.cleaned),
                ]
            });
            for (name, offsets) in files {
                if !self.write_checkpoint(DirIndex(index), name, offsets).await {
                    unwritten.insert(DirIndex(index));
                }
            }
        }
        unwritten
    }

    /// Whether the file says this then; of a directory that is offline it doesn't matter.
    async fn write_checkpoint(self: &Rc<Self>, dir: DirIndex, name: &'static str, offsets: &Offsets) -> bool {
        let text = checkpoint::encode_offsets(offsets);
        let is_written = self.checkpoints.written.borrow().get(&(dir, name)) == Some(&text);
        if is_written || !self.online_dirs.contains(dir) {
            return true;
        }
        let path = self.node.dirs.get(dir).path.join(name);
        let written = write_whole(&path, text.clone().into()).await;
        let is_written = written.is_ok();
        match written {
            Ok(()) => _ = self.checkpoints.written.borrow_mut().insert((dir, name), text),
            Err(error) => {
                tracing::error!("{}: {error}", path.display());
                if !may_pass(&error) {
                    self.fail_dir(dir, format!("{}: {error}", path.display()));
                }
            }
        }
        is_written
    }

    /// The offsets by their directories, as its files have them, by the names of the topics; none of a directory that any core has given up.
    pub(super) async fn named_offsets(&self, all: CoreOffsets) -> Vec<Option<CheckpointedOffsets>> {
        let count = self.node.dirs.all().count();
        let mut by_dir = vec![CheckpointedOffsets::default(); count];
        let add = |of: PartitionOffsets| {
            let image = self.image.borrow();
            let Some(topic) = image.topic(of.partition.topic) else {
                return;
            };
            let named = &mut by_dir[of.dir.0];
            let key = || (topic.name.clone(), of.partition.partition);
            named.recovery_points.insert(key(), of.recovery_point);
            named.high_watermarks.insert(key(), of.high_watermark);
            if let Some(start) = of.start {
                named.start_offsets.insert(key(), start);
            }
            if let Some(cleaned) = of.cleaned {
                named.cleaned.insert(key(), cleaned);
            }
        };
        TimeSlice::default().each(all.offsets, add).await;
        let is_given_up = |dir| all.offline.contains(&dir);
        let places = (0..).map(DirIndex).zip(by_dir);
        places
            .map(|(dir, named)| (!is_given_up(dir)).then_some(named))
            .collect()
    }
}
