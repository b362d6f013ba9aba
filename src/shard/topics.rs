//! Keeping a core's partitions what the image says they are.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::{TopicId, TopicPartition};
use crate::io::{has_disk_failed, is_out_of_resources, now, spawn, wall_now};
use crate::log::clean_start::{Entry, LogLeft};
use crate::log::{self, LogError, Opened, Removal, Resume, names};
use crate::metadata::{Change, Image, Topic};
use crate::wire::batch::BatchView;

use super::checkpoints::{CoreOffsets, PartitionOffsets};
use super::data_dirs::DirIndex;
use super::opening::Progress;
use super::owned::{Assigned, Left};
use super::{CONTROLLER_CORE, Shard, TimeSlice, join_all};

/// Partitions whose files are made at once: each takes a few turns of the kernel's workers.
const MADE_AT_ONCE: usize = 16;

/// Logs that are flushed and closed at once at a stop; the device is the limit, not the core.
const CLOSING_AT_ONCE: usize = 32;

/// What a core's logs came to when they were closed.
#[derive(Debug, Default)]
pub struct ClosedLogs {
    /// Where each ended.
    pub offsets: CoreOffsets,
    /// What each was like, and where it lies, of those that the next start can take so.
    pub logs: Vec<(DirIndex, Entry)>,
}

/// When a topic's partitions are opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// As they stood when the node started.
    AtStart,
    /// They are new, or open already.
    Later,
}

impl Shard {
    /// Takes the node's first image and opens this core's part of it.
    pub(super) async fn open_image(self: &Rc<Self>, image: Image) -> Result<(), LogError> {
        *self.image.borrow_mut() = image;
        self.topic_configs.forget();
        self.open_owned().await
    }

    /// Opens every partition of the image that this core owns.
    pub(super) async fn open_owned(self: &Rc<Self>) -> Result<(), LogError> {
        self.take_broker_configs();
        let topics: Vec<TopicId> = self.image.borrow().topics().map(|topic| topic.id).collect();
        let mut slice = TimeSlice::default();
        let mut progress = Progress::begin(topics.len());
        for topic in topics {
            for (partition, error) in self.take_topic(topic, When::AtStart, &mut slice).await {
                match &error {
                    LogError::Io { error: cause, .. } if is_out_of_resources(cause) => return Err(error),
                    // Whatever it is, a full disk too: the node starts with the directories that it can use.
                    LogError::Io { .. } => self.fail_dir_of_closed(partition, &error),
                    _ => tracing::error!("{partition} is out of service: {error}"),
                }
            }
            progress.tell_now_and_then(self.core, self.owned.borrow().recovery());
        }
        progress.tell_if_long(self.core, self.owned.borrow().recovery());
        // It is of no use any more, and large.
        self.clean_start.replace(Arc::default());
        Ok(())
    }

    /// Applies a committed batch of metadata records: first to the image, then to the partitions it touched, each
    /// topic once. Thousands of partitions take a while, and the core serves in between: one that the image has and that is not
    /// open yet is answered as one whose leader is elsewhere. No batch is applied before the one in front of it is.
    ///
    /// Says whether a topic is gone.
    pub(super) async fn apply(self: &Rc<Self>, batch: &[u8]) -> bool {
        let mut is_one_gone = false;
        let mut touched = BTreeSet::new();
        let mut broker_configs = false;
        let mut slice = TimeSlice::default();
        for change in self.apply_to_image(batch) {
            match change {
                Change::Partition { topic, .. } => {
                    touched.insert(topic);
                }
                Change::TopicConfigs { name } => {
                    touched.extend(self.image.borrow().topic_by_name(&name).map(|topic| topic.id));
                }
                Change::TopicRemoved(topic) => {
                    self.delete_topic(&topic, &mut slice).await;
                    is_one_gone = true;
                }
                Change::BrokerConfigs => broker_configs = true,
                Change::Broker(_) | Change::Features | Change::All => {}
            }
        }
        if broker_configs {
            self.take_broker_configs();
            touched.extend(self.image.borrow().topics().map(|topic| topic.id));
        }
        for topic in touched {
            for (partition, error) in self.take_topic(topic, When::Later, &mut slice).await {
                tracing::error!("{partition} stays closed until it is asked for: {error}");
                if matches!(&error, LogError::Io { error: cause, .. } if has_disk_failed(cause)) {
                    self.fail_dir_of_closed(partition, &error);
                }
            }
        }
        is_one_gone
    }

