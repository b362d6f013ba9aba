//! What a core's thread did with its time: worked, or was ready to work while the kernel ran something else on its CPU.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::base::Instant;

/// How old a reading may be: what the thread did since is all held against a long pass that follows. Reading takes
/// about a microsecond.
const READING_AGE_MAX: Duration = Duration::from_millis(5);

/// The calling thread's time, as the scheduler counts it.
pub(super) struct ThreadTime {
    /// `/proc/<pid>/task/<tid>/schedstat`, whose second number is the time.
    file: Option<File>,
    read_at: Instant,
    spent: Spent,
}

/// What a thread did in a time. What is left of it the thread was blocked: by a disk, a lock, a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Ready, on no CPU.
    pub waited: Duration,
    /// Running our code.
    pub user: Duration,
    /// Running the kernel's.
    pub kernel: Duration,
}

impl ThreadTime {
    /// Of the calling thread. A kernel without these figures has it wait never.
    pub(super) fn of_this_thread() -> ThreadTime {
        ThreadTime {
            file: File::open("/proc/thread-self/schedstat").ok(),
            read_at: Instant(0),
            spent: Spent::default(),
        }
    }

    /// To be called at the start of a pass.
    #[inline]
    pub(super) fn keep_fresh(&mut self, now: Instant) {
        if now.since(self.read_at) > READING_AGE_MAX {
            self.read(now);
        }
    }

    /// No less than what the thread did in the pass that ends now.
    pub(super) fn in_this_pass(&mut self, now: Instant) -> Spent {
        let before = self.spent;
        self.read(now);
        Spent {
            waited: self.spent.waited.saturating_sub(before.waited),
            user: self.spent.user.saturating_sub(before.user),
            kernel: self.spent.kernel.saturating_sub(before.kernel),
        }
    }

    fn read(&mut self, now: Instant) {
        self.read_at = now;
        self.spent.waited = self.spent.waited.max(self.waited().unwrap_or_default());
        // SAFETY: all-zero bytes are a valid `rusage`.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is a valid place for the answer. It fails for no valid place.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
        self.spent.user = duration(usage.ru_utime);
        self.spent.kernel = duration(usage.ru_stime);
    }

    fn waited(&self) -> Option<Duration> {
        let mut text = [0; 64];
        let len = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..len]).ok()?;
        let nanos = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_waited_and_worked_only_grows() {
        let mut time = ThreadTime::of_this_thread();
        time.keep_fresh(Instant(1_000_000_000));
        let first = time.spent;
        let until = std::time::Instant::now() + Duration::from_millis(20);
        while std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let more = time.in_this_pass(Instant(2_000_000_000));
        assert_eq!(time.spent.waited, first.waited + more.waited);
        assert!(more.user + more.kernel > Duration::ZERO);
    }
}
