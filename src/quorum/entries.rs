//! Raft's view of the metadata log: which entry is which batch. One entry is one batch, so an entry's place is the batch's base
//! offset and its term the batch's leader epoch; nothing of that is stored a second time.

use crate::base::{LeaderEpoch, Offset};
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::collections::VecDeque;

/// How far a snapshot goes, in Raft's numbers and in the log's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The index of the last entry that it contains; 0 for none.
    pub index: u64,
    /// The term of that entry.
    pub term: LeaderEpoch,
    /// The offset behind that entry.
    pub offset: Offset,
}

/// The entries behind the newest snapshot; see the module.
///
/// Grows by 16 bytes an entry until the next snapshot: `metadata.log.max.record.bytes.between.snapshots` bounds it.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    start: Position,
    placed: VecDeque<Placed>,
    end_offset: Offset,
    /// The newest entries, until they are handed back as committed. Invariant: they end where `placed` ends.
    pending: VecDeque<Entry>,
    hard_state: HardState,
    conf_state: ConfState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    base_offset: Offset,
    term: LeaderEpoch,
}

impl Entries {
    /// None yet behind a snapshot.
    pub fn behind(start: Position) -> Entries {
        Entries {
            start,
            end_offset: start.offset,
            ..Entries::default()
        }
    }

    /// Adds the entry of the batch at the log's end, which goes to `next_offset`.
    pub fn place(&mut self, term: LeaderEpoch, next_offset: Offset) {
        assert!(next_offset > self.end_offset, "an entry holds a record at least");
        self.placed.push_back(Placed {
            base_offset: self.end_offset,
            term,
        });
        self.end_offset = next_offset;
    }

    /// The index of the last entry; the snapshot's if there is none behind it.
    pub fn last(&self) -> u64 {
        self.start.index + self.placed.len() as u64
    }

    /// The term of the last entry.
    pub fn last_term(&self) -> LeaderEpoch {
        self.placed.back().map_or(self.start.term, |placed| placed.term)
    }

    /// The offset behind the last entry.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// Where a snapshot of everything before `offset` stands; `None` when no entry begins there.
    pub fn position_at(&self, offset: Offset) -> Option<Position> {
        if offset == self.start.offset {
            return Some(self.start);
        }
        let contained = self.placed.partition_point(|placed| placed.base_offset < offset);
        let ends_there = match self.placed.get(contained) {
            Some(next) => next.base_offset == offset,
            None => self.end_offset == offset,
        };
        let last = contained.checked_sub(1).and_then(|at| self.placed.get(at))?;
        ends_there.then_some(Position {
            index: self.start.index + contained as u64,
            term: last.term,
            offset,
        })
    }

    /// Forgets the entries that a snapshot contains.
    pub fn compact(&mut self, to: Position) {
        let contained = to.index.saturating_sub(self.start.index) as usize;
        self.placed.drain(..contained.min(self.placed.len()));
        self.start = to;
    }

    /// What the crate starts from: who votes, what this node voted, and that all entries are committed.
    pub fn set_state(&mut self, conf_state: ConfState, term: u64, vote: u64) {
        self.conf_state = conf_state;
        self.hard_state = HardState {
            term,
            vote,
            commit: self.last(),
            ..HardState::default()
        };
        self.pending.clear();
    }

    /// Adds an entry that is in the log now, as `batch`.
    pub fn append(&mut self, mut entry: Entry, batch: Bytes, next_offset: Offset) {
        assert_eq!(entry.index, self.last() + 1, "entries come in order");
        self.place(epoch_of(entry.term), next_offset);
        entry.data = batch;
        self.pending.push_back(entry);
    }

    /// Forgets the bytes of entries that were handed out.
    pub fn applied(&mut self, index: u64) {
        while self.pending.front().is_some_and(|entry| entry.index <= index) {
            self.pending.pop_front();
        }
    }
}

