//! One segment of a log: a `.log` file of batches with its indexes (Kafka's `LogSegment`).
//!
//! The last segment of a log is active and grows; the others are only read. A segment opens its files when it needs them. What is on
//! its way to them in the background, and when it is settled there, `upkeep` knows.

mod left;
mod moved;
mod truncate;

use std::cell::Cell;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use crate::base::{Offset, Timestamp};
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, Planted, is_planted};
use crate::log::aborted::{AbortedIndex, AbortedPiece};
use crate::log::flush::sync_if_there_now;
use crate::log::header::{BatchHeader, HEADER_BYTES, is_old_message};
use crate::log::index::{Entry, Index, IndexWrites, IndexesWritten, OffsetEntry, Place, TimeEntry};
use crate::log::open_files::HeldFile;
use crate::log::txn_index::AbortedTransaction;
use crate::log::walk::{Scanned, Source, Step, Walk, check_batch_now, ready, scan_now};
use crate::log::{LogOptions, names};
use crate::wire::batch::BatchView;

/// How much is looked at together for a batch behind a bad one; half of it is the largest batch that is found.
const LOOK_BEHIND_BYTES: usize = 8 << 20;

/// An index entry's position is an `i32`.
const POSITION_MAX: u64 = i32::MAX as u64;

/// What a file may take of the disk above its length without having anything reserved: file systems round up, and allocate ahead of a
/// file that grows.
const ALLOCATED_AHEAD_BYTES: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct Segment {
    place: Place,
    /// Where the batches are while the file has a spare's name.
    spare_path: Option<PathBuf>,
    file: HeldFile,
    size_bytes: u64,
    offsets: Index<OffsetEntry>,
    times: Index<TimeEntry>,
    aborted: AbortedIndex,
    bytes_since_entry: u64,
    max: Option<MaxTimestamp>,
    /// The first batch's largest timestamp, once it was needed: what a roll by time counts from.
    first_timestamp: Cell<Option<Timestamp>>,
    /// Taken off the age at which it ends, in milliseconds.
    jitter_ms: i64,
    created: Timestamp,
    /// A failed append left bytes behind `size_bytes` in the file that could not be cut off yet.
    has_leftover: bool,
    /// Up to where the system was asked to write the file back.
    written_back: u64,
    /// Producer states as of its end, on their way to their file.
    snapshot: Option<Bytes>,
    /// Its index files got entries since they were last flushed.
    has_unflushed_indexes: bool,
    /// Every file of it is on stable storage, and no batch will come.
    is_settled: bool,
}

/// The file of a segment to come: empty, its name on stable storage.
#[derive(Debug)]
pub struct Spare {
    /// Where it is.
    pub path: PathBuf,
}

/// The largest timestamp of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxTimestamp {
    /// That timestamp, from 0.
    pub timestamp: Timestamp,
    /// The last offset of the first batch that has it.
    pub batch_end: Offset,
}

/// What a segment's tail looks like after a clean stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The file ends behind a valid batch.
    Whole {
        /// The offset behind it; the segment's base offset if it is empty.
        next_offset: Offset,
    },
    /// It doesn't: the stop was not as clean as it looked.
    Doubtful,
}

/// Where a lookup by offset begins to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The start of a batch at or before the one that is looked for.
    pub from: u64,
    /// The start of a batch at or behind it; the segment's end if the index knows none.
    pub to: u64,
}

impl Segment {
    /// A new, empty one: its `.log` file, empty whatever was there. Its indexes come when they have entries, or when it is settled.
    pub fn create_now(place: Place, now: Timestamp) -> io::Result<Segment> {
        let file = File::open_now(place.path(names::LOG), OpenOptions::read_write_truncate())?;
        Ok(Segment::empty(place, None, Some(file), now))
    }

    /// A new, empty one in a file that was made for it, and that still has its spare name.
    pub fn on_spare_now(place: Place, spare: Spare, now: Timestamp) -> io::Result<Segment> {
        let file = File::open_now(&spare.path, OpenOptions::read_write())?;
        Ok(Segment::empty(place, Some(spare.path), Some(file), now))
    }

