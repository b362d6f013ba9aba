//! What the group log says of a consumer group.
//!
//! It changes by [`State::replay`] alone, the same while the group is loaded and while it runs.

use super::record::{MemberId, Record};
use super::regexes::Resolved;
use super::{Epoch, Held, Member, Partitions};
use crate::base::{PartitionIndex, Timestamp, TopicId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub epoch: Epoch,
    pub metadata_hash: i64,
    /// The epoch that `targets` are of. Invariant: at most `epoch`.
    pub assignment_epoch: Epoch,
    /// When they were made; 0 when that isn't known.
    pub assignment_timestamp: Timestamp,
    pub members: BTreeMap<MemberId, Member>,
    /// The members that have an instance id, by it.
    pub static_members: BTreeMap<Arc<str>, MemberId>,
    /// What each member should have.
    pub targets: BTreeMap<MemberId, Arc<Partitions>>,
    /// Who has each partition, or still has to give it up.
    owners: BTreeMap<TopicId, BTreeMap<PartitionIndex, MemberId>>,
    /// How many members read each topic by its name.
    names: BTreeMap<Arc<str>, usize>,
    /// How many members read each set of names: they share it.
    name_sets: BTreeMap<Arc<BTreeSet<Arc<str>>>, usize>,
    /// How many members read by each regular expression.
    pub expressions: BTreeMap<Arc<str>, usize>,
    pub resolved: BTreeMap<Arc<str>, Resolved>,
    /// Whether the log has a record that Kafka 4.0 left.
    pub has_partition_metadata: bool,
    /// Whether the group's last word was its tombstone.
    pub ended: bool,
}

impl Default for State {
    /// A group of which nothing is written yet.
    fn default() -> State {
        State {
            epoch: Epoch::FIRST,
            metadata_hash: 0,
            assignment_epoch: Epoch::FIRST,
            assignment_timestamp: Timestamp(0),
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            targets: BTreeMap::new(),
            owners: BTreeMap::new(),
            names: BTreeMap::new(),
            name_sets: BTreeMap::new(),
            expressions: BTreeMap::new(),
            resolved: BTreeMap::new(),
            has_partition_metadata: false,
            ended: false,
        }
    }
}

impl State {
    /// Applies one record. Any is taken: of what is gone, or was never there, a tombstone changes nothing.
    pub fn replay(&mut self, record: Record) {
        self.ended = false;
        match record {
            Record::MemberMetadata {
                member_id,
                value: Some(value),
            } => {
                let member = self.member_or_new(member_id).with_metadata(value);
                self.put(member);
            }
            Record::MemberMetadata {
                member_id,
                value: None,
            } => self.remove(&member_id),
            Record::CurrentMemberAssignment { member_id, value } => {
                if value.is_some() || self.members.contains_key(&member_id) {
                    let member = self.member_or_new(member_id).with_assignment(value);
                    self.put(member);
                }
            }
            Record::TargetAssignmentMember {
                member_id,
                value: Some(value),
            } => {
                let mut target = Partitions::default();
                for (topic, partitions) in value.topic_partitions {
                    target.add(topic, partitions);
                }
                self.targets.insert(member_id, Arc::new(target));
            }
            Record::TargetAssignmentMember {
                member_id,
                value: None,
            } => {
                self.targets.remove(&member_id);
            }
            Record::TargetAssignmentMetadata(value) => {
                self.assignment_epoch = value.map_or(Epoch(-1), |value| value.assignment_epoch);
                self.assignment_timestamp = value.map_or(Timestamp(0), |value| value.assignment_timestamp);
            }
            Record::RegularExpression {
                regular_expression,
                value: Some(value),
            } => {
                self.resolved.insert(regular_expression, value.into());
            }
            Record::RegularExpression {
                regular_expression,
                value: None,
            } => {
                self.resolved.remove(&regular_expression);
            }
            Record::PartitionMetadata { present } => self.has_partition_metadata = present,
            Record::GroupMetadata(Some(value)) => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            Record::GroupMetadata(None) => {
                *self = State {
                    ended: true,
                    ..State::default()
                };
            }
        }
    }

    fn member_or_new(&self, id: MemberId) -> Member {
        self.members.get(&id).cloned().unwrap_or_else(|| Member::new(id))
    }

