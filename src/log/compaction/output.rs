//! The files of a compacted segment while they are written: under names that a start removes.

use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;

use crate::base::{Offset, Timestamp};
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, Task, spawn};
use crate::log::header::BatchHeader;
use crate::log::index::{Entry, OffsetEntry, TimeEntry};
use crate::log::{AbortedTransaction, Dir, names};

use super::CompactionError;
use super::pace::Pace;

/// So much is gathered before it is written.
const PIECE_BYTES: usize = 1 << 20;

/// An index entry's position is an `i32`.
const BYTES_MAX: u64 = i32::MAX as u64;

/// See the module.
pub struct Output {
    dir: Dir,
    base: Offset,
    log: File,
    /// The bytes of its batches so far.
    size_bytes: u64,
    /// What the file has of them.
    written: u64,
    pending: BytesMut,
    indexes: Indexes,
}

/// The entries of both indexes, as a segment makes them while it is appended to.
struct Indexes {
    base: Offset,
    interval_bytes: u64,
    /// No index gets larger, however many batches there are.
    bytes_max: usize,
    offsets: Vec<u8>,
    times: Vec<u8>,
    bytes_since_entry: u64,
    latest: Option<TimeEntry>,
    /// The largest timestamp that the time index knows.
    latest_noted: Timestamp,
}

impl Output {
    /// Empty files for the segment at `base`.
    pub async fn create(
        dir: Dir,
        base: Offset,
        index_interval_bytes: u32,
        index_bytes_max: u32,
    ) -> io::Result<Output> {
        let log = create(&dir, base, names::LOG).await?;
        Ok(Output {
            dir,
            base,
            log,
            size_bytes: 0,
            written: 0,
            pending: BytesMut::new(),
            indexes: Indexes {
                base,
                interval_bytes: index_interval_bytes.into(),
                bytes_max: index_bytes_max as usize,
                offsets: Vec::new(),
                times: Vec::new(),
                bytes_since_entry: 0,
                latest: None,
                latest_noted: Timestamp::NONE,
            },
        })
    }

    /// The bytes of its batches so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Adds a batch behind the others.
    pub async fn append(&mut self, batch: &[u8], pace: &Pace) -> Result<(), CompactionError> {
        let header = BatchHeader::parse(batch).expect("a batch that was read or made here");
        if self.size_bytes + batch.len() as u64 > BYTES_MAX {
            return Err(CompactionError::GrewTooLarge { base: self.base });
        }
        self.indexes.note(self.size_bytes, &header);
        self.size_bytes += batch.len() as u64;
        self.pending.extend_from_slice(batch);
        if self.pending.len() >= PIECE_BYTES {
            self.write(pace).await?;
        }
        Ok(())
    }

    /// Writes what was gathered, and has the disk begin with it: the flush at the end finds little left, and is no burst for others.
    async fn write(&mut self, pace: &Pace) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.pending).freeze();
        pace.spend(bytes.len()).await;
        let len = bytes.len();
        self.log.write_at(self.written, bytes).await?;
        self.log
            .write_back(self.written, u32::try_from(len).unwrap_or(u32::MAX))
            .await;
        self.written += len as u64;
        Ok(())
    }

    /// Writes the rest and the indexes, that of the `aborted` transactions if there are any, and flushes all of it.
    pub async fn finish(mut self, aborted: &[AbortedTransaction], pace: &Pace) -> io::Result<()> {
        self.write(pace).await?;
        self.indexes.note_time();
        let Indexes { offsets, times, .. } = self.indexes;
        let aborted: Vec<u8> = aborted.iter().flat_map(AbortedTransaction::encode).collect();
        let mut files = vec![self.log];
        for (kind, bytes) in [
            (names::INDEX, offsets),
            (names::TIME_INDEX, times),
            (names::TXN_INDEX, aborted),
        ] {
            // A segment without aborted transactions has no such file.
            if kind == names::TXN_INDEX && bytes.is_empty() {
                continue;
            }
            pace.spend(bytes.len()).await;
            let file = create(&self.dir, self.base, kind).await?;
            file.write_at(0, bytes.into()).await?;
            files.push(file);
        }
        flush(files).await
    }
}

/// Flushes them at the same time: the file system has one journal for all, which so is committed once and not for each.
async fn flush(files: Vec<File>) -> io::Result<()> {
    let begun = files
        .into_iter()
        .map(|file| spawn(async move { file.sync_data().await }));
    let flushes: Vec<Task<io::Result<()>>> = begun.collect();
    for flush in flushes {
        flush.await?;
    }
    Ok(())
}

impl Indexes {
    /// Accounts for a batch at `position`: an entry in either index every so many bytes.
    fn note(&mut self, position: u64, header: &BatchHeader) {
        let relative_offset = (header.last_offset.0 - self.base.0) as i32;
        if header.max_timestamp > self.latest.map_or(Timestamp::NONE, |latest| latest.timestamp) {
            self.latest = Some(TimeEntry {
                timestamp: header.max_timestamp,
                relative_offset,
            });
        }
        if self.bytes_since_entry > self.interval_bytes {
            if self.offsets.len() + OffsetEntry::BYTES <= self.bytes_max {
                let position = position as i32;
                OffsetEntry {
                    relative_offset,
                    position,
                }
                .encode(&mut self.offsets);
            }
            // The last place is for the entry that ends the index.
            if self.times.len() + 2 * TimeEntry::BYTES <= self.bytes_max {
                self.note_time();
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size_bytes as u64;
    }

    fn note_time(&mut self) {
        if let Some(latest) = self.latest.filter(|latest| latest.timestamp > self.latest_noted) {
            latest.encode(&mut self.times);
            self.latest_noted = latest.timestamp;
        }
    }
}

async fn create(dir: &Path, base: Offset, kind: &str) -> io::Result<File> {
    let path = cleaned(dir, base, kind);
    File::open(path, OpenOptions::read_write_truncate()).await
}

fn cleaned(dir: &Path, base: Offset, kind: &str) -> PathBuf {
    dir.join(format!("{}.{}", names::offset_file(base, kind), names::CLEANED))
}

/// Removes what compactions that failed have left in `dir`.
pub async fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir_now(dir)? {
        let is_left = entry.name.to_str().is_some_and(|name| {
            names::parse_offset_file(name)
                .and_then(|file| file.kind.rsplit_once('.'))
                .is_some_and(|(_, state)| state == names::CLEANED)
        });
        if is_left {
            fs::remove_file(dir.join(&entry.name)).await?;
        }
    }
    Ok(())
}
