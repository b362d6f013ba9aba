//! A log directory that fails while the node serves (Kafka's `LogDirFailureChannel` and `ReplicaManager.handleLogDirFailure`).
//!
//! What failed is not tried again as if it hadn't: the core that saw it closes all its partitions of that directory in the same step, and tells
//! core 0. Core 0 tells the operator and every other core, then the metadata: the directory is no longer the broker's, and its partitions
//! have no leader. Without the metadata log's directory, or any at all, the node can't serve and ends.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use crate::base::{TopicId, TopicPartition};
use crate::io::local::Notify;
use crate::io::{has_disk_failed, may_pass, spawn};
use crate::metadata::controller::{self, RECORDS_PER_REQUEST_MAX};
use crate::partition::{Partition, Refusal};

use super::data_dirs::DirIndex;
use super::message::Request;
use super::{CONTROLLER_CORE, Shard};

/// What core 0 knows of failures.
#[derive(Default)]
pub(super) struct Failures {
    /// The directories that were reported.
    reported: RefCell<BTreeSet<DirIndex>>,
    /// Why the node has to end.
    fatal: RefCell<Option<String>>,
    /// All cores have opened their partitions: from here on they can be told of changes.
    is_open: Cell<bool>,
    changed: Notify,
}

impl Shard {
    /// A write or a flush of a partition's files has failed. Unless that passes, its directory goes offline.
    pub(super) fn write_failed(
        self: &Rc<Self>,
        partition: TopicPartition,
        doing: &'static str,
        error: &io::Error,
    ) {
        if !may_pass(error) {
            self.fail_dir_of(partition, &format!("{doing}: {error}"));
        }
    }

    /// A read of a partition's files has failed. If the disk has, its directory goes offline.
    pub(super) fn read_failed(
        self: &Rc<Self>,
        partition: TopicPartition,
        doing: &'static str,
        error: &io::Error,
    ) {
        if has_disk_failed(error) {
            self.fail_dir_of(partition, &format!("{doing}: {error}"));
        }
    }

    /// Takes the directory of an open partition offline; of one that is closed it is already.
    pub(super) fn fail_dir_of(self: &Rc<Self>, partition: TopicPartition, why: &str) {
        let dir = self
            .owned
            .borrow()
            .get(partition)
            .and_then(|replica| self.dir_here(replica));
        if let Some(dir) = dir {
            self.fail_dir(dir, format!("partition {partition}: {why}"));
        }
    }

    /// The directory that an open partition lies in.
    pub(super) fn dir_here(&self, replica: &Partition) -> Option<DirIndex> {
        self.node.dirs.by_path(replica.log().dir().parent()?)
    }

    /// Takes a directory offline, here at once.
    pub(super) fn fail_dir(self: &Rc<Self>, dir: DirIndex, reason: String) {
        if !self.close_dir_here(dir) {
            return;
        }
        let shard = self.clone();
        spawn(async move {
            match shard.core == CONTROLLER_CORE {
                true => shard.dir_has_failed(dir, reason).await,
                false => {
                    _ = shard
                        .link
                        .ask(CONTROLLER_CORE, Request::DirFailed { dir, reason })
                        .await
                }
            }
        });
    }

    /// Closes this core's partitions of a directory; false when that was done before.
    pub(super) fn close_dir_here(&self, dir: DirIndex) -> bool {
        let is_news = self.online_dirs.remove(dir);
        if is_news {
            let path = &self.node.dirs.get(dir).path;
            self.owned.borrow_mut().close_dir(path);
            self.moving.dir_failed(dir);
        }
        is_news
    }

