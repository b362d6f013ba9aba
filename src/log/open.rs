//! Opening a log: trusting it after a clean stop, recovering it after a crash (Kafka's `LogLoader`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use crate::base::{Offset, Timestamp};
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, Planted, is_planted};
use crate::log::checkpoint::{self, EpochStart};
use crate::log::compaction::{self, CompactionState};
use crate::log::dir::{self, Opened};
use crate::log::epochs::Epochs;
use crate::log::error::{LogError, at, read_text_now};
use crate::log::flush::{Names, sync_if_there_now};
use crate::log::header::{BatchHeader, BatchProblem, HEADER_BYTES};
use crate::log::index::Place;
use crate::log::producers::ProducerStates;
use crate::log::segment::{Segment, Tail};
use crate::log::upkeep::SpareState;
use crate::log::walk::{Source, Step, Walk, bad_batch, ready};
use crate::log::{Dir, Log, LogOptions, names, remember_producer, snapshot};

/// What the directory's checkpoint files say of a log; zeros where they say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// After a crash, segments that end before it need no check (`recovery-point-offset-checkpoint`).
    pub recovery_point: Offset,
    /// Records before it are deleted though their segment may be there (`log-start-offset-checkpoint`).
    pub start_offset: Offset,
    /// Up to where it is compacted (`cleaner-offset-checkpoint`).
    pub cleaned: Option<Offset>,
}

/// What opening a log took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments of which every batch was checked.
    pub segments_scanned: u32,
    /// Their bytes.
    pub bytes_scanned: u64,
    /// Bytes behind the last whole valid batch, which are gone.
    pub bytes_cut: u64,
    /// Segments behind a cut one, which are gone.
    pub segments_removed: u32,
}

impl AddAssign for Recovery {
    fn add_assign(&mut self, other: Recovery) {
        self.segments_scanned += other.segments_scanned;
        self.bytes_scanned += other.bytes_scanned;
        self.bytes_cut += other.bytes_cut;
        self.segments_removed += other.segments_removed;
    }
}

impl Log {
    /// As [`open_among_now`](Self::open_among_now), with no limit of its own on open files.
    pub fn open_now(
        dir: &Path,
        options: LogOptions,
        opened: Opened,
        resume: Resume,
        now: Timestamp,
    ) -> Result<(Log, Recovery), LogError> {
        Log::open_among_now(dir.into(), options, opened, resume, now)
    }

    /// Opens the log in `dir`, or makes an empty one there. Blocks: for start-up and administration.
    pub fn open_among_now(
        dir: Dir,
        options: LogOptions,
        opened: Opened,
        resume: Resume,
        now: Timestamp,
    ) -> Result<(Log, Recovery), LogError> {
        at(&dir, fs::create_dir_all_now(&dir))?;
        compaction::finish_interrupted_now(&dir)?;
        let files = Files::find_now(&dir)?;
        let mut log = Log {
            dir,
            options,
            // Mostly one or two; there are thousands of logs.
            segments: Vec::with_capacity(files.segments.len().max(1)),
            start_offset: resume.start_offset,
            end_offset: resume.start_offset,
            flushed: Offset(i64::MAX),
            cut: None,
            spare: SpareState::None,
            is_kept_up: false,
            producers: ProducerStates::default(),
            snapshot_offset: Offset(0),
            epochs: Epochs::default(),
            epochs_unwritten: false,
            names: Names::default(),
            compaction: CompactionState::default(),
        };
        if opened == Opened::AfterCrash {
            log.names.changed();
        }
        let mut recovery = Recovery::default();
        log.open_segments_now(&files, opened, resume, now, &mut recovery)?;
        if opened == Opened::AfterCleanStop {
            log.expect_end(resume)?;
        }
        log.drop_all_below_start_now(now)?;
        log.start_offset = resume.start_offset.max(log.segments[0].base());
        log.end_epochs_now()?;
        log.remove_stray_snapshots_now(&files.snapshots)?;
        let flushed = match opened {
            Opened::AfterCleanStop => log.end_offset,
            Opened::AfterCrash => resume.recovery_point,
        };
        log.flushed = log.flushed.min(flushed).min(log.end_offset);
        // What was compacted and is lost comes again with other records.
        let cleaned = resume.cleaned.filter(|cleaned| *cleaned <= log.end_offset);
        log.compaction = CompactionState::new(cleaned);
        log.begin_active();
        Ok((log, recovery))
    }

