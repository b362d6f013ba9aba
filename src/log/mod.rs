//! One partition's log on disk, in Apache Kafka's files: appends, reads, producer states, leader epochs, recovery.
//!
//! A [`Log`] belongs to the core that owns its partition and is plain data there. Appends go to the page cache at once
//! ([`Log::append`]); reads and lookups come as plans, which hold no borrow of the log, so that it may grow, roll or
//! lose segments while they run. Nothing here waits for the disk by itself: [`Log::flush_plan`] says what to flush, and the
//! owner reports back with [`Log::flushed`]; [`Log::begin_upkeep`] says what else is to be written, and the owner reports
//! back with [`Log::end_upkeep`].
//!
//! A log ends by [`Log::close`], after which [`dir`] may call the stop clean, or by a crash, after which
//! [`Log::open_now`] checks every batch that was not known to be flushed and cuts what is torn.
//!
//! Pages, from the inside out: `names`, `checkpoint`, `snapshot`, `header`, `index`, `txn_index` are formats; `producers` and `epochs` are
//! pure machines; `walk`, `aborted` and `segment` are one file each; `error` says what is wrong with them; this page, `open`, `read`,
//! `lookup`, `transactions`, `flush`, `retention`, `truncation` and `moved` are the log; `compaction` rewrites it; `dir` is the directory
//! that the logs stand in.

mod aborted;
pub mod checkpoint;
pub mod clean_start;
pub mod compaction;
pub mod dir;
pub mod epochs;
mod error;
mod flush;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod header;
pub mod index;
mod lookup;
pub mod moved;
pub mod names;
mod open;
mod open_files;
pub mod producers;
mod read;
mod removal;
mod retention;
mod segment;
pub mod snapshot;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod transactions;
mod truncation;
pub mod txn_index;
mod upkeep;
pub mod walk;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::{LeaderEpoch, Offset, Timestamp, TopicId};
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, Planted, is_planted};
use crate::log::compaction::CompactionState;
use crate::log::epochs::Epochs;
use crate::log::flush::Names;
use crate::log::header::{BatchHeader, BatchProblem};
use crate::log::index::Place;
use crate::log::producers::{ProducedBatch, ProducerStates, Sequence, SequenceError};
use crate::log::segment::{Segment, Spare};
use crate::log::upkeep::SpareState;

pub use dir::Opened;
pub use epochs::EpochEnd;
pub use error::{LogError, at, read_text_now};
pub use flush::{FlushPlan, Flushed};
pub use lookup::{LookupPlan, TimestampedOffset};
pub use open::{Recovery, Resume};
pub use open_files::{Dir, OpenFiles};
pub use read::{BatchesRead, ReadError, ReadLimits, ReadPlan};
pub use removal::Removal;
pub use transactions::AbortedPlan;
pub use truncation::{Truncated, Truncation};
pub use txn_index::AbortedTransaction;
pub use upkeep::{Upkeep, Upkept};

/// The settings of a log; each is the topic config of the same name, and may change while the log is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `segment.bytes`: a segment is at most so large, and a batch too; 1 to `i32::MAX`.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment covers so much of the records' time.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: of which by chance up to so much is taken off, so that not all partitions roll at once.
    pub segment_jitter_ms: i64,
    /// `preallocate`: the file of the next segment has `segment_bytes` of the disk reserved for it.
    pub preallocate: bool,
    /// `index.interval.bytes`: an index entry for every so many bytes of batches.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: a segment ends when one of its indexes would be larger.
    pub index_bytes_max: u32,
    /// `retention.ms`: segments of only older records are expired; −1 for never.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments above so much are expired; −1 for never.
    pub retention_bytes: i64,
    /// `producer.id.expiration.ms` (of the broker).
    pub producer_expiry: Duration,
    /// A bad batch with a good one behind it is damage and not the torn end of a crash: refuse to open rather than cut.
    pub refuse_damage: bool,
}

