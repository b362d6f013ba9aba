//! How likely what is. Everything off is a slow but honest world.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The world's vices. Probabilities are from 0 to 1; ranges of time are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Faults {
    /// What one turn of a task takes.
    pub turn_nanos: Range<u64>,
    /// What a message between two cores takes.
    pub mail_nanos: Range<u64>,
    /// What a piece of a stream takes from host to host.
    pub flight_nanos: Range<u64>,
    /// Of one piece: lost once, so that it and what is behind it come later by [`Faults::resend`].
    pub loss: f64,
    /// What a loss costs.
    pub resend: Duration,
    /// Of one piece: the connection is reset, and what was in flight is gone.
    pub reset: f64,
    /// The largest piece that a stream is cut into.
    pub piece_bytes_max: usize,
    /// Of one piece: cut to a few bytes.
    pub tiny_piece: f64,
    /// What a read or a flush takes.
    pub disk_nanos: Range<u64>,
    /// Of one operation: a hundred times as long.
    pub slow_disk: f64,
    /// Of one read, write or flush: EIO.
    pub disk_error: f64,
    /// What always fails, whatever the chances.
    pub broken: Vec<Broken>,
    /// Of one read: it comes in two parts, and what is written meanwhile is in the second.
    pub short_read: f64,
    /// Of one write: a part is written, and no more.
    pub short_write: f64,
    /// What a host can store.
    pub disk_bytes_max: u64,
    /// Messages that a mailbox between two cores holds, if fewer than it was made for.
    pub mailbox_messages_max: usize,
}

/// A directory of which something fails: a disk of its own.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Where: this and all below it.
    pub below: PathBuf,
    /// What.
    pub what: Breakage,
}

/// How a disk is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// Everything is EIO.
    All,
    /// What was not flushed before never is: EIO.
    Flushes,
    /// It became read-only: a change is EROFS.
    Changes,
    /// What was written can't be read: EIO.
    Reads,
    /// It has no room left: what would take some is ENOSPC.
    Full,
}

/// What is done with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// A file is opened that is there.
    Open,
    /// A file's bytes, or a directory's names, are looked at.
    Read,
    /// A file's bytes or a directory's names become others, and take no more room.
    Change,
    /// They become more.
    Grow,
    /// They are brought to stable storage.
    Flush,
}

impl Broken {
    /// What comes of `operation` at `path`, if it fails.
    pub(super) fn error(&self, path: &Path, operation: Operation) -> Option<io::Error> {
        let code = match (self.what, operation) {
            _ if !path.starts_with(&self.below) => None,
            (Breakage::All, _)
            | (Breakage::Flushes, Operation::Flush)
            | (Breakage::Reads, Operation::Read) => Some(libc::EIO),
            (Breakage::Changes, Operation::Change | Operation::Grow) => Some(libc::EROFS),
            (Breakage::Full, Operation::Grow) => Some(libc::ENOSPC),
            _ => None,
        };
        code.map(io::Error::from_raw_os_error)
    }
}

impl Faults {
    /// Nothing fails; everything takes a while.
    pub fn none() -> Faults {
        Faults {
            turn_nanos: 200..5_000,
            mail_nanos: 100..20_000,
            flight_nanos: 10_000..500_000,
            loss: 0.0,
            resend: Duration::from_millis(200),
            reset: 0.0,
            piece_bytes_max: 16 * 1024,
            tiny_piece: 0.0,
            disk_nanos: 50_000..2_000_000,
            slow_disk: 0.0,
            disk_error: 0.0,
            broken: Vec::new(),
            short_read: 0.0,
            short_write: 0.0,
            disk_bytes_max: u64::MAX,
            mailbox_messages_max: usize::MAX,
        }
    }

    /// A bad network, a slow disk and small mailboxes, none of which excuses a lost record.
    pub fn rough() -> Faults {
        Faults {
            loss: 0.005,
            reset: 0.001,
            tiny_piece: 0.1,
            slow_disk: 0.01,
            short_read: 0.05,
            mailbox_messages_max: 4,
            ..Faults::none()
        }
    }
}
