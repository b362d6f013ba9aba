//! The cluster's metadata as of an offset of its log: topics, partitions, brokers, configs, features.
//!
//! An image is plain data that changes only by [`Image::apply_batch`]. Each core has its own copy and applies the same
//! batches in the same order; core 0's is the one that decisions are made on. Nothing here does I/O.

mod apply;
mod kept;
mod parts;
mod records;
#[cfg(test)]
mod tests;

use super::features::{KRAFT_VERSION, METADATA_VERSION, METADATA_VERSION_WITH_CORDONS, supported_max};
use super::membership::Membership;
use super::names::collision_key;
use crate::base::{LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, Timestamp, TopicId};
use kept::Kept;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use apply::{ApplyError, Change};
pub use parts::{Broker, Endpoint, Partition, RecoveryState, Topic, UNASSIGNED_DIRECTORY};

/// The cluster's metadata; see the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    state: State,
    /// Everything before this offset of the metadata log is applied.
    next_offset: Offset,
    /// What the state was when the open metadata transaction (KIP-868) began; it comes back if that is aborted.
    before_transaction: Option<Box<State>>,
    /// Who votes; of the log itself, so no transaction takes it back.
    membership: Membership,
    /// The quorum's epoch in which the last applied batch was written, and when.
    epoch: LeaderEpoch,
    last_timestamp: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// Each shared with the copies of this image, until one of them changes it: a copy is made in one step of a core that serves.
    topics: BTreeMap<TopicId, Arc<Topic>>,
    /// Invariant: the same topics as in `topics`.
    ids_by_name: BTreeMap<String, TopicId>,
    /// The names of topics that have a [`collision_key`], by it.
    collisions: BTreeMap<String, BTreeSet<String>>,
    brokers: BTreeMap<NodeId, Broker>,
    topic_configs: BTreeMap<String, Configs>,
    /// By broker id in decimal; the empty name holds for all brokers.
    broker_configs: BTreeMap<String, Configs>,
    /// Of the resource types that this software doesn't act on, by type and name.
    other_configs: BTreeMap<(i8, String), Configs>,
    /// Levels above 0.
    features: BTreeMap<String, i16>,
    next_producer_id: ProducerId,
    /// What this software doesn't act on and must not lose.
    kept: Kept,
}

/// The settings of one resource: values by name.
pub type Configs = BTreeMap<String, String>;

static NO_CONFIGS: Configs = BTreeMap::new();

impl Image {
    /// The image before the first record.
    pub fn empty() -> Image {
        let mut image = Image::default();
        image.state.next_producer_id = ProducerId(0);
        image
    }

    /// The first offset of the metadata log that isn't applied yet.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The quorum's epoch in which the last applied batch was written; 0 before the first.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// When the last applied batch was written.
    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    /// Who votes in the quorum.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Whether a metadata transaction has begun and not ended.
    pub fn transaction_is_open(&self) -> bool {
        self.before_transaction.is_some()
    }

    /// All topics, in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.state.ids_by_name.values().map(|id| &*self.state.topics[id])
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.state.topics.len()
    }

    /// How many partitions all topics have.
    pub fn partition_count(&self) -> usize {
        self.state.topics.values().map(|t| t.partitions.len()).sum()
    }

    /// The topic of this id.
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.state.topics.get(&id).map(|topic| &**topic)
    }

    /// The topic of this name.
    pub fn topic_by_name(&self, name: &str) -> Option<&Topic> {
        self.state.ids_by_name.get(name).map(|id| &*self.state.topics[id])
    }

    /// One partition.
    pub fn partition(&self, topic: TopicId, partition: PartitionIndex) -> Option<&Partition> {
        self.topic(topic)?.partitions.get(&partition)
    }

    /// A topic whose name differs from `name` only in where it has `.` and where `_`, or not at all.
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        let alike = self.state.collisions.get(&collision_key(name)?)?;
        alike.first().map(String::as_str)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.state.brokers.values()
    }

    /// The broker of this id.
    pub fn broker(&self, id: NodeId) -> Option<&Broker> {
        self.state.brokers.get(&id)
    }

    /// Whether `node` has a replica of `partition`, in a directory that is online.
    pub fn is_replica_online(&self, partition: &Partition, node: NodeId) -> bool {
        let broker = self.broker(node).zip(partition.directory_of(node));
        broker.is_some_and(|(broker, directory)| broker.has_online_dir(directory))
    }

    /// The replicas of `partition` that can't be used now: their broker is fenced or gone, or their directory offline.
    pub fn offline_replicas(&self, partition: &Partition) -> impl Iterator<Item = NodeId> {
        let is_up = |node: NodeId| self.broker(node).is_some_and(|broker| !broker.fenced);
        let is_offline = move |node: &NodeId| !is_up(*node) || !self.is_replica_online(partition, *node);
        partition.replicas.iter().copied().filter(is_offline)
    }

    /// Whether the log's records have room for cordoned directories (KIP-1066).
    pub fn can_cordon(&self) -> bool {
        self.feature_level(METADATA_VERSION) >= METADATA_VERSION_WITH_CORDONS
    }

    /// What is set on a topic itself.
    pub fn topic_configs(&self, name: &str) -> &Configs {
        self.state.topic_configs.get(name).unwrap_or(&NO_CONFIGS)
    }

    /// What is set on one broker in the metadata log.
    pub fn broker_configs(&self, id: NodeId) -> &Configs {
        self.state
            .broker_configs
            .get(&id.to_string())
            .unwrap_or(&NO_CONFIGS)
    }

    /// What is set on all brokers in the metadata log.
    pub fn cluster_configs(&self) -> &Configs {
        self.state.broker_configs.get("").unwrap_or(&NO_CONFIGS)
    }

    /// The level that the log has settled on, which may be above what we support; 0 when it has none.
    pub fn feature_level(&self, name: &str) -> i16 {
        self.state.features.get(name).copied().unwrap_or(0)
    }

    /// The features to tell clients: the lower of the log's level and ours, where that isn't 0. `kraft.version` stands in
    /// control records and is told beside the others, as Kafka does.
    pub fn finalized_features(&self) -> impl Iterator<Item = (&str, i16)> {
        let kraft = (KRAFT_VERSION, self.membership.kraft_version);
        let of_records = self
            .state
            .features
            .iter()
            .map(|(name, &level)| (name.as_str(), level));
        std::iter::once(kraft)
            .chain(of_records)
            .map(|(name, level)| (name, level.min(supported_max(name))))
            .filter(|&(_, level)| level > 0)
    }

    /// The first producer id that no block has been given out of.
    pub fn next_producer_id(&self) -> ProducerId {
        self.state.next_producer_id
    }
}
