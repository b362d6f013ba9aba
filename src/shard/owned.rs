//! The partitions a core owns, and the budget that their tails share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::base::{Instant, LeaderEpoch, PartitionIndex, Timestamp, TopicId, TopicPartition};
use crate::config::{Config, TopicConfig};
use crate::io;
use crate::log::clean_start::LogLeft;
use crate::log::{self, Dir, Log, LogError, LogOptions, OpenFiles, Opened, Recovery, Removal, Resume};
use crate::partition::{AppendError, Appended, Partition};
use crate::wire::ErrorCode;
use crate::wire::batch::Arrived;

/// How long a partition that could not be opened is left alone: whoever asks for it must not keep the core busy with it.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Files that the logs of a node hold open at most, if nothing is set: some 100 bytes of memory each.
const OPEN_FILES_MAX: usize = 65_536;

/// And those of a core at the least: a log uses three at a time.
const OPEN_FILES_MIN: usize = 8;

/// The partitions of one core.
pub struct Owned {
    partitions: BTreeMap<TopicPartition, Partition>,
    /// All were closed, for good.
    are_closed: bool,
    /// Those that could not be opened: when each may be tried again, and what the checkpoints say of it. Mostly none.
    closed: BTreeMap<TopicPartition, (Instant, Resume)>,
    /// Those whose files hold what they should not: out of service until a restart, which needs what the checkpoints say of them to see it
    /// again. Mostly none.
    damaged: BTreeMap<TopicPartition, Resume>,
    /// Those that lie in a directory which is offline. Mostly none.
    offline: BTreeSet<TopicPartition>,
    /// Who holds the batches of all tails, oldest first: one entry a batch.
    tail_order: VecDeque<TopicPartition>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    /// What opening them took.
    recovery: Recovery,
    /// The files of all their logs.
    open_files: Rc<OpenFiles>,
    producer_id_expiration: Duration,
}

/// A partition as the image describes it.
pub struct Assigned<'a> {
    pub partition: TopicPartition,
    /// Where its files are, or are to be.
    pub dir: &'a Path,
    pub leader_epoch: LeaderEpoch,
    pub config: Rc<TopicConfig>,
    pub left: Left,
}

/// How the files of a partition were left.
pub struct Left {
    pub opened: Opened,
    /// What the checkpoints say of its log; nothing of one that is new.
    pub resume: Resume,
    /// What the log was like when it was closed, if that is known.
    pub log: Option<LogLeft>,
}

impl Left {
    /// By a crash, or half made.
    pub fn crashed(resume: Resume) -> Left {
        Left {
            opened: Opened::AfterCrash,
            resume,
            log: None,
        }
    }
}

impl Owned {
    /// None yet; budgets of one of `cores` as configured.
    pub fn new(config: &Config, cores: u16) -> Owned {
        Owned {
            partitions: BTreeMap::new(),
            are_closed: false,
            closed: BTreeMap::new(),
            damaged: BTreeMap::new(),
            offline: BTreeSet::new(),
            tail_order: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max: config.tail_cache_bytes(),
            recovery: Recovery::default(),
            open_files: OpenFiles::new(open_files_max(config, cores)),
            producer_id_expiration: config.producer_id_expiration(),
        }
    }

    /// Takes over what may change while the broker runs; open partitions follow as they are [taken](Self::take) again.
    pub fn take_config(&mut self, config: &Config) {
        self.producer_id_expiration = config.producer_id_expiration();
    }

    /// The files that the logs hold open.
    pub fn open_files(&self) -> &Rc<OpenFiles> {
        &self.open_files
    }

    pub fn get(&self, partition: TopicPartition) -> Option<&Partition> {
        self.partitions.get(&partition)
    }

    pub fn get_mut(&mut self, partition: TopicPartition) -> Option<&mut Partition> {
        self.partitions.get_mut(&partition)
    }

