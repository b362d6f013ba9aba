//! How records change the image (Kafka's `*Delta.replay` and `*ControlManager.replay`).

use super::parts::{Broker, Endpoint, Partition, RecoveryState, Topic};
use super::{Configs, Image, State};
use crate::base::{LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, Timestamp, TopicId};
use crate::metadata::names::collision_key;
use crate::wire::batch::{BatchError, BatchView, ControlType};
use crate::wire::messages::{
    BrokerRegistrationChangeRecord, ConfigRecord, PartitionChangeRecord, PartitionRecord,
    RegisterBrokerRecord,
};
use crate::wire::records::{MetadataRecord, decode_record};
use crate::wire::{Array, DecodeError};
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

/// The most bytes that one compressed batch of metadata may come to: Kafka's controller writes at most 8 MiB.
const BATCH_PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Kafka's `NO_LEADER`.
const NO_LEADER: i32 = -1;
/// Kafka's `NO_LEADER_CHANGE`.
const NO_LEADER_CHANGE: i32 = -2;

/// What a batch changed, for who keeps something beside the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A partition is new, or has another leader, epoch or ISR.
    Partition {
        /// Its topic.
        topic: TopicId,
        /// Which one.
        partition: PartitionIndex,
        /// Whether it wasn't there before.
        created: bool,
    },
    /// A topic is gone. The image no longer has it, so this does.
    TopicRemoved(Arc<Topic>),
    /// A topic's own settings are others. Comes after the topic's creation.
    TopicConfigs {
        /// Its name; topics' settings go by name.
        name: String,
    },
    /// Settings of one broker or of all are others.
    BrokerConfigs,
    /// A broker is new, changed or gone.
    Broker(NodeId),
    /// A feature has another level.
    Features,
    /// An aborted metadata transaction took back more than is told here: look at everything.
    All,
}

/// Why a batch can't be applied: a damaged log, or one of a software that knows more. The image is in between and must
/// not be used.
#[derive(Debug)]
pub enum ApplyError {
    /// The batch doesn't begin where the image ends.
    Gap {
        /// Where the batch begins.
        batch: Offset,
        /// Where the image ends.
        image: Offset,
    },
    /// Not a readable batch.
    Batch(BatchError),
    /// A record can't be read.
    Record {
        /// Its offset.
        offset: Offset,
        /// What is wrong.
        error: DecodeError,
    },
    /// A record contradicts those before it.
    Contradiction {
        /// Its offset.
        offset: Offset,
        /// How.
        what: String,
    },
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::Gap { batch, image } => {
                write!(
                    f,
                    "the metadata log goes on at offset {batch} where {image} was expected"
                )
            }
            ApplyError::Batch(error) => write!(f, "the metadata log has a batch that can't be read: {error}"),
            ApplyError::Record { offset, error } => {
                write!(f, "the metadata record at offset {offset} can't be read: {error}")
            }
            ApplyError::Contradiction { offset, what } => {
                write!(
                    f,
                    "the metadata record at offset {offset} contradicts those before it: {what}"
                )
            }
        }
    }
}

impl std::error::Error for ApplyError {}

impl Image {
    /// Applies one whole batch of the metadata log, which must begin at [`Image::next_offset`].
    pub fn apply_batch(&mut self, batch: &BatchView<'_>) -> Result<Vec<Change>, ApplyError> {
        if batch.base_offset() != self.next_offset {
            return Err(ApplyError::Gap {
                batch: batch.base_offset(),
                image: self.next_offset,
            });
        }
        let changes = self.apply_snapshot_batch(batch)?;
        self.next_offset = batch.next_offset();
        self.epoch = batch.leader_epoch();
        self.last_timestamp = batch.max_timestamp();
        Ok(changes)
    }

