//! One member's way from what it has to what it should have (Kafka's `CurrentAssignmentBuilder`).
//!
//! A member first gives up what it shouldn't have; while it does, that is its own still. Only then it comes to the assignment's epoch
//! and gets what nobody else has; the rest follows when others have given it up. So a partition has one owner at any time, and
//! who has nothing to give or get isn't touched.

use super::state::State;
use super::{Epoch, Held, Member, MemberState, Partitions, Refusal};
use crate::base::{PartitionIndex, TopicId};
use crate::wire::ErrorCode;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a member goes by.
pub(super) struct Way<'a> {
    pub state: &'a State,
    /// The assignment's epoch.
    pub epoch: Epoch,
    /// What the member should have.
    pub target: &'a Partitions,
    /// The topics that it reads now and that exist.
    pub reads: &'a BTreeSet<TopicId>,
    /// Whether it reads others than before: what it doesn't read any more has to go, whatever the assignment says.
    pub reads_others: bool,
    /// What the member says that it has, if it says so.
    pub says_it_has: Option<&'a Partitions>,
}

impl Way<'_> {
    /// The member one step further; the same if there is none to take.
    ///
    /// # Errors
    ///
    /// FENCED_MEMBER_EPOCH if the log has a state that this version doesn't know, and the member something that it must abandon.
    pub fn step(&self, member: &Member) -> Result<Member, Refusal> {
        Ok(match member.state {
            MemberState::Stable if member.epoch != self.epoch => self.towards_target(member),
            MemberState::Stable if self.reads_others => self.without_unread(member),
            MemberState::Stable => member.clone(),
            MemberState::UnrevokedPartitions if !self.still_has(&member.revoking) => {
                self.towards_target(member)
            }
            MemberState::UnrevokedPartitions if self.reads_others => self.without_unread(member),
            MemberState::UnrevokedPartitions => member.clone(),
            MemberState::UnreleasedPartitions => self.towards_target(member),
            MemberState::Unknown if self.says_it_has.is_some_and(Partitions::is_empty) => {
                self.towards_target(member)
            }
            MemberState::Unknown => {
                let message = "The member's state is not known here; it must abandon all its partitions and join again.";
                return Err(Refusal::new(ErrorCode::FENCED_MEMBER_EPOCH, message));
            }
        })
    }

    /// Whether the member has, for all that is known, some of `partitions`.
    fn still_has(&self, partitions: &Held) -> bool {
        let Some(says_it_has) = self.says_it_has else {
            return true;
        };
        says_it_has
            .each()
            .any(|(topic, partition)| partitions.contains(topic, partition))
    }

    /// Only takes away what the member doesn't read any more.
    fn without_unread(&self, member: &Member) -> Member {
        let (kept, unread): (Vec<_>, Vec<_>) = member
            .assigned
            .each()
            .partition(|(topic, ..)| self.reads.contains(topic));
        if unread.is_empty() {
            return member.clone();
        }
        let revoking: Held = member.revoking.each().chain(unread).collect();
        let must_give_up = self.still_has(&revoking);
        Member {
            state: if must_give_up {
                MemberState::UnrevokedPartitions
            } else {
                member.state
            },
            previous_epoch: member.epoch,
            assigned: Arc::new(kept.into_iter().collect()),
            revoking: if must_give_up {
                Arc::new(revoking)
            } else {
                member.revoking.clone()
            },
            ..member.clone()
        }
    }

    fn towards_target(&self, member: &Member) -> Member {
        let should_have =
            |topic, partition| self.reads.contains(&topic) && self.target.contains(topic, partition);
        let (mut kept, surplus): (Held, Held) = split(&member.assigned, should_have);
        if !surplus.is_empty() && self.still_has(&surplus) {
            return Member {
                state: MemberState::UnrevokedPartitions,
                previous_epoch: member.epoch,
                assigned: Arc::new(kept),
                revoking: Arc::new(surplus),
                ..member.clone()
            };
        }
        let mut others_still_have_some = false;
        for (topic, partition) in self.target.each() {
            if !self.reads.contains(&topic) || kept.contains(topic, partition) {
                continue;
            }
            if self.is_another_ones(member, topic, partition) {
                others_still_have_some = true;
            } else {
                kept.add(topic, partition, self.epoch);
            }
        }
        Member {
            state: if others_still_have_some {
                MemberState::UnreleasedPartitions
            } else {
                MemberState::Stable
            },
            previous_epoch: member.epoch,
            epoch: self.epoch,
            assigned: Arc::new(kept),
            revoking: Arc::default(),
            ..member.clone()
        }
    }

    fn is_another_ones(&self, member: &Member, topic: TopicId, partition: PartitionIndex) -> bool {
        self.state
            .owner(topic, partition)
            .is_some_and(|owner| *owner != member.id)
    }
}

fn split(held: &Held, keep: impl Fn(TopicId, PartitionIndex) -> bool) -> (Held, Held) {
    let (kept, rest): (Vec<_>, Vec<_>) = held
        .each()
        .partition(|(topic, partition, _)| keep(*topic, *partition));
    (kept.into_iter().collect(), rest.into_iter().collect())
}
