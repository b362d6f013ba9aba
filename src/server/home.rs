//! The data directory: whose it is, that nobody else uses it, and how the last run ended.

use std::path::Path;

use crate::base::TopicId;
use crate::config::{Config, ListenerConfig};
use crate::io::{random_uuid, wall_now};
use crate::log::clean_start::CleanStart;
use crate::log::dir::{self, CheckpointedOffsets, LogDir, MetaProperties};
use crate::log::{self, LogError, Opened};
use crate::metadata::names::METADATA_TOPIC;
use crate::metadata::{Membership, VoterEndpoint};
use crate::quorum;
use crate::shard::CleanStop;

use super::listeners::host_name;

/// The locked data directory of a running node.
pub struct Home {
    dir: LogDir,
    properties: MetaProperties,
    opened: Opened,
}

impl Home {
    /// Locks the configured directory; formats an empty one for this node and a new cluster.
    ///
    /// # Errors
    /// A text that says which directory or setting is wrong.
    pub fn open(config: &Config) -> Result<Home, String> {
        let path = config.log_dir();
        let at = |error: &dyn std::fmt::Display| format!("log.dirs: {error}");
        let mut dir = LogDir::open_now(path).map_err(|error| at(&error))?;
        dir.remove_deleted_now().map_err(|error| at(&error))?;
        let properties = match dir.properties().cloned() {
            Some(properties) if properties.node_id == config.node_id() => properties,
            Some(properties) => {
                return Err(format!(
                    "log.dirs: {} belongs to node.id {}, and node.id is {}",
                    path.display(),
                    properties.node_id,
                    config.node_id()
                ));
            }
            None => {
                refuse_what_is_not_empty(path)?;
                let properties = MetaProperties {
                    cluster_id: TopicId(random_uuid()).to_string(),
                    node_id: config.node_id(),
                    directory_id: TopicId(random_uuid()),
                };
                let membership = new_membership(config, &properties);
                quorum::format_now(path, &membership, wall_now()).map_err(|error| at(&error))?;
                // Last: without it the next start formats again.
                dir.format_now(properties.clone()).map_err(|error| at(&error))?;
                properties
            }
        };
        Ok(Home {
            opened: dir.opened(),
            properties,
            dir,
        })
    }

    /// Whose it is.
    pub fn properties(&self) -> &MetaProperties {
        &self.properties
    }

    /// How the last run left it. A new directory counts as crashed: there is nothing in it to trust.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// What its checkpoints say of the logs.
    pub fn offsets(&self) -> &CheckpointedOffsets {
        self.dir.offsets()
    }

    /// What the last stop left for this start; nothing the second time.
    pub fn take_clean_start(&mut self) -> CleanStart {
        self.dir.take_clean_start()
    }

    /// Says that every log was closed, with these offsets, and gives the directory back.
    ///
    /// # Errors
    /// A text; the next start then takes this stop for a crash.
    pub fn mark_clean_stop(self, stop: CleanStop) -> Result<(), String> {
        self.dir
            .close_now(stop.offsets, stop.logs, stop.broker_epoch)
            .map_err(|error| format!("the clean stop could not be marked: {error}"))
    }
}

/// What stands in a directory that is to be formatted is lost to its cluster: it would belong to another one from then on. What a
/// format that a crash ended has left is none.
fn refuse_what_is_not_empty(path: &Path) -> Result<(), String> {
    let at = |error: LogError| format!("log.dirs: {error}");
    for found in dir::partitions_now(path).map_err(at)? {
        if found.topic != METADATA_TOPIC || log::has_batches_now(&found.path).map_err(at)? {
            return Err(format!(
                "log.dirs: {} has partitions and no meta.properties, which says whose they are: put it back, or name an empty directory",
                path.display()
            ));
        }
    }
    Ok(())
}

/// Who votes in a new cluster: this node, reached by its controller's listeners.
fn new_membership(config: &Config, properties: &MetaProperties) -> Membership {
    let told = config.advertised_controllers(&host_name());
    let endpoint = |listener: ListenerConfig| VoterEndpoint {
        listener: listener.name,
        host: listener.host,
        port: listener.port,
    };
    let endpoints = told.into_iter().map(endpoint).collect();
    Membership::of_one(properties.node_id, properties.directory_id, endpoints)
}
