//! Moving this core's partitions to other log directories while they are served (Kafka's `ReplicaManager.alterReplicaLogDirs` and
//! `ReplicaAlterLogDirsThread`, KIP-113): one at a time, the others wait.
//!
//! A move ends with its partition, with a stop of the node, by another one that names another directory, and by an error, which is told. Until
//! the copy takes the log's place, in one step of the core, the log is what it was; what there is of the copy then goes.

mod copying;
mod switching;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use crate::base::{Offset, TopicId, TopicPartition};
use crate::io::local::Notify;
use crate::io::{fs, has_disk_failed, random_uuid, spawn};
use crate::log::compaction::Pace;
use crate::log::header::BatchProblem;
use crate::log::{self, Log, LogError, names};
use crate::wire::ErrorCode;

use super::data_dirs::DirIndex;
use super::message::{Reply, Request};
use super::{CONTROLLER_CORE, Shard};

/// The moves of one core.
#[derive(Default)]
pub(super) struct Moving {
    /// Those that were asked for and have not begun. Bounded by the partitions of the core.
    waiting: RefCell<BTreeMap<TopicPartition, DirIndex>>,
    /// Where those are that have moved since the start: the image learns of it later. Bounded as those that wait.
    moved: RefCell<BTreeMap<TopicPartition, DirIndex>>,
    under_way: RefCell<Option<Move>>,
    is_running: Cell<bool>,
    /// The logs are about to be closed.
    is_over: Cell<bool>,
    changed: Notify,
}

/// The one that is under way.
struct Move {
    partition: TopicPartition,
    to: DirIndex,
    pace: Rc<Pace>,
    /// Where the copy is, once there is one; none again when it is the log.
    copy_dir: Option<PathBuf>,
    copy: Option<Log>,
    /// The log is to come to rest: nothing of its files is begun.
    is_switching: bool,
}

/// A replica that is to be in another directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Future {
    /// In this one.
    pub dir: DirIndex,
    /// The bytes that are there.
    pub size_bytes: u64,
    /// Where they end.
    pub end: Offset,
}

/// Why a move ended early. The partition is where it was.
enum MoveError {
    /// Nobody wants it any more, or its partition is gone.
    Stopped,
    /// The log begins behind the copy's end by now.
    Overtaken,
    /// The log can't be read.
    Source(io::Error),
    /// The log has a batch that is none.
    BadBatch {
        path: PathBuf,
        position: u64,
        problem: BatchProblem,
    },
    /// The log in this directory has nothing where it says that it has.
    NothingAt(PathBuf, Offset),
    /// The copy can't be written.
    Target(io::Error),
    /// The copy can't be made.
    Copy(LogError),
}

impl fmt::Display for MoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MoveError::Stopped => f.write_str("stopped"),
            MoveError::Overtaken => f.write_str("its records were deleted faster than they were copied"),
            MoveError::Source(error) | MoveError::Target(error) => write!(f, "{error}"),
            MoveError::BadBatch {
                path,
                position,
                problem,
            } => {
                write!(f, "{}: at byte {position}: {problem}", path.display())
            }
            MoveError::NothingAt(dir, offset) => {
                write!(f, "{}: no batch holds offset {offset}", dir.display())
            }
            MoveError::Copy(error) => write!(f, "{error}"),
        }
    }
}

impl Moving {
    /// Whether a partition's log is to come to rest, so that nothing of its files may be begun.
    pub fn is_switching(&self, partition: TopicPartition) -> bool {
        let under_way = self.under_way.borrow();
        let of_partition = under_way.as_ref().filter(|of| of.partition == partition);
        of_partition.is_some_and(|of| of.is_switching)
    }

    /// Waits until that is over.
    pub async fn switched(&self, partition: TopicPartition) {
        while self.is_switching(partition) {
            self.changed.notified().await;
        }
    }

    /// Whether a partition is being moved.
    pub fn is_moved(&self, partition: TopicPartition) -> bool {
        let under_way = self.under_way.borrow();
        under_way.as_ref().is_some_and(|of| of.partition == partition)
    }

    /// Calls `with` with the copy of a partition, and where it is, if it has one.
    pub fn with_copy<T>(
        &self,
        partition: TopicPartition,
        with: impl FnOnce(DirIndex, &mut Log) -> T,
    ) -> Option<T> {
        let mut under_way = self.under_way.borrow_mut();
        let of = under_way.as_mut().filter(|of| of.partition == partition)?;
        let copy = of.copy.as_mut()?;
        Some(with(of.to, copy))
    }

