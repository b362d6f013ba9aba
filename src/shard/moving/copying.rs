//! The copy of a log that moves: read in pieces, appended batch by batch, as much a second as may be.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::base::{Instant, Offset, TopicPartition};
use crate::io::{fs, may_pass, now, random_uuid, sleep, wall_now, write_whole};
use crate::log::header::{BatchHeader, BatchProblem};
use crate::log::{AppendError, BatchesRead, Log, ReadError, ReadPlan, moved, names};
use crate::wire::batch::BatchView;

use super::super::Shard;
use super::super::data_dirs::DirIndex;
use super::MoveError;

/// So much is read at once, or one batch that is larger.
const PIECE_BYTES: usize = 1 << 20;

/// How long the system is given to have descriptors again.
const PAUSE: Duration = Duration::from_millis(500);

/// While it waits for its budget it looks so often whether it was stopped, or the budget has changed.
const LOOK: Duration = Duration::from_millis(100);

/// What may be copied in a second, which may change meanwhile.
struct Budget {
    owed_bytes: f64,
    as_of: Instant,
}

impl Budget {
    fn new() -> Budget {
        Budget {
            owed_bytes: 0.0,
            as_of: now(),
        }
    }

    /// How long to wait yet, when `bytes_per_second` may be copied.
    fn wait(&mut self, bytes_per_second: f64) -> Duration {
        let now = now();
        let paid = now.since(self.as_of).as_secs_f64() * bytes_per_second;
        self.as_of = now;
        self.owed_bytes = (self.owed_bytes - paid).max(0.0);
        let secs = self.owed_bytes / bytes_per_second.max(f64::MIN_POSITIVE);
        Duration::from_secs_f64(secs.min(LOOK.as_secs_f64()))
    }
}

