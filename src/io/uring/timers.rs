//! The core's timers: what the driver looks at before it sleeps.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::{clock, core};
use crate::base::Instant;

/// Sleeping tasks by deadline, in the order of their calls among equals.
#[derive(Default)]
pub(super) struct Timers {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

impl Timers {
    /// The earliest deadline.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Takes one timer that is due.
    #[inline]
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        let due = self.waiting.first_entry().filter(|e| e.key().0 <= now)?;
        Some(due.remove())
    }
}

/// Ready when the clock has reached a point in time.
pub struct Sleep {
    at: Instant,
    key: Option<(Instant, u64)>,
}

impl Sleep {
    /// Ready when [`now`](super::now) has reached `at`.
    pub fn until(at: Instant) -> Sleep {
        Sleep { at, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        core::with(|core| {
            let mut timers = core.timers.borrow_mut();
            match self.key {
                None if self.at <= clock::now() => Poll::Ready(()),
                None => {
                    let key = (self.at, timers.next_id);
                    timers.next_id += 1;
                    timers.waiting.insert(key, cx.waker().clone());
                    self.key = Some(key);
                    Poll::Pending
                }
                Some(key) => match timers.waiting.get_mut(&key) {
                    Some(waker) => {
                        waker.clone_from(cx.waker());
                        Poll::Pending
                    }
                    // The driver took it out: it was due.
                    None => {
                        self.key = None;
                        Poll::Ready(())
                    }
                },
            }
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = core::try_with(|core| core.timers.borrow_mut().waiting.remove(&key));
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_due_by_deadline_and_then_in_order_of_insertion() {
        let mut timers = Timers::default();
        for (id, at) in [(0, 30), (1, 10), (2, 10), (3, 20)] {
            timers.waiting.insert((Instant(at), id), Waker::noop().clone());
        }
        assert_eq!(timers.next(), Some(Instant(10)));
        assert!(timers.pop_due(Instant(9)).is_none());
        assert!(timers.pop_due(Instant(20)).is_some());
        assert_eq!(timers.waiting.keys().map(|k| k.1).collect::<Vec<_>>(), [2, 3, 0]);
    }
}
