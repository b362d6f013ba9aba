//! What other threads may see of the cores: who sleeps, how to wake it, and the counters.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use super::super::{CoreCounters, Counters};
use crate::base::CoreId;

/// One for each call of `run`.
pub(super) struct Shared {
    pub(super) cores: Vec<PerCore>,
    /// Cores whose `main` has not returned yet. All loops end at zero.
    pub(super) mains_running: AtomicUsize,
    /// Set when the threads are gone, for the watchdog.
    pub(super) ended: AtomicBool,
}

/// What one core publishes. Its own cache lines: `parked` is read on every message that a peer sends.
#[repr(align(128))]
pub(super) struct PerCore {
    parked: AtomicBool,
    ring: AtomicI32,
    pub(super) stats: Stats,
}

/// Counters with one writer, the core itself (the watchdog for its own one).
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Stats {
    pub(super) passes: Counter,
    pub(super) enters: Counter,
    pub(super) completions: Counter,
    pub(super) sleeps: Counter,
    pub(super) broken_sleeps: Counter,
    pub(super) executor_parks: Counter,
    pub(super) stalls: Counter,
    pub(super) preemptions: Counter,
    pub(super) longest_pass_ns: Counter,
    pub(super) watchdog_alarms: Counter,
    pub(super) buffers_exhausted: Counter,
    pub(super) peer_wakes: Counter,
}

/// A number that one thread counts up and any thread may read.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds without a locked instruction: there is one writer.
    #[inline]
    pub(super) fn add(&self, n: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    /// Keeps the larger.
    pub(super) fn raise_to(&self, n: u64) {
        if n > self.get() {
            self.0.store(n, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Shared {
    pub(super) fn new(cores: usize) -> Shared {
        let per_core = || PerCore {
            parked: AtomicBool::new(false),
            ring: AtomicI32::new(-1),
            stats: Stats::default(),
        };
        Shared {
            cores: (0..cores).map(|_| per_core()).collect(),
            mains_running: AtomicUsize::new(cores),
            ended: AtomicBool::new(false),
        }
    }

    pub(super) fn of(&self, core: CoreId) -> &PerCore {
        &self.cores[core.index()]
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            cores: self.cores.iter().map(|c| c.stats.read()).collect(),
        }
    }
}

impl PerCore {
    /// Before any peer can send: the ring that wakes this core.
    pub(super) fn publish_ring(&self, fd: RawFd) {
        self.ring.store(fd, Ordering::Release);
    }

    pub(super) fn ring(&self) -> RawFd {
        self.ring.load(Ordering::Acquire)
    }

    /// From now on peers wake this core. The caller looks into its mailboxes once more after this and before it sleeps.
    ///
    /// Together with [`PerCore::claim_wake`] this is the classic store–load handshake: core stores `parked` then reads the
    /// mailbox, peer writes the mailbox then reads `parked`; with a full fence between on both sides at least one sees
    /// the other.
    pub(super) fn park(&self) {
        self.parked.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Ends [`PerCore::park`].
    pub(super) fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::SeqCst)
    }

    /// For a peer that just put something where this core looks: true when it must now wake this core. One claimer wins.
    #[inline]
    pub(super) fn claim_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::SeqCst) && self.parked.swap(false, Ordering::SeqCst)
    }
}

impl Stats {
    fn read(&self) -> CoreCounters {
        CoreCounters {
            passes: self.passes.get(),
            enters: self.enters.get(),
            completions: self.completions.get(),
            sleeps: self.sleeps.get(),
            broken_sleeps: self.broken_sleeps.get(),
            executor_parks: self.executor_parks.get(),
            stalls: self.stalls.get(),
            preemptions: self.preemptions.get(),
            longest_pass: Duration::from_nanos(self.longest_pass_ns.get()),
            watchdog_alarms: self.watchdog_alarms.get(),
            buffers_exhausted: self.buffers_exhausted.get(),
            peer_wakes: self.peer_wakes.get(),
        }
    }
}
