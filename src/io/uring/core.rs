//! What one core owns, and how the code that runs on it finds it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use super::super::Counters;
use super::buffers::Pool;
use super::mesh::Mailbox;
use super::ring::Ring;
use super::shared::{PerCore, Shared};
use super::task::Tasks;
use super::timers::Timers;
use crate::base::CoreId;

/// One core's state. Never leaves its thread.
pub(super) struct Core {
    pub(super) id: CoreId,
    pub(super) shared: Arc<Shared>,
    pub(super) ring: RefCell<Ring>,
    pub(super) pool: Rc<Pool>,
    pub(super) tasks: Rc<Tasks>,
    pub(super) timers: RefCell<Timers>,
    pub(super) mailboxes: RefCell<Vec<Weak<dyn Mailbox>>>,
    /// Tasks in `yield_now`: runnable again after the loop has looked at the world once.
    pub(super) yielded: RefCell<Vec<Waker>>,
}

thread_local! {
    static CURRENT: Cell<*const Core> = const { Cell::new(std::ptr::null()) };
}

impl Core {
    /// What this core shows to other threads.
    pub(super) fn published(&self) -> &PerCore {
        self.shared.of(self.id)
    }

    /// Wakes `peer` when it sleeps; for use after something was put where it looks.
    #[inline]
    pub(super) fn wake_peer(&self, peer: CoreId) {
        let published = self.shared.of(peer);
        if published.claim_wake() {
            self.published().stats.peer_wakes.add(1);
            self.ring.borrow_mut().message_ring(published.ring());
        }
    }

    /// Makes `mailbox` one that the loop looks into.
    pub(super) fn add_mailbox(&self, mailbox: Weak<dyn Mailbox>) {
        self.mailboxes.borrow_mut().push(mailbox);
    }
}

/// While it lives, the thread's code finds `core` by [`with`].
pub(super) struct Entered(#[expect(dead_code, reason = "keeps the pointer in CURRENT valid")] Rc<Core>);

pub(super) fn enter(core: Rc<Core>) -> Entered {
    CURRENT.with(|current| {
        assert!(current.get().is_null(), "one core for each thread");
        current.set(Rc::as_ptr(&core));
    });
    Entered(core)
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(std::ptr::null()));
    }
}

/// Runs `f` on the calling thread's core.
///
/// # Panics
/// When the thread is none of `run`'s cores.
#[inline]
pub(super) fn with<R>(f: impl FnOnce(&Core) -> R) -> R {
    try_with(f).expect("only code that `io::run` runs may use this")
}

/// As [`with`]; `None` off the cores.
#[inline]
pub(super) fn try_with<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    let current = CURRENT.with(Cell::get);
    // SAFETY: non-null only while an `Entered` of this thread keeps the core alive, and `f` cannot end that: `Entered` is
    // owned by the frame that runs the whole executor.
    unsafe { current.as_ref() }.map(f)
}

/// The calling core's number.
///
/// # Panics
/// Off the cores, as everything of this room that needs one.
pub fn core() -> CoreId {
    with(|core| core.id)
}

/// The counters of all cores of this run.
pub fn counters() -> Counters {
    with(|core| core.shared.counters())
}
