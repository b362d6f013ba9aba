//! A watch waits for bytes: the parked half of a fetch.
//!
//! The core that owns the partitions owns the watch. It fires at most once, from inside the append that
//! brings the wanted bytes, and is dead as soon as its [`WatchGuard`] is dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::io::{Planted, is_planted};

/// One parked fetch on the partitions it was registered with.
pub struct Watch {
    wanted_bytes: Cell<u64>,
    notify: RefCell<Option<Box<dyn FnOnce()>>>,
}

/// Keeps a [`Watch`] alive; dropping it ends the watch without firing.
pub struct WatchGuard(Rc<Watch>);

impl Watch {
    /// A watch that calls `notify` once `wanted_bytes` (at least 1) have been appended.
    pub fn new(wanted_bytes: u64, notify: impl FnOnce() + 'static) -> (Rc<Watch>, WatchGuard) {
        let watch = Rc::new(Watch {
            wanted_bytes: Cell::new(wanted_bytes.max(1)),
            notify: RefCell::new(Some(Box::new(notify))),
        });
        (watch.clone(), WatchGuard(watch))
    }

    /// Whether it has fired or been given up.
    pub fn is_over(&self) -> bool {
        self.notify.borrow().is_none()
    }

    /// Counts an append of `bytes`; fires when nothing more is wanted.
    pub fn appended(&self, bytes: u64) {
        let wanted_bytes = self.wanted_bytes.get().saturating_sub(bytes);
        self.wanted_bytes.set(wanted_bytes);
        if wanted_bytes == 0 {
            self.fire();
        }
    }

    /// Fires now, whatever is still wanted: the partition went away, or its leadership changed.
    pub fn fire(&self) {
        let notify = self.notify.borrow_mut().take();
        if let Some(notify) = notify {
            notify();
        }
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.notify.borrow_mut().take();
    }
}

/// The watches of one partition.
#[derive(Default)]
pub struct Watches {
    all: Vec<Rc<Watch>>,
    /// At this length those that are over are looked for.
    clean_at: usize,
}

impl Watches {
    /// Adds `watch`. Those that are over are forgotten whenever the list has doubled, so that it is never longer than
    /// twice what is parked, and adding costs the same however long it is.
    pub fn add(&mut self, watch: Rc<Watch>) {
        if self.all.len() >= self.clean_at {
            self.all.retain(|watch| !watch.is_over());
            self.clean_at = 2 * self.all.len() + 8;
        }
        self.all.push(watch);
    }

    /// Tells every watch of an append of `bytes`.
    pub fn appended(&mut self, bytes: u64) {
        let mut has_fired = false;
        self.all.retain(|watch| {
            if !(has_fired && is_planted(Planted::LostWakeUp)) {
                watch.appended(bytes);
            }
            has_fired |= watch.is_over();
            !watch.is_over()
        });
    }

    /// Fires every watch.
    pub fn fire_all(&mut self) {
        for watch in self.all.drain(..) {
            watch.fire();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(wanted_bytes: u64) -> (Rc<Cell<u32>>, Rc<Watch>, WatchGuard) {
        let fired = Rc::new(Cell::new(0));
        let count = fired.clone();
        let (watch, guard) = Watch::new(wanted_bytes, move || count.set(count.get() + 1));
        (fired, watch, guard)
    }

    #[test]
    fn fires_once_when_the_wanted_bytes_have_come() {
        let (fired, watch, _guard) = counted(100);
        let mut watches = Watches::default();
        watches.add(watch);
        watches.appended(99);
        assert_eq!(fired.get(), 0);
        watches.appended(1);
        watches.appended(100);
        assert_eq!(fired.get(), 1);
    }

    #[test]
    fn a_dropped_guard_ends_the_watch() {
        let (fired, watch, guard) = counted(1);
        let mut watches = Watches::default();
        watches.add(watch);
        drop(guard);
        watches.appended(1);
        assert_eq!(fired.get(), 0);
    }

    #[test]
    fn one_watch_sums_the_partitions_it_stands_on() {
        let (fired, watch, _guard) = counted(10);
        let (mut left, mut right) = (Watches::default(), Watches::default());
        left.add(watch.clone());
        right.add(watch);
        left.appended(5);
        right.appended(5);
        assert_eq!(fired.get(), 1);
    }

    #[test]
    fn watches_that_are_over_are_forgotten() {
        let mut watches = Watches::default();
        for _ in 0..100 {
            let (_, watch, _guard) = counted(1);
            watches.add(watch);
        }
        assert!(watches.all.len() <= 8, "{} are kept", watches.all.len());
    }
}