    /// Deletes what this core has of a topic that is gone. Its files go later, beside everything else.
    async fn delete_topic(&self, topic: &Topic, slice: &mut TimeSlice) {
        let partitions = self.owned.borrow().partitions_of(topic.id);
        let mut removal = Removal::default();
        for partition in partitions {
            match self.delete_partition(partition, slice).await {
                Ok(files) => removal.add(files),
                Err(error) => tracing::error!("deleting {partition} of topic {}: {error}", topic.name),
            }
        }
        self.owned.borrow_mut().forget(topic.id);
        self.compacting.forget(topic.id);
        self.moving.forget(topic.id);
        spawn(removal.run());
    }

    /// Deletes one, while nothing of its files is under way: under a name that may be another's by then.
    async fn delete_partition(
        &self,
        partition: TopicPartition,
        slice: &mut TimeSlice,
    ) -> Result<Removal, LogError> {
        loop {
            self.upkeep_ended(partition).await;
            self.stop_compacting(partition).await;
            self.stop_moving(partition).await;
            let is_moved = || self.moving.is_moved(partition);
            let is_busy = || self.is_kept_up(partition) || self.is_compacted(partition) || is_moved();
            let delete = || (!is_busy()).then(|| self.owned.borrow_mut().delete(partition));
            if let Some(deleted) = slice.spend(delete).await {
                return deleted;
            }
        }
    }

    /// Lays what the image sets on brokers over the node's own settings.
    pub(super) fn take_broker_configs(&self) {
        let config = {
            let image = self.image.borrow();
            let on_broker = image.broker_configs(self.node.id());
            self.node.config.with_dynamic(image.cluster_configs(), on_broker)
        };
        self.owned.borrow_mut().take_config(&config);
        if self.core == CONTROLLER_CORE {
            let limits = self
                .node
                .connection_limits
                .with_dynamic(&self.node.config, &config);
            self.places.borrow_mut().take_limits(limits);
        }
        *self.config.borrow_mut() = Rc::new(config);
        self.topic_configs.forget();
    }

    /// Applies a committed batch to the image alone: at the start, before any partition is open.
    ///
    /// # Panics
    /// When a committed batch does not apply: the image would no longer be the cluster's.
    pub(super) fn apply_to_image(&self, batch: &[u8]) -> Vec<Change> {
        let applied = BatchView::first(batch)
            .map_err(|error| error.to_string())
            .and_then(|batch| {
                self.image
                    .borrow_mut()
                    .apply_batch(&batch)
                    .map_err(|error| error.to_string())
            });
        let changes =
            applied.unwrap_or_else(|error| panic!("a committed metadata batch does not apply: {error}"));
        if changes.iter().any(is_of_configs) {
            self.topic_configs.forget();
        }
        changes
    }

    /// Opens what is new of a topic's partitions on this core and takes over what changed of the others; those that can't
    /// be opened.
    async fn take_topic(
        self: &Rc<Self>,
        topic: TopicId,
        when: When,
        slice: &mut TimeSlice,
    ) -> Vec<(TopicPartition, LogError)> {
        let mut failed = Vec::new();
        for some in self.assigned_online(topic).chunks(MADE_AT_ONCE) {
            let made = some.iter().map(|partition| self.make_files(*partition));
            for (partition, is_made) in some.iter().zip(join_all(made).await) {
                let left = match when {
                    // What is made now was never flushed.
                    _ if is_made => Left::crashed(Resume::default()),
                    When::AtStart => self.left_before(*partition),
                    When::Later => Left {
                        opened: Opened::AfterCleanStop,
                        resume: Resume::default(),
                        log: None,
                    },
                };
                let taken = slice.spend(|| self.take(*partition, left)).await;
                failed.extend(taken.err().map(|error| (*partition, error)));
            }
        }
        failed
    }

