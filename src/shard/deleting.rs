//! Deleting the oldest records of a partition on request, on the core that owns it.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::base::{Offset, TopicPartition};
use crate::partition::Refusal;

use super::Shard;
use super::controller::CONTROLLER_CORE;
use super::data_dirs::DirIndex;
use super::message::{Reply, Request};

impl Shard {
    /// Moves the start of a partition's log up to `before` ([`Offset::UNKNOWN`]: to its end), wherever the partition is; where it starts
    /// then. A crash may take it back until the next [`checkpoint`](Self::checkpoint).
    pub async fn delete_records(
        self: &Rc<Self>,
        partition: TopicPartition,
        before: Offset,
    ) -> Result<Offset, Refusal> {
        let owner = self.owner(partition);
        if owner == self.core {
            return self.delete_records_here(partition, before);
        }
        let request = Request::DeleteRecords { partition, before };
        match self.link.ask(owner, request).await {
            Reply::Start(start) => start,
            _ => unreachable!("records to delete are answered with the new start"),
        }
    }

    pub(super) fn delete_records_here(
        self: &Rc<Self>,
        partition: TopicPartition,
        before: Offset,
    ) -> Result<Offset, Refusal> {
        self.try_closed(partition);
        let mut owned = self.owned.borrow_mut();
        let absent = owned.why_absent(partition);
        let replica = owned.get_mut(partition).ok_or(absent)?;
        replica.delete_records(before)
    }

    /// Brings what all logs begin with, and what of them is on stable storage, to the checkpoints; the directories in which not all could
    /// be written.
    pub async fn checkpoint(self: &Rc<Self>) -> BTreeSet<DirIndex> {
        if self.core == CONTROLLER_CORE {
            return self.write_checkpoints().await;
        }
        match self.link.ask(CONTROLLER_CORE, Request::Checkpoint).await {
            Reply::Checkpointed(unwritten) => unwritten,
            _ => unreachable!("checkpoints are answered with what became of them"),
        }
    }
}
