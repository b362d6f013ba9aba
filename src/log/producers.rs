//! What a partition remembers of its idempotent producers (KIP-98, KIP-360; Kafka's `ProducerStateManager`,
//! `ProducerAppendInfo`, `ProducerStateEntry`): the epoch that fences older ones, and the sequences of the last five
//! batches, by which a retry is known as a duplicate and a gap as an error. A pure machine: the caller appends
//! between [`ProducerStates::check`] and [`ProducerStates::update`], and the log keeps its snapshots.
//!
//! A producer of which nothing is known may begin with any sequence: its older batches may have been deleted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::base::{Offset, ProducerEpoch, ProducerId, Timestamp};

/// A producer may have so many requests in flight, so one of so many batches may be sent again
/// (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`; the clients' `max.in.flight.requests.per.connection`).
pub const BATCHES_REMEMBERED: usize = 5;

/// The producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, ProducerState>,
    /// Whose open transaction begins where. Invariant: exactly the producers' `transaction_start`s.
    open: BTreeMap<Offset, ProducerId>,
}

/// The part of a batch's header that producer states go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// Never [`ProducerId::NONE`].
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub epoch: ProducerEpoch,
    /// The first record's sequence, from 0; −1 in a coordinator's batches, which have none.
    pub first_sequence: i32,
    /// The first record's offset.
    pub base_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// The largest timestamp of its records.
    pub max_timestamp: Timestamp,
    /// Whether it is part of a transaction.
    pub is_transactional: bool,
}

/// The record of a control batch that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    /// Never [`ProducerId::NONE`].
    pub producer_id: ProducerId,
    /// The producer's epoch; a newer one than its batches had fences the producer.
    pub epoch: ProducerEpoch,
    /// The transaction coordinator's epoch.
    pub coordinator_epoch: i32,
    /// The marker's offset.
    pub offset: Offset,
    /// The marker's timestamp.
    pub timestamp: Timestamp,
    /// Whether the transaction's records don't count.
    pub is_abort: bool,
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedTransaction {
    /// Where its first record is.
    pub first_offset: Offset,
    /// Where the first transaction begins that is still open, or the offset behind the marker if none is.
    pub last_stable_offset: Offset,
}

/// What [`ProducerStates::check`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// The next batch: append it.
    New,
    /// One of the last five batches, sent again: answer with what it got, append nothing.
    Duplicate(Appended),
}

/// Where a remembered batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its first record's offset.
    pub base_offset: Offset,
    /// Its last record's offset.
    pub last_offset: Offset,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

/// Why a producer's batch must not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceError {
    /// A newer producer with this id has written: INVALID_PRODUCER_EPOCH.
    Fenced {
        /// The epoch that the partition has seen.
        current: ProducerEpoch,
    },
    /// A batch before this one is missing, or this one is older than the remembered ones:
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrder {
        /// The sequence that would have been right.
        expected: i32,
    },
    /// A transaction of this producer is open, and the batch is not part of it: INVALID_TXN_STATE.
    OutsideTransaction,
}

impl fmt::Display for SequenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SequenceError::Fenced { current } => write!(f, "the producer's epoch is older than {current}"),
            SequenceError::OutOfOrder { expected } => write!(f, "expected sequence {expected}"),
            SequenceError::OutsideTransaction => write!(f, "not part of the producer's open transaction"),
        }
    }
}

impl std::error::Error for SequenceError {}

impl ProducerStates {
    /// Those that have nothing at or behind `offset`.
    pub fn before(&self, offset: Offset) -> ProducerStates {
        let is_before = |state: &ProducerState| {
            let mut batches = state.batches().iter();
            batches.all(|batch| batch.last_offset < offset) && state.transaction_start().is_none()
        };
        let producers = self.producers.iter().filter(|(_, state)| is_before(state));
        ProducerStates {
            producers: producers.map(|(id, state)| (*id, state.clone())).collect(),
            open: BTreeMap::new(),
        }
    }

