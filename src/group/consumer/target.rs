//! What each member should have: the group's target assignment (Kafka's `TargetAssignmentBuilder`).

use super::assignor::{Assignor, Reader, Readers, Topic};
use super::record::{MemberId, Record, TargetAssignmentMember, TargetAssignmentMetadata};
use super::state::State;
use super::{Epoch, Member, Now, Partitions, Settings, TopicView};
use crate::base::{Timestamp, TopicId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A target assignment for `epoch` of the group as it is with `updated`, which takes the place of `replaced`.
pub(super) struct NewTarget {
    /// A record for each member whose target is another one now, and one for the assignment.
    pub records: Vec<Record>,
    /// What the updated member should have.
    pub of_updated: Partitions,
}

/// A member as the assignor is to see it: the updated one has the target of the one whose place it takes.
struct Candidate<'a> {
    member: &'a Member,
    target: &'a Partitions,
}

/// What a member reads: a set of names, told by its place since members share it, and an expression.
type Subscription = (*const BTreeSet<Arc<str>>, Arc<str>);

impl State {
    /// Whether enough time has passed since the last assignment (KIP-1263). A clock that was set back doesn't hold one up, as it does in
    /// Kafka.
    pub fn may_assign(&self, now: Timestamp, settings: &Settings) -> bool {
        let last = self.assignment_timestamp;
        let next = last.0.saturating_add(i64::from(settings.assignment_interval_ms));
        last.0 == 0 || now < last || now.0 >= next
    }

    /// See [`NewTarget`].
    pub fn new_target(
        &self,
        updated: &Member,
        replaced: Option<&MemberId>,
        epoch: Epoch,
        now: Now,
        settings: &Settings,
        topics: &dyn TopicView,
    ) -> NewTarget {
        let candidates = self.candidates(updated, replaced);
        let assignor = preferred_assignor(candidates.iter().map(|candidate| candidate.member), settings);
        let targets = assignor.assign(&self.readers(&candidates, topics));
        let mut records = Vec::new();
        let mut of_updated = Partitions::default();
        for (candidate, target) in candidates.iter().zip(targets) {
            let id = &candidate.member.id;
            if self.targets.get(id).is_none_or(|known| **known != target) {
                records.push(target_record(id, &target));
            }
            if *id == updated.id {
                of_updated = target;
            }
        }
        records.push(Record::TargetAssignmentMetadata(Some(TargetAssignmentMetadata {
            assignment_epoch: epoch,
            assignment_timestamp: now.wall,
        })));
        NewTarget { records, of_updated }
    }

    /// All members, ascending by id.
    fn candidates<'a>(&'a self, updated: &'a Member, replaced: Option<&MemberId>) -> Vec<Candidate<'a>> {
        let others = self
            .members
            .values()
            .filter(|member| member.id != updated.id && Some(&member.id) != replaced);
        let other = |member: &'a Member| Candidate {
            member,
            target: self
                .targets
                .get(&member.id)
                .map_or(Partitions::EMPTY, |target| target),
        };
        let target = self.target_of(updated);
        let mut candidates = vec![Candidate {
            member: updated,
            target,
        }];
        candidates.extend(others.map(other));
        candidates.sort_unstable_by(|a, b| a.member.id.cmp(&b.member.id));
        candidates
    }

    /// The assignor that the members ask for.
    pub fn assignor(&self, settings: &Settings) -> Assignor {
        preferred_assignor(self.members.values(), settings)
    }

    /// The group as the assignor sees it: topics that exist, and each subscription once.
    fn readers<'a>(&'a self, candidates: &[Candidate<'a>], view: &dyn TopicView) -> Readers<'a> {
        let mut subscriptions: BTreeMap<Subscription, usize> = BTreeMap::new();
        let mut read: Vec<Vec<Topic>> = Vec::new();
        let members = candidates.iter().map(|candidate| {
            let member = candidate.member;
            let key = (Arc::as_ptr(&member.names), member.expression.clone());
            let subscription = *subscriptions.entry(key).or_insert_with(|| {
                read.push(self.existing_topics_of(member, view));
                read.len() - 1
            });
            Reader {
                member_id: &member.id,
                instance_id: member.instance_id.as_deref(),
                subscription,
                target: candidate.target,
            }
        });
        let mut members: Vec<Reader<'a>> = members.collect();
        let topics: BTreeMap<TopicId, Topic> =
            read.iter().flatten().map(|topic| (topic.id, *topic)).collect();
        let index: BTreeMap<TopicId, usize> = topics.keys().copied().zip(0..).collect();
        let indices = |read: Vec<Topic>| {
            read.iter()
                .map(|topic| index[&topic.id])
                .collect::<BTreeSet<usize>>()
        };
        let (subscriptions, place) = without_doubles(read.into_iter().map(indices));
        for member in &mut members {
            member.subscription = place[member.subscription];
        }
        Readers {
            topics: topics.into_values().collect(),
            subscriptions,
            members,
        }
    }

    fn existing_topics_of(&self, member: &Member, view: &dyn TopicView) -> Vec<Topic> {
        let existing = self.topics_of(member).filter_map(|name| view.by_name(name));
        let topic = |shape: super::TopicShape| Topic {
            id: shape.id,
            partitions: shape.partitions,
        };
        existing.map(topic).collect()
    }
}

/// The assignor that most members ask for; of equals the first of the setting, which is also for those who ask for none.
fn preferred_assignor<'a>(members: impl Iterator<Item = &'a Member>, settings: &Settings) -> Assignor {
    let asked = members.filter_map(|member| member.server_assignor.as_deref());
    let asked: Vec<Assignor> = asked.filter_map(Assignor::by_name).collect();
    let votes = |assignor: &Assignor| asked.iter().filter(|a| *a == assignor).count();
    // The last of equals is taken: so the first of the setting comes last.
    let preferred = settings
        .assignors
        .iter()
        .rev()
        .max_by_key(|assignor| votes(assignor));
    preferred.copied().unwrap_or(Assignor::Uniform)
}

/// Each set once, and at which place that of each index is now: members that read the same by other words count as reading the same.
fn without_doubles(sets: impl Iterator<Item = BTreeSet<usize>>) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut known: BTreeMap<BTreeSet<usize>, usize> = BTreeMap::new();
    let mut once = Vec::new();
    let mut place = Vec::new();
    for set in sets {
        let at = *known.entry(set).or_insert_with_key(|set| {
            once.push(set.iter().copied().collect());
            once.len() - 1
        });
        place.push(at);
    }
    (once, place)
}

/// The record of what `member` should have.
pub(super) fn target_record(member: &MemberId, target: &Partitions) -> Record {
    let topic_partitions = target
        .by_topic()
        .map(|(topic, partitions)| (topic, partitions.to_vec()))
        .collect();
    Record::TargetAssignmentMember {
        member_id: member.clone(),
        value: Some(TargetAssignmentMember { topic_partitions }),
    }
}
