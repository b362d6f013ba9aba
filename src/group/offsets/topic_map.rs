//! Something for each of some partitions, found by the topic's name without making one.

use std::collections::BTreeMap;

use crate::base::PartitionIndex;

/// In the order of the topics' names, then of the partitions.
///
/// Invariant: no topic without a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicMap<T> {
    topics: BTreeMap<Box<str>, BTreeMap<PartitionIndex, T>>,
}

impl<T> Default for TopicMap<T> {
    fn default() -> Self {
        TopicMap {
            topics: BTreeMap::new(),
        }
    }
}

impl<T> TopicMap<T> {
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub fn get(&self, topic: &str, partition: PartitionIndex) -> Option<&T> {
        self.topics.get(topic)?.get(&partition)
    }

    pub fn get_mut(&mut self, topic: &str, partition: PartitionIndex) -> Option<&mut T> {
        self.topics.get_mut(topic)?.get_mut(&partition)
    }

    pub fn contains(&self, topic: &str, partition: PartitionIndex) -> bool {
        self.get(topic, partition).is_some()
    }

    pub fn insert(&mut self, topic: &str, partition: PartitionIndex, value: T) {
        match self.topics.get_mut(topic) {
            Some(partitions) => {
                partitions.insert(partition, value);
            }
            None => {
                self.topics
                    .insert(topic.into(), BTreeMap::from([(partition, value)]));
            }
        }
    }

    pub fn remove(&mut self, topic: &str, partition: PartitionIndex) -> Option<T> {
        let partitions = self.topics.get_mut(topic)?;
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        removed
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, PartitionIndex, &T)> {
        let topics = self.topics.iter();
        topics.flat_map(|(topic, partitions)| {
            let partitions = partitions.iter();
            partitions.map(move |(&partition, value)| (topic.as_ref(), partition, value))
        })
    }

    /// The partitions of one topic.
    pub fn of_topic(&self, topic: &str) -> impl Iterator<Item = (PartitionIndex, &T)> {
        let partitions = self.topics.get(topic).into_iter().flatten();
        partitions.map(|(&partition, value)| (partition, value))
    }
}