    fn empty(place: Place, spare_path: Option<PathBuf>, file: Option<File>, now: Timestamp) -> Segment {
        let file = file.map_or_else(HeldFile::default, |file| HeldFile::open(&place.dir, file));
        // While it is renamed, nobody can tell by which name to open it.
        file.keep(spare_path.is_some());
        Segment {
            place,
            spare_path,
            file,
            size_bytes: 0,
            offsets: Index::empty(),
            times: Index::empty(),
            aborted: AbortedIndex::default(),
            bytes_since_entry: 0,
            max: None,
            first_timestamp: Cell::new(None),
            jitter_ms: 0,
            created: now,
            has_leftover: false,
            written_back: 0,
            snapshot: None,
            has_unflushed_indexes: false,
            is_settled: false,
        }
    }

    /// The segment as its files are. Indexes that can't be its own are emptied, and `false` says that they must be
    /// [rebuilt](Self::rebuild_now).
    pub fn open_now(place: Place, now: Timestamp) -> io::Result<(Segment, bool)> {
        Segment::open_from_now(place, None, now)
    }

    /// As [`open_now`](Self::open_now), of a segment whose batches still have a spare's name.
    pub fn open_spare_now(place: Place, spare_path: PathBuf, now: Timestamp) -> io::Result<(Segment, bool)> {
        Segment::open_from_now(place, Some(spare_path), now)
    }

    fn open_from_now(
        place: Place,
        spare_path: Option<PathBuf>,
        now: Timestamp,
    ) -> io::Result<(Segment, bool)> {
        let path = spare_path.clone().unwrap_or_else(|| place.path(names::LOG));
        let file = File::open_now(path, OpenOptions::read_write())?;
        let size_bytes = file.len_now()?;
        let opened = open_indexes_now(&place, size_bytes)?;
        let trusted = opened.is_some();
        let (offsets, times, aborted) = match opened {
            Some(indexes) => indexes,
            None => (
                Index::create_now(&place)?,
                Index::create_now(&place)?,
                AbortedIndex::default(),
            ),
        };
        let max = times.last().map(|entry| MaxTimestamp {
            timestamp: entry.timestamp,
            batch_end: Offset(place.base.0 + i64::from(entry.relative_offset)),
        });
        let last_indexed = offsets.last().map_or(0, |entry| entry.position as u64);
        let segment = Segment {
            size_bytes,
            offsets,
            times,
            aborted,
            bytes_since_entry: size_bytes - last_indexed,
            max,
            written_back: size_bytes,
            is_settled: true,
            ..Segment::empty(place, spare_path, None, now)
        };
        Ok((segment, trusted))
    }

    /// The offset that its files are named after: no record of it has a smaller one.
    pub fn base(&self) -> Offset {
        self.place.base
    }

    /// The bytes of its batches.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The path of one of its files.
    pub fn path(&self, kind: &str) -> PathBuf {
        match &self.spare_path {
            Some(path) if kind == names::LOG => path.clone(),
            _ => self.place.path(kind),
        }
    }

    /// Whether its batches have their own name, not a spare's.
    pub fn is_named(&self) -> bool {
        self.spare_path.is_none()
    }

    /// Where the segment before it must end, unless it has its own name: then that one is on stable storage.
    pub fn follows(&self) -> Option<Offset> {
        let name = self.spare_path.as_ref()?.file_name()?.to_str()?;
        match names::parse_offset_file(name)? {
            file if file.kind == names::NEXT => Some(file.offset),
            // It was made before anybody knew: what it holds must join.
            _ => Some(self.base()),
        }
    }

    /// The file with the batches was renamed to its own name.
    pub fn named(&mut self) {
        self.spare_path = None;
        self.file.keep(false);
    }

    /// Gives the file with the batches its own name.
    pub fn name_now(&mut self) -> io::Result<()> {
        if let Some(spare_path) = &self.spare_path {
            let own = self.place.path(names::LOG);
            match fs::rename_now(spare_path, &own) {
                // Done by an upkeep that was given up.
                Err(error) if error.kind() == io::ErrorKind::NotFound && fs::exists_now(&own)? => {}
                renamed => renamed?,
            }
            self.named();
        }
        Ok(())
    }

    /// Flushes its batches and indexes, blocking: for a start.
    pub fn sync_now(&self) -> io::Result<()> {
        self.file_now()?.sync_data_now()?;
        self.sync_indexes_now()
    }

    /// Flushes the files of its indexes, blocking: for a start.
    pub fn sync_indexes_now(&self) -> io::Result<()> {
        for kind in [names::INDEX, names::TIME_INDEX, names::TXN_INDEX] {
            sync_if_there_now(&self.path(kind))?;
        }
        fs::sync_dir_now(&self.place.dir)
    }

