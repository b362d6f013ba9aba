//! The whole broker in a simulated world: every run is a seed, and a seed is always the same run.
//!
//! `cargo test --features sim --test sim` runs a few seeds of each test; `RINGLOG_SEEDS=300` runs so many,
//! `RINGLOG_SEED=17` runs the one. A failure names its seed and that command.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests stand outside the broker, and run seeds on threads"
)]

mod back_pressure;
mod clean_stops;
mod clients;
mod compaction;
mod failing_moves;
mod flushing;
mod kit;
mod log_dirs;
mod log_steps;
mod metadata;
mod model;
mod moves;
mod nodes;
mod planted;
mod produce_fetch;
mod run;
mod scenarios;
mod seeds;
mod session;
