//! What a consumer group writes into the group log: one value each for Kafka's records, with the fields of its schemas.
//!
//! The group's id is in each key and isn't repeated here. A value that is none is a tombstone.

use super::Epoch;
use crate::base::{PartitionIndex, Timestamp, TopicId};
use bytes::Bytes;
use std::sync::Arc;

/// A member's id: a name that the member gave itself or, in version 0 of its heartbeat, was given.
pub type MemberId = Arc<str>;

/// One record of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// `ConsumerGroupMemberMetadata`: who a member is and what it reads.
    MemberMetadata {
        /// The key's member.
        member_id: MemberId,
        /// The member, unless it is gone.
        value: Option<MemberMetadata>,
    },
    /// `ConsumerGroupMetadata`: the group's epoch. A tombstone ends the group.
    GroupMetadata(Option<GroupMetadata>),
    /// `ConsumerGroupPartitionMetadata`: what Kafka 4.0 kept the topics' partitions in. It is only ever taken away.
    PartitionMetadata {
        /// Whether there is one; only a tombstone is written.
        present: bool,
    },
    /// `ConsumerGroupTargetAssignmentMember`: what a member should have.
    TargetAssignmentMember {
        /// The key's member.
        member_id: MemberId,
        /// What it should have, unless it is gone.
        value: Option<TargetAssignmentMember>,
    },
    /// `ConsumerGroupTargetAssignmentMetadata`: which epoch what members should have is of.
    TargetAssignmentMetadata(Option<TargetAssignmentMetadata>),
    /// `ConsumerGroupCurrentMemberAssignment`: what a member has.
    CurrentMemberAssignment {
        /// The key's member.
        member_id: MemberId,
        /// What it has, unless it is gone.
        value: Option<CurrentMemberAssignment>,
    },
    /// `ConsumerGroupRegularExpression`: which topics a regular expression matches.
    RegularExpression {
        /// The key's expression.
        regular_expression: Arc<str>,
        /// What it matches, unless nobody uses it any more.
        value: Option<RegularExpression>,
    },
}

/// `ConsumerGroupMemberMetadataValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The instance id of a static member.
    pub instance_id: Option<Arc<str>>,
    /// Where it runs.
    pub rack_id: Option<Arc<str>>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// The address it calls from.
    pub client_host: Arc<str>,
    /// The topics that it reads, ascending.
    pub subscribed_topic_names: Vec<Arc<str>>,
    /// The regular expression whose topics it reads; Kafka writes an empty one for none.
    pub subscribed_topic_regex: Option<Arc<str>>,
    /// How long it may take to give up partitions.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it asked for.
    pub server_assignor: Option<Arc<str>>,
    /// What is known of a member that uses the classic protocol.
    pub classic_member_metadata: Option<ClassicMemberMetadata>,
}

/// `ClassicMemberMetadata`: what a member that uses the classic protocol joined with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMemberMetadata {
    /// Silence after which it is out.
    pub session_timeout_ms: i32,
    /// The protocols that it supports, the one it likes best first.
    pub supported_protocols: Vec<ClassicProtocol>,
}

/// A protocol of a classic member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicProtocol {
    /// Its name.
    pub name: Arc<str>,
    /// The member's subscription in the form of that protocol.
    pub metadata: Bytes,
}

/// `ConsumerGroupMetadataValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group's epoch.
    pub epoch: Epoch,
    /// What the topics that it reads looked like (KIP-1101).
    pub metadata_hash: i64,
}

/// `ConsumerGroupTargetAssignmentMemberValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAssignmentMember {
    /// What the member should have.
    pub topic_partitions: Vec<(TopicId, Vec<PartitionIndex>)>,
}

/// `ConsumerGroupTargetAssignmentMetadataValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetAssignmentMetadata {
    /// The epoch that the assignment was made for.
    pub assignment_epoch: Epoch,
    /// When it was made; 0 when that isn't known.
    pub assignment_timestamp: Timestamp,
}

/// `ConsumerGroupCurrentMemberAssignmentValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentMemberAssignment {
    /// The epoch that the member is told.
    pub member_epoch: Epoch,
    /// The one that it was told before, should the last answer have been lost.
    pub previous_member_epoch: Epoch,
    /// A number of [`super::MemberState`].
    pub state: i8,
    /// What it has.
    pub assigned_partitions: Vec<TopicPartitions>,
    /// What it has to give up.
    pub partitions_pending_revocation: Vec<TopicPartitions>,
}

/// Partitions of one topic in a [`CurrentMemberAssignment`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// The topic.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<PartitionIndex>,
    /// The epoch of the assignment that gave each; none in records of before Kafka 4.3.
    pub assignment_epochs: Option<Vec<Epoch>>,
}

/// `ConsumerGroupRegularExpressionValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegularExpression {
    /// The topics that it matches, ascending.
    pub topics: Vec<Arc<str>>,
    /// How far the metadata had come.
    pub version: i64,
    /// When it was matched.
    pub timestamp: Timestamp,
}