    /// Lets it end so much earlier than its age would have it.
    pub fn jitter_by(&mut self, ms: i64) {
        self.jitter_ms = ms;
    }

    /// Whether all its files are on stable storage and no batch will come.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Not known to be on stable storage, or about to get batches.
    pub fn unsettle(&mut self) {
        self.is_settled = false;
    }

    /// All its files are on stable storage; they are closed.
    pub fn settle(&mut self) {
        self.is_settled = true;
        self.has_unflushed_indexes = false;
        self.snapshot = None;
        self.release();
    }

    /// Producer states as of its end, if they are still on their way to their file.
    pub fn snapshot(&self) -> Option<&Bytes> {
        self.snapshot.as_ref()
    }

    /// How many index entries wait to be written, in the index that has most of them.
    pub fn pending_entries(&self) -> usize {
        let indexes = self.offsets.pending_count().max(self.times.pending_count());
        indexes.max(self.aborted.pending_count())
    }

    /// The writing of what the index files have not yet.
    pub fn begin_index_writes(&self) -> io::Result<IndexWrites> {
        Ok(IndexWrites {
            offsets: self.offsets.begin_write(&self.place)?,
            times: self.times.begin_write(&self.place)?,
            aborted: self.aborted.begin_write(&self.place)?,
        })
    }

    /// Takes note of what [`begin_index_writes`](Self::begin_index_writes) came to.
    pub fn finish_index_writes(&mut self, written: IndexesWritten) {
        self.has_unflushed_indexes = true;
        self.offsets.finish_write(&self.place, written.offsets);
        self.times.finish_write(&self.place, written.times);
        if let Some(aborted) = written.aborted {
            self.aborted.finish_write(aborted);
        }
    }

    /// Whether its index files got entries that no flush has covered.
    pub fn has_unflushed_indexes(&self) -> bool {
        self.has_unflushed_indexes
    }

    /// What was appended since the system was last asked to write the file back: where, and how much.
    pub fn not_written_back(&self) -> (u64, u64) {
        (
            self.written_back,
            self.size_bytes.saturating_sub(self.written_back),
        )
    }

    /// The system was asked to write it back up to here.
    pub fn wrote_back(&mut self, upto: u64) {
        self.written_back = upto;
    }

    /// The time of its first batch, if that is known without a read.
    pub fn first_timestamp(&self) -> Option<Timestamp> {
        self.first_timestamp.get()
    }

    /// The largest timestamp of its records; `None` if none has one.
    pub fn max_timestamp(&self) -> Option<MaxTimestamp> {
        self.max
    }

    /// When it was made or opened: its age if its records have no times.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The bytes of both its indexes.
    pub fn index_bytes(&self) -> [u64; 2] {
        [
            self.offsets.entry_count() * OffsetEntry::BYTES,
            self.times.entry_count() * TimeEntry::BYTES,
        ]
        .map(|bytes| bytes as u64)
    }

    /// The largest timestamp of its first batch; [`Timestamp::NONE`] if that has none or can't be read. Read once, which blocks.
    pub fn first_timestamp_now(&self) -> Timestamp {
        self.first_timestamp.get().unwrap_or_else(|| {
            // A first batch that can't be read has no timestamp that could be used.
            let read = self.read_first_timestamp_now().unwrap_or(Timestamp::NONE);
            self.first_timestamp.set(Some(read));
            read
        })
    }

    /// Whether a batch must go to a new segment (`LogSegment.shouldRoll`).
    pub fn must_roll(&self, batch: &BatchHeader, options: &LogOptions, now: Timestamp) -> bool {
        let bytes_max = u64::from(options.segment_bytes).min(POSITION_MAX);
        let entries = |bytes: usize| options.index_bytes_max as usize / bytes;
        let is_full = || {
            self.size_bytes + batch.size_bytes as u64 > bytes_max
                || self.offsets.entry_count() >= entries(OffsetEntry::BYTES)
                // The last slot is for the entry that sealing adds.
                || self.times.entry_count() + 1 >= entries(TimeEntry::BYTES)
                || self.age_ms(batch, now) > options.segment_ms - self.jitter_ms
        };
        // Behind one that is empty another would have the same name, however small the settings.
        (self.size_bytes > 0 && is_full()) || batch.last_offset.0 - self.base().0 > i64::from(i32::MAX)
    }

