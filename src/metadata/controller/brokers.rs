//! Brokers coming and going, and the first records of all.

use super::Records;
use crate::base::{NodeId, Offset, TopicId};
use crate::metadata::features::{METADATA_VERSION, METADATA_VERSION_LATEST, SUPPORTED_FEATURES};
use crate::metadata::image::{Endpoint, Image, Partition};
use crate::wire::Array;
use crate::wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use crate::wire::messages::{FeatureLevelRecord, PartitionChangeRecord, RegisterBrokerRecord};

/// What a broker says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its node.
    pub node: NodeId,
    /// A random id of this run.
    pub incarnation: TopicId,
    /// Its advertised listeners.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The `directory.id` of each of its log directories.
    pub log_dirs: Vec<TopicId>,
    /// Those of them that take no new partition; the log must [have room](Image::can_cordon) for any.
    pub cordoned_log_dirs: Vec<TopicId>,
}

/// What the metadata log of a new cluster begins with; nothing when `image` shows that it has begun.
pub fn initial_records(image: &Image) -> Records {
    if image.feature_level(METADATA_VERSION) > 0 {
        return Records::new();
    }
    let level = FeatureLevelRecord {
        name: METADATA_VERSION.into(),
        feature_level: METADATA_VERSION_LATEST,
    };
    vec![level.into()]
}

/// Registers a broker that is ready: of a cluster of one, nobody else can say that it isn't. `at` is the offset that
/// the record will have, and so the broker's epoch.
pub fn register_broker(registration: &Registration, at: Offset) -> Records {
    let endpoint = |e: &Endpoint| BrokerEndpoint {
        name: e.listener.clone().into(),
        host: e.host.clone().into(),
        port: e.port,
        security_protocol: e.security_protocol,
    };
    let features = SUPPORTED_FEATURES.iter().map(|f| BrokerFeature {
        name: f.name.into(),
        min_supported_version: f.min,
        max_supported_version: f.max,
    });
    let cordoned = &registration.cordoned_log_dirs;
    let record = RegisterBrokerRecord {
        broker_id: registration.node.0,
        is_migrating_zk_broker: false,
        incarnation_id: registration.incarnation,
        broker_epoch: at.0,
        end_points: registration.endpoints.iter().map(endpoint).collect(),
        features: features.collect(),
        rack: registration.rack.clone().map(Into::into),
        fenced: false,
        in_controlled_shutdown: false,
        log_dirs: registration.log_dirs.iter().copied().collect(),
        cordoned_log_dirs: (!cordoned.is_empty()).then(|| cordoned.iter().copied().collect()),
    };
    vec![record.into()]
}

/// Makes `node` the leader of each partition that has none and that it may lead: it was in sync or eligible when the
/// last leader left, or it is the only replica; and its directory is online. Apache Kafka leaves all partitions of a single node so when it stops.
/// To be committed after the node's registration, in batches of [`super::RECORDS_PER_REQUEST_MAX`].
pub fn elect_leaders(image: &Image, node: NodeId) -> Records {
    let mut records = Records::new();
    for topic in image.topics() {
        for (partition, state) in &topic.partitions {
            if state.leader.is_none() && may_lead(state, node) && image.is_replica_online(state, node) {
                let in_sync = state.isr.contains(&node);
                let record = PartitionChangeRecord {
                    partition_id: partition.0,
                    topic_id: topic.id,
                    isr: (!in_sync).then(|| vec![node.0].into()),
                    leader: node.0,
                    eligible_leader_replicas: Some(Array::default()),
                    last_known_elr: Some(Array::default()),
                    ..PartitionChangeRecord::default()
                };
                records.push(record.into());
            }
        }
    }
    records
}

fn may_lead(partition: &Partition, node: NodeId) -> bool {
    partition.isr.contains(&node)
        || partition.eligible_leader_replicas.contains(&node)
        || partition.replicas == [node]
}

/// A new leader epoch for every partition that `node` leads: after an unclean stop its log may have lost records that
/// consumers have seen, and the epoch is how they notice (KIP-320). The leader stays.
/// To be committed in batches of [`super::RECORDS_PER_REQUEST_MAX`].
pub fn bump_epochs_after_unclean_stop(image: &Image, node: NodeId) -> Records {
    let mut records = Records::new();
    for topic in image.topics() {
        for (partition, state) in &topic.partitions {
            if state.leader == Some(node) {
                let record = PartitionChangeRecord {
                    partition_id: partition.0,
                    topic_id: topic.id,
                    leader: node.0,
                    ..PartitionChangeRecord::default()
                };
                records.push(record.into());
            }
        }
    }
    records
}
