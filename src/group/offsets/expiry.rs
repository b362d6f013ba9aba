//! Offsets that nobody needs any more (KIP-211): `offsets.retention.minutes`, checked every `offsets.retention.check.interval.ms`.

use super::{CommittedOffset, Offsets};
use crate::base::Timestamp;
use crate::group::record::GroupRecord;

/// The group that holds the offsets, as far as their age goes by it (the groups' `offsetExpirationCondition` in Kafka).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A classic group without a protocol type: nobody has joined it, the offsets come from outside.
    Simple,
    /// A classic group that has a protocol type and is Empty, since then if that is known: older versions of its record don't say it.
    Empty { since: Option<Timestamp> },
    /// A classic group of consumers that is Stable, and whose members' subscriptions are known.
    Subscribed,
    /// A classic group in any other state: nothing of it expires.
    Busy,
    /// A consumer group (KIP-848) or a streams group (KIP-1071), whatever its state.
    Modern,
    /// A share group (KIP-932), whose positions are not kept here.
    Share,
}

/// What a look for old offsets found.
#[derive(Clone, Debug, PartialEq)]
pub struct Expired {
    /// The tombstones.
    pub records: Vec<GroupRecord<'static>>,
    /// Once they are replayed there is nothing left and nothing pending: an empty group may go with its last offset.
    pub nothing_left: bool,
}

impl Offsets {
    /// What is older than `retention_ms`, and of a topic to which the group is not subscribed. A partition with something pending stays.
    pub fn expire(
        &self,
        now: Timestamp,
        retention_ms: i64,
        holder: Holder,
        is_subscribed: impl Fn(&str) -> bool,
    ) -> Expired {
        let is_old = |offset: &CommittedOffset| {
            let since = holder.counts_from(offset);
            since.is_some_and(|since| offset.is_expired(now, since, retention_ms))
        };
        let mut records = Vec::new();
        let mut kept = false;
        for (topic, partition, offset) in self.committed.iter() {
            if is_old(offset) && !is_subscribed(topic) && !self.pending.contains(topic, partition) {
                records.push(self.tombstone(topic, partition));
            } else {
                kept = true;
            }
        }
        Expired {
            records,
            nothing_left: !kept && self.pending.is_empty() && holder != Holder::Share,
        }
    }
}

impl Holder {
    /// From when the retention of `offset` counts; `None` while it does not.
    fn counts_from(self, offset: &CommittedOffset) -> Option<Timestamp> {
        match self {
            Holder::Simple | Holder::Subscribed | Holder::Modern => Some(offset.committed_at),
            Holder::Empty { since } => Some(since.unwrap_or(offset.committed_at)),
            Holder::Busy | Holder::Share => None,
        }
    }
}

impl CommittedOffset {
    fn is_expired(&self, now: Timestamp, since: Timestamp, retention_ms: i64) -> bool {
        match self.expires_at {
            Some(expires_at) => now >= expires_at,
            None => now.0.saturating_sub(since.0) >= retention_ms,
        }
    }
}
