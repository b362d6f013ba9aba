//! Carries out what the machine asks for: appends, flushes, the ballot, snapshots.

mod open;
mod snapshots;

use super::QuorumError;
use super::ballot::Ballot;
use super::machine::{Machine, Work};
use super::snapshot::Held;
use crate::base::{LeaderEpoch, NodeId, Offset, Timestamp, TopicId};
use crate::io::{is_out_of_resources, may_pass};
use crate::log::{AppendError, Log, LogError};
use crate::metadata::Membership;
use crate::metadata::batch::{leader_change_batch, record_batch};
use crate::wire::records::MetadataRecord;
use bytes::Bytes;
use std::io;
use std::path::PathBuf;

/// Which voter this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// The `directory.id` of its data directory.
    pub directory: TopicId,
}

/// The metadata log of this node and its part in the quorum; see the module `quorum`.
pub struct Quorum {
    identity: Identity,
    /// The metadata log's directory.
    dir: PathBuf,
    log: Log,
    /// `None` only while it is made anew.
    machine: Option<Machine>,
    ballot: Ballot,
    /// As the log names it.
    membership: Membership,
    state: State,
    limits: Limits,
    /// Oldest first.
    snapshots: Vec<Held>,
    /// Bytes of batches behind the newest snapshot.
    bytes_since_snapshot: u64,
    snapshot_under_way: bool,
}

/// `metadata.log.max.record.bytes.between.snapshots` and `metadata.max.retention.*`.
struct Limits {
    bytes_between_snapshots: u64,
    retention_bytes: i64,
    retention_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everything in the log was handed out.
    Settled,
    /// An append failed and left the log as it was; the machine has to be elected again.
    Deposed,
    /// A proposal is under way, or was given up half-way.
    Proposing,
    /// The disk failed: what the log holds is not known.
    Failed,
}

