//! The loop of one core: all its waiting happens here.
//!
//! One pass: hear completions, fire timers, look into the mailboxes; then let tasks run until none is runnable, also those that
//! tasks wake; then submit what they queued. The core is quiet when after that no task is runnable, no mailbox holds a message
//! that a task waits for, and no completion waits; only a quiet core sleeps. The sleep submits what is queued in the same
//! entry into the kernel.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use io_uring::cqueue;

use super::super::{Profile, local};
use super::clock;
use super::core::Core;
use super::ring::{REAP_BATCH, Woken, reap};
use super::thread_time::ThreadTime;
use crate::base::Instant;

/// How often tasks get a turn in one pass before the world is looked at again: enough for a request's way over several
/// tasks, few enough that tasks that keep waking each other can't hold up the sockets.
const ROUNDS_MAX: usize = 16;
/// A sleep without a timer ends after this, to look whether it should have. Costs one pass a second on an idle core.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Quiet passes between two turns of the executor on a core that never sleeps: it may have finished tasks to drop.
const QUIET_PASSES: u32 = 1024;
/// Of stalls that come in a row one in this time is told; all are counted.
const STALL_TOLD_INTERVAL: Duration = Duration::from_secs(1);
/// How long the end of a run waits for the kernel to give back what it holds.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// How often the executor gets a turn to drop the tasks that wait forever.
const CLOSE_ROUNDS_MAX: usize = 64;

/// Runs `core` until the `main` of every core has returned, then ends its tasks and its operations.
pub(super) async fn drive(core: Rc<Core>, profile: Profile, stall_limit: Duration) {
    let mut driver = Driver {
        core: &core,
        profile,
        stall_limit,
        time: ThreadTime::of_this_thread(),
        scratch: Vec::with_capacity(REAP_BATCH),
        quiet_since: None,
        quiet_passes: 0,
        stall_told: Instant(0),
    };
    while core.shared.mains_running.load(Ordering::Acquire) > 0 {
        driver.pass().await;
    }
    driver.close_tasks().await;
    driver.drain();
}

struct Driver<'a> {
    core: &'a Rc<Core>,
    profile: Profile,
    stall_limit: Duration,
    time: ThreadTime,
    scratch: Vec<cqueue::Entry>,
    quiet_since: Option<Instant>,
    quiet_passes: u32,
    /// When a stall was last told in the log.
    stall_told: Instant,
}

