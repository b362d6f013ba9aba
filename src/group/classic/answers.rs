//! What a classic group answers.

use std::sync::Arc;

use bytes::Bytes;

use super::ids::{Generation, InstanceId, MemberId};
use crate::wire::ErrorCode;

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To JoinGroup.
    Join(JoinAnswer),
    /// To SyncGroup.
    Sync(SyncAnswer),
    /// To Heartbeat.
    Heartbeat(ErrorCode),
    /// To LeaveGroup.
    Leave(LeaveAnswer),
    /// To DeleteGroups.
    Delete(ErrorCode),
}

/// The answer to JoinGroup. With an error, only the member's id counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinAnswer {
    /// What was wrong.
    pub error: ErrorCode,
    /// What the member is called from now on.
    pub member_id: MemberId,
    /// The generation that it is in.
    pub generation: Generation,
    /// The group's.
    pub protocol_type: Option<Arc<str>>,
    /// The one that was chosen.
    pub protocol: Option<Arc<str>>,
    /// Who assigns.
    pub leader: MemberId,
    /// To the leader: the assignment is to stay as it is.
    pub skip_assignment: bool,
    /// To the leader: all members. Empty to the others.
    pub members: Vec<JoinedMember>,
}

/// A member, as its leader gets to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member.
    pub member_id: MemberId,
    /// Its instance id, if it is static.
    pub instance_id: Option<InstanceId>,
    /// What it brought for the chosen protocol.
    pub metadata: Bytes,
}

/// The answer to SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAnswer {
    /// What was wrong.
    pub error: ErrorCode,
    /// The group's, without an error.
    pub protocol_type: Option<Arc<str>>,
    /// The one that was chosen, without an error.
    pub protocol: Option<Arc<str>>,
    /// What the leader made of the member's share.
    pub assignment: Bytes,
}

/// The answer to LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveAnswer {
    /// What was wrong with all of it.
    pub error: ErrorCode,
    /// One for each that was to leave, in the request's order; none with an error.
    pub members: Vec<LeftMember>,
}

/// What became of one that was to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// As the request named it.
    pub member_id: MemberId,
    /// As the request named it.
    pub instance_id: Option<InstanceId>,
    /// What was wrong.
    pub error: ErrorCode,
}

impl JoinAnswer {
    /// No: `error`.
    pub fn refused(member_id: MemberId, error: ErrorCode) -> Answer {
        Answer::Join(JoinAnswer {
            error,
            member_id,
            generation: Generation::NONE,
            protocol_type: None,
            protocol: None,
            leader: MemberId::unknown(),
            skip_assignment: false,
            members: Vec::new(),
        })
    }
}

impl SyncAnswer {
    /// No: `error`.
    pub fn refused(error: ErrorCode) -> Answer {
        Answer::Sync(SyncAnswer {
            error,
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        })
    }
}

impl LeaveAnswer {
    /// No, to all of them: `error`.
    pub fn refused(error: ErrorCode) -> Answer {
        Answer::Leave(LeaveAnswer {
            error,
            members: Vec::new(),
        })
    }
}

/// What clients are told of an append that failed with `error` (Kafka's `appendGroupMetadataErrorToResponseError`).
pub fn told_of_append(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE | ErrorCode::INVALID_FETCH_SIZE => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        other => other,
    }
}
