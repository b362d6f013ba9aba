//! What people are told of a group: ConsumerGroupDescribe's content, and the state that ListGroups names.

use super::record::MemberId;
use super::{Assignor, ConsumerGroup, Epoch, Member, Partitions, Settings, TopicView};
use crate::base::{PartitionIndex, TopicId};
use std::fmt;
use std::sync::Arc;

/// How far the group is (Kafka's `ConsumerGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// Nobody is in it.
    Empty,
    /// What members should have isn't of the group's epoch yet.
    Assigning,
    /// Some members are on their way to what they should have.
    Reconciling,
    /// All have what they should have.
    Stable,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which protocol a member uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberType {
    /// JoinGroup and SyncGroup.
    Classic,
    /// ConsumerGroupHeartbeat.
    Consumer,
}

impl MemberType {
    /// The number in ConsumerGroupDescribe (KIP-1099).
    pub fn number(self) -> i8 {
        match self {
            MemberType::Classic => 0,
            MemberType::Consumer => 1,
        }
    }
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// How far it is.
    pub state: GroupState,
    /// Its epoch.
    pub epoch: Epoch,
    /// The epoch of what members should have.
    pub assignment_epoch: Epoch,
    /// The assignor that says what they should have.
    pub assignor: Assignor,
    /// Its members, ascending by id.
    pub members: Vec<DescribedMember>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub id: MemberId,
    /// The instance id of a static member.
    pub instance_id: Option<Arc<str>>,
    /// Where it runs.
    pub rack_id: Option<Arc<str>>,
    /// The assignment that it has come to.
    pub epoch: Epoch,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// The address it calls from.
    pub client_host: Arc<str>,
    /// The topics that it reads by name, ascending.
    pub subscribed_topic_names: Vec<Arc<str>>,
    /// The regular expression whose topics it reads; empty for none.
    pub subscribed_topic_regex: Arc<str>,
    /// What it has, and what it still has to give up.
    pub assignment: Vec<NamedPartitions>,
    /// What it should have.
    pub target_assignment: Vec<NamedPartitions>,
    /// Which protocol it uses.
    pub member_type: MemberType,
}

/// Partitions of a topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPartitions {
    /// The topic.
    pub topic_id: TopicId,
    /// Its name.
    pub topic_name: String,
    /// Its partitions, ascending.
    pub partitions: Vec<PartitionIndex>,
}

impl ConsumerGroup {
    /// How far the group is. Goes over all members.
    pub fn state(&self) -> GroupState {
        let state = &self.state;
        if state.members.is_empty() {
            GroupState::Empty
        } else if state.epoch > state.assignment_epoch {
            GroupState::Assigning
        } else if state
            .members
            .values()
            .all(|member| member.is_reconciled_to(state.assignment_epoch))
        {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// All there is to say of the group. Topics that are gone are left out.
    pub fn describe(&self, settings: &Settings, topics: &dyn TopicView) -> DescribedGroup {
        DescribedGroup {
            state: self.state(),
            epoch: self.state.epoch,
            assignment_epoch: self.state.assignment_epoch,
            assignor: self.state.assignor(settings),
            members: self
                .members()
                .map(|member| self.describe_member(member, topics))
                .collect(),
        }
    }

    fn describe_member(&self, member: &Member, topics: &dyn TopicView) -> DescribedMember {
        let target = self.state.targets.get(&member.id);
        let mut has = member.assigned.partitions();
        for (topic, partition, _) in member.revoking.each() {
            has.add(topic, [partition]);
        }
        DescribedMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_topic_names: member.names.iter().cloned().collect(),
            subscribed_topic_regex: member.expression.clone(),
            assignment: named(&has, topics),
            target_assignment: named(target.map_or(Partitions::EMPTY, |target| target), topics),
            member_type: if member.uses_classic_protocol() {
                MemberType::Classic
            } else {
                MemberType::Consumer
            },
        }
    }
}

fn named(partitions: &Partitions, topics: &dyn TopicView) -> Vec<NamedPartitions> {
    let named = |(topic_id, partitions): (TopicId, &[PartitionIndex])| {
        Some(NamedPartitions {
            topic_id,
            topic_name: topics.name_of(topic_id)?.to_owned(),
            partitions: partitions.to_vec(),
        })
    };
    partitions.by_topic().filter_map(named).collect()
}
