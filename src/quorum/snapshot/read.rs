//! Reading a checkpoint file: a snapshot, or the `bootstrap.checkpoint` of a formatted directory.

use crate::base::{Offset, Timestamp};
use crate::io::OpenOptions;
use crate::io::fs::File;
use crate::metadata::batch::METADATA_BATCH_BYTES_MAX;
use crate::wire::batch::{BatchError, BatchView, ControlType, SIZE_BYTES_MIN};
use crate::wire::messages::SnapshotHeaderRecord;
use crate::wire::{Decode, Decoder};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The largest batch that is read: twice what Kafka writes.
const BATCH_BYTES_MAX: usize = 2 * METADATA_BATCH_BYTES_MAX;
/// Bytes of the file that are asked for at once.
const WINDOW_BYTES: usize = 1 << 20;
/// Enough for a header with its voters; a larger one only costs another read.
const HEADER_WINDOW_BYTES: usize = 4 << 10;

/// Why a checkpoint file can't be used.
#[derive(Debug)]
pub struct SnapshotError {
    path: PathBuf,
    /// Where in it, in bytes.
    position: u64,
    what: String,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SnapshotError { path, position, what } = self;
        write!(f, "{}: at byte {position}: {what}", path.display())
    }
}

impl std::error::Error for SnapshotError {}

/// Reads the whole file: checks that it begins with a header, ends with a footer, and that every batch between is whole, and hands each
/// batch to `each`. Returns when the last batch that it contains was written.
pub fn read_now(
    path: &Path,
    mut each: impl FnMut(&BatchView<'_>) -> Result<(), String>,
) -> Result<Timestamp, SnapshotError> {
    let mut reader = Reader::open_now(path, WINDOW_BYTES)?;
    let mut header = None;
    let mut next_offset = Offset(0);
    let mut ended = false;
    while let Some(size) = reader.fill_now()? {
        let batch = BatchView::first(&reader.window[..size]).map_err(|error| reader.fault(&error))?;
        if ended {
            return Err(reader.fault(&"bytes behind the footer"));
        }
        if !batch.crc_is_valid() {
            return Err(reader.fault(&"a batch with a wrong CRC"));
        }
        if batch.base_offset() != next_offset {
            let what = format!("offset {} where {next_offset} was expected", batch.base_offset());
            return Err(reader.fault(&what));
        }
        if header.is_none() {
            header = Some(header_of(&batch).ok_or_else(|| reader.fault(&"no snapshot header"))?);
        }
        each(&batch).map_err(|error| reader.fault(&error))?;
        ended = first_control(&batch).is_some_and(|(control, _)| control == ControlType::SnapshotFooter);
        next_offset = batch.next_offset();
        reader.pass(size);
    }
    match header {
        Some(last_contained) if ended => Ok(last_contained),
        _ => Err(reader.fault(&"the file ends without a footer")),
    }
}

/// When the last batch that the snapshot contains was written, by its header alone.
pub fn read_header_now(path: &Path) -> Result<Timestamp, SnapshotError> {
    let mut reader = Reader::open_now(path, HEADER_WINDOW_BYTES)?;
    let size = reader.fill_now()?.unwrap_or(0);
    let batch = BatchView::first(&reader.window[..size]).map_err(|error| reader.fault(&error))?;
    header_of(&batch).ok_or_else(|| reader.fault(&"no snapshot header"))
}

fn header_of(batch: &BatchView<'_>) -> Option<Timestamp> {
    let (control, value) = first_control(batch)?;
    if control != ControlType::SnapshotHeader {
        return None;
    }
    let header = SnapshotHeaderRecord::decode(&mut Decoder::new(&value), 0).ok()?;
    Some(Timestamp(header.last_contained_log_timestamp))
}

/// The type and the value of a control batch's first record.
fn first_control(batch: &BatchView<'_>) -> Option<(ControlType, Vec<u8>)> {
    if !batch.is_control() {
        return None;
    }
    let payload = batch.payload(BATCH_BYTES_MAX).ok()?;
    let record = batch.records(&payload).next()?.ok()?;
    let control = ControlType::from_key(record.key?)?;
    Some((control, record.value.unwrap_or_default().to_vec()))
}

/// A file of batches, a window at a time.
struct Reader {
    file: File,
    path: PathBuf,
    /// Where the window begins in the file.
    position: u64,
    window: Vec<u8>,
    window_bytes: usize,
}

impl Reader {
    fn open_now(path: &Path, window_bytes: usize) -> Result<Reader, SnapshotError> {
        let opened = File::open_now(path, OpenOptions::read_only());
        let file = opened.map_err(|error| SnapshotError {
            path: path.to_owned(),
            position: 0,
            what: error.to_string(),
        })?;
        Ok(Reader {
            file,
            path: path.to_owned(),
            position: 0,
            window: Vec::new(),
            window_bytes,
        })
    }

    /// Makes sure that a whole batch stands at the window's start; its size, or `None` at the file's end.
    fn fill_now(&mut self) -> Result<Option<usize>, SnapshotError> {
        if self.window.len() < SIZE_BYTES_MIN {
            self.grow_now(self.window_bytes)?;
        }
        if self.window.is_empty() {
            return Ok(None);
        }
        loop {
            match BatchView::first(&self.window) {
                Err(BatchError::Incomplete { needed, .. }) if needed > BATCH_BYTES_MAX => {
                    return Err(self.fault(&format!("a batch of {needed} bytes")));
                }
                Err(BatchError::Incomplete { needed, .. }) => {
                    let before = self.window.len();
                    self.grow_now(needed.max(self.window_bytes))?;
                    if self.window.len() == before {
                        return Err(self.fault(&"the file ends inside a batch"));
                    }
                }
                Err(error) => return Err(self.fault(&error)),
                Ok(batch) => return Ok(Some(batch.size_bytes())),
            }
        }
    }

    fn grow_now(&mut self, to: usize) -> Result<(), SnapshotError> {
        let mut filled = self.window.len();
        self.window.resize(to.max(filled), 0);
        while filled < self.window.len() {
            let read = self
                .file
                .read_at_now(self.position + filled as u64, &mut self.window[filled..]);
            match read {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(&error)),
            }
        }
        self.window.truncate(filled);
        Ok(())
    }

    fn pass(&mut self, bytes: usize) {
        self.window.drain(..bytes);
        self.position += bytes as u64;
    }

    fn fault(&self, what: &dyn fmt::Display) -> SnapshotError {
        SnapshotError {
            path: self.path.clone(),
            position: self.position,
            what: what.to_string(),
        }
    }
}
