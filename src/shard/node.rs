//! What every core of a node knows from the start, and nobody changes.

use crate::base::{NodeId, TopicId};
use crate::config::{Config, ListenerConfig};
use crate::log::Opened;
use crate::log::dir::CheckpointedOffsets;
use crate::metadata::Endpoint;
use crate::metadata::controller::Registration;
use crate::quorum::Identity;

use super::places::ConnectionLimits;

/// Kafka's number for the PLAINTEXT protocol.
const PLAINTEXT: i16 = 0;

/// One node, shared by its cores.
pub struct Node {
    /// Its settings.
    pub config: Config,
    /// The addresses that clients are told, by listener name.
    pub advertised: Vec<ListenerConfig>,
    /// How many connections there may be.
    pub connection_limits: ConnectionLimits,
    /// The addresses of its controller, by listener name; none when it has no listener for that.
    pub controllers: Vec<ListenerConfig>,
    /// How many cores run.
    pub cores: u16,
    /// The cluster that the data directory belongs to.
    pub cluster_id: String,
    /// The data directory's own id.
    pub directory_id: TopicId,
    /// How the data directory was left.
    pub opened: Opened,
    /// What its checkpoints said of the logs when the node started.
    pub offsets: CheckpointedOffsets,
}

impl Node {
    /// Its id.
    pub fn id(&self) -> NodeId {
        self.config.node_id()
    }

    /// Which voter of the quorum it is.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            node: self.id(),
            directory: self.directory_id,
        }
    }

    /// How it registers as a broker; `incarnation` is this run's random id.
    pub(super) fn registration(&self, incarnation: TopicId) -> Registration {
        let endpoint = |listener: &ListenerConfig| Endpoint {
            listener: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: PLAINTEXT,
        };
        Registration {
            node: self.id(),
            incarnation,
            endpoints: self.advertised.iter().map(endpoint).collect(),
            rack: self.config.rack().map(str::to_string),
            log_dirs: vec![self.directory_id],
            cordoned_log_dirs: Vec::new(),
        }
    }
}
