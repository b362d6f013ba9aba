//! Which leader epoch began at which offset (KIP-101, `LeaderEpochFileCache`): the table behind divergence checks
//! (OffsetsForLeaderEpoch, Fetch's `lastFetchedEpoch`) and ListOffsets' epochs. A pure machine; the log keeps its
//! file.

use crate::base::{LeaderEpoch, Offset};
use crate::log::checkpoint::EpochStart;

/// The epochs of one log, oldest first. Invariant: epochs and start offsets both rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    entries: Vec<EpochStart>,
}

/// The answer to "where does epoch N end here?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch known here that is not above the one asked for.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end: Offset,
}

impl Epochs {
    /// A table with `entries`, as the checkpoint file has them.
    pub fn new(entries: Vec<EpochStart>) -> Epochs {
        debug_assert!(entries.is_sorted_by(|a, b| a.epoch < b.epoch && a.start < b.start));
        Epochs { entries }
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The newest epoch that has a record, or was announced by [`assign`](Self::assign).
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        Some(self.entries[after.checked_sub(1)?].epoch)
    }

    /// Notes that `epoch` begins at `start`; true when that changed the table. What contradicts it, a newer epoch or
    /// one that begins at or behind `start`, goes: no record of it is left. Negative epochs ("none") are ignored.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let known = self
            .entries
            .last()
            .is_some_and(|last| last.epoch == epoch && last.start <= start);
        if known || epoch.0 < 0 {
            return false;
        }
        while self
            .entries
            .pop_if(|last| last.epoch >= epoch || last.start >= start)
            .is_some()
        {}
        self.entries.push(EpochStart { epoch, start });
        true
    }

    /// Where `epoch` ended, in a log that ends at `log_end`; `None` is Kafka's UNDEFINED_EPOCH_OFFSET.
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        // Only this one is no epoch; any other, however small, has an answer (`LeaderEpochFileCache.endOffsetFor`).
        if epoch == LeaderEpoch::NONE {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { epoch, end: log_end });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end = self.entries.get(higher)?.start;
        let floor = higher.checked_sub(1).map_or(epoch, |at| self.entries[at].epoch);
        Some(EpochEnd { epoch: floor, end })
    }

    /// Forgets epochs that begin at or behind `end`: their records are gone. True when that changed the table.
    pub fn truncate_end(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        while self.entries.pop_if(|last| last.start >= end).is_some() {}
        self.entries.len() != before
    }

    /// Forgets epochs that ended at or before `start`; the one that `start` lies in now begins there.
    /// True when that changed the table.
    pub fn truncate_start(&mut self, start: Offset) -> bool {
        let Some(last_before) = self
            .entries
            .partition_point(|entry| entry.start <= start)
            .checked_sub(1)
        else {
            return false;
        };
        let changed = self.entries[last_before].start != start || last_before > 0;
        self.entries.drain(..last_before);
        self.entries[0].start = start;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for &(epoch, start) in entries {
            epochs.assign(LeaderEpoch(epoch), Offset(start));
        }
        epochs
    }

    #[test]
    fn an_epoch_is_noted_once_and_contradicted_ones_go() {
        let mut epochs = table(&[(0, 0), (2, 10)]);
        assert!(!epochs.assign(LeaderEpoch(2), Offset(15)), "already known");
        assert!(!epochs.assign(LeaderEpoch::NONE, Offset(15)));
        assert_eq!(epochs, table(&[(0, 0), (2, 10)]));
        assert!(epochs.assign(LeaderEpoch(3), Offset(10)), "epoch 2 wrote nothing");
        assert_eq!(epochs, table(&[(0, 0), (3, 10)]));
        assert!(epochs.assign(LeaderEpoch(1), Offset(5)));
        assert_eq!(epochs, table(&[(0, 0), (1, 5)]));
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next_known_one() {
        let epochs = table(&[(1, 5), (3, 10), (4, 20)]);
        let end = |epoch| {
            epochs
                .end_of(LeaderEpoch(epoch), Offset(30))
                .map(|e| (e.epoch.0, e.end.0))
        };
        assert_eq!(end(-1), None);
        assert_eq!(
            end(0),
            Some((0, 5)),
            "older than all: where the first known one begins"
        );
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(2), Some((1, 10)));
        assert_eq!(end(3), Some((3, 20)));
        assert_eq!(end(4), Some((4, 30)));
        assert_eq!(end(5), None);
        assert_eq!(Epochs::default().end_of(LeaderEpoch(0), Offset(30)), None);
    }

    #[test]
    fn a_records_epoch_is_the_last_that_began_before_it() {
        let epochs = table(&[(1, 5), (3, 10)]);
        for (offset, epoch) in [
            (4, None),
            (5, Some(1)),
            (9, Some(1)),
            (10, Some(3)),
            (99, Some(3)),
        ] {
            assert_eq!(
                epochs.epoch_of(Offset(offset)),
                epoch.map(LeaderEpoch),
                "{offset}"
            );
        }
    }

    #[test]
    fn truncation_forgets_epochs_without_records() {
        let mut epochs = table(&[(1, 5), (3, 10), (4, 20)]);
        assert!(!epochs.truncate_end(Offset(21)));
        assert!(epochs.truncate_end(Offset(20)));
        assert_eq!(epochs, table(&[(1, 5), (3, 10)]));
        assert!(epochs.truncate_start(Offset(12)));
        assert_eq!(epochs, table(&[(3, 12)]));
        assert!(!epochs.truncate_start(Offset(12)));
        assert!(!epochs.truncate_start(Offset(2)));
    }
}
