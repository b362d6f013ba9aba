//! Making a log durable: what to flush, decided at once; the flushing itself waits without a borrow of the log.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::Offset;
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, is_out_of_resources, sleep};
use crate::log::clean_start::LogLeft;
use crate::log::upkeep::SpareState;
use crate::log::{Dir, Log, names};

/// How often, and how long in between, a descriptor is waited for: ten seconds.
const OPEN_WAITS: u32 = 200;
const OPEN_WAIT: Duration = Duration::from_millis(50);

/// What must reach stable storage so that all batches up to an offset are safe.
#[derive(Debug)]
pub struct FlushPlan {
    /// The files with batches that no flush has covered, oldest first.
    batches: Vec<File>,
    /// Files that are opened only to be flushed; deleted ones don't matter.
    others: Vec<PathBuf>,
    names: Option<NamesFlush>,
    upto: Offset,
}

/// What a [`FlushPlan`] has brought to stable storage.
#[derive(Clone, Copy, Debug)]
#[must_use = "the log is to be told"]
pub struct Flushed {
    upto: Offset,
    names: Option<u64>,
}

impl Flushed {
    /// Up to where all batches are safe.
    pub fn upto(&self) -> Offset {
        self.upto
    }
}

/// The names in a partition's directory, and the small files that are replaced there: how often they changed, and which change is on stable
/// storage.
#[derive(Debug, Default)]
pub struct Names {
    changes: u64,
    flushed: u64,
}

/// A flush of the names, up to a change.
#[derive(Debug)]
pub struct NamesFlush {
    dir: Dir,
    changes: u64,
}

impl Names {
    /// A file was made, renamed, removed or replaced.
    pub fn changed(&mut self) {
        self.changes += 1;
    }

    /// Whether some change is not on stable storage.
    pub fn are_unflushed(&self) -> bool {
        self.flushed < self.changes
    }

    /// The flush of what changed, if anything has.
    pub fn begin_flush(&self, dir: &Dir) -> Option<NamesFlush> {
        self.are_unflushed().then(|| NamesFlush {
            dir: dir.clone(),
            changes: self.changes,
        })
    }

    /// A flush has run.
    pub fn flushed(&mut self, changes: u64) {
        self.flushed = self.flushed.max(changes);
    }
}

impl NamesFlush {
    /// Flushes, the directory last; returns which change is safe now.
    pub async fn run(self) -> io::Result<u64> {
        for name in [names::LEADER_EPOCHS, names::PARTITION_METADATA] {
            sync_if_there(&self.dir.join(name)).await?;
        }
        open_patiently(&self.dir).await?.sync_all().await?;
        // The directory itself may be new.
        if let Some(parent) = self.dir.parent() {
            open_patiently(parent).await?.sync_all().await?;
        }
        Ok(self.changes)
    }
}

impl FlushPlan {
    /// Flushes, names last; returns what to tell [`Log::flushed`]. After an error nothing is known of what was to be
    /// flushed: the log directory must go offline.
    pub async fn run(self) -> io::Result<Flushed> {
        for file in &self.batches {
            file.sync_data().await?;
        }
        for path in &self.others {
            sync_if_there(path).await?;
        }
        let names = match self.names {
            Some(names) => Some(names.run().await?),
            None => None,
        };
        Ok(Flushed {
            upto: self.upto,
            names,
        })
    }

    /// What it would come to.
    #[cfg(test)]
    pub fn without_running(self) -> Flushed {
        Flushed {
            upto: self.upto,
            names: self.names.map(|names| names.changes),
        }
    }

    /// Whether everything was durable already.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.others.is_empty() && self.names.is_none()
    }
}

/// Flushes a file that may have been deleted.
pub async fn sync_if_there(path: &Path) -> io::Result<()> {
    match open_patiently(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_data().await,
    }
}

/// The same, blocking: for a start.
pub fn sync_if_there_now(path: &Path) -> io::Result<()> {
    match File::open_now(path, OpenOptions::read_only()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_data_now(),
    }
}

