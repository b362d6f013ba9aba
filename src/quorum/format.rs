//! What a directory holds before its first start: who votes, and the features of the cluster (Kafka's `StorageTool`).

use super::QuorumError;
use super::snapshot;
use crate::base::{PartitionIndex, Timestamp};
use crate::io::fs;
use crate::log::{at, names};
use crate::metadata::names::METADATA_TOPIC;
use crate::metadata::{Image, Membership};
use std::io;
use std::path::{Path, PathBuf};

/// The records that a log begins with, as a formatted directory has them.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// Where the metadata log stands in the data directory.
pub(super) fn metadata_dir(log_dir: &Path) -> PathBuf {
    log_dir.join(names::partition_dir(METADATA_TOPIC, PartitionIndex(0)))
}

/// Makes the metadata log's directory in a new data directory, with the snapshot of nothing that names the voters. Durable; to be
/// done again if a crash comes before `meta.properties` is written.
pub fn format_now(log_dir: &Path, membership: &Membership, now: Timestamp) -> io::Result<()> {
    let dir = metadata_dir(log_dir);
    fs::create_dir_all_now(&dir)?;
    fs::sync_dir_now(log_dir)?;
    snapshot::write_empty_now(&dir, membership, now)
}

/// What `bootstrap.checkpoint` in the data directory wants a log to begin with; `None` without it.
pub(super) fn bootstrap_now(log_dir: &Path) -> Result<Option<Image>, QuorumError> {
    let path = log_dir.join(BOOTSTRAP);
    if !at(&path, fs::exists_now(&path)).map_err(QuorumError::Open)? {
        return Ok(None);
    }
    let mut image = Image::empty();
    snapshot::read_now(&path, |batch| {
        let applied = image.apply_snapshot_batch(batch);
        applied.map(|_| ()).map_err(|error| error.to_string())
    })
    .map_err(QuorumError::Snapshot)?;
    Ok(Some(image))
}
