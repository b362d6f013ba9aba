//! A classic group as DescribeGroups shows it.

use std::sync::Arc;

use bytes::Bytes;

use super::ids::{InstanceId, MemberId};
use super::members::Member;
use super::{ClassicGroup, State};

/// What DescribeGroups tells of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// What it is doing.
    pub state: State,
    /// What its members have agreed on; empty before the first.
    pub protocol_type: Arc<str>,
    /// What its leader goes by; empty unless it is stable.
    pub protocol: Arc<str>,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// What DescribeGroups tells of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// The member.
    pub member_id: MemberId,
    /// Its instance id, if it is static.
    pub instance_id: Option<InstanceId>,
    /// `client.id` of its first join.
    pub client_id: Arc<str>,
    /// Where that came from.
    pub client_host: Arc<str>,
    /// What it has brought for the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// Its share.
    pub assignment: Bytes,
}

impl ClassicGroup {
    /// The group as it is. While it rebalances it has no protocol to show.
    pub fn describe(&self) -> DescribedGroup {
        let state = self.state();
        let chosen = self.protocol.as_ref().filter(|_| state == State::Stable);
        let members = self.members.iter().map(|member| describe(member, chosen));
        DescribedGroup {
            state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: chosen.cloned().unwrap_or_default(),
            members: members.collect(),
        }
    }
}

fn describe(member: &Member, chosen: Option<&Arc<str>>) -> DescribedMember {
    DescribedMember {
        member_id: member.id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(chosen.map(|name| &**name)),
        assignment: member.assignment.clone(),
    }
}
