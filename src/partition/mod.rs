//! One replica of a partition on the core that owns it: what an append and a read do, and in which order.
//!
//! A partition is plain data of its core. An append is one synchronous step, from the checks to the watches it
//! wakes: nothing of this partition happens in between. Reads that miss the tail come back as a plan for
//! `shard` to run; nothing here waits.

mod interest;
mod moving;
mod refusal;
mod rules;
mod tail;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::config::{RinglogAck, TimestampType, TopicConfig};
use crate::io::{Planted, is_planted, may_pass};
use crate::log::clean_start::LogLeft;
use crate::log::compaction::{Compacted, CompactionRules, Dirt, Round};
use crate::log::header::BatchHeader;
use crate::log::producers::Sequence;
use crate::log::{
    self, AbortedPlan, FlushPlan, Flushed, Log, LogOptions, ReadLimits, ReadPlan, Removal, Upkeep, Upkept,
};
use crate::wire::ErrorCode;
use crate::wire::batch::{self, Arrived};

pub use interest::{Interest, Interests};
pub use refusal::{AppendError, ReadError, Refusal};
pub use rules::{recoding, rules};
pub use tail::{Tail, end_of};
pub use watch::{Watch, WatchGuard, Watches};

/// A leader replica: its log, its tail, and who waits for more.
pub struct Partition {
    log: Log,
    /// How many others it had before.
    logs: u32,
    tail: Tail,
    watches: Watches,
    interests: Interests,
    leader_epoch: LeaderEpoch,
    config: Rc<TopicConfig>,
    /// Readers see what lies before it, and only that is acknowledged: the log's end, or what of it is durable.
    committed: Offset,
    /// Batches behind it.
    uncommitted: VecDeque<Uncommitted>,
    /// The first offset of what an open transaction may still take back, of the log up to `committed`.
    stable_end: Offset,
    /// When the last flush ended, by the clock.
    last_flush: Timestamp,
    /// A flush failed: what the disk holds is not known, and nothing more is written.
    is_offline: bool,
}

/// A batch that is written and doesn't count yet.
struct Uncommitted {
    /// Where it ends.
    end: Offset,
    size_bytes: u64,
    /// The log's [`stable_end`](Log::stable_end) when it ended with this batch: a marker behind it doesn't count before it is
    /// committed itself.
    stable_end: Offset,
}

/// What an append came to; also for a batch that had been appended before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the batch's first record.
    pub base_offset: Offset,
    /// The broker's time in the batch, or [`Timestamp::NONE`] where the producer's own times stand.
    pub append_time: Timestamp,
    /// The log's first offset.
    pub start_offset: Offset,
    /// Bytes now in the tail because of it; 0 for a duplicate.
    pub tail_bytes: usize,
    /// Counts only once the log is committed up to here; none where it counts already.
    pub after: Option<Offset>,
    /// Its files are due for [upkeep](Partition::begin_upkeep).
    pub needs_upkeep: bool,
}

/// What a reader asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ReadRange {
    /// The first offset wanted.
    pub offset: Offset,
    /// Bytes of batches wanted at most.
    pub bytes_max: usize,
    /// Whether the first batch comes whatever its size (KIP-74).
    pub at_least_one: bool,
    /// The leader epoch that the reader knows (KIP-320); none if it is negative, like [`LeaderEpoch::NONE`].
    pub current_epoch: LeaderEpoch,
    /// The epoch of the last record that the reader has, or [`LeaderEpoch::NONE`] (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
}

/// The state of a log that goes with every read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The end of what consumers may see.
    pub high_watermark: Offset,
    /// The end of what `read_committed` consumers may see.
    pub last_stable_offset: Offset,
    /// The log's first offset.
    pub start_offset: Offset,
}

/// What a reader may see (`isolation_level`, KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything up to the high watermark.
    ReadUncommitted,
    /// What no open transaction may still take back.
    ReadCommitted,
}

/// Where the bytes of a read are; and, for a `read_committed` reader, where the transactions among them are named that were
/// aborted.
pub enum Found {
    /// In memory: whole batches, possibly none.
    Here(Vec<Bytes>, AbortedPlan),
    /// On disk: run the plan.
    OnDisk(ReadPlan, AbortedPlan),
    /// Nowhere: the reader's log left ours at this epoch and end offset, and must be cut (KIP-595).
    Diverging(LeaderEpoch, Offset),
}