/// A term as the batches name it.
///
/// # Panics
/// Past `i32::MAX` elections; [`super::ballot`] refuses what is near it.
pub fn epoch_of(term: u64) -> LeaderEpoch {
    LeaderEpoch(i32::try_from(term).expect("a term that Kafka's format can hold"))
}

/// A leader epoch as the crate counts it.
pub fn term_of(epoch: LeaderEpoch) -> u64 {
    u64::try_from(epoch.0).unwrap_or(0)
}

impl Storage for Entries {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.conf_state.clone()))
    }

    /// Only what was appended and not yet handed out is asked for: a start counts the log as applied, and nobody else needs
    /// entries.
    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        let first = self.pending.front().map_or(u64::MAX, |entry| entry.index);
        if low < first {
            return Err(Error::Store(StorageError::Compacted));
        }
        let wanted = self
            .pending
            .iter()
            .filter(|entry| (low..high).contains(&entry.index));
        let mut found: Vec<Entry> = wanted.cloned().collect();
        raft::util::limit_size(&mut found, max_size.into());
        Ok(found)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.start.index {
            return Ok(term_of(self.start.term));
        }
        let Some(behind) = index.checked_sub(self.start.index + 1) else {
            return Err(Error::Store(StorageError::Compacted));
        };
        match self.placed.get(behind as usize) {
            Some(placed) => Ok(term_of(placed.term)),
            None => Err(Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.start.index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, _: u64, _: u64) -> Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(start: Position, of: &[(i32, i64)]) -> Entries {
        let mut entries = Entries::behind(start);
        for &(term, records) in of {
            let next = Offset(entries.end_offset().0 + records);
            entries.place(LeaderEpoch(term), next);
        }
        entries
    }

    #[test]
    fn a_snapshot_can_only_stand_between_two_batches() {
        let entries = entries(Position::default(), &[(1, 3), (1, 2), (2, 1)]);
        let at = |offset| entries.position_at(Offset(offset)).map(|p| (p.index, p.term.0));
        let all: Vec<_> = (0..8).map(at).collect();
        let none = None;
        assert_eq!(
            all,
            [
                Some((0, 0)),
                none,
                none,
                Some((1, 1)),
                none,
                Some((2, 1)),
                Some((3, 2)),
                none
            ]
        );
    }

    proptest! {
        #[test]
        fn entries_and_batches_count_the_same_whatever_was_compacted(
            of in prop::collection::vec((0i32..3, 1i64..5), 1..40),
            start in (0u64..50, 0i64..50),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut term = 1;
            let of: Vec<(i32, i64)> = of.into_iter().map(|(rise, records)| { term += rise; (term, records) }).collect();
            let start = Position { index: start.0, term: LeaderEpoch(1), offset: Offset(start.1) };
            let whole = entries(start, &of);
            let cut = cut.index(of.len()) + 1;
            let offset = Offset(start.offset.0 + of[..cut].iter().map(|(_, records)| records).sum::<i64>());
            let position = whole.position_at(offset).expect("a batch ends there");
            prop_assert_eq!(position.index, start.index + cut as u64);
            prop_assert_eq!(position.term.0, of[cut - 1].0);
            // Compacted, or opened behind that snapshot: the same entries have the same numbers.
            let mut compacted = whole.clone();
            compacted.compact(position);
            let opened = entries(position, &of[cut..]);
            for entries in [&compacted, &opened] {
                prop_assert_eq!(entries.last_index(), whole.last_index());
                prop_assert_eq!(entries.end_offset(), whole.end_offset());
                prop_assert_eq!(entries.first_index().unwrap(), position.index + 1);
                for index in position.index..=whole.last() {
                    prop_assert_eq!(entries.term(index), whole.term(index));
                }
                prop_assert_eq!(entries.term(whole.last() + 1), Err(Error::Store(StorageError::Unavailable)));
            }
            if position.index > 0 {
                prop_assert_eq!(compacted.term(position.index - 1), Err(Error::Store(StorageError::Compacted)));
            }
        }
    }
}
