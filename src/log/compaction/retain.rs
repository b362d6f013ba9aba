//! What stays of each batch (Kafka's `Cleaner.cleanInto` and `shouldRetainRecord`).

use std::collections::BTreeMap;

use crate::base::{Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::log::AbortedTransaction;
use crate::log::producers::ProducerStates;
use crate::wire::batch::{BatchError, BatchView, DECOMPRESSED_BYTES_MAX, Rebuilt, emptied};

use super::key_map::KeyMap;
use super::keyed::{Keyed, read_turn};
use super::pace::{Pace, RECORDS_PER_TURN};
use super::transactions::Transactions;

/// What stays of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing, not even its offsets.
    Nothing,
    /// All of it, byte for byte.
    All,
    /// This, at the same offsets.
    Part(Vec<u8>),
}

/// Decides what stays, batch by batch from the log's start on.
pub struct Retention<'a> {
    /// The last record of each key of the dirty part.
    keys: &'a KeyMap,
    transactions: Transactions,
    lasts: &'a LastBatches,
    /// When this compaction began.
    now: Timestamp,
    delete_retention_ms: i64,
}

/// The newest batch of each producer that is remembered: its sequence is read from there after a start.
#[derive(Debug, Default)]
pub struct LastBatches(BTreeMap<ProducerId, LastBatch>);

#[derive(Clone, Copy, Debug)]
struct LastBatch {
    /// None when only a transaction's end is known of the producer.
    last_offset: Option<Offset>,
    epoch: ProducerEpoch,
}

impl LastBatches {
    /// Those of `states`.
    pub fn of(states: &ProducerStates) -> LastBatches {
        let last = |state: &crate::log::producers::ProducerState| LastBatch {
            last_offset: state.batches().last().map(|batch| batch.last_offset),
            epoch: state.epoch(),
        };
        LastBatches(states.iter().map(|(id, state)| (id, last(state))).collect())
    }

    fn has(&self, batch: &BatchView<'_>) -> bool {
        self.0
            .get(&batch.producer_id())
            .is_some_and(|last| match last.last_offset {
                Some(offset) => batch.last_offset() == offset,
                None => batch.is_control() && batch.producer_epoch() == last.epoch,
            })
    }
}

/// What was found out about a batch's records.
#[derive(Default)]
struct Survey {
    /// Of each record, whether it stays.
    stays: Vec<bool>,
    kept: usize,
    has_tombstone: bool,
}

impl<'a> Retention<'a> {
    /// At the log's start.
    pub fn new(
        keys: &'a KeyMap,
        transactions: Transactions,
        lasts: &'a LastBatches,
        now: Timestamp,
        delete_retention_ms: i64,
    ) -> Retention<'a> {
        Retention {
            keys,
            transactions,
            lasts,
            now,
            delete_retention_ms,
        }
    }

    /// What stays of the next batch. Its offsets stay whatever becomes of its records if `keeps_offsets`.
    ///
    /// # Errors
    /// Records that can't be read.
    pub async fn keep(
        &mut self,
        batch: &BatchView<'_>,
        keeps_offsets: bool,
        pace: &Pace,
    ) -> Result<Kept, BatchError> {
        let is_void = self.transactions.is_void(batch);
        let is_void_marker = is_void && batch.is_control();
        let goes = match batch.is_control() {
            true => is_void && self.is_past_horizon(batch),
            false => is_void,
        };
        let stays_empty = keeps_offsets || (batch.has_producer_id() && self.lasts.has(batch));
        let payload = match goes {
            true => Default::default(),
            false => {
                let turn = async || pace.turn().await;
                batch.payload_in_turns(DECOMPRESSED_BYTES_MAX, turn).await?
            }
        };
        let survey = match goes {
            true => Survey::default(),
            false => self.survey(batch, &payload, pace).await?,
        };
        if survey.kept == 0 {
            return Ok(match stays_empty {
                true => as_is_or(batch, emptied(batch)),
                false => Kept::Nothing,
            });
        }
        let horizon = batch.delete_horizon();
        let sets_horizon = (survey.has_tombstone || is_void_marker) && horizon.is_none();
        if survey.kept == survey.stays.len() && !sets_horizon {
            return Ok(Kept::All);
        }
        let horizon = match sets_horizon {
            true => Some(Timestamp(self.now.0.saturating_add(self.delete_retention_ms))),
            false => horizon,
        };
        rebuild(batch, &payload, &survey.stays, horizon, pace)
            .await
            .map(Kept::Part)
    }

    /// The aborted transactions that readers of what was kept since the last time have to know.
    pub fn take_aborted(&mut self) -> Vec<AbortedTransaction> {
        self.transactions.take_kept()
    }

    async fn survey(&self, batch: &BatchView<'_>, payload: &[u8], pace: &Pace) -> Result<Survey, BatchError> {
        let mut survey = Survey::default();
        let mut records = batch.records(payload);
        let mut turn = Vec::with_capacity(RECORDS_PER_TURN);
        loop {
            read_turn(&mut records, self.keys, &mut turn)?;
            if turn.is_empty() {
                return Ok(survey);
            }
            for record in &turn {
                let stays = batch.is_control() || self.stays(batch, record);
                survey.stays.push(stays);
                survey.kept += usize::from(stays);
                survey.has_tombstone |= stays && record.is_tombstone;
            }
            pace.turn().await;
        }
    }

    /// Whether a client's record stays: it is the last of its key, and no tombstone that has stood for long enough. One without a
    /// key can't be superseded and was never asked for: it goes.
    fn stays(&self, batch: &BatchView<'_>, record: &Keyed) -> bool {
        if record.offset > self.keys.latest() {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_last = self.keys.get(key).is_none_or(|last| record.offset >= last);
        is_last && (!record.is_tombstone || !self.is_past_horizon(batch))
    }

    fn is_past_horizon(&self, batch: &BatchView<'_>) -> bool {
        batch.delete_horizon().is_some_and(|horizon| horizon <= self.now)
    }
}

