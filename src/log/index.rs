//! The offset index and the time index of a segment, in Kafka's formats (`OffsetIndex`, `TimeIndex`).
//!
//! Neither is held in memory: what is kept is how many entries the file has, the last one, and a few new ones that
//! were not written yet. A lookup reads the file, whose pages are the kernel's to keep. So a partition at rest costs a
//! few words whatever its size. An index of an active segment may lag behind its log in the file; recovery rebuilds
//! it, and sealing a segment writes the rest.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use crate::base::{Offset, Timestamp};
use crate::io::fs::File;
use crate::io::{OpenOptions, Planted, is_planted};
use crate::log::names;
use crate::log::open_files::{Dir, HeldFile};

/// New entries wait in memory until they are so many: then one write is due, for 256 KiB of log.
pub const PENDING_DUE: usize = 64;

/// A lookup halves the file down to so many entries and reads those at once: a page for either index.
const BLOCK_ENTRIES: usize = 256;

/// Where a segment lives: its directory and its base offset name its files.
#[derive(Clone, Debug)]
pub struct Place {
    /// The partition's directory.
    pub dir: Dir,
    /// The segment's base offset.
    pub base: Offset,
}

impl Place {
    /// The path of one of the segment's files.
    pub fn path(&self, kind: &str) -> PathBuf {
        self.dir.join(names::offset_file(self.base, kind))
    }
}

/// An entry of an index file: fixed size, big-endian, keys rising.
pub trait Entry: Copy {
    /// Bytes in the file.
    const BYTES: usize;
    /// The file's name behind the base offset.
    const KIND: &'static str;
    /// What lookups go by.
    fn key(&self) -> i64;
    /// Appends the entry's bytes.
    fn encode(&self, bytes: &mut Vec<u8>);
    /// Reads [`Self::BYTES`] bytes.
    fn decode(bytes: &[u8]) -> Self;
}

/// `.index`: the batch at `position` ends with this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// The batch's last offset less the segment's base offset.
    pub relative_offset: i32,
    /// Where the batch begins in the `.log` file.
    pub position: i32,
}

impl Entry for OffsetEntry {
    const BYTES: usize = 8;
    const KIND: &'static str = names::INDEX;

    fn key(&self) -> i64 {
        i64::from(self.relative_offset)
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.relative_offset.to_be_bytes());
        bytes.extend(self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> OffsetEntry {
        OffsetEntry {
            relative_offset: int(&bytes[..4]),
            position: int(&bytes[4..8]),
        }
    }
}

/// `.timeindex`: up to the batch that ends with this offset, no timestamp is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// The largest timestamp so far.
    pub timestamp: Timestamp,
    /// The last offset of the batch that brought it, less the segment's base offset.
    pub relative_offset: i32,
}

impl Entry for TimeEntry {
    const BYTES: usize = 12;
    const KIND: &'static str = names::TIME_INDEX;

    fn key(&self) -> i64 {
        self.timestamp.0
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.timestamp.0.to_be_bytes());
        bytes.extend(self.relative_offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> TimeEntry {
        let timestamp = i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
        TimeEntry {
            timestamp: Timestamp(timestamp),
            relative_offset: int(&bytes[8..12]),
        }
    }
}

fn int(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

/// One index file. Methods that may read or write it block; their files are small and nearly always in memory. What is
/// appended is written in the background: see [`begin_write`](Self::begin_write).
#[derive(Debug)]
pub struct Index<E> {
    file: HeldFile,
    /// There may be no file while nothing is written.
    is_there: bool,
    written: usize,
    pending: Vec<E>,
    last: Option<E>,
}

/// Entries on their way to a file; until [`Index::finish_write`] they are read from memory.
#[derive(Debug)]
pub struct IndexWrite {
    /// The file's path.
    pub path: PathBuf,
    /// None when it is to be made.
    pub file: Option<File>,
    /// Where in it.
    pub at: u64,
    /// How many.
    pub entries: usize,
    /// Their bytes.
    pub bytes: Bytes,
}

impl IndexWrite {
    /// Writes to the page cache, without blocking the core.
    pub async fn run(self) -> io::Result<IndexWritten> {
        let file = match self.file {
            Some(file) => file,
            None => File::open(&self.path, OpenOptions::read_write_truncate()).await?,
        };
        file.write_at(self.at, self.bytes).await?;
        Ok(IndexWritten {
            entries: self.entries,
            file,
        })
    }
}

/// What an [`IndexWrite`] came to.
#[derive(Debug)]
pub struct IndexWritten {
    /// How many entries.
    pub entries: usize,
    /// The file, to be flushed or not.
    pub file: File,
}

/// The writing of what all of a segment's index files have not yet.
#[derive(Debug)]
pub struct IndexWrites {
    /// Of the offset index.
    pub offsets: IndexWrite,
    /// Of the time index.
    pub times: IndexWrite,
    /// Of the aborted transactions, if there are any.
    pub aborted: Option<IndexWrite>,
}

/// What [`IndexWrites`] came to.
#[derive(Debug)]
pub struct IndexesWritten {
    /// Of the offset index.
    pub offsets: IndexWritten,
    /// Of the time index.
    pub times: IndexWritten,
    /// Of the aborted transactions, if there were any.
    pub aborted: Option<IndexWritten>,
}

impl IndexWrites {
    /// Writes to the page cache, without blocking the core.
    pub async fn run(self) -> io::Result<IndexesWritten> {
        Ok(IndexesWritten {
            offsets: self.offsets.run().await?,
            times: self.times.run().await?,
            aborted: match self.aborted {
                Some(aborted) => Some(aborted.run().await?),
                None => None,
            },
        })
    }
}

impl IndexesWritten {
    /// The files, to be flushed or not.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        let aborted = self.aborted.iter();
        [&self.offsets, &self.times]
            .into_iter()
            .chain(aborted)
            .map(|written| &written.file)
    }
}

impl<E: Entry> Index<E> {
    /// A new one, without a file.
    pub fn empty() -> Index<E> {
        Index {
            file: HeldFile::default(),
            is_there: false,
            written: 0,
            pending: Vec::new(),
            last: None,
        }
    }