    /// What opening all of them took.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Why a partition that the image gives to this core isn't open.
    pub fn why_absent(&self, partition: TopicPartition) -> ErrorCode {
        match self.damaged.contains_key(&partition) || self.offline.contains(&partition) {
            true => ErrorCode::KAFKA_STORAGE_ERROR,
            false => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Appends one batch and keeps the tails within their budget.
    pub fn append(
        &mut self,
        partition: TopicPartition,
        batch: Arrived,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let Some(replica) = self.partitions.get_mut(&partition) else {
            return Err(AppendError::Absent(self.why_absent(partition)));
        };
        let appended = replica.append(batch, now)?;
        if appended.tail_bytes > 0 {
            self.tail_bytes += appended.tail_bytes;
            self.tail_order.push_back(partition);
            self.shrink_tails();
        }
        Ok(appended)
    }

    /// Gives up the oldest batches of all tails until the rest fits. An entry whose partition is gone was
    /// settled when it went.
    fn shrink_tails(&mut self) {
        while self.tail_bytes > self.tail_bytes_max {
            let Some(oldest) = self.tail_order.pop_front() else {
                return;
            };
            if let Some(bytes) = self.partitions.get_mut(&oldest).and_then(Partition::shrink_tail) {
                self.tail_bytes -= bytes;
            }
        }
    }

    /// What the checkpoints say of `partition`, if it could not be opened and may be tried again.
    pub fn to_be_tried(&self, partition: TopicPartition, now: Instant) -> Option<Resume> {
        if self.closed.is_empty() || self.are_closed {
            return None;
        }
        let (at, resume) = self.closed.get(&partition)?;
        (*at <= now).then_some(*resume)
    }

    /// Those that could not be opened, and what the checkpoints say of them.
    pub fn unopened(&self) -> impl Iterator<Item = (TopicPartition, Resume)> {
        let closed = self
            .closed
            .iter()
            .map(|(partition, (_, resume))| (*partition, *resume));
        let damaged = self
            .damaged
            .iter()
            .map(|(partition, resume)| (*partition, *resume));
        closed.chain(damaged)
    }

    /// Opens the log of a partition that is new to this core, or takes over what changed of one that isn't. One that
    /// can't be opened is remembered; see [`to_be_tried`](Self::to_be_tried).
    pub fn take(
        &mut self,
        assigned: Assigned<'_>,
        wall_now: Timestamp,
        now: Instant,
    ) -> Result<(), LogError> {
        let (partition, resume) = (assigned.partition, assigned.left.resume);
        if self.damaged.contains_key(&partition) {
            return Ok(());
        }
        let outcome = self.open_or_update(assigned, wall_now);
        match &outcome {
            Ok(()) => self.closed.remove(&partition),
            Err(error) if error.is_damage() => {
                self.damaged.insert(partition, resume);
                self.closed.remove(&partition)
            }
            Err(_) => self.closed.insert(partition, (now + REOPEN_PAUSE, resume)),
        };
        outcome
    }

    fn open_or_update(&mut self, assigned: Assigned<'_>, now: Timestamp) -> Result<(), LogError> {
        let options = log_options(&assigned.config, self.producer_id_expiration);
        if let Some(replica) = self.partitions.get_mut(&assigned.partition) {
            replica.update(assigned.leader_epoch, assigned.config, options);
            return Ok(());
        }
        let dir = assigned.dir;
        let log = self.open(dir, assigned.partition.topic, options, &assigned.left, now)?;
        let replica = Partition::new(log, assigned.leader_epoch, assigned.config, now);
        self.partitions.insert(assigned.partition, replica);
        Ok(())
    }

    /// Opens the log in `dir`: as it was left if that is known, else from its files.
    fn open(
        &mut self,
        dir: &Path,
        topic: TopicId,
        options: LogOptions,
        left: &Left,
        now: Timestamp,
    ) -> Result<Log, LogError> {
        let held = || Dir::new(dir, self.open_files.clone());
        let as_left = left.log.as_ref();
        let reopened =
            as_left.and_then(|log| Log::reopen_now(held(), options.clone(), log, left.resume, now));
        if let Some(log) = reopened {
            return Ok(log);
        }
        self.claim(dir, topic, left.opened)?;
        let (log, recovery) = Log::open_among_now(held(), options, left.opened, left.resume, now)?;
        self.recovery += recovery;
        if recovery.bytes_cut > 0 {
            tracing::warn!(
                "{}: cut {} bytes behind the last whole batch",
                dir.display(),
                recovery.bytes_cut
            );
        }
        Ok(log)
    }

    /// Makes sure that `dir` is the topic's own. What another topic of that name left there goes: its deletion was
    /// committed before this topic could be created.
    fn claim(&self, dir: &Path, topic: TopicId, opened: Opened) -> Result<(), LogError> {
        let at = |error| LogError::Io {
            path: dir.to_path_buf(),
            error,
        };
        match log::read_topic_id_now(dir, opened)? {
            Some(found) if found == topic => return Ok(()),
            Some(_) => {
                let removal = log::delete_now(dir, io::random_uuid()).map_err(at)?;
                io::spawn(removal.run());
            }
            None => {}
        }
        io::fs::create_dir_all_now(dir).map_err(at)?;
        log::write_topic_id_now(dir, topic).map_err(at)
    }

    /// Deletes a partition of a topic that is gone; its files go with the [`Removal`]. One that is gone too takes nothing.
    pub fn delete(&mut self, partition: TopicPartition) -> Result<Removal, LogError> {
        let Some(replica) = self.take_out(partition) else {
            return Ok(Removal::default());
        };
        let dir = replica.log().dir().to_path_buf();
        let delay = replica.abandon();
        match log::delete_now(&dir, io::random_uuid()) {
            Ok(removal) => Ok(removal.after(delay)),
            Err(error) => Err(LogError::Io { path: dir, error }),
        }
    }

    /// Takes an open partition out, and its tail out of the budget.
    fn take_out(&mut self, partition: TopicPartition) -> Option<Partition> {
        let mut replica = self.partitions.remove(&partition)?;
        while let Some(bytes) = replica.shrink_tail() {
            self.tail_bytes -= bytes;
        }
        Some(replica)
    }

    /// Notes that a partition lies in a directory that is offline.
    pub fn set_offline(&mut self, partition: TopicPartition) {
        self.closed.remove(&partition);
        self.offline.insert(partition);
    }

    /// Closes the partitions in the log directory `dir`, whose files nobody may touch any more; who waits for them is woken. How many they
    /// were.
    pub fn close_dir(&mut self, dir: &Path) -> usize {
        let is_there =
            |(_, replica): &(&TopicPartition, &Partition)| replica.log().dir().parent() == Some(dir);
        let there = self
            .partitions
            .iter()
            .filter(is_there)
            .map(|(partition, _)| *partition);
        let there: Vec<TopicPartition> = there.collect();
        for partition in &there {
            let _ = self.take_out(*partition).map(Partition::abandon);
            self.set_offline(*partition);
        }
        // Entries of partitions that are gone would be settled twice if they came again.
        self.tail_order
            .retain(|partition| self.partitions.contains_key(partition));
        there.len()
    }

    /// Forgets what is left of a topic when its partitions are deleted.
    pub fn forget(&mut self, topic: TopicId) {
        self.closed.retain(|partition, _| partition.topic != topic);
        self.damaged.retain(|partition, _| partition.topic != topic);
        self.offline.retain(|partition| partition.topic != topic);
        // Entries of partitions that are gone would be settled twice.
        self.tail_order.retain(|partition| partition.topic != topic);
    }

    /// The partitions of a topic that are open.
    pub fn partitions_of(&self, topic: TopicId) -> Vec<TopicPartition> {
        let first = TopicPartition {
            topic,
            partition: PartitionIndex(0),
        };
        let of_topic = self.partitions.range(first..).map(|(partition, _)| *partition);
        of_topic
            .take_while(|partition| partition.topic == topic)
            .collect()
    }

    /// The partitions there are now.
    pub fn all(&self) -> Vec<TopicPartition> {
        self.partitions.keys().copied().collect()
    }

    /// Takes away what retention no longer keeps of a partition, if it is still there; the files go with the [`Removal`].
    pub fn apply_retention(&mut self, partition: TopicPartition, now: Timestamp) -> std::io::Result<Removal> {
        match self.partitions.get_mut(&partition) {
            Some(replica) => replica.apply_retention(now),
            None => Ok(Removal::default()),
        }
    }

    /// Whether all were closed, so that none may be opened any more.
    pub fn are_closed(&self) -> bool {
        self.are_closed
    }

    /// Takes all partitions out, to be closed.
    pub fn take_all(&mut self) -> Vec<(TopicPartition, Partition)> {
        self.are_closed = true;
        self.tail_order.clear();
        self.tail_bytes = 0;
        std::mem::take(&mut self.partitions).into_iter().collect()
    }
}

/// How many files the logs of one core hold open. What isn't set leaves half of what the process may have to connections.
fn open_files_max(config: &Config, cores: u16) -> usize {
    let of_process = || (io::descriptors_max() / 2).min(OPEN_FILES_MAX);
    let of_node = config.open_files_max().unwrap_or_else(of_process);
    (of_node / usize::from(cores)).max(OPEN_FILES_MIN)
}

/// What a topic's settings come to for its logs.
fn log_options(config: &TopicConfig, producer_expiry: Duration) -> LogOptions {
    let policy = config.cleanup_policy;
    // What is only compacted has no age and no size at which it goes.
    let retained = |limit| if policy.delete { limit } else { -1 };
    LogOptions {
        segment_bytes: u32::try_from(config.segment_bytes).unwrap_or(i32::MAX as u32),
        // The active segment is never compacted: it has to end before its records are too old.
        segment_ms: match policy.compact {
            true => config.segment_ms.min(config.compaction_lag_max_ms),
            false => config.segment_ms,
        },
        segment_jitter_ms: config.segment_jitter_ms,
        preallocate: config.preallocate,
        index_interval_bytes: config.index_interval_bytes,
        index_bytes_max: config.segment_index_bytes,
        retention_ms: retained(config.retention_ms),
        retention_bytes: retained(config.retention_bytes),
        producer_expiry,
        refuse_damage: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(settings: &[(&str, &str)]) -> LogOptions {
        let (config, _) = Config::parse(None, &[]).unwrap();
        let settings = settings.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        log_options(
            &TopicConfig::new(&config, &settings.collect()),
            Duration::from_secs(1),
        )
    }

    #[test]
    fn records_are_deleted_by_age_and_size_only_where_the_policy_says_so() {
        for (policy, is_deleted) in [
            ("delete", true),
            ("compact,delete", true),
            ("compact", false),
            ("", false),
        ] {
            let options = options(&[
                ("cleanup.policy", policy),
                ("retention.ms", "7"),
                ("retention.bytes", "9"),
            ]);
            let expected = if is_deleted { (7, 9) } else { (-1, -1) };
            assert_eq!(
                (options.retention_ms, options.retention_bytes),
                expected,
                "{policy:?}"
            );
        }
    }

    #[test]
    fn a_compacted_topics_segments_end_before_their_records_must_be_compacted() {
        let segment_ms = |policy| {
            let settings = [
                ("cleanup.policy", policy),
                ("segment.ms", "9000"),
                ("max.compaction.lag.ms", "500"),
            ];
            options(&settings).segment_ms
        };
        assert_eq!((segment_ms("compact"), segment_ms("delete")), (500, 9000));
    }
}
