//! Writing a checkpoint file.

use super::files::{Held, SnapshotId};
use super::position;
use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, yield_now};
use crate::metadata::batch::{RecordBatchError, snapshot_footer_batch, snapshot_header_batch};
use crate::metadata::{Image, Membership};
use crate::quorum::entries::Position;
use crate::wire::batch::BatchBuilder;
use crate::wire::compression::Codec;
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};

/// A batch of a snapshot ends behind the record that passes this: what is encoded in one go of the core, some 100 µs.
const BATCH_BYTES: usize = 64 << 10;

/// A snapshot to be written: an image of its own, so that changes go on meanwhile.
pub struct SnapshotJob {
    image: Image,
    position: Position,
    dir: PathBuf,
    now: Timestamp,
}

impl SnapshotJob {
    /// The snapshot of `image`, which stands at `position`, for the metadata log's directory.
    pub fn new(image: Image, position: Position, dir: PathBuf, now: Timestamp) -> SnapshotJob {
        SnapshotJob {
            image,
            position,
            dir,
            now,
        }
    }

    /// Which one it will be.
    pub fn id(&self) -> SnapshotId {
        SnapshotId {
            offset: self.image.next_offset(),
            epoch: self.position.term,
        }
    }

    /// Writes it, durably; yields between batches.
    ///
    /// # Errors
    /// The disk's; nothing is left then, or a `.part` that the next start removes.
    pub async fn run(self) -> io::Result<Held> {
        let part = self.id().part_path(&self.dir);
        let written = self.write(&part).await;
        if written.is_err() {
            let _ = fs::remove_file_now(&part);
        }
        written
    }

    async fn write(&self, part: &Path) -> io::Result<Held> {
        let id = self.id();
        let file = File::open_now(part, OpenOptions::read_write_truncate())?;
        let mut bytes = 0;
        let mut batches = Batches::of(&self.image, id.epoch, self.now);
        while let Some(batch) = batches.next().transpose().map_err(io::Error::other)? {
            file.write_at_now(bytes, &[&batch])?;
            bytes += batch.len() as u64;
            yield_now().await;
        }
        file.sync_data().await?;
        position::write(&self.dir, id, self.position).await?;
        fs::rename_now(part, id.path(&self.dir))?;
        File::open_now(&self.dir, OpenOptions::read_only())?
            .sync_all()
            .await?;
        Ok(Held {
            id,
            bytes,
            last_contained: self.image.last_timestamp(),
        })
    }
}

/// Writes the snapshot of nothing, durably: it tells a new log's first start who votes.
pub fn write_empty_now(dir: &Path, membership: &Membership, now: Timestamp) -> io::Result<()> {
    let id = SnapshotId::default();
    let header = snapshot_header_batch(now, membership, id.epoch, now).map_err(io::Error::other)?;
    let records = if membership.voters.is_empty() { 1 } else { 3 };
    let footer = snapshot_footer_batch(Offset(records), id.epoch, now).map_err(io::Error::other)?;
    fs::write_whole_now(id.path(dir), &[header, footer].concat())
}

/// The batches of a snapshot.
struct Batches<'a> {
    epoch: LeaderEpoch,
    now: Timestamp,
    header: Option<Result<Bytes, RecordBatchError>>,
    values: Box<dyn Iterator<Item = Result<Bytes, RecordBatchError>> + 'a>,
    next_offset: Offset,
    ended: bool,
}

impl<'a> Batches<'a> {
    fn of(image: &'a Image, epoch: LeaderEpoch, now: Timestamp) -> Batches<'a> {
        let header = snapshot_header_batch(image.last_timestamp(), image.membership(), epoch, now);
        Batches {
            epoch,
            now,
            header: Some(header),
            values: Box::new(image.record_values()),
            next_offset: Offset(0),
            ended: false,
        }
    }

    fn records(&mut self) -> Option<Result<Bytes, RecordBatchError>> {
        let mut batch = BatchBuilder::new(Codec::None).at(self.next_offset, self.epoch);
        while batch.size_bytes() < BATCH_BYTES {
            match self.values.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(value)) => batch.add(self.now, None, Some(&value), &[]),
            }
        }
        (batch.records_count() > 0).then(|| Ok(batch.build()))
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Bytes, RecordBatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.header.take().or_else(|| self.records()).unwrap_or_else(|| {
            self.ended = true;
            snapshot_footer_batch(self.next_offset, self.epoch, self.now)
        });
        if let Ok(batch) = &batch
            && let Ok(view) = crate::wire::batch::BatchView::first(batch)
        {
            self.next_offset = view.next_offset();
        }
        Some(batch)
    }
}