    /// How many producers are remembered.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Every producer, by rising id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerState)> {
        self.producers.iter().map(|(&id, state)| (id, state))
    }

    /// One producer.
    pub fn get(&self, id: ProducerId) -> Option<&ProducerState> {
        self.producers.get(&id)
    }

    /// Where the first of the open transactions begins.
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.open.first_key_value().map(|(&offset, _)| offset)
    }

    /// Puts a state from a snapshot in place.
    pub fn insert(&mut self, id: ProducerId, state: ProducerState) {
        let before = self
            .producers
            .get(&id)
            .and_then(|before| before.transaction_start);
        self.move_transaction(id, before, state.transaction_start);
        self.producers.insert(id, state);
    }

    /// Keeps `open` as the states are. No two transactions begin at one offset, unless a snapshot lies: then its last one counts.
    fn move_transaction(&mut self, id: ProducerId, before: Option<Offset>, after: Option<Offset>) {
        if let Some(before) = before
            && self.open.get(&before) == Some(&id)
        {
            self.open.remove(&before);
        }
        if let Some(after) = after {
            self.open.insert(after, id);
        }
    }

    /// What to do with a client's batch of the sequences `first..=last` (which may wrap from `i32::MAX` to 0).
    pub fn check(&self, batch: &ProducedBatch) -> Result<Sequence, SequenceError> {
        let Some(state) = self.producers.get(&batch.producer_id) else {
            // As if a producer with the epoch "none" had written before (Kafka's `ProducerAppendInfo`).
            return match batch.epoch < ProducerEpoch::NONE {
                true => Err(SequenceError::Fenced {
                    current: ProducerEpoch::NONE,
                }),
                false => Ok(Sequence::New),
            };
        };
        if let Some(appended) = state.duplicate_of(batch) {
            return Ok(Sequence::Duplicate(appended));
        }
        if batch.epoch < state.epoch {
            return Err(SequenceError::Fenced { current: state.epoch });
        }
        // A new epoch begins at 0, and so does one of which only a transaction's end marker is known.
        let last = if batch.epoch == state.epoch {
            state.last_sequence()
        } else {
            None
        };
        let expected = last.map_or(0, |last| sequence_add(last, 1));
        if batch.first_sequence != expected {
            return Err(SequenceError::OutOfOrder { expected });
        }
        if state.transaction_start.is_some() && !batch.is_transactional {
            return Err(SequenceError::OutsideTransaction);
        }
        Ok(Sequence::New)
    }

    /// Remembers a batch that was appended at `now`, checked or (by replication and recovery) not.
    pub fn update(&mut self, batch: &ProducedBatch, now: Timestamp) {
        assert!(
            batch.producer_id != ProducerId::NONE,
            "a batch without a producer has no state"
        );
        let state = self
            .producers
            .entry(batch.producer_id)
            .or_insert_with(|| ProducerState::new(batch.epoch));
        state.begin_epoch(batch.epoch);
        let offset_delta = (batch.last_offset.0 - batch.base_offset.0) as i32;
        state.remember(RememberedBatch {
            last_sequence: last_sequence(batch),
            last_offset: batch.last_offset,
            offset_delta,
            timestamp: batch.max_timestamp,
        });
        state.last_timestamp = batch.max_timestamp;
        state.last_seen = now;
        if batch.is_transactional && state.transaction_start.is_none() {
            state.transaction_start = Some(batch.base_offset);
            self.open.insert(batch.base_offset, batch.producer_id);
        }
    }

    /// Remembers that a producer's transaction ended; which one, unless it was empty. A marker of a newer epoch fences the
    /// producer's older ones.
    pub fn end_transaction(&mut self, marker: &EndMarker, now: Timestamp) -> Option<EndedTransaction> {
        assert!(
            marker.producer_id != ProducerId::NONE,
            "a marker without a producer has no state"
        );
        let state = self
            .producers
            .entry(marker.producer_id)
            .or_insert_with(|| ProducerState::new(marker.epoch));
        state.begin_epoch(marker.epoch);
        state.coordinator_epoch = marker.coordinator_epoch;
        state.last_timestamp = marker.timestamp;
        state.last_seen = now;
        let first_offset = state.transaction_start.take()?;
        self.move_transaction(marker.producer_id, Some(first_offset), None);
        Some(EndedTransaction {
            first_offset,
            last_stable_offset: self
                .first_open_transaction()
                .unwrap_or(Offset(marker.offset.0 + 1)),
        })
    }

    /// Forgets producers that wrote nothing for `expiry` (`producer.id.expiration.ms`) and have no transaction open;
    /// returns how many.
    pub fn remove_expired(&mut self, now: Timestamp, expiry: Duration) -> usize {
        let before = self.producers.len();
        self.producers.retain(|_, state| !state.is_expired(now, expiry));
        before - self.producers.len()
    }
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    epoch: ProducerEpoch,
    /// The last of them is the newest; the sequences and offsets rise.
    batches: [RememberedBatch; BATCHES_REMEMBERED],
    batch_count: u8,
    coordinator_epoch: i32,
    transaction_start: Option<Offset>,
    last_timestamp: Timestamp,
    /// When it last wrote, by this machine's clock. Kafka expires producers by the batch's own timestamp, and so
    /// forgets one that replays old data while it is writing; a retry is then no longer known as a duplicate.
    last_seen: Timestamp,
}