impl Shard {
    /// Begins the copy; returns in which directory the partition lies.
    pub(super) async fn begin_copy(
        self: &Rc<Self>,
        partition: TopicPartition,
        to: DirIndex,
    ) -> Result<DirIndex, MoveError> {
        self.stop_compacting(partition).await;
        let (from, source, start, first) = {
            let owned = self.owned.borrow();
            let replica = owned.get(partition).ok_or(MoveError::Stopped)?;
            let from = self.dir_here(replica).ok_or(MoveError::Stopped)?;
            let start = replica.log().start_offset();
            let first = replica.read_to_copy(start, 1).map_err(read_error)?;
            (from, replica.log().dir().to_path_buf(), start, first)
        };
        // A start that finds the partition twice must find only the copy marked.
        moved::unmark_copy(&source).await.map_err(MoveError::Source)?;
        let base = Self::first_base(start, first).await?;
        let place = self.place_in(to, partition).ok_or(MoveError::Stopped)?;
        let name = place.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| names::future_partition_dir(name, random_uuid()));
        let dir = place.with_file_name(name.ok_or(MoveError::Stopped)?);
        self.until_it_can(partition, || fs::create_dir(&dir)).await?;
        self.moving.update(|of| of.copy_dir = Some(dir.clone()));
        let copy = {
            let owned = self.owned.borrow();
            let replica = owned.get(partition).ok_or(MoveError::Stopped)?;
            replica
                .log()
                .begin_copy_now(&dir, partition.topic, base, wall_now())
                .map_err(MoveError::Copy)?
        };
        let begun_with = copy.begun_with();
        self.moving.update(|of| of.copy = Some(copy));
        if let Some((path, producers)) = begun_with {
            self.until_it_can(partition, || write_whole(&path, producers.clone()))
                .await?;
        }
        Ok(from)
    }

    /// Where the copy of a log begins that starts at `start` and reads so from there on: that may lie inside a batch, or before the first that
    /// compaction has left.
    async fn first_base(start: Offset, first: ReadPlan) -> Result<Offset, MoveError> {
        let first = first.run_with_place().await.map_err(MoveError::Source)?;
        if first.bytes.is_empty() {
            return Ok(start);
        }
        let header = BatchHeader::parse(&first.bytes).map_err(|problem| bad_batch(&first, 0, problem))?;
        Ok(header.base_offset.min(start))
    }

    /// Copies until the copy ends where the log does, for a moment at least.
    pub(super) async fn copy_all(self: &Rc<Self>, partition: TopicPartition) -> Result<(), MoveError> {
        let mut budget = Budget::new();
        while let Some(plan) = self.next_piece(partition, PIECE_BYTES)? {
            let read = plan.run_with_place().await.map_err(MoveError::Source)?;
            if read.bytes.is_empty() {
                return Err(self.why_nothing(partition));
            }
            self.spend(partition, &mut budget, read.bytes.len()).await?;
            self.append_piece(partition, &read).await?;
            self.keep_copy_up(partition).await?;
        }
        Ok(())
    }

    /// What is to be copied next, if anything.
    pub(super) fn next_piece(
        &self,
        partition: TopicPartition,
        bytes_max: usize,
    ) -> Result<Option<ReadPlan>, MoveError> {
        self.moving.check_wanted()?;
        let owned = self.owned.borrow();
        let replica = owned.get(partition).filter(|replica| !replica.is_offline());
        let replica = replica.ok_or(MoveError::Stopped)?;
        let end = self.moving.with_copy(partition, |_, copy| copy.end_offset());
        let end = end.ok_or(MoveError::Stopped)?;
        // What was deleted meanwhile is left out.
        let from = end.max(replica.log().start_offset());
        match end == replica.log().end_offset() {
            true => Ok(None),
            false => replica
                .read_to_copy(from, bytes_max)
                .map(Some)
                .map_err(read_error),
        }
    }

    /// Why there is nothing to be copied though the log ends behind the copy.
    fn why_nothing(&self, partition: TopicPartition) -> MoveError {
        let end = self.moving.with_copy(partition, |_, copy| copy.end_offset());
        let owned = self.owned.borrow();
        let Some((replica, end)) = owned.get(partition).zip(end) else {
            return MoveError::Stopped;
        };
        match end < replica.log().start_offset() {
            true => MoveError::Overtaken,
            false => MoveError::NothingAt(replica.log().dir().to_path_buf(), end),
        }
    }

    async fn append_piece(&self, partition: TopicPartition, read: &BatchesRead) -> Result<(), MoveError> {
        let pace = self.moving.pace();
        let mut at = 0;
        while at < read.bytes.len() {
            self.moving.check_wanted()?;
            match self.append_to_copy(partition, read, at) {
                Ok(appended) => at += appended,
                Err(MoveError::Target(error)) if may_pass_soon(&error) => {
                    self.pause(partition, &error).await?
                }
                Err(error) => return Err(error),
            }
            pace.turn().await;
        }
        Ok(())
    }

    /// Appends the batch that begins at byte `at` of what was read; how many bytes it has.
    pub(super) fn append_to_copy(
        &self,
        partition: TopicPartition,
        read: &BatchesRead,
        at: usize,
    ) -> Result<usize, MoveError> {
        let bad = |problem| bad_batch(read, at, problem);
        let batch = BatchView::first(&read.bytes[at..]).map_err(|_| bad(BatchProblem::Torn))?;
        if !batch.crc_is_valid() {
            return Err(bad(BatchProblem::Crc));
        }
        let batch = batch.bytes();
        let append = |_, copy: &mut Log| {
            // It was within `segment.bytes` when it came.
            let bytes_max = &mut copy.options_mut().segment_bytes;
            *bytes_max = u32::try_from(batch.len()).unwrap_or(u32::MAX).max(*bytes_max);
            copy.append(batch, wall_now())
        };
        match self
            .moving
            .with_copy(partition, append)
            .ok_or(MoveError::Stopped)?
        {
            Ok(_) => Ok(batch.len()),
            Err(AppendError::Disk(error)) => Err(MoveError::Target(error)),
            Err(AppendError::Malformed(problem)) => Err(bad(problem)),
            Err(AppendError::OffsetInPast { .. } | AppendError::LargerThanSegment { .. }) => {
                Err(bad(BatchProblem::Offsets))
            }
        }
    }

    /// What the copy's files need besides: as every log's.
    pub(super) async fn keep_copy_up(&self, partition: TopicPartition) -> Result<(), MoveError> {
        loop {
            self.moving.check_wanted()?;
            let begun = self.moving.with_copy(partition, |_, copy| copy.begin_upkeep());
            let outcome = match begun.ok_or(MoveError::Stopped)? {
                Ok(None) => return Ok(()),
                Ok(Some(upkeep)) => upkeep.run().await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(upkept) => {
                    _ = self
                        .moving
                        .with_copy(partition, |_, copy| copy.end_upkeep(upkept))
                }
                Err(error) => {
                    self.moving.with_copy(partition, |_, copy| copy.give_upkeep_up());
                    match may_pass_soon(&error) {
                        true => self.pause(partition, &error).await?,
                        false => return Err(MoveError::Target(error)),
                    }
                }
            }
        }
    }

    /// Brings all of the copy to stable storage.
    pub(super) async fn flush_copy(&self, partition: TopicPartition) -> Result<(), MoveError> {
        let plan = self.moving.with_copy(partition, |_, copy| copy.flush_plan());
        let plan = plan.ok_or(MoveError::Stopped)?.map_err(MoveError::Target)?;
        let flushed = plan.run().await.map_err(MoveError::Target)?;
        self.moving.with_copy(partition, |_, copy| copy.flushed(flushed));
        Ok(())
    }

    /// Waits until `bytes` more may be copied. While the log is at rest nothing waits: durable appends wait for the switch.
    async fn spend(
        &self,
        partition: TopicPartition,
        budget: &mut Budget,
        bytes: usize,
    ) -> Result<(), MoveError> {
        budget.owed_bytes += bytes as f64;
        while !self.moving.is_switching(partition)
            && let Some(bytes_per_second) = self.config().move_bytes_per_second()
        {
            self.moving.check_wanted()?;
            let of_core = bytes_per_second as f64 / f64::from(self.node.cores);
            match budget.wait(of_core) {
                Duration::ZERO => break,
                wait => sleep(wait).await,
            }
        }
        Ok(())
    }

    /// Does what the copy's directory needs, again and again until the system can.
    async fn until_it_can<Fut: Future<Output = io::Result<()>>>(
        &self,
        partition: TopicPartition,
        work: impl Fn() -> Fut,
    ) -> Result<(), MoveError> {
        loop {
            match work().await {
                Err(error) if may_pass_soon(&error) => self.pause(partition, &error).await?,
                done => return done.map_err(MoveError::Target),
            }
        }
    }

    async fn pause(&self, partition: TopicPartition, error: &io::Error) -> Result<(), MoveError> {
        tracing::warn!("{partition}: its move waits: {error}");
        sleep(PAUSE).await;
        self.moving.check_wanted()
    }
}

fn bad_batch(read: &BatchesRead, at: usize, problem: BatchProblem) -> MoveError {
    MoveError::BadBatch {
        path: read.path.clone(),
        position: read.position + at as u64,
        problem,
    }
}

/// Whether it is worth a wait. A full disk is not: what the copy takes of it is missing to the partitions that lie there.
fn may_pass_soon(error: &io::Error) -> bool {
    let is_full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    may_pass(error) && !is_full
}

fn read_error(error: ReadError) -> MoveError {
    match error {
        ReadError::OutOfRange { .. } => MoveError::Overtaken,
        ReadError::Disk(error) => MoveError::Source(error),
    }
}
