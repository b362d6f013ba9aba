//! The door to the world: the only room that knows sockets, files, clocks, threads and random numbers.
//!
//! Everything else is plain single-threaded code on one of the node's cores and reaches the world through this one
//! surface. The surface has builds: the real one (`uring/`: one pinned executor and one io_uring for each core),
//! and next to it a simulated one. The line below that names `world` is the only switch between them.
//!
//! [`run`] starts the cores and ends when the `main` of every core has ended; then what is still spawned is
//! dropped, and every operation in flight is cancelled before its buffer is freed. Sockets, files and tasks belong to
//! the core that made them and never leave it; what crosses cores goes through [`mesh`].
//!
//! Names that end in `_now` block the calling core: they are for start-up, administration, and for writes to the page
//! cache, which are cheaper done at once.

mod counters;
pub mod local;
mod options;

#[cfg(not(feature = "sim"))]
#[path = "uring/mod.rs"]
mod world;

pub use counters::{CoreCounters, Counters};
pub use options::{Elapsed, Options, Profile, StartError};
pub use world::{
    Task, allowed_cpus, core, counters, fs, mesh, net, now, random_u64, random_uuid, run, signal, sleep,
    sleep_until, spawn, timeout, wall_now, yield_now,
};