impl Default for LogOptions {
    /// Kafka's defaults.
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 86_400_000,
            segment_jitter_ms: 0,
            preallocate: false,
            index_interval_bytes: 4096,
            index_bytes_max: 10 << 20,
            retention_ms: 7 * 86_400_000,
            retention_bytes: -1,
            producer_expiry: Duration::from_secs(86_400),
            refuse_damage: false,
        }
    }
}

impl LogOptions {
    /// What chance takes off one segment's age (Kafka's `LogConfig.randomSegmentJitter`).
    fn jitter_ms(&self) -> i64 {
        match self.segment_jitter_ms.min(self.segment_ms) {
            ..=0 => 0,
            most => (crate::io::random_u64() % most as u64) as i64,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    dir: Dir,
    options: LogOptions,
    /// By rising base offset; the last is the active one. Never empty.
    segments: Vec<Segment>,
    start_offset: Offset,
    end_offset: Offset,
    /// Every batch before it is on stable storage. Invariant: flushed <= end_offset.
    flushed: Offset,
    /// The base of a segment that a truncation has cut; until a flush a crash may bring back what it had.
    cut: Option<Offset>,
    /// The file of the next segment, made beforehand.
    spare: SpareState,
    /// Something of [`Log::begin_upkeep`] is under way.
    is_kept_up: bool,
    producers: ProducerStates,
    /// The newest producer snapshot's offset, or where the log began without one.
    snapshot_offset: Offset,
    epochs: Epochs,
    /// The epochs' file lags behind `epochs`.
    epochs_unwritten: bool,
    names: Names,
    compaction: CompactionState,
}

/// Where an append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedTo {
    /// The batch's first offset.
    pub base_offset: Offset,
    /// Its last offset.
    pub last_offset: Offset,
    /// It began a new segment: a good time to [flush](Log::flush_plan) the one before in the background.
    pub rolled: bool,
}

/// Why a batch was not appended. The log is as before.
#[derive(Debug)]
pub enum AppendError {
    /// The bytes are not one batch: CORRUPT_MESSAGE.
    Malformed(BatchProblem),
    /// The batch's offsets were given out before: a follower's fetch went wrong.
    OffsetInPast {
        /// The batch's first offset.
        base: Offset,
        /// The log's end.
        end: Offset,
    },
    /// The batch is larger than a segment may be: RECORD_LIST_TOO_LARGE.
    LargerThanSegment {
        /// Bytes of the batch.
        bytes: usize,
        /// `segment.bytes`.
        max: u32,
    },
    /// The disk failed: KAFKA_STORAGE_ERROR. ENOSPC may pass; after EIO nothing more should be written.
    Disk(io::Error),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::Malformed(problem) => write!(f, "{problem}"),
            AppendError::OffsetInPast { base, end } => {
                write!(f, "the batch begins at offset {base}, the log ends at {end}")
            }
            AppendError::LargerThanSegment { bytes, max } => {
                write!(f, "a batch of {bytes} bytes, and segment.bytes is {max}")
            }
            AppendError::Disk(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for AppendError {}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> AppendError {
        AppendError::Disk(error)
    }
}

impl Log {
    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }

    /// The start offset, if it lies inside a segment and so must be [checkpointed](dir::CheckpointedOffsets); or if files before it were
    /// taken away, and a crash may bring them back.
    pub fn start_to_checkpoint(&self) -> Option<Offset> {
        let is_inside = self.start_offset > self.segments[0].base();
        let is_doubtful = self.start_offset > Offset(0) && self.names.are_unflushed();
        ((is_inside || is_doubtful) && !is_planted(Planted::DeletedStartLost)).then_some(self.start_offset)
    }

    /// The next record's offset.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// The offset up to which all batches are on stable storage.
    pub fn flushed_end(&self) -> Offset {
        self.flushed
    }

    /// The offset up to which everything is on stable storage, indexes and producer snapshots included: a start after a crash checks
    /// what is behind it.
    pub fn recovery_point(&self) -> Offset {
        match self.unsettled() {
            _ if is_planted(Planted::RecoveryPointAhead) => self.end_offset,
            0 => self.flushed,
            _ => self.flushed.min(self.segments[self.first_unsettled()].base()),
        }
    }

