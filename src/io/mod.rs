//! The door to the world: the only room that knows sockets, files, clocks, threads and random numbers.
//!
//! Everything else is plain single-threaded code on one of the node's cores and reaches the world through this one
//! surface. The surface has two builds: the real one (`uring/`: one pinned executor and one io_uring for each core),
//! and a simulated one (`sim/`). The lines below that name `world` are the only switch between them.
//!
//! [`start`] starts the cores, which end when the `main` of every core has ended; then what is still spawned is
//! dropped, and every operation in flight is cancelled before its buffer is freed. Sockets, files and tasks belong to
//! the core that made them and never leave it; what crosses cores goes through [`mesh`].
//!
//! Names that end in `_now` block the calling core: they are for start-up, administration, and for writes to the page
//! cache, which are cheaper done at once.

mod counters;
mod errors;
mod files;
mod ids;
pub mod local;
mod options;
mod planted;
mod tasks;
mod waits;
mod whole;

#[cfg(feature = "sim")]
pub mod sim;
#[cfg(not(feature = "sim"))]
mod uring;

#[cfg(feature = "sim")]
use sim as world;
#[cfg(not(feature = "sim"))]
use uring as world;

use std::future::Future;

use crate::base::CoreId;

pub use counters::{CoreCounters, Counters};
pub use errors::{has_disk_failed, in_words, is_out_of_resources, may_pass};
pub use files::{DirEntry, FileStatus, OpenOptions, Space};
pub use ids::random_uuid;
pub use options::{Elapsed, Options, Profile, Signal, StartError};
pub use planted::Planted;
pub use tasks::{Task, spawn};
pub use waits::{sleep, sleep_until, timeout};
pub use whole::{sync_dir, write_whole};
use world::Sleep;
pub use world::{
    Running, allowed_cpus, core, counters, descriptors_max, fs, is_planted, mesh, net, now, random_u64,
    signal, start, wall_now, yield_now,
};

/// Runs `main(core)` on each core, and returns when all have. Blocks the calling thread, which is none of the cores.
///
/// # Errors
/// As [`start`]'s.
pub fn run<F, Fut>(options: Options, main: F) -> Result<(), StartError>
where
    F: Fn(CoreId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    start(options, main)?.join();
    Ok(())
}
