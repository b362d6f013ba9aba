//! Groups and their offsets: machines that know no clock, no log and no socket.
//!
//! A group belongs to a partition of `__consumer_offsets`, and lives on the core that owns it: [`classic`] and [`consumer`] are the two ways in
//! which members agree on who reads what, [`offsets`] is what they have committed, [`record`] how all of it stands in the log.

pub mod classic;
pub mod consumer;
pub mod offsets;
pub mod record;
