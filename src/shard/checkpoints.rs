//! The offset checkpoints of the data directory, which core 0 writes for all cores: up to where each log is on stable storage, where it
//! starts, and up to where it is committed and compacted (Kafka's `LogManager.checkpointLogRecoveryOffsets` and the like).
//!
//! Kafka's files name topics, not their ids. So none may name a topic that is gone: another one of that name would be opened by the
//! offsets of the old. They are written anew at a start, before anybody can create a topic, and with every deletion, before the next change.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::{Offset, TopicPartition};
use crate::io::local::Notify;
use crate::io::{self, Planted, is_planted, write_whole};
use crate::log::checkpoint::{self, Offsets};
use crate::log::dir::{self, CheckpointedOffsets};
use crate::partition::Partition;

use super::message::{Reply, Request};
use super::{Shard, TimeSlice};

/// What is written of one partition.
#[derive(Clone, Copy, Debug)]
pub struct PartitionOffsets {
    partition: TopicPartition,
    recovery_point: Offset,
    /// Where its files don't tell.
    start: Option<Offset>,
    high_watermark: Offset,
    /// If it ever was compacted.
    cleaned: Option<Offset>,
}

/// What core 0 has written.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// The texts of the files, by their names.
    written: RefCell<BTreeMap<&'static str, String>>,
    is_writing: Cell<bool>,
    written_once: Notify,
    /// How often it was asked for, and which of those the files cover: who waits meanwhile is served by one writing.
    asked: Cell<u64>,
    covered: Cell<u64>,
}

impl PartitionOffsets {
    fn of(partition: TopicPartition, replica: &Partition) -> PartitionOffsets {
        PartitionOffsets {
            partition,
            recovery_point: match is_planted(Planted::RecoveryPointAhead) {
                true => replica.log().end_offset(),
                false => replica.log().recovery_point(),
            },
            start: replica.log().start_to_checkpoint(),
            high_watermark: replica.committed(),
            cleaned: replica.log().cleaned_to(),
        }
    }

    /// As they are once it is closed.
    pub(super) fn of_closing(partition: TopicPartition, replica: &Partition) -> PartitionOffsets {
        PartitionOffsets {
            recovery_point: replica.log().end_offset(),
            high_watermark: replica.log().end_offset(),
            ..PartitionOffsets::of(partition, replica)
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
    pub(super) async fn offsets_here(&self) -> Vec<PartitionOffsets> {
        let mut offsets = Vec::new();
        let partitions = self.owned.borrow().all();
        let add = |partition| {
            let owned = self.owned.borrow();
            offsets.extend(
                owned
                    .get(partition)
                    .map(|replica| PartitionOffsets::of(partition, replica)),
            );
        };
        TimeSlice::default().each(partitions, add).await;
        offsets
    }

    /// Writes the files that would say something else than they do. What can't be written is told, and tried again the next time: without it
    /// a start has more to check.
    pub(super) async fn write_checkpoints(self: &Rc<Self>) {
        let checkpoints = &self.checkpoints;
        let number = checkpoints.asked.get() + 1;
        checkpoints.asked.set(number);
        while checkpoints.is_writing.replace(true) {
            checkpoints.written_once.notified().await;
        }
        if checkpoints.covered.get() < number {
            let covers = checkpoints.asked.get();
            self.write_all_checkpoints().await;
            checkpoints.covered.set(covers);
        }
        checkpoints.is_writing.set(false);
        checkpoints.written_once.notify();
    }

    async fn write_all_checkpoints(self: &Rc<Self>) {
        let replies = self.ask_peers(|| Request::Offsets).await;
        let mut offsets = self.offsets_here().await;
        for reply in replies {
            if let Reply::Offsets(theirs) = reply {
                offsets.extend(theirs);
            }
        }
        let offsets = self.named_offsets(offsets).await;
        let files = [
            (dir::RECOVERY_POINTS, &offsets.recovery_points),
            (dir::START_OFFSETS, &offsets.start_offsets),
            (dir::HIGH_WATERMARKS, &offsets.high_watermarks),
            (dir::CLEANED, &offsets.cleaned),
        ];
        for (name, offsets) in files {
            self.write_checkpoint(name, offsets).await;
        }
    }

    async fn write_checkpoint(&self, name: &'static str, offsets: &Offsets) {
        let text = checkpoint::encode_offsets(offsets);
        if self.checkpoints.written.borrow().get(name) == Some(&text) {
            return;
        }
        let path = self.node.config.log_dir().join(name);
        match write_whole(&path, text.clone().into()).await {
            Ok(()) => _ = self.checkpoints.written.borrow_mut().insert(name, text),
            Err(error) => tracing::error!("{}: {error}", path.display()),
        }
    }

    /// The offsets by the names of the topics, as the files have them.
    pub(super) async fn named_offsets(&self, offsets: Vec<PartitionOffsets>) -> CheckpointedOffsets {
        let mut named = CheckpointedOffsets::default();
        let add = |of: PartitionOffsets| {
            let image = self.image.borrow();
            let Some(topic) = image.topic(of.partition.topic) else {
                return;
            };
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
        TimeSlice::default().each(offsets, add).await;
        named
    }
}
