//! What one group has committed, and what open transactions would commit for it (Kafka's `OffsetMetadataManager`, of one group).
//!
//! A pure machine. What is asked of it, a commit, a removal, a look for what is too old, gives records and an answer and changes
//! nothing. The owner appends the records in one batch and hands them back, with the offsets that they got, to [`Offsets::replay`]; so a
//! start that replays the log comes to the same state. An answer may leave once everything replayed before it is committed in the log;
//! that goes for [`Offsets::fetch`] too, or a reader could be told of a commit that a crash takes back.
//!
//! Who may commit, and to which topics a group is subscribed, only the group's own machine knows: it is asked by the caller.
//!
//! Bounds: there are at most as many offsets as partitions that somebody was allowed to name, and as many pending ones again for each open
//! transaction. A text beside an offset has at most `offset.metadata.max.bytes`.

mod commit;
mod expiry;
#[cfg(test)]
mod model;
mod pending;
mod removal;
#[cfg(test)]
mod tests;
mod topic_map;

use crate::base::{LeaderEpoch, Offset, PartitionIndex, ProducerId, Timestamp, TopicId};
use crate::wire::ErrorCode;
use crate::wire::messages::{
    LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitKey, OffsetCommitValue,
};

pub use commit::{Commit, CommitError, CommitKind, CommitRules};
pub use expiry::{Expired, Holder};
pub use removal::DeleteError;

use crate::group::record::GroupRecord;
use pending::Pending;
use topic_map::TopicMap;

/// What was decided: records for one atomic batch, and the answer that may leave once they are committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<A> {
    pub records: Vec<GroupRecord<'static>>,
    pub answer: A,
}

/// The offsets of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Offsets {
    group: Box<str>,
    committed: TopicMap<CommittedOffset>,
    pending: Pending,
}

/// An offset that was committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Where the group goes on reading. Whatever the member said: also one that the log does not have.
    pub offset: Offset,
    /// The leader epoch of the last record that it read, or [`LeaderEpoch::NONE`] (KIP-320).
    pub leader_epoch: LeaderEpoch,
    /// The member's own text.
    pub metadata: Box<str>,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When it expires whatever the broker's retention is; only clients before OffsetCommit 5 say so (KIP-211).
    pub expires_at: Option<Timestamp>,
    /// The topic's id, or [`TopicId::ZERO`] if the commit had none.
    pub topic_id: TopicId,
    /// Where its record stands in the group's partition of `__consumer_offsets`. Of two commits the one behind counts, although a transaction's
    /// may come to count later.
    pub recorded_at: Offset,
}

/// What there is for a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched<'a> {
    Committed(&'a CommittedOffset),
    /// Nothing was committed, or for another topic of that name. Kafka's clients are told −1, an epoch of −1 and an empty text, without an error.
    Nothing,
    /// A transaction that is still open may change it (KIP-447).
    Unstable,
}

impl Fetched<'_> {
    /// The partition's error in the answer.
    pub fn error(&self) -> ErrorCode {
        match self {
            Fetched::Unstable => ErrorCode::UNSTABLE_OFFSET_COMMIT,
            Fetched::Committed(_) | Fetched::Nothing => ErrorCode::NONE,
        }
    }
}

impl Offsets {
    /// Those of the group of this name: none yet.
    pub fn of_group(group: &str) -> Self {
        Offsets {
            group: group.into(),
            committed: TopicMap::default(),
            pending: Pending::default(),
        }
    }

    /// Whether nothing is committed and nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// The producers whose open transactions would commit something here: whose markers must be told to this group.
    pub fn open_transactions(&self) -> impl Iterator<Item = ProducerId> {
        self.pending.producers()
    }

