//! Where the replicas of new partitions go: by hand or spread (Kafka's `StripedReplicaPlacer` and
//! `ReplicationControlManager.validateManualPartitionAssignment`).

use super::directories::Directories;
use crate::base::{NodeId, PartitionIndex, TopicId};
use crate::metadata::image::{Broker, Image};
use crate::wire::messages::PartitionRecord;
use crate::wire::{Array, ErrorCode};
use std::collections::BTreeSet;
use std::fmt;

/// Why partitions can't be placed. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementError {
    /// More replicas than brokers.
    TooFewBrokers {
        /// Replicas asked for.
        replicas: i16,
        /// Brokers that are registered.
        registered: usize,
        /// Whether there are any, and none takes replicas.
        none_takes_any: bool,
    },
    /// The assignment by hand is wrong: how.
    Assignment(String),
}

impl PlacementError {
    /// The code to answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            PlacementError::TooFewBrokers { .. } => ErrorCode::INVALID_REPLICATION_FACTOR,
            PlacementError::Assignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        }
    }
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlacementError::TooFewBrokers {
                replicas,
                registered,
                none_takes_any,
            } => {
                write!(f, "Unable to replicate the partition {replicas} time(s): ")?;
                match none_takes_any {
                    true => f.write_str(
                        "All brokers are currently fenced, or have all their log directories cordoned.",
                    ),
                    false => write!(
                        f,
                        "The target replication factor of {replicas} cannot be reached because only {registered} \
                         broker(s) are registered or some brokers have all their log directories cordoned."
                    ),
                }
            }
            PlacementError::Assignment(how) => f.write_str(how),
        }
    }
}

/// A partition as it will be.
pub(super) struct PlannedPartition {
    pub replicas: Vec<NodeId>,
    isr: Vec<NodeId>,
    directories: Vec<TopicId>,
}

/// Spreads the replicas of partitions `first..end` over the brokers that can lead, one further with each partition.
/// `replication_factor` is at least 1.
pub(super) fn spread(
    image: &Image,
    partitions: std::ops::Range<usize>,
    replication_factor: i16,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    // Fenced brokers come last: a replica may be on one, but not alone.
    let (able, fenced): (Vec<_>, Vec<_>) = image
        .brokers()
        .filter(|b| takes_replicas(b))
        .partition(|b| !b.fenced);
    let brokers: Vec<NodeId> = able.iter().chain(&fenced).map(|b| b.id).collect();
    let wanted = replication_factor as usize;
    if able.is_empty() || wanted > brokers.len() {
        return Err(PlacementError::TooFewBrokers {
            replicas: replication_factor,
            registered: brokers.len(),
            none_takes_any: able.is_empty() && image.brokers().next().is_some(),
        });
    }
    let replicas_of = |partition: usize| {
        let leader = partition % able.len();
        brokers
            .iter()
            .copied()
            .cycle()
            .skip(leader)
            .take(wanted)
            .collect()
    };
    Ok(partitions.map(replicas_of).collect())
}

/// Kafka's `BrokerRegistration.hasUncordonedDirs`.
fn takes_replicas(broker: &Broker) -> bool {
    let cordoned = &broker.cordoned_log_dirs;
    broker.log_dirs.is_empty()
        || broker
            .log_dirs
            .iter()
            .any(|directory| !cordoned.contains(directory))
}

/// Checks one partition's replicas as a client assigned them; `factor` is how many those of the topic's other
/// partitions are.
pub(super) fn check_assigned(
    image: &Image,
    partition: i32,
    replicas: &[NodeId],
    factor: Option<usize>,
) -> Result<(), PlacementError> {
    check_replicas(image, replicas, factor)?;
    if !replicas.iter().any(|&node| can_lead(image, node)) {
        return Err(PlacementError::Assignment(format!(
            "All brokers specified in the manual partition assignment for partition {partition} are fenced or in \
             controlled shutdown."
        )));
    }
    Ok(())
}

fn check_replicas(image: &Image, replicas: &[NodeId], factor: Option<usize>) -> Result<(), PlacementError> {
    let refuse = |how: String| {
        Err(PlacementError::Assignment(format!(
            "The manual partition assignment includes {how}"
        )))
    };
    if replicas.is_empty() {
        return refuse("an empty replica list.".to_owned());
    }
    let mut seen = BTreeSet::new();
    for &node in replicas {
        if image.broker(node).is_none() {
            return refuse(format!("broker {node}, but no such broker is registered."));
        }
        if !seen.insert(node) {
            return refuse(format!("the broker {node} more than once."));
        }
    }
    match factor {
        Some(factor) if factor != replicas.len() => refuse(format!(
            "a partition with {} replica(s), but this is not consistent with previous partitions, which have {factor} \
             replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}

fn can_lead(image: &Image, node: NodeId) -> bool {
    image
        .broker(node)
        .is_some_and(|b| !b.fenced && !b.in_controlled_shutdown)
}

impl PlannedPartition {
    /// Each replica lies in one of `directories`, which counts it.
    pub fn new(image: &Image, replicas: Vec<NodeId>, directories: &mut Directories) -> PlannedPartition {
        let isr = replicas
            .iter()
            .copied()
            .filter(|&node| can_lead(image, node))
            .collect();
        let directories = replicas
            .iter()
            .map(|node| directories.choose(image, *node))
            .collect();
        PlannedPartition {
            replicas,
            isr,
            directories,
        }
    }

    pub fn record(&self, topic_id: TopicId, partition: PartitionIndex) -> PartitionRecord<'static> {
        let ids = |nodes: &[NodeId]| nodes.iter().map(|n| n.0).collect::<Array<'static, i32>>();
        PartitionRecord {
            partition_id: partition.0,
            topic_id,
            replicas: ids(&self.replicas),
            isr: ids(&self.isr),
            removing_replicas: Array::default(),
            adding_replicas: Array::default(),
            leader: self.isr.first().map_or(-1, |n| n.0),
            leader_recovery_state: 0,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: self.directories.iter().copied().collect(),
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }
}
