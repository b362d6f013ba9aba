//! The real binary: started, talked to, killed and started again.
//!
//! `RINGLOG_BIN` names the binary to run; without it, it is the one that Cargo built beside these tests.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests stand outside the broker: they wait for real processes in real time"
)]

mod administration;
mod batches;
mod chance;
mod cli;
mod client;
mod compaction;
mod compression;
mod connections;
mod delete_records;
mod edges;
mod feed;
mod fetch_sessions;
mod fixtures;
mod harness;
mod heavy;
mod hostile;
mod idle_partitions;
mod kill;
mod kill_rounds;
mod limits;
mod log_dirs;
mod mixed;
mod move_dirs;
mod offsets;
mod producers;
mod quorum;
mod raw;
mod retention;
mod rust_client;
mod smoke;
mod transactions;
mod versions;