    /// How long the segment has been filled when `batch` comes, in the records' time, or by the clock if the first
    /// has none.
    fn age_ms(&self, batch: &BatchHeader, now: Timestamp) -> i64 {
        let first = self.first_timestamp_now();
        if first.0 >= 0 {
            return batch.max_timestamp.0.saturating_sub(first.0);
        }
        now.0.saturating_sub(self.created.0)
    }

    fn read_first_timestamp_now(&self) -> io::Result<Timestamp> {
        let mut bytes = [0; HEADER_BYTES];
        let read = self.file_now()?.read_at_now(0, &mut bytes)?;
        let header = BatchHeader::parse(&bytes[..read]);
        Ok(header.map_or(Timestamp::NONE, |header| header.max_timestamp))
    }

    /// Writes a batch to the page cache, behind the last one. After an error the segment is as before, in the file
    /// too; a file that couldn't be cut back is tried again before the next append.
    pub fn append_now(&mut self, header: &BatchHeader, batch: &[u8], options: &LogOptions) -> io::Result<()> {
        self.cut_leftover_now()?;
        let file = self.file_now()?;
        if let Err(error) = file.write_at_now(self.size_bytes, &[batch]) {
            self.has_leftover = true;
            // What matters to the caller is why the write failed.
            let _ = self.cut_leftover_now();
            return Err(error);
        }
        self.note(self.size_bytes, header, options.index_interval_bytes);
        self.size_bytes += batch.len() as u64;
        Ok(())
    }

    fn cut_leftover_now(&mut self) -> io::Result<()> {
        if self.has_leftover {
            self.file_now()?.set_len_now(self.size_bytes)?;
            self.has_leftover = false;
        }
        Ok(())
    }

