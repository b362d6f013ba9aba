//! What is known of a log from outside: everything that was ever appended, what of it must be there, and what may be.

use std::collections::{BTreeMap, VecDeque};

use ringlog::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use ringlog::log::producers::{BATCHES_REMEMBERED, ProducedBatch};

use super::counts::Counts;

/// One record, as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp: i64,
}

/// One batch, as it was appended.
#[derive(Clone, Debug)]
pub struct Batch {
    pub base: i64,
    pub records: Vec<Record>,
    pub leader_epoch: i32,
    /// Id, epoch and first sequence.
    pub producer: Option<(i64, i16, i32)>,
    pub is_transactional: bool,
    /// Of a marker, whether it aborts.
    pub is_abort: Option<bool>,
    pub size_bytes: usize,
}

/// A transaction that a marker has aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    pub producer: i64,
    pub first: i64,
    pub marker: i64,
}

/// What a partition must know of a producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    pub epoch: i16,
    /// Its last batches, as they were checked.
    pub batches: VecDeque<ProducedBatch>,
    pub open_since: Option<i64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Without gaps; those that were deleted since then too.
    pub batches: Vec<Batch>,
    pub start: i64,
    pub end: i64,
    /// No crash takes the start back behind it.
    pub start_sure: i64,
    /// No crash takes anything before it.
    pub flushed: i64,
    pub producers: BTreeMap<i64, Producer>,
    /// As it was before a truncation that a crash may still undo.
    pub before_truncation: Option<Box<Story>>,
    /// The last death was that of the process alone.
    pub keeps_all: bool,
    /// The disk has failed in a way after which only a crash of the host tells what it holds.
    pub is_in_doubt: bool,
    /// Reads fail for the moment.
    pub is_disk_bad: bool,
    /// The last life has ended as it was told to.
    pub is_closed: bool,
    pub lives: i32,
    /// A compaction has been through, so that not everything need be there.
    pub is_compacted: bool,
    /// No compaction has known of records from here on.
    pub compacted_to: i64,
    pub counts: Counts,
}

impl Batch {
    pub fn next(&self) -> i64 {
        self.base + self.records.len() as i64
    }

    pub fn max_timestamp(&self) -> i64 {
        let timestamps = self.records.iter().map(|record| record.timestamp);
        timestamps.max().expect("a batch has a record")
    }

    /// What producer states go by; none of a marker.
    pub fn produced(&self) -> Option<ProducedBatch> {
        let (id, epoch, first_sequence) = self.producer.filter(|_| self.is_abort.is_none())?;
        Some(ProducedBatch {
            producer_id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            first_sequence,
            base_offset: Offset(self.base),
            last_offset: Offset(self.next() - 1),
            max_timestamp: Timestamp(self.max_timestamp()),
            is_transactional: self.is_transactional,
        })
    }

    pub fn epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch)
    }
}

impl Producer {
    pub fn next_sequence(&self) -> i32 {
        self.batches.back().map_or(0, |batch| {
            batch.first_sequence + (batch.last_offset.0 - batch.base_offset.0) as i32 + 1
        })
    }

    fn note(&mut self, batch: &Batch) {
        let epoch = batch.producer.map_or(0, |(_, epoch, _)| epoch);
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
        let Some(produced) = batch.produced() else {
            self.open_since = None;
            return;
        };
        self.batches.push_back(produced);
        if self.batches.len() > BATCHES_REMEMBERED {
            self.batches.pop_front();
        }
        if batch.is_transactional && self.open_since.is_none() {
            self.open_since = Some(batch.base);
        }
    }
}

impl Story {
    /// A batch was appended.
    pub fn append(&mut self, batch: Batch) {
        assert_eq!(batch.base, self.end);
        self.end = batch.next();
        self.remember(&batch);
        self.batches.push(batch);
    }

    fn remember(&mut self, batch: &Batch) {
        if let Some((id, _, _)) = batch.producer {
            self.producers.entry(id).or_default().note(batch);
        }
    }

