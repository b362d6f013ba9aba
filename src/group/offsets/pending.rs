//! Offsets that transactions have written and not ended yet.

use std::collections::{BTreeMap, BTreeSet};

use super::CommittedOffset;
use super::topic_map::TopicMap;
use crate::base::{PartitionIndex, ProducerId};

/// By partition, and by whose transaction it is.
///
/// Invariant: both hold the same pairs of a partition and a producer, and neither holds an empty set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pending {
    by_partition: TopicMap<BTreeMap<ProducerId, CommittedOffset>>,
    by_producer: BTreeMap<ProducerId, TopicMap<()>>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.by_producer.is_empty()
    }

    pub fn contains(&self, topic: &str, partition: PartitionIndex) -> bool {
        self.by_partition.contains(topic, partition)
    }

    pub fn producers(&self) -> impl Iterator<Item = ProducerId> {
        self.by_producer.keys().copied()
    }

    /// Every partition for which something is pending.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, PartitionIndex)> {
        self.by_partition
            .iter()
            .map(|(topic, partition, _)| (topic, partition))
    }

    /// What is pending for one topic.
    pub fn of_topic(&self, topic: &str) -> impl Iterator<Item = (PartitionIndex, &CommittedOffset)> {
        let partitions = self.by_partition.of_topic(topic);
        partitions.flat_map(|(partition, offsets)| offsets.values().map(move |offset| (partition, offset)))
    }

    /// In place of what the producer had pending for the partition.
    pub fn insert(
        &mut self,
        producer: ProducerId,
        topic: &str,
        partition: PartitionIndex,
        offset: CommittedOffset,
    ) {
        match self.by_partition.get_mut(topic, partition) {
            Some(offsets) => {
                offsets.insert(producer, offset);
            }
            None => {
                let offsets = BTreeMap::from([(producer, offset)]);
                self.by_partition.insert(topic, partition, offsets);
            }
        }
        let partitions = self.by_producer.entry(producer).or_default();
        partitions.insert(topic, partition, ());
    }

    /// Takes back what everyone has pending for the partition.
    pub fn remove(&mut self, topic: &str, partition: PartitionIndex) {
        let offsets = self.by_partition.remove(topic, partition);
        let producers: BTreeSet<ProducerId> = offsets
            .into_iter()
            .flatten()
            .map(|(producer, _)| producer)
            .collect();
        for producer in producers {
            if let Some(partitions) = self.by_producer.get_mut(&producer) {
                partitions.remove(topic, partition);
                if partitions.is_empty() {
                    self.by_producer.remove(&producer);
                }
            }
        }
    }

    /// Ends the producer's transaction: what it had pending.
    pub fn end(&mut self, producer: ProducerId) -> Vec<(Box<str>, PartitionIndex, CommittedOffset)> {
        let partitions = self.by_producer.remove(&producer).unwrap_or_default();
        let mut ended = Vec::new();
        for (topic, partition, ()) in partitions.iter() {
            let Some(offsets) = self.by_partition.get_mut(topic, partition) else {
                continue;
            };
            let offset = offsets.remove(&producer);
            if offsets.is_empty() {
                self.by_partition.remove(topic, partition);
            }
            ended.extend(offset.map(|offset| (topic.into(), partition, offset)));
        }
        ended
    }
}
