//! How often a core looks after its logs, and what compaction may take.

use std::time::Duration;

use super::Config;

impl Config {
    /// `ringlog.open.files.max`, if it is set.
    pub fn open_files_max(&self) -> Option<usize> {
        let files_max = self.value("ringlog.open.files.max")?;
        files_max.parse().ok()
    }

    /// `log.retention.check.interval.ms`.
    pub fn retention_check_interval(&self) -> Duration {
        Duration::from_millis(self.number("log.retention.check.interval.ms") as u64)
    }

    /// `log.flush.offset.checkpoint.interval.ms`; never quite nothing.
    pub fn checkpoint_interval(&self) -> Duration {
        Duration::from_millis(self.number("log.flush.offset.checkpoint.interval.ms").max(1) as u64)
    }

    /// `log.flush.scheduler.interval.ms`; none for never, which it is by default.
    pub fn flush_scheduler_interval(&self) -> Option<Duration> {
        match self.number("log.flush.scheduler.interval.ms") {
            i64::MAX => None,
            millis => Some(Duration::from_millis(millis.max(1) as u64)),
        }
    }

    /// `log.cleaner.backoff.ms`.
    pub fn cleaner_backoff(&self) -> Duration {
        Duration::from_millis(self.number("log.cleaner.backoff.ms") as u64)
    }

    /// `log.cleaner.dedupe.buffer.size`, of all cores together.
    pub fn cleaner_dedupe_bytes(&self) -> usize {
        usize::try_from(self.number("log.cleaner.dedupe.buffer.size")).unwrap_or(0)
    }

    /// `log.cleaner.io.buffer.load.factor`.
    pub fn cleaner_load_factor(&self) -> f64 {
        self.fraction("log.cleaner.io.buffer.load.factor")
    }

    /// `replica.alter.log.dirs.io.max.bytes.per.second`, of all cores together; none where there is no limit.
    pub fn move_bytes_per_second(&self) -> Option<u64> {
        let bytes = self.number("replica.alter.log.dirs.io.max.bytes.per.second");
        u64::try_from(bytes).ok().filter(|_| bytes < i64::MAX)
    }

    /// `log.cleaner.io.max.bytes.per.second`, of all cores together.
    pub fn cleaner_bytes_per_second(&self) -> f64 {
        self.fraction("log.cleaner.io.max.bytes.per.second")
    }

    fn fraction(&self, name: &str) -> f64 {
        self.text(name)
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number by its check"))
    }
}