    /// Core 0 learns of a failure, maybe not for the first time.
    pub(super) async fn dir_has_failed(self: &Rc<Self>, dir: DirIndex, reason: String) {
        self.close_dir_here(dir);
        if !self.failures.reported.borrow_mut().insert(dir) {
            return;
        }
        let path = self.node.dirs.get(dir).path.display();
        if *self.node.dirs.get(dir).path == self.node.metadata_dir.path {
            return self.end_node(format!(
                "log directory {path} has failed, and the metadata log is in it: {reason}"
            ));
        }
        if self.online_dirs.count() == 0 {
            return self.end_node(format!(
                "log directory {path} has failed, and no other is left: {reason}"
            ));
        }
        tracing::error!(
            "log directory {path} has failed and is offline until the next start, and its partitions with it: {reason}"
        );
        while !self.failures.is_open.get() {
            self.failures.changed.notified().await;
        }
        self.ask_peers(|| Request::CloseDir(dir)).await;
        if let Err(refusal) = self.tell_offline_dirs().await {
            tracing::error!(
                "that {path} is offline could not be brought to the metadata log: {:?}",
                refusal.message
            );
        }
    }

    /// Brings to the metadata log which directories are left, and that nobody leads what lies in others.
    pub(super) async fn tell_offline_dirs(self: &Rc<Self>) -> Result<(), Refusal> {
        let Some(controller) = self.controller() else {
            return Ok(());
        };
        let (online, node) = (self.online_ids(), self.node.id());
        let turn = controller.turn().await;
        let records = controller::keep_log_dirs(&self.image.borrow(), node, &online);
        self.commit(turn, records).await?;
        loop {
            let turn = controller.turn().await;
            let mut records = controller::leave_offline_directories(&self.image.borrow(), node);
            if records.is_empty() {
                return Ok(());
            }
            records.truncate(RECORDS_PER_REQUEST_MAX);
            self.commit(turn, records).await?;
        }
    }

    /// The ids of the directories that are online.
    pub(super) fn online_ids(&self) -> Vec<TopicId> {
        let found = self.node.dirs.found();
        let online = found.filter(|(dir, ..)| self.online_dirs.contains(*dir));
        online.map(|(_, _, found)| found.id).collect()
    }

    /// Brings to the metadata log which directories are cordoned, if that has changed with the settings (on core 0).
    pub(super) async fn tell_cordoned_dirs(self: &Rc<Self>) -> Result<(), Refusal> {
        let Some(controller) = self.controller() else {
            return Ok(());
        };
        let turn = controller.turn().await;
        let cordoned = self.node.cordoned(&self.config());
        let records = controller::cordon_log_dirs(&self.image.borrow(), self.node.id(), &cordoned);
        self.commit(turn, records).await
    }

    /// All cores have opened what they have (on core 0).
    ///
    /// # Errors
    /// Why the node can't go on, if what was met meanwhile is so bad.
    pub(super) fn all_are_open(&self) -> Result<(), String> {
        self.failures.is_open.set(true);
        self.failures.changed.notify();
        match self.failures.fatal.borrow_mut().take() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// Lets the node end, as if it were killed: nothing more is written (on core 0).
    pub(super) fn end_node(&self, reason: String) {
        self.failures.fatal.borrow_mut().get_or_insert(reason);
        self.failures.changed.notify();
    }

    /// What `future` comes to, unless the node has to end before.
    ///
    /// # Errors
    /// Why it has to; every other core knows by then that it ends.
    pub async fn unless_node_ends<T>(self: &Rc<Self>, future: impl Future<Output = T>) -> Result<T, String> {
        let reason = {
            let mut future = pin!(future);
            let mut failed = pin!(self.fatal_failure());
            let either = poll_fn(|cx| match failed.as_mut().poll(cx) {
                Poll::Ready(reason) => Poll::Ready(Err(reason)),
                Poll::Pending => future.as_mut().poll(cx).map(Ok),
            });
            match either.await {
                Ok(value) => return Ok(value),
                Err(reason) => reason,
            }
        };
        self.ask_peers(|| Request::End).await;
        self.order_stop();
        Err(reason)
    }

    async fn fatal_failure(&self) -> String {
        loop {
            if let Some(reason) = self.failures.fatal.borrow_mut().take() {
                return reason;
            }
            self.failures.changed.notified().await;
        }
    }
}