impl Isolation {
    /// The level of that number, if there is one.
    pub fn of(level: i8) -> Option<Isolation> {
        match level {
            0 => Some(Isolation::ReadUncommitted),
            1 => Some(Isolation::ReadCommitted),
            _ => None,
        }
    }
}

impl Marks {
    /// The end of what such a reader may see.
    pub fn visible_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark,
            Isolation::ReadCommitted => self.last_stable_offset,
        }
    }
}

impl Partition {
    /// A leader replica over an opened log.
    pub fn new(
        mut log: Log,
        leader_epoch: LeaderEpoch,
        config: Rc<TopicConfig>,
        now: Timestamp,
    ) -> Partition {
        log.begin_epoch(leader_epoch);
        let committed = match config.ringlog_ack {
            RinglogAck::Written => log.end_offset(),
            // After a crash the log may hold what was never flushed, and would be gone after the next one.
            RinglogAck::Durable => log.flushed_end(),
        };
        Partition {
            committed,
            uncommitted: VecDeque::new(),
            last_flush: now,
            stable_end: match committed < log.end_offset() {
                // Nothing is known of the log as it was there; the flush that comes first tells.
                true => log.start_offset(),
                false => log.stable_end(),
            },
            is_offline: false,
            log,
            logs: 0,
            tail: Tail::default(),
            watches: Watches::default(),
            interests: Interests::default(),
            leader_epoch,
            config,
        }
    }

    /// Appends one partition's records of a produce request: exactly one batch, as it arrived.
    ///
    /// # Errors
    /// Anything but [`AppendError::Disk`] is the producer's: the log is as before. After a disk error it is as
    /// before too, and may refuse further writes.
    pub fn append(&mut self, batch: Arrived, now: Timestamp) -> Result<Appended, AppendError> {
        if self.is_offline {
            return Err(AppendError::Offline);
        }
        let view = batch.check(&rules(&self.config, now))?;
        let size_bytes = view.size_bytes();
        if let Some(earlier) = self.earlier(view.bytes())? {
            return Ok(earlier);
        }
        let base_offset = self.log.end_offset();
        let latest = view.latest_timestamp();
        let mut records = batch.into_records();
        batch::set_base_offset(&mut records, base_offset);
        batch::set_leader_epoch(&mut records, self.leader_epoch);
        match self.config.timestamp_type {
            TimestampType::LogAppendTime => batch::set_log_append_time(&mut records, now),
            // Kafka corrects a header that names another latest time than its records have, or says that the broker set them.
            TimestampType::CreateTime => batch::set_create_time(&mut records, latest),
        }
        let end = self.write(records.freeze(), now)?;
        Ok(Appended {
            base_offset,
            append_time: self.append_time(now),
            start_offset: self.log.start_offset(),
            tail_bytes: size_bytes,
            after: self.not_yet(end),
            needs_upkeep: self.log.needs_upkeep(),
        })
    }

    /// Puts a batch that is as it must stand in the log behind the others; where it ends.
    fn write(&mut self, batch: Bytes, now: Timestamp) -> Result<Offset, log::AppendError> {
        let size_bytes = batch.len() as u64;
        let is_all_committed = self.committed == self.log.end_offset();
        let appended = self.log.append(&batch, now)?;
        self.tail.push(appended.base_offset, appended.last_offset, batch);
        let end = self.log.end_offset();
        self.uncommitted.push_back(Uncommitted {
            end,
            size_bytes,
            stable_end: self.log.stable_end(),
        });
        // Behind a batch that waits for a flush all others wait too.
        if is_all_committed && !self.must_flush(end) {
            self.commit(end);
        }
        Ok(end)
    }

    /// Whether what ends at `end` counts only once it is flushed (`ringlog.ack`, `flush.messages`).
    fn must_flush(&self, end: Offset) -> bool {
        let unflushed = end.0 - self.log.flushed_end().0;
        self.config.ringlog_ack == RinglogAck::Durable || unflushed >= self.config.flush_messages
    }

    /// `end`, unless the log is committed so far.
    fn not_yet(&self, end: Offset) -> Option<Offset> {
        (end > self.committed).then_some(end)
    }