impl Driver<'_> {
    async fn pass(&mut self) {
        let core = self.core;
        let begun = clock::now();
        self.time.keep_fresh(begun);
        self.hear(begun);
        self.look();
        let ran = core.tasks.runnable() > 0;
        if ran {
            self.run_tasks().await;
        }
        let stats = &core.published().stats;
        stats.passes.add(1);

        if ran {
            let ended = clock::now();
            let took = ended.since(begun);
            stats.longest_pass_ns.raise_to(took.as_nanos() as u64);
            if took > self.stall_limit {
                self.note_long_pass(took, ended);
            }
        }
        let may_sleep = self.may_sleep(ran, begun) && self.is_quiet();
        self.quiet_passes = if ran { 0 } else { self.quiet_passes + 1 };
        if may_sleep || self.quiet_passes >= QUIET_PASSES {
            self.quiet_passes = 0;
            local::stand_back().await;
        }
        if may_sleep && self.is_quiet() {
            self.sleep();
        } else if core.ring.borrow_mut().wants_enter() {
            core.ring.borrow_mut().submit();
        }
        stats
            .enters
            .add(std::mem::take(&mut core.ring.borrow_mut().enters));
    }

    #[cold]
    fn note_long_pass(&mut self, took: Duration, ended: Instant) {
        let spent = self.time.in_this_pass(ended);
        let stats = &self.core.published().stats;
        if took.saturating_sub(spent.waited) <= self.stall_limit {
            stats.preemptions.add(1);
            return;
        }
        stats.stalls.add(1);
        if ended.since(self.stall_told) < STALL_TOLD_INTERVAL {
            return;
        }
        self.stall_told = ended;
        let blocked = took.saturating_sub(spent.waited + spent.user + spent.kernel);
        tracing::warn!(
            "core {}: a pass took {took:?}, of which {blocked:?} blocked, {:?} in the kernel, {:?} in the broker, {:?} waiting for the CPU",
            self.core.id,
            spent.kernel,
            spent.user,
            spent.waited
        );
    }

    /// Wakes what the kernel, the clock and `yield_now` have ready.
    fn hear(&mut self, now: Instant) {
        let core = self.core;
        if core.ring.borrow_mut().has_completions() {
            let count = reap(core, &mut self.scratch);
            core.published().stats.completions.add(count as u64);
        }
        loop {
            let due = core.timers.borrow_mut().pop_due(now);
            let Some(waker) = due else { break };
            waker.wake();
        }
        if !core.yielded.borrow().is_empty() {
            let yielded = std::mem::take(&mut *core.yielded.borrow_mut());
            yielded.into_iter().for_each(|waker| waker.wake());
        }
    }

    /// Wakes the tasks for which a mailbox has something.
    fn look(&self) {
        let mut gone = false;
        for mailbox in self.core.mailboxes.borrow().iter() {
            match mailbox.upgrade() {
                Some(mailbox) => mailbox.look(self.core),
                None => gone = true,
            }
        }
        if gone {
            self.core
                .mailboxes
                .borrow_mut()
                .retain(|mailbox| mailbox.strong_count() > 0);
        }
    }

    /// Whether a mailbox has something for a task that waits for it.
    fn has_mail(&self) -> bool {
        let mailboxes = self.core.mailboxes.borrow();
        mailboxes
            .iter()
            .any(|mailbox| mailbox.upgrade().is_some_and(|m| m.has_mail()))
    }

    /// Gives every runnable task a turn, then those that these woke, and so on.
    async fn run_tasks(&self) {
        for _ in 0..ROUNDS_MAX {
            local::stand_back().await;
            if self.core.tasks.runnable() == 0 {
                return;
            }
        }
    }

    /// Whether the profile lets this core sleep now, if it is quiet.
    fn may_sleep(&mut self, ran: bool, now: Instant) -> bool {
        match self.profile {
            Profile::Busy => false,
            Profile::Park => true,
            Profile::Adaptive { spin } => {
                if ran {
                    self.quiet_since = None;
                    return false;
                }
                now.since(*self.quiet_since.get_or_insert(now)) >= spin
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let core = self.core;
        core.tasks.runnable() == 0
            && core.yielded.borrow().is_empty()
            && !core.ring.borrow_mut().has_completions()
    }

    /// Sleeps until a completion, a peer's wake-up or the next timer. The caller has seen that the core is quiet but for its
    /// mailboxes, which are looked into here once more, after peers were told that the core is going to sleep.
    fn sleep(&mut self) {
        let core = self.core;
        let published = core.published();
        let limit = match core.timers.borrow().next() {
            Some(at) => at.since(clock::now()).min(SLEEP_MAX),
            None => SLEEP_MAX,
        };
        published.park();
        self.look();
        if core.tasks.runnable() > 0
            || limit.is_zero()
            || core.shared.mains_running.load(Ordering::SeqCst) == 0
        {
            published.unpark();
            if core.ring.borrow_mut().wants_enter() {
                core.ring.borrow_mut().submit();
            }
            return;
        }
        published.stats.sleeps.add(1);
        let woken = core.ring.borrow_mut().sleep(limit);
        if woken == Woken::ByTime && self.slept_over_something() {
            published.stats.broken_sleeps.add(1);
        }
        published.unpark();
    }

    /// After a sleep that only its time limit ended: whether there was something to do. Peers still see the core asleep.
    fn slept_over_something(&self) -> bool {
        let core = self.core;
        if core.tasks.runnable() > 0 || core.ring.borrow_mut().has_queued() {
            return true;
        }
        if !self.has_mail() {
            return false;
        }
        // A sender that has claimed the wake-up is about to give it. One that hasn't may be between its two steps.
        let limit = clock::now() + SENDER_GRACE;
        while core.published().is_parked() && clock::now() < limit {
            std::hint::spin_loop();
        }
        core.published().is_parked()
    }

    /// The end of the run, first part: every task that still waits is dropped.
    async fn close_tasks(&self) {
        self.core.tasks.close();
        for _ in 0..CLOSE_ROUNDS_MAX {
            if self.core.tasks.alive() == 0 {
                return;
            }
            local::stand_back().await;
        }
        tracing::warn!(
            "core {}: {} tasks could not be ended",
            self.core.id,
            self.core.tasks.alive()
        );
    }

    /// The end of the run, second part: no operation may outlive the memory that it uses.
    fn drain(&mut self) {
        let core = self.core;
        let give_up = clock::now() + DRAIN_MAX;
        core.ring.borrow_mut().cancel_all();
        while core.ring.borrow().in_flight() > 0 && clock::now() < give_up {
            core.ring.borrow_mut().sleep(Duration::from_millis(10));
            reap(core, &mut self.scratch);
        }
        // The wake-ups of peers that were queued last.
        core.ring.borrow_mut().submit();
        if core.ring.borrow().in_flight() > 0 {
            tracing::warn!(
                "core {}: the kernel still holds operations; their memory is kept",
                core.id
            );
            std::mem::forget(core.clone());
        }
    }
}

/// How long a peer may take between putting a message and looking whether this core sleeps.
const SENDER_GRACE: Duration = Duration::from_micros(100);
