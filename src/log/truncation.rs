//! Taking back what a log holds from an offset on (Kafka's `UnifiedLog.truncateTo` and `truncateFullyAndStartAt`): for a follower whose log
//! left its leader's (KIP-101), or ends before the leader's begins.
//!
//! 1. [`Log::begin_truncation`] takes whole segments away, the newest first: a crash at any instant leaves a beginning of the log.
//! 2. [`Truncation::run`] flushes their names. One that came back behind a segment that was cut would be taken for what follows a gap.
//! 3. [`Log::end_truncation`] cuts the segment that holds the offset, and forgets what producers and epochs had behind it.
//! 4. The owner [flushes](Log::flush_plan) and writes the checkpoints before anything is appended: an older recovery point would vouch for
//!    what comes in the place of what was taken back, an older start would hide it.

use std::collections::BTreeSet;
use std::io;

use crate::base::{Offset, Timestamp};
use crate::io::{Planted, fs, is_planted};
use crate::log::epochs::Epochs;
use crate::log::error::{LogError, at};
use crate::log::flush::NamesFlush;
use crate::log::producers::ProducerStates;
use crate::log::removal::Removal;
use crate::log::{Log, names, remember_producer};

/// A truncation that was begun; see the module.
#[derive(Debug)]
#[must_use = "a truncation that was begun is to be ended"]
pub struct Truncation {
    to: Offset,
    /// None where no segment went.
    names: Option<NamesFlush>,
    removal: Removal,
}

/// What a [`Truncation`] has brought to stable storage.
#[derive(Debug)]
#[must_use = "the log is to be told"]
pub struct Truncated {
    to: Offset,
    names: Option<u64>,
}

impl Truncation {
    /// Makes the removal of whole segments durable, and frees their room.
    ///
    /// # Errors
    /// A flush failed: the log directory must go offline.
    pub async fn run(self) -> io::Result<Truncated> {
        let names = match self.names {
            Some(names) => Some(names.run().await?),
            None => None,
        };
        self.removal.run().await;
        Ok(Truncated { to: self.to, names })
    }
}

impl Log {
    /// Begins to take back everything from `to` on. Where nothing readable would be left the log begins anew at `to`, even before its
    /// first segment. Nothing happens to a log that ends there already, but that an epoch which begins behind its end is forgotten.
    ///
    /// Nothing may be appended before the module's last step, and no flush, upkeep or compaction may be under way.
    ///
    /// # Errors
    /// What the directory holds is not known: it must go offline.
    pub fn begin_truncation(&mut self, to: Offset, now: Timestamp) -> io::Result<Truncation> {
        if to <= self.start_offset && to < self.end_offset {
            return self.begin_full_truncation(to, now);
        }
        self.assert_at_rest();
        let mut removal = Removal::default();
        if to < self.end_offset {
            self.remove_segments_behind(self.segment_of(to) + 1, &mut removal)?;
        }
        Ok(Truncation {
            to,
            names: self.begin_names_flush(&removal),
            removal,
        })
    }

    /// Begins to take everything back: the log is empty then, and begins at `at`, which may lie before it or behind it. To be ended as
    /// [`begin_truncation`](Self::begin_truncation).
    ///
    /// # Errors
    /// As [`begin_truncation`](Self::begin_truncation).
    pub fn begin_full_truncation(&mut self, at: Offset, now: Timestamp) -> io::Result<Truncation> {
        self.assert_at_rest();
        let mut removal = Removal::default();
        self.restart_at_now(at, now, &mut removal)?;
        Ok(Truncation {
            to: at,
            names: self.begin_names_flush(&removal),
            removal,
        })
    }

