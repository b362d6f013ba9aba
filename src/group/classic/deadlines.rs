//! What a group waits for, and until when.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::MemberId;
use crate::base::Instant;

/// What a deadline is for. Of each there is at most one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The members' joins: the phase ends, complete or not.
    Join,
    /// The members' syncs: who has not asked for its assignment by then is out.
    Sync,
    /// A sign of life of this member; of a pending one, its join.
    Session(MemberId),
}

/// The deadlines of one group, the next of them at hand.
#[derive(Debug, Default)]
pub struct Deadlines {
    by_timer: BTreeMap<Timer, Instant>,
    by_time: BTreeSet<(Instant, Timer)>,
}

impl Deadlines {
    /// Waits for `timer` until `at`, and no more for when it was to be before.
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.clear(&timer);
        self.by_time.insert((at, timer.clone()));
        self.by_timer.insert(timer, at);
    }

    /// Waits for `timer` no more.
    pub fn clear(&mut self, timer: &Timer) {
        if let Some((timer, at)) = self.by_timer.remove_entry(timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    /// Waits for nothing any more.
    pub fn clear_all(&mut self) {
        *self = Deadlines::default();
    }

    /// The earliest.
    pub fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out those that have come, the earliest first.
    pub fn take_due(&mut self, now: Instant) -> Vec<Timer> {
        let mut due = Vec::new();
        while self.first().is_some_and(|at| at <= now) {
            let (_, timer) = self.by_time.pop_first().expect("there is a first");
            self.by_timer.remove(&timer);
            due.push(timer);
        }
        due
    }

    /// Until when `timer` is waited for.
    #[cfg(test)]
    pub fn of(&self, timer: &Timer) -> Option<Instant> {
        self.by_timer.get(timer).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_has_one_deadline_the_last_that_was_set() {
        let mut deadlines = Deadlines::default();
        deadlines.set(Timer::Join, Instant(10));
        deadlines.set(Timer::Join, Instant(30));
        deadlines.set(Timer::Sync, Instant(20));
        assert_eq!(deadlines.first(), Some(Instant(20)));
        assert_eq!(deadlines.take_due(Instant(19)), []);
        assert_eq!(deadlines.take_due(Instant(30)), [Timer::Sync, Timer::Join]);
        assert_eq!(deadlines.first(), None);
    }

    #[test]
    fn a_cleared_timer_never_comes() {
        let mut deadlines = Deadlines::default();
        let session = Timer::Session("a".into());
        deadlines.set(session.clone(), Instant(10));
        deadlines.clear(&session);
        deadlines.clear(&Timer::Join);
        assert_eq!((deadlines.first(), deadlines.of(&session)), (None, None));
    }
}
