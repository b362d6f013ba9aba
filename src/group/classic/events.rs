//! What happens to a classic group, and what comes of it.

use std::sync::Arc;

use bytes::Bytes;

use super::answers::Answer;
use super::ids::{AppendId, Generation, InstanceId, MemberId, Token};
use super::limits::Limits;
use super::snapshot::GroupMetadata;
use crate::base::{Instant, Timestamp};
use crate::wire::ErrorCode;

/// The time of a step, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// What deadlines go by.
    pub at: Instant,
    /// What records say.
    pub wall: Timestamp,
}

/// Something that happens to the group.
#[derive(Debug)]
pub enum Event {
    /// JoinGroup.
    Join(Token, Box<JoinRequest>),
    /// SyncGroup.
    Sync(Token, SyncRequest),
    /// Heartbeat.
    Heartbeat(Token, HeartbeatRequest),
    /// LeaveGroup, with who leaves.
    Leave(Token, Vec<Leaver>),
    /// A member's commit of offsets was accepted, which is a sign of life.
    Committed(MemberId),
    /// DeleteGroups, or with no token: nothing of the group is worth keeping any more.
    Delete(Option<Token>),
    /// [`Outputs::wake_at`] has come. Too early or too late does no harm.
    Timeout,
    /// An append that the group had asked for is committed, or is not and never will be. Once for each, in their order.
    Appended(AppendId, Result<(), ErrorCode>),
    /// The last record of the group's log has been read: its members have their session timeout from now on.
    Loaded,
    /// The core is not the group's any more.
    Unloaded,
}

/// JoinGroup: who wants to be a member, on what terms.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The member; unknown where it has no id yet.
    pub member_id: MemberId,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<InstanceId>,
    /// A UUID that is nobody's yet, for the id of a member that has none.
    pub fresh_uuid: Arc<str>,
    /// `client.id` of the request's header.
    pub client_id: Arc<str>,
    /// The client's address as Kafka writes it, `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long the member may take to join again; of version 0, which has none, the session timeout.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect` or what else the members have agreed on.
    pub protocol_type: Arc<str>,
    /// What the member can do, the best first. Each metadata has an allocation of its own: it outlives the request.
    pub protocols: Vec<Protocol>,
    /// Why, if it says so (KIP-800).
    pub reason: Option<String>,
    /// A new dynamic member must come again with the id that it is given: from version 4 (KIP-394).
    pub must_know_its_id: bool,
    /// A leader can be told that the assignment is to stay: from version 9 (KIP-814).
    pub may_skip_assignment: bool,
}

/// One way of assigning that a member knows, and what it tells the leader then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// `range`, `cooperative-sticky` and so on.
    pub name: Arc<str>,
    /// Opaque; of consumers the subscription.
    pub metadata: Bytes,
}

/// SyncGroup: a member asks for its assignment, the leader brings all of them.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The member.
    pub member_id: MemberId,
    /// Its instance id, if it is static.
    pub instance_id: Option<InstanceId>,
    /// The generation that it joined.
    pub generation: Generation,
    /// What it takes for the group's, from version 5.
    pub protocol_type: Option<Arc<str>>,
    /// What it takes for the chosen one, from version 5.
    pub protocol: Option<Arc<str>>,
    /// From the leader: each member's. Allocations of their own, as of [`JoinRequest::protocols`].
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// Heartbeat: a member lives.
#[derive(Clone, Debug)]
pub struct HeartbeatRequest {
    /// The member.
    pub member_id: MemberId,
    /// Its instance id, if it is static.
    pub instance_id: Option<InstanceId>,
    /// The generation that it is in.
    pub generation: Generation,
}

/// One that leaves.
#[derive(Clone, Debug)]
pub struct Leaver {
    /// The member; unknown where an operator removes a static one by its instance id alone.
    pub member_id: MemberId,
    /// Its instance id, if it is static.
    pub instance_id: Option<InstanceId>,
    /// Why, if it says so (KIP-800).
    pub reason: Option<String>,
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Outputs {
    /// To be appended to the group's partition of `__consumer_offsets`, in this order.
    pub appends: Vec<Append>,
    /// To be sent now. A request is answered by one of the steps that follow it, once.
    pub answers: Vec<(Token, Answer)>,
    /// When to call with [`Event::Timeout`], whatever was said before; none while the group waits for nothing.
    pub wake_at: Option<Instant>,
}

/// A record that the group wants to have appended; [`Event::Appended`] tells what became of it.
#[derive(Debug)]
pub struct Append {
    /// Which append.
    pub id: AppendId,
    /// The value under the group's GroupMetadata key; none is a tombstone. Whoever deletes a group puts its offsets'
    /// tombstones into the same batch.
    pub value: Option<GroupMetadata>,
}

impl JoinRequest {
    /// Why `limits` let nobody join so, if they don't. To be asked before a group is made for it.
    pub fn refusal(&self, limits: &Limits) -> Option<ErrorCode> {
        let allowed = limits.session_timeout_min_ms..=limits.session_timeout_max_ms;
        (!allowed.contains(&self.session_timeout_ms)).then_some(ErrorCode::INVALID_SESSION_TIMEOUT)
    }

    /// Bytes of the names and metadata of its protocols.
    pub(super) fn metadata_bytes(&self) -> usize {
        metadata_bytes(&self.protocols)
    }

    /// For a log line.
    pub(super) fn told_reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(NO_REASON)
    }
}

/// Bytes of the names and metadata of `protocols`.
pub(super) fn metadata_bytes(protocols: &[Protocol]) -> usize {
    protocols
        .iter()
        .map(|protocol| protocol.name.len() + protocol.metadata.len())
        .sum()
}

impl Leaver {
    /// For a log line.
    pub(super) fn told_reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(NO_REASON)
    }
}

const NO_REASON: &str = "not provided";
