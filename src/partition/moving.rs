//! A replica whose log moves to another log directory while it is served (KIP-113).

use std::io;
use std::path::Path;

use crate::base::{Offset, Timestamp, TopicId};
use crate::log::{Log, LogError, ReadError, ReadLimits, ReadPlan, Removal};

use super::Partition;

impl Partition {
    /// An empty copy of the log, in the new directory `dir`; see [`Log::begin_copy_now`].
    ///
    /// # Errors
    /// The directory is of no use.
    pub fn begin_copy_now(
        &self,
        dir: &Path,
        topic: TopicId,
        base: Offset,
        now: Timestamp,
    ) -> Result<Log, LogError> {
        self.log.begin_copy_now(dir, topic, base, now)
    }

    /// The batches from `from` on, committed or not: at most `bytes_max` of them, but one.
    ///
    /// # Errors
    /// The log begins behind `from` by now, or can't be read.
    pub fn read_to_copy(&self, from: Offset, bytes_max: usize) -> Result<ReadPlan, ReadError> {
        let limits = ReadLimits {
            bytes_max,
            upper: self.log.end_offset(),
            at_least_one: true,
        };
        self.log.read(from, limits)
    }

    /// Whether `copy` has all that the log has, and on stable storage what is there of the log.
    pub fn is_copied_to(&self, copy: &Log) -> bool {
        copy.end_offset() == self.log.end_offset() && copy.flushed_end() >= self.log.flushed_end()
    }

    /// Goes on with `copy`, which [has everything](Self::is_copied_to) and gets the name `place`. Who reads or waits notices nothing. The old
    /// directory goes with the [`Removal`] inside, or can't be renamed. Nothing of either log's files may be under way, but reads and
    /// flushes: a flush of the old log counts for nothing any more.
    ///
    /// # Errors
    /// The copy did not get its name, and goes with this; the partition is as before.
    pub fn go_on_with(
        &mut self,
        mut copy: Log,
        place: &Path,
        unique: [u8; 16],
    ) -> io::Result<io::Result<Removal>> {
        let removal = copy.take_place_of_now(&self.log, place, unique)?;
        self.log = copy;
        self.logs += 1;
        Ok(removal.map(|removal| removal.after(self.config.file_delete_delay)))
    }

    /// How many logs it has gone on with: what was begun with one must not be ended with another.
    pub fn log_number(&self) -> u32 {
        self.logs
    }

    /// Whether a flush has failed, so that nothing is written any more.
    pub fn is_offline(&self) -> bool {
        self.is_offline
    }
}