    /// Where a partition is to be, if it is to be elsewhere.
    fn target(&self, partition: TopicPartition) -> Option<DirIndex> {
        let waiting = self.waiting.borrow().get(&partition).copied();
        waiting.or_else(|| {
            let under_way = self.under_way.borrow();
            let of = under_way.as_ref().filter(|of| of.partition == partition)?;
            (!of.pace.is_stopped()).then_some(of.to)
        })
    }

    /// Where a partition is that has moved since the start.
    pub fn moved_to(&self, partition: TopicPartition) -> Option<DirIndex> {
        self.moved.borrow().get(&partition).copied()
    }

    /// Gives a partition's move up; one that is under way ends soon.
    fn give_up(&self, partition: TopicPartition) {
        self.waiting.borrow_mut().remove(&partition);
        let under_way = self.under_way.borrow();
        if let Some(of) = under_way.as_ref().filter(|of| of.partition == partition) {
            of.pace.stop();
        }
        self.changed.notify();
    }

    /// Gives up what was to go to a directory that is of no use any more.
    pub fn dir_failed(&self, dir: DirIndex) {
        self.waiting.borrow_mut().retain(|_, to| *to != dir);
        if let Some(of) = self.under_way.borrow().as_ref().filter(|of| of.to == dir) {
            of.pace.stop();
        }
        self.changed.notify();
    }

    /// A copy that the log has left behind is begun anew, unless something else is wanted by now.
    fn begin_again(&self, partition: TopicPartition, to: DirIndex) {
        if !self.is_over.get() {
            self.waiting.borrow_mut().entry(partition).or_insert(to);
        }
    }

    /// Forgets a topic that is gone.
    pub fn forget(&self, topic: TopicId) {
        for places in [&self.waiting, &self.moved] {
            let mut places = places.borrow_mut();
            places.retain(|partition, _| partition.topic != topic);
        }
    }

    fn begin_next(&self) -> Option<(TopicPartition, DirIndex)> {
        let (partition, to) = self.waiting.borrow_mut().pop_first()?;
        *self.under_way.borrow_mut() = Some(Move {
            partition,
            to,
            pace: Rc::new(Pace::new(f64::INFINITY)),
            copy_dir: None,
            copy: None,
            is_switching: false,
        });
        Some((partition, to))
    }

    /// Changes the move of a partition, which is under way.
    fn update<T>(&self, change: impl FnOnce(&mut Move) -> T) -> T {
        let changed = change(self.under_way.borrow_mut().as_mut().expect("it is under way"));
        self.changed.notify();
        changed
    }

    fn pace(&self) -> Rc<Pace> {
        let under_way = self.under_way.borrow();
        under_way.as_ref().expect("it is under way").pace.clone()
    }

    /// # Errors
    /// The move was given up.
    fn check_wanted(&self) -> Result<(), MoveError> {
        match self.pace().is_stopped() {
            true => Err(MoveError::Stopped),
            false => Ok(()),
        }
    }
}

impl Shard {
    /// Lets a partition's replica move to another log directory, wherever the partition is; when this returns, that has begun or waits.
    ///
    /// # Errors
    /// As Kafka's answer has them.
    pub async fn move_replica(
        self: &Rc<Self>,
        partition: TopicPartition,
        to: DirIndex,
    ) -> Result<(), ErrorCode> {
        let owner = self.owner(partition);
        if owner == self.core {
            return self.move_replica_here(partition, to);
        }
        match self.link.ask(owner, Request::MoveReplica { partition, to }).await {
            Reply::Moved(outcome) => outcome,
            _ => unreachable!("a replica to move is answered with its outcome"),
        }
    }

    pub(super) fn move_replica_here(
        self: &Rc<Self>,
        partition: TopicPartition,
        to: DirIndex,
    ) -> Result<(), ErrorCode> {
        let is_on_its_way = self.moving.target(partition) == Some(to);
        if !is_on_its_way {
            self.moving.give_up(partition);
        }
        self.try_closed(partition);
        let from = {
            let owned = self.owned.borrow();
            let Some(replica) = owned.get(partition) else {
                return Err(match owned.why_absent(partition) {
                    ErrorCode::NOT_LEADER_OR_FOLLOWER => ErrorCode::REPLICA_NOT_AVAILABLE,
                    absent => absent,
                });
            };
            self.dir_here(replica).filter(|_| !replica.is_offline())
        };
        if from == Some(to) || is_on_its_way {
            return Ok(());
        }
        // Where the files of a partition may be in a directory that is missing none are made, as in Kafka.
        if from.is_none() || !self.online_dirs.offline().is_empty() || self.moving.is_over.get() {
            return Err(ErrorCode::KAFKA_STORAGE_ERROR);
        }
        self.moving.waiting.borrow_mut().insert(partition, to);
        if !self.moving.is_running.replace(true) {
            spawn(self.clone().move_waiting());
        }
        Ok(())
    }

