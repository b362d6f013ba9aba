//! Reading a segment's batches one after the other: by their headers, for lookups and producer states, and whole with
//! their CRC, for recovery. Both stream through a bounded buffer.

use std::future::Future;
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;

use crate::base::Offset;
use crate::io::fs::File;
use crate::io::in_words;
use crate::log::header::{BatchCrc, BatchHeader, BatchProblem, HEADER_BYTES};

/// A walk reads so much at once: four index intervals, so that a lookup mostly takes one read.
const WALK_BYTES: usize = 16 << 10;

/// Recovery reads so much at once; the whole memory it needs.
const SCAN_BYTES: usize = 1 << 20;

/// A file, and whether reading it may block: recovery does, requests read on the core's ring.
#[derive(Clone, Debug)]
pub struct Source {
    file: File,
    now: bool,
}

impl Source {
    /// Reads that await.
    pub fn awaiting(file: File) -> Source {
        Source { file, now: false }
    }

    /// Reads that block; a future that uses only such is ready when first polled, see [`ready`].
    pub fn blocking(file: File) -> Source {
        Source { file, now: true }
    }

    /// `len` bytes from `offset`; fewer only at the file's end.
    pub async fn read_at(&self, offset: u64, len: usize) -> io::Result<BytesMut> {
        let read = match self.now {
            false => self.file.read_at(offset, len).await,
            true => self.read_at_now(offset, len),
        };
        read.map_err(|error| in_words(error, format_args!("at byte {offset}")))
    }

    fn read_at_now(&self, offset: u64, len: usize) -> io::Result<BytesMut> {
        let mut bytes = BytesMut::zeroed(len);
        let read = self.file.read_at_now(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// The result of a future that does nothing but block.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a blocking read waited"),
    }
}

/// Goes over a segment's headers.
pub struct Walk {
    source: Source,
    position: u64,
    end: u64,
    buffer: BytesMut,
    buffer_at: u64,
}

/// Where a walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A batch that lies within the walk's end as a whole.
    Batch {
        /// Where it begins in the file.
        position: u64,
        /// Its header.
        header: BatchHeader,
    },
    /// The walk's end, exactly behind a batch.
    End,
    /// Something else than a batch.
    Bad {
        /// Where it begins in the file.
        position: u64,
        /// What is wrong with it.
        problem: BatchProblem,
    },
}

impl Walk {
    /// From the batch that begins at `position` to `end`.
    pub fn new(source: Source, position: u64, end: u64) -> Walk {
        Walk {
            source,
            position,
            end,
            buffer: BytesMut::new(),
            buffer_at: position,
        }
    }

    /// The next batch. Its CRC is not looked at, nor whether its offsets follow the ones before.
    pub async fn next(&mut self) -> io::Result<Step> {
        let position = self.position;
        if position >= self.end {
            return Ok(Step::End);
        }
        let header = match BatchHeader::parse(self.window().await?) {
            Ok(header) => header,
            Err(problem) => return Ok(Step::Bad { position, problem }),
        };
        let behind = position + header.size_bytes as u64;
        if behind > self.end {
            return Ok(Step::Bad {
                position,
                problem: BatchProblem::Torn,
            });
        }
        self.position = behind;
        Ok(Step::Batch { position, header })
    }

    /// Goes on at `position`, no less than where it stands: past something that is no batch.
    pub fn pass_to(&mut self, position: u64) {
        debug_assert!(position >= self.position);
        self.position = position;
    }

    /// The first batch that `wanted` says yes to; `None` at the end. A bad batch is an error.
    pub async fn find(
        &mut self,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> io::Result<Option<(u64, BatchHeader)>> {
        loop {
            match self.next().await? {
                Step::Batch { position, header } if wanted(&header) => return Ok(Some((position, header))),
                Step::Batch { .. } => {}
                Step::End => return Ok(None),
                Step::Bad { position, problem } => return Err(bad_batch(position, problem)),
            }
        }
    }

    /// What lies at the position, a header's length of it if the file has that.
    async fn window(&mut self) -> io::Result<&[u8]> {
        let left = (self.end - self.position) as usize;
        let buffered = (self.buffer_at + self.buffer.len() as u64).saturating_sub(self.position);
        if buffered < HEADER_BYTES.min(left) as u64 {
            self.buffer = self.source.read_at(self.position, WALK_BYTES.min(left)).await?;
            self.buffer_at = self.position;
        }
        Ok(&self.buffer[(self.position - self.buffer_at) as usize..])
    }
}

/// A batch that a reader found broken where recovery and appends had left a good one.
pub fn bad_batch(position: u64, problem: BatchProblem) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("at byte {position}: {problem}"),
    )
}