    /// Accounts for a batch that lies at `position`: an entry in either index every so many bytes.
    fn note(&mut self, position: u64, header: &BatchHeader, index_interval_bytes: u32) {
        if position == 0 {
            self.first_timestamp.set(Some(header.max_timestamp));
        }
        self.note_max(header);
        if self.bytes_since_entry > u64::from(index_interval_bytes) {
            let relative_offset = self.relative(header.last_offset);
            self.offsets.append(OffsetEntry {
                relative_offset,
                position: position as i32,
            });
            self.note_time();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size_bytes as u64;
    }

    /// Accounts for a batch's times; the first of the latest counts.
    fn note_max(&mut self, header: &BatchHeader) {
        if header.max_timestamp > self.max.map_or(Timestamp::NONE, |max| max.timestamp) {
            self.max = Some(MaxTimestamp {
                timestamp: header.max_timestamp,
                batch_end: header.last_offset,
            });
        }
    }

    /// Accounts for a transaction that the batch which was appended last has aborted.
    pub fn note_aborted(&mut self, aborted: AbortedTransaction) {
        self.aborted.append(aborted);
    }

    /// Tells the time index of the largest timestamp, if it doesn't know.
    fn note_time(&mut self) {
        let Some(max) = self.max else { return };
        if self
            .times
            .last()
            .is_none_or(|last| last.timestamp < max.timestamp)
        {
            let relative_offset = self.relative(max.batch_end);
            self.times.append(TimeEntry {
                timestamp: max.timestamp,
                relative_offset,
            });
        }
    }

    fn relative(&self, offset: Offset) -> i32 {
        i32::try_from(offset.0 - self.base().0).expect("must_roll keeps offsets in range")
    }

    /// Ends it in memory, with the time entry that a sealed segment ends with and the producer states as of its end; the files follow in
    /// the background.
    pub fn seal(&mut self, snapshot: Bytes) -> io::Result<()> {
        self.cut_leftover_now()?;
        self.note_time();
        self.snapshot = Some(snapshot);
        self.is_settled = false;
        Ok(())
    }

    /// Gives back what is reserved on the disk behind its batches.
    pub fn trim_now(&self) -> io::Result<()> {
        let file = self.file_now()?;
        match has_room_reserved(&file, self.size_bytes)? {
            true => file.set_len_now(self.size_bytes),
            false => Ok(()),
        }
    }

    /// Brings the index files up to date, with the time entry that a sealed segment ends with; says whether there was
    /// anything to write. Harmless if appends follow all the same.
    pub fn seal_now(&mut self) -> io::Result<bool> {
        self.cut_leftover_now()?;
        self.note_time();
        let offsets = self.offsets.write_now(&self.place)?;
        let aborted = self.aborted.write_now(&self.place)?;
        Ok(self.times.write_now(&self.place)? || offsets || aborted)
    }

    /// Checks every batch and builds the indexes anew, over the valid ones. `visit` is as [`scan_now`] has it, and tells of the
    /// transaction that a batch has aborted. The `.log` file stays as it is: the caller [cuts](Self::cut_now) it, or gives up.
    pub fn rebuild_now(
        &mut self,
        index_interval_bytes: u32,
        mut visit: impl FnMut(&BatchHeader, &[u8]) -> Option<AbortedTransaction>,
    ) -> io::Result<Scanned> {
        let file = self.file_now()?;
        self.offsets = Index::create_now(&self.place)?;
        self.times = Index::create_now(&self.place)?;
        self.aborted.clear_now(&self.place)?;
        self.has_unflushed_indexes = true;
        self.is_settled = false;
        self.bytes_since_entry = 0;
        self.max = None;
        let scanned = scan_now(
            &file,
            self.size_bytes,
            self.base(),
            |position, header, control| {
                self.note(position, header, index_interval_bytes);
                if let Some(aborted) = visit(header, control) {
                    self.note_aborted(aborted);
                }
            },
        )?;
        self.seal_now()?;
        self.release();
        Ok(scanned)
    }

    /// Whether a whole valid batch lies anywhere behind the bad one at `position`.
    pub fn has_batch_behind_now(&self, position: u64) -> io::Result<bool> {
        let file = self.file_now()?;
        let mut window = vec![0; LOOK_BEHIND_BYTES];
        let mut from = position + 1;
        while from < self.size_bytes {
            let read = file.read_at_now(from, &mut window)?;
            let found = (0..read).any(|at| {
                let bytes = &window[at..read];
                let header = BatchHeader::parse(bytes).ok();
                let batch = header.and_then(|header| bytes.get(..header.size_bytes));
                batch.is_some_and(|batch| BatchView::first(batch).is_ok_and(|view| view.crc_is_valid()))
            });
            if found {
                return Ok(true);
            }
            from += (LOOK_BEHIND_BYTES / 2) as u64;
        }
        Ok(false)
    }

    /// Whether it begins with a message of an older format.
    pub fn is_old_now(&self) -> io::Result<bool> {
        let mut window = vec![0; self.size_bytes.min(LOOK_BEHIND_BYTES as u64) as usize];
        let read = self.file_now()?.read_at_now(0, &mut window)?;
        Ok(is_old_message(&window[..read]))
    }

    /// Cuts the file behind its first `bytes`; the indexes know nothing behind them.
    pub fn cut_now(&mut self, bytes: u64) -> io::Result<()> {
        if bytes < self.size_bytes {
            self.file_now()?.set_len_now(bytes)?;
            self.size_bytes = bytes;
        }
        Ok(())
    }

    /// Looks at the end of a segment that was closed cleanly: from the last indexed batch on, headers must chain up to
    /// the file's end, and the last batch's CRC must match.
    pub fn check_tail_now(&mut self) -> io::Result<Tail> {
        let from = self.offsets.last().map_or(0, |entry| entry.position as u64);
        let mut walk = Walk::new(Source::blocking(self.file_now()?), from, self.size_bytes);
        let mut last = None;
        loop {
            match ready(walk.next())? {
                Step::Batch { position, header } => {
                    if last
                        .is_some_and(|(_, last): (u64, BatchHeader)| header.base_offset <= last.last_offset)
                    {
                        return Ok(Tail::Doubtful);
                    }
                    self.note_max(&header);
                    last = Some((position, header));
                }
                Step::End => break,
                Step::Bad { .. } => return Ok(Tail::Doubtful),
            }
        }
        let Some((position, header)) = last else {
            return Ok(Tail::Whole {
                next_offset: self.base(),
            });
        };
        let valid = header.base_offset >= self.base()
            && check_batch_now(&self.file_now()?, self.size_bytes, position, self.base())?.is_ok();
        self.release();
        Ok(if valid {
            Tail::Whole {
                next_offset: header.next_offset(),
            }
        } else {
            Tail::Doubtful
        })
    }

    /// Where to look for the batch that ends at or behind `offset`.
    pub fn range_of_now(&self, offset: Offset) -> io::Result<Range> {
        let relative = offset.0 - self.base().0;
        let floor = self.offsets.floor_now(&self.place, relative)?;
        let entry = |n| self.offsets.entry_now(&self.place, n);
        let from = match floor {
            Some(n) => entry(n)?.position as u64,
            None => 0,
        };
        let above = floor.map_or(0, |n| n + 1);
        let to = if above < self.offsets.entry_count() {
            entry(above)?.position as u64
        } else {
            self.size_bytes
        };
        // Positions of a damaged index could lie anywhere.
        let to = to.min(self.size_bytes);
        Ok(Range {
            from: from.min(to),
            to,
        })
    }

    /// An offset that every record of a timestamp of at least `timestamp` is behind, or the segment's first.
    pub fn floor_of_timestamp_now(&self, timestamp: Timestamp) -> io::Result<Offset> {
        let Some(n) = self.times.floor_now(&self.place, timestamp.0)? else {
            return Ok(self.base());
        };
        let is_behind = is_planted(Planted::TimeIndexBehind) && n + 1 < self.times.entry_count();
        let entry = self.times.entry_now(&self.place, n + usize::from(is_behind))?;
        Ok(Offset(self.base().0 + i64::from(entry.relative_offset)))
    }

    /// Whether a transaction was aborted in it.
    pub fn has_aborted(&self) -> bool {
        !self.aborted.is_empty()
    }

    /// Where those of its aborted transactions are that reach into `from..upper`, if it may have such.
    pub fn aborted_piece(&self, from: Offset, upper: Offset) -> Option<AbortedPiece> {
        self.aborted.piece(&self.place, from, upper)
    }

    /// Whether no transaction that was aborted in a later segment began before `upper`.
    pub fn is_last_of_aborted_before(&self, upper: Offset) -> bool {
        self.aborted.is_last_before(upper)
    }

    /// The open `.log` file.
    pub fn file_now(&self) -> io::Result<File> {
        self.file.get_now(&self.place.dir, || self.path(names::LOG))
    }

    /// Opens the file with the batches.
    pub fn hold_file_now(&self) -> io::Result<()> {
        self.file_now().map(drop)
    }

    /// Closes its files; the next use opens them again. Reads under way keep theirs.
    ///
    /// Batches that have a spare's name stay open: while it is changed, nobody can tell by which one to open them.
    pub fn release(&self) {
        if self.is_named() {
            self.file.release();
        }
        self.offsets.release();
        self.times.release();
    }
}

/// Whether `file` takes more of the disk than the `size_bytes` in it need.
pub fn has_room_reserved(file: &File, size_bytes: u64) -> io::Result<bool> {
    Ok(file.allocated_now()? > size_bytes + ALLOCATED_AHEAD_BYTES)
}

type Indexes = (Index<OffsetEntry>, Index<TimeEntry>, AbortedIndex);

/// The indexes, if they can belong to a log of `log_bytes`.
fn open_indexes_now(place: &Place, log_bytes: u64) -> io::Result<Option<Indexes>> {
    let doubtful = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        )
    };
    let offsets = match Index::<OffsetEntry>::open_now(place) {
        Err(error) if doubtful(&error) => return Ok(None),
        opened => opened?,
    };
    let times = match Index::<TimeEntry>::open_now(place) {
        Err(error) if doubtful(&error) => return Ok(None),
        opened => opened?,
    };
    let aborted = match AbortedIndex::open_now(place) {
        Err(error) if doubtful(&error) => return Ok(None),
        opened => opened?,
    };
    let sane = are_sane(offsets.last(), times.last(), log_bytes);
    Ok(sane.then_some((offsets, times, aborted)))
}

/// Whether these can be the last entries of a log of `log_bytes`.
fn are_sane(offset: Option<OffsetEntry>, time: Option<TimeEntry>, log_bytes: u64) -> bool {
    let inside = |entry: OffsetEntry| {
        entry.relative_offset >= 0 && u64::try_from(entry.position).is_ok_and(|position| position < log_bytes)
    };
    let ordered = |entry: TimeEntry| entry.relative_offset >= 0 && entry.timestamp.0 >= 0;
    offset.is_none_or(inside) && time.is_none_or(ordered)
}