    /// Takes note of what was flushed, and takes back what the last segment still has. A batch that reaches behind the offset goes as a
    /// whole, and the log ends before it (Kafka's then ends in the middle of nothing, and before it after a restart). What of this goes
    /// with the [`Removal`] is of no use to anybody.
    ///
    /// # Errors
    /// What the files hold is not known: the directory must go offline.
    pub fn end_truncation(&mut self, truncated: Truncated, now: Timestamp) -> Result<Removal, LogError> {
        if let Some(names) = truncated.names {
            self.names.flushed(names);
        }
        let mut removal = Removal::default();
        if truncated.to < self.end_offset {
            let cut = self.cut_active_now(truncated.to, now, &mut removal);
            at(&self.dir, cut)?;
            let snapshots = self.take_snapshots_from_now(Offset(self.end_offset.0 + 1), &mut removal);
            self.relearn_producers_now(&at(&self.dir, snapshots)?, now)?;
        }
        self.epochs_unwritten |= self.epochs.truncate_end(self.end_offset);
        self.compaction.forget_behind(self.end_offset);
        Ok(removal)
    }

    pub(super) fn assert_at_rest(&self) {
        assert!(
            !self.is_kept_up && !self.compaction.is_under_way(),
            "a log is at rest before it is truncated or moved"
        );
    }

    fn begin_names_flush(&self, removal: &Removal) -> Option<NamesFlush> {
        match removal.is_empty() {
            true => None,
            false => self.names.begin_flush(&self.dir),
        }
    }

    /// The newest first.
    fn remove_segments_behind(&mut self, kept: usize, removal: &mut Removal) -> io::Result<()> {
        while self.segments.len() > kept {
            let last = self.segments.last_mut().expect("there is one more than are kept");
            last.retire_now(removal)?;
            self.end_offset = self.end_offset.min(last.base());
            self.flushed = self.flushed.min(self.end_offset);
            self.names.changed();
            self.segments.pop();
        }
        if let Some(active) = self.segments.last_mut() {
            active.unsettle();
        }
        Ok(())
    }

    /// Nothing is left but an empty segment.
    fn restart_at_now(&mut self, at: Offset, now: Timestamp, removal: &mut Removal) -> io::Result<()> {
        self.remove_segments_behind(0, removal)?;
        let first = self.create_segment_now(at, now)?;
        self.segments.push(first);
        (self.start_offset, self.end_offset, self.flushed) = (at, at, at);
        self.producers = ProducerStates::default();
        self.cut = None;
        self.snapshot_offset = at;
        self.epochs = Epochs::default();
        self.epochs_unwritten = true;
        self.take_snapshots_from_now(Offset(0), removal).map(drop)
    }

    fn cut_active_now(&mut self, to: Offset, now: Timestamp, removal: &mut Removal) -> io::Result<()> {
        let active = self.segments.last_mut().expect("a log has an active segment");
        let end = active.truncate_now(to)?;
        self.names.changed();
        self.cut = Some(active.base());
        self.flushed = self.flushed.min(active.base());
        self.end_offset = end;
        match end < self.start_offset {
            true => self.restart_at_now(end, now, removal),
            false => Ok(()),
        }
    }

    /// Producer states as of the log's end: of its batches, and of those before them that a snapshot knows.
    fn relearn_producers_now(
        &mut self,
        snapshots: &BTreeSet<Offset>,
        now: Timestamp,
    ) -> Result<(), LogError> {
        if is_planted(Planted::TruncationLeavesProducers) {
            return Ok(());
        }
        let (mut producers, from) = self.newest_snapshot_now(snapshots, self.end_offset, now)?;
        self.replay_segments_now(self.segments.len(), from, |header, batch| {
            if header.base_offset >= from {
                remember_producer(&mut producers, header, batch, now);
            }
        })?;
        self.producers = producers;
        self.snapshot_offset = from;
        Ok(())
    }

    /// Takes the producer snapshots from `from` on away; those that stay.
    fn take_snapshots_from_now(
        &mut self,
        from: Offset,
        removal: &mut Removal,
    ) -> io::Result<BTreeSet<Offset>> {
        let mut snapshots = BTreeSet::new();
        for entry in fs::read_dir_now(&self.dir)? {
            let file = entry.name.to_str().and_then(names::parse_offset_file);
            let Some(file) = file.filter(|file| file.kind == names::SNAPSHOT) else {
                continue;
            };
            if file.offset < from {
                snapshots.insert(file.offset);
                continue;
            }
            removal.take_file_now(&self.dir.join(&entry.name))?;
            self.names.changed();
        }
        Ok(snapshots)
    }
}
