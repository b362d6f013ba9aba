//! One member of a consumer group.

use super::record::{
    ClassicMemberMetadata, CurrentMemberAssignment, MemberId, MemberMetadata, Record, TopicPartitions,
};
use super::{Epoch, Heartbeat, Held};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How far a member is on its way to what it should have (Kafka's `MemberState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It is there, or hasn't been told of anything newer.
    Stable,
    /// It has to give up partitions first.
    UnrevokedPartitions,
    /// It waits for partitions that others still have.
    UnreleasedPartitions,
    /// A later version's state: the member has to join anew.
    Unknown,
}

impl MemberState {
    /// The number in the records.
    pub fn number(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        }
    }

    fn from_number(number: i8) -> MemberState {
        match number {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }
}

/// A member. Cheap to copy: what is large in it is shared until it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// The instance id of a static member: while it is away its partitions wait for it.
    pub instance_id: Option<Arc<str>>,
    /// Where it runs.
    pub rack_id: Option<Arc<str>>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// The address it calls from.
    pub client_host: Arc<str>,
    /// The topics that it reads by name.
    pub names: Arc<BTreeSet<Arc<str>>>,
    /// The regular expression whose topics it reads; empty for none.
    pub expression: Arc<str>,
    /// How long it may take to give up partitions; as the member said it.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it asked for.
    pub server_assignor: Option<Arc<str>>,
    /// What is known of a member that uses the classic protocol.
    pub classic_member_metadata: Option<ClassicMemberMetadata>,
    /// Which assignment it has come to; [`Epoch::STATIC_LEAVE`] while it is away.
    pub epoch: Epoch,
    /// The one before, which it still says when an answer was lost.
    pub previous_epoch: Epoch,
    /// How far it is.
    pub state: MemberState,
    /// What it has.
    pub assigned: Arc<Held>,
    /// What it has to give up, and still counts as having.
    pub revoking: Arc<Held>,
}

impl Member {
    /// A member of which nothing is known but the id.
    pub fn new(id: MemberId) -> Member {
        Member {
            id,
            instance_id: None,
            rack_id: None,
            client_id: "".into(),
            client_host: "".into(),
            names: Arc::default(),
            expression: "".into(),
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic_member_metadata: None,
            epoch: Epoch::JOIN,
            previous_epoch: Epoch(-1),
            state: MemberState::Stable,
            assigned: Arc::default(),
            revoking: Arc::default(),
        }
    }

    /// The regular expression whose topics it reads.
    pub fn expression(&self) -> Option<&Arc<str>> {
        Some(&self.expression).filter(|expression| !expression.is_empty())
    }

    /// Whether it has come to the assignment of `epoch` and has all of it.
    pub fn is_reconciled_to(&self, epoch: Epoch) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// Whether it uses the classic protocol.
    pub fn uses_classic_protocol(&self) -> bool {
        self.classic_member_metadata.is_some()
    }

    /// The member with what `heartbeat` says; what it leaves out stays.
    pub(super) fn told(&self, heartbeat: &Heartbeat) -> Member {
        let mut member = self.clone();
        let shared = |text: &String| Arc::from(text.as_str());
        member.client_id = shared(&heartbeat.client_id);
        member.client_host = shared(&heartbeat.client_host);
        if let Some(instance_id) = &heartbeat.instance_id {
            member.instance_id = Some(shared(instance_id));
        }
        if let Some(rack_id) = &heartbeat.rack_id {
            member.rack_id = Some(shared(rack_id));
        }
        if heartbeat.rebalance_timeout_ms != -1 {
            member.rebalance_timeout_ms = heartbeat.rebalance_timeout_ms;
        }
        if let Some(assignor) = &heartbeat.server_assignor {
            member.server_assignor = Some(shared(assignor));
        }
        if let Some(names) = &heartbeat.subscribed_topic_names {
            member.names = Arc::new(names.iter().map(shared).collect());
        }
        if let Some(expression) = &heartbeat.subscribed_topic_regex {
            member.expression = shared(expression);
        }
        member.classic_member_metadata = None;
        member
    }

