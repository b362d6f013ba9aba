//! What a classic group has to say on committed offsets: who may commit, which may be deleted, how long they are kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ids::{Generation, InstanceId, MemberId};
use super::{ClassicGroup, Phase};
use crate::base::Timestamp;
use crate::wire::messages::ConsumerProtocolSubscription;
use crate::wire::{Decode, DecodeError, Decoder, ErrorCode};

/// From when on an offset's retention counts (Kafka's `OffsetExpirationCondition`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetRetention {
    /// No offset is too old.
    Forever,
    /// From its commit; an offset of a topic that the group [reads](ClassicGroup::is_subscribed_to) is kept.
    SinceCommit,
    /// From when the group became empty.
    Since(Timestamp),
}

impl ClassicGroup {
    /// Whether a commit may count that says to come from this member (unknown: from nobody) in this generation
    /// ([`Generation::NONE`]: in none). One that counts is to be told as [`Event::Committed`](super::events::Event).
    pub fn check_commit(
        &self,
        member_id: &MemberId,
        instance_id: Option<&InstanceId>,
        generation: Generation,
        is_transactional: bool,
    ) -> Result<(), ErrorCode> {
        let is_empty = self.phase == Phase::Empty;
        let is_of_no_generation = generation < Generation(0);
        if self.phase == Phase::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        if is_of_no_generation && is_empty {
            // Of a tool, or of a consumer that is no member.
            return Ok(());
        }
        if !is_of_no_generation || !member_id.is_unknown() || instance_id.is_some() {
            self.members.known(member_id, instance_id)?;
            if generation != self.generation {
                return Err(ErrorCode::ILLEGAL_GENERATION);
            }
        } else if !is_transactional {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        // A transaction's offsets come from producers, which old versions let say nothing of the group.
        if self.phase == Phase::Completing && !is_transactional {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// Whether offsets may be fetched.
    pub fn check_fetch(&self) -> Result<(), ErrorCode> {
        match self.phase {
            Phase::Dead => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            _ => Ok(()),
        }
    }

    /// Whether offsets may be deleted; of consumers, those of topics that they don't
    /// [read](ClassicGroup::is_subscribed_to).
    pub fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        match self.phase {
            Phase::Dead => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            Phase::Empty => Ok(()),
            _ if self.is_of_consumers() => Ok(()),
            _ => Err(ErrorCode::NON_EMPTY_GROUP),
        }
    }

    /// Whether a member reads `topic`. Consumers of whom it isn't known read everything; members of other types nothing
    /// that the coordinator could know of.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// How long the group's offsets are kept.
    pub fn offset_retention(&self) -> OffsetRetention {
        if self.protocol_type.is_none() {
            return OffsetRetention::SinceCommit;
        }
        match (self.phase, self.phase_began) {
            (Phase::Empty, Some(since)) => OffsetRetention::Since(since),
            (Phase::Empty, None) => OffsetRetention::SinceCommit,
            (Phase::Stable, _) if self.is_of_consumers() && self.subscribed.is_some() => {
                OffsetRetention::SinceCommit
            }
            _ => OffsetRetention::Forever,
        }
    }

    /// Reads from what the members have brought for the chosen protocol which topics they read.
    pub(super) fn learn_subscriptions(&mut self) {
        self.subscribed = self.subscriptions();
    }

    fn subscriptions(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.is_of_consumers() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.iter() {
            let metadata = member.metadata(Some(self.protocol.as_deref()?));
            if let Err(error) = add_topics(&metadata, &mut topics) {
                let (group, member) = (&self.id, &member.id);
                tracing::debug!(%group, %member, %error, "what a consumer subscribes to can't be read");
                return None;
            }
        }
        Some(topics)
    }
}

/// Every version of the subscription begins as version 0 does, and that is all we want of it.
fn add_topics(metadata: &[u8], topics: &mut BTreeSet<Arc<str>>) -> Result<(), DecodeError> {
    let mut decoder = Decoder::new(metadata);
    let _version = decoder.i16()?;
    let subscription = ConsumerProtocolSubscription::decode(&mut decoder, 0)?;
    topics.extend(subscription.topics.iter().map(|topic| Arc::from(&*topic)));
    Ok(())
}