impl Quorum {
    /// Makes one change: commits `records`, which must not be empty, as one batch. The batches that come back are committed, in
    /// order; every image must apply them before the next proposal is decided on. The last one is the change; before it there may
    /// be a LeaderChange.
    pub async fn propose(
        &mut self,
        records: &[MetadataRecord<'_>],
        now: Timestamp,
    ) -> Result<Vec<Bytes>, QuorumError> {
        self.propose_with(now, |at, epoch| {
            record_batch(records, at, epoch, now).map_err(QuorumError::Batch)
        })
        .await
    }

    async fn propose_with(
        &mut self,
        now: Timestamp,
        batch: impl FnOnce(Offset, LeaderEpoch) -> Result<Bytes, QuorumError>,
    ) -> Result<Vec<Bytes>, QuorumError> {
        let mut committed = match self.state {
            State::Settled => Vec::new(),
            State::Deposed => self.campaign(now).await?,
            State::Proposing | State::Failed => return Err(QuorumError::InDoubt),
        };
        let batch = batch(self.log.end_offset(), self.machine().epoch())?;
        // Before anything is asked for: to be out of descriptors is no reason to doubt the log.
        self.log
            .hold_active_now()
            .map_err(|error| QuorumError::Append(AppendError::Disk(error)))?;
        let work = self.machine().propose(batch).map_err(QuorumError::Machine)?;
        committed.extend(self.carry_out(work, now).await?);
        Ok(committed)
    }

    /// Begins a term as its leader.
    async fn campaign(&mut self, now: Timestamp) -> Result<Vec<Bytes>, QuorumError> {
        let work = self.machine().campaign().map_err(QuorumError::Machine)?;
        self.carry_out(work, now).await
    }

    /// Brings `work` to stable storage, the ballot first, and returns what is committed by that.
    async fn carry_out(&mut self, work: Work, now: Timestamp) -> Result<Vec<Bytes>, QuorumError> {
        let persisted = match self.append(&work, now) {
            Ok(persisted) => persisted,
            Err(error) => return Err(self.give_up(error)),
        };
        // Should the caller give up while this waits, the batches are there and nobody knows: in doubt.
        self.state = State::Proposing;
        let flushed = match self.log.flush_plan() {
            Ok(plan) => plan.run().await,
            Err(error) => Err(error),
        };
        match flushed {
            Ok(flushed) => {
                self.log.flushed(flushed);
                self.state = State::Settled;
                self.keep_up().await;
                self.bytes_since_snapshot +=
                    persisted.iter().map(|(batch, _)| batch.len() as u64).sum::<u64>();
                Ok(self.machine().persisted(work, persisted))
            }
            Err(error) => {
                self.state = State::Failed;
                Err(QuorumError::Flush(error))
            }
        }
    }

    /// Brings the log's files up to date beside the batches, which are safe already.
    async fn keep_up(&mut self) {
        loop {
            let upkeep = match self.log.begin_upkeep() {
                Ok(Some(upkeep)) => upkeep,
                Ok(None) => return,
                Err(error) => return tracing::warn!("the metadata log's files wait: {error}"),
            };
            match upkeep.run().await {
                Ok(upkept) => self.log.end_upkeep(upkept),
                Err(error) if may_pass(&error) => {
                    tracing::warn!("the metadata log's files wait for the next change: {error}");
                    return self.log.give_upkeep_up();
                }
                Err(error) => {
                    tracing::error!("the metadata log's files could not be written: {error}");
                    self.log.give_upkeep_up();
                    self.state = State::Failed;
                    return;
                }
            }
        }
    }

    /// Writes the ballot, durably, and the entries, to the page cache.
    fn append(&mut self, work: &Work, now: Timestamp) -> Result<Vec<(Bytes, Offset)>, QuorumError> {
        if let Some(ballot) = &work.ballot {
            ballot
                .write_now(&self.dir, &self.membership)
                .map_err(QuorumError::Ballot)?;
            self.ballot = ballot.clone();
        }
        let mut persisted = Vec::with_capacity(work.entries.len());
        for entry in &work.entries {
            let at = self.log.end_offset();
            let batch = match &entry.batch {
                Some(batch) => batch.clone(),
                None => self.leader_change(at, entry.term, now)?,
            };
            self.log.append(&batch, now).map_err(QuorumError::Append)?;
            persisted.push((batch, self.log.end_offset()));
        }
        Ok(persisted)
    }

    fn leader_change(&self, at: Offset, epoch: LeaderEpoch, now: Timestamp) -> Result<Bytes, QuorumError> {
        let nothing = Membership::default();
        let membership = if at == Offset(0) {
            &self.membership
        } else {
            &nothing
        };
        leader_change_batch(self.identity.node, membership, at, epoch, now).map_err(QuorumError::Batch)
    }

    /// After work that was not done. A full disk, or a ballot that is the old one still, leaves the log as it was: the machine
    /// begins again from what is there, as after a restart.
    fn give_up(&mut self, error: QuorumError) -> QuorumError {
        let as_before = match &error {
            QuorumError::Append(AppendError::Disk(error))
            | QuorumError::Ballot(LogError::Io { error, .. }) => {
                error.kind() == io::ErrorKind::StorageFull || is_out_of_resources(error)
            }
            _ => true,
        };
        self.state = State::Failed;
        if as_before && let Some(machine) = self.machine.take() {
            let entries = machine.into_entries();
            if entries.end_offset() == self.log.end_offset()
                && let Ok(machine) = Machine::new(self.identity.node, entries, &self.ballot)
            {
                self.machine = Some(machine);
                self.state = State::Deposed;
            }
        }
        error
    }

    /// Whether the disk failed: no change is taken any more.
    pub fn has_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// Flushes and closes the files. After a failure there is nothing that may be called clean.
    pub async fn close(self) -> io::Result<()> {
        if !matches!(self.state, State::Settled | State::Deposed) {
            return Err(io::Error::other(QuorumError::InDoubt));
        }
        self.log.close().await.map(drop)
    }

    fn machine(&mut self) -> &mut Machine {
        self.machine
            .as_mut()
            .expect("a quorum in doubt is asked for nothing")
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test tears its files as it likes")]
mod tests;
