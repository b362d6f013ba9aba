//! What happened in a run. A test that needs a fault to have occurred looks here: a fault that never came proves
//! nothing.

use std::fmt;

/// Counts since the world began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Turns of tasks.
    pub turns: u64,
    /// Pieces of streams that arrived.
    pub pieces: u64,
    /// Pieces that came late because one was lost.
    pub losses: u64,
    /// Connections that were reset.
    pub resets: u64,
    /// Of those, with bytes under way to the side that had connected: an answer that never came.
    pub resets_with_reply_in_flight: u64,
    /// Streams cut inside the first four bytes of a frame.
    pub frames_cut_in_header: u64,
    /// Crashes of a process: what it wrote stays.
    pub process_crashes: u64,
    /// Crashes of a host: what it did not flush may go.
    pub host_crashes: u64,
    /// Of those, with written and unflushed bytes.
    pub crashes_between_write_and_flush: u64,
    /// Unflushed writes of which a crash kept a part.
    pub torn_writes: u64,
    /// Unflushed writes that a crash lost.
    pub lost_writes: u64,
    /// Directory entries that a crash lost.
    pub lost_entries: u64,
    /// Reads, writes and flushes that failed.
    pub disk_errors: u64,
    /// Writes for which there was no room.
    pub disk_full: u64,
    /// Reads that came in two parts.
    pub short_reads: u64,
    /// Writes of which a part was taken.
    pub short_writes: u64,
    /// Bytes that were flushed.
    pub flushed_bytes: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