    /// How a partition's directory was left, what its checkpoints said of the partition when the node started, and what the log was like.
    fn left_before(&self, partition: TopicPartition) -> Left {
        let (opened, resume) = self.as_found(partition);
        Left {
            opened,
            resume,
            log: self.dir_of(partition).and_then(|dir| self.left(dir, partition)),
        }
    }

    /// The directory that a partition is in, or is to be in: the image's, unless it has moved and the image may not know. None of one that the
    /// image doesn't have.
    pub(super) fn dir_of(&self, partition: TopicPartition) -> Option<DirIndex> {
        let image = self.image.borrow();
        let state = image.partition(partition.topic, partition.partition)?;
        self.moving
            .moved_to(partition)
            .or_else(|| self.node.dir_of(state))
    }

    /// What the last stop left of a log in a directory.
    pub(super) fn left(&self, dir: DirIndex, partition: TopicPartition) -> Option<LogLeft> {
        self.clean_start.borrow().get(dir.0)?.log(partition)
    }

    /// How a partition's directory was left, and what its checkpoints said of the partition when the node started.
    fn as_found(&self, partition: TopicPartition) -> (Opened, Resume) {
        let image = self.image.borrow();
        let found = image.topic(partition.topic).and_then(|topic| {
            let dir = self.dir_of(partition)?;
            let found = self.node.dirs.get(dir).found.as_ref()?;
            Some((found.opened, found.resume(&topic.name, partition.partition)))
        });
        found.unwrap_or((Opened::AfterCrash, Resume::default()))
    }

    /// Where the files of a partition are, or are to be; `None` of one that the image doesn't have, or whose directory is offline.
    fn place_of(&self, partition: TopicPartition) -> Option<PathBuf> {
        let image = self.image.borrow();
        let topic = image.topic(partition.topic)?;
        let dir = self.dir_of(partition)?;
        let path = &self.node.dirs.get(dir).path;
        let name = || names::partition_dir(&topic.name, partition.partition);
        self.online_dirs.contains(dir).then(|| path.join(name()))
    }

    /// A partition can't be opened because its disk has failed.
    fn fail_dir_of_closed(self: &Rc<Self>, partition: TopicPartition, error: &LogError) {
        if let Some(dir) = self.dir_of(partition) {
            self.fail_dir(dir, error.to_string());
            self.owned.borrow_mut().set_offline(partition);
        }
    }

    /// Makes the files of a partition that has none yet; false when it is open, or was here before.
    async fn make_files(&self, partition: TopicPartition) -> bool {
        if self.owned.borrow().get(partition).is_some() {
            return false;
        }
        match self.place_of(partition) {
            Some(dir) => log::make_files(&dir).await,
            None => false,
        }
    }

    /// A topic's partitions that this core is to have, without those whose directory is offline: these are noted as such.
    fn assigned_online(&self, topic: TopicId) -> Vec<TopicPartition> {
        let (online, offline): (Vec<_>, Vec<_>) = self
            .assigned_here(topic)
            .into_iter()
            .partition(|partition| self.place_of(*partition).is_some());
        let mut owned = self.owned.borrow_mut();
        offline
            .into_iter()
            .for_each(|partition| owned.set_offline(partition));
        online
    }

    /// A topic's partitions that this core is to have; none when it has closed what it had.
    fn assigned_here(&self, topic: TopicId) -> Vec<TopicPartition> {
        if self.owned.borrow().are_closed() {
            return Vec::new();
        }
        let image = self.image.borrow();
        let partitions = image.topic(topic).map(|described| &described.partitions);
        let on_node = partitions
            .into_iter()
            .flatten()
            .filter(|(_, state)| state.replicas.contains(&self.node.id()));
        on_node
            .map(|(partition, _)| TopicPartition {
                topic,
                partition: *partition,
            })
            .filter(|partition| self.owns(*partition))
            .collect()
    }