    /// Whether a batch begins at `offset`, or the log may end there.
    pub fn is_boundary(&self, offset: i64) -> bool {
        offset == self.end
            || self
                .batches
                .binary_search_by_key(&offset, |batch| batch.base)
                .is_ok()
    }

    /// Everything from `end` on is gone.
    pub fn rewind(&mut self, end: i64) {
        let kept = self.batches.partition_point(|batch| batch.next() <= end);
        self.batches.truncate(kept);
        self.end = end;
        self.flushed = self.flushed.min(end);
        self.producers.clear();
        let batches = std::mem::take(&mut self.batches);
        batches.iter().for_each(|batch| self.remember(batch));
        self.batches = batches;
    }

    /// Everything from `to` on is taken back, or everything at all, and the log begins there. Until that is durable a crash may undo it.
    pub fn truncate(&mut self, to: i64, is_full: bool) {
        let mut before = Box::new(self.clone());
        let kept = self.batches.partition_point(|batch| batch.next() <= to);
        let first = self.batches.first().map_or(self.end, |first| first.base);
        let end = kept
            .checked_sub(1)
            .map_or(first, |last| self.batches[last].next());
        if is_full || (to <= self.start && to < self.end) {
            self.restart_at(to);
            before.flushed = 0;
        } else if to < self.end && end < self.start {
            self.restart_at(end);
            before.flushed = 0;
        } else if to < self.end {
            self.rewind(end);
            self.start_sure = self.start_sure.min(end);
            before.flushed = self.flushed;
        }
        self.before_truncation = Some(before);
    }

    /// Nothing is left, not even what was known of producers.
    pub fn restart_at(&mut self, at: i64) {
        self.batches.clear();
        self.producers.clear();
        (self.start, self.end, self.start_sure, self.flushed) = (at, at, at, at);
    }

    /// The batches that can be read.
    pub fn live(&self) -> &[Batch] {
        let first = self.batches.partition_point(|batch| batch.next() <= self.start);
        &self.batches[first..]
    }

    /// The batch that holds `offset`.
    pub fn holder(&self, offset: i64) -> Option<&Batch> {
        let n = self.batches.partition_point(|batch| batch.next() <= offset);
        self.batches.get(n).filter(|batch| batch.base <= offset)
    }

    /// The record at `offset`.
    pub fn record(&self, offset: i64) -> Option<&Record> {
        let batch = self.holder(offset)?;
        Some(&batch.records[(offset - batch.base) as usize])
    }

    /// Where `read_committed` ends.
    pub fn stable_end(&self) -> i64 {
        let open = self.producers.values().filter_map(|producer| producer.open_since);
        open.min().unwrap_or(self.end).max(self.start).min(self.end)
    }

    /// Where it was when the log ended where it is flushed now: what a partition has compacted of a durable topic, so that no crash takes a
    /// marker back which a compaction went by.
    pub fn durable_stable_end(&self) -> i64 {
        let mut open: BTreeMap<i64, i64> = BTreeMap::new();
        let durable = self
            .batches
            .iter()
            .take_while(|batch| batch.next() <= self.flushed);
        for batch in durable.filter(|batch| batch.is_transactional) {
            let producer = batch.producer.expect("a transaction has a producer").0;
            match batch.is_abort {
                None => _ = open.entry(producer).or_insert(batch.base),
                Some(_) => _ = open.remove(&producer),
            }
        }
        let first = open.values().min().copied().unwrap_or(self.flushed);
        first.min(self.flushed).min(self.stable_end())
    }

    /// Every aborted transaction, in the order of the markers.
    pub fn aborted(&self) -> Vec<Aborted> {
        let mut open: BTreeMap<i64, i64> = BTreeMap::new();
        let mut aborted = Vec::new();
        for batch in self.batches.iter().filter(|batch| batch.is_transactional) {
            let producer = batch.producer.expect("a transaction has a producer").0;
            match batch.is_abort {
                None => _ = open.entry(producer).or_insert(batch.base),
                Some(is_abort) => {
                    let first = open.remove(&producer).filter(|_| is_abort);
                    aborted.extend(first.map(|first| Aborted {
                        producer,
                        first,
                        marker: batch.base,
                    }));
                }
            }
        }
        aborted
    }
}
