//! The data directories: whose they are, that nobody else uses them, and how the last run ended.
//!
//! One that can't be used is passed over, with a line that says why, as long as another is left and it isn't the metadata log's (Kafka's
//! `MetaPropertiesEnsemble` and `LogManager.createAndValidateLogDirs`).

use std::path::{Path, PathBuf};

use crate::base::TopicId;
use crate::config::{Config, ListenerConfig};
use crate::io::{random_uuid, wall_now};
use crate::log::clean_start::{CleanStart, Entry};
use crate::log::dir::{self, CheckpointedOffsets, DirError, LogDir, META_PROPERTIES, MetaProperties};
use crate::log::{self, LogError};
use crate::metadata::names::METADATA_TOPIC;
use crate::metadata::{Membership, VoterEndpoint};
use crate::quorum;
use crate::shard::{CleanStop, DataDir, FoundDir, MetadataDir};

use super::listeners::host_name;

/// The locked data directories of a running node.
pub struct Home {
    /// In the order of `log.dirs`, and behind them the metadata log's where it is none of those.
    places: Vec<Place>,
    metadata: usize,
    cluster_id: String,
}

/// One directory.
struct Place {
    path: PathBuf,
    /// Whether partitions lie in it.
    is_for_data: bool,
    /// None when it can't be used.
    dir: Option<LogDir>,
}

impl Home {
    /// Locks the configured directories; formats empty ones for this node, and all of them for a new cluster.
    ///
    /// # Errors
    /// A text that says which directory or setting is wrong.
    pub fn open(config: &Config) -> Result<Home, String> {
        let mut home = Home::lock(config)?;
        home.check_owners(config)?;
        home.check_metadata_log()?;
        home.format_empty(config)?;
        Ok(home)
    }

    fn lock(config: &Config) -> Result<Home, String> {
        let metadata_path = config.metadata_log_dir();
        let mut paths: Vec<&Path> = config.log_dirs().iter().map(PathBuf::as_path).collect();
        let for_data = paths.len();
        let metadata = paths.iter().position(|path| *path == metadata_path);
        let metadata = metadata.unwrap_or_else(|| {
            paths.push(metadata_path);
            for_data
        });
        let mut places = Vec::new();
        for (index, path) in paths.into_iter().enumerate() {
            places.push(Place {
                path: path.to_owned(),
                is_for_data: index < for_data,
                dir: lock_one(path, index == metadata)?,
            });
        }
        if !places
            .iter()
            .any(|place| place.is_for_data && place.dir.is_some())
        {
            return Err("log.dirs: none of the directories can be used".to_owned());
        }
        Ok(Home {
            places,
            metadata,
            cluster_id: String::new(),
        })
    }

    /// What `meta.properties` says in those that can be used and have one.
    fn owners(&self) -> impl Iterator<Item = (&Path, &MetaProperties)> {
        let usable = self
            .places
            .iter()
            .filter_map(|place| Some((place, place.dir.as_ref()?)));
        usable.filter_map(|(place, dir)| Some((place.path.as_path(), dir.properties()?)))
    }

    /// All belong to this node and to one cluster, and each is another one.
    fn check_owners(&mut self, config: &Config) -> Result<(), String> {
        let mut seen: Vec<(&Path, &MetaProperties)> = Vec::new();
        for (path, owner) in self.owners() {
            if owner.node_id != config.node_id() {
                return Err(format!(
                    "log.dirs: {} belongs to node.id {}, and node.id is {}",
                    path.display(),
                    owner.node_id,
                    config.node_id()
                ));
            }
            if let Some((other, first)) = seen.first()
                && first.cluster_id != owner.cluster_id
            {
                return Err(format!(
                    "log.dirs: {} says cluster.id={}, and {} says cluster.id={}",
                    other.join(META_PROPERTIES).display(),
                    first.cluster_id,
                    path.join(META_PROPERTIES).display(),
                    owner.cluster_id
                ));
            }
            if let Some((other, _)) = seen
                .iter()
                .find(|(_, other)| other.directory_id == owner.directory_id)
            {
                return Err(format!(
                    "log.dirs: {} and {} say the same directory.id={}: one is a copy of the other",
                    other.join(META_PROPERTIES).display(),
                    path.join(META_PROPERTIES).display(),
                    owner.directory_id
                ));
            }
            seen.push((path, owner));
        }
        self.cluster_id = match seen.first() {
            Some((_, owner)) => owner.cluster_id.clone(),
            None => TopicId(random_uuid()).to_string(),
        };
        Ok(())
    }

    /// The metadata log is where the settings say, and nowhere else.
    fn check_metadata_log(&self) -> Result<(), String> {
        let place = &self.places[self.metadata];
        let is_formatted = place.dir.as_ref().is_some_and(|dir| dir.properties().is_some());
        if let Some((other, owner)) = self.owners().next()
            && !is_formatted
        {
            return Err(format!(
                "metadata.log.dir: {} has no meta.properties, and {} belongs to cluster.id {}: name the directory that has the metadata \
                 log, or put it back",
                place.path.display(),
                other.display(),
                owner.cluster_id
            ));
        }
        for (index, other) in self.places.iter().enumerate() {
            let is_elsewhere = other.dir.is_some() && index != self.metadata;
            if is_elsewhere && let Some(found) = metadata_log_in(&other.path)? {
                return Err(format!(
                    "metadata.log.dir: the metadata log is in {}, and {} is configured for it",
                    found.display(),
                    place.path.display()
                ));
            }
        }
        Ok(())
    }

