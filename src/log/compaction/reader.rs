//! The batches of a sealed segment, whole and one after the other, read in pieces.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};

use crate::base::Offset;
use crate::io::fs::File;
use crate::io::{OpenOptions, in_words};
use crate::log::header::{BatchHeader, BatchProblem};
use crate::wire::batch::{BatchError, BatchView, DECOMPRESSED_BYTES_MAX};

use super::CompactionError;
use super::pace::Pace;

/// So much is read at once, or one batch that is larger.
const PIECE_BYTES: usize = 1 << 20;

/// A larger batch is not compacted: no producer's request could have carried it, uncompressed or not.
const BATCH_BYTES_MAX: usize = DECOMPRESSED_BYTES_MAX;

/// See the module.
pub struct Reader {
    path: PathBuf,
    file: File,
    /// Where the batch begins that was returned last.
    last: u64,
    position: u64,
    end: u64,
    /// What was read from `position` on.
    buffer: BytesMut,
    /// The next batch begins here or behind.
    next_offset: Offset,
}

impl Reader {
    /// From the first batch of the file at `path` to the segment's `end`, which is exactly behind a batch. No offset lies before `base`.
    pub async fn open(path: PathBuf, end: u64, base: Offset) -> Result<Reader, CompactionError> {
        let file = File::open(&path, OpenOptions::read_only()).await;
        Ok(Reader {
            file: file.map_err(|error| in_words(error, path.display()))?,
            path,
            last: 0,
            position: 0,
            end,
            buffer: BytesMut::new(),
            next_offset: base,
        })
    }

    /// Whether there is no further batch.
    pub fn is_at_end(&self) -> bool {
        self.position >= self.end
    }

    /// The next batch, checked as a whole; none at the end.
    pub async fn next(&mut self, pace: &Pace) -> Result<Option<Bytes>, CompactionError> {
        if self.is_at_end() {
            return Ok(None);
        }
        if !self.holds_batch() {
            self.fill(PIECE_BYTES, pace).await?;
        }
        let header = self.header()?;
        if header.size_bytes > self.buffer.len() {
            self.fill(header.size_bytes, pace).await?;
        }
        if header.size_bytes > self.buffer.len() {
            return Err(self.bad(BatchProblem::Torn));
        }
        if header.base_offset < self.next_offset {
            return Err(self.bad(BatchProblem::Offsets));
        }
        let batch = self.buffer.split_to(header.size_bytes).freeze();
        pace.turn().await;
        if !BatchView::first(&batch).is_ok_and(|view| view.crc_is_valid()) {
            return Err(self.bad(BatchProblem::Crc));
        }
        self.last = self.position;
        self.position += header.size_bytes as u64;
        self.next_offset = header.next_offset();
        Ok(Some(batch))
    }

    fn holds_batch(&self) -> bool {
        BatchHeader::parse(&self.buffer).is_ok_and(|header| header.size_bytes <= self.buffer.len())
    }

    /// The header that lies at the position.
    fn header(&self) -> Result<BatchHeader, CompactionError> {
        let header = BatchHeader::parse(&self.buffer).map_err(|problem| self.bad(problem))?;
        let left = self.end - self.position;
        match header.size_bytes {
            size if size as u64 > left => Err(self.bad(BatchProblem::Torn)),
            size if size > BATCH_BYTES_MAX => Err(CompactionError::BatchTooLarge {
                path: self.path.clone(),
                position: self.position,
                size_bytes: size,
            }),
            _ => Ok(header),
        }
    }

    /// Reads `len` bytes from the position on; fewer only at the end.
    async fn fill(&mut self, len: usize, pace: &Pace) -> Result<(), CompactionError> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let len = len.max(PIECE_BYTES).min(left);
        pace.spend(len).await;
        let read = self.file.read_at(self.position, len).await;
        let place = || format!("{}: at byte {}", self.path.display(), self.position);
        self.buffer = read.map_err(|error| in_words(error, place()))?;
        Ok(())
    }

    /// The records of the batch that was returned last don't read.
    pub fn bad_records(&self, error: BatchError) -> CompactionError {
        CompactionError::BadRecords {
            path: self.path.clone(),
            position: self.last,
            error,
        }
    }

    fn bad(&self, problem: BatchProblem) -> CompactionError {
        CompactionError::BadBatch {
            path: self.path.clone(),
            position: self.position,
            problem,
        }
    }
}