/// One of a producer's last batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RememberedBatch {
    /// The last record's sequence.
    pub last_sequence: i32,
    /// The last record's offset.
    pub last_offset: Offset,
    /// The last record's offset less the first one's.
    pub offset_delta: i32,
    /// The batch's largest timestamp.
    pub timestamp: Timestamp,
}

impl ProducerState {
    /// A producer of which only the epoch is known.
    pub fn new(epoch: ProducerEpoch) -> ProducerState {
        ProducerState {
            epoch,
            batches: Default::default(),
            batch_count: 0,
            coordinator_epoch: -1,
            transaction_start: None,
            last_timestamp: Timestamp::NONE,
            last_seen: Timestamp::NONE,
        }
    }

    /// A producer as a snapshot has it: of its batches only the newest, if any.
    pub fn from_snapshot(
        epoch: ProducerEpoch,
        newest: Option<RememberedBatch>,
        coordinator_epoch: i32,
        transaction_start: Option<Offset>,
        last_timestamp: Timestamp,
    ) -> ProducerState {
        let mut state = ProducerState {
            coordinator_epoch,
            transaction_start,
            last_timestamp,
            last_seen: last_timestamp,
            ..ProducerState::new(epoch)
        };
        newest.into_iter().for_each(|batch| state.remember(batch));
        state
    }

    /// Remembers, before its own batches, those that `earlier` knows of the same producer and epoch.
    pub fn follow(&mut self, earlier: &ProducerState) {
        let own = self.clone();
        let older = earlier.batches().iter();
        let rises = |batch: &&RememberedBatch| {
            own.batches()
                .first()
                .is_none_or(|first| batch.last_offset < first.last_offset)
        };
        self.batch_count = 0;
        older
            .take_while(rises)
            .chain(own.batches())
            .for_each(|batch| self.remember(*batch));
    }

    /// The newest epoch seen.
    pub fn epoch(&self) -> ProducerEpoch {
        self.epoch
    }

    /// Its last batches, oldest first; none after a transaction's end in a new epoch.
    pub fn batches(&self) -> &[RememberedBatch] {
        &self.batches[..usize::from(self.batch_count)]
    }

    /// The epoch of the transaction coordinator that ended its last transaction; −1 for none.
    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// Where its open transaction began in this log.
    pub fn transaction_start(&self) -> Option<Offset> {
        self.transaction_start
    }