    /// A clean stop leaves a log that ends at its recovery point, and not before its start.
    fn expect_end(&self, resume: Resume) -> Result<(), LogError> {
        let points = [
            (dir::RECOVERY_POINTS, resume.recovery_point),
            (dir::START_OFFSETS, resume.start_offset),
        ];
        match points.into_iter().find(|(_, known)| self.end_offset < *known) {
            None => Ok(()),
            Some((checkpoint, known)) => Err(LogError::LostEnd {
                path: self.dir.to_path_buf(),
                end: self.end_offset,
                known,
                checkpoint,
            }),
        }
    }

    /// The last segment is the active one from now on.
    pub(super) fn begin_active(&mut self) {
        let active = self.segments.last_mut().expect("a log has an active segment");
        active.unsettle();
        active.jitter_by(self.options.jitter_ms());
    }

    fn open_segments_now(
        &mut self,
        files: &Files,
        opened: Opened,
        resume: Resume,
        now: Timestamp,
        recovery: &mut Recovery,
    ) -> Result<(), LogError> {
        let trusted = self.load_segments_now(files, now)?;
        let from = self.first_doubtful_now(opened, resume)?;
        for (n, _) in trusted
            .iter()
            .enumerate()
            .take(from)
            .filter(|(_, trusted)| !**trusted)
        {
            self.rebuild_trusted_now(n, files, now, recovery)?;
        }
        let epochs_known = self.load_epochs_now(opened)?;
        self.load_producers_now(files, from, epochs_known, now)?;
        self.recover_now(from, resume.recovery_point, now, recovery)?;
        if opened == Opened::AfterCrash && is_planted(Planted::ProducerStateNotRebuilt) {
            self.producers = ProducerStates::default();
        }
        if self.segments.is_empty() {
            self.begin_segment_now(now)?;
        }
        self.release_files();
        Ok(())
    }

    /// Opens every segment's files; tells of each whether its indexes can be used.
    fn load_segments_now(&mut self, files: &Files, now: Timestamp) -> Result<Vec<bool>, LogError> {
        let mut trusted = Vec::new();
        for &base in &files.segments {
            let place = Place {
                dir: self.dir.clone(),
                base,
            };
            let path = place.path(names::LOG);
            let (segment, indexes_trusted) = at(&path, Segment::open_now(place, now))?;
            let is_last = Some(&base) == files.segments.last();
            if segment.size_bytes() == 0 && !is_last {
                // A roll failed or died here, and the log went on in the segment before.
                self.remove_segment_files_now(base)?;
                continue;
            }
            self.segments.push(segment);
            trusted.push(indexes_trusted);
        }
        for (base, path) in &files.spares {
            let opened = Segment::open_spare_now(self.place(*base), path.clone(), now);
            let (segment, indexes_trusted) = at(path, opened)?;
            // A roll that came before its name did may have made the next file with a name of its own.
            let place = self.segments.partition_point(|other| other.base() < *base);
            self.segments.insert(place, segment);
            trusted.insert(place, indexes_trusted);
        }
        Ok(trusted)
    }

    /// The first segment of which every batch must be checked; all of them from there on. Sets the end offset if there
    /// is none.
    fn first_doubtful_now(&mut self, opened: Opened, resume: Resume) -> Result<usize, LogError> {
        let count = self.segments.len();
        // Whether a spare is the log's next segment, the one before it tells; and that one need not be settled.
        let first_spare = self.segments.iter().position(|segment| !segment.is_named());
        if opened == Opened::AfterCrash || first_spare.is_some() {
            let after = self
                .segments
                .partition_point(|segment| segment.base() <= resume.recovery_point);
            let from = after.min(first_spare.unwrap_or(count)).saturating_sub(1);
            // Where the log starts says nothing of where it ends.
            self.end_offset = self.segments.get(from).map_or(self.end_offset, Segment::base);
            return Ok(from);
        }
        // An empty last segment doesn't tell whether it is the log's end or what is left of a roll that failed.
        let tail_from = self
            .segments
            .iter()
            .rposition(|segment| segment.size_bytes() > 0)
            .unwrap_or(0);
        for n in tail_from..count {
            let segment = &mut self.segments[n];
            match at(&segment.path(names::LOG), segment.check_tail_now())? {
                Tail::Whole { next_offset } if n == tail_from || next_offset >= self.end_offset => {
                    self.end_offset = next_offset;
                }
                _ => return Ok(n),
            }
        }
        Ok(count)
    }