    /// Applies one batch of a snapshot: its offsets are its own and not the log's. After the last one
    /// [`Image::is_as_of`] says where in the log the image stands.
    pub fn apply_snapshot_batch(&mut self, batch: &BatchView<'_>) -> Result<Vec<Change>, ApplyError> {
        let mut changes = Vec::new();
        let payload = batch
            .payload(BATCH_PAYLOAD_BYTES_MAX)
            .map_err(ApplyError::Batch)?;
        for record in batch.records(&payload) {
            let record = record.map_err(ApplyError::Batch)?;
            let offset = Offset(batch.base_offset().0 + i64::from(record.offset_delta));
            let value = record.value.unwrap_or_default();
            let at = |error| ApplyError::Record { offset, error };
            if batch.is_control() {
                // The others are the quorum's own: leader changes, a snapshot's ends.
                if let Some(control) = record.key.and_then(ControlType::from_key) {
                    self.membership.apply(control, value).map_err(at)?;
                }
                continue;
            }
            let (record, _) = decode_record(value).map_err(at)?;
            self.apply_record(&record, value, &mut changes)
                .map_err(|what| ApplyError::Contradiction { offset, what })?;
        }
        Ok(changes)
    }

    /// Says that what was applied of a snapshot is the log up to `next_offset`, whose last batch is of `epoch` and `timestamp`.
    pub fn is_as_of(&mut self, next_offset: Offset, epoch: LeaderEpoch, timestamp: Timestamp) {
        self.next_offset = next_offset;
        self.epoch = epoch;
        self.last_timestamp = timestamp;
    }

    fn apply_record(
        &mut self,
        record: &MetadataRecord<'_>,
        value: &[u8],
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        use MetadataRecord as R;
        match record {
            R::BeginTransactionRecord(_) => {
                if self.before_transaction.is_some() {
                    return Err("a transaction begins inside another".to_owned());
                }
                self.before_transaction = Some(Box::new(self.state.clone()));
            }
            R::EndTransactionRecord(_) => {
                self.before_transaction
                    .take()
                    .ok_or("a transaction ends that didn't begin")?;
            }
            R::AbortTransactionRecord(_) => {
                self.state = *self
                    .before_transaction
                    .take()
                    .ok_or("a transaction is aborted that didn't begin")?;
                changes.push(Change::All);
            }
            _ => self.state.apply(record, value, changes)?,
        }
        Ok(())
    }
}

impl State {
    fn apply(
        &mut self,
        record: &MetadataRecord<'_>,
        value: &[u8],
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        use MetadataRecord as R;
        match record {
            R::TopicRecord(record) => self.add_topic(record.topic_id, &record.name)?,
            R::PartitionRecord(record) => changes.push(self.set_partition(record)?),
            R::PartitionChangeRecord(record) => changes.push(self.change_partition(record)?),
            R::RemoveTopicRecord(record) => {
                changes.push(Change::TopicRemoved(self.remove_topic(record.topic_id)?))
            }
            R::ConfigRecord(record) => changes.extend(self.set_config(record)),
            R::RegisterBrokerRecord(record) => changes.push(self.register_broker(record)),
            R::BrokerRegistrationChangeRecord(record) => changes.push(self.change_broker(record)?),
            R::FenceBrokerRecord(record) => {
                self.broker_mut(record.id)?.fenced = true;
                changes.push(Change::Broker(NodeId(record.id)));
            }
            R::UnfenceBrokerRecord(record) => {
                self.broker_mut(record.id)?.fenced = false;
                changes.push(Change::Broker(NodeId(record.id)));
            }
            R::UnregisterBrokerRecord(record) => {
                self.brokers.remove(&NodeId(record.broker_id));
                changes.push(Change::Broker(NodeId(record.broker_id)));
            }
            R::FeatureLevelRecord(record) => {
                match record.feature_level {
                    0 => self.features.remove(record.name.as_ref()),
                    level => self.features.insert(record.name.to_string(), level),
                };
                changes.push(Change::Features);
            }
            R::ProducerIdsRecord(record) => self.next_producer_id = ProducerId(record.next_producer_id),
            R::ClearElrRecord(record) => self.clear_eligible(&record.topic_name, changes),
            _ => self.kept.apply(record, value),
        }
        Ok(())
    }