    /// Lets readers see everything before `end`, and wakes those who wait for it.
    fn commit(&mut self, end: Offset) {
        let is_held_back = self.stable_end < self.committed;
        let stable_before = self.stable_end;
        self.committed = self.committed.max(end);
        self.interests.fire();
        let mut bytes = 0;
        while let Some(batch) = self.uncommitted.pop_front_if(|batch| batch.end <= self.committed) {
            bytes += batch.size_bytes;
            self.stable_end = batch.stable_end;
        }
        if self.committed == self.log.end_offset() {
            self.stable_end = self.log.stable_end();
        }
        self.watches.appended(bytes);
        if is_held_back && self.stable_end > stable_before {
            // A transaction has ended: more can be read than was appended now.
            self.watches.fire_all();
        }
    }

    /// What of the log is not committed yet, if anything: it has to be flushed up to here.
    pub fn uncommitted_end(&self) -> Option<Offset> {
        self.not_yet(self.log.end_offset()).filter(|_| !self.is_offline)
    }

    /// Readers see what lies before it.
    pub fn committed(&self) -> Offset {
        self.committed
    }

    /// What to flush so that everything written is committed.
    pub fn flush_plan(&mut self) -> io::Result<FlushPlan> {
        self.log.flush_plan()
    }

    /// A flush has run. Behind one that failed it counts for nothing: the system may say that all is well and have given up what that one
    /// was to flush.
    pub fn flushed(&mut self, flushed: Flushed, now: Timestamp) {
        if self.is_offline {
            return;
        }
        self.log.flushed(flushed);
        self.last_flush = now;
        let end = self.log.end_offset();
        let committed = match self.must_flush(end) {
            true => flushed.upto(),
            false => end,
        };
        self.commit(committed);
    }

    /// Up to where the log is to be flushed because some of it has not been for `flush.ms`; none if that is not so.
    pub fn overdue_flush(&self, now: Timestamp) -> Option<Offset> {
        let end = self.log.end_offset();
        let age_ms = now.0.saturating_sub(self.last_flush.0);
        let is_due = !self.is_offline && self.log.flushed_end() < end && age_ms >= self.config.flush_ms;
        is_due.then_some(end)
    }

    /// Whether there is [upkeep](Log::begin_upkeep) to be done.
    pub fn needs_upkeep(&self) -> bool {
        !self.is_offline && self.log.needs_upkeep()
    }

