//! Reading batches by offset.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};

use crate::base::Offset;
use crate::io::fs::File;
use crate::io::{Planted, in_words, is_planted};
use crate::log::Log;
use crate::log::header::{BatchHeader, BatchProblem, HEADER_BYTES};
use crate::log::names;
use crate::log::segment::{Range, Segment};
use crate::log::walk::{Source, Walk, bad_batch, ready};

/// A read takes the batches between an index entry and its target along rather than look for the target first, if
/// they are no more than this: several index intervals.
const LEAD_BYTES_MAX: u64 = 64 << 10;

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// At most so many bytes.
    pub bytes_max: usize,
    /// No batch that ends at or behind this offset: the high watermark, or the last stable offset.
    pub upper: Offset,
    /// The first batch comes even if it alone is larger than `bytes_max`, so that a consumer is never stuck.
    pub at_least_one: bool,
}

/// Why nothing can be read.
#[derive(Debug)]
pub enum ReadError {
    /// The log has no such offset and won't get it next: OFFSET_OUT_OF_RANGE.
    OutOfRange {
        /// The first offset that it has.
        start: Offset,
        /// The next record's.
        end: Offset,
    },
    /// The disk failed: KAFKA_STORAGE_ERROR.
    Disk(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::OutOfRange { start, end } => write!(f, "the log has offsets {start} to {end}"),
            ReadError::Disk(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Disk(error)
    }
}

/// What to read where, without a borrow of the log: appends, rolls and deletions meanwhile don't change the answer.
#[derive(Debug)]
pub struct ReadPlan {
    offset: Offset,
    limits: ReadLimits,
    pieces: Vec<Piece>,
    /// No batch behind it is read.
    end_max: Offset,
}

/// A part of one segment's file.
#[derive(Debug)]
pub(super) struct Piece {
    pub file: File,
    /// Its name when the plan was made.
    pub path: PathBuf,
    /// The batch that is looked for begins in it.
    pub range: Range,
    /// The segment's end when the plan was made.
    pub end: u64,
    /// No batch of it has offsets from here on.
    pub offsets_end: Offset,
}

/// Whole batches, and where they were read.
#[derive(Debug, Default)]
pub struct BatchesRead {
    /// The batches; none if there was nothing to read.
    pub bytes: Bytes,
    /// The segment's file.
    pub path: PathBuf,
    /// Where in it the first begins.
    pub position: u64,
}

impl ReadPlan {
    /// No batch that comes ends behind it.
    pub fn end_max(&self) -> Offset {
        self.end_max
    }

    /// The same for at most `bytes_max` bytes.
    pub fn at_most(mut self, bytes_max: usize) -> ReadPlan {
        self.limits.bytes_max = self.limits.bytes_max.min(bytes_max);
        self
    }
}

impl Log {
    /// A plan for the batches from the one that holds `offset` on (or the next, where compaction took that), all of
    /// one segment. At the log's end it reads nothing. Finding the place blocks for a few reads of an index.
    pub fn read(&self, offset: Offset, limits: ReadLimits) -> Result<ReadPlan, ReadError> {
        if offset < self.start_offset || offset > self.end_offset {
            return Err(ReadError::OutOfRange {
                start: self.start_offset,
                end: self.end_offset,
            });
        }
        let mut pieces = Vec::new();
        let mut end_max = self.end_offset.min(limits.upper);
        if offset < self.end_offset.min(limits.upper) {
            let floor = self.segment_of(offset);
            // Where compaction emptied the end of a segment, the next one that isn't empty has the next batch.
            let next = (floor + 1..self.segments.len()).find(|&n| self.segments[n].size_bytes() > 0);
            for n in [Some(floor), next].into_iter().flatten() {
                pieces.push(self.piece_now(n, offset)?);
            }
            let behind = next.and_then(|next| self.segments.get(next + 1));
            end_max = behind.map_or(end_max, |behind| end_max.min(behind.base()));
        }
        Ok(ReadPlan {
            offset,
            limits,
            pieces,
            end_max,
        })
    }

    /// The segment that holds `offset`, if any does.
    pub(super) fn segment_of(&self, offset: Offset) -> usize {
        self.segments
            .partition_point(|segment| segment.base() <= offset)
            .saturating_sub(1)
    }

    pub(super) fn piece_now(&self, n: usize, offset: Offset) -> io::Result<Piece> {
        let segment = &self.segments[n];
        let of = |kind| move |error| in_words(error, segment.path(kind).display());
        let range = segment.range_of_now(offset).map_err(of(names::INDEX))?;
        let piece = Piece {
            file: segment.file_now().map_err(of(names::LOG))?,
            path: segment.path(names::LOG),
            range,
            end: segment.size_bytes(),
            offsets_end: self.segments.get(n + 1).map_or(self.end_offset, Segment::base),
        };
        self.close_other_sealed(n);
        Ok(piece)
    }

    /// Of the sealed segments only the one that was read last stays open.
    fn close_other_sealed(&self, n: usize) {
        let sealed = self.segments.len() - 1;
        if n == sealed {
            return;
        }
        let others = self.segments[..sealed]
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != n);
        others.for_each(|(_, segment)| Segment::release(segment));
    }
}

