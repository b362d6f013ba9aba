//! A simulated world: virtual time, seeded chance, a network and disks that fail, and any number of hosts on one thread.
//!
//! The same seed gives the same run, to the last event. What runs in it is the broker as it is: this build and the real
//! one have one surface. A test builds the world with [`Simulation`] and decides what breaks when.
//!
//! - `world` is the clock, the events, the hosts and the loop over them; `chance` is where every decision comes from;
//! - `process` is one start of one program on a host: its cores and their tasks;
//! - `task`, `timers`, `signal`, `mesh`, `net`, `fs` are the operations of the surface;
//! - `wire` carries bytes between hosts, `disk` keeps what a host wrote and forgets what it did not flush;
//! - `faults` says how likely what is, `seen` counts what happened, `simulation` is the test's handle on all of it.

#![allow(
    clippy::disallowed_types,
    reason = "what the real world moves to its cores' threads must be Send here too"
)]

mod chance;
mod disk;
mod faults;
pub mod fs;
pub mod mesh;
pub mod net;
mod process;
mod seen;
pub mod signal;
mod simulation;
mod task;
mod timers;
mod wire;
mod world;

pub use chance::random_u64;
pub use faults::{Breakage, Broken, Faults};
pub use process::{Running, allowed_cpus, core, counters, descriptors_max, start};
pub use seen::Seen;
pub use simulation::{HostId, Outcome, Simulation};
pub use task::{spawn_detached, yield_now};
pub use timers::Sleep;
pub use world::{is_planted, now, wall_now};
