//! A consumer group of KIP-848: its members call, are told what they have, and never wait for each other.
//!
//! Three things have epochs and follow each other: the group's goes up when its members, their subscriptions or the topics change; then an
//! [`assignor`] says who *should* have what, the target, for that epoch; then each member, in its own heartbeats and its own time, gives up
//! what it shouldn't have and gets what is free.
//!
//! The machine has no I/O, clock or chance. [`ConsumerGroup::step`] decides, and changes nothing that is in the log; what it decided are
//! [`Record`]s, to be [replayed](ConsumerGroup::replay) at once and appended in one batch. Its answer may leave when they are committed; if
//! the append fails, the group is loaded anew. A group lives on the core that owns its partition of `__consumer_offsets`, and ends with the
//! tombstone that [`ConsumerGroup::end`] gives.
//!
//! Behaviour, codes and records are those of Kafka 4.3.1: `GroupMetadataManager`, `modern.consumer.ConsumerGroup`. Members of a group may use
//! the classic protocol ([`Member::classic_member_metadata`]); what such a member asks isn't served here yet.

mod access;
mod assignor;
mod deadlines;
mod describe;
mod epoch;
mod event;
mod leaving;
mod member;
mod partitions;
mod reconcile;
mod record;
mod regexes;
mod resolving;
mod state;
mod staying;
mod target;
#[cfg(test)]
mod tests;
mod topics;
mod validate;

use crate::base::Instant;
use deadlines::{Deadlines, Due};
use state::State;
use staying::{Remembered, Stayed, Staying};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use access::CommitCheck;
pub use assignor::Assignor;
pub use describe::{DescribedGroup, DescribedMember, GroupState, MemberType, NamedPartitions};
pub use epoch::Epoch;
pub use event::{Answer, Around, Event, Heartbeat, Now, Outcome, Refusal, Settings};
pub use member::{Member, MemberState};
pub use partitions::{Held, Partitions};
pub use record::{
    ClassicMemberMetadata, ClassicProtocol, CurrentMemberAssignment, GroupMetadata, MemberId, MemberMetadata,
    Record, RegularExpression, TargetAssignmentMember, TargetAssignmentMetadata, TopicPartitions,
};
pub use regexes::{Resolution, Resolved};
pub use topics::{ImageView, TopicShape, TopicView, topic_hash};

/// How many members one step puts out of the group, since each takes records in one batch. Who is left follows in the next step, at once.
const FENCED_AT_ONCE_MAX: usize = 100;

/// A consumer group; see the module.
#[derive(Debug, Default)]
pub struct ConsumerGroup {
    /// What the log says.
    state: State,
    remembered: Remembered,
    deadlines: Deadlines,
}

impl Default for Remembered {
    /// Of a group just made or loaded: nobody has looked at its topics.
    fn default() -> Remembered {
        Remembered {
            topics_may_have_changed: true,
            resolving: false,
        }
    }
}

impl ConsumerGroup {
    /// Applies one of the group's records: while it is loaded, and those that a step gave.
    pub fn replay(&mut self, record: Record) {
        self.state.replay(record);
    }

    /// Decides what comes of `event`. What the outcome's records say is not so before they are replayed.
    pub fn step(&mut self, now: Now, event: Event, around: Around<'_>) -> Outcome {
        match event {
            Event::Heartbeat(heartbeat) => self.heartbeat(now, &heartbeat, around),
            Event::ExpressionsResolved(resolved) => self.resolved(resolved, around),
            Event::TopicsChanged => self.topics_changed(),
            Event::Loaded => self.loaded(now, around.settings),
            Event::Deadline => self.deadline(now, around),
        }
    }

    /// When [`Event::Deadline`] is to come next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    /// Whether the group reads the topic of this name, and wants to know of its changes.
    pub fn reads(&self, topic: &str) -> bool {
        self.state.reads(topic)
    }

    /// Whether the group's last record was its tombstone.
    pub fn has_ended(&self) -> bool {
        self.state.ended
    }

    /// The group's epoch.
    pub fn epoch(&self) -> Epoch {
        self.state.epoch
    }

    /// The epoch of what members should have.
    pub fn assignment_epoch(&self) -> Epoch {
        self.state.assignment_epoch
    }