    /// The bytes of all batches.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::size_bytes).sum()
    }

    /// How many segments there are, the active one included.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The settings, to look at or to change.
    pub fn options_mut(&mut self) -> &mut LogOptions {
        &mut self.options
    }

    /// The newest leader epoch known here.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// The leader epoch that the record at `offset` was written in.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_of(offset)
    }

    /// Where `epoch` ends in this log; `None` when that can't be told (OffsetsForLeaderEpoch).
    pub fn epoch_end_offset(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.end_offset)
    }

    /// Notes that what will be appended belongs to `epoch`: a new leader's first act.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.assign_epoch(epoch, self.end_offset);
    }

    /// What to do with an idempotent producer's batch; to be asked before [`append`](Self::append), which remembers it.
    pub fn check_producer(&self, batch: &ProducedBatch) -> Result<Sequence, SequenceError> {
        self.producers.check(batch)
    }

    /// The producers that are remembered.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets producers that wrote nothing for `producer.id.expiration.ms`; returns how many.
    pub fn remove_expired_producers(&mut self, now: Timestamp) -> usize {
        self.producers.remove_expired(now, self.options.producer_expiry)
    }

    /// Appends one validated batch of format v2, whose base offset and leader epoch are set, to the page cache; in a
    /// new segment if it must. A leader's batch begins at [`end_offset`](Self::end_offset); a follower's may leave
    /// offsets out, as compaction does.
    pub fn append(&mut self, batch: &[u8], now: Timestamp) -> Result<AppendedTo, AppendError> {
        let header = self.check_append(batch)?;
        let rolled = self.active().must_roll(&header, &self.options, now);
        if rolled {
            self.roll_now(header.base_offset, now)?;
        }
        let active = self.segments.last_mut().expect("a log has an active segment");
        active.append_now(&header, batch, &self.options)?;
        self.end_offset = header.next_offset();
        if let Some(aborted) = remember_producer(&mut self.producers, &header, batch, now) {
            active.note_aborted(aborted);
        }
        self.assign_epoch(header.leader_epoch, header.base_offset);
        Ok(AppendedTo {
            base_offset: header.base_offset,
            last_offset: header.last_offset,
            rolled,
        })
    }

    /// Closes every file of a log that is not busy; the next use opens them again. Reads under way keep theirs.
    pub fn release_files(&self) {
        self.segments.iter().for_each(Segment::release);
    }

    fn check_append(&self, batch: &[u8]) -> Result<BatchHeader, AppendError> {
        let header = BatchHeader::parse(batch).map_err(AppendError::Malformed)?;
        if header.size_bytes != batch.len() {
            return Err(AppendError::Malformed(BatchProblem::Torn));
        }
        debug_assert!(
            crate::base::crc32c(&batch[header::CRC_FROM..]) == header.crc,
            "an unvalidated batch"
        );
        if header.base_offset < self.end_offset {
            return Err(AppendError::OffsetInPast {
                base: header.base_offset,
                end: self.end_offset,
            });
        }
        if batch.len() > self.options.segment_bytes as usize {
            return Err(AppendError::LargerThanSegment {
                bytes: batch.len(),
                max: self.options.segment_bytes,
            });
        }
        Ok(header)
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log has an active segment")
    }

    /// Seals the active segment and begins the next one at `base`, in the file that was made for it if it is there. What the sealed one's
    /// files have not yet follows with the [upkeep](Self::begin_upkeep), and so does the producer snapshot to recover the next from.
    fn roll_now(&mut self, base: Offset, now: Timestamp) -> io::Result<()> {
        let mut next = self.next_segment_now(base, now)?;
        next.jitter_by(self.options.jitter_ms());
        let snapshot = snapshot::encode(&self.producers).into();
        let active = self.segments.last_mut().expect("a log has an active segment");
        active.seal(snapshot)?;
        self.snapshot_offset = base;
        self.segments.push(next);
        Ok(())
    }

    fn next_segment_now(&mut self, base: Offset, now: Timestamp) -> io::Result<Segment> {
        match std::mem::replace(&mut self.spare, SpareState::None) {
            SpareState::Ready(spare) => {
                let place = self.place(base);
                let on_spare = Segment::on_spare_now(place, spare, now);
                on_spare.or_else(|_| self.create_next_segment_now(base, now))
            }
            // It is for the segment after the next.
            SpareState::Making => {
                self.spare = SpareState::Making;
                self.create_next_segment_now(base, now)
            }
            SpareState::None | SpareState::Failed => self.create_next_segment_now(base, now),
        }
    }

    /// Without its own name: a start takes over what has that whatever came of the segments before.
    fn create_next_segment_now(&mut self, base: Offset, now: Timestamp) -> io::Result<Segment> {
        let path = self.dir.join(names::offset_file(self.end_offset, names::NEXT));
        File::open_now(&path, OpenOptions::read_write_truncate())?;
        self.names.changed();
        Segment::on_spare_now(self.place(base), Spare { path }, now)
    }

    fn create_segment_now(&mut self, base: Offset, now: Timestamp) -> io::Result<Segment> {
        let place = self.place(base);
        self.names.changed();
        Segment::create_now(place.clone(), now).inspect_err(|_| {
            // An empty segment in the middle of the log would hide the records behind its base offset.
            let _ = fs::remove_file_now(place.path(names::LOG));
        })
    }

    fn place(&self, base: Offset) -> Place {
        Place {
            dir: self.dir.clone(),
            base,
        }
    }

    /// Writes the producer states as of `offset`. A crash may tear the file: its CRC tells, and the log has the rest.
    fn write_snapshot_now(&mut self, offset: Offset) -> io::Result<()> {
        let path = self.dir.join(names::offset_file(offset, names::SNAPSHOT));
        self.names.changed();
        File::open_now(&path, OpenOptions::read_write_truncate())?
            .write_at_now(0, &[&snapshot::encode(&self.producers)])?;
        self.snapshot_offset = offset;
        Ok(())
    }

    fn assign_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.epochs.assign(epoch, start) {
            self.epochs_unwritten = true;
            // The batches say the same, and recovery reads them; so a failure may wait for the next flush.
            let _ = self.write_epochs_now();
        }
    }

    /// Brings the epochs' file up to date, in the page cache.
    fn write_epochs_now(&mut self) -> io::Result<()> {
        if self.epochs_unwritten {
            let text = checkpoint::encode_epochs(self.epochs.entries());
            replace_text_now(&self.dir.join(names::LEADER_EPOCHS), &text)?;
            self.epochs_unwritten = false;
            self.names.changed();
        }
        Ok(())
    }
}