    /// The timestamp of its last batch or marker, or when that was written if it carried an older time.
    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp.max(self.last_seen)
    }

    fn last_sequence(&self) -> Option<i32> {
        self.batches().last().map(|batch| batch.last_sequence)
    }

    fn duplicate_of(&self, batch: &ProducedBatch) -> Option<Appended> {
        let offset_delta = (batch.last_offset.0 - batch.base_offset.0) as i32;
        let same = |known: &&RememberedBatch| {
            known.last_sequence == last_sequence(batch)
                && known.offset_delta == offset_delta
                && batch.epoch == self.epoch
        };
        self.batches().iter().find(same).map(|known| Appended {
            base_offset: Offset(known.last_offset.0 - i64::from(known.offset_delta)),
            last_offset: known.last_offset,
            timestamp: known.timestamp,
        })
    }

    fn begin_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }

    fn remember(&mut self, batch: RememberedBatch) {
        if self.batches().len() == BATCHES_REMEMBERED {
            self.batches.rotate_left(1);
            self.batch_count -= 1;
        }
        self.batches[usize::from(self.batch_count)] = batch;
        self.batch_count += 1;
    }

    fn is_expired(&self, now: Timestamp, expiry: Duration) -> bool {
        let idle = now.0.saturating_sub(self.last_timestamp().0);
        self.transaction_start.is_none() && i128::from(idle) >= expiry.as_millis() as i128
    }
}

fn last_sequence(batch: &ProducedBatch) -> i32 {
    if batch.first_sequence < 0 {
        return batch.first_sequence;
    }
    sequence_add(
        batch.first_sequence,
        (batch.last_offset.0 - batch.base_offset.0) as i32,
    )
}

