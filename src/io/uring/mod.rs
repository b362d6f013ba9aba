//! The real world: on each core one pinned glommio executor, and on it one driver task that owns a ring of the `io-uring`
//! crate and does all the waiting: sockets, files, timers and mailboxes.
//!
//! - `start` checks the limits, starts the threads and ends them;
//! - `core` is what one core owns, `task` what it runs, `driver` the loop over both;
//! - `ring` submits operations and keeps their memory until the kernel is done with it, `buffers` is what receives fill;
//! - `net`, `fs`, `signal`, `timers`, `mesh` are the operations of the surface;
//! - `shared` is the little that other threads may see of a core, `watchdog` the thread that looks at it.
//!
//! No other module of the program names glommio or io_uring.

// The one place where the clocks, threads and random numbers of the machine are used.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod buffers;
mod clock;
mod core;
mod driver;
pub mod fs;
pub mod mesh;
pub mod net;
mod random;
mod ring;
mod shared;
pub mod signal;
mod start;
mod task;
mod thread_time;
mod timers;
mod watchdog;

pub use clock::{now, wall_now};
pub use core::{core, counters};
pub use random::random_u64;
pub use start::{Running, allowed_cpus, descriptors_max, start};
pub use task::{spawn_detached, yield_now};
pub use timers::Sleep;

/// Whether the simulated world planted this bug: here never.
pub const fn is_planted(_: super::Planted) -> bool {
    false
}

#[cfg(test)]
mod tests;
