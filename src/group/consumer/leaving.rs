//! How members go: by themselves, or because they are fenced.

use super::record::{GroupMetadata, MemberId, Record};
use super::state::State;
use super::topics::metadata_hash;
use super::{Answer, Epoch, Heartbeat, Member, Refusal, TopicView};
use crate::wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What comes of a member's wish to leave.
pub(super) struct Left<'a> {
    pub member: &'a Member,
    pub records: Vec<Record>,
    pub answer: Answer,
}

impl State {
    /// The member that says it leaves goes, or is away for a while.
    ///
    /// # Errors
    ///
    /// UNKNOWN_MEMBER_ID; FENCED_INSTANCE_ID if the instance id is another member's by now.
    pub fn leave(&self, heartbeat: &Heartbeat, topics: &dyn TopicView) -> Result<Left<'_>, Refusal> {
        let member = match &heartbeat.instance_id {
            None => self.known_member(&heartbeat.member_id)?,
            Some(instance_id) => self.known_static_member(instance_id, &heartbeat.member_id)?,
        };
        let records = if heartbeat.instance_id.is_some() && heartbeat.member_epoch == Epoch::STATIC_LEAVE {
            vec![member.away().assignment_record()]
        } else {
            self.fence(&[member], topics)
        };
        let answer = Answer {
            member_id: member.id.clone(),
            member_epoch: heartbeat.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        Ok(Left {
            member,
            records,
            answer,
        })
    }

    /// # Errors
    ///
    /// UNKNOWN_MEMBER_ID.
    pub fn known_member(&self, id: &str) -> Result<&Member, Refusal> {
        let unknown = || {
            Refusal::new(
                ErrorCode::UNKNOWN_MEMBER_ID,
                format!("Member {id} is not in the group."),
            )
        };
        self.members.get(id).ok_or_else(unknown)
    }

    /// # Errors
    ///
    /// UNKNOWN_MEMBER_ID; FENCED_INSTANCE_ID if the instance id is another member's by now.
    pub fn known_static_member(&self, instance_id: &str, id: &str) -> Result<&Member, Refusal> {
        let Some(member) = self.static_member(instance_id) else {
            let message = format!("Instance id {instance_id} is not known.");
            return Err(Refusal::new(ErrorCode::UNKNOWN_MEMBER_ID, message));
        };
        if &*member.id != id {
            let message = format!(
                "Instance id {instance_id} of member {id} is member {}'s by now.",
                member.id
            );
            return Err(Refusal::new(ErrorCode::FENCED_INSTANCE_ID, message));
        }
        Ok(member)
    }

    /// The records that take `members` out of the group, and what they have from them.
    pub fn fence(&self, members: &[&Member], topics: &dyn TopicView) -> Vec<Record> {
        let mut records: Vec<Record> = members.iter().flat_map(|member| tombstones(&member.id)).collect();
        let dropped = self.expressions_only_of(members);
        records.extend(dropped.iter().map(expression_tombstone));
        let read = self.topics_read(members, None, &dropped);
        records.push(Record::GroupMetadata(Some(GroupMetadata {
            epoch: self.epoch.next(),
            metadata_hash: metadata_hash(read, topics),
        })));
        records
    }

    /// The regular expressions that nobody but `members` reads by.
    fn expressions_only_of(&self, members: &[&Member]) -> BTreeSet<Arc<str>> {
        let mut counts: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for expression in members.iter().filter_map(|member| member.expression()) {
            *counts.entry(expression).or_default() += 1;
        }
        let only_theirs = counts
            .into_iter()
            .filter(|(expression, count)| self.readers_by(expression) == *count);
        only_theirs.map(|(expression, _)| expression.clone()).collect()
    }

    /// The records that end the group. Nobody may be in it.
    pub fn end(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.resolved.keys().map(expression_tombstone).collect();
        records.push(Record::TargetAssignmentMetadata(None));
        records.push(Record::PartitionMetadata { present: false });
        records.push(Record::GroupMetadata(None));
        records
    }
}

/// The records that make a member one that never was; in the order in which Kafka insists on reading them.
pub(super) fn tombstones(member: &MemberId) -> [Record; 3] {
    [
        Record::CurrentMemberAssignment {
            member_id: member.clone(),
            value: None,
        },
        Record::TargetAssignmentMember {
            member_id: member.clone(),
            value: None,
        },
        Record::MemberMetadata {
            member_id: member.clone(),
            value: None,
        },
    ]
}

/// The record that nobody reads by this regular expression any more.
pub(super) fn expression_tombstone(expression: &Arc<str>) -> Record {
    Record::RegularExpression {
        regular_expression: expression.clone(),
        value: None,
    }
}