    fn add_topic(&mut self, id: TopicId, name: &str) -> Result<(), String> {
        if self.ids_by_name.contains_key(name) || self.topics.contains_key(&id) {
            return Err(format!("topic {name} with id {id} is there already"));
        }
        if let Some(key) = collision_key(name) {
            self.collisions.entry(key).or_default().insert(name.to_owned());
        }
        self.ids_by_name.insert(name.to_owned(), id);
        let topic = Topic {
            id,
            name: name.to_owned(),
            partitions: Default::default(),
        };
        self.topics.insert(id, Arc::new(topic));
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<Arc<Topic>, String> {
        let topic = self.topics.remove(&id).ok_or_else(|| no_topic(id))?;
        self.ids_by_name.remove(&topic.name);
        self.topic_configs.remove(&topic.name);
        if let Some(key) = collision_key(&topic.name)
            && let Entry::Occupied(mut alike) = self.collisions.entry(key)
        {
            alike.get_mut().remove(&topic.name);
            if alike.get().is_empty() {
                alike.remove();
            }
        }
        Ok(topic)
    }

    fn set_partition(&mut self, record: &PartitionRecord<'_>) -> Result<Change, String> {
        let topic = self
            .topics
            .get_mut(&record.topic_id)
            .ok_or_else(|| no_topic(record.topic_id))?;
        let partition = PartitionIndex(record.partition_id);
        let before = Arc::make_mut(topic)
            .partitions
            .insert(partition, Partition::from_record(record));
        Ok(Change::Partition {
            topic: record.topic_id,
            partition,
            created: before.is_none(),
        })
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord<'_>) -> Result<Change, String> {
        let (topic, partition) = (record.topic_id, PartitionIndex(record.partition_id));
        let found = self
            .topics
            .get_mut(&topic)
            .and_then(|topic| Arc::make_mut(topic).partitions.get_mut(&partition));
        found
            .ok_or_else(|| format!("there is no partition {partition} of topic {topic}"))?
            .merge(record);
        Ok(Change::Partition {
            topic,
            partition,
            created: false,
        })
    }

    /// Forgets who was eligible to lead, of one topic or, without a name, of all (KIP-966).
    fn clear_eligible(&mut self, name: &str, changes: &mut Vec<Change>) {
        let named = |topic: &&mut Arc<Topic>| name.is_empty() || topic.name == name;
        for topic in self.topics.values_mut().filter(named) {
            let topic = Arc::make_mut(topic);
            for (index, partition) in &mut topic.partitions {
                partition.eligible_leader_replicas.clear();
                partition.last_known_elr.clear();
                changes.push(Change::Partition {
                    topic: topic.id,
                    partition: *index,
                    created: false,
                });
            }
        }
    }

    fn set_config(&mut self, record: &ConfigRecord<'_>) -> Option<Change> {
        const TOPIC: i8 = 2;
        const BROKER: i8 = 4;
        let resource = record.resource_name.to_string();
        match record.resource_type {
            TOPIC => {
                set_value(&mut self.topic_configs, resource.clone(), record);
                Some(Change::TopicConfigs { name: resource })
            }
            BROKER => {
                set_value(&mut self.broker_configs, resource, record);
                Some(Change::BrokerConfigs)
            }
            other => {
                set_value(&mut self.other_configs, (other, resource), record);
                None
            }
        }
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord<'_>) -> Change {
        let id = NodeId(record.broker_id);
        self.brokers.insert(id, Broker::from_record(record));
        Change::Broker(id)
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord<'_>) -> Result<Change, String> {
        let broker = self.broker_mut(record.broker_id)?;
        match record.fenced {
            1 => broker.fenced = true,
            -1 => broker.fenced = false,
            _ => {}
        }
        if record.in_controlled_shutdown == 1 {
            broker.in_controlled_shutdown = true;
        }
        // "No change" is written as no directories at all: a broker always has one.
        if !record.log_dirs.is_empty() {
            broker.log_dirs = record.log_dirs.iter().collect();
        }
        if let Some(cordoned) = &record.cordoned_log_dirs {
            broker.cordoned_log_dirs = cordoned.iter().collect();
        }
        Ok(Change::Broker(NodeId(record.broker_id)))
    }

    fn broker_mut(&mut self, id: i32) -> Result<&mut Broker, String> {
        self.brokers
            .get_mut(&NodeId(id))
            .ok_or_else(|| format!("broker {id} is not registered"))
    }
}

fn no_topic(id: TopicId) -> String {
    format!("there is no topic with id {id}")
}

fn set_value<K: Ord>(
    all: &mut std::collections::BTreeMap<K, Configs>,
    resource: K,
    record: &ConfigRecord<'_>,
) {
    let mut configs = match all.entry(resource) {
        Entry::Occupied(configs) => configs,
        Entry::Vacant(none) if record.value.is_some() => none.insert_entry(Configs::new()),
        Entry::Vacant(_) => return,
    };
    match &record.value {
        Some(value) => configs
            .get_mut()
            .insert(record.name.to_string(), value.to_string()),
        None => configs.get_mut().remove(record.name.as_ref()),
    };
    if configs.get().is_empty() {
        configs.remove();
    }
}

impl Partition {
    fn from_record(record: &PartitionRecord<'_>) -> Partition {
        Partition {
            replicas: nodes(&record.replicas),
            isr: nodes(&record.isr),
            removing_replicas: nodes(&record.removing_replicas),
            adding_replicas: nodes(&record.adding_replicas),
            eligible_leader_replicas: record
                .eligible_leader_replicas
                .as_ref()
                .map(nodes)
                .unwrap_or_default(),
            last_known_elr: record.last_known_elr.as_ref().map(nodes).unwrap_or_default(),
            leader: leader(record.leader),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
            recovery: if record.leader_recovery_state == 1 {
                RecoveryState::Recovering
            } else {
                RecoveryState::Recovered
            },
            directories: directories(&record.directories, record.replicas.len()),
        }
    }