    /// What the log's files need now; see [`Log::begin_upkeep`].
    ///
    /// # Errors
    /// Nothing was begun.
    pub fn begin_upkeep(&mut self) -> io::Result<Option<Upkeep>> {
        match self.is_offline {
            true => Ok(None),
            false => self.log.begin_upkeep(),
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// That of the upkeep. From here on nothing more is written, unless the error may pass: then it is to be tried again.
    pub fn end_upkeep(&mut self, outcome: io::Result<Upkept>) -> io::Result<()> {
        match outcome {
            Ok(_) if self.is_offline => self.log.give_upkeep_up(),
            Ok(upkept) => self.log.end_upkeep(upkept),
            Err(error) => {
                self.log.give_upkeep_up();
                if !may_pass(&error) {
                    self.go_offline();
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// A flush has failed: from here on nothing is written, and nothing more is acknowledged.
    pub fn go_offline(&mut self) {
        self.is_offline = true;
        self.wake_all();
    }

    /// Something that no reader could wait for by bytes has changed.
    fn wake_all(&mut self) {
        self.watches.fire_all();
        self.interests.fire();
    }

    /// What this batch came to when it was appended before, if it was; else whether it is the producer's next.
    fn earlier(&self, records: &[u8]) -> Result<Option<Appended>, AppendError> {
        let header = BatchHeader::parse(records).map_err(log::AppendError::Malformed)?;
        let Some(produced) = header.produced() else {
            return Ok(None);
        };
        Ok(match self.log.check_producer(&produced)? {
            Sequence::New => None,
            Sequence::Duplicate(earlier) => Some(Appended {
                base_offset: earlier.base_offset,
                // Kafka names the time of a batch that it recognises, whoever set it.
                append_time: earlier.timestamp,
                start_offset: self.log.start_offset(),
                tail_bytes: 0,
                after: self.not_yet(Offset(earlier.last_offset.0 + 1)),
                needs_upkeep: false,
            }),
        })
    }

    /// The time to report for an append at `now`: none where the producer's own times stand.
    fn append_time(&self, now: Timestamp) -> Timestamp {
        match self.config.timestamp_type {
            TimestampType::LogAppendTime => now,
            TimestampType::CreateTime => Timestamp::NONE,
        }
    }

    /// Where the whole batches from `range.offset` on are.
    ///
    /// # Errors
    /// A leader epoch that is not ours, or an offset outside the log.
    pub fn read(&self, range: &ReadRange, isolation: Isolation) -> Result<Found, ReadError> {
        self.check_epoch(range.current_epoch)?;
        if let Some(diverging) = self.diverging(range)? {
            return Ok(diverging);
        }
        if range.offset < self.log.start_offset() || range.offset > self.log.end_offset() {
            return Err(ReadError::OffsetOutOfRange);
        }
        let shown = self.shown(isolation);
        if range.offset >= shown {
            return Ok(Found::Here(Vec::new(), AbortedPlan::empty()));
        }
        let from_tail = self
            .tail
            .read(range.offset, shown, range.bytes_max, range.at_least_one);
        if let Some(segments) = from_tail {
            let aborted = self.aborted(range.offset, tail::end_of(&segments), isolation);
            return Ok(Found::Here(segments, aborted));
        }
        let limits = ReadLimits {
            bytes_max: range.bytes_max,
            upper: shown,
            at_least_one: range.at_least_one,
        };
        let plan = self.log.read(range.offset, limits)?;
        let aborted = self.aborted(range.offset, Some(plan.end_max()), isolation);
        Ok(Found::OnDisk(plan, aborted))
    }

    /// Where the log ends for readers.
    fn shown(&self, isolation: Isolation) -> Offset {
        match is_planted(Planted::UnflushedShown) {
            true => self.log.end_offset(),
            false => self.marks().visible_end(isolation),
        }
    }

    /// Where the aborted transactions among what was read are named; `end` is none where nothing was.
    fn aborted(&self, from: Offset, end: Option<Offset>, isolation: Isolation) -> AbortedPlan {
        match (end, isolation) {
            (Some(end), Isolation::ReadCommitted) => self.log.aborted_transactions(from, end),
            _ => AbortedPlan::empty(),
        }
    }

    /// Where the reader's log left ours, if it did (KIP-595).
    fn diverging(&self, range: &ReadRange) -> Result<Option<Found>, ReadError> {
        if range.last_fetched_epoch < LeaderEpoch(0) {
            return Ok(None);
        }
        let Some(ours) = self.log.epoch_end_offset(range.last_fetched_epoch) else {
            return Err(ReadError::OffsetOutOfRange);
        };
        let left = ours.epoch < range.last_fetched_epoch || ours.end < range.offset;
        Ok(left.then_some(Found::Diverging(ours.epoch, ours.end)))
    }

    /// Refuses a reader that knows another leader epoch than ours (KIP-320).
    pub fn check_epoch(&self, current_epoch: LeaderEpoch) -> Result<(), ReadError> {
        match current_epoch {
            epoch if epoch < LeaderEpoch(0) => Ok(()),
            epoch if epoch < self.leader_epoch => Err(ReadError::FencedLeaderEpoch),
            epoch if epoch > self.leader_epoch => Err(ReadError::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// The log's marks, while there is one replica.
    pub fn marks(&self) -> Marks {
        let start_offset = self.log.start_offset();
        Marks {
            high_watermark: self.committed,
            // An open transaction's first records may have been deleted.
            last_stable_offset: self.stable_end.max(start_offset).min(self.committed),
            start_offset,
        }
    }

    /// This leader's epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The log, for look-ups that only read.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Registers a parked read.
    pub fn watch(&mut self, watch: Rc<Watch>) {
        self.watches.add(watch);
    }

    /// The fetch sessions that found nothing here.
    pub fn interests_mut(&mut self) -> &mut Interests {
        &mut self.interests
    }

    /// Gives up the oldest batch of the tail and returns its size.
    pub fn shrink_tail(&mut self) -> Option<usize> {
        self.tail.pop_oldest()
    }

    /// Takes over changed topic configs or a new leader epoch.
    pub fn update(&mut self, leader_epoch: LeaderEpoch, config: Rc<TopicConfig>, options: LogOptions) {
        assert!(
            leader_epoch >= self.leader_epoch,
            "a leader epoch never goes back"
        );
        if leader_epoch > self.leader_epoch {
            self.leader_epoch = leader_epoch;
            self.log.begin_epoch(leader_epoch);
            self.wake_all();
        }
        self.config = config;
        if self.config.ringlog_ack == RinglogAck::Written {
            self.commit(self.log.end_offset());
        }
        *self.log.options_mut() = options;
    }

    /// Moves the log's start up to `before`, [`Offset::UNKNOWN`] for the high watermark; never back. Where it starts then.
    ///
    /// # Errors
    /// POLICY_VIOLATION where records are only compacted, OFFSET_OUT_OF_RANGE behind the high watermark.
    pub fn delete_records(&mut self, before: Offset) -> Result<Offset, Refusal> {
        if self.is_offline {
            return Err(ErrorCode::KAFKA_STORAGE_ERROR.into());
        }
        if !self.config.cleanup_policy.delete {
            return Err(ErrorCode::POLICY_VIOLATION.into());
        }
        let before = match before {
            Offset::UNKNOWN => self.committed,
            named => named,
        };
        if before < Offset(0) || before > self.committed {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE.into());
        }
        if before > self.log.start_offset() {
            self.log.delete_records_before(before);
            self.wake_all();
        }
        Ok(self.log.start_offset())
    }

    /// Removes whole segments that retention no longer keeps.
    pub fn apply_retention(&mut self, now: Timestamp) -> io::Result<Removal> {
        let (start_offset, end_offset) = (self.log.start_offset(), self.log.end_offset());
        let removal = self.log.delete_old_segments_now(now, end_offset)?;
        if self.log.start_offset() > start_offset {
            self.interests.fire();
        }
        self.log.remove_expired_producers(now);
        Ok(removal.after(self.config.file_delete_delay))
    }

    /// Whether [`apply_retention`](Self::apply_retention) left something that has to be settled first.
    pub fn awaits_retention(&self, now: Timestamp) -> bool {
        !self.is_offline && self.log.expired_segments(now, self.log.end_offset()) > 0
    }

    /// What there is to compact, if it is time for it.
    pub fn dirt(&self, now: Timestamp) -> Option<Dirt> {
        if !self.config.cleanup_policy.compact || self.is_offline {
            return None;
        }
        let rules = self.compaction_rules();
        let dirt = self.log.dirt(&rules, self.marks().last_stable_offset, now);
        dirt.is_due(&rules).then_some(dirt)
    }

    fn compaction_rules(&self) -> CompactionRules {
        CompactionRules {
            dirty_ratio_min: self.config.dirty_ratio_min,
            lag_min_ms: self.config.compaction_lag_min_ms,
            lag_max_ms: self.config.compaction_lag_max_ms,
            delete_retention_ms: self.config.delete_retention_ms,
        }
    }

    /// Begins a compaction, if it is time for one. No segment is taken away until it [ends](Self::end_compaction).
    pub fn begin_compaction(&mut self, now: Timestamp) -> Option<Round> {
        let dirt = self.dirt(now)?;
        Some(self.log.begin_compaction(dirt, self.compaction_rules(), now))
    }

    /// Puts a compacted segment in its place.
    ///
    /// # Errors
    /// What the directory holds is not known: from here on nothing more is written.
    pub fn place_compacted(&mut self, compacted: &Compacted, now: Timestamp) -> io::Result<Removal> {
        let placed = self.log.place_compacted_now(compacted, now);
        if placed.is_err() {
            self.go_offline();
        }
        placed
    }

    /// A compaction has ended; up to here the log is clean if it has come to its end.
    pub fn end_compaction(&mut self, cleaned_to: Option<Offset>) {
        self.log.end_compaction(cleaned_to);
    }

    /// Wakes who waits, flushes and closes the files; what the next start may take from that.
    pub async fn close(mut self) -> io::Result<Option<LogLeft>> {
        self.wake_all();
        let left = self.log.close().await?;
        // What the disk has after a failed flush the next start is to see for itself.
        Ok(left.filter(|_| !self.is_offline))
    }

    /// Wakes who waits and lets go of the files, which are about to be deleted: how long they are still to stay.
    pub fn abandon(mut self) -> Duration {
        self.wake_all();
        self.config.file_delete_delay
    }
}
