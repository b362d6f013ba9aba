//! The image as records again: what a snapshot holds (Kafka's `MetadataImage.write`).

use super::parts::{Broker, Endpoint, Partition, RecoveryState, Topic};
use super::{Configs, Image, State};
use crate::base::{NodeId, PartitionIndex, ProducerId};
use crate::metadata::batch::{RecordBatchError, record_value};
use crate::metadata::features::METADATA_VERSION;
use crate::wire::Array;
use crate::wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use crate::wire::messages::{
    ConfigRecord, FeatureLevelRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
};
use crate::wire::records::MetadataRecord;
use bytes::Bytes;

/// Kafka's `ConfigResource.Type` of topics and of brokers.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Of a block of ids that nobody in particular got: what counts is where the next one begins.
const NO_BROKER: i32 = -1;

impl Image {
    /// The framed records that make this image of an empty one, in an order in which they apply. Membership is not among
    /// them: it stands in control records.
    pub fn record_values(&self) -> impl Iterator<Item = Result<Bytes, RecordBatchError>> {
        let state = &self.state;
        let records = state
            .feature_records()
            .chain(state.brokers.values().map(Broker::to_record))
            .chain(state.topic_records())
            .chain(state.config_records())
            .chain(state.producer_id_record());
        let ours = records.map(|record| record_value(&record));
        ours.chain(state.kept.values().map(Ok))
    }
}

impl State {
    /// metadata.version first: it says how to read what follows.
    fn feature_records(&self) -> impl Iterator<Item = MetadataRecord<'_>> {
        let first = self.features.get_key_value(METADATA_VERSION);
        let others = self.features.iter().filter(|(name, _)| *name != METADATA_VERSION);
        first.into_iter().chain(others).map(|(name, &level)| {
            let record = FeatureLevelRecord {
                name: name.as_str().into(),
                feature_level: level,
            };
            record.into()
        })
    }

    fn topic_records(&self) -> impl Iterator<Item = MetadataRecord<'_>> {
        self.topics.values().flat_map(|topic| {
            let named = TopicRecord {
                name: topic.name.as_str().into(),
                topic_id: topic.id,
            };
            let partitions = topic.partitions.iter();
            let partitions = partitions.map(|(index, partition)| partition.to_record(topic, *index));
            std::iter::once(named.into()).chain(partitions)
        })
    }

    fn config_records(&self) -> impl Iterator<Item = MetadataRecord<'_>> {
        let of_brokers = self.broker_configs.iter().map(|(name, all)| (BROKER, name, all));
        let of_topics = self.topic_configs.iter().map(|(name, all)| (TOPIC, name, all));
        let of_others = self
            .other_configs
            .iter()
            .map(|((kind, name), all)| (*kind, name, all));
        let resources = of_brokers.chain(of_topics).chain(of_others);
        resources.flat_map(|(kind, resource, configs)| config_records(kind, resource, configs))
    }

    fn producer_id_record(&self) -> Option<MetadataRecord<'_>> {
        let record = ProducerIdsRecord {
            broker_id: NO_BROKER,
            broker_epoch: -1,
            next_producer_id: self.next_producer_id.0,
        };
        (self.next_producer_id > ProducerId(0)).then(|| record.into())
    }
}

fn config_records<'a>(
    kind: i8,
    resource: &'a str,
    configs: &'a Configs,
) -> impl Iterator<Item = MetadataRecord<'a>> {
    configs.iter().map(move |(name, value)| {
        let record = ConfigRecord {
            resource_type: kind,
            resource_name: resource.into(),
            name: name.as_str().into(),
            value: Some(value.as_str().into()),
        };
        record.into()
    })
}

impl Partition {
    fn to_record(&self, topic: &Topic, index: PartitionIndex) -> MetadataRecord<'static> {
        let record = PartitionRecord {
            partition_id: index.0,
            topic_id: topic.id,
            replicas: ids(&self.replicas),
            isr: ids(&self.isr),
            removing_replicas: ids(&self.removing_replicas),
            adding_replicas: ids(&self.adding_replicas),
            leader: self.leader.map_or(-1, |node| node.0),
            leader_recovery_state: (self.recovery == RecoveryState::Recovering).into(),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch,
            directories: self.directories.iter().copied().collect(),
            eligible_leader_replicas: some_ids(&self.eligible_leader_replicas),
            last_known_elr: some_ids(&self.last_known_elr),
        };
        record.into()
    }
}

fn ids(nodes: &[NodeId]) -> Array<'static, i32> {
    nodes.iter().map(|node| node.0).collect()
}

fn some_ids(nodes: &[NodeId]) -> Option<Array<'static, i32>> {
    (!nodes.is_empty()).then(|| ids(nodes))
}

impl Broker {
    fn to_record(&self) -> MetadataRecord<'_> {
        let endpoint = |e: &Endpoint| BrokerEndpoint {
            name: e.listener.clone().into(),
            host: e.host.clone().into(),
            port: e.port,
            security_protocol: e.security_protocol,
        };
        let feature = |(name, min, max): &(String, i16, i16)| BrokerFeature {
            name: name.clone().into(),
            min_supported_version: *min,
            max_supported_version: *max,
        };
        let cordoned = &self.cordoned_log_dirs;
        let record = RegisterBrokerRecord {
            broker_id: self.id.0,
            is_migrating_zk_broker: false,
            incarnation_id: self.incarnation,
            broker_epoch: self.epoch,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
            rack: self.rack.as_deref().map(Into::into),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.log_dirs.iter().copied().collect(),
            cordoned_log_dirs: (!cordoned.is_empty()).then(|| cordoned.iter().copied().collect()),
        };
        record.into()
    }
}
