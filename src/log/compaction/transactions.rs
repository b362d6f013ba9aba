//! Which transactions' records count, as a compaction goes over a log (Kafka's `CleanedTransactionMetadata`): records of aborted
//! ones go, and a marker may go once nothing of its transaction is left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{Offset, ProducerId};
use crate::log::AbortedTransaction;
use crate::wire::batch::{BatchView, ControlType};

/// A control batch takes no more than some dozen bytes of records.
const CONTROL_BYTES_MAX: usize = 4096;

/// See the module. Batches are told in the order of their offsets.
#[derive(Debug, Default)]
pub struct Transactions {
    /// Those that begin behind what was told so far, by their first offset.
    to_come: VecDeque<AbortedTransaction>,
    /// The aborted ones that are under way.
    aborted: BTreeMap<ProducerId, Aborted>,
    /// Producers with a record in a transaction that is not aborted.
    committed: BTreeSet<ProducerId>,
    /// Aborted ones whose marker stays, in the order of the markers, until they are taken.
    kept: Vec<AbortedTransaction>,
}

#[derive(Clone, Copy, Debug)]
struct Aborted {
    transaction: AbortedTransaction,
    /// A batch of it was seen.
    has_records: bool,
}

impl Transactions {
    /// At the start of a log of which these transactions were aborted.
    pub fn new(mut aborted: Vec<AbortedTransaction>) -> Transactions {
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Transactions {
            to_come: aborted.into(),
            ..Transactions::default()
        }
    }

    /// The next batch. Whether none of its records counts: it is of an aborted transaction, or a marker of which no record was seen
    /// any more.
    pub fn is_void(&mut self, batch: &BatchView<'_>) -> bool {
        self.begin_until(batch.last_offset());
        match batch.is_control() {
            true => self.is_void_marker(batch),
            false => batch.is_transactional() && self.is_void_data(batch.producer_id()),
        }
    }

    /// The aborted transactions whose markers were told since the last time, of those that readers still have to know: a batch of
    /// them was there. Kafka keeps these in the compacted segment's `.txnindex`.
    pub fn take_kept(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.kept)
    }

    fn begin_until(&mut self, offset: Offset) {
        while let Some(begun) = self.to_come.pop_front_if(|next| next.first_offset <= offset) {
            self.aborted.entry(begun.producer_id).or_insert(Aborted {
                transaction: begun,
                has_records: false,
            });
        }
    }

    fn is_void_data(&mut self, producer: ProducerId) -> bool {
        match self.aborted.get_mut(&producer) {
            Some(aborted) => {
                aborted.has_records = true;
                true
            }
            None => {
                self.committed.insert(producer);
                false
            }
        }
    }

    fn is_void_marker(&mut self, batch: &BatchView<'_>) -> bool {
        let producer = batch.producer_id();
        match control_type(batch) {
            Control::Emptied => true,
            Control::Of(ControlType::Abort) => {
                let aborted = self.aborted.remove(&producer).filter(|it| it.has_records);
                self.kept.extend(aborted.map(|it| it.transaction));
                aborted.is_none()
            }
            Control::Of(ControlType::Commit) => !self.committed.remove(&producer),
            Control::Of(_) | Control::Unknown => false,
        }
    }
}

enum Control {
    Of(ControlType),
    /// Its marker went in an earlier compaction.
    Emptied,
    Unknown,
}

fn control_type(batch: &BatchView<'_>) -> Control {
    if batch.records_count() <= 0 {
        return Control::Emptied;
    }
    let Ok(payload) = batch.payload(CONTROL_BYTES_MAX) else {
        return Control::Unknown;
    };
    let first = batch.records(&payload).next().and_then(Result::ok);
    let key = first.and_then(|record| record.key);
    key.and_then(ControlType::from_key)
        .map_or(Control::Unknown, Control::Of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, ProducerEpoch, Timestamp};
    use crate::wire::batch::{BatchBuilder, emptied};
    use crate::wire::compression::Codec;

    fn builder(offset: i64, producer: i64) -> BatchBuilder {
        BatchBuilder::new(Codec::None)
            .producer(ProducerId(producer), ProducerEpoch(0), -1)
            .at(Offset(offset), LeaderEpoch(0))
    }

    fn data(offset: i64, producer: i64) -> Vec<u8> {
        let mut batch = builder(offset, producer).transactional();
        batch.add(Timestamp(0), Some(b"k"), Some(b"v"), &[]);
        batch.build().to_vec()
    }

    fn marker(offset: i64, producer: i64, control_type: ControlType) -> Vec<u8> {
        let mut batch = builder(offset, producer).transactional().control();
        batch.add_control(Timestamp(0), control_type, &[0; 6]);
        batch.build().to_vec()
    }

    fn aborted(producer: i64, first: i64, last: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last + 1),
        }
    }

    fn told(aborted: Vec<AbortedTransaction>, batches: &[Vec<u8>]) -> Vec<bool> {
        let mut transactions = Transactions::new(aborted);
        let views = batches.iter().map(|batch| BatchView::first(batch).unwrap());
        views.map(|batch| transactions.is_void(&batch)).collect()
    }

    #[test]
    fn records_of_aborted_transactions_do_not_count_and_others_do() {
        let batches = [
            data(0, 1),
            data(1, 2),
            marker(2, 1, ControlType::Abort),
            data(3, 1),
            marker(4, 2, ControlType::Commit),
            marker(5, 1, ControlType::Commit),
        ];
        let void = told(vec![aborted(1, 0, 2)], &batches);
        assert_eq!(void, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_marker_may_go_when_nothing_of_its_transaction_is_left() {
        let batches = [
            marker(2, 1, ControlType::Abort),
            marker(5, 2, ControlType::Commit),
            data(6, 2),
            marker(7, 2, ControlType::Commit),
            marker(8, 2, ControlType::Commit),
        ];
        assert_eq!(
            told(vec![aborted(1, 0, 2)], &batches),
            [true, true, false, false, true]
        );
        let empty = emptied(&BatchView::first(&batches[0]).unwrap());
        assert_eq!(told(vec![], &[empty]), [true]);
    }

    #[test]
    fn a_producers_later_transaction_is_told_from_an_aborted_one() {
        let batches = [
            data(0, 1),
            marker(1, 1, ControlType::Commit),
            data(2, 1),
            marker(3, 1, ControlType::Abort),
            data(4, 1),
        ];
        assert_eq!(
            told(vec![aborted(1, 2, 3)], &batches),
            [false, false, true, false, false]
        );
    }

    #[test]
    fn control_batches_that_end_no_transaction_stay() {
        let leader = marker(0, -1, ControlType::LeaderChange);
        assert_eq!(told(vec![], &[leader]), [false]);
    }
}
