//! Offsets that somebody takes away: OffsetDelete, the end of a group, the end of a topic.

use super::{Decision, Offsets, key_of};
use crate::base::{PartitionIndex, TopicId};
use crate::group::record::GroupRecord;
use crate::wire::ErrorCode;

/// Why a partition's offset is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteError {
    /// A member of the group is subscribed to the topic.
    Subscribed,
}

impl DeleteError {
    pub fn code(self) -> ErrorCode {
        match self {
            DeleteError::Subscribed => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
        }
    }
}

impl Offsets {
    /// OffsetDelete (KIP-496): tombstones for the partitions, and for each of them, in order, whether it was allowed. Where there is nothing to
    /// delete there is no tombstone, and no error.
    pub fn delete<'a>(
        &self,
        partitions: impl IntoIterator<Item = (&'a str, PartitionIndex)>,
        is_subscribed: impl Fn(&str) -> bool,
    ) -> Decision<Vec<Result<(), DeleteError>>> {
        let mut records = Vec::new();
        let answer = partitions.into_iter().map(|(topic, partition)| {
            if is_subscribed(topic) {
                return Err(DeleteError::Subscribed);
            }
            if self.committed.contains(topic, partition) || self.pending.contains(topic, partition) {
                records.push(self.tombstone(topic, partition));
            }
            Ok(())
        });
        let answer = answer.collect();
        Decision { records, answer }
    }

    /// The tombstones of everything, for a group that is deleted: one for each partition.
    pub fn delete_all(&self) -> Vec<GroupRecord<'static>> {
        let committed = self
            .committed
            .iter()
            .map(|(topic, partition, _)| (topic, partition));
        let pending = self.pending.partitions();
        let only_pending = pending.filter(|&(topic, partition)| !self.committed.contains(topic, partition));
        let partitions = committed.chain(only_pending);
        partitions
            .map(|(topic, partition)| self.tombstone(topic, partition))
            .collect()
    }

    /// The tombstones of what was committed, or is pending, for a topic that was deleted. What is known to be another topic's of the same name
    /// stays.
    pub fn delete_topic(&self, topic: &str, topic_id: TopicId) -> Vec<GroupRecord<'static>> {
        let offsets = self.committed.of_topic(topic).chain(self.pending.of_topic(topic));
        let its_own = offsets.filter(|(_, offset)| offset.is_of(topic_id));
        let mut partitions: Vec<PartitionIndex> = its_own.map(|(partition, _)| partition).collect();
        partitions.sort();
        partitions.dedup();
        let tombstones = partitions.into_iter();
        tombstones
            .map(|partition| self.tombstone(topic, partition))
            .collect()
    }

    pub(super) fn tombstone(&self, topic: &str, partition: PartitionIndex) -> GroupRecord<'static> {
        GroupRecord::OffsetCommit(key_of(&self.group, topic, partition), None)
    }
}
