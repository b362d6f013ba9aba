//! What opening a log needs to know, taken when it is closed and given back when it is opened again.
//!
//! Opening asks the system for two things only: whether a name in the partition's directory has changed since then, which whoever puts a
//! file in another's place, takes one away or restores one does; and whether the active segment is as long as it was and was not written,
//! which is what any other broker would do first. Sealed segments are not looked at: the ordinary way trusts them too.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use rkyv::{Archive, Deserialize, Serialize};

use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::io::FileStatus;
use crate::io::fs;
use crate::log::checkpoint::EpochStart;
use crate::log::compaction::CompactionState;
use crate::log::epochs::Epochs;
use crate::log::flush::Names;
use crate::log::producers::ProducerStates;
use crate::log::segment::Segment;
use crate::log::upkeep::SpareState;
use crate::log::{Dir, Log, LogOptions, Resume, names, snapshot};

/// Producer states of no more bytes stand in the file; more are read from the log's own snapshot: 1,400 batches.
const PRODUCERS_BYTES_MAX: usize = 64 << 10;

/// A log as it was when it was closed. Numbers are as in the log's own files.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Deserialize, Serialize)]
pub struct LogLeft {
    /// When a name in its directory changed last, as [`FileStatus::changed`].
    pub dir_changed: i64,
    /// When its active segment's `.log` was written last.
    pub active_changed: i64,
    /// The next record's offset.
    pub end_offset: i64,
    /// The newest producer snapshot's offset, or where the log began without one.
    pub snapshot_offset: i64,
    /// What it knew of its producers.
    pub producers: ProducersLeft,
    /// Epochs and where each began, oldest first.
    pub epochs: Vec<(i32, i64)>,
    /// By rising base offset; the last is the active one.
    pub segments: Vec<SegmentLeft>,
}

/// Where a log's producer states are.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Deserialize, Serialize)]
pub enum ProducersLeft {
    /// Here: the bytes of a snapshot.
    Here(Vec<u8>),
    /// In the newest snapshot's file.
    InSnapshot,
}

/// A segment of which every file was written.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Deserialize, Serialize)]
pub struct SegmentLeft {
    /// The offset that its files are named after.
    pub base: i64,
    /// Bytes of its batches.
    pub size_bytes: u32,
    /// Its offset index.
    pub offsets: Option<IndexLeft>,
    /// Its time index.
    pub times: Option<TimeIndexLeft>,
    /// Its aborted transactions.
    pub aborted: Option<AbortedLeft>,
}

/// An offset index that has entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Deserialize, Serialize)]
pub struct IndexLeft {
    /// How many.
    pub count: u32,
    /// Of the last one.
    pub relative_offset: i32,
    /// Of the last one.
    pub position: i32,
}

/// A time index that has entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Deserialize, Serialize)]
pub struct TimeIndexLeft {
    /// How many.
    pub count: u32,
    /// Of the last one.
    pub relative_offset: i32,
    /// Of the last one.
    pub timestamp: i64,
}

/// A transaction index that has entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Deserialize, Serialize)]
pub struct AbortedLeft {
    /// How many.
    pub count: u32,
    /// No transaction of it began before.
    pub first_offset_min: i64,
    /// Of the last one, as are the others.
    pub producer_id: i64,
    /// Its first record's offset.
    pub first_offset: i64,
    /// Its marker's.
    pub last_offset: i64,
    /// Where the first transaction began that was open behind it.
    pub last_stable_offset: i64,
}

impl LogLeft {
    /// Whether no name in the partition's directory changed since then.
    pub fn is_as_it_was_now(&self, dir: &Path) -> bool {
        fs::status_now(dir).is_ok_and(|status| status.changed == self.dir_changed)
    }

    fn epochs(&self) -> Option<Epochs> {
        let entry = |&(epoch, start): &(i32, i64)| EpochStart {
            epoch: LeaderEpoch(epoch),
            start: Offset(start),
        };
        let entries: Vec<EpochStart> = self.epochs.iter().map(entry).collect();
        let rises = entries.is_sorted_by(|a, b| a.epoch < b.epoch && a.start < b.start);
        rises.then(|| Epochs::new(entries))
    }

    fn producers_now(&self, dir: &Path) -> Option<ProducerStates> {
        match &self.producers {
            ProducersLeft::Here(bytes) if bytes.is_empty() => Some(ProducerStates::default()),
            ProducersLeft::Here(bytes) => snapshot::decode(bytes).ok(),
            ProducersLeft::InSnapshot => {
                let name = names::offset_file(Offset(self.snapshot_offset), names::SNAPSHOT);
                let bytes = fs::read_whole_now(dir.join(name), snapshot::BYTES_MAX).ok()?;
                snapshot::decode(&bytes).ok()
            }
        }
    }

