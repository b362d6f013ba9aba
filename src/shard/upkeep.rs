//! Keeping the files of a core's partitions up beside everything else: see [`Log::begin_upkeep`](crate::log::Log::begin_upkeep).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::base::TopicPartition;
use crate::io::local::Notify;
use crate::io::{self, may_pass};

use super::Shard;

/// Partitions of a core that are kept up at once: enough to keep a device busy, few enough to leave it to the flushes that somebody waits for.
const AT_ONCE: usize = 8;

/// How long the system is given to have room on the disk, or descriptors, again.
const PAUSE: Duration = Duration::from_millis(500);

/// Which partitions are kept up, or wait for it.
#[derive(Default)]
pub(super) struct KeptUp {
    /// All of them. Bounded by the partitions of the core.
    partitions: RefCell<BTreeSet<TopicPartition>>,
    waiting: RefCell<VecDeque<TopicPartition>>,
    tasks: Cell<usize>,
    /// The logs are about to be closed.
    is_over: Cell<bool>,
    one_ended: Notify,
}

impl Shard {
    /// Begins what a partition's files need, if that is anything.
    pub(super) fn keep_up(self: &Rc<Self>, partition: TopicPartition) {
        let owned = self.owned.borrow();
        let is_due = owned.get(partition).is_some_and(|replica| replica.needs_upkeep());
        let kept_up = &self.kept_up;
        let is_held = kept_up.is_over.get() || self.moving.is_switching(partition);
        if !is_due || is_held || !kept_up.partitions.borrow_mut().insert(partition) {
            return;
        }
        kept_up.waiting.borrow_mut().push_back(partition);
        if kept_up.tasks.get() < AT_ONCE {
            kept_up.tasks.set(kept_up.tasks.get() + 1);
            io::spawn(self.clone().keep_up_waiting());
        }
    }

    async fn keep_up_waiting(self: Rc<Self>) {
        loop {
            let next = self.kept_up.waiting.borrow_mut().pop_front();
            let Some(partition) = next else { break };
            self.keep_up_until_done(partition).await;
            self.kept_up.partitions.borrow_mut().remove(&partition);
            self.kept_up.one_ended.notify();
        }
        self.kept_up.tasks.set(self.kept_up.tasks.get() - 1);
    }

    async fn keep_up_until_done(self: &Rc<Self>, partition: TopicPartition) {
        while !self.kept_up.is_over.get() && !self.moving.is_switching(partition) {
            let begun = match self.owned.borrow_mut().get_mut(partition) {
                None => return,
                Some(replica) => replica.begin_upkeep(),
            };
            let outcome = match begun {
                Ok(None) => return,
                Ok(Some(upkeep)) => upkeep.run().await,
                Err(error) => Err(error),
            };
            let ended = match self.owned.borrow_mut().get_mut(partition) {
                None => return,
                Some(replica) => replica.end_upkeep(outcome),
            };
            match ended {
                Ok(()) => {}
                Err(error) if may_pass(&error) => {
                    tracing::warn!("{partition}: its files wait: {error}");
                    io::sleep(PAUSE).await;
                }
                Err(error) => return self.write_failed(partition, "the upkeep of its files", &error),
            }
        }
    }

    /// Whether something of a partition's files is under way.
    pub(super) fn is_kept_up(&self, partition: TopicPartition) -> bool {
        self.kept_up.partitions.borrow().contains(&partition)
    }

    /// Waits until nothing of a partition's files is under way.
    pub(super) async fn upkeep_ended(&self, partition: TopicPartition) {
        while self.is_kept_up(partition) {
            self.kept_up.one_ended.notified().await;
        }
    }

    /// Begins no more, and waits for what is under way.
    pub(super) async fn end_upkeep(&self) {
        self.kept_up.is_over.set(true);
        while !self.kept_up.partitions.borrow().is_empty() {
            self.kept_up.one_ended.notified().await;
        }
    }
}
