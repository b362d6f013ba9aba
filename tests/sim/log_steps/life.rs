//! One life of a program that owns a log, from its start to its death: what the broker does beside appends, each one at a time and all at
//! once: flushes, upkeep, checkpoints, compaction. The appends and reads themselves are `steps`.

use std::cell::{Cell, RefCell};
use std::io::Result;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::MutexGuard;

use ringlog::base::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};
use ringlog::io::{self, may_pass, wall_now};
use ringlog::log::checkpoint::{self, Offsets};
use ringlog::log::clean_start::Entry;
use ringlog::log::compaction::{CompactionError, Pace};
use ringlog::log::dir::{self, CheckpointedOffsets, LogDir, MetaProperties};
use ringlog::log::{Dir, Log, OpenFiles, Opened, Resume, names, read_topic_id_now, write_topic_id_now};

use super::Shared;
use super::check::check;
use super::plan::Plan;
use super::settle::settle;
use super::story::Story;

const DATA: &str = "/data";
const TOPIC: &str = "steps";
const PARTITION: TopicPartition = TopicPartition {
    topic: TopicId([7; 16]),
    partition: PartitionIndex(0),
};

/// A log that is open, and what goes on beside it. The log is away when it is being closed.
pub struct Life {
    pub log: RefCell<Option<Log>>,
    pub plan: Plan,
    pub shared: Shared,
    is_flushing: Cell<bool>,
    is_kept_up: Cell<bool>,
    is_checkpointing: Cell<bool>,
    is_compacting: Cell<bool>,
}

/// What a start finds.
struct LeftBehind {
    epochs: String,
    names: Vec<String>,
    spares: Vec<String>,
    has_cleaned: bool,
    has_swap: bool,
}

pub fn partition_dir() -> PathBuf {
    Path::new(DATA).join(format!("{TOPIC}-0"))
}

fn key() -> (String, PartitionIndex) {
    (TOPIC.to_string(), PartitionIndex(0))
}

/// The log from its files.
fn open(plan: &Plan, opened: Opened, resume: Resume) -> Log {
    let dir = partition_dir();
    // What the broker does before it opens a log: without this file a clean stop leaves nothing to open it by.
    io::fs::create_dir_all_now(&dir).expect("nothing fails at a start");
    if read_topic_id_now(&dir, opened)
        .expect("nothing fails at a start")
        .is_none()
    {
        write_topic_id_now(&dir, PARTITION.topic).expect("nothing fails at a start");
    }
    let opened = Log::open_now(&dir, plan.options.clone(), opened, resume, wall_now());
    opened.expect("a start takes what a crash leaves").0
}

