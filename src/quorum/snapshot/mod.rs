//! Snapshots of the metadata (KIP-630): `<offset>-<epoch>.checkpoint` holds everything before that offset of the log, and a
//! `.raft` file beside it says which Raft entry that is.
//!
//! A snapshot is written as a `.part` and renamed once it is whole and flushed: a file of the right name is complete, so one that
//! isn't is damage, and refuses to start. Every core but 0 knows nothing of this.

mod files;
mod position;
mod read;
mod retention;
mod write;

pub use files::{Held, SnapshotId, found_now, remove_now, tidy_now};
pub use position::{RAFT_BYTES, decode as decode_raft_index, read_now as read_position_now};
pub use read::{SnapshotError, read_header_now, read_now};
pub use retention::surplus;
pub use write::{SnapshotJob, write_empty_now};