    /// The member as it is once it has gone away for a while: what it has waits for it, what it gave up is free.
    pub(super) fn away(&self) -> Member {
        Member {
            epoch: Epoch::STATIC_LEAVE,
            assigned: Arc::new(self.assigned.at(Epoch(0))),
            revoking: Arc::default(),
            ..self.clone()
        }
    }

    /// The static member that came back as `id`, with what waited for it.
    pub(super) fn back_as(&self, id: MemberId) -> Member {
        Member {
            id,
            epoch: Epoch::JOIN,
            previous_epoch: Epoch::JOIN,
            ..self.clone()
        }
    }

    /// The record of who it is.
    pub(super) fn metadata_record(&self) -> Record {
        Record::MemberMetadata {
            member_id: self.id.clone(),
            value: Some(MemberMetadata {
                instance_id: self.instance_id.clone(),
                rack_id: self.rack_id.clone(),
                client_id: self.client_id.clone(),
                client_host: self.client_host.clone(),
                subscribed_topic_names: self.names.iter().cloned().collect(),
                subscribed_topic_regex: Some(self.expression.clone()),
                rebalance_timeout_ms: self.rebalance_timeout_ms,
                server_assignor: self.server_assignor.clone(),
                classic_member_metadata: self.classic_member_metadata.clone(),
            }),
        }
    }

    /// The record of what it has.
    pub(super) fn assignment_record(&self) -> Record {
        Record::CurrentMemberAssignment {
            member_id: self.id.clone(),
            value: Some(CurrentMemberAssignment {
                member_epoch: self.epoch,
                previous_member_epoch: self.previous_epoch,
                state: self.state.number(),
                assigned_partitions: topic_partitions(&self.assigned),
                partitions_pending_revocation: topic_partitions(&self.revoking),
            }),
        }
    }

    /// The member as of a record of who it is.
    pub(super) fn with_metadata(&self, value: MemberMetadata) -> Member {
        Member {
            instance_id: value.instance_id,
            rack_id: value.rack_id,
            client_id: value.client_id,
            client_host: value.client_host,
            names: Arc::new(value.subscribed_topic_names.into_iter().collect()),
            expression: value.subscribed_topic_regex.unwrap_or_default(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            server_assignor: value.server_assignor,
            classic_member_metadata: value.classic_member_metadata,
            ..self.clone()
        }
    }

    /// The member as of a record of what it has; none is a tombstone.
    pub(super) fn with_assignment(&self, value: Option<CurrentMemberAssignment>) -> Member {
        let Some(value) = value else {
            return Member {
                epoch: Epoch(-1),
                previous_epoch: Epoch(-1),
                assigned: Arc::default(),
                revoking: Arc::default(),
                ..self.clone()
            };
        };
        Member {
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::from_number(value.state),
            assigned: Arc::new(held(&value.assigned_partitions, value.member_epoch)),
            revoking: Arc::new(held(&value.partitions_pending_revocation, value.member_epoch)),
            ..self.clone()
        }
    }
}

fn topic_partitions(held: &Held) -> Vec<TopicPartitions> {
    let topic = |(topic_id, partitions): (_, &std::collections::BTreeMap<_, _>)| TopicPartitions {
        topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    held.by_topic().map(topic).collect()
}

/// Where a record has no epochs, or not as many as partitions, the member's own stands for them, as in Kafka.
fn held(topics: &[TopicPartitions], member_epoch: Epoch) -> Held {
    let mut held = Held::default();
    for topic in topics {
        let epochs = topic
            .assignment_epochs
            .as_ref()
            .filter(|e| e.len() == topic.partitions.len());
        for (at, partition) in topic.partitions.iter().enumerate() {
            let epoch = epochs.map_or(member_epoch.max(Epoch(0)), |epochs| epochs[at]);
            held.add(topic.topic_id, *partition, epoch);
        }
    }
    held
}
