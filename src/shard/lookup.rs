//! Finding an offset by time or by leader epoch, on the core that owns the partition.

use std::rc::Rc;

use crate::base::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use crate::log::EpochEnd;
use crate::partition::{Isolation, Refusal};
use crate::wire::ErrorCode;

use super::Shard;
use super::message::{Reply, Request};

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct FindOffset {
    /// Where.
    pub partition: TopicPartition,
    /// The leader epoch that the client knows, or [`LeaderEpoch::NONE`].
    pub current_epoch: LeaderEpoch,
    /// What.
    pub target: OffsetTarget,
    /// What the reader may see.
    pub isolation: Isolation,
}

/// The times that ListOffsets can ask for (Kafka's `ListOffsetsRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetTarget {
    /// The first record that is not older.
    Time(Timestamp),
    /// The end of what the reader may see.
    Latest,
    /// The log's start.
    Earliest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// In tiered storage, of which there is none (KIP-1005, KIP-1023).
    Tiered,
}

/// What was found; offset −1 when there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The record's timestamp, where one was asked for by time.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The leader epoch of that offset.
    pub leader_epoch: LeaderEpoch,
}

/// An epoch whose end to look for.
#[derive(Clone, Copy, Debug)]
pub struct FindEpochEnd {
    /// Where.
    pub partition: TopicPartition,
    /// The leader epoch that the client knows, or [`LeaderEpoch::NONE`].
    pub current_epoch: LeaderEpoch,
    /// Which epoch.
    pub epoch: LeaderEpoch,
}

impl Shard {
    /// Finds an offset, wherever the partition is.
    pub async fn find_offset(self: &Rc<Self>, find: FindOffset) -> Result<FoundOffset, Refusal> {
        let owner = self.owner(find.partition);
        if owner == self.core {
            return self.find_offset_here(find).await;
        }
        match self.link.ask(owner, Request::FindOffset(find)).await {
            Reply::Found(found) => found,
            _ => unreachable!("a look-up is answered with what was found"),
        }
    }

    pub(super) async fn find_offset_here(self: &Rc<Self>, find: FindOffset) -> Result<FoundOffset, Refusal> {
        self.try_closed(find.partition);
        let (plan, upper) = {
            let owned = self.owned.borrow();
            let partition = owned
                .get(find.partition)
                .ok_or_else(|| owned.why_absent(find.partition))?;
            partition.check_epoch(find.current_epoch)?;
            let marks = partition.marks();
            let upper = marks.visible_end(find.isolation);
            let at = |offset, leader_epoch| {
                Ok(FoundOffset {
                    timestamp: Timestamp::NONE,
                    offset,
                    leader_epoch,
                })
            };
            let plan = match find.target {
                OffsetTarget::Latest => return at(upper, partition.leader_epoch()),
                OffsetTarget::Earliest => {
                    let epoch = partition.log().epoch_of(marks.start_offset);
                    return at(marks.start_offset, epoch.unwrap_or(LeaderEpoch::NONE));
                }
                OffsetTarget::Tiered => return at(Offset::UNKNOWN, LeaderEpoch::NONE),
                OffsetTarget::Time(timestamp) => partition.log().offset_for_timestamp(timestamp),
                OffsetTarget::MaxTimestamp => partition.log().offset_of_max_timestamp(),
            };
            (plan, upper)
        };
        let outcome = match plan {
            Ok(plan) => plan.run().await,
            Err(error) => Err(error),
        };
        match outcome {
            // What the reader can't see yet isn't found either.
            Ok(Some(found)) if found.offset < upper => Ok(FoundOffset {
                timestamp: found.timestamp,
                offset: found.offset,
                leader_epoch: found.leader_epoch,
            }),
            Ok(_) => Ok(FoundOffset {
                timestamp: Timestamp::NONE,
                offset: Offset::UNKNOWN,
                leader_epoch: LeaderEpoch::NONE,
            }),
            Err(error) => {
                tracing::error!("a look-up in the log of {} failed: {error}", find.partition);
                self.read_failed(find.partition, "a look-up", &error);
                Err(ErrorCode::KAFKA_STORAGE_ERROR.into())
            }
        }
    }

    /// Finds where an epoch ends, wherever the partition is.
    pub async fn find_epoch_end(self: &Rc<Self>, find: FindEpochEnd) -> Result<Option<EpochEnd>, Refusal> {
        let owner = self.owner(find.partition);
        if owner == self.core {
            return self.find_epoch_end_here(find);
        }
        match self.link.ask(owner, Request::FindEpochEnd(find)).await {
            Reply::EpochEnd(found) => found,
            _ => unreachable!("a look-up of an epoch is answered with its end"),
        }
    }

    pub(super) fn find_epoch_end_here(
        self: &Rc<Self>,
        find: FindEpochEnd,
    ) -> Result<Option<EpochEnd>, Refusal> {
        self.try_closed(find.partition);
        let owned = self.owned.borrow();
        let partition = owned
            .get(find.partition)
            .ok_or_else(|| owned.why_absent(find.partition))?;
        partition.check_epoch(find.current_epoch)?;
        Ok(partition.log().epoch_end_offset(find.epoch))
    }
}
