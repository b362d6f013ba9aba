//! A commit: what a request asks for becomes records.

use super::{Decision, Offsets, key_of};
use crate::base::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId};
use crate::group::record::GroupRecord;
use crate::wire::ErrorCode;
use crate::wire::messages::OffsetCommitValue;

/// What is to be committed for one partition, its topic known by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Commit<'a> {
    pub topic: &'a str,
    /// Zero where the request has none.
    pub topic_id: TopicId,
    pub partition: PartitionIndex,
    /// Any number, as in Kafka.
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// Null is the empty text.
    pub metadata: Option<&'a str>,
}

/// Which request commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// OffsetCommit. Its versions 2 to 4 may say how long the offsets are kept, in ms; −1 leaves it to the broker.
    Plain { retention_ms: i64 },
    /// TxnOffsetCommit: the records go into a batch of the transaction. As in Kafka they carry no topic id.
    Transactional,
}

impl CommitKind {
    /// OffsetCommit as newer clients send it.
    pub const PLAIN: CommitKind = CommitKind::Plain { retention_ms: -1 };
}

/// What holds for all partitions of a request.
#[derive(Clone, Copy, Debug)]
pub struct CommitRules {
    /// The time by the wall clock.
    pub now: Timestamp,
    pub kind: CommitKind,
    /// `offset.metadata.max.bytes`. As in Kafka it counts UTF-16 units, whatever its name says.
    pub metadata_length_max: usize,
}

/// Why a partition's offset is not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// The text is longer than `offset.metadata.max.bytes`.
    MetadataTooLarge,
}

impl CommitError {
    pub fn code(self) -> ErrorCode {
        match self {
            CommitError::MetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        }
    }
}

impl Offsets {
    /// The records of a commit, and for each partition asked for, in order, whether it is among them.
    ///
    /// `may_commit` is asked for each partition whose text is not too long, since a group may let a member of an older epoch commit for what
    /// it still owns (Kafka's `CommitPartitionValidator`).
    ///
    /// # Errors
    /// The first of `may_commit`: then nothing of the request is committed.
    pub fn commit<'a, E>(
        &self,
        commits: impl IntoIterator<Item = Commit<'a>>,
        rules: &CommitRules,
        mut may_commit: impl FnMut(&Commit<'a>) -> Result<(), E>,
    ) -> Result<Decision<Vec<Result<(), CommitError>>>, E> {
        let mut decision = Decision {
            records: Vec::new(),
            answer: Vec::new(),
        };
        for commit in commits {
            if rules.is_too_long(commit.metadata) {
                decision.answer.push(Err(CommitError::MetadataTooLarge));
                continue;
            }
            may_commit(&commit)?;
            decision.records.push(self.record(&commit, rules));
            decision.answer.push(Ok(()));
        }
        Ok(decision)
    }

    fn record(&self, commit: &Commit<'_>, rules: &CommitRules) -> GroupRecord<'static> {
        let value = OffsetCommitValue {
            offset: commit.offset.0,
            leader_epoch: commit.leader_epoch.0,
            metadata: commit.metadata.unwrap_or_default().to_owned().into(),
            commit_timestamp: rules.now.0,
            expire_timestamp: rules.expire_timestamp().0,
            topic_id: match rules.kind {
                CommitKind::Plain { .. } => commit.topic_id,
                CommitKind::Transactional => TopicId::ZERO,
            },
        };
        GroupRecord::OffsetCommit(key_of(&self.group, commit.topic, commit.partition), Some(value))
    }
}

impl CommitRules {
    fn is_too_long(&self, metadata: Option<&str>) -> bool {
        let metadata = metadata.unwrap_or_default();
        // A text has never more UTF-16 units than bytes.
        metadata.len() > self.metadata_length_max
            && metadata.encode_utf16().count() > self.metadata_length_max
    }

    /// Saturates: "for ever" must not come to a time that has passed, as it does in Kafka.
    fn expire_timestamp(&self) -> Timestamp {
        match self.kind {
            CommitKind::Plain { retention_ms } if retention_ms != -1 => {
                Timestamp(self.now.0.saturating_add(retention_ms))
            }
            CommitKind::Plain { .. } | CommitKind::Transactional => Timestamp::NONE,
        }
    }
}