    /// Its members, ascending by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.state.members.values()
    }

    fn heartbeat(&mut self, now: Now, heartbeat: &Heartbeat, around: Around<'_>) -> Outcome {
        let decided = validate::check(heartbeat, around.settings).and_then(|()| {
            let leaves = matches!(heartbeat.member_epoch, Epoch::LEAVE | Epoch::STATIC_LEAVE);
            if leaves {
                self.leave(heartbeat, around)
            } else {
                self.stay(now, heartbeat, around)
            }
        });
        decided.unwrap_or_else(|refusal| Outcome {
            answer: Some(Err(refusal)),
            ..Outcome::default()
        })
    }

    fn leave(&mut self, heartbeat: &Heartbeat, around: Around<'_>) -> Result<Outcome, Refusal> {
        let left = self.state.leave(heartbeat, around.topics)?;
        if heartbeat.member_epoch == Epoch::LEAVE {
            self.deadlines.clear(&left.member.id);
        } else {
            // Its session goes on: it is out unless it is back before that ends.
            self.deadlines.clear_rebalance(&left.member.id);
        }
        Ok(Outcome {
            records: left.records,
            answer: Some(Ok(left.answer)),
            resolution: None,
        })
    }

    fn stay(&mut self, now: Now, heartbeat: &Heartbeat, around: Around<'_>) -> Result<Outcome, Refusal> {
        let staying = Staying {
            state: &self.state,
            remembered: self.remembered,
            now,
            around,
            heartbeat,
        };
        let stayed = staying.decide()?;
        self.remembered.topics_may_have_changed &= !stayed.saw_topics;
        self.remembered.resolving |= stayed.resolution.is_some();
        self.set_deadlines(now, &stayed, around.settings);
        Ok(Outcome {
            records: stayed.records,
            answer: Some(Ok(stayed.answer)),
            resolution: stayed.resolution,
        })
    }

    fn set_deadlines(&mut self, now: Now, stayed: &Stayed, settings: &Settings) {
        if let Some(replaced) = &stayed.replaced {
            self.deadlines.clear(replaced);
        }
        let member = &stayed.member;
        self.deadlines
            .set_session(&member.id, now.monotonic + millis(settings.session_timeout_ms));
        if stayed.reconciled {
            self.set_rebalance_deadline(now, member);
        }
    }

    fn set_rebalance_deadline(&mut self, now: Now, member: &Member) {
        if member.state == MemberState::UnrevokedPartitions {
            let at = now.monotonic + millis(member.rebalance_timeout_ms);
            self.deadlines.set_rebalance(&member.id, at, member.epoch);
        } else {
            self.deadlines.clear_rebalance(&member.id);
        }
    }

    fn resolved(&mut self, resolved: Option<BTreeMap<Arc<str>, Resolved>>, around: Around<'_>) -> Outcome {
        self.remembered.resolving = false;
        let Some(resolved) = resolved else {
            return Outcome::default();
        };
        let (records, epoch_changed) = self.state.take_resolved(resolved, around.topics);
        self.remembered.topics_may_have_changed &= !epoch_changed;
        Outcome {
            records,
            ..Outcome::default()
        }
    }

    fn topics_changed(&mut self) -> Outcome {
        self.remembered.topics_may_have_changed = true;
        Outcome::default()
    }

    fn loaded(&mut self, now: Now, settings: &Settings) -> Outcome {
        self.remembered = Remembered::default();
        self.deadlines = Deadlines::default();
        let members: Vec<Member> = self.state.members.values().cloned().collect();
        for member in &members {
            self.deadlines
                .set_session(&member.id, now.monotonic + millis(settings.session_timeout_ms));
            self.set_rebalance_deadline(now, member);
        }
        Outcome::default()
    }

    /// Puts those out whose time has come, all in one new epoch of the group.
    fn deadline(&mut self, now: Now, around: Around<'_>) -> Outcome {
        let mut out: BTreeSet<MemberId> = BTreeSet::new();
        while out.len() < FENCED_AT_ONCE_MAX
            && let Some(due) = self.deadlines.take_due(now.monotonic)
        {
            let (id, is_out) = match due {
                Due::Session(id) => (id, true),
                Due::Rebalance(id, epoch) => {
                    let still_there = self
                        .state
                        .members
                        .get(&id)
                        .is_some_and(|member| member.epoch == epoch);
                    (id, still_there)
                }
            };
            if is_out && self.state.members.contains_key(&id) {
                self.deadlines.clear(&id);
                out.insert(id);
            }
        }
        let members: Vec<&Member> = out.iter().filter_map(|id| self.state.members.get(id)).collect();
        Outcome {
            records: if members.is_empty() {
                Vec::new()
            } else {
                self.state.fence(&members, around.topics)
            },
            ..Outcome::default()
        }
    }
}

/// What a setting or a member says in milliseconds; less than none is none.
fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
