//! The machine's two clocks.

use crate::base::{Instant, Timestamp};

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer. Both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time
}

/// The monotonic clock. About 25 ns.
#[inline]
pub fn now() -> Instant {
    let time = read(libc::CLOCK_MONOTONIC);
    Instant(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The wall clock, in milliseconds since the Unix epoch. It may jump.
pub fn wall_now() -> Timestamp {
    let time = read(libc::CLOCK_REALTIME);
    Timestamp(time.tv_sec * 1_000 + time.tv_nsec / 1_000_000)
}