impl Life {
    pub fn story(&self) -> MutexGuard<'_, Story> {
        self.shared.lock().unwrap()
    }

    /// Tells what happens, where somebody wants to see it.
    pub fn tell(&self, what: std::fmt::Arguments<'_>) {
        if std::env::var_os("RINGLOG_SHOW").is_some() {
            eprintln!("{:?}: {what}", io::now());
        }
    }

    /// Does something with the log, which is open.
    pub fn with<R>(&self, act: impl FnOnce(&mut Log) -> R) -> R {
        act(self.log.borrow_mut().as_mut().expect("it is open"))
    }

    /// Opens what the last life has left, and compares it.
    pub fn begin(plan: Plan, shared: Shared) -> (Rc<Life>, LogDir) {
        let mut log_dir = LogDir::open_now(Path::new(DATA)).expect("nothing fails at a start");
        if log_dir.properties().is_none() {
            let properties = MetaProperties {
                cluster_id: "voIMhsS2SByqEw680h-7uQ".to_string(),
                node_id: NodeId(1),
                directory_id: TopicId([7; 16]),
            };
            log_dir.format_now(properties).expect("nothing fails at a start");
        }
        let left = LeftBehind::find();
        let resume = log_dir.offsets().resume(TOPIC, PartitionIndex(0));
        let opened = log_dir.opened();
        if std::env::var_os("RINGLOG_SHOW").is_some() {
            eprintln!(
                "{opened:?}, {resume:?}, {:?}, epochs {:?}",
                left.names, left.epochs
            );
        }
        let as_left = log_dir.take_clean_start().log(PARTITION);
        let reopened = as_left.and_then(|left| {
            let dir = Dir::new(&partition_dir(), OpenFiles::unlimited());
            Log::reopen_now(dir, plan.options.clone(), &left, resume, wall_now())
        });
        let was_reopened = reopened.is_some();
        let mut log = reopened.unwrap_or_else(|| open(&plan, opened, resume));
        {
            let mut story = shared.lock().unwrap();
            left.count(&mut story);
            let was_closed = std::mem::take(&mut story.is_closed);
            assert!(!was_closed || opened == Opened::AfterCleanStop);
            settle(&mut story, &log, resume.start_offset.0);
            check(&log, &story);
            story.counts.duplicates_after_restarts += story.producers.len() as u64;
            story.counts.reopenings += u64::from(was_reopened);
            story.lives += 1;
            log.begin_epoch(LeaderEpoch(story.lives));
        }
        let life = Rc::new(Life {
            log: RefCell::new(Some(log)),
            plan,
            shared,
            is_flushing: Cell::default(),
            is_kept_up: Cell::default(),
            is_checkpointing: Cell::default(),
            is_compacting: Cell::default(),
        });
        (life, log_dir)
    }

    /// The disk has failed: whoever wrote stops for good.
    pub async fn doubt<T>(&self) -> T {
        self.story().is_in_doubt = true;
        std::future::pending().await
    }

    pub fn flush_beside(self: &Rc<Life>) {
        if !self.is_flushing.replace(true) {
            let life = self.clone();
            io::spawn(async move {
                life.flush().await;
                life.is_flushing.set(false);
            });
        }
    }

    /// Everything that is appended now is durable then; false if the flush could not begin.
    pub async fn flush(&self) -> bool {
        let Ok(plan) = self.with(Log::flush_plan) else {
            return false;
        };
        match plan.run().await {
            Ok(flushed) => self.with(|log| log.flushed(flushed)),
            Err(_) => self.doubt().await,
        }
        self.note_flushed();
        true
    }

    fn note_flushed(&self) {
        let flushed = self.with(|log| log.flushed_end().0);
        self.tell(format_args!("flushed up to {flushed}"));
        let mut story = self.story();
        // After a failed flush the next may succeed, and has flushed nothing of what that one was to.
        if !story.is_in_doubt {
            story.flushed = story.flushed.max(flushed);
        }
    }

    pub fn keep_up_beside(self: &Rc<Life>) {
        if self.with(|log| log.needs_upkeep()) && !self.is_kept_up.replace(true) {
            let life = self.clone();
            io::spawn(async move {
                life.keep_up().await;
                life.is_kept_up.set(false);
            });
        }
    }

    async fn keep_up(&self) {
        loop {
            // As a partition that is offline: nothing more is begun.
            if self.story().is_in_doubt {
                return self.doubt().await;
            }
            let outcome = match self.with(Log::begin_upkeep) {
                Ok(None) => return,
                Ok(Some(upkeep)) => upkeep.run().await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(upkept) => {
                    self.with(|log| log.end_upkeep(upkept));
                    self.note_flushed();
                }
                Err(error) => {
                    self.with(Log::give_upkeep_up);
                    if !may_pass(&error) {
                        return self.doubt().await;
                    }
                    io::sleep(std::time::Duration::from_millis(3)).await;
                }
            }
        }
    }

    pub fn checkpoint_beside(self: &Rc<Life>) {
        if !self.is_checkpointing.replace(true) {
            let life = self.clone();
            io::spawn(async move {
                let _ = life.write_checkpoints().await;
                life.is_checkpointing.set(false);
            });
        }
    }

    /// Writes the checkpoints once those that are being written are.
    pub async fn checkpoint(&self) -> Result<()> {
        while self.is_checkpointing.replace(true) {
            rest().await;
        }
        let written = self.write_checkpoints().await;
        self.is_checkpointing.set(false);
        written
    }

    /// As core 0 does: taken together, then written one after the other.
    async fn write_checkpoints(&self) -> Result<()> {
        let offsets = self.with(|log| {
            [
                (dir::RECOVERY_POINTS, Some(log.recovery_point())),
                (dir::START_OFFSETS, log.start_to_checkpoint()),
                (dir::CLEANED, log.cleaned_to()),
            ]
        });
        for (name, offset) in offsets {
            let offsets: Offsets = offset.map(|offset| (key(), offset)).into_iter().collect();
            let text = checkpoint::encode_offsets(&offsets);
            io::write_whole(Path::new(DATA).join(name), text.into()).await?;
        }
        Ok(())
    }

    pub fn compact_beside(self: &Rc<Life>) {
        if !self.is_compacting.replace(true) {
            let life = self.clone();
            io::spawn(async move {
                match life.compact().await {
                    Err(CompactionError::InDoubt(_)) => life.doubt().await,
                    Ok(()) | Err(_) => {
                        life.is_compacting.set(false);
                        life.checkpoint_beside();
                    }
                }
            });
        }
    }

    async fn compact(&self) -> std::result::Result<(), CompactionError> {
        let now = wall_now();
        let rules = self.plan.compaction;
        let stable_end = Offset(self.story().durable_stable_end());
        let dirt = self.with(|log| log.dirt(&rules, stable_end, now));
        if dirt.cleanable_bytes == 0 {
            return Ok(());
        }
        self.story().is_compacted = true;
        let mut round = self.with(|log| log.begin_compaction(dirt, rules, now));
        let outcome = self.run_round(&mut round, now).await;
        let cleaned_to = outcome.as_ref().ok().copied();
        self.with(|log| log.end_compaction(cleaned_to));
        outcome.map(|_| self.story().counts.compactions += 1)
    }

    async fn run_round(
        &self,
        round: &mut ringlog::log::compaction::Round,
        now: Timestamp,
    ) -> std::result::Result<Offset, CompactionError> {
        let pace = Pace::new(f64::MAX);
        let keys = round.read_keys(self.plan.keys, &pace).await?;
        {
            let mut story = self.story();
            story.compacted_to = story.compacted_to.max(keys.latest().0 + 1);
        }
        let is_full = keys.latest() < Offset(round.dirt().first_uncleanable.0 - 1);
        self.story().counts.full_key_tables += u64::from(is_full);
        let mut groups = round.groups(&keys);
        loop {
            let compacted = match groups.compact_next(&pace).await {
                Ok(Some(compacted)) => compacted,
                Ok(None) => return Ok(groups.cleaned_to()),
                Err(error) => {
                    groups.remove_leftovers().await;
                    return Err(error);
                }
            };
            let placed = self.with(|log| log.place_compacted_now(&compacted, now));
            placed.map_err(CompactionError::InDoubt)?.run().await;
        }
    }

    /// Waits until nothing goes on beside.
    pub async fn come_to_rest(&self) {
        let goes_on = [
            &self.is_flushing,
            &self.is_kept_up,
            &self.is_checkpointing,
            &self.is_compacting,
        ];
        while goes_on.iter().any(|goes_on| goes_on.get()) {
            rest().await;
        }
    }

    /// Ends as a clean stop does.
    pub async fn close(&self, log_dir: LogDir) {
        self.come_to_rest().await;
        let log = self.log.borrow_mut().take().expect("it is open");
        let mut offsets = CheckpointedOffsets::default();
        offsets.recovery_points.insert(key(), log.end_offset());
        offsets
            .start_offsets
            .extend(log.start_to_checkpoint().map(|start| (key(), start)));
        offsets
            .cleaned
            .extend(log.cleaned_to().map(|cleaned| (key(), cleaned)));
        let Ok(left) = log.close().await else {
            return self.doubt().await;
        };
        let left = left.and_then(|left| Entry::new(PARTITION, &left));
        if log_dir.close_now(offsets, left.into_iter().collect(), 1).is_err() {
            return self.doubt().await;
        }
        let mut story = self.story();
        (story.flushed, story.start_sure) = (story.end, story.start);
        story.is_closed = true;
        story.counts.clean_stops += 1;
    }
}