    /// What OffsetFetch answers for a partition. A `topic_id` that is not zero must be the one that was committed, if one was.
    pub fn fetch(
        &self,
        topic: &str,
        topic_id: TopicId,
        partition: PartitionIndex,
        require_stable: bool,
    ) -> Fetched<'_> {
        if require_stable && self.pending.contains(topic, partition) {
            return Fetched::Unstable;
        }
        match self.committed.get(topic, partition) {
            Some(committed) if committed.is_of(topic_id) => Fetched::Committed(committed),
            _ => Fetched::Nothing,
        }
    }

    /// What OffsetFetch answers that names no topics: every partition with a committed offset. As in Kafka, one with nothing but a pending
    /// offset is not among them.
    pub fn fetch_all(
        &self,
        require_stable: bool,
    ) -> impl Iterator<Item = (&str, PartitionIndex, Fetched<'_>)> {
        self.committed.iter().map(move |(topic, partition, committed)| {
            let unstable = require_stable && self.pending.contains(topic, partition);
            let fetched = if unstable {
                Fetched::Unstable
            } else {
                Fetched::Committed(committed)
            };
            (topic, partition, fetched)
        })
    }

    /// Takes in a record of this group that stands in the log at `at`, in a batch of `producer` ([`ProducerId::NONE`] outside of transactions). What
    /// comes from a producer waits for the end of its transaction; a tombstone counts at once, and takes back what is pending too.
    pub fn replay(
        &mut self,
        at: Offset,
        producer: ProducerId,
        key: &OffsetCommitKey<'_>,
        value: Option<&OffsetCommitValue<'_>>,
    ) {
        let partition = PartitionIndex(key.partition);
        let Some(value) = value else {
            self.committed.remove(&key.topic, partition);
            self.pending.remove(&key.topic, partition);
            return;
        };
        let committed = CommittedOffset::recorded(at, value);
        if producer == ProducerId::NONE {
            self.committed.insert(&key.topic, partition, committed);
        } else {
            self.pending.insert(producer, &key.topic, partition, committed);
        }
    }

    /// The same for a record of the oldest kind, which Kafka still reads and does not write any more.
    pub fn replay_legacy(
        &mut self,
        at: Offset,
        producer: ProducerId,
        key: &LegacyOffsetCommitKey<'_>,
        value: Option<&LegacyOffsetCommitValue<'_>>,
    ) {
        let key = OffsetCommitKey {
            group: key.group.as_ref().into(),
            topic: key.topic.as_ref().into(),
            partition: key.partition,
        };
        let value = value.map(|value| OffsetCommitValue {
            offset: value.offset,
            metadata: value.metadata.as_ref().into(),
            commit_timestamp: value.commit_timestamp,
            ..Default::default()
        });
        self.replay(at, producer, &key, value.as_ref());
    }

    /// The log has the marker that commits what `producer` had pending: each offset counts that was written behind the one that counts now.
    pub fn replay_commit_marker(&mut self, producer: ProducerId) {
        for (topic, partition, offset) in self.pending.end(producer) {
            let newest = self.committed.get(&topic, partition);
            if newest.is_none_or(|newest| newest.recorded_at < offset.recorded_at) {
                self.committed.insert(&topic, partition, offset);
            }
        }
    }

    /// The log has the marker that aborts what `producer` had pending.
    pub fn replay_abort_marker(&mut self, producer: ProducerId) {
        self.pending.end(producer);
    }
}

impl CommittedOffset {
    fn recorded(at: Offset, value: &OffsetCommitValue<'_>) -> Self {
        CommittedOffset {
            offset: Offset(value.offset),
            leader_epoch: LeaderEpoch(value.leader_epoch),
            metadata: value.metadata.as_ref().into(),
            committed_at: Timestamp(value.commit_timestamp),
            expires_at: Some(Timestamp(value.expire_timestamp)).filter(|&expires| expires != Timestamp::NONE),
            topic_id: value.topic_id,
            recorded_at: at,
        }
    }

    /// Whether it may be the offset of this topic: where either id is not known, the name is all there is.
    fn is_of(&self, topic_id: TopicId) -> bool {
        self.topic_id.is_zero() || topic_id.is_zero() || self.topic_id == topic_id
    }
}

fn key_of(group: &str, topic: &str, partition: PartitionIndex) -> OffsetCommitKey<'static> {
    OffsetCommitKey {
        group: group.to_owned().into(),
        topic: topic.to_owned().into(),
        partition: partition.0,
    }
}