fn as_is_or(batch: &BatchView<'_>, kept: Vec<u8>) -> Kept {
    match kept == batch.bytes() {
        true => Kept::All,
        false => Kept::Part(kept),
    }
}

async fn rebuild(
    batch: &BatchView<'_>,
    payload: &[u8],
    stays: &[bool],
    horizon: Option<Timestamp>,
    pace: &Pace,
) -> Result<Vec<u8>, BatchError> {
    let mut rebuilt = Rebuilt::new(*batch, horizon);
    for (record, _) in batch.records(payload).zip(stays).filter(|(_, stays)| **stays) {
        rebuilt.keep(&record?);
    }
    Ok(rebuilt.finish(async || pace.turn().await).await)
}

#[cfg(test)]
mod tests {
    use super::super::key_map::{KeyMapLimits, KeySecret};
    use super::*;
    use crate::base::LeaderEpoch;
    use crate::log::producers::{EndMarker, ProducedBatch};
    use crate::log::walk::ready;
    use crate::wire::batch::{BatchBuilder, ControlType};
    use crate::wire::compression::Codec;

    const NOW: Timestamp = Timestamp(50_000);
    const RETENTION_MS: i64 = 1000;

    /// A batch at `offset` of records with these keys and values.
    fn batch(offset: i64, records: &[(Option<&str>, Option<&str>)]) -> Vec<u8> {
        filled(BatchBuilder::new(Codec::Lz4), offset, records)
    }

    fn filled(builder: BatchBuilder, offset: i64, records: &[(Option<&str>, Option<&str>)]) -> Vec<u8> {
        let mut builder = builder.at(Offset(offset), LeaderEpoch(2));
        for (key, value) in records {
            let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
            builder.add(Timestamp(1000 + offset), key, value, &[]);
        }
        builder.build().to_vec()
    }