    fn put(&mut self, mut member: Member) {
        let before = self.members.remove(&member.id);
        member.names = self.shared_names(before.as_ref(), &member);
        let expression_before = before.as_ref().and_then(Member::expression);
        count(&mut self.expressions, expression_before, member.expression());
        if let Some(before) = &before {
            self.forget_instance(before);
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        let has_the_same =
            |before: &Member| before.assigned == member.assigned && before.revoking == member.revoking;
        if !before.as_ref().is_some_and(has_the_same) {
            before.iter().for_each(|before| self.disown(before));
            self.own(&member.id, &member.assigned);
            self.own(&member.id, &member.revoking);
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Counts what `member` reads by name in place of what it read `before`. Returns the names, shared with who reads the same.
    fn shared_names(&mut self, before: Option<&Member>, member: &Member) -> Arc<BTreeSet<Arc<str>>> {
        if let Some(before) = before.filter(|before| before.names == member.names) {
            return before.names.clone();
        }
        self.count_names(before, Some(member));
        let shared = self.name_sets.get_key_value(&member.names);
        shared.map_or_else(|| member.names.clone(), |(names, _)| names.clone())
    }

    fn remove(&mut self, id: &MemberId) {
        self.targets.remove(id);
        let Some(member) = self.members.remove(id) else {
            return;
        };
        self.count_names(Some(&member), None);
        count(&mut self.expressions, member.expression(), None);
        self.forget_instance(&member);
        self.disown(&member);
    }

    fn count_names(&mut self, before: Option<&Member>, after: Option<&Member>) {
        let sets = (
            before.map(|member| &member.names),
            after.map(|member| &member.names),
        );
        count(&mut self.name_sets, sets.0, sets.1);
        for name in before.iter().flat_map(|member| member.names.iter()) {
            count(&mut self.names, Some(name), None);
        }
        for name in after.iter().flat_map(|member| member.names.iter()) {
            count(&mut self.names, None, Some(name));
        }
    }

    fn forget_instance(&mut self, member: &Member) {
        if let Some(instance_id) = &member.instance_id
            && self.static_members.get(instance_id) == Some(&member.id)
        {
            self.static_members.remove(instance_id);
        }
    }

    fn own(&mut self, id: &MemberId, held: &Held) {
        for (topic, partition, _) in held.each() {
            self.owners
                .entry(topic)
                .or_default()
                .insert(partition, id.clone());
        }
    }

    fn disown(&mut self, member: &Member) {
        for (topic, partition, _) in member.assigned.each().chain(member.revoking.each()) {
            let Some(partitions) = self.owners.get_mut(&topic) else {
                continue;
            };
            if partitions.get(&partition) == Some(&member.id) {
                partitions.remove(&partition);
            }
            if partitions.is_empty() {
                self.owners.remove(&topic);
            }
        }
    }

    /// Who has `partition`, or still has to give it up.
    pub fn owner(&self, topic: TopicId, partition: PartitionIndex) -> Option<&MemberId> {
        self.owners.get(&topic)?.get(&partition)
    }

    /// The static member of this instance id.
    pub fn static_member(&self, instance_id: &str) -> Option<&Member> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// What `member` should have: as a static one also what was meant for the member whose place it takes.
    pub fn target_of(&self, member: &Member) -> &Partitions {
        let holder = member
            .instance_id
            .as_ref()
            .and_then(|instance| self.static_members.get(instance));
        let target = self.targets.get(holder.unwrap_or(&member.id));
        target.map_or(Partitions::EMPTY, |target| target)
    }

    /// How many members read by `expression`.
    pub fn readers_by(&self, expression: &str) -> usize {
        self.expressions.get(expression).copied().unwrap_or(0)
    }

    /// Whether some member reads the topic of this name.
    pub fn reads(&self, name: &str) -> bool {
        self.names.contains_key(name)
            || self
                .resolved
                .values()
                .any(|resolved| resolved.topics.contains(name))
    }

    /// The names of the topics that the group reads without `gone`, with `come`, and without what the expressions in `dropped` match.
    pub fn topics_read<'a>(
        &'a self,
        gone: &[&Member],
        come: Option<&'a Member>,
        dropped: &BTreeSet<Arc<str>>,
    ) -> BTreeSet<&'a str> {
        let mut counts: BTreeMap<&str, usize> =
            self.names.iter().map(|(name, count)| (&**name, *count)).collect();
        for name in gone.iter().flat_map(|member| member.names.iter()) {
            if let Some(count) = counts.get_mut(&**name) {
                *count = count.saturating_sub(1);
            }
        }
        let by_name = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, _)| name);
        let come = come.into_iter().flat_map(|member| member.names.iter());
        let kept = self
            .resolved
            .iter()
            .filter(|(expression, _)| !dropped.contains(*expression));
        let matched = kept.flat_map(|(_, resolved)| &resolved.topics);
        by_name.chain(come.chain(matched).map(|name| &**name)).collect()
    }

    /// The names of the topics that `member` reads.
    pub fn topics_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Arc<str>> {
        let resolved = member
            .expression()
            .and_then(|expression| self.resolved.get(expression));
        member
            .names
            .iter()
            .chain(resolved.into_iter().flat_map(|resolved| &resolved.topics))
    }
}

fn count<K: Ord + Clone>(counts: &mut BTreeMap<K, usize>, before: Option<&K>, after: Option<&K>) {
    if before == after {
        return;
    }
    if let Some(before) = before
        && let Some(count) = counts.get_mut(before)
    {
        *count -= 1;
        if *count == 0 {
            counts.remove(before);
        }
    }
    if let Some(after) = after {
        *counts.entry(after.clone()).or_default() += 1;
    }
}
