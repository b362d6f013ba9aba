//! The parts of an image.

use crate::base::{LeaderEpoch, NodeId, PartitionIndex, TopicId};
use crate::metadata::names::is_internal;
use std::collections::BTreeMap;

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id, which a topic of the same name created later doesn't share.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Its partitions, from 0 without gaps once its records are all applied.
    pub partitions: BTreeMap<PartitionIndex, Partition>,
}

impl Topic {
    /// Whether clients should be told that it is the broker's own (Kafka's `Topic.isInternal`).
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }
}

/// One partition's replicas and leader (Kafka's `PartitionRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The nodes that hold it; the first is the preferred leader.
    pub replicas: Vec<NodeId>,
    /// Those in sync with the leader.
    pub isr: Vec<NodeId>,
    /// Those that a running reassignment takes away.
    pub removing_replicas: Vec<NodeId>,
    /// Those that it adds.
    pub adding_replicas: Vec<NodeId>,
    /// Those outside the ISR that still have all that was committed (KIP-966).
    pub eligible_leader_replicas: Vec<NodeId>,
    /// The last of those, for when nobody is left (KIP-966).
    pub last_known_elr: Vec<NodeId>,
    /// The leader, unless there is none.
    pub leader: Option<NodeId>,
    /// How many leaders there were.
    pub leader_epoch: LeaderEpoch,
    /// How many changes there were.
    pub partition_epoch: i32,
    /// Whether the leader is known to have everything that was committed.
    pub recovery: RecoveryState,
    /// The log directory of each replica, in their order (KIP-858); zero when it isn't known.
    pub directories: Vec<TopicId>,
}

impl Partition {
    /// The log directory of the replica on `node`, if there is one; zero when it isn't known.
    pub fn directory_of(&self, node: NodeId) -> Option<TopicId> {
        let at = self.replicas.iter().position(|replica| *replica == node)?;
        Some(self.directories.get(at).copied().unwrap_or(TopicId::ZERO))
    }
}

/// Kafka's `LeaderRecoveryState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryState {
    /// The leader came from the ISR.
    Recovered,
    /// The leader was elected uncleanly and is mending its log.
    Recovering,
}

/// One registered broker: a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The node.
    pub id: NodeId,
    /// The offset of its registration; fences what an earlier one of the same node asks.
    pub epoch: i64,
    /// What the running process calls itself.
    pub incarnation: TopicId,
    /// Where it is reached, by listener.
    pub endpoints: Vec<Endpoint>,
    /// Its rack.
    pub rack: Option<String>,
    /// Whether it can't lead or be named to clients for now.
    pub fenced: bool,
    /// Whether it is stopping.
    pub in_controlled_shutdown: bool,
    /// The features that it supports: name, lowest and highest level.
    pub features: Vec<(String, i16, i16)>,
    /// The ids of its log directories.
    pub log_dirs: Vec<TopicId>,
    /// Those of them that take no new partition.
    pub cordoned_log_dirs: Vec<TopicId>,
}

/// Kafka's `DirectoryId.UNASSIGNED`: not chosen yet.
pub const UNASSIGNED_DIRECTORY: TopicId = reserved_directory(1);
/// Kafka's `DirectoryId.LOST`: in none that the broker has.
const LOST_DIRECTORY: TopicId = reserved_directory(2);

const fn reserved_directory(number: u8) -> TopicId {
    TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number])
}

impl Broker {
    /// Whether a replica that the log puts into `directory` can be used (Kafka's `DirectoryId.isOnline`): one of which nobody knows yet
    /// where it lies counts as usable, and so does any of a broker that never named its directories.
    pub fn has_online_dir(&self, directory: TopicId) -> bool {
        match directory {
            UNASSIGNED_DIRECTORY | TopicId::ZERO => true,
            LOST_DIRECTORY => false,
            named => self.log_dirs.is_empty() || self.log_dirs.contains(&named),
        }
    }
}

/// Where a broker is reached by one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Kafka's number for the security protocol: 0 is PLAINTEXT.
    pub security_protocol: i16,
}