    fn marker(offset: i64, control_type: ControlType) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Codec::None)
            .producer(ProducerId(7), ProducerEpoch(0), -1)
            .transactional()
            .control()
            .at(Offset(offset), LeaderEpoch(2));
        builder.add_control(Timestamp(1000), control_type, &[0; 6]);
        builder.build().to_vec()
    }

    /// The keys of a dirty part that ends at `latest`, each with its last offset.
    fn keys(last: &[(&str, i64)], latest: i64) -> KeyMap {
        let limits = KeyMapLimits {
            bytes_max: 1 << 20,
            load_factor: 0.9,
        };
        let mut map = KeyMap::new(limits, 100, KeySecret([1, 2]));
        for (key, offset) in last {
            assert!(map.put(map.hash(key.as_bytes()), Offset(*offset)));
        }
        map.reach(Offset(latest));
        map
    }

    fn kept_at(now: Timestamp, keys: &KeyMap, bytes: &[u8]) -> Kept {
        let lasts = LastBatches::default();
        let mut retention = Retention::new(keys, Transactions::default(), &lasts, now, RETENTION_MS);
        keep(&mut retention, bytes)
    }

    fn keep(retention: &mut Retention<'_>, bytes: &[u8]) -> Kept {
        let batch = BatchView::first(bytes).unwrap();
        ready(retention.keep(&batch, false, &Pace::unlimited())).unwrap()
    }

    /// The offsets of the records that stayed.
    fn offsets(kept: &Kept) -> Vec<i64> {
        let Kept::Part(bytes) = kept else {
            panic!("{kept:?}")
        };
        let view = BatchView::first(bytes).unwrap();
        assert!(view.crc_is_valid());
        let payload = view.payload(1 << 20).unwrap();
        view.records(&payload)
            .map(|record| record.unwrap().offset.0)
            .collect()
    }

    #[test]
    fn the_last_record_of_each_key_stays() {
        let keys = keys(&[("a", 12), ("b", 31)], 40);
        let records = [
            (Some("a"), Some("1")),
            (Some("b"), Some("2")),
            (Some("a"), Some("3")),
            (Some("c"), Some("4")),
        ];
        let kept = kept_at(NOW, &keys, &batch(10, &records));
        assert_eq!(offsets(&kept), [12, 13], "b comes later, c in no other place");
        assert_eq!(kept_at(NOW, &keys, &batch(12, &records[2..])), Kept::All);
        assert_eq!(kept_at(NOW, &keys, &batch(10, &records[1..2])), Kept::Nothing);
    }

    #[test]
    fn a_batch_of_several_turns_keeps_the_last_of_its_own_keys() {
        let names: Vec<String> = (0..150).map(|n| (n % 75).to_string()).collect();
        let records: Vec<_> = names
            .iter()
            .map(|name| (Some(name.as_str()), Some("v")))
            .collect();
        let last: Vec<_> = (75..150).map(|n| (names[n].as_str(), n as i64)).collect();
        let keys = keys(&last, 200);
        let expected: Vec<i64> = (75..150).collect();
        assert_eq!(offsets(&kept_at(NOW, &keys, &batch(0, &records))), expected);
    }

    #[test]
    fn what_lies_behind_the_known_keys_stays_as_it_is() {
        let keys = keys(&[("a", 20)], 20);
        let records = [(Some("a"), Some("1")), (Some("a"), None), (None, Some("x"))];
        assert_eq!(kept_at(NOW, &keys, &batch(21, &records[..1])), Kept::All);
        let kept = kept_at(NOW, &keys, &batch(21, &records));
        assert_eq!(
            offsets(&kept),
            [21, 22, 23],
            "but for the horizon of its tombstone"
        );
        assert_eq!(offsets(&kept_at(NOW, &keys, &batch(19, &records))), [20, 21]);
    }

    #[test]
    fn a_record_without_a_key_goes() {
        let keys = keys(&[("a", 12)], 20);
        assert_eq!(
            kept_at(NOW, &keys, &batch(5, &[(None, Some("x"))])),
            Kept::Nothing
        );
    }

    #[test]
    fn a_tombstone_stays_until_its_horizon_and_no_longer() {
        let keys = keys(&[("a", 10), ("b", 11)], 20);
        let records = [(Some("a"), None), (Some("b"), Some("1"))];
        let first = kept_at(NOW, &keys, &batch(10, &records));
        let Kept::Part(marked) = &first else {
            panic!("{first:?}")
        };
        let horizon = Timestamp(NOW.0 + RETENTION_MS);
        assert_eq!(BatchView::first(marked).unwrap().delete_horizon(), Some(horizon));
        assert_eq!(offsets(&first), [10, 11]);
        let before = Timestamp(horizon.0 - 1);
        assert_eq!(kept_at(before, &keys, marked), Kept::All, "not set once more");
        let after = kept_at(horizon, &keys, marked);
        assert_eq!(offsets(&after), [11]);
        let Kept::Part(after) = after else { unreachable!() };
        assert_eq!(BatchView::first(&after).unwrap().delete_horizon(), Some(horizon));
        assert_eq!(kept_at(horizon, &keys, &after), Kept::All);
    }

    #[test]
    fn a_batch_that_must_keep_its_offsets_stays_as_a_header() {
        let keys = keys(&[("a", 12)], 20);
        let bytes = batch(5, &[(Some("a"), Some("1")), (Some("a"), Some("2"))]);
        let batch = BatchView::first(&bytes).unwrap();
        let lasts = LastBatches::default();
        let mut retention = Retention::new(&keys, Transactions::default(), &lasts, NOW, RETENTION_MS);
        let kept = ready(retention.keep(&batch, true, &Pace::unlimited())).unwrap();
        assert_eq!(kept, Kept::Part(emptied(&batch)));
        let Kept::Part(empty) = kept else { unreachable!() };
        let empty = BatchView::first(&empty).unwrap();
        let again = ready(retention.keep(&empty, true, &Pace::unlimited())).unwrap();
        assert_eq!(again, Kept::All);
        assert_eq!(
            keep(&mut retention, empty.bytes()),
            Kept::Nothing,
            "once it need not"
        );
    }

    #[test]
    fn a_producers_last_batch_stays_for_its_sequence() {
        let keys = keys(&[("a", 30)], 40);
        let produced = |offset, sequence| {
            let builder = BatchBuilder::new(Codec::None).producer(ProducerId(7), ProducerEpoch(0), sequence);
            filled(builder, offset, &[(Some("a"), Some("1"))])
        };
        let (first, last) = (produced(10, 0), produced(11, 1));
        let mut states = ProducerStates::default();
        for bytes in [&first, &last] {
            let header = crate::log::header::BatchHeader::parse(bytes).unwrap();
            states.update(&header.produced().unwrap(), NOW);
        }
        let lasts = LastBatches::of(&states);
        let mut retention = Retention::new(&keys, Transactions::default(), &lasts, NOW, RETENTION_MS);
        assert_eq!(keep(&mut retention, &first), Kept::Nothing);
        let view = BatchView::first(&last).unwrap();
        assert_eq!(keep(&mut retention, &last), Kept::Part(emptied(&view)));
    }

    #[test]
    fn an_aborted_transactions_records_go_and_later_its_marker() {
        let keys = keys(&[], 40);
        let builder = BatchBuilder::new(Codec::None).producer(ProducerId(7), ProducerEpoch(0), 0);
        let data = filled(builder.transactional(), 10, &[(Some("a"), Some("1"))]);
        let abort = marker(11, ControlType::Abort);
        let aborted = vec![AbortedTransaction {
            producer_id: ProducerId(7),
            first_offset: Offset(10),
            last_offset: Offset(11),
            last_stable_offset: Offset(12),
        }];
        let lasts = LastBatches::default();
        let begin = |now| {
            let transactions = Transactions::new(aborted.clone());
            Retention::new(&keys, transactions, &lasts, now, RETENTION_MS)
        };
        let mut first = begin(NOW);
        assert_eq!(keep(&mut first, &data), Kept::Nothing);
        assert_eq!(keep(&mut first, &abort), Kept::All, "its records were there");
        let Kept::Part(marked) = keep(&mut begin(NOW), &abort) else {
            panic!("the marker has its horizon now")
        };
        assert_eq!(keep(&mut begin(NOW), &marked), Kept::All);
        let horizon = Timestamp(NOW.0 + RETENTION_MS);
        assert_eq!(keep(&mut begin(horizon), &marked), Kept::Nothing);
    }

    #[test]
    fn the_marker_that_a_producer_is_known_by_stays_as_a_header() {
        let keys = keys(&[], 40);
        let mut states = ProducerStates::default();
        states.update(
            &ProducedBatch {
                producer_id: ProducerId(7),
                epoch: ProducerEpoch(-1),
                first_sequence: 0,
                base_offset: Offset(3),
                last_offset: Offset(3),
                max_timestamp: NOW,
                is_transactional: true,
            },
            NOW,
        );
        states.end_transaction(
            &EndMarker {
                producer_id: ProducerId(7),
                epoch: ProducerEpoch(0),
                coordinator_epoch: 0,
                timestamp: NOW,
                is_abort: false,
                offset: Offset(11),
            },
            NOW,
        );
        let lasts = LastBatches::of(&states);
        let commit = marker(11, ControlType::Commit);
        let mut at_first = Retention::new(&keys, Transactions::default(), &lasts, NOW, 0);
        let Kept::Part(marked) = keep(&mut at_first, &commit) else {
            panic!("the marker has its horizon now")
        };
        let later = Retention::new(&keys, Transactions::default(), &lasts, NOW, 0);
        let view = BatchView::first(&marked).unwrap();
        assert_eq!(keep(&mut { later }, &marked), Kept::Part(emptied(&view)));
    }

    #[test]
    fn records_that_do_not_read_are_told() {
        let mut bytes = batch(5, &[(Some("a"), Some("1"))]);
        let keys = keys(&[("a", 12)], 20);
        let last = bytes.len() - 20;
        bytes[last] ^= 0xff;
        let view = BatchView::first(&bytes).unwrap();
        let lasts = LastBatches::default();
        let mut retention = Retention::new(&keys, Transactions::default(), &lasts, NOW, 0);
        assert!(ready(retention.keep(&view, false, &Pace::unlimited())).is_err());
    }
}
