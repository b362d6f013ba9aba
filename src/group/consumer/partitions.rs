//! Sets of partitions by topic: what a member should have, and what it has.

use super::Epoch;
use crate::base::{PartitionIndex, TopicId};
use std::collections::BTreeMap;

/// A set of partitions: what the group means a member to have, or what a member says that it has.
///
/// Invariant: each topic's partitions are ascending, without doubles, and at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions(BTreeMap<TopicId, Vec<PartitionIndex>>);

impl Partitions {
    /// No partition.
    pub const EMPTY: &'static Partitions = &Partitions(BTreeMap::new());

    /// Adds those of `partitions`, in any order, that aren't there yet.
    pub fn add(&mut self, topic: TopicId, partitions: impl IntoIterator<Item = PartitionIndex>) {
        let mut partitions = partitions.into_iter().peekable();
        if partitions.peek().is_none() {
            return;
        }
        let all = self.0.entry(topic).or_default();
        let ascending_from = all.len().saturating_sub(1);
        all.extend(partitions);
        if !all[ascending_from..].is_sorted_by(|a, b| a < b) {
            all.sort_unstable();
            all.dedup();
        }
    }

    /// Those of `topic`, ascending.
    pub fn of(&self, topic: TopicId) -> &[PartitionIndex] {
        self.0.get(&topic).map_or(&[], Vec::as_slice)
    }

    /// Whether `partition` of `topic` is among them.
    pub fn contains(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.of(topic).binary_search(&partition).is_ok()
    }

    /// Each topic with its partitions, ascending.
    pub fn by_topic(&self) -> impl Iterator<Item = (TopicId, &[PartitionIndex])> {
        self.0
            .iter()
            .map(|(topic, partitions)| (*topic, partitions.as_slice()))
    }

    /// Each partition with its topic.
    pub fn each(&self) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
        self.by_topic()
            .flat_map(|(topic, all)| all.iter().map(move |p| (topic, *p)))
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(TopicId, PartitionIndex)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (TopicId, PartitionIndex)>>(all: I) -> Partitions {
        let mut partitions = Partitions::default();
        for (topic, partition) in all {
            partitions.add(topic, [partition]);
        }
        partitions
    }
}

/// The partitions that a member has or gives up, each with the epoch of the assignment that gave it: a commit of an earlier one is
/// refused (KIP-1251).
///
/// Invariant: each topic has at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(BTreeMap<TopicId, BTreeMap<PartitionIndex, Epoch>>);

impl Held {
    /// Adds `partition`, given by the assignment of `epoch`.
    pub fn add(&mut self, topic: TopicId, partition: PartitionIndex, epoch: Epoch) {
        self.0.entry(topic).or_default().insert(partition, epoch);
    }

    /// The epoch of the assignment that gave `partition`, if it is there.
    pub fn epoch_of(&self, topic: TopicId, partition: PartitionIndex) -> Option<Epoch> {
        self.0.get(&topic)?.get(&partition).copied()
    }

    /// Whether `partition` of `topic` is among them.
    pub fn contains(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.epoch_of(topic, partition).is_some()
    }

    /// Each topic with its partitions and their epochs, ascending.
    pub fn by_topic(&self) -> impl Iterator<Item = (TopicId, &BTreeMap<PartitionIndex, Epoch>)> {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    /// Each partition with its topic and epoch.
    pub fn each(&self) -> impl Iterator<Item = (TopicId, PartitionIndex, Epoch)> {
        self.by_topic()
            .flat_map(|(topic, all)| all.iter().map(move |(p, epoch)| (topic, *p, *epoch)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same partitions without their epochs.
    pub fn partitions(&self) -> Partitions {
        let sorted = |all: &BTreeMap<PartitionIndex, Epoch>| all.keys().copied().collect();
        Partitions(self.0.iter().map(|(topic, all)| (*topic, sorted(all))).collect())
    }

    /// The same partitions, all given by the assignment of `epoch`.
    pub fn at(&self, epoch: Epoch) -> Held {
        self.each()
            .map(|(topic, partition, _)| (topic, partition, epoch))
            .collect()
    }
}

impl FromIterator<(TopicId, PartitionIndex, Epoch)> for Held {
    fn from_iter<I: IntoIterator<Item = (TopicId, PartitionIndex, Epoch)>>(all: I) -> Held {
        let mut held = Held::default();
        for (topic, partition, epoch) in all {
            held.add(topic, partition, epoch);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_kept_ascending_and_once_in_whatever_order_they_come() {
        let topic = TopicId([1; 16]);
        let mut partitions = Partitions::default();
        partitions.add(topic, []);
        assert_eq!(&partitions, Partitions::EMPTY);
        partitions.add(topic, [5, 1, 5].map(PartitionIndex));
        partitions.add(topic, [3, 7].map(PartitionIndex));
        partitions.add(topic, [7].map(PartitionIndex));
        assert_eq!(partitions.of(topic), [1, 3, 5, 7].map(PartitionIndex));
        assert_eq!(partitions.count(), 4);
        assert!(partitions.contains(topic, PartitionIndex(3)));
        assert!(!partitions.contains(topic, PartitionIndex(4)));
    }
}