/// Opens a file that is to be flushed. Where the process is out of descriptors it waits for one: a flush that could not begin is
/// not one that failed.
async fn open_patiently(path: &Path) -> io::Result<File> {
    let mut waits_left = OPEN_WAITS;
    loop {
        match File::open_now(path, OpenOptions::read_only()) {
            Err(error) if is_out_of_resources(&error) && waits_left > 0 => {
                waits_left -= 1;
                sleep(OPEN_WAIT).await;
            }
            opened => return opened,
        }
    }
}

impl Log {
    /// Makes sure that the active segment's file is open, so that an append that follows needs no descriptor.
    pub fn hold_active_now(&self) -> io::Result<()> {
        self.active().hold_file_now()
    }

    /// What to flush so that every batch up to the present end is durable: the files that got batches since the last flush, and new
    /// names. Not what a start can do without: indexes and producer snapshots come with the [upkeep](Self::begin_upkeep).
    pub fn flush_plan(&mut self) -> io::Result<FlushPlan> {
        self.write_epochs_now()?;
        let mut batches = Vec::new();
        if self.flushed < self.end_offset || self.cut.is_some() {
            let first = self.segment_of(self.flushed).max(self.first_unsettled());
            let first = self.cut.map_or(first, |cut| first.min(self.segment_of(cut)));
            for segment in &self.segments[first..] {
                batches.push(segment.file_now()?);
            }
        }
        Ok(FlushPlan {
            batches,
            others: Vec::new(),
            names: self.names.begin_flush(&self.dir),
            upto: self.end_offset,
        })
    }

    /// Notes what a [`FlushPlan`] has done.
    pub fn flushed(&mut self, flushed: Flushed) {
        assert!(
            flushed.upto <= self.end_offset,
            "flushed to {}, but the log ends at {}",
            flushed.upto,
            self.end_offset
        );
        self.flushed = self.flushed.max(flushed.upto);
        self.cut = None;
        if let Some(names) = flushed.names {
            self.names.flushed(names);
        }
    }

    /// Ends the log cleanly: what it has beside the batches is written, then everything flushed. After that
    /// [`open_now`](Self::open_now) may trust the files; what is returned may spare it the looking. A log that didn't change since then
    /// costs little. No upkeep may be under way.
    pub async fn close(mut self) -> io::Result<Option<LogLeft>> {
        let _ = self.closing_plan()?.run().await?;
        self.release_files();
        Ok(self.left_now())
    }

    pub(super) fn closing_plan(&mut self) -> io::Result<FlushPlan> {
        self.remove_spare_now()?;
        let mut others = Vec::new();
        for n in self.first_unsettled()..self.segments.len() {
            others.extend(self.finish_files_now(n)?);
        }
        if self.end_offset > self.snapshot_offset {
            self.write_snapshot_now(self.end_offset)?;
            let name = names::offset_file(self.end_offset, names::SNAPSHOT);
            others.push(self.dir.join(name));
        }
        Ok(FlushPlan {
            others,
            ..self.flush_plan()?
        })
    }

    /// Writes what a segment's files have not yet; those that are to be flushed for it.
    fn finish_files_now(&mut self, n: usize) -> io::Result<Vec<PathBuf>> {
        let is_active = n == self.segments.len() - 1;
        let end = match is_active {
            true => None,
            false => Some(self.segments[n + 1].base()),
        };
        let segment = &mut self.segments[n];
        let is_renamed = !segment.is_named();
        segment.name_now()?;
        segment.trim_now()?;
        let is_written = segment.seal_now()? || segment.has_unflushed_indexes();
        let mut others = Vec::new();
        if is_renamed || is_written || !is_active {
            self.names.changed();
            others.extend([names::INDEX, names::TIME_INDEX].map(|kind| segment.path(kind)));
            if segment.has_aborted() {
                others.push(segment.path(names::TXN_INDEX));
            }
        }
        if let (Some(bytes), Some(end)) = (segment.snapshot(), end) {
            let path = self.dir.join(names::offset_file(end, names::SNAPSHOT));
            File::open_now(&path, OpenOptions::read_write_truncate())?.write_at_now(0, &[bytes])?;
            others.push(path);
        }
        Ok(others)
    }

    /// A clean stop leaves no file that Kafka doesn't know.
    fn remove_spare_now(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.spare, SpareState::None) {
            SpareState::Ready(spare) => fs::remove_file_now(&spare.path),
            SpareState::None | SpareState::Making | SpareState::Failed => Ok(()),
        }
    }
}
