//! When a member is out: after too long a silence, or because it is too slow to give up partitions.

use super::Epoch;
use super::record::MemberId;
use crate::base::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The deadlines of a group's members: at most two for each. They are not in the log; a group that is loaded begins them anew.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    of_members: BTreeMap<MemberId, OfMember>,
    /// Invariant: the same deadlines as in `of_members`.
    by_time: BTreeSet<(Instant, Kind, MemberId)>,
}

#[derive(Debug, Default)]
struct OfMember {
    session: Option<Instant>,
    rebalance: Option<(Instant, Epoch)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Session,
    Rebalance,
}

/// A deadline that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The member was silent for too long.
    Session(MemberId),
    /// The member had until now to leave this epoch.
    Rebalance(MemberId, Epoch),
}

impl Deadlines {
    /// The member is out unless it is heard of before `at`.
    pub fn set_session(&mut self, member: &MemberId, at: Instant) {
        let before = self.of(member).session.replace(at);
        self.moved(Kind::Session, member, before, Some(at));
    }

    /// The member is out unless it has left `epoch` before `at`.
    pub fn set_rebalance(&mut self, member: &MemberId, at: Instant, epoch: Epoch) {
        let before = self.of(member).rebalance.replace((at, epoch));
        self.moved(Kind::Rebalance, member, before.map(|b| b.0), Some(at));
    }

    /// The member has given up what it had to.
    pub fn clear_rebalance(&mut self, member: &MemberId) {
        let before = self.of_members.get_mut(member).and_then(|of| of.rebalance.take());
        self.moved(Kind::Rebalance, member, before.map(|b| b.0), None);
    }

    /// The member is gone.
    pub fn clear(&mut self, member: &MemberId) {
        if let Some(of) = self.of_members.remove(member) {
            self.moved(Kind::Session, member, of.session, None);
            self.moved(Kind::Rebalance, member, of.rebalance.map(|r| r.0), None);
        }
    }

    /// The first of all.
    pub fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, ..)| *at)
    }

    /// Takes the first deadline, if it has come.
    pub fn take_due(&mut self, now: Instant) -> Option<Due> {
        if self.first()? > now {
            return None;
        }
        let (_, kind, member) = self.by_time.pop_first()?;
        let of = self.of_members.get_mut(&member)?;
        match kind {
            Kind::Session => {
                of.session = None;
                Some(Due::Session(member))
            }
            Kind::Rebalance => {
                let (_, epoch) = of.rebalance.take()?;
                Some(Due::Rebalance(member, epoch))
            }
        }
    }

    fn of(&mut self, member: &MemberId) -> &mut OfMember {
        self.of_members.entry(member.clone()).or_default()
    }

    fn moved(&mut self, kind: Kind, member: &MemberId, from: Option<Instant>, to: Option<Instant>) {
        if let Some(from) = from {
            self.by_time.remove(&(from, kind, member.clone()));
        }
        if let Some(to) = to {
            self.by_time.insert((to, kind, member.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deadline_comes_once_in_order_and_only_its_newest_form() {
        let (a, b): (MemberId, MemberId) = ("a".into(), "b".into());
        let mut deadlines = Deadlines::default();
        deadlines.set_session(&a, Instant(10));
        deadlines.set_session(&a, Instant(30));
        deadlines.set_session(&b, Instant(20));
        deadlines.set_rebalance(&b, Instant(25), Epoch(3));
        deadlines.set_rebalance(&a, Instant(5), Epoch(2));
        deadlines.clear_rebalance(&a);
        assert_eq!(deadlines.first(), Some(Instant(20)));
        assert_eq!(deadlines.take_due(Instant(19)), None);
        assert_eq!(deadlines.take_due(Instant(40)), Some(Due::Session(b.clone())));
        assert_eq!(deadlines.take_due(Instant(40)), Some(Due::Rebalance(b, Epoch(3))));
        deadlines.clear(&a);
        assert_eq!(deadlines.take_due(Instant(40)), None);
        assert_eq!(deadlines.first(), None);
    }
}
