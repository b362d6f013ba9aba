//! The metadata log: the only way to change the cluster's metadata, propose → committed.
//!
//! It stands in `__cluster_metadata-0` in Kafka's segment format, on core 0. One change is one batch: appended, flushed, and only
//! then handed back to be applied. A quorum of one commits what it has flushed.

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::batch::{RecordBatchError, record_batch};
use super::image::{ApplyError, Image};
use super::names::METADATA_TOPIC;
use crate::base::{Offset, PartitionIndex, Timestamp};
use crate::log::{AppendError, Log, LogError, LogOptions, Opened, ReadError, ReadLimits, Resume, names};
use crate::wire::batch::batches;
use crate::wire::records::MetadataRecord;

/// Bytes of the log in memory at once while it is replayed; a larger batch comes whole.
const REPLAY_BYTES_MAX: usize = 1 << 20;

/// The metadata log of this node.
pub struct MetadataLog {
    log: Log,
}

/// Why the metadata log can't be opened or written.
#[derive(Debug)]
pub enum MetadataLogError {
    /// Its files can't be opened.
    Open(LogError),
    /// They can't be read.
    Read(ReadError),
    /// What they hold doesn't apply.
    Apply(ApplyError),
    /// The change is no batch.
    Batch(RecordBatchError),
    /// The batch can't be appended.
    Append(AppendError),
    /// The disk failed while flushing: what was proposed may or may not be there after a restart.
    Flush(io::Error),
}

impl fmt::Display for MetadataLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataLogError::Open(error) => write!(f, "{error}"),
            MetadataLogError::Read(error) => write!(f, "{error}"),
            MetadataLogError::Apply(error) => write!(f, "{error}"),
            MetadataLogError::Batch(error) => write!(f, "{error}"),
            MetadataLogError::Append(error) => write!(f, "{error}"),
            MetadataLogError::Flush(error) => write!(f, "flushing it failed: {error}"),
        }
    }
}

impl std::error::Error for MetadataLogError {}

impl MetadataLog {
    /// Opens the log in its directory under `log_dir`, or begins one, and replays it. Blocks: for the start.
    pub fn open_now(
        log_dir: &Path,
        opened: Opened,
        now: Timestamp,
    ) -> Result<(MetadataLog, Image), MetadataLogError> {
        let dir = log_dir.join(names::partition_dir(METADATA_TOPIC, PartitionIndex(0)));
        let (log, _) =
            Log::open_now(&dir, options(), opened, Resume::default(), now).map_err(MetadataLogError::Open)?;
        let image = replay_now(&log)?;
        Ok((MetadataLog { log }, image))
    }

    /// Appends `records`, which must not be empty, as one batch and flushes it. What comes back is committed: apply it to every image.
    pub async fn propose(
        &mut self,
        records: &[MetadataRecord<'_>],
        now: Timestamp,
    ) -> Result<Bytes, MetadataLogError> {
        let batch = record_batch(records, self.log.end_offset(), now).map_err(MetadataLogError::Batch)?;
        self.log.append(&batch, now).map_err(MetadataLogError::Append)?;
        let plan = self.log.flush_plan().map_err(MetadataLogError::Flush)?;
        let flushed = plan.run().await.map_err(MetadataLogError::Flush)?;
        self.log.flushed(flushed);
        Ok(batch)
    }

    /// The offset that the next record will have.
    pub fn end_offset(&self) -> Offset {
        self.log.end_offset()
    }

    /// Flushes and closes the files.
    pub async fn close(self) -> io::Result<()> {
        self.log.close().await
    }
}

/// Kafka's for its metadata log, but for retention: nothing is dropped while there are no snapshots.
fn options() -> LogOptions {
    LogOptions {
        retention_ms: -1,
        retention_bytes: -1,
        ..LogOptions::default()
    }
}

fn replay_now(log: &Log) -> Result<Image, MetadataLogError> {
    let mut image = Image::empty();
    while image.next_offset() < log.end_offset() {
        let limits = ReadLimits {
            bytes_max: REPLAY_BYTES_MAX,
            upper: log.end_offset(),
            at_least_one: true,
        };
        let plan = log
            .read(image.next_offset(), limits)
            .map_err(MetadataLogError::Read)?;
        let bytes = plan
            .run_now()
            .map_err(|error| MetadataLogError::Read(error.into()))?;
        for batch in batches(&bytes) {
            let batch = batch.map_err(|error| MetadataLogError::Apply(ApplyError::Batch(error)))?;
            image.apply_batch(&batch).map_err(MetadataLogError::Apply)?;
        }
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::controller::initial_records;
    use crate::metadata::features::METADATA_VERSION;

    #[test]
    fn what_was_committed_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_path_buf();
        let mut options = crate::io::Options::unpinned(1);
        options.pin = false;
        crate::io::run(options, move |_| {
            let path = path.clone();
            async move {
                let (mut log, image) =
                    MetadataLog::open_now(&path, Opened::AfterCrash, Timestamp(1)).unwrap();
                let batch = log.propose(&initial_records(&image), Timestamp(1)).await.unwrap();
                drop(log);
                let (log, replayed) = MetadataLog::open_now(&path, Opened::AfterCrash, Timestamp(2)).unwrap();
                let mut applied = image;
                let batch = crate::wire::batch::BatchView::first(&batch).unwrap();
                applied.apply_batch(&batch).unwrap();
                assert_eq!(replayed, applied);
                assert!(replayed.feature_level(METADATA_VERSION) > 0);
                assert_eq!(log.end_offset(), replayed.next_offset());
            }
        })
        .unwrap();
    }
}
