//! The broker as a process: listeners, connections, start and stop.
//!
//! Core 0 starts the others: it replays the metadata log, hands out the image, and says when to listen and when to stop. Each
//! core accepts on its own socket of every listener.

mod connection;
mod connections;
mod frames;
mod home;
mod listeners;
mod log_limit;
mod start;

pub use start::{Broker, serve};