    /// Makes the empty directories this node's, the metadata log's first: what a crash leaves of it is made anew at the next start.
    fn format_empty(&mut self, config: &Config) -> Result<(), String> {
        let metadata = self.metadata;
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        order.sort_by_key(|index| *index != metadata);
        for index in order {
            let Some(dir) = &mut self.places[index].dir else {
                continue;
            };
            if dir.properties().is_some() {
                continue;
            }
            refuse_what_is_not_empty(dir.path())?;
            let properties = MetaProperties {
                cluster_id: self.cluster_id.clone(),
                node_id: config.node_id(),
                directory_id: TopicId(random_uuid()),
            };
            format(dir, config, properties, index == metadata)
                .map_err(|error| format!("log.dirs: {error}"))?;
        }
        Ok(())
    }

    /// The cluster that the directories belong to.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Where the metadata log stands.
    pub fn metadata_dir(&self) -> MetadataDir {
        let Place { path, dir, .. } = &self.places[self.metadata];
        let dir = dir.as_ref().expect("it could be locked");
        MetadataDir {
            path: absolute(path),
            id: dir.properties().expect("it is formatted").directory_id,
            opened: dir.opened(),
        }
    }

    /// The directories for partitions, in the order of `log.dirs`.
    pub fn data_dirs(&self) -> Vec<DataDir> {
        let for_data = self.places.iter().filter(|place| place.is_for_data);
        for_data.map(Place::describe).collect()
    }

    /// What the last stop left in each of them for this start; nothing the second time.
    pub fn take_clean_starts(&mut self) -> Vec<CleanStart> {
        let for_data = self.places.iter_mut().filter(|place| place.is_for_data);
        for_data
            .map(|place| {
                place
                    .dir
                    .as_mut()
                    .map(LogDir::take_clean_start)
                    .unwrap_or_default()
            })
            .collect()
    }

    /// Says of each directory that is still in use that every log in it was closed, with these offsets, and gives all of them back.
    ///
    /// # Errors
    /// A text; the next start then takes this stop for a crash.
    pub fn mark_clean_stop(self, stop: CleanStop) -> Result<(), String> {
        let mut offsets = stop.offsets.into_iter();
        let mut logs = stop.logs.into_iter();
        let mut outcome = Ok(());
        for place in self.places {
            // The metadata log's own directory has no other logs.
            let (offsets, logs): (_, Vec<Entry>) = match place.is_for_data {
                true => (offsets.next().flatten(), logs.next().unwrap_or_default()),
                false => (Some(CheckpointedOffsets::default()), Vec::new()),
            };
            if let Some((dir, offsets)) = place.dir.zip(offsets) {
                let closed = dir.close_now(offsets, logs, stop.broker_epoch);
                outcome = outcome
                    .and(closed.map_err(|error| format!("the clean stop could not be marked: {error}")));
            }
        }
        outcome
    }
}

impl Place {
    fn describe(&self) -> DataDir {
        let found = |dir: &LogDir| FoundDir {
            id: dir.properties().expect("it is formatted").directory_id,
            opened: dir.opened(),
            offsets: dir.offsets().clone(),
        };
        DataDir {
            path: absolute(&self.path),
            found: self.dir.as_ref().map(found),
        }
    }
}

/// Locks one directory; `None`, with a line in the log, when it can't be used and others may do without it.
fn lock_one(path: &Path, is_needed: bool) -> Result<Option<LogDir>, String> {
    match LogDir::open_now(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error @ DirError::File(_)) if !is_needed => {
            tracing::error!(
                "log.dirs: {} is offline, and its partitions with it: {error}",
                path.display()
            );
            Ok(None)
        }
        Err(error) => Err(format!("log.dirs: {error}")),
    }
}

/// As clients know it. Without a working directory it stays as it is.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn format(
    dir: &mut LogDir,
    config: &Config,
    properties: MetaProperties,
    with_metadata_log: bool,
) -> Result<(), DirError> {
    if with_metadata_log {
        let membership = new_membership(config, &properties);
        let path = dir.path().to_owned();
        log::at(&path, quorum::format_now(&path, &membership, wall_now()))?;
    }
    // Last: without it the next start formats again.
    dir.format_now(properties)
}

/// Where in the log directory `path` the metadata log is, if it is there.
fn metadata_log_in(path: &Path) -> Result<Option<PathBuf>, String> {
    let partitions = dir::partitions_now(path).map_err(|error| format!("log.dirs: {error}"))?;
    let found = partitions.into_iter().find(|found| found.topic == METADATA_TOPIC);
    Ok(found.map(|found| found.path))
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