/// What recovery found in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Where the last valid batch ends.
    pub valid_bytes: u64,
    /// The offset behind it; the segment's base offset if there is none.
    pub next_offset: Offset,
    /// What lies behind it, if not the file's end.
    pub problem: Option<BatchProblem>,
}

/// Goes over the first `len` bytes of a segment and checks every batch as a whole; stops at the first that is not
/// valid, or whose offsets a segment of this `base` can't have. `visit` gets each valid batch's position and header,
/// and the bytes of a control batch that is small enough to be one of a transaction.
pub fn scan_now(
    file: &File,
    len: u64,
    base: Offset,
    mut visit: impl FnMut(u64, &BatchHeader, &[u8]),
) -> io::Result<Scanned> {
    let mut window = Window {
        file,
        len,
        at: 0,
        bytes: Vec::new(),
    };
    let mut scanned = Scanned {
        valid_bytes: 0,
        next_offset: base,
        problem: None,
    };
    while scanned.valid_bytes < len {
        let at = scanned.valid_bytes;
        match check_batch(&mut window, at, base, scanned.next_offset)? {
            Ok(header) => {
                let control = if header.is_control() && header.size_bytes <= SCAN_BYTES {
                    header.size_bytes
                } else {
                    0
                };
                visit(at, &header, window.get(at, control)?);
                scanned.valid_bytes += header.size_bytes as u64;
                scanned.next_offset = header.next_offset();
            }
            Err(problem) => {
                scanned.problem = Some(problem);
                break;
            }
        }
    }
    Ok(scanned)
}

/// Checks one batch, with its CRC: the one at byte `at` of a segment of `len` bytes.
pub fn check_batch_now(
    file: &File,
    len: u64,
    at: u64,
    base: Offset,
) -> io::Result<Result<BatchHeader, BatchProblem>> {
    check_batch(
        &mut Window {
            file,
            len,
            at: 0,
            bytes: Vec::new(),
        },
        at,
        base,
        base,
    )
}

fn check_batch(
    window: &mut Window<'_>,
    at: u64,
    base: Offset,
    next: Offset,
) -> io::Result<Result<BatchHeader, BatchProblem>> {
    let header = match BatchHeader::parse(window.get(at, HEADER_BYTES)?) {
        Ok(header) => header,
        Err(problem) => return Ok(Err(problem)),
    };
    if at + header.size_bytes as u64 > window.len {
        return Ok(Err(BatchProblem::Torn));
    }
    if header.base_offset < next || header.last_offset.0 - base.0 > i64::from(i32::MAX) {
        return Ok(Err(BatchProblem::Offsets));
    }
    let first = window.get(at, header.size_bytes.min(SCAN_BYTES))?;
    let mut checked = first.len();
    if checked < HEADER_BYTES {
        return Ok(Err(BatchProblem::Torn));
    }
    let mut crc = BatchCrc::begin(first);
    while checked < header.size_bytes {
        let more = window.get(at + checked as u64, (header.size_bytes - checked).min(SCAN_BYTES))?;
        if more.is_empty() {
            return Ok(Err(BatchProblem::Torn));
        }
        crc.update(more);
        checked += more.len();
    }
    Ok(if crc.matches(&header) {
        Ok(header)
    } else {
        Err(BatchProblem::Crc)
    })
}

