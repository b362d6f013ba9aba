//! What who isn't in order with the group may not do: commit, fetch offsets, end the group.

use super::{ConsumerGroup, Epoch, Member, Record, Refusal};
use crate::base::{PartitionIndex, TopicId};
use crate::wire::ErrorCode;

/// The first version of OffsetCommit that knows member epochs.
const COMMIT_VERSION_WITH_EPOCHS: i16 = 9;

/// Which partitions a commit may be for.
#[derive(Debug)]
pub enum CommitCheck<'a> {
    /// Any.
    Any,
    /// Those that the member has had since this epoch or an earlier one (KIP-1251).
    GivenBy(Epoch, &'a Member),
}

impl CommitCheck<'_> {
    /// Whether the offset of this partition may be committed.
    ///
    /// # Errors
    ///
    /// STALE_MEMBER_EPOCH, for a classic member ILLEGAL_GENERATION.
    pub fn check(&self, topic: TopicId, partition: PartitionIndex) -> Result<(), Refusal> {
        let CommitCheck::GivenBy(epoch, member) = self else {
            return Ok(());
        };
        let given_by = member.assigned.epoch_of(topic, partition);
        match given_by.or_else(|| member.revoking.epoch_of(topic, partition)) {
            Some(given_by) if given_by <= *epoch => Ok(()),
            Some(given_by) => Err(stale(
                member,
                &format!("The partition was given in epoch {given_by}, after {epoch}."),
            )),
            None => Err(stale(member, "The partition is not the member's.")),
        }
    }
}

impl ConsumerGroup {
    /// Who may commit offsets. A commit from outside the group has no member and a negative epoch, and is taken while the group is
    /// empty; one of a transaction that says nothing of a group is always taken.
    ///
    /// # Errors
    ///
    /// UNKNOWN_MEMBER_ID; UNSUPPORTED_VERSION where `version` of OffsetCommit can't carry an epoch; STALE_MEMBER_EPOCH, for a classic
    /// member ILLEGAL_GENERATION, of an epoch that the member doesn't have yet.
    pub fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        epoch: Epoch,
        is_transactional: bool,
        version: i16,
    ) -> Result<CommitCheck<'_>, Refusal> {
        let says_nothing = member_id.is_empty() && instance_id.is_none() && epoch == Epoch(-1);
        let is_outside = epoch < Epoch(0) && self.state.members.is_empty();
        if is_outside || (is_transactional && says_nothing) {
            return Ok(CommitCheck::Any);
        }
        let member = self.state.known_member(member_id)?;
        if !is_transactional && !member.uses_classic_protocol() && version < COMMIT_VERSION_WITH_EPOCHS {
            let message =
                format!("Members of this group commit with version {COMMIT_VERSION_WITH_EPOCHS} or above.");
            return Err(Refusal::new(ErrorCode::UNSUPPORTED_VERSION, message));
        }
        if epoch > member.epoch {
            return Err(stale(
                member,
                &format!("Epoch {epoch} is newer than the member's, {}.", member.epoch),
            ));
        }
        Ok(if epoch == member.epoch {
            CommitCheck::Any
        } else {
            CommitCheck::GivenBy(epoch, member)
        })
    }

    /// Who may fetch offsets: anybody outside the group, and members in their epoch.
    ///
    /// # Errors
    ///
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH, for a classic member ILLEGAL_GENERATION.
    pub fn check_fetch(&self, member_id: Option<&str>, epoch: Epoch) -> Result<(), Refusal> {
        if member_id.is_none() && epoch < Epoch(0) {
            return Ok(());
        }
        let member = self.state.known_member(member_id.unwrap_or_default())?;
        if epoch == member.epoch {
            return Ok(());
        }
        Err(stale(
            member,
            &format!("Epoch {epoch} is not the member's, {}.", member.epoch),
        ))
    }

    /// The records that end the group; its offsets are not among them.
    ///
    /// # Errors
    ///
    /// NON_EMPTY_GROUP.
    pub fn end(&self) -> Result<Vec<Record>, Refusal> {
        if self.state.members.is_empty() {
            return Ok(self.state.end());
        }
        let message = ErrorCode::NON_EMPTY_GROUP.message();
        Err(Refusal::new(ErrorCode::NON_EMPTY_GROUP, message))
    }
}

fn stale(member: &Member, message: &str) -> Refusal {
    let classic = member.uses_classic_protocol();
    let code = if classic {
        ErrorCode::ILLEGAL_GENERATION
    } else {
        ErrorCode::STALE_MEMBER_EPOCH
    };
    Refusal::new(code, message)
}
