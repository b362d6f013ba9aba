//! The classic group: members join, one of them assigns, all sync (Kafka's `ClassicGroup` and the parts of its
//! `GroupMetadataManager` that drive it).
//!
//! A generation is made in two phases. In the first the members **join**: it ends when all have, or at the rebalance
//! timeout without those who haven't. All get the generation's number, and the leader all members with what they brought.
//! In the second they **sync**: the leader's brings the assignment, which is appended to the log; once it is committed, each
//! member gets its share, and the group is stable until somebody comes, changes, leaves or falls silent.
//!
//! | page | what it has |
//! | --- | --- |
//! | `events`, `answers` | what goes in, what comes out |
//! | `join` | JoinGroup |
//! | `rebalance` | how the join phase begins and ends |
//! | `sync` | SyncGroup |
//! | `presence` | Heartbeat, LeaveGroup, timeouts |
//! | `after_append` | what waits for the log |
//! | `commits` | what the group has to say on committed offsets |
//! | `delete` | DeleteGroups |
//! | `describe`, `snapshot` | the group for DescribeGroups, and as the record of its generation |
//!
//! Unlike the other groups, a classic one is not what its records say: they hold the assignment of the last complete
//! generation, and whoever loads it finds a stable group whose members have to show up. A group is plain data of the core
//! that owns its partition of `__consumer_offsets`. It ends as [`State::Dead`]: deleted, or the core's no more.

mod after_append;
pub mod answers;
mod commits;
mod deadlines;
mod delete;
mod describe;
pub mod events;
pub mod ids;
mod join;
pub mod limits;
mod members;
mod presence;
mod rebalance;
mod snapshot;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use after_append::{AfterAppend, Appends};
use answers::Answer;
use deadlines::{Deadlines, Timer};
use events::{Event, Now, Outputs};
use ids::{Generation, MemberId, Token};
use limits::Limits;
use members::Members;

pub use commits::OffsetRetention;
pub use describe::{DescribedGroup, DescribedMember};
pub use snapshot::{GroupMetadata, MemberMetadata};

use crate::base::Timestamp;

/// The protocol type of consumers; of others the coordinator understands nothing that their members bring.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// See the module.
#[derive(Debug)]
pub struct ClassicGroup {
    id: Arc<str>,
    phase: Phase,
    /// When the phase began; none of a group that an old version wrote.
    phase_began: Option<Timestamp>,
    generation: Generation,
    /// What the members have agreed on; none before the first.
    protocol_type: Option<Arc<str>>,
    /// What the generation's leader goes by; none of an empty one.
    protocol: Option<Arc<str>>,
    /// What the consumers of this generation read, if that can be told.
    subscribed: Option<BTreeSet<Arc<str>>>,
    members: Members,
    deadlines: Deadlines,
    appends: Appends,
    /// The log doesn't know the group yet.
    is_unwritten: bool,
}

/// What the group is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody is in it.
    Empty,
    /// Members join; those of the first rebalance have more time.
    Preparing(Option<FirstRebalance>),
    /// The leader assigns.
    Completing,
    /// Everybody has its share.
    Stable,
    /// There is no such group any more.
    Dead,
}

/// How the first rebalance of an empty group waits for more members than the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FirstRebalance {
    /// A member came since the last deadline was set.
    has_grown: bool,
    /// What the last deadline was set for.
    delay: Duration,
    /// What of the rebalance timeout may still be waited after it.
    remaining: Duration,
}

/// A group's state, as ListGroups and DescribeGroups name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No members; committed offsets at most.
    Empty,
    /// Members join.
    PreparingRebalance,
    /// The leader assigns.
    CompletingRebalance,
    /// Every member has its share.
    Stable,
    /// There is no such group any more.
    Dead,
}

impl State {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }
}

impl ClassicGroup {
    /// A new group, made for a member that is about to join: the step that follows writes it down.
    pub fn for_members(id: Arc<str>, now: Now) -> ClassicGroup {
        ClassicGroup {
            is_unwritten: true,
            ..ClassicGroup::for_offsets(id, now)
        }
    }

    /// A new group, made for somebody who commits offsets and is no member; only these are written.
    pub fn for_offsets(id: Arc<str>, now: Now) -> ClassicGroup {
        ClassicGroup {
            id,
            phase: Phase::Empty,
            phase_began: Some(now.wall),
            generation: Generation(0),
            protocol_type: None,
            protocol: None,
            subscribed: None,
            members: Members::default(),
            deadlines: Deadlines::default(),
            appends: Appends::default(),
            is_unwritten: false,
        }
    }

    /// What comes of `event`.
    #[must_use = "the outputs are to be carried out"]
    pub fn step(&mut self, now: Now, limits: &Limits, event: Event) -> Outputs {
        let mut step = Step {
            group: self,
            now,
            limits,
            out: Outputs::default(),
        };
        step.take(event);
        let mut out = step.out;
        out.wake_at = self.deadlines.first();
        out
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Empty => State::Empty,
            Phase::Preparing(_) => State::PreparingRebalance,
            Phase::Completing => State::CompletingRebalance,
            Phase::Stable => State::Stable,
            Phase::Dead => State::Dead,
        }
    }

    /// The last that was completed, or is being assigned.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What its members have agreed on, if there was ever one.
    pub fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    /// Whether it can be forgotten: there is no such group, and its log knows it.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Dead && self.appends.are_done()
    }

    fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }
}

/// One step of a group: the pages of this folder add what it does with each event.
struct Step<'a> {
    group: &'a mut ClassicGroup,
    now: Now,
    limits: &'a Limits,
    out: Outputs,
}

impl Step<'_> {
    fn take(&mut self, event: Event) {
        match event {
            Event::Join(token, request) => self.join(token, *request),
            Event::Sync(token, request) => self.sync(token, request),
            Event::Heartbeat(token, request) => self.heartbeat(token, &request),
            Event::Leave(token, leavers) => self.leave(token, leavers),
            Event::Committed(member_id) => self.committed(&member_id),
            Event::Delete(token) => self.delete(token),
            Event::Timeout => self.timeout(),
            Event::Appended(id, result) => self.appended(id, result),
            Event::Loaded => self.loaded(),
            Event::Unloaded => self.unloaded(),
        }
    }

    fn answer(&mut self, token: Token, answer: Answer) {
        self.out.answers.push((token, answer));
    }

    fn enter(&mut self, phase: Phase) {
        self.group.phase = phase;
        self.group.phase_began = Some(self.now.wall);
    }

    fn set_deadline(&mut self, timer: Timer, after: Duration) {
        self.group.deadlines.set(timer, self.now.at + after);
    }

    /// The member was heard of: its session begins anew.
    fn restart_session(&mut self, id: &MemberId) {
        if let Some(member) = self.group.members.get(id) {
            let timeout = limits::millis(member.terms.session_timeout_ms);
            self.set_deadline(Timer::Session(id.clone()), timeout);
        }
    }

    /// Asks for the group as it is to be appended, then for `after`.
    fn append_group(&mut self, after: AfterAppend) {
        let value = self.group.metadata();
        self.append(Some(value), after);
    }

    fn append(&mut self, value: Option<GroupMetadata>, after: AfterAppend) {
        let id = self.group.appends.begin(after);
        self.out.appends.push(events::Append { id, value });
    }
}
