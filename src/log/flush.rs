//! Making a log durable: what to flush, decided at once; the flushing itself waits without a borrow of the log.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::base::Offset;
use crate::io::fs::File;
use crate::io::{OpenOptions, is_out_of_resources, sleep};
use crate::log::index::Place;
use crate::log::{Log, names};

/// How often, and how long in between, a descriptor is waited for: ten seconds.
const OPEN_WAITS: u32 = 200;
const OPEN_WAIT: Duration = Duration::from_millis(50);

/// What must reach stable storage so that the log is safe up to an offset.
#[derive(Debug)]
pub struct FlushPlan {
    /// The active segment's batches: the file that is open anyway.
    active: Option<File>,
    /// Files that are opened only to be flushed; deleted ones don't matter.
    others: Vec<PathBuf>,
    /// The log's directory, if names in it changed.
    dir: Option<Rc<Path>>,
    upto: Offset,
}

impl FlushPlan {
    /// Flushes, names last; returns what to tell [`Log::flushed`]. After an error nothing is known of what was to be
    /// flushed: the log directory must go offline.
    pub async fn run(self) -> io::Result<Offset> {
        if let Some(file) = &self.active {
            file.sync_data().await?;
        }
        for path in &self.others {
            match open_patiently(path).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => opened?.sync_data().await?,
            }
        }
        if let Some(dir) = &self.dir {
            open_patiently(dir).await?.sync_all().await?;
            // The directory itself may be new.
            if let Some(parent) = dir.parent() {
                open_patiently(parent).await?.sync_all().await?;
            }
        }
        Ok(self.upto)
    }

    /// What [`run`](Self::run) will return.
    pub fn upto(&self) -> Offset {
        self.upto
    }

    /// Whether everything was durable already.
    pub fn is_empty(&self) -> bool {
        self.active.is_none() && self.others.is_empty() && self.dir.is_none()
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
        self.active().hold_files_now()
    }

    /// What to flush so that everything up to the present end is durable: batches that were appended since the last
    /// flush; of sealed segments also the indexes and the producer snapshot; new names.
    pub fn flush_plan(&mut self) -> io::Result<FlushPlan> {
        self.write_epochs_now()?;
        let mut plan = FlushPlan {
            active: None,
            others: Vec::new(),
            dir: None,
            upto: self.end_offset,
        };
        if self.recovery_point < self.end_offset {
            let first = self.segment_of(self.recovery_point);
            let sealed = self.segments.len() - 1;
            for segment in &self.segments[first..sealed] {
                plan.others
                    .extend([names::LOG, names::INDEX, names::TIME_INDEX].map(|kind| segment.path(kind)));
            }
            for segment in &self.segments[(first + 1).min(sealed)..] {
                plan.others.push(segment.path(names::SNAPSHOT));
            }
            plan.active = Some(self.active().file_now()?);
        }
        if std::mem::take(&mut self.names_unflushed) {
            plan.others
                .extend([names::LEADER_EPOCHS, names::PARTITION_METADATA].map(|name| self.dir.join(name)));
            plan.dir = Some(self.dir.clone());
        }
        Ok(plan)
    }

    /// Notes that a [`FlushPlan`] has run and returned `upto`.
    pub fn flushed(&mut self, upto: Offset) {
        assert!(
            upto <= self.end_offset,
            "flushed to {upto}, but the log ends at {}",
            self.end_offset
        );
        self.recovery_point = self.recovery_point.max(upto);
    }

    /// Ends the log cleanly: what it has beside the batches is written, then everything flushed. After that
    /// [`open_now`](Self::open_now) may trust the files. A log that didn't change since then costs nothing.
    pub async fn close(mut self) -> io::Result<()> {
        self.closing_plan()?.run().await.map(|_| ())
    }

    pub(super) fn closing_plan(&mut self) -> io::Result<FlushPlan> {
        let changed = self.end_offset > self.snapshot_offset;
        if changed {
            self.write_snapshot_now(self.end_offset)?;
        }
        let active = self.segments.last_mut().expect("a log has an active segment");
        let sealed = active.seal_now()?;
        let mut plan = self.flush_plan()?;
        let place = Place {
            dir: self.dir.clone(),
            base: self.active().base(),
        };
        if changed {
            plan.others.push(
                self.dir
                    .join(names::offset_file(self.end_offset, names::SNAPSHOT)),
            );
        }
        if changed || sealed || plan.active.is_some() {
            plan.others
                .extend([names::INDEX, names::TIME_INDEX].map(|kind| place.path(kind)));
        }
        Ok(plan)
    }
}
