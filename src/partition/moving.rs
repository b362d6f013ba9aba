//! A replica whose log moves to another log directory while it is served (KIP-113).

use std::io;
use std::path::Path;

use crate::base::Offset;
use crate::log::{Log, ReadError, ReadLimits, ReadPlan, Removal};

use super::Partition;

impl Partition {
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

    /// Goes on with `copy`, which [has everything](Log::has_all_of) and gets the name `place`. Who reads or waits notices nothing. The old
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