impl ReadPlan {
    /// Whether there is nothing to read, and so nothing to wait for.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Reads. The bytes are whole batches. `InvalidData` when the file has something else where batches were. Every error names the file.
    pub async fn run(self) -> io::Result<Bytes> {
        Ok(self.run_with_place().await?.bytes)
    }

    /// The same, blocking: for start-up.
    pub fn run_now(self) -> io::Result<Bytes> {
        Ok(self.run_with_place_now()?.bytes)
    }

    /// As [`run`](Self::run), for those who look closer at the batches and have to say where one is that they find wrong.
    pub async fn run_with_place(self) -> io::Result<BatchesRead> {
        self.run_from(Source::awaiting).await
    }

    /// The same, blocking.
    pub fn run_with_place_now(self) -> io::Result<BatchesRead> {
        ready(self.run_from(Source::blocking))
    }

    async fn run_from(self, source: impl Fn(File) -> Source) -> io::Result<BatchesRead> {
        for piece in self.pieces {
            let reader = Reader {
                source: source(piece.file),
                end: piece.end,
                offsets_end: piece.offsets_end,
                limits: self.limits,
            };
            let read = reader.read(self.offset, piece.range).await;
            let path = piece.path;
            if let Some((position, bytes)) = read.map_err(|error| in_words(error, path.display()))? {
                return Ok(BatchesRead {
                    bytes,
                    path,
                    position,
                });
            }
        }
        Ok(BatchesRead::default())
    }
}

struct Reader {
    source: Source,
    end: u64,
    offsets_end: Offset,
    limits: ReadLimits,
}

/// The first batch to return, and what has been read from it on.
struct Found {
    position: u64,
    header: BatchHeader,
    bytes: BytesMut,
}

impl Reader {
    /// Whole batches from the one that holds `offset` on, and where that is; none if that is in another segment.
    async fn read(&self, offset: Offset, range: Range) -> io::Result<Option<(u64, Bytes)>> {
        let Some(found) = self.find(offset, range).await? else {
            return Ok(None);
        };
        let position = found.position;
        Ok(Some((position, self.batches(found).await?)))
    }

    /// The first batch that ends at or behind `offset`.
    async fn find(&self, offset: Offset, range: Range) -> io::Result<Option<Found>> {
        let lead = range.to - range.from;
        let is_far = lead > LEAD_BYTES_MAX;
        let wanted = match is_far {
            true => HEADER_BYTES,
            false => (lead as usize)
                .saturating_add(self.limits.bytes_max)
                .max(HEADER_BYTES),
        };
        let wanted = wanted.min((self.end - range.from) as usize);
        let mut bytes = self.source.read_at(range.from, wanted).await?;
        if range.from > 0 && !leads_to(offset, &bytes) && !is_planted(Planted::IndexOffByOne) {
            // The index is wrong, and may have led behind what is looked for.
            return self.search(offset, 0).await;
        }
        if is_far {
            return self.search(offset, range.from).await;
        }
        let mut at = 0;
        while let Ok(header) = BatchHeader::parse(&bytes[at.min(bytes.len())..]) {
            if header.last_offset >= offset {
                let position = range.from + at as u64;
                return Ok(Some(Found {
                    position,
                    header,
                    bytes: bytes.split_off(at),
                }));
            }
            at += header.size_bytes;
        }
        // The file's end, a batch that is not in the buffer, or something bad: the walk tells.
        self.search(offset, range.from + at as u64).await
    }

    async fn search(&self, offset: Offset, from: u64) -> io::Result<Option<Found>> {
        let mut walk = Walk::new(self.source.clone(), from, self.end);
        let found = walk.find(|header| header.last_offset >= offset).await?;
        Ok(found.map(|(position, header)| Found {
            position,
            header,
            bytes: BytesMut::new(),
        }))
    }

    /// Whole batches within the limits.
    async fn batches(&self, found: Found) -> io::Result<Bytes> {
        let Found {
            position,
            header,
            mut bytes,
        } = found;
        let limit = match self.limits.at_least_one {
            true => self.limits.bytes_max.max(header.size_bytes),
            false => self.limits.bytes_max,
        };
        let wanted = limit.min((self.end - position) as usize);
        if bytes.len() < wanted {
            bytes = self.source.read_at(position, wanted).await?;
        }
        bytes.truncate(wanted);
        let mut whole = 0;
        while whole < bytes.len() {
            let header = match BatchHeader::parse(&bytes[whole..]) {
                Ok(header) => header,
                Err(BatchProblem::Torn) => break,
                Err(problem) => return Err(bad_batch(position + whole as u64, problem)),
            };
            if header.last_offset >= self.offsets_end {
                // Its base offset is under no CRC. A reader that took it for what is not to be read yet would wait for ever.
                return Err(bad_batch(position + whole as u64, BatchProblem::Offsets));
            }
            if header.last_offset >= self.limits.upper || header.size_bytes > bytes.len() - whole {
                break;
            }
            whole += header.size_bytes;
        }
        bytes.truncate(whole);
        Ok(bytes.freeze())
    }
}

/// Whether a batch begins there that an index may have led to in search of `offset`.
fn leads_to(offset: Offset, bytes: &[u8]) -> bool {
    BatchHeader::parse(bytes).is_ok_and(|header| header.base_offset <= offset)
}