/// Updates producer states by a batch that is in the log: appended now, or found by recovery. The transaction that it
/// aborts, if it does.
fn remember_producer(
    states: &mut ProducerStates,
    header: &BatchHeader,
    batch: &[u8],
    now: Timestamp,
) -> Option<AbortedTransaction> {
    if let Some(produced) = header.produced() {
        states.update(&produced, now);
        return None;
    }
    let marker = header::end_marker(header, batch)?;
    let ended = states.end_transaction(&marker, now)?;
    marker.is_abort.then_some(AbortedTransaction {
        producer_id: marker.producer_id,
        first_offset: ended.first_offset,
        last_offset: marker.offset,
        last_stable_offset: ended.last_stable_offset,
    })
}

/// Reads the topic's id from a partition's directory; `None` when the file is missing, or was torn by a crash before any
/// flush had covered it. What no crash leaves is damage: whose records these are nobody knows.
pub fn read_topic_id_now(dir: &Path, opened: Opened) -> Result<Option<TopicId>, LogError> {
    let path = dir.join(names::PARTITION_METADATA);
    match read_text_now(&path, checkpoint::decode_partition_metadata) {
        Err(LogError::Malformed { .. }) if opened == Opened::AfterCrash && is_torn_id_now(&path)? => Ok(None),
        read => read,
    }
}