    /// Kafka's `PartitionRegistration.merge`: naming a leader, be it the same one, is a new leader epoch.
    fn merge(&mut self, record: &PartitionChangeRecord<'_>) {
        let replace = |to: &mut Vec<NodeId>, from: &Option<Array<'_, i32>>| {
            if let Some(from) = from {
                *to = nodes(from);
            }
        };
        replace(&mut self.replicas, &record.replicas);
        replace(&mut self.isr, &record.isr);
        replace(&mut self.removing_replicas, &record.removing_replicas);
        replace(&mut self.adding_replicas, &record.adding_replicas);
        replace(
            &mut self.eligible_leader_replicas,
            &record.eligible_leader_replicas,
        );
        replace(&mut self.last_known_elr, &record.last_known_elr);
        if let Some(from) = &record.directories {
            self.directories = directories(from, self.replicas.len());
        }
        if record.leader != NO_LEADER_CHANGE {
            self.leader = leader(record.leader);
            self.leader_epoch = LeaderEpoch(self.leader_epoch.0.saturating_add(1));
        }
        match record.leader_recovery_state {
            0 => self.recovery = RecoveryState::Recovered,
            1 => self.recovery = RecoveryState::Recovering,
            _ => {}
        }
        self.partition_epoch = self.partition_epoch.saturating_add(1);
    }
}

fn leader(id: i32) -> Option<NodeId> {
    (id != NO_LEADER).then_some(NodeId(id))
}

fn nodes(ids: &Array<'_, i32>) -> Vec<NodeId> {
    ids.iter().map(NodeId).collect()
}

/// Records before version 1 name none: Kafka's `DirectoryId.MIGRATING`, which is the zero id, for each replica.
fn directories(ids: &Array<'_, TopicId>, replicas: usize) -> Vec<TopicId> {
    if ids.is_empty() {
        vec![TopicId::ZERO; replicas]
    } else {
        ids.iter().collect()
    }
}

impl Broker {
    fn from_record(record: &RegisterBrokerRecord<'_>) -> Broker {
        let endpoint = |e: crate::wire::messages::register_broker_record::BrokerEndpoint<'_>| Endpoint {
            listener: e.name.into_owned(),
            host: e.host.into_owned(),
            port: e.port,
            security_protocol: e.security_protocol,
        };
        let features = record.features.iter();
        Broker {
            id: NodeId(record.broker_id),
            epoch: record.broker_epoch,
            incarnation: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            rack: record.rack.as_ref().map(|rack| rack.to_string()),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            features: features
                .map(|f| {
                    (
                        f.name.into_owned(),
                        f.min_supported_version,
                        f.max_supported_version,
                    )
                })
                .collect(),
            log_dirs: record.log_dirs.iter().collect(),
            cordoned_log_dirs: record
                .cordoned_log_dirs
                .iter()
                .flat_map(|dirs| dirs.iter())
                .collect(),
        }
    }
}
