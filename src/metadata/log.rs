//! The metadata log: `__cluster_metadata-0` in Kafka's files, and the only way to change the cluster's metadata.
//!
//! Core 0 owns it. One change is one batch: appended, flushed, and only then handed back to be applied, so whatever any
//! image has seen is on stable storage. A quorum of one commits what it has flushed. It ends by [`MetadataLog::close`], or
//! by a crash: what was appended and not flushed then may or may not be there at the next start, and was
//! answered to nobody.

use super::batch::{RecordBatchError, leader_change_batch, record_batch};
use super::image::{ApplyError, Image};
use super::names::METADATA_TOPIC;
use crate::base::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId};
use crate::config::Config;
use crate::log::{
    AppendError, FlushPlan, Log, LogError, LogOptions, Opened, ReadError, ReadLimits, Resume, names,
    read_topic_id_now, write_topic_id_now,
};
use crate::wire::batch::{BatchView, batches};
use crate::wire::messages::AbortTransactionRecord;
use crate::wire::records::MetadataRecord;
use bytes::Bytes;
use std::fmt;
use std::io;

/// Bytes of the log that are in memory at once while it is replayed; a batch that is larger comes whole.
const REPLAY_BYTES_MAX: usize = 1 << 20;

/// The epoch that a new log begins with, as Kafka's first election gives it. A quorum of one has no other elections: an
/// existing log goes on in the epoch it ended in.
const FIRST_EPOCH: LeaderEpoch = LeaderEpoch(1);

/// Kafka's `Uuid.METADATA_TOPIC_ID`.
const METADATA_TOPIC_ID: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// The metadata log of this node; see the module.
#[derive(Debug)]
pub struct MetadataLog {
    log: Log,
    epoch: LeaderEpoch,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everything in the log was handed out.
    Settled,
    /// A proposal is under way, or was given up half-way.
    Proposing,
    /// The disk failed: what the log holds is not known.
    Failed,
}

/// Why the metadata log can't be opened, or a change can't be made.
#[derive(Debug)]
pub enum MetadataLogError {
    /// Its files can't be opened.
    Open(LogError),
    /// They can't be read.
    Read(ReadError),
    /// What they hold doesn't apply.
    Apply(ApplyError),
    /// It begins behind a snapshot, and snapshots aren't read.
    NeedsSnapshot {
        /// Where it begins.
        start: Offset,
    },
    /// The change is too large. The log is as before.
    Batch(RecordBatchError),
    /// The change can't be appended. If the disk is only full, the log is as before.
    Append(AppendError),
    /// The disk failed: what was proposed may or may not be there after a restart.
    Flush(io::Error),
    /// An earlier change failed in a way that leaves the log in doubt; only a restart helps.
    InDoubt,
}

impl fmt::Display for MetadataLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataLogError::Open(error) => write!(f, "{error}"),
            MetadataLogError::Read(error) => write!(f, "the metadata log can't be read: {error}"),
            MetadataLogError::Apply(error) => write!(f, "{error}"),
            MetadataLogError::NeedsSnapshot { start } => {
                write!(
                    f,
                    "the metadata log begins at offset {start}, behind a snapshot; snapshots can't be read yet"
                )
            }
            MetadataLogError::Batch(error) => write!(f, "{error}"),
            MetadataLogError::Append(error) => write!(f, "the metadata log can't be written: {error}"),
            MetadataLogError::Flush(error) => write!(f, "the metadata log can't be flushed: {error}"),
            MetadataLogError::InDoubt => {
                f.write_str("the metadata log takes no changes since one of them failed; restart the node")
            }
        }
    }
}

impl std::error::Error for MetadataLogError {}

impl MetadataLog {
    /// Opens the log in the data directory, or begins one, and replays it. Blocks: for the start.
    ///
    /// After a crash the image may hold a change that isn't flushed yet. The first [`propose`](Self::propose) flushes it
    /// too, and every start makes one (the broker's registration) before it serves anyone.
    pub fn open_now(
        config: &Config,
        opened: Opened,
        now: Timestamp,
    ) -> Result<(MetadataLog, Image), MetadataLogError> {
        let dir = config
            .log_dir()
            .join(names::partition_dir(METADATA_TOPIC, PartitionIndex(0)));
        let (log, _) = Log::open_now(&dir, options(config), opened, Resume::default(), now)
            .map_err(MetadataLogError::Open)?;
        if read_topic_id_now(&dir, opened)
            .map_err(MetadataLogError::Open)?
            .is_none()
        {
            write_topic_id_now(&dir, METADATA_TOPIC_ID).map_err(MetadataLogError::Flush)?;
        }
        if log.start_offset() > Offset(0) {
            return Err(MetadataLogError::NeedsSnapshot {
                start: log.start_offset(),
            });
        }
        let mut image = replay_now(&log)?;
        let epoch = log.latest_epoch().unwrap_or(FIRST_EPOCH).max(FIRST_EPOCH);
        let mut opened = MetadataLog {
            log,
            epoch,
            state: State::Settled,
        };
        opened.begin_now(config, &mut image, now)?;
        Ok((opened, image))
    }