/// `sequence + count`, where 0 follows `i32::MAX` (`DefaultRecordBatch.incrementSequence`).
pub fn sequence_add(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) & i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn batch(epoch: i16, first_sequence: i32, count: i64, base_offset: i64) -> ProducedBatch {
        ProducedBatch {
            producer_id: ProducerId(1),
            epoch: ProducerEpoch(epoch),
            first_sequence,
            base_offset: Offset(base_offset),
            last_offset: Offset(base_offset + count - 1),
            max_timestamp: Timestamp(1000 + base_offset),
            is_transactional: false,
        }
    }

    /// The steps were made by driving Kafka 4.3.1's own `ProducerStateManager` with random batches.
    #[test]
    fn every_answer_is_kafkas() {
        let steps = include_str!("../../tests/fixtures/kafka-log/producers/steps.txt");
        let mut states = ProducerStates::default();
        for line in steps.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<i64>().unwrap();
            let (first, last) = (number(2), number(3));
            let count = (last - first).rem_euclid(1 << 31) + 1;
            let batch = ProducedBatch {
                producer_id: ProducerId(number(0)),
                max_timestamp: Timestamp(number(5)),
                ..batch(number(1) as i16, first as i32, count, number(4))
            };
            let answer = match states.check(&batch) {
                Ok(Sequence::New) => {
                    states.update(&batch, batch.max_timestamp);
                    "OK".to_owned()
                }
                Ok(Sequence::Duplicate(known)) => {
                    format!(
                        "DUP {} {} {}",
                        known.base_offset, known.last_offset, known.timestamp.0
                    )
                }
                Err(SequenceError::Fenced { .. }) => "InvalidProducerEpochException".to_owned(),
                Err(SequenceError::OutOfOrder { .. }) => "OutOfOrderSequenceException".to_owned(),
                Err(SequenceError::OutsideTransaction) => "InvalidTxnStateException".to_owned(),
            };
            assert_eq!(answer, words[6..].join(" "), "{line}");
        }
        let written = crate::log::snapshot::newest_only(&crate::log::snapshot::encode(&states));
        let kafkas: &[u8] = include_bytes!("../../tests/fixtures/kafka-log/producers/after.snapshot");
        assert_eq!(written, kafkas);
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        let states = ProducerStates::default();
        assert_eq!(states.check(&batch(3, 500, 2, 0)), Ok(Sequence::New));
    }

    #[test]
    fn an_unknown_producer_needs_an_epoch_that_there_can_be() {
        let states = ProducerStates::default();
        assert_eq!(states.check(&batch(-1, 0, 1, 0)), Ok(Sequence::New));
        let refused = SequenceError::Fenced {
            current: ProducerEpoch::NONE,
        };
        assert_eq!(states.check(&batch(-2, 0, 1, 0)), Err(refused));
    }

    #[test]
    fn the_last_five_batches_are_known_as_duplicates_and_older_ones_are_out_of_order() {
        let mut states = ProducerStates::default();
        for n in 0..7 {
            states.update(&batch(0, n * 10, 10, i64::from(n) * 10), Timestamp(0));
        }
        for n in 2..7i32 {
            let retried = states.check(&batch(0, n * 10, 10, 999));
            let Ok(Sequence::Duplicate(known)) = retried else {
                panic!("{retried:?}")
            };
            assert_eq!(known.base_offset, Offset(i64::from(n) * 10));
        }
        assert_eq!(
            states.check(&batch(0, 10, 10, 999)),
            Err(SequenceError::OutOfOrder { expected: 70 })
        );
        assert_eq!(
            states.check(&batch(0, 60, 9, 999)),
            Err(SequenceError::OutOfOrder { expected: 70 })
        );
    }

    #[test]
    fn a_fenced_producer_cannot_append() {
        let mut states = ProducerStates::default();
        states.update(&batch(1, 0, 1, 0), Timestamp(0));
        states.update(&batch(2, 0, 1, 1), Timestamp(0));
        let fenced = SequenceError::Fenced {
            current: ProducerEpoch(2),
        };
        assert_eq!(states.check(&batch(1, 1, 1, 2)), Err(fenced));
    }

    #[test]
    fn zero_follows_the_largest_sequence() {
        let mut states = ProducerStates::default();
        states.update(&batch(0, i32::MAX - 1, 2, 0), Timestamp(0));
        assert_eq!(states.check(&batch(0, 0, 1, 2)), Ok(Sequence::New));
        states.update(&batch(0, 0, 1, 2), Timestamp(0));
        assert_eq!(states.check(&batch(0, 1, 1, 3)), Ok(Sequence::New));
        assert_eq!(sequence_add(i32::MAX, 1), 0);
        assert_eq!(sequence_add(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn a_transaction_is_open_from_its_first_batch_to_its_marker() {
        let mut states = ProducerStates::default();
        let inside = |sequence, offset| ProducedBatch {
            is_transactional: true,
            ..batch(0, sequence, 1, offset)
        };
        states.update(&inside(0, 7), Timestamp(0));
        states.update(&inside(1, 9), Timestamp(0));
        let start = |states: &ProducerStates| states.get(ProducerId(1)).unwrap().transaction_start();
        assert_eq!(start(&states), Some(Offset(7)));
        assert_eq!(
            states.check(&batch(0, 2, 1, 10)),
            Err(SequenceError::OutsideTransaction)
        );
        assert_eq!(states.remove_expired(Timestamp(i64::MAX), DAY), 0);
        let marker = EndMarker {
            producer_id: ProducerId(1),
            epoch: ProducerEpoch(1),
            coordinator_epoch: 4,
            offset: Offset(10),
            timestamp: Timestamp(5),
            is_abort: false,
        };
        let ended = EndedTransaction {
            first_offset: Offset(7),
            last_stable_offset: Offset(11),
        };
        assert_eq!(states.end_transaction(&marker, Timestamp(0)), Some(ended));
        assert_eq!(start(&states), None);
        assert_eq!(
            states.end_transaction(&marker, Timestamp(0)),
            None,
            "an empty one"
        );
        assert_eq!(
            states.check(&batch(1, 2, 1, 10)),
            Err(SequenceError::OutOfOrder { expected: 0 })
        );
        assert_eq!(states.check(&batch(1, 0, 1, 10)), Ok(Sequence::New));
    }

    #[test]
    fn a_producer_is_forgotten_by_when_it_wrote_not_by_what_time_it_wrote() {
        let mut states = ProducerStates::default();
        let written = Timestamp(1_700_000_000_000);
        states.update(&batch(0, 0, 1, 0), written);
        let day = DAY.as_millis() as i64;
        assert_eq!(states.remove_expired(Timestamp(written.0 + day - 1), DAY), 0);
        assert_eq!(states.remove_expired(Timestamp(written.0 + day), DAY), 1);
        assert!(states.is_empty());
    }
}
