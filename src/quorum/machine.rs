//! Raft's decisions, apart from every file and clock: TiKV's `raft` crate, for a group whose only voter is this node.
//!
//! The machine says what to persist ([`Work`]); who did it says so ([`Machine::persisted`]) and gets what is committed.
//! Nothing ticks: a single voter campaigns when it is told to, has nobody to hear from, and stays leader.

use super::ballot::Ballot;
use super::entries::{Entries, Position, epoch_of, term_of};
use crate::base::{LeaderEpoch, NodeId, Offset};
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, Message, MessageType};
use raft::{Config, RawNode, Ready, StateRole};

/// The crate's election timeout, in ticks that never come. It draws one between the two from a thread's chance: one apart, the
/// draw decides nothing.
const ELECTION_TICKS: (usize, usize) = (20, 21);

/// See the module.
pub struct Machine {
    node: RawNode<Entries>,
    me: NodeId,
    /// The term and the vote that are on disk.
    voted: (u64, u64),
}

/// What must be on stable storage before the machine goes on: first the ballot, then the entries in order.
#[must_use = "the machine waits for it"]
pub struct Work {
    ready: Ready,
    /// The term and the vote, if they changed.
    pub ballot: Option<Ballot>,
    /// Entries for the log.
    pub entries: Vec<Unplaced>,
}

/// An entry that is not in the log yet.
pub struct Unplaced {
    /// Its term.
    pub term: LeaderEpoch,
    /// Its batch; `None` for the empty entry that a leader begins its term with.
    pub batch: Option<Bytes>,
}

impl Machine {
    /// The machine of node `me`, which is the only voter, with `entries` that are all in the log and `ballot` as its last.
    pub fn new(me: NodeId, mut entries: Entries, ballot: &Ballot) -> Result<Machine, raft::Error> {
        let id = raft_id(me);
        let term = ballot.epoch.max(entries.last_term());
        let vote = if ballot.epoch == term { ballot.vote() } else { None };
        let voters = ConfState {
            voters: vec![id],
            ..ConfState::default()
        };
        let voted = (term_of(term), vote.map_or(raft::INVALID_ID, raft_id));
        entries.set_state(voters, voted.0, voted.1);
        let config = Config {
            id,
            election_tick: ELECTION_TICKS.0,
            min_election_tick: ELECTION_TICKS.0,
            max_election_tick: ELECTION_TICKS.1,
            applied: entries.last(),
            max_size_per_msg: raft::NO_LIMIT,
            ..Config::default()
        };
        let silent = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, entries, &silent)?;
        Ok(Machine { node, me, voted })
    }

    /// Asks for leadership; the only voter has it at once.
    pub fn campaign(&mut self) -> Result<Work, raft::Error> {
        self.node.campaign()?;
        debug_assert_eq!(self.node.raft.state, StateRole::Leader);
        Ok(self.work())
    }

    /// Asks for `batch`, whose place is the log's end and whose epoch is [`Machine::epoch`], to be committed.
    pub fn propose(&mut self, batch: Bytes) -> Result<Work, raft::Error> {
        let entry = Entry {
            data: batch,
            ..Entry::default()
        };
        let mut message = Message {
            from: self.node.raft.id,
            ..Message::default()
        };
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![entry].into());
        // Not `RawNode::propose`, which would copy the batch.
        self.node.raft.step(message)?;
        Ok(self.work())
    }

    fn work(&mut self) -> Work {
        let ready = self.node.ready();
        let ballot = ready.hs().filter(|hs| (hs.term, hs.vote) != self.voted);
        let ballot = ballot.map(|hs| Ballot {
            epoch: epoch_of(hs.term),
            leader: (self.node.raft.leader_id == self.node.raft.id).then_some(self.me),
            voted: (hs.vote == self.node.raft.id).then_some(self.me),
        });
        let unplaced = |entry: &Entry| Unplaced {
            term: epoch_of(entry.term),
            batch: (!entry.data.is_empty()).then(|| entry.data.clone()),
        };
        let entries = ready.entries().iter().map(unplaced).collect();
        Work {
            ready,
            ballot,
            entries,
        }
    }

    /// Tells that `work` is on stable storage, its entries as `batches` that end at the given offsets. Returns what is committed by it.
    pub fn persisted(&mut self, mut work: Work, batches: Vec<(Bytes, Offset)>) -> Vec<Bytes> {
        assert_eq!(work.entries.len(), batches.len(), "each entry is one batch");
        let handed_out = work.ready.take_committed_entries();
        for (entry, (batch, next_offset)) in work.ready.entries().clone().into_iter().zip(batches) {
            self.node.mut_store().append(entry, batch, next_offset);
        }
        if let Some(hs) = work.ready.hs() {
            self.voted = (hs.term, hs.vote);
        }
        let mut light = self.node.advance(work.ready);
        let mut committed = handed_out;
        committed.extend(light.take_committed_entries());
        if let Some(last) = committed.last() {
            let index = last.index;
            self.node.advance_apply_to(index);
            self.node.mut_store().applied(index);
        }
        committed.into_iter().map(|entry| entry.data).collect()
    }

    /// The term of the leader, as batches name it.
    pub fn epoch(&self) -> LeaderEpoch {
        epoch_of(self.node.raft.term)
    }

    /// Where a snapshot of everything before `offset` stands; `None` inside a batch.
    pub fn position_at(&self, offset: Offset) -> Option<Position> {
        self.node.store().position_at(offset)
    }

    /// Forgets what a snapshot contains.
    pub fn compact(&mut self, to: Position) {
        self.node.mut_store().compact(to);
    }

    /// Gives up what was not persisted: the entries that are in the log, to begin again with.
    pub fn into_entries(mut self) -> Entries {
        std::mem::take(self.node.mut_store())
    }
}

