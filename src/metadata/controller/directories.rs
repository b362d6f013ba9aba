//! In which of a broker's log directories a replica lies (KIP-858, KIP-1066).
//!
//! Kafka's controller leaves the choice to the broker, which reports it. Here the record that makes a partition names the directory at once:
//! what is registered of a broker says all that the choice needs.

use super::Records;
use crate::base::{NodeId, PartitionIndex, TopicId, TopicPartition};
use crate::metadata::image::{Broker, Image, Partition, UNASSIGNED_DIRECTORY};
use crate::wire::messages::{BrokerRegistrationChangeRecord, PartitionChangeRecord};
use std::collections::BTreeMap;

/// How many replicas lie where, of the brokers that have a choice.
#[derive(Debug, Default)]
pub(super) struct Directories {
    replicas: BTreeMap<(NodeId, TopicId), usize>,
}

impl Directories {
    /// As `image` has them.
    pub fn of(image: &Image) -> Directories {
        let mut directories = Directories::default();
        let has_choice = |broker: &&Broker| usable(broker).count() > 1;
        let choosing: Vec<NodeId> = image
            .brokers()
            .filter(has_choice)
            .map(|broker| broker.id)
            .collect();
        if !choosing.is_empty() {
            for partition in image.topics().flat_map(|topic| topic.partitions.values()) {
                for (node, directory) in partition.replicas.iter().zip(&partition.directories) {
                    if choosing.contains(node) {
                        *directories.replicas.entry((*node, *directory)).or_default() += 1;
                    }
                }
            }
        }
        directories
    }

    /// The directory for one more replica on `node`: of those that are online and not cordoned the one with the fewest, of several such the
    /// first (Kafka's `LogManager.nextLogDirs`). Where all are cordoned it is the first one: who places by hand has been told.
    pub fn choose(&mut self, image: &Image, node: NodeId) -> TopicId {
        let Some(broker) = image.broker(node) else {
            return UNASSIGNED_DIRECTORY;
        };
        let load = |directory: &&TopicId| self.replicas.get(&(node, **directory)).copied().unwrap_or(0);
        let chosen = usable(broker).min_by_key(load).or(broker.log_dirs.first());
        let chosen = chosen.copied().unwrap_or(UNASSIGNED_DIRECTORY);
        *self.replicas.entry((node, chosen)).or_default() += 1;
        chosen
    }
}

/// The broker's directories that take new replicas.
fn usable(broker: &Broker) -> impl Iterator<Item = &TopicId> {
    let is_cordoned = |directory: &TopicId| broker.cordoned_log_dirs.contains(directory);
    broker
        .log_dirs
        .iter()
        .filter(move |directory| !is_cordoned(directory))
}

/// What a start of `node` found: its replicas lie where their files are, whatever the log says. A replica that the log puts nowhere and that
/// has no files gets a directory, unless one is offline (`all_online`): its files may be there.
/// To be committed after the node's registration, in batches of [`super::RECORDS_PER_REQUEST_MAX`].
pub fn assign_directories(
    image: &Image,
    node: NodeId,
    found: &BTreeMap<TopicPartition, TopicId>,
    all_online: bool,
) -> Records {
    let mut directories = Directories::of(image);
    let mut records = Records::new();
    for topic in image.topics() {
        for (index, partition) in &topic.partitions {
            let replica = TopicPartition {
                topic: topic.id,
                partition: *index,
            };
            let Some(named) = partition.directory_of(node) else {
                continue;
            };
            let lies_in = match found.get(&replica) {
                Some(directory) => *directory,
                None if all_online && is_open(named) => directories.choose(image, node),
                None => named,
            };
            if lies_in != named {
                records.push(move_replica(topic.id, *index, partition, node, lies_in).into());
            }
        }
    }
    records
}

/// Says that a replica of `node` lies in another of its directories now (KIP-858, `ReplicationControlManager.handleAssignReplicasToDirs`). One
/// that had no leader, for its old directory is offline, is led again. Nothing where that is known, or the partition is gone.
pub fn assign_replica(image: &Image, node: NodeId, replica: TopicPartition, to: TopicId) -> Records {
    let partition = image.partition(replica.topic, replica.partition);
    let is_news = |partition: &&Partition| partition.directory_of(node).is_some_and(|named| named != to);
    partition.filter(is_news).map_or(Records::new(), |partition| {
        let mut record = move_replica(replica.topic, replica.partition, partition, node, to);
        if partition.leader.is_none() && partition.isr.contains(&node) {
            record.leader = node.0;
        }
        vec![record.into()]
    })
}

/// Whether nobody has decided yet: Kafka's `UNASSIGNED` and `MIGRATING`.
fn is_open(directory: TopicId) -> bool {
    directory == UNASSIGNED_DIRECTORY || directory.is_zero()
}

fn move_replica(
    topic: TopicId,
    index: PartitionIndex,
    partition: &Partition,
    node: NodeId,
    to: TopicId,
) -> PartitionChangeRecord<'static> {
    let of_replica =
        |(replica, directory): (&NodeId, &TopicId)| if *replica == node { to } else { *directory };
    let all = partition.replicas.iter().zip(&partition.directories);
    PartitionChangeRecord {
        partition_id: index.0,
        topic_id: topic,
        directories: Some(all.map(of_replica).collect()),
        ..PartitionChangeRecord::default()
    }
}

/// Takes the lead from `node` of every partition that lies in a directory of it which isn't online (Kafka's
/// `ReplicationControlManager.handleDirectoriesOffline`). Who is in sync stays so: it may lead again when the directory is back.
/// To be committed in batches of [`super::RECORDS_PER_REQUEST_MAX`].
pub fn leave_offline_directories(image: &Image, node: NodeId) -> Records {
    let mut records = Records::new();
    for topic in image.topics() {
        for (index, partition) in &topic.partitions {
            if partition.leader == Some(node) && !image.is_replica_online(partition, node) {
                let record = PartitionChangeRecord {
                    partition_id: index.0,
                    topic_id: topic.id,
                    leader: NO_LEADER,
                    ..PartitionChangeRecord::default()
                };
                records.push(record.into());
            }
        }
    }
    records
}

/// Kafka's `LeaderConstants.NO_LEADER`.
const NO_LEADER: i32 = -1;

/// Says that of `node`'s directories those in `online` are left; nothing when that is known.
pub fn keep_log_dirs(image: &Image, node: NodeId, online: &[TopicId]) -> Records {
    let changed = image.broker(node).filter(|broker| broker.log_dirs != online);
    changed.map_or(Records::new(), |broker| {
        let record = BrokerRegistrationChangeRecord {
            broker_id: node.0,
            broker_epoch: broker.epoch,
            log_dirs: online.iter().copied().collect(),
            ..BrokerRegistrationChangeRecord::default()
        };
        vec![record.into()]
    })
}

/// Says that these of `node`'s directories are cordoned; nothing when that is known, or the cluster's features have no room for it
/// (Kafka's `ReplicationControlManager.handleDirectoriesCordoned`).
pub fn cordon_log_dirs(image: &Image, node: NodeId, cordoned: &[TopicId]) -> Records {
    let is_news = |broker: &&Broker| image.can_cordon() && broker.cordoned_log_dirs != cordoned;
    image
        .broker(node)
        .filter(is_news)
        .map_or(Records::new(), |broker| {
            let record = BrokerRegistrationChangeRecord {
                broker_id: node.0,
                broker_epoch: broker.epoch,
                cordoned_log_dirs: Some(cordoned.iter().copied().collect()),
                ..BrokerRegistrationChangeRecord::default()
            };
            vec![record.into()]
        })
}
