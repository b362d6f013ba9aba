//! What a consumer group asks of the cluster's metadata: which topics there are, and a hash that tells when they changed.

use crate::base::{PartitionIndex, TopicId};
use crate::metadata::{Image, Topic};
use std::collections::BTreeMap;
use twox_hash::XxHash3_64;

/// The topics as a group sees them.
pub trait TopicView {
    /// The topic of this name.
    fn by_name(&self, name: &str) -> Option<TopicShape>;

    /// The name of the topic of this id.
    fn name_of(&self, id: TopicId) -> Option<&str>;

    /// The [`topic_hash`] of the topic of this name; a view may keep it, it is asked for with each change of a subscription.
    fn hash_of(&self, name: &str) -> Option<i64>;

    /// How far the metadata has come when the newest topic was created: a regular expression resolved earlier may have missed it.
    fn newest_topic_version(&self) -> i64;
}

/// A topic that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicShape {
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
}

/// A view of the cluster's metadata.
pub struct ImageView<'a> {
    /// The metadata.
    pub image: &'a Image,
    /// The offset of the metadata log at which the newest topic was created, as far as is known.
    pub newest_topic_version: i64,
}

impl TopicView for ImageView<'_> {
    fn by_name(&self, name: &str) -> Option<TopicShape> {
        let topic = self.image.topic_by_name(name)?;
        Some(TopicShape {
            id: topic.id,
            partitions: partition_count(topic),
        })
    }

    fn name_of(&self, id: TopicId) -> Option<&str> {
        self.image.topic(id).map(|topic| topic.name.as_str())
    }

    fn hash_of(&self, name: &str) -> Option<i64> {
        let topic = self.image.topic_by_name(name)?;
        let racks = |partition: PartitionIndex| {
            let replicas = topic.partitions.get(&partition).map_or(&[][..], |p| &p.replicas);
            let brokers = replicas.iter().filter_map(|node| self.image.broker(*node));
            brokers.filter_map(|broker| broker.rack.as_deref()).collect()
        };
        Some(topic_hash(topic.id, &topic.name, partition_count(topic), racks))
    }

    fn newest_topic_version(&self) -> i64 {
        self.newest_topic_version
    }
}

fn partition_count(topic: &Topic) -> i32 {
    i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
}

/// What a group remembers a topic by: Kafka's `Utils.computeTopicHash` (KIP-1101), so that a group that moves between the two isn't
/// rebalanced. `racks` names those of a partition's replicas.
pub fn topic_hash<'a>(
    id: TopicId,
    name: &str,
    partitions: i32,
    racks: impl Fn(PartitionIndex) -> Vec<&'a str>,
) -> i64 {
    const FORMAT: u8 = 0;
    let mut hashed = vec![FORMAT];
    for half in id.0.chunks_exact(8) {
        hashed.extend(half.iter().rev()); // A big-endian number, hashed as a little-endian one.
    }
    put_string(&mut hashed, name);
    put_i32(&mut hashed, partitions);
    for partition in (0..partitions).map(PartitionIndex) {
        put_i32(&mut hashed, partition.0);
        let mut racks = racks(partition);
        racks.sort_unstable();
        for rack in racks {
            put_i32(&mut hashed, utf16_length(rack));
            put_string(&mut hashed, rack);
        }
    }
    XxHash3_64::oneshot(&hashed).cast_signed()
}

/// What a group remembers all its topics by: Kafka's `Utils.computeGroupHash`. Those that don't exist count for nothing.
pub(super) fn metadata_hash(names: impl IntoIterator<Item: AsRef<str>>, topics: &dyn TopicView) -> i64 {
    let hash = |name: &dyn AsRef<str>| {
        topics
            .hash_of(name.as_ref())
            .map(|hash| (name.as_ref().to_owned(), hash))
    };
    let hashes: BTreeMap<String, i64> = names.into_iter().filter_map(|name| hash(&name)).collect();
    if hashes.is_empty() {
        return 0;
    }
    let hashed: Vec<u8> = hashes.values().flat_map(|hash| hash.to_le_bytes()).collect();
    XxHash3_64::oneshot(&hashed).cast_signed()
}