/// The crate's ids begin at 1, node ids at 0.
fn raft_id(node: NodeId) -> u64 {
    u64::from(node.0.unsigned_abs()) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::Storage;

    const ME: NodeId = NodeId(0);

    fn batch(n: u8) -> Bytes {
        Bytes::from(vec![n; 3])
    }

    /// Persists at once, one record a batch; returns what came of it.
    fn persist(machine: &mut Machine, work: Work) -> Vec<Bytes> {
        let mut end = machine.node.store().end_offset();
        let placed = work.entries.iter().map(|entry| {
            end = Offset(end.0 + 1);
            (entry.batch.clone().unwrap_or_else(|| batch(0)), end)
        });
        let placed = placed.collect();
        machine.persisted(work, placed)
    }

    #[test]
    fn one_voter_leads_at_once_and_commits_what_is_persisted() {
        let mut machine = Machine::new(ME, Entries::default(), &Ballot::default()).unwrap();
        let work = machine.campaign().unwrap();
        let ballot = work.ballot.clone().unwrap();
        assert_eq!(
            (ballot.epoch, ballot.leader, ballot.vote()),
            (LeaderEpoch(1), Some(ME), Some(ME))
        );
        assert!(work.entries.len() == 1 && work.entries[0].batch.is_none());
        assert_eq!(persist(&mut machine, work), [batch(0)]);
        for n in 1..10 {
            let work = machine.propose(batch(n)).unwrap();
            assert!(work.ballot.is_none(), "the vote is on disk");
            assert_eq!(work.entries[0].term, LeaderEpoch(1));
            assert_eq!(persist(&mut machine, work), [batch(n)]);
            assert!(
                machine
                    .node
                    .store()
                    .entries(1, 2, None, raft::GetEntriesContext::empty(false))
                    .is_err()
            );
        }
        assert_eq!(machine.position_at(Offset(10)).unwrap().index, 10);
    }

    #[test]
    fn each_start_is_a_term_above_all_that_were_seen() {
        let mut entries = Entries::default();
        entries.place(LeaderEpoch(4), Offset(7));
        for (ballot, expected) in [(2, 5), (4, 5), (9, 10)] {
            let ballot = Ballot {
                epoch: LeaderEpoch(ballot),
                leader: None,
                voted: Some(NodeId(8)),
            };
            let mut machine = Machine::new(ME, entries.clone(), &ballot).unwrap();
            let work = machine.campaign().unwrap();
            assert_eq!(work.ballot.as_ref().unwrap().epoch, LeaderEpoch(expected));
            assert_eq!(
                persist(&mut machine, work),
                [batch(0)],
                "nothing of the log comes twice"
            );
        }
    }

    #[test]
    fn an_entry_that_was_not_persisted_is_forgotten_by_a_new_start() {
        let mut machine = Machine::new(ME, Entries::default(), &Ballot::default()).unwrap();
        let work = machine.campaign().unwrap();
        let ballot = work.ballot.clone().unwrap();
        persist(&mut machine, work);
        let _lost = machine.propose(batch(7)).unwrap();
        let mut machine = Machine::new(ME, machine.into_entries(), &ballot).unwrap();
        let work = machine.campaign().unwrap();
        assert_eq!(work.entries[0].term, LeaderEpoch(2));
        assert_eq!(persist(&mut machine, work), [batch(0)]);
        let work = machine.propose(batch(8)).unwrap();
        assert_eq!(persist(&mut machine, work), [batch(8)]);
    }
}