    async fn move_waiting(self: Rc<Self>) {
        while let Some((partition, to)) = self.moving.begin_next() {
            let outcome = self.move_one(partition, to).await;
            self.clear_up_after_move();
            match outcome {
                Ok(()) => self.tell_moved(partition, to).await,
                Err(MoveError::Overtaken) => self.moving.begin_again(partition, to),
                Err(error) => self.move_failed(partition, to, &error),
            }
        }
        self.moving.is_running.set(false);
    }

    async fn move_one(self: &Rc<Self>, partition: TopicPartition, to: DirIndex) -> Result<(), MoveError> {
        let came_from = self.begin_copy(partition, to).await?;
        self.copy_all(partition).await?;
        self.switch(partition, to, came_from).await
    }

    /// The move is no longer under way; what is left of its copy goes.
    fn clear_up_after_move(self: &Rc<Self>) {
        let ended = self.moving.under_way.borrow_mut().take();
        self.moving.changed.notify();
        let Some(ended) = ended else { return };
        self.keep_up(ended.partition);
        let is_there =
            |dir: &PathBuf| self.online_dirs.contains(ended.to) && fs::exists_now(dir).unwrap_or(false);
        if let Some(dir) = ended.copy_dir.filter(is_there) {
            match log::delete_now(&dir, random_uuid()) {
                Ok(removal) => _ = spawn(removal.run()),
                Err(error) => tracing::warn!("{} can't be removed: {error}", dir.display()),
            }
        }
    }

    fn move_failed(self: &Rc<Self>, partition: TopicPartition, to: DirIndex, error: &MoveError) {
        if matches!(error, MoveError::Stopped) {
            return;
        }
        let path = self.node.dirs.get(to).path.display();
        tracing::error!("{partition} stays where it is, and does not move to {path}: {error}");
        match error {
            MoveError::Source(error) => self.read_failed(partition, "a copy", error),
            MoveError::Target(error) | MoveError::Copy(LogError::Io { error, .. })
                if has_disk_failed(error) =>
            {
                self.fail_dir(to, format!("a copy of partition {partition}: {error}"));
            }
            _ => {}
        }
    }

    /// Brings to the metadata log where a partition is now. Where that can't be done, the next start does.
    async fn tell_moved(self: &Rc<Self>, partition: TopicPartition, dir: DirIndex) {
        if self.core == CONTROLLER_CORE {
            self.assign_replica(partition, dir).await;
        } else {
            let told = Request::ReplicaMoved { partition, dir };
            self.link.ask(CONTROLLER_CORE, told).await;
        }
    }

    /// Where this core's replica of a partition is to be, if it is to be elsewhere.
    pub(super) fn future_of(&self, partition: TopicPartition) -> Option<Future> {
        let dir = self.moving.target(partition)?;
        let copied = self.moving.with_copy(partition, |_, copy| Future {
            dir,
            size_bytes: copy.size_bytes(),
            end: copy.end_offset(),
        });
        copied.or_else(|| {
            let owned = self.owned.borrow();
            Some(Future {
                dir,
                size_bytes: 0,
                end: owned.get(partition)?.log().start_offset(),
            })
        })
    }

    /// Ends the move of a partition, if it has one: at the latest after one piece of its files.
    pub(super) async fn stop_moving(&self, partition: TopicPartition) {
        self.moving.give_up(partition);
        while self.moving.is_moved(partition) {
            self.moving.changed.notified().await;
        }
    }

    /// Begins no more, and ends what is under way.
    pub(super) async fn end_moving(&self) {
        self.moving.is_over.set(true);
        self.moving.waiting.borrow_mut().clear();
        let under_way = self.moving.under_way.borrow().as_ref().map(|of| of.partition);
        if let Some(partition) = under_way {
            self.stop_moving(partition).await;
        }
    }

    /// Where a partition's directory is in a log directory, or is to be; none of a topic that is gone.
    fn place_in(&self, dir: DirIndex, partition: TopicPartition) -> Option<PathBuf> {
        let image = self.image.borrow();
        let name = &image.topic(partition.topic)?.name;
        let name = names::partition_dir(name, partition.partition);
        Some(self.node.dirs.get(dir).path.join(name))
    }
}
