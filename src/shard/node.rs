//! What every core of a node knows from the start, and nobody changes.

use std::path::PathBuf;

use crate::base::{NodeId, TopicId};
use crate::config::{Config, ListenerConfig};
use crate::log::Opened;
use crate::metadata::controller::Registration;
use crate::metadata::{Endpoint, Image, Partition};
use crate::quorum::Identity;

use super::data_dirs::{DataDirs, DirIndex};
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
    /// The cluster that the data directories belong to.
    pub cluster_id: String,
    /// Where the metadata log stands.
    pub metadata_dir: MetadataDir,
    /// Where the partitions lie.
    pub dirs: DataDirs,
}

/// The directory of the metadata log; mostly one of those of the partitions.
#[derive(Debug)]
pub struct MetadataDir {
    /// Absolute.
    pub path: PathBuf,
    /// Its own id, as a voter of the quorum is known by.
    pub id: TopicId,
    /// How it was left.
    pub opened: Opened,
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
            directory: self.metadata_dir.id,
        }
    }

    /// Which of its directories a partition's replica here lies in, if the start found that one.
    pub(super) fn dir_of(&self, partition: &Partition) -> Option<DirIndex> {
        self.dirs.by_id(partition.directory_of(self.id())?)
    }

    /// The ids of the directories that take no new partition by `config`, in their order.
    pub(super) fn cordoned(&self, config: &Config) -> Vec<TopicId> {
        let cordoned = config.cordoned_log_dirs();
        let is_cordoned = |index: DirIndex| cordoned.contains(&self.config.log_dirs()[index.0].as_path());
        let found = self.dirs.found().filter(|(index, ..)| is_cordoned(*index));
        found.map(|(_, _, found)| found.id).collect()
    }

    /// How it registers as a broker; `incarnation` is this run's random id, `config` what is set now, `online` the ids of the directories
    /// that can be used.
    pub(super) fn registration(
        &self,
        incarnation: TopicId,
        image: &Image,
        config: &Config,
        online: Vec<TopicId>,
    ) -> Registration {
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
            log_dirs: online,
            cordoned_log_dirs: match image.can_cordon() {
                true => self.cordoned(config),
                false => Vec::new(),
            },
        }
    }
}