/// A moment in which others go on.
pub async fn rest() {
    io::sleep(std::time::Duration::from_micros(50)).await;
}

impl LeftBehind {
    fn find() -> LeftBehind {
        let entries = io::fs::read_dir_now(partition_dir()).unwrap_or_default();
        let names: Vec<String> = entries
            .iter()
            .map(|entry| entry.name.to_string_lossy().into_owned())
            .collect();
        let is_spare = |name: &&String| name.ends_with(names::SPARE) || name.ends_with(names::NEXT);
        let has = |state: &str| names.iter().any(|name| name.ends_with(state));
        let epochs = io::fs::read_whole_now(partition_dir().join(names::LEADER_EPOCHS), 1 << 20);
        LeftBehind {
            epochs: String::from_utf8_lossy(&epochs.unwrap_or_default()).into_owned(),
            spares: names.iter().filter(is_spare).cloned().collect(),
            has_cleaned: has(names::CLEANED),
            has_swap: has(names::SWAP),
            names,
        }
    }

    fn count(&self, story: &mut Story) {
        story.counts.adoptable_spares += u64::from(!self.spares.is_empty());
        story.counts.interrupted_before_swap += u64::from(self.has_cleaned);
        story.counts.interrupted_after_swap += u64::from(self.has_swap && !self.has_cleaned);
    }
}
