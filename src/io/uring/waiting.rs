//! How long a core's thread was ready to run while the kernel ran something else on its CPU.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::base::Instant;

/// How old a reading may be: what the thread waited since is all held against a long pass that follows. Reading takes
/// about a microsecond.
const READING_AGE_MAX: Duration = Duration::from_millis(5);

/// The calling thread's waiting, as the scheduler counts it (`/proc/<pid>/task/<tid>/schedstat`, the second number).
pub(super) struct Waiting {
    file: Option<File>,
    read_at: Instant,
    waited_ns: u64,
}

impl Waiting {
    /// Of the calling thread. A kernel without these figures has it wait never.
    pub(super) fn of_this_thread() -> Waiting {
        Waiting {
            file: File::open("/proc/thread-self/schedstat").ok(),
            read_at: Instant(0),
            waited_ns: 0,
        }
    }

    /// To be called at the start of a pass.
    #[inline]
    pub(super) fn keep_fresh(&mut self, now: Instant) {
        if now.since(self.read_at) > READING_AGE_MAX {
            self.read(now);
        }
    }

    /// No less than what the thread waited in the pass that ends now.
    pub(super) fn in_this_pass(&mut self, now: Instant) -> Duration {
        let before = self.waited_ns;
        self.read(now);
        Duration::from_nanos(self.waited_ns - before)
    }

    fn read(&mut self, now: Instant) {
        self.read_at = now;
        let mut text = [0; 64];
        let waited = self.file.as_ref().and_then(|file| {
            let len = file.read_at(&mut text, 0).ok()?;
            let text = std::str::from_utf8(&text[..len]).ok()?;
            text.split_ascii_whitespace().nth(1)?.parse().ok()
        });
        self.waited_ns = self.waited_ns.max(waited.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_waited_only_grows() {
        let mut waiting = Waiting::of_this_thread();
        waiting.keep_fresh(Instant(1_000_000_000));
        let first = waiting.waited_ns;
        std::thread::yield_now();
        let more = waiting.in_this_pass(Instant(2_000_000_000));
        assert_eq!(waiting.waited_ns, first + more.as_nanos() as u64);
    }
}