fn put_i32(hashed: &mut Vec<u8>, number: i32) {
    hashed.extend(number.to_le_bytes());
}

/// As hash4j's `putString`: the characters as Java has them, then how many they are.
fn put_string(hashed: &mut Vec<u8>, text: &str) {
    hashed.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    put_i32(hashed, utf16_length(text));
}

fn utf16_length(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}

/// Topics made up for a test.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(super) struct MadeUpTopics {
    topics: BTreeMap<String, TopicShape>,
    version: i64,
}

#[cfg(test)]
impl MadeUpTopics {
    /// These topics, with as many partitions each. Ids follow from the names.
    pub fn of(topics: &[(&str, i32)]) -> MadeUpTopics {
        let mut made_up = MadeUpTopics::default();
        for (name, partitions) in topics {
            made_up.set(name, *partitions);
        }
        made_up
    }

    /// Creates the topic, or gives it so many partitions.
    pub fn set(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        let id = made_up_id(name);
        self.topics.insert(name.to_owned(), TopicShape { id, partitions });
    }

    pub fn remove(&mut self, name: &str) {
        self.topics.remove(name);
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    pub fn shapes(&self) -> impl Iterator<Item = (&str, TopicShape)> {
        self.topics.iter().map(|(name, shape)| (name.as_str(), *shape))
    }
}

/// The id of a made-up topic: its name, cut or filled up.
#[cfg(test)]
pub(super) fn made_up_id(name: &str) -> TopicId {
    let mut id = [0; 16];
    let length = name.len().min(16);
    id[..length].copy_from_slice(&name.as_bytes()[..length]);
    TopicId(id)
}

#[cfg(test)]
impl TopicView for MadeUpTopics {
    fn by_name(&self, name: &str) -> Option<TopicShape> {
        self.topics.get(name).copied()
    }

    fn name_of(&self, id: TopicId) -> Option<&str> {
        self.topics
            .iter()
            .find(|(_, shape)| shape.id == id)
            .map(|(name, _)| name.as_str())
    }

    fn hash_of(&self, name: &str) -> Option<i64> {
        let shape = self.topics.get(name)?;
        Some(topic_hash(shape.id, name, shape.partitions, |_| Vec::new()))
    }

    fn newest_topic_version(&self) -> i64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TopicId = TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

    struct Fixed;

    impl TopicView for Fixed {
        fn by_name(&self, _: &str) -> Option<TopicShape> {
            None
        }

        fn name_of(&self, _: TopicId) -> Option<&str> {
            None
        }

        fn hash_of(&self, name: &str) -> Option<i64> {
            match name {
                "a" => Some(3653115502262934565),
                "b" => Some(-7781516416686813734),
                _ => None,
            }
        }

        fn newest_topic_version(&self) -> i64 {
            0
        }
    }

    /// The numbers are hash4j 0.22's, fed as Kafka 4.3.1 feeds it.
    #[test]
    fn hashes_are_kafkas() {
        let racks = |partition: PartitionIndex| match partition.0 {
            0 => vec!["b-rack", "a"],
            _ => vec!["b-rack"],
        };
        assert_eq!(topic_hash(ID, "orders", 3, |_| Vec::new()), 3653115502262934565);
        assert_eq!(topic_hash(ID, "orders", 2, racks), -7781516416686813734);
        let many = |_| vec!["rack-0", "rack-1"];
        assert_eq!(topic_hash(ID, "orders", 100, many), -6933532388040341962);
        assert_eq!(metadata_hash(["b", "a", "gone"], &Fixed), -3582829458610078039);
        assert_eq!(metadata_hash(["gone"], &Fixed), 0);
    }
}