/// Whether a topic's id was on its way to that file: it has the beginning of one, or zeros.
fn is_torn_id_now(path: &Path) -> Result<bool, LogError> {
    let whole = checkpoint::encode_partition_metadata(TopicId([0; 16]));
    let id_at = whole.rfind(' ').expect("a name and the id behind it") + 1;
    let bytes = at(path, fs::read_whole_now(path, whole.len()))?;
    let named = bytes.len().min(id_at);
    let is_beginning = bytes.len() < whole.len() && bytes[..named] == whole.as_bytes()[..named];
    Ok(is_beginning || bytes.iter().all(|byte| *byte == 0))
}

/// Writes the topic's id into a partition's new directory, in the page cache: a core that serves must not wait for the
/// disk. It is durable with the log's first [`FlushPlan`].
pub fn write_topic_id_now(dir: &Path, topic: TopicId) -> io::Result<()> {
    let text = checkpoint::encode_partition_metadata(topic);
    replace_text_now(&dir.join(names::PARTITION_METADATA), &text)
}

/// Makes the files of a new partition, empty, in a directory of its own, without blocking the core: where many files come and go, ext4
/// looks long for room for another. False when the directory was there; else the log is to be opened as after a crash, for nothing of it
/// is flushed. A failure comes again then, and is told there.
pub async fn make_files(dir: &Path) -> bool {
    if fs::exists_now(dir).unwrap_or(true) || fs::create_dir(dir).await.is_err() {
        return false;
    }
    let segment =
        [names::LOG, names::INDEX, names::TIME_INDEX].map(|kind| names::offset_file(Offset(0), kind));
    let metadata = fresh(Path::new(names::PARTITION_METADATA));
    for name in segment.iter().map(Path::new).chain([metadata.as_path()]) {
        if File::open(dir.join(name), OpenOptions::read_write_create())
            .await
            .is_err()
        {
            break;
        }
    }
    true
}

/// Where what is to stand at `path` is written first.
fn fresh(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// Puts a new text file in the place of an old one, in the page cache.
fn replace_text_now(path: &Path, text: &str) -> io::Result<()> {
    let fresh = fresh(path);
    File::open_now(&fresh, OpenOptions::read_write_truncate())?.write_at_now(0, &[text.as_bytes()])?;
    fs::rename_now(&fresh, path)
}

/// Whether a partition's directory holds any batch.
pub fn has_batches_now(dir: &Path) -> Result<bool, LogError> {
    for entry in at(dir, fs::read_dir_now(dir))? {
        let path = dir.join(&entry.name);
        if path.extension().is_some_and(|kind| kind == names::LOG) {
            let file = File::open_now(&path, OpenOptions::read_only());
            if at(&path, file.and_then(|file| file.len_now()))? > 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Renames the directory of a partition that the cluster does not know, so that nothing takes it for one that it does;
/// returns where it is now. `unique` keeps the name from clashing.
pub fn set_aside_now(dir: &Path, unique: [u8; 16]) -> io::Result<PathBuf> {
    let aside = dir.with_file_name(names::stray_partition_dir(dir_name(dir)?, unique));
    fs::rename_now(dir, &aside)?;
    Ok(aside)
}

/// Takes a closed partition away: renamed at once, so that nothing takes it for a partition (see
/// [`names::is_deleted_partition_dir`]), and removed by the [`Removal`]. `unique` keeps the name from clashing.
pub fn delete_now(dir: &Path, unique: [u8; 16]) -> io::Result<Removal> {
    let doomed = dir.with_file_name(names::deleted_partition_dir(dir_name(dir)?, unique));
    fs::rename_now(dir, &doomed)?;
    let mut removal = Removal::default();
    removal.take_dir(doomed);
    Ok(removal)
}

fn dir_name(dir: &Path) -> io::Result<&str> {
    let name = dir.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
