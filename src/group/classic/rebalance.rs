//! How the join phase begins and ends.

use std::fmt;
use std::time::Duration;

use super::after_append::AfterAppend;
use super::deadlines::Timer;
use super::ids::MemberId;
use super::limits::{JOIN_RETRY_MIN, millis};
use super::{FirstRebalance, Phase, Step};
use crate::wire::ErrorCode;

impl Step<'_> {
    /// Somebody came, changed or left: a rebalance begins, or the one that has begun may be complete.
    pub(super) fn rebalance(&mut self, why: fmt::Arguments<'_>) {
        match self.group.phase {
            Phase::Empty => self.begin_first_rebalance(why),
            Phase::Completing | Phase::Stable => self.begin_rebalance(why),
            Phase::Preparing(_) => self.complete_join_if_due(),
            Phase::Dead => {}
        }
    }

    /// An empty group gives those who start together time to come together (KIP-134).
    fn begin_first_rebalance(&mut self, why: fmt::Arguments<'_>) {
        let delay = self.limits.initial_rebalance_delay;
        let longest = self.rebalance_timeout();
        self.tell_rebalance(why);
        self.set_deadline(Timer::Join, delay);
        self.enter(Phase::Preparing(Some(FirstRebalance {
            has_grown: false,
            delay,
            remaining: longest.saturating_sub(delay),
        })));
    }

    pub(super) fn begin_rebalance(&mut self, why: fmt::Arguments<'_>) {
        self.tell_rebalance(why);
        if self.group.phase == Phase::Completing {
            self.refuse_syncs(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        self.group.members.forget_syncs();
        self.group.deadlines.clear(&Timer::Sync);
        self.enter(Phase::Preparing(None));
        if self.group.members.have_all_joined() {
            self.complete_join();
        } else {
            let timeout = self.rebalance_timeout();
            self.set_deadline(Timer::Join, timeout);
        }
    }

    /// Ends the join phase if all have joined; the first one only ends by its deadline.
    pub(super) fn complete_join_if_due(&mut self) {
        if self.group.phase == Phase::Preparing(None) && self.group.members.have_all_joined() {
            self.complete_join();
        }
    }

    /// The join phase's deadline has come.
    pub(super) fn join_timeout(&mut self) {
        match self.group.phase {
            Phase::Preparing(Some(first)) if first.has_grown && !first.remaining.is_zero() => {
                self.prolong(first);
            }
            Phase::Preparing(_) => self.complete_join(),
            _ => {}
        }
    }

    /// Members still come: another delay, within what the first one's rebalance timeout leaves.
    fn prolong(&mut self, first: FirstRebalance) {
        let delay = self.limits.initial_rebalance_delay.min(first.remaining);
        self.set_deadline(Timer::Join, delay);
        self.group.phase = Phase::Preparing(Some(FirstRebalance {
            has_grown: false,
            delay,
            remaining: first.remaining.saturating_sub(first.delay),
        }));
    }

    /// Ends the join phase. Dynamic members that haven't joined are members no more; static ones are until their session
    /// times out, since they may be back by then.
    pub(super) fn complete_join(&mut self) {
        self.group.deadlines.clear(&Timer::Join);
        for id in self.group.members.absent_dynamic() {
            self.drop_member(&id);
        }
        if self.group.members.is_empty() {
            self.empty_generation();
        } else if self.group.members.elect_joined_leader() {
            self.next_generation();
        } else {
            // Nobody is there to lead: static members that are away. Their sessions end sooner or later.
            let timeout = self.rebalance_timeout().max(JOIN_RETRY_MIN);
            self.set_deadline(Timer::Join, timeout);
        }
    }

    fn empty_generation(&mut self) {
        self.group.generation = self.group.generation.next();
        self.group.protocol = None;
        self.enter(Phase::Empty);
        self.group.learn_subscriptions();
        self.group.members.forget_syncs();
        self.append_group(AfterAppend::Emptied(None));
    }

    fn next_generation(&mut self) {
        self.group.generation = self.group.generation.next();
        self.group.protocol = self.group.members.elect_protocol();
        self.enter(Phase::Completing);
        self.group.learn_subscriptions();
        for id in self.group.members.ids() {
            self.welcome(&id);
        }
        self.group.members.expect_syncs();
        let timeout = self.rebalance_timeout();
        self.set_deadline(Timer::Sync, timeout);
    }

    /// Answers the member's join, if it has joined.
    fn welcome(&mut self, id: &MemberId) {
        if let Some(join) = self.group.members.take_join(id) {
            let answer = self.group.joined(id);
            self.answer(join, answer);
        }
        self.group.members.greet(id);
        self.restart_session(id);
    }

    /// Who has not asked for its assignment in time is a member no more.
    pub(super) fn sync_timeout(&mut self) {
        let late = self.group.members.unsynced();
        if late.is_empty() || !matches!(self.group.phase, Phase::Completing | Phase::Stable) {
            return;
        }
        for id in &late {
            self.drop_member(id);
        }
        self.begin_rebalance(format_args!("{} members did not sync in time", late.len()));
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        millis(self.group.members.rebalance_timeout_ms())
    }

    fn tell_rebalance(&self, why: fmt::Arguments<'_>) {
        let (group, generation) = (&self.group.id, self.group.generation.0);
        tracing::debug!(%group, generation, "rebalance: {why}");
    }
}