    /// Rebuilds the indexes of a segment that no crash can have torn: there, a bad batch is damage, and stays.
    fn rebuild_trusted_now(
        &mut self,
        n: usize,
        files: &Files,
        now: Timestamp,
        recovery: &mut Recovery,
    ) -> Result<(), LogError> {
        // Which transactions were open where it begins.
        let (mut producers, from) =
            self.newest_snapshot_now(&files.snapshots, self.segments[n].base(), now)?;
        self.replay_segments_now(n, from, |header, batch| {
            remember_producer(&mut producers, header, batch, now);
        })?;
        let segment = &mut self.segments[n];
        // The new indexes are not on stable storage, nor are their names, whatever the batches are.
        self.flushed = self.flushed.min(segment.base());
        self.names.changed();
        let path = segment.path(names::LOG);
        let rebuilt = segment.rebuild_now(self.options.index_interval_bytes, |header, batch| {
            remember_producer(&mut producers, header, batch, now)
        });
        let scanned = at(&path, rebuilt)?;
        // They may be before the recovery point, and then the next start trusts them.
        at(&path, segment.sync_indexes_now())?;
        recovery.segments_scanned += 1;
        recovery.bytes_scanned += scanned.valid_bytes;
        match scanned.problem {
            Some(problem) => Err(self.damaged_now(n, scanned.valid_bytes, problem)),
            None => Ok(()),
        }
    }

    /// What is said of a segment that has something else than batches. Without its index the next start, after whatever stop, looks at
    /// all of it again.
    fn damaged_now(&self, n: usize, position: u64, problem: BatchProblem) -> LogError {
        let segment = &self.segments[n];
        if let Err(error) = remove_if_there_now(&segment.path(names::INDEX)) {
            return error;
        }
        LogError::BadBatch {
            path: segment.path(names::LOG),
            position,
            problem,
        }
    }

