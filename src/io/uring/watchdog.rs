//! A thread that looks at the cores from outside: an awake core that makes no pass is stuck, and says so itself never.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::shared::Shared;
use crate::base::CoreId;

/// How often the watchdog looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// An awake core without a pass over this many looks, so for more than a second, is reported once.
const LOOKS: u32 = 3;

/// The running watchdog.
pub(super) struct Watchdog(Option<JoinHandle<()>>);

pub(super) fn start(shared: Arc<Shared>) -> Watchdog {
    let thread = std::thread::Builder::new().name("watchdog".into());
    match thread.spawn(move || watch(&shared)) {
        Ok(thread) => Watchdog(Some(thread)),
        Err(error) => {
            tracing::warn!("no watchdog looks at the cores: {error}");
            Watchdog(None)
        }
    }
}

impl Watchdog {
    pub(super) fn stop(self, shared: &Shared) {
        shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.0 {
            thread.thread().unpark();
            // It has nothing to say but that it ended.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Shared) {
    let mut last: Vec<Seen> = shared.cores.iter().map(|_| Seen::default()).collect();
    while !shared.ended.load(Ordering::Acquire) {
        std::thread::park_timeout(INTERVAL);
        for (index, (core, seen)) in shared.cores.iter().zip(&mut last).enumerate() {
            if seen.is_stuck(core.stats.passes.get(), core.is_parked()) {
                core.stats.watchdog_alarms.add(1);
                tracing::warn!(
                    "core {}: no pass for more than {:?}: something blocks it",
                    CoreId(index as u16),
                    INTERVAL * (LOOKS - 1)
                );
            }
        }
    }
}

/// What the watchdog remembers of one core.
#[derive(Default)]
struct Seen {
    passes: u64,
    looks: u32,
}

impl Seen {
    /// True once in each spell of being stuck.
    fn is_stuck(&mut self, passes: u64, parked: bool) -> bool {
        if parked || passes != self.passes {
            *self = Seen { passes, looks: 0 };
            return false;
        }
        self.looks = self.looks.saturating_add(1);
        self.looks == LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_without_passes_is_reported_once_unless_it_sleeps() {
        let mut seen = Seen::default();
        assert!(!seen.is_stuck(5, false));
        let reports = (0..10).filter(|_| seen.is_stuck(5, false)).count();
        assert_eq!(reports, 1);
        assert!(!seen.is_stuck(6, false));
        assert!((0..10).all(|_| !seen.is_stuck(6, true)));
    }
}
