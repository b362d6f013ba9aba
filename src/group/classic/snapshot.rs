//! A classic group as the record that `__consumer_offsets` has of it.

use std::sync::Arc;

use bytes::Bytes;

use super::events::{Now, Protocol};
use super::ids::{Generation, InstanceId, MemberId};
use super::members::{Member, Terms};
use super::{ClassicGroup, Phase};
use crate::base::Timestamp;

/// Kafka's `GroupMetadataValue`: a generation and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// Empty: none.
    pub protocol_type: Arc<str>,
    /// Which.
    pub generation: Generation,
    /// The one that was chosen; none without members.
    pub protocol: Option<Arc<str>>,
    /// Who assigns; none without members.
    pub leader: Option<Arc<str>>,
    /// When the group's state last changed, or [`Timestamp::NONE`] (before version 2).
    pub current_state_timestamp: Timestamp,
    /// All members.
    pub members: Vec<MemberMetadata>,
}

/// Kafka's `GroupMetadataValue.MemberMetadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The member.
    pub member_id: MemberId,
    /// Its instance id, if it is static.
    pub group_instance_id: Option<InstanceId>,
    /// `client.id` of its first join.
    pub client_id: Arc<str>,
    /// Where that came from.
    pub client_host: Arc<str>,
    /// How long it may take to join again; −1 for the session timeout (before version 1).
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// What it has brought for the chosen protocol.
    pub subscription: Bytes,
    /// Its share.
    pub assignment: Bytes,
}

impl ClassicGroup {
    /// The group that `value` is the last record of. Its members have no deadline before
    /// [`Event::Loaded`](super::events::Event). Of two members with one id or instance id the first counts; no broker
    /// writes such.
    pub fn load(id: Arc<str>, value: GroupMetadata, now: Now) -> ClassicGroup {
        let mut group = ClassicGroup::for_offsets(id, now);
        let leader = value.leader;
        group.phase_began = Some(value.current_state_timestamp).filter(|began| *began != Timestamp::NONE);
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
        for member in value.members {
            group.load_member(member, value.protocol.as_ref());
        }
        group.protocol = value.protocol;
        if !group.members.is_empty() {
            group.phase = Phase::Stable;
            group.protocol.get_or_insert_default();
        }
        group.members.set_leader(leader.as_deref());
        group.learn_subscriptions();
        group
    }

    fn load_member(&mut self, member: MemberMetadata, protocol: Option<&Arc<str>>) {
        let is_second = self.members.get(&member.member_id).is_some()
            || member
                .group_instance_id
                .as_ref()
                .is_some_and(|id| self.members.of_instance(id).is_some());
        if is_second {
            return;
        }
        let rebalance_timeout_ms = match member.rebalance_timeout_ms {
            -1 => member.session_timeout_ms,
            given => given,
        };
        let known = Protocol {
            name: protocol.cloned().unwrap_or_default(),
            metadata: member.subscription,
        };
        let terms = Terms::new(member.session_timeout_ms, rebalance_timeout_ms, vec![known]);
        let client = (member.client_id, member.client_host);
        let mut loaded = Member::new(member.member_id, member.group_instance_id, client, terms);
        loaded.assignment = member.assignment;
        self.members.add(loaded);
    }

    /// The group as it is.
    pub(super) fn metadata(&self) -> GroupMetadata {
        self.metadata_with(|member| member.assignment.clone())
    }

    /// The group as it is, with these shares.
    pub(super) fn metadata_with(&self, share: impl Fn(&Member) -> Bytes) -> GroupMetadata {
        let protocol = self.protocol.as_deref();
        let members = self.members.iter().map(|member| MemberMetadata {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.terms.rebalance_timeout_ms,
            session_timeout_ms: member.terms.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: share(member),
        });
        GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.members.leader().map(|leader| leader.0.clone()),
            current_state_timestamp: self.phase_began.unwrap_or(Timestamp::NONE),
            members: members.collect(),
        }
    }

    /// A group of which nothing is to be remembered but that it is there (Kafka's `newEmptyGroupMetadataRecord`): who is in
    /// it so far has yet to complete a join.
    pub(super) fn newborn_metadata(&self) -> GroupMetadata {
        GroupMetadata {
            protocol_type: Arc::default(),
            generation: Generation(0),
            protocol: None,
            leader: None,
            current_state_timestamp: self.phase_began.unwrap_or(Timestamp::NONE),
            members: Vec::new(),
        }
    }
}