    /// Reads the epochs' file; false when there is none to be trusted.
    fn load_epochs_now(&mut self, opened: Opened) -> Result<bool, LogError> {
        let base = self.segments.first().map_or(self.start_offset, Segment::base);
        let start = base.max(self.start_offset);
        match read_text_now(&self.dir.join(names::LEADER_EPOCHS), checkpoint::decode_epochs) {
            Ok(entries) => {
                // A crash may leave a file that was replaced empty, and of a start that was moved up this file alone.
                let is_whole = |entries: &Vec<EpochStart>| {
                    opened == Opened::AfterCleanStop
                        || entries.first().is_some_and(|first| first.start <= start)
                };
                let entries = entries.filter(is_whole);
                let known = entries.is_some();
                self.epochs = Epochs::new(entries.unwrap_or_default());
                self.epochs_unwritten = !known;
                Ok(known)
            }
            Err(LogError::Malformed { .. }) => {
                self.epochs_unwritten = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Producer states as of the first segment to be checked: the newest good snapshot before it, and the headers
    /// between.
    fn load_producers_now(
        &mut self,
        files: &Files,
        doubtful_from: usize,
        epochs_known: bool,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let until = self
            .segments
            .get(doubtful_from)
            .map_or(self.end_offset, Segment::base);
        let (mut producers, from) = self.newest_snapshot_now(&files.snapshots, until, now)?;
        self.snapshot_offset = from;
        let mut epochs = std::mem::take(&mut self.epochs);
        let replay_from = if epochs_known { from } else { Offset(0) };
        self.replay_segments_now(doubtful_from, replay_from, |header, batch| {
            // Of what is known the table knows the beginning too.
            if epochs.latest().is_none_or(|latest| latest < header.leader_epoch) {
                epochs.assign(header.leader_epoch, header.base_offset);
            }
            if header.base_offset >= from {
                remember_producer(&mut producers, header, batch, now);
            }
        })?;
        (self.producers, self.epochs) = (producers, epochs);
        Ok(())
    }

    /// The newest good snapshot of producer states at or before `until`, and its offset; without one no states, and the log's
    /// first offset.
    pub(super) fn newest_snapshot_now(
        &self,
        snapshots: &BTreeSet<Offset>,
        until: Offset,
        now: Timestamp,
    ) -> Result<(ProducerStates, Offset), LogError> {
        if self.segments.is_empty() {
            // What a snapshot tells of went with them: a crash interrupted a deletion of everything.
            return Ok((ProducerStates::default(), until));
        }
        for &offset in snapshots.range(..=until).rev() {
            let path = self.dir.join(names::offset_file(offset, names::SNAPSHOT));
            let bytes = at(&path, fs::read_whole_now(&path, snapshot::BYTES_MAX))?;
            if let Ok(mut states) = snapshot::decode(&bytes) {
                states.remove_expired(now, self.options.producer_expiry);
                return Ok((states, offset));
            }
        }
        let from = self.segments.first().map_or(until, Segment::base);
        Ok((ProducerStates::default(), from))
    }

    /// Goes over the headers of the first `count` segments from `from` on; see [`replay_now`].
    pub(super) fn replay_segments_now(
        &self,
        count: usize,
        from: Offset,
        mut visit: impl FnMut(&BatchHeader, &[u8]),
    ) -> Result<(), LogError> {
        for (n, segment) in self.segments[..count].iter().enumerate() {
            let end = self.segments.get(n + 1).map_or(self.end_offset, Segment::base);
            if end > from {
                at(&segment.path(names::LOG), replay_now(segment, from, &mut visit))?;
            }
        }
        Ok(())
    }

    /// Checks every batch from segment `from` on, cuts behind the last valid one, and learns epochs and producers on
    /// the way. What no crash can have torn, since it was on stable storage, stays as it is.
    fn recover_now(
        &mut self,
        from: usize,
        recovery_point: Offset,
        now: Timestamp,
        recovery: &mut Recovery,
    ) -> Result<(), LogError> {
        let mut at_segment = from;
        while at_segment < self.segments.len() {
            let segment = &mut self.segments[at_segment];
            let path = segment.path(names::LOG);
            if at_segment > 0 && !segment.is_named() && segment.base() < self.end_offset {
                // The log went on without it.
                let spare = self.segments.remove(at_segment);
                let path = spare.path(names::LOG);
                at(&path, fs::remove_file_now(&path))?;
                continue;
            }
            if at_segment > 0 && segment.base() < self.end_offset {
                if segment.size_bytes() > 0 {
                    return Err(LogError::BadBatch {
                        path,
                        position: 0,
                        problem: BatchProblem::Offsets,
                    });
                }
                // A roll failed here, and the log went on in the segment before.
                return self.remove_segments_behind_now(at_segment, recovery);
            }
            if at_segment > from && !segment.is_named() && segment.follows() != Some(self.end_offset) {
                // Between the two something was lost that no flush had covered, and so nothing behind it was promised.
                return self.remove_segments_behind_now(at_segment, recovery);
            }
            let (base, is_named) = (segment.base(), segment.is_named());
            if at_segment > from {
                // It may be where the next recovery begins, and what is before may be deleted by then.
                let path = self.dir.join(names::offset_file(base, names::SNAPSHOT));
                at(&path, self.write_snapshot_now(base))?;
            }
            if !is_named {
                at(&path, self.name_segment_now(at_segment))?;
            }
            let segment = &mut self.segments[at_segment];
            let path = segment.path(names::LOG);
            self.flushed = self.flushed.min(base);
            let (producers, epochs) = (&mut self.producers, &mut self.epochs);
            let mut epochs_changed = false;
            let rebuilt = segment.rebuild_now(self.options.index_interval_bytes, |header, batch| {
                epochs_changed |= epochs.latest().is_none_or(|latest| latest < header.leader_epoch)
                    && epochs.assign(header.leader_epoch, header.base_offset);
                remember_producer(producers, header, batch, now)
            });
            let scanned = at(&path, rebuilt)?;
            self.epochs_unwritten |= epochs_changed;
            self.end_offset = scanned.next_offset;
            recovery.segments_scanned += 1;
            recovery.bytes_scanned += scanned.valid_bytes;
            at_segment += 1;
            if let Some(problem) = scanned.problem {
                let position = scanned.valid_bytes;
                // A file that begins with a message of an older format is data, and not ours to cut; a torn write looks like one only at
                // first sight.
                let is_old = position == 0
                    && matches!(problem, BatchProblem::Magic(0 | 1))
                    && at(&path, self.segments[at_segment - 1].is_old_now())?;
                // What an append that failed has left, and a crash did not let be cut off: the log went on in the next segment.
                let next = self.segments.get(at_segment);
                let is_leftover =
                    next.is_some_and(|next| next.follows().unwrap_or(next.base()) == self.end_offset);
                let was_durable = !is_leftover && scanned.next_offset < recovery_point;
                let is_damage = self.options.refuse_damage
                    && !is_leftover
                    && (at_segment < self.segments.len()
                        || at(
                            &path,
                            self.segments[at_segment - 1].has_batch_behind_now(position),
                        )?);
                if is_old || was_durable || is_damage {
                    return Err(self.damaged_now(at_segment - 1, position, problem));
                }
                let segment = &mut self.segments[at_segment - 1];
                recovery.bytes_cut += segment.size_bytes() - position;
                at(&path, segment.cut_now(position))?;
                if !is_leftover {
                    self.remove_segments_behind_now(at_segment, recovery)?;
                }
            }
        }
        Ok(())
    }

    /// Gives a segment its own name, which says that the one before it is settled.
    fn name_segment_now(&mut self, n: usize) -> io::Result<()> {
        if let Some(before) = n.checked_sub(1) {
            let base = self.segments[n].base();
            self.segments[before].sync_now()?;
            let snapshot = self.dir.join(names::offset_file(base, names::SNAPSHOT));
            sync_if_there_now(&snapshot)?;
        }
        self.segments[n].name_now()?;
        self.names.changed();
        Ok(())
    }

    fn remove_segments_behind_now(&mut self, kept: usize, recovery: &mut Recovery) -> Result<(), LogError> {
        for segment in self.segments.split_off(kept) {
            recovery.segments_removed += 1;
            recovery.bytes_cut += segment.size_bytes();
            let path = segment.path(names::LOG);
            if !segment.is_named() {
                at(&path, fs::remove_file_now(&path))?;
            }
            self.remove_segment_files_now(segment.base())?;
        }
        Ok(())
    }

    /// A log that ends before its start was deleted up to there, and lost its end in a crash: what it has is deleted
    /// records.
    fn drop_all_below_start_now(&mut self, now: Timestamp) -> Result<(), LogError> {
        if self.end_offset >= self.start_offset {
            return Ok(());
        }
        tracing::warn!(
            "{}: the log ends at offset {}, and was deleted up to {}: nothing of it is left",
            self.dir.display(),
            self.end_offset,
            self.start_offset
        );
        // First: another start must not know producers that this one has forgotten.
        self.remove_snapshots_now()?;
        for segment in std::mem::take(&mut self.segments) {
            self.remove_segment_files_now(segment.base())?;
        }
        self.end_offset = self.start_offset;
        self.snapshot_offset = self.start_offset;
        self.producers = ProducerStates::default();
        self.epochs = Epochs::default();
        self.epochs_unwritten = true;
        self.begin_segment_now(now)
    }

    /// An empty segment at the log's end.
    fn begin_segment_now(&mut self, now: Timestamp) -> Result<(), LogError> {
        let path = self.dir.join(names::offset_file(self.end_offset, names::LOG));
        let segment = self.create_segment_now(self.end_offset, now);
        self.segments.push(at(&path, segment)?);
        Ok(())
    }

    /// Forgets the epochs of which no record is left.
    pub(super) fn end_epochs_now(&mut self) -> Result<(), LogError> {
        self.epochs_unwritten |= self.epochs.truncate_end(self.end_offset);
        self.epochs_unwritten |= self.epochs.truncate_start(self.start_offset);
        let written = self.write_epochs_now();
        at(&self.dir.join(names::LEADER_EPOCHS), written)
    }

    /// Keeps one snapshot for each segment, to recover it from, and the newest; none that knows of cut batches.
    pub(super) fn remove_stray_snapshots_now(&self, snapshots: &BTreeSet<Offset>) -> Result<(), LogError> {
        let active = self.segments.last().expect("a log has an active segment").base();
        let bases: BTreeSet<Offset> = self.segments.iter().map(Segment::base).collect();
        let newest = snapshots.range(..=self.end_offset).next_back();
        for offset in snapshots {
            let wanted = *offset <= self.end_offset
                && (bases.contains(offset) || (Some(offset) == newest && *offset > active));
            if !wanted {
                remove_if_there_now(&self.dir.join(names::offset_file(*offset, names::SNAPSHOT)))?;
            }
        }
        Ok(())
    }

    fn remove_snapshots_now(&self) -> Result<(), LogError> {
        for entry in at(&self.dir, fs::read_dir_now(&self.dir))? {
            let file = entry.name.to_str().and_then(names::parse_offset_file);
            if file.is_some_and(|file| file.kind == names::SNAPSHOT) {
                remove_if_there_now(&self.dir.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// Removes a segment's files, the `.log` first: without it the others are orphans, which opening removes.
    pub(super) fn remove_segment_files_now(&self, base: Offset) -> Result<(), LogError> {
        let place = Place {
            dir: self.dir.clone(),
            base,
        };
        for kind in [names::LOG, names::INDEX, names::TIME_INDEX, names::TXN_INDEX] {
            remove_if_there_now(&place.path(kind))?;
        }
        Ok(())
    }
}

fn remove_if_there_now(path: &Path) -> Result<(), LogError> {
    match fs::remove_file_now(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => at(path, removed),
    }
}

/// Goes over the headers of a segment from the batch with `from` on; with a control batch comes its body.
fn replay_now(segment: &Segment, from: Offset, mut visit: impl FnMut(&BatchHeader, &[u8])) -> io::Result<()> {
    if segment.size_bytes() == 0 {
        return Ok(());
    }
    let source = Source::blocking(segment.file_now()?);
    let range = segment.range_of_now(from)?;
    let mut walk = Walk::new(source.clone(), range.from, segment.size_bytes());
    loop {
        match ready(walk.next())? {
            Step::Batch { header, .. } if header.last_offset < from => {}
            Step::Batch { position, header } => {
                let control = if header.is_control() { header.size_bytes } else { 0 };
                visit(&header, &ready(source.read_at(position, control))?);
            }
            Step::End => break,
            Step::Bad { position, problem } => return Err(bad_batch(position, problem)),
        }
    }
    segment.release();
    Ok(())
}

/// The files of a partition's directory that are named after offsets.
struct Files {
    segments: BTreeSet<Offset>,
    snapshots: BTreeSet<Offset>,
    /// Segments whose file a crash left with its spare name, by the base offset of their first batch.
    spares: BTreeMap<Offset, PathBuf>,
}

impl Files {
    /// Lists them, and removes what a crash left of files on their way in or out.
    fn find_now(dir: &Path) -> Result<Files, LogError> {
        let (mut segments, mut snapshots, mut indexes) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let mut spares = Vec::new();
        for entry in at(dir, fs::read_dir_now(dir))? {
            let path = dir.join(&entry.name);
            let file = entry.name.to_str().and_then(names::parse_offset_file);
            let Some(file) = file.filter(|_| !entry.is_dir) else {
                continue;
            };
            match file.kind {
                names::LOG => _ = segments.insert(file.offset),
                names::SNAPSHOT => _ = snapshots.insert(file.offset),
                names::SPARE | names::NEXT => spares.push(path),
                names::INDEX | names::TIME_INDEX | names::TXN_INDEX => indexes.push((file.offset, path)),
                kind if ends_with(kind, names::DELETED) => at(&path, fs::remove_file_now(&path))?,
                _ => {}
            }
        }
        let spares = adopt_now(spares, &segments)?;
        for (_, path) in indexes.iter().filter(|(base, _)| !segments.contains(base)) {
            at(path, fs::remove_file_now(path))?;
        }
        Ok(Files {
            segments,
            snapshots,
            spares,
        })
    }
}

/// Of the spare files those that hold what may be a segment, by the offset that their first batch has: the segment before it tells.
/// The others go: they were never appended to, or nothing of that was flushed and so acknowledged.
fn adopt_now(
    spares: Vec<PathBuf>,
    segments: &BTreeSet<Offset>,
) -> Result<BTreeMap<Offset, PathBuf>, LogError> {
    let mut adopted = BTreeMap::new();
    for path in spares {
        let base = at(&path, first_offset_now(&path))?;
        let base = base.filter(|_| !is_planted(Planted::SpareForgotten));
        match base.filter(|base| !segments.contains(base)) {
            Some(base) => _ = adopted.insert(base, path),
            None => at(&path, fs::remove_file_now(&path))?,
        }
    }
    Ok(adopted)
}

/// The base offset of the first batch of a file, if one begins there.
fn first_offset_now(path: &Path) -> io::Result<Option<Offset>> {
    let mut bytes = [0; HEADER_BYTES];
    let file = File::open_now(path, OpenOptions::read_only())?;
    let read = file.read_at_now(0, &mut bytes)?;
    Ok(BatchHeader::parse(&bytes[..read])
        .ok()
        .map(|header| header.base_offset))
}

/// Whether a file's kind is `log.deleted` or the like, of a kind that is the log's own: snapshots of the metadata log
/// end in `.checkpoint.deleted` and are not ours to touch.
fn ends_with(kind: &str, state: &str) -> bool {
    kind.split_once('.').is_some_and(|(inner, outer)| {
        let own = [
            names::LOG,
            names::INDEX,
            names::TIME_INDEX,
            names::TXN_INDEX,
            names::SNAPSHOT,
        ];
        outer == state && own.contains(&inner)
    })
}