    /// Whether the offsets can be a log's.
    fn is_sane(&self) -> bool {
        let rises = self.segments.is_sorted_by(|a, b| a.base < b.base);
        let starts = self.segments.first().is_some_and(|first| first.base >= 0);
        let ends = self
            .segments
            .last()
            .is_some_and(|last| last.base <= self.end_offset);
        rises && starts && ends && (0..=self.end_offset).contains(&self.snapshot_offset)
    }
}

impl Log {
    /// The log in `dir` as a clean stop left it. None where it must be opened from its files, for whatever reason: nothing was changed
    /// then. Blocks for two looks at names.
    pub fn reopen_now(
        dir: Dir,
        options: LogOptions,
        left: &LogLeft,
        resume: Resume,
        now: Timestamp,
    ) -> Option<Log> {
        let end_offset = Offset(left.end_offset);
        if !left.is_sane() || resume.start_offset > end_offset || !left.is_as_it_was_now(&dir) {
            return None;
        }
        let mut log = Log {
            start_offset: resume.start_offset.max(Offset(left.segments[0].base)),
            end_offset,
            flushed: end_offset,
            spare: SpareState::None,
            is_kept_up: false,
            producers: left.producers_now(&dir)?,
            dir,
            snapshot_offset: Offset(left.snapshot_offset),
            epochs: left.epochs()?,
            epochs_unwritten: false,
            cut: None,
            names: Names::default(),
            compaction: CompactionState::new(resume.cleaned.filter(|cleaned| *cleaned <= end_offset)),
            segments: Vec::with_capacity(left.segments.len()),
            options,
        };
        for segment in &left.segments {
            let segment = Segment::reopened(log.place(Offset(segment.base)), segment, now)?;
            log.segments.push(segment);
        }
        let active = fs::status_now(log.active().path(names::LOG)).ok()?;
        let as_it_was = FileStatus {
            len: log.active().size_bytes(),
            changed: left.active_changed,
        };
        if active != as_it_was {
            return None;
        }
        log.producers.remove_expired(now, log.options.producer_expiry);
        log.begin_active();
        // Last: it writes where records were deleted behind the stop.
        log.end_epochs_now().ok()?;
        Some(log)
    }

    /// What the next start needs to know of this log, of which everything is written and flushed. None where that start has something to
    /// tidy up, or the system doesn't tell.
    pub(in crate::log) fn left_now(&self) -> Option<LogLeft> {
        let segments: Option<Vec<SegmentLeft>> = self.segments.iter().map(Segment::left).collect();
        let segments = segments?;
        if self.epochs_unwritten || !self.is_tidy_now().ok()? {
            return None;
        }
        let entry = |entry: &EpochStart| (entry.epoch.0, entry.start.0);
        Some(LogLeft {
            dir_changed: fs::status_now(&self.dir).ok()?.changed,
            active_changed: fs::status_now(self.active().path(names::LOG)).ok()?.changed,
            end_offset: self.end_offset.0,
            snapshot_offset: self.snapshot_offset.0,
            producers: self.producers_left(),
            epochs: self.epochs.entries().iter().map(entry).collect(),
            segments,
        })
    }

    fn producers_left(&self) -> ProducersLeft {
        if self.producers.is_empty() {
            return ProducersLeft::Here(Vec::new());
        }
        match snapshot::encode(&self.producers) {
            bytes if bytes.len() > PRODUCERS_BYTES_MAX => ProducersLeft::InSnapshot,
            bytes => ProducersLeft::Here(bytes),
        }
    }

    /// Whether its directory has the files of a closed log and no others. Producer snapshots that nobody needs go.
    fn is_tidy_now(&self) -> io::Result<bool> {
        let entries = fs::read_dir_now(&self.dir)?;
        let bases: BTreeSet<Offset> = self.segments.iter().map(Segment::base).collect();
        let mut expected: BTreeSet<(&str, Offset)> = BTreeSet::new();
        for kind in [names::LOG, names::INDEX, names::TIME_INDEX] {
            expected.extend(bases.iter().map(|base| (kind, *base)));
        }
        let mut snapshots = BTreeSet::new();
        let mut small_files = 0;
        for entry in &entries {
            let Some(name) = entry.name.to_str().filter(|_| !entry.is_dir) else {
                return Ok(false);
            };
            if [names::LEADER_EPOCHS, names::PARTITION_METADATA].contains(&name) {
                small_files += 1;
                continue;
            }
            let is_expected = names::parse_offset_file(name).is_some_and(|file| match file.kind {
                names::SNAPSHOT => snapshots.insert(file.offset),
                names::TXN_INDEX => bases.contains(&file.offset),
                kind => expected.remove(&(kind, file.offset)),
            });
            if !is_expected {
                return Ok(false);
            }
        }
        self.remove_stray_snapshots_now(&snapshots)
            .map_err(io::Error::other)?;
        Ok(expected.is_empty() && small_files == 2)
    }
}