/// The part of a file that is in memory: [`SCAN_BYTES`] at most.
struct Window<'a> {
    file: &'a File,
    len: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `len` bytes from `at`, at most [`SCAN_BYTES`]; fewer only at the file's end.
    fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let len = len.min((self.len - at) as usize);
        let inside = at >= self.at && at + len as u64 <= self.at + self.bytes.len() as u64;
        if !inside {
            let wanted = SCAN_BYTES.min((self.len - at) as usize);
            self.bytes.resize(wanted, 0);
            let read = self.file.read_at_now(at, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.at = at;
        }
        let from = (at - self.at) as usize;
        Ok(&self.bytes[from..(from + len).min(self.bytes.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::OpenOptions;
    use crate::log::testing;

    fn file_of(bytes: &[u8]) -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, bytes).unwrap();
        (dir, File::open_now(&path, OpenOptions::read_only()).unwrap())
    }

    fn walked(file: &File, len: u64) -> Vec<Step> {
        let mut walk = Walk::new(Source::blocking(file.clone()), 0, len);
        let mut steps = Vec::new();
        loop {
            let step = ready(walk.next()).unwrap();
            steps.push(step);
            if !matches!(step, Step::Batch { .. }) {
                return steps;
            }
        }
    }

    #[test]
    fn batches_larger_than_the_buffers_are_walked_and_checked() {
        let big = "x".repeat(3 * SCAN_BYTES / 2);
        let bytes = [
            testing::batch(7, &[(1, "a")]),
            testing::batch(8, &[(2, &big), (2, &big)]),
            testing::batch(20, &[(3, "b")]),
        ]
        .concat();
        let (_dir, file) = file_of(&bytes);
        let steps = walked(&file, bytes.len() as u64);
        assert_eq!(steps.len(), 4);
        assert_eq!(steps[3], Step::End);
        let mut offsets = Vec::new();
        let scanned = scan_now(&file, bytes.len() as u64, Offset(5), |_, header, _| {
            offsets.push(header.base_offset.0)
        })
        .unwrap();
        assert_eq!(offsets, [7, 8, 20]);
        assert_eq!(
            scanned,
            Scanned {
                valid_bytes: bytes.len() as u64,
                next_offset: Offset(21),
                problem: None
            }
        );
    }

    #[test]
    fn a_scan_stops_at_every_torn_or_changed_byte_of_the_last_batch() {
        let good = [
            testing::batch(0, &[(1, "a")]),
            testing::batch(1, &[(2, "b"), (3, "c")]),
        ]
        .concat();
        let last = testing::batch(3, &[(4, "d")]);
        let all = [&good[..], &last].concat();
        for cut in good.len()..all.len() {
            let (_dir, file) = file_of(&all[..cut]);
            let scanned = scan_now(&file, cut as u64, Offset(0), |_, _, _| {}).unwrap();
            assert_eq!(
                (scanned.valid_bytes, scanned.next_offset),
                (good.len() as u64, Offset(3)),
                "{cut}"
            );
            assert_eq!(scanned.problem.is_some(), cut > good.len());
        }
        for at in good.len()..all.len() {
            let mut changed = all.clone();
            changed[at] ^= 0x10;
            let (_dir, file) = file_of(&changed);
            let scanned = scan_now(&file, all.len() as u64, Offset(0), |_, _, _| {}).unwrap();
            // Neither the epoch nor all of the base offset can be told from another valid value.
            let free = (0..8).contains(&(at - good.len())) || (12..16).contains(&(at - good.len()));
            assert!(free || scanned.valid_bytes == good.len() as u64, "byte {at}");
        }
    }

    #[test]
    fn offsets_that_go_back_or_leave_the_segments_range_end_a_scan() {
        for second in [1, i64::from(i32::MAX) + 1] {
            let first = testing::batch(0, &[(1, "a"), (1, "b")]);
            let bytes = [&first[..], &testing::batch(second, &[(2, "c")])].concat();
            let (_dir, file) = file_of(&bytes);
            let scanned = scan_now(&file, bytes.len() as u64, Offset(0), |_, _, _| {}).unwrap();
            assert_eq!(scanned.problem, Some(BatchProblem::Offsets));
            assert_eq!(scanned.valid_bytes, first.len() as u64);
        }
    }
}
