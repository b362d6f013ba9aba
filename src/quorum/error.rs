//! Why a metadata log can't be opened, or a change can't be made.

use super::snapshot::SnapshotError;
use crate::base::{LeaderEpoch, NodeId, Offset};
use crate::log::{AppendError, LogError, ReadError};
use crate::metadata::{ApplyError, RecordBatchError};
use std::fmt;
use std::io;

/// See the module. At a start each of them ends it; of a change the variants say what is left.
#[derive(Debug)]
pub enum QuorumError {
    /// Its files can't be opened.
    Open(LogError),
    /// They can't be read.
    Read(ReadError),
    /// A snapshot, or what a format left, can't be read.
    Snapshot(SnapshotError),
    /// What they hold doesn't apply.
    Apply(ApplyError),
    /// There is nothing of the log between the newest snapshot and the first segment.
    Gap {
        /// Where the newest snapshot ends.
        snapshot: Offset,
        /// Where the log begins.
        start: Offset,
    },
    /// A batch is of an epoch before the last one's, or of one that leaves no room for elections.
    Epoch {
        /// The batch, or what a snapshot ends before.
        offset: Offset,
        /// Its epoch.
        epoch: LeaderEpoch,
    },
    /// The log names other voters than this node.
    OtherVoters {
        /// All that it names.
        named: Vec<NodeId>,
    },
    /// The log names this node, with another directory: this isn't the disk that voted.
    OtherDirectory,
    /// The machine refuses; a fault of ours.
    Machine(raft::Error),
    /// The change is too large. The log is as before.
    Batch(RecordBatchError),
    /// The term and the vote can't be written. The log is as before.
    Ballot(LogError),
    /// The change can't be appended. If the disk is only full, the log is as before.
    Append(AppendError),
    /// The disk failed: what was proposed may or may not be there after a restart.
    Flush(io::Error),
    /// An earlier change failed in a way that leaves the log in doubt; only a restart helps.
    InDoubt,
}

impl fmt::Display for QuorumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumError::Open(error) => write!(f, "{error}"),
            QuorumError::Read(error) => write!(f, "the metadata log can't be read: {error}"),
            QuorumError::Snapshot(error) => write!(f, "{error}"),
            QuorumError::Apply(error) => write!(f, "{error}"),
            QuorumError::Gap { snapshot, start } => write!(
                f,
                "the metadata log begins at offset {start}, and the newest snapshot ends at {snapshot}: what was between is missing"
            ),
            QuorumError::Epoch { offset, epoch } => write!(
                f,
                "the metadata log is damaged at offset {offset}: epoch {epoch} can't follow what is before it"
            ),
            QuorumError::OtherVoters { named } => {
                let named: Vec<_> = named.iter().map(NodeId::to_string).collect();
                write!(
                    f,
                    "the voters of the metadata log are the nodes {}; a quorum of this node alone is all there is yet",
                    named.join(", ")
                )
            }
            QuorumError::OtherDirectory => f.write_str(
                "the metadata log names another directory.id as this node's voter than meta.properties does",
            ),
            QuorumError::Machine(error) => write!(f, "the quorum refuses: {error}"),
            QuorumError::Batch(error) => write!(f, "{error}"),
            QuorumError::Ballot(error) => write!(f, "{error}"),
            QuorumError::Append(error) => write!(f, "the metadata log can't be written: {error}"),
            QuorumError::Flush(error) => write!(f, "the metadata log can't be flushed: {error}"),
            QuorumError::InDoubt => {
                f.write_str("the metadata log takes no changes since one of them failed; restart the node")
            }
        }
    }
}

impl std::error::Error for QuorumError {}