    /// What a leader does first: announce itself in a new log, and end a transaction that the last one left open.
    fn begin_now(
        &mut self,
        config: &Config,
        image: &mut Image,
        now: Timestamp,
    ) -> Result<(), MetadataLogError> {
        if self.log.end_offset() == Offset(0) {
            let batch = leader_change_batch(config.node_id(), Offset(0), self.epoch, now);
            self.append_applied_now(&batch.map_err(MetadataLogError::Batch)?, image, now)?;
        }
        if image.transaction_is_open() {
            let record = AbortTransactionRecord {
                reason: Some("the controller was restarted".into()),
            };
            let batch = record_batch(&[record.into()], self.log.end_offset(), self.epoch, now);
            self.append_applied_now(&batch.map_err(MetadataLogError::Batch)?, image, now)?;
        }
        Ok(())
    }

    fn append_applied_now(
        &mut self,
        batch: &Bytes,
        image: &mut Image,
        now: Timestamp,
    ) -> Result<(), MetadataLogError> {
        self.log.append(batch, now).map_err(MetadataLogError::Append)?;
        let view =
            BatchView::first(batch).map_err(|error| MetadataLogError::Apply(ApplyError::Batch(error)))?;
        image
            .apply_batch(&view)
            .map(|_| ())
            .map_err(MetadataLogError::Apply)
    }

    /// Makes one change: appends `records`, which must not be empty, as one batch and flushes it. The batch that comes
    /// back is committed; every image must apply it before the next proposal is decided on.
    pub async fn propose(
        &mut self,
        records: &[MetadataRecord<'_>],
        now: Timestamp,
    ) -> Result<Bytes, MetadataLogError> {
        if self.state != State::Settled {
            return Err(MetadataLogError::InDoubt);
        }
        let batch =
            record_batch(records, self.log.end_offset(), self.epoch, now).map_err(MetadataLogError::Batch)?;
        let plan = self.append(&batch, now)?;
        // Should the caller give up while this waits, the batch is there and nobody knows: in doubt.
        self.state = State::Proposing;
        match plan.run().await {
            Ok(upto) => {
                self.log.flushed(upto);
                self.state = State::Settled;
                Ok(batch)
            }
            Err(error) => {
                self.state = State::Failed;
                Err(MetadataLogError::Flush(error))
            }
        }
    }

    fn append(&mut self, batch: &Bytes, now: Timestamp) -> Result<FlushPlan, MetadataLogError> {
        // Before anything is written: to be out of descriptors is no reason to doubt the log.
        self.log
            .hold_active_now()
            .map_err(|error| MetadataLogError::Append(AppendError::Disk(error)))?;
        self.log.append(batch, now).map_err(|error| {
            if matches!(&error, AppendError::Disk(error) if error.kind() != io::ErrorKind::StorageFull) {
                self.state = State::Failed;
            }
            MetadataLogError::Append(error)
        })?;
        self.log.flush_plan().map_err(|error| {
            self.state = State::Failed;
            MetadataLogError::Flush(error)
        })
    }

    /// The offset that the next record will have.
    pub fn end_offset(&self) -> Offset {
        self.log.end_offset()
    }

    /// Flushes and closes the files. After a failure there is nothing that may be called clean.
    pub async fn close(self) -> io::Result<()> {
        if self.state != State::Settled {
            return Err(io::Error::other(MetadataLogError::InDoubt));
        }
        self.log.close().await
    }
}

/// Kafka's for its metadata log, but for retention: nothing goes while there are no snapshots.
fn options(config: &Config) -> LogOptions {
    LogOptions {
        segment_bytes: u32::try_from(config.metadata_segment_bytes()).unwrap_or(i32::MAX as u32),
        segment_ms: i64::MAX,
        retention_ms: -1,
        retention_bytes: -1,
        refuse_damage: true,
        ..LogOptions::default()
    }
}

fn replay_now(log: &Log) -> Result<Image, MetadataLogError> {
    let mut image = Image::empty();
    while image.next_offset() < log.end_offset() {
        let from = image.next_offset();
        let limits = ReadLimits {
            bytes_max: REPLAY_BYTES_MAX,
            upper: log.end_offset(),
            at_least_one: true,
        };
        let plan = log.read(from, limits).map_err(MetadataLogError::Read)?;
        let bytes = plan
            .run_now()
            .map_err(|error| MetadataLogError::Read(error.into()))?;
        for batch in batches(&bytes) {
            let batch = batch.map_err(|error| MetadataLogError::Apply(ApplyError::Batch(error)))?;
            image.apply_batch(&batch).map_err(MetadataLogError::Apply)?;
        }
        if image.next_offset() == from {
            let gap = ApplyError::Gap {
                batch: log.end_offset(),
                image: from,
            };
            return Err(MetadataLogError::Apply(gap));
        }
    }
    Ok(image)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test tears its files as it likes")]
mod tests;