    /// Opens a partition as the image describes it, or takes over what changed of one that is open. One that the image does not
    /// have is left alone.
    fn take(self: &Rc<Self>, partition: TopicPartition, left: Left) -> Result<(), LogError> {
        if self.owned.borrow().are_closed() {
            return Ok(());
        }
        // Its directory may have failed while its files were made.
        let Some(dir) = self.place_of(partition) else {
            let is_known = self
                .image
                .borrow()
                .partition(partition.topic, partition.partition)
                .is_some();
            if is_known {
                self.owned.borrow_mut().set_offline(partition);
            }
            return Ok(());
        };
        let image = self.image.borrow();
        let Some((_, state)) = image
            .topic(partition.topic)
            .and_then(|topic| Some((topic, topic.partitions.get(&partition.partition)?)))
        else {
            return Ok(());
        };
        let Some(config) = self.topic_config(partition.topic) else {
            return Ok(());
        };
        let assigned = Assigned {
            partition,
            dir: &dir,
            leader_epoch: state.leader_epoch,
            config,
            left,
        };
        self.owned.borrow_mut().take(assigned, wall_now(), now())?;
        self.flush_uncommitted(partition);
        self.keep_up(partition);
        Ok(())
    }

    /// Opens a partition that could not be opened before, once someone asks for it: what was short may be there again.
    pub(super) fn try_closed(self: &Rc<Self>, partition: TopicPartition) {
        let Some(resume) = self.owned.borrow().to_be_tried(partition, now()) else {
            return;
        };
        // What the first try left may be half of what it should be: looked at as after a crash.
        if let Err(error) = self.take(partition, Left::crashed(resume)) {
            tracing::error!("{partition} stays closed: {error}");
        }
    }

    /// Flushes and closes this core's partitions; what they came to, or the first error, after all were tried.
    pub(super) async fn close_owned(&self) -> io::Result<ClosedLogs> {
        self.end_moving().await;
        self.end_compacting().await;
        self.end_upkeep().await;
        let mut outcome = Ok(());
        let mut all = ClosedLogs::default();
        let mut open = self.owned.borrow_mut().take_all().into_iter().peekable();
        while open.peek().is_some() {
            let closing = open
                .by_ref()
                .take(CLOSING_AT_ONCE)
                .map(|(partition, replica)| async move {
                    let dir = self.dir_here(&replica);
                    let placed = dir.map(|dir| (dir, PartitionOffsets::of_closing(partition, dir, &replica)));
                    let closed = replica.close().await;
                    if let Err(error) = &closed {
                        tracing::error!("{partition}: closing failed: {error}");
                    }
                    (partition, placed, closed)
                });
            for (partition, placed, closed) in join_all(closing).await {
                let dir = placed.map(|(dir, offsets)| {
                    all.offsets.offsets.push(offsets);
                    dir
                });
                match closed {
                    Ok(left) => {
                        let log = left.and_then(|left| Entry::new(partition, &left));
                        all.logs.extend(dir.zip(log));
                    }
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
        }
        all.offsets.offsets.extend(self.offsets_of_unopened());
        all.offsets.offline = self.online_dirs.offline();
        outcome.map(|()| all)
    }

    /// How many partitions this core has open.
    pub fn owned_count(&self) -> usize {
        self.owned.borrow().len()
    }
}

/// Whether what is known of topics' settings may be so no more.
fn is_of_configs(change: &Change) -> bool {
    match change {
        Change::TopicConfigs { .. } | Change::TopicRemoved(_) | Change::BrokerConfigs | Change::All => true,
        Change::Partition { .. } | Change::Broker(_) | Change::Features => false,
    }
}