    /// A new, empty file; one that is there already is emptied.
    pub fn create_now(place: &Place) -> io::Result<Index<E>> {
        let file = File::open_now(place.path(E::KIND), OpenOptions::read_write_truncate())?;
        Ok(Index {
            file: HeldFile::open(&place.dir, file),
            is_there: true,
            ..Index::empty()
        })
    }

    /// The file as it is. `InvalidData` when it cannot be an index of a segment that has `log_bytes`.
    pub fn open_now(place: &Place) -> io::Result<Index<E>> {
        let mut index = Index {
            is_there: true,
            ..Index::empty()
        };
        let len = index.file_now(place)?.len_now()?;
        if len % E::BYTES as u64 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file's length is no multiple of an entry's",
            ));
        }
        index.written = (len / E::BYTES as u64) as usize;
        if index.written > 0 {
            let ends: [E; 2] = [
                index.entry_now(place, 0)?,
                index.entry_now(place, index.written - 1)?,
            ];
            if ends[0].key() > ends[1].key() || (index.written > 1 && ends[0].key() == ends[1].key()) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the file's entries do not rise",
                ));
            }
            index.last = Some(ends[1]);
        }
        index.release();
        Ok(index)
    }

    /// The file as it was when it was closed: so many entries, the newest of them `last`.
    pub fn closed(entry_count: usize, last: Option<E>) -> Index<E> {
        Index {
            is_there: true,
            written: entry_count,
            last,
            ..Index::empty()
        }
    }

    /// How many entries there are.
    pub fn entry_count(&self) -> usize {
        self.written + self.pending.len()
    }

    /// The newest entry.
    pub fn last(&self) -> Option<E> {
        self.last
    }

    /// Adds an entry whose key is above every other's. The file gets it later.
    pub fn append(&mut self, entry: E) {
        debug_assert!(self.last.is_none_or(|last| last.key() < entry.key()));
        self.pending.push(entry);
        self.last = Some(entry);
    }

    /// How many entries the file has not yet.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The writing of what the file has not yet; one at a time, to be [finished](Self::finish_write).
    pub fn begin_write(&self, place: &Place) -> io::Result<IndexWrite> {
        Ok(IndexWrite {
            path: place.path(E::KIND),
            file: match self.is_there {
                true => Some(self.file_now(place)?),
                false => None,
            },
            at: (self.written * E::BYTES) as u64,
            entries: self.pending.len(),
            bytes: self.encode_pending().into(),
        })
    }

    /// Takes note of what a write has brought to the file.
    pub fn finish_write(&mut self, place: &Place, written: IndexWritten) {
        self.is_there = true;
        self.written += written.entries;
        self.pending.drain(..written.entries);
        self.file.hold(&place.dir, written.file);
    }

    /// Writes to the page cache what the file has not yet, and makes the file if there is none; says whether there was anything to do.
    pub fn write_now(&mut self, place: &Place) -> io::Result<bool> {
        if !self.is_there {
            let file = File::open_now(place.path(E::KIND), OpenOptions::read_write_truncate())?;
            self.file.hold(&place.dir, file);
            self.is_there = true;
        } else if self.pending.is_empty() {
            return Ok(false);
        }
        let bytes = self.encode_pending();
        self.file_now(place)?
            .write_at_now((self.written * E::BYTES) as u64, &[&bytes])?;
        self.written += self.pending.len();
        self.pending.clear();
        Ok(true)
    }

    fn encode_pending(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.pending.len() * E::BYTES);
        self.pending.iter().for_each(|entry| entry.encode(&mut bytes));
        bytes
    }

    /// Keeps the entries before the first that `is_kept` says no to, and after which it says so to all; in the file too.
    pub fn truncate_now(&mut self, place: &Place, is_kept: impl Fn(&E) -> bool) -> io::Result<()> {
        let (mut kept, mut above) = (0, self.entry_count());
        while kept < above {
            let middle = kept + (above - kept) / 2;
            match is_kept(&self.entry_now(place, middle)?) {
                true => kept = middle + 1,
                false => above = middle,
            }
        }
        self.pending.truncate(kept.saturating_sub(self.written));
        if kept < self.written {
            self.file_now(place)?.set_len_now((kept * E::BYTES) as u64)?;
            self.written = kept;
        }
        self.last = match kept {
            0 => None,
            _ => Some(self.entry_now(place, kept - 1)?),
        };
        Ok(())
    }

    /// The `n`th entry.
    pub fn entry_now(&self, place: &Place, n: usize) -> io::Result<E> {
        if let Some(pending) = n.checked_sub(self.written) {
            return Ok(self.pending[pending]);
        }
        Ok(self.block_now(place, n, 1)?[0])
    }

    /// The number of the last entry whose key is at most `key`.
    pub fn floor_now(&self, place: &Place, key: i64) -> io::Result<Option<usize>> {
        if self.last.is_some_and(|last| last.key() <= key) {
            return Ok(Some(self.entry_count() - 1));
        }
        if self.pending.first().is_some_and(|first| first.key() <= key) {
            let after = self.pending.partition_point(|entry| entry.key() <= key);
            return Ok(Some(self.written + after - 1));
        }
        if self.written == 0 {
            return Ok(None);
        }
        // Invariant: every entry before `from` has a key of at most `key`, none from `to` on has.
        let (mut from, mut to) = (0, self.written);
        while to - from > BLOCK_ENTRIES {
            let middle = from + (to - from) / 2;
            if self.entry_now(place, middle)?.key() <= key {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        let block = self.block_now(place, from, to - from)?;
        let after = from + block.partition_point(|entry| entry.key() <= key);
        if is_planted(Planted::IndexOffByOne) && after < self.written {
            return Ok(Some(after));
        }
        Ok(after.checked_sub(1))
    }

    /// Closes the file; the next use opens it again.
    pub fn release(&self) {
        self.file.release();
    }

    fn file_now(&self, place: &Place) -> io::Result<File> {
        self.file.get_now(&place.dir, || place.path(E::KIND))
    }

    fn block_now(&self, place: &Place, from: usize, count: usize) -> io::Result<Vec<E>> {
        let mut bytes = vec![0; count * E::BYTES];
        let read = self
            .file_now(place)?
            .read_at_now((from * E::BYTES) as u64, &mut bytes)?;
        if read < bytes.len() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the index file has become shorter",
            ));
        }
        Ok(bytes.chunks_exact(E::BYTES).map(E::decode).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &tempfile::TempDir) -> Place {
        Place {
            dir: dir.path().into(),
            base: Offset(0),
        }
    }

    #[test]
    fn kafkas_indexes_read() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-log/kept-0");
        let place = Place {
            dir: std::path::Path::new(dir).into(),
            base: Offset(0),
        };
        let offsets = Index::<OffsetEntry>::open_now(&place).unwrap();
        assert_eq!(
            offsets.last(),
            Some(OffsetEntry {
                relative_offset: 18,
                position: 0x505
            })
        );
        let floor = |key| offsets.floor_now(&place, key).unwrap();
        assert_eq!(
            [2, 3, 7, 8, 17, 18, 99].map(floor),
            [None, Some(0), Some(1), Some(1), Some(2), Some(3), Some(3)]
        );
        let times = Index::<TimeEntry>::open_now(&place).unwrap();
        assert_eq!(times.entry_count(), 5);
        let last = TimeEntry {
            timestamp: Timestamp(1_700_000_000_100),
            relative_offset: 21,
        };
        assert_eq!(times.last(), Some(last));
    }

    #[test]
    fn lookups_find_the_floor_in_the_file_and_in_what_is_not_written_yet() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        let mut index = Index::create_now(&place).unwrap();
        for n in 0..1000 {
            index.append(OffsetEntry {
                relative_offset: 10 * n + 5,
                position: n,
            });
            if n % 64 == 0 {
                index.write_now(&place).unwrap();
            }
            if n % 97 == 0 {
                for probe in [0, 3, 400, 5000] {
                    let wanted = (0..=n).rev().find(|k| 10 * k + 5 <= probe).map(|k| k as usize);
                    assert_eq!(index.floor_now(&place, i64::from(probe)).unwrap(), wanted);
                }
            }
        }
        for key in 0..10_020 {
            let found = index.floor_now(&place, key).unwrap();
            let wanted = if key < 5 {
                None
            } else {
                Some(((key - 5) / 10).min(999) as usize)
            };
            assert_eq!(found, wanted, "{key}");
        }
        assert_eq!(index.entry_now(&place, 999).unwrap().position, 999);
        index.write_now(&place).unwrap();
        let reopened = Index::<OffsetEntry>::open_now(&place).unwrap();
        assert_eq!((reopened.entry_count(), reopened.last()), (1000, index.last()));
    }

    #[test]
    fn a_file_that_is_no_index_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        for bytes in [
            &[0u8; 7][..],
            &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1],
            &[0; 16],
        ] {
            std::fs::write(place.path(names::INDEX), bytes).unwrap();
            let refused = Index::<OffsetEntry>::open_now(&place).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        }
    }
}
