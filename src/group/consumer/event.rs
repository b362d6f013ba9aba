//! What happens to a consumer group, and what comes of it.

use super::record::{MemberId, Record};
use super::regexes::{Resolution, Resolved};
use super::topics::TopicView;
use super::{Assignor, Epoch, Partitions};
use crate::base::{Instant, Timestamp};
use crate::wire::ErrorCode;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The time at which something happens.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// What deadlines go by.
    pub monotonic: Instant,
    /// What records carry.
    pub wall: Timestamp,
}

/// The settings that hold for a group: its own, else the broker's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `consumer.heartbeat.interval.ms`: what members are told.
    pub heartbeat_interval_ms: i32,
    /// `consumer.session.timeout.ms`: silence after which a member is out.
    pub session_timeout_ms: i32,
    /// `consumer.assignment.interval.ms`: the least time between two assignments (KIP-1263).
    pub assignment_interval_ms: i32,
    /// `consumer.assignor.offload.enable`. Accepted without effect: an assignment is made in the step that needs it, in a few milliseconds
    /// for a thousand members.
    pub assignor_offload: bool,
    /// `group.consumer.max.size`.
    pub members_max: usize,
    /// `group.consumer.assignors`, the default first. Never empty.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.regex.refresh.interval.ms`: how old what an expression matches may become.
    pub expression_refresh_ms: i64,
}

impl Default for Settings {
    /// Kafka's defaults.
    fn default() -> Settings {
        Settings {
            heartbeat_interval_ms: 5_000,
            session_timeout_ms: 45_000,
            assignment_interval_ms: 1_000,
            assignor_offload: true,
            members_max: i32::MAX as usize,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            expression_refresh_ms: 600_000,
        }
    }
}

/// What a group looks at while it decides.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// What holds for it.
    pub settings: &'a Settings,
    /// The topics there are.
    pub topics: &'a dyn TopicView,
}

/// What happens to a group.
#[derive(Debug)]
pub enum Event {
    /// A member calls. The outcome has an answer.
    Heartbeat(Box<Heartbeat>),
    /// The [`Resolution`] that an outcome gave out is finished; none if it came to nothing.
    ExpressionsResolved(Option<BTreeMap<Arc<str>, Resolved>>),
    /// A topic that the group reads was created, changed or deleted.
    TopicsChanged,
    /// All records of the group have been replayed: its members' sessions begin.
    Loaded,
    /// What [`super::ConsumerGroup::next_deadline`] said has come.
    Deadline,
}

/// A ConsumerGroupHeartbeat request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its version.
    pub version: i16,
    /// The client's id.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// The id for a member that joins without one, as in version 0; drawn by who calls.
    pub new_member_id: String,
    /// The group, as the member calls it.
    pub group_id: String,
    /// The member.
    pub member_id: String,
    /// Its epoch, or [`Epoch::JOIN`], [`Epoch::LEAVE`], [`Epoch::STATIC_LEAVE`].
    pub member_epoch: Epoch,
    /// As [`super::Member`]; none if it is as before.
    pub instance_id: Option<String>,
    /// As [`super::Member`]; none if it is as before.
    pub rack_id: Option<String>,
    /// As [`super::Member`]; −1 if it is as before.
    pub rebalance_timeout_ms: i32,
    /// The topics that it reads; none if they are as before.
    pub subscribed_topic_names: Option<Vec<String>>,
    /// The regular expression whose topics it reads; none if it is as before, empty to read none.
    pub subscribed_topic_regex: Option<String>,
    /// The assignor that it asks for; none if it is as before.
    pub server_assignor: Option<String>,
    /// The partitions that it has; none if they are as before.
    pub topic_partitions: Option<Partitions>,
}

impl Heartbeat {
    /// Whether it says all that a member can say, as after a lost answer: it is told all in return.
    pub(super) fn is_full(&self) -> bool {
        let subscribed = self.subscribed_topic_names.is_some() || self.subscribed_topic_regex.is_some();
        self.rebalance_timeout_ms != -1 && subscribed && self.topic_partitions.is_some()
    }
}

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its id.
    pub member_id: MemberId,
    /// The epoch to say from now on.
    pub member_epoch: Epoch,
    /// When to call again; 0 for one that left.
    pub heartbeat_interval_ms: i32,
    /// What it has from now on; none if that is as before.
    pub assignment: Option<Partitions>,
}

/// Why somebody is sent away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's code for it.
    pub code: ErrorCode,
    /// What to tell people.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        let message = message.into();
        Refusal { code, message }
    }
}

/// What comes of an event.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be replayed at once and appended in one batch; none if nothing changed.
    pub records: Vec<Record>,
    /// To a heartbeat, once the records are committed.
    pub answer: Option<Result<Answer, Refusal>>,
    /// Regular expressions to be matched; to be given back with [`Event::ExpressionsResolved`].
    pub resolution: Option<Resolution>,
}
