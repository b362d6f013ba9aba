//! Ringlog: a broker that speaks Apache Kafka's wire protocol and owns its hardware.
//!
//! The rooms stand in dependency order: each may use those above it, never those below.
//! `docs/design/first-light.md` tells a request's way through them.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "unit tests prepare and inspect files, and run cores, from outside the broker"
    )
)]

pub mod base;
pub mod config;
pub mod io;
pub mod wire;

pub mod client;

pub mod log;

pub mod metadata;

pub mod quorum;

pub mod group;

pub mod partition;
pub mod shard;

pub mod api;
pub mod server;

pub mod cli;
