//! What a log's files need beside appends, without holding up the core: their names, their indexes, their way to stable storage, and the
//! file of the next segment. See `docs/design/log.md`.
//!
//! [`Log::begin_upkeep`] says what is to be done, [`Upkeep::run`] does it without a borrow of the log, [`Log::end_upkeep`] takes note.
//! One at a time: what one has begun, another must not begin again.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::base::Offset;
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, Planted, is_planted, sync_dir};
use crate::log::flush::{NamesFlush, sync_if_there};
use crate::log::index::{IndexWrites, IndexesWritten, PENDING_DUE};
use crate::log::segment::{self, Segment, Spare};
use crate::log::{Dir, Log, names};

/// The system is asked to write so much back at once: often enough that a burst doesn't meet its limits of unwritten memory, rarely enough
/// that a worker isn't kept busy with it.
const WRITE_BACK_BYTES: u64 = 1 << 20;

/// The file of the next segment.
#[derive(Debug)]
pub enum SpareState {
    /// There is none, and none was asked for.
    None,
    /// It is being made.
    Making,
    /// It is there.
    Ready(Spare),
    /// It could not be made; the roll tries itself.
    Failed,
}

/// What is to be done now; see the module.
#[derive(Debug)]
pub struct Upkeep {
    dir: Dir,
    /// The segment that it is about.
    base: Offset,
    names: Option<NamesFlush>,
    rename: Option<[PathBuf; 2]>,
    index: Option<IndexWrites>,
    settle: Option<Settle>,
    write_back: Option<WriteBack>,
    spare: Option<SpareToMake>,
}

#[derive(Debug)]
struct SpareToMake {
    path: PathBuf,
    /// 0 reserves nothing.
    reserved_bytes: u64,
}

/// A sealed segment's way to stable storage.
#[derive(Debug)]
struct Settle {
    batches: File,
    size_bytes: u64,
    /// Of the producers as of its end; without bytes where a start has written it.
    snapshot: (PathBuf, Option<Bytes>),
    end: Offset,
}

#[derive(Debug)]
struct WriteBack {
    batches: File,
    from: u64,
    len: u64,
}

/// What an [`Upkeep`] came to.
#[derive(Debug)]
pub struct Upkept {
    base: Offset,
    /// As [`NamesFlush`] numbers them.
    names: Option<u64>,
    is_named: bool,
    index: Option<IndexesWritten>,
    settled_to: Option<Offset>,
    written_back_to: Option<u64>,
    spare: Option<io::Result<Spare>>,
}

impl Upkeep {
    /// Does it.
    ///
    /// # Errors
    /// Something was not written or flushed: what the disk has is not known, unless the error [may pass](crate::io::may_pass): then it may
    /// be begun again. (A spare that can't be made is no such error.)
    pub async fn run(self) -> io::Result<Upkept> {
        let names = match self.names {
            Some(names) => Some(names.run().await?),
            None => None,
        };
        if let Some([from, to]) = &self.rename {
            match fs::rename(from, to).await {
                // Done by one that was given up.
                Err(error) if error.kind() == io::ErrorKind::NotFound && fs::exists_now(to)? => {}
                renamed => renamed?,
            }
        }
        let index = match self.index {
            Some(index) => Some(index.run().await?),
            None => None,
        };
        let settled_to = match self.settle {
            Some(settle) => Some(settle.run(&self.dir, index.as_ref()).await?),
            None => None,
        };
        let written_back_to = match self.write_back {
            Some(write_back) => Some(write_back.run().await),
            None => None,
        };
        let spare = match self.spare {
            Some(spare) => Some(spare.make(&self.dir).await),
            None => None,
        };
        Ok(Upkept {
            base: self.base,
            names,
            is_named: self.rename.is_some(),
            index,
            settled_to,
            written_back_to,
            spare,
        })
    }
}

impl Settle {
    async fn run(self, dir: &Path, index: Option<&IndexesWritten>) -> io::Result<Offset> {
        if segment::has_room_reserved(&self.batches, self.size_bytes)? {
            self.batches.trim(self.size_bytes).await?;
        }
        if !is_planted(Planted::SettledUnflushed) {
            self.batches.sync_data().await?;
        }
        for file in index.into_iter().flat_map(IndexesWritten::files) {
            file.sync_data().await?;
        }
        match self.snapshot {
            (path, Some(bytes)) => {
                let file = File::open(&path, OpenOptions::read_write_truncate()).await?;
                file.write_at(0, bytes).await?;
                file.sync_data().await?;
            }
            (path, None) => sync_if_there(&path).await?,
        }
        sync_dir(dir).await?;
        Ok(self.end)
    }
}

impl WriteBack {
    async fn run(self) -> u64 {
        let len = u32::try_from(self.len).unwrap_or(u32::MAX);
        self.batches.write_back(self.from, len).await;
        self.from + u64::from(len)
    }
}

impl SpareToMake {
    /// Its name has to be there before its first batch: a durable append waits for the batch alone.
    async fn make(self, dir: &Path) -> io::Result<Spare> {
        let file = File::open(&self.path, OpenOptions::read_write_truncate()).await?;
        if self.reserved_bytes > 0 {
            self.reserve(file).await?;
        }
        sync_dir(dir).await?;
        Ok(Spare { path: self.path })
    }

    async fn reserve(&self, file: File) -> io::Result<()> {
        match file.reserve(self.reserved_bytes).await {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            Err(error) => {
                // It may hold the last of the disk, which the segment before it needs.
                let _ = fs::remove_file(&self.path).await;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Log {
    /// Whether [`begin_upkeep`](Self::begin_upkeep) would find something to do. Cheap: it is asked after each append.
    pub fn needs_upkeep(&self) -> bool {
        let active = self.active();
        !self.is_kept_up
            && (self.unsettled() > 0
                || !active.is_named()
                || active.pending_entries() >= PENDING_DUE
                || active.not_written_back().1 >= WRITE_BACK_BYTES
                || self.names.are_unflushed()
                || self.wants_spare())
    }

    /// What is to be done next, if anything and if nothing is under way: the oldest sealed segment that isn't settled first, then the
    /// active one.
    ///
    /// # Errors
    /// A file can't be opened; nothing was begun.
    pub fn begin_upkeep(&mut self) -> io::Result<Option<Upkeep>> {
        if !self.needs_upkeep() {
            return Ok(None);
        }
        let n = self.first_unsettled();
        let is_active = n == self.segments.len() - 1;
        let segment = &self.segments[n];
        let rename = (!segment.is_named()).then(|| {
            let own_name = names::offset_file(segment.base(), names::LOG);
            [segment.path(names::LOG), self.dir.join(own_name)]
        });
        let is_index_due = !is_active || segment.pending_entries() >= PENDING_DUE;
        let mut upkeep = Upkeep {
            dir: self.dir.clone(),
            base: segment.base(),
            names: self.names.begin_flush(&self.dir),
            rename,
            index: match is_index_due {
                true => Some(segment.begin_index_writes()?),
                false => None,
            },
            settle: None,
            write_back: None,
            spare: None,
        };
        if !is_active {
            upkeep.settle = Some(self.begin_settle(n)?);
        } else {
            let (from, len) = segment.not_written_back();
            if len >= WRITE_BACK_BYTES {
                let batches = segment.file_now()?;
                upkeep.write_back = Some(WriteBack { batches, from, len });
            }
            if self.wants_spare() {
                let name = names::offset_file(self.end_offset, names::SPARE);
                upkeep.spare = Some(SpareToMake {
                    path: self.dir.join(name),
                    reserved_bytes: match self.options.preallocate {
                        true => self.options.segment_bytes.into(),
                        false => 0,
                    },
                });
                self.spare = SpareState::Making;
            }
        }
        self.is_kept_up = true;
        Ok(Some(upkeep))
    }

    fn begin_settle(&self, n: usize) -> io::Result<Settle> {
        let (segment, end) = (&self.segments[n], self.segments[n + 1].base());
        let path = self.dir.join(names::offset_file(end, names::SNAPSHOT));
        Ok(Settle {
            batches: segment.file_now()?,
            size_bytes: segment.size_bytes(),
            snapshot: (path, segment.snapshot().cloned()),
            end,
        })
    }

    /// Takes note of what was done.
    pub fn end_upkeep(&mut self, upkept: Upkept) {
        self.is_kept_up = false;
        if let Some(names) = upkept.names {
            self.names.flushed(names);
        }
        if let Some(spare) = upkept.spare {
            self.spare = match spare {
                Ok(spare) => SpareState::Ready(spare),
                Err(error) => {
                    tracing::warn!("{}: no file for the next segment: {error}", self.dir.display());
                    SpareState::Failed
                }
            };
        }
        let Some(n) = self
            .segments
            .iter()
            .position(|segment| segment.base() == upkept.base)
        else {
            return;
        };
        let segment = &mut self.segments[n];
        if upkept.is_named {
            segment.named();
        }
        if let Some(written) = upkept.index {
            segment.finish_index_writes(written);
        }
        if let Some(upto) = upkept.written_back_to {
            segment.wrote_back(upto);
        }
        if let Some(end) = upkept.settled_to {
            segment.settle();
            self.flushed = self.flushed.max(end);
        }
    }

    /// It failed, or did not begin.
    pub fn give_upkeep_up(&mut self) {
        self.is_kept_up = false;
        if matches!(self.spare, SpareState::Making) {
            self.spare = SpareState::Failed;
        }
    }

    /// The oldest segment that isn't settled; the active one never is.
    pub(super) fn first_unsettled(&self) -> usize {
        self.segments.len() - 1 - self.unsettled()
    }

    /// How many sealed segments aren't settled: they are the newest.
    pub(super) fn unsettled(&self) -> usize {
        let sealed = self.segments.iter().rev().skip(1);
        sealed.take_while(|segment| !segment.is_settled()).count()
    }

    /// Whether the active segment is so far on that the next one's file should be made.
    fn wants_spare(&self) -> bool {
        matches!(self.spare, SpareState::None) && is_half_full(self.active(), &self.options)
    }
}

/// By bytes or by the records' time.
fn is_half_full(segment: &Segment, options: &super::LogOptions) -> bool {
    let (first, latest) = (segment.first_timestamp(), segment.max_timestamp());
    let age_ms = match (first, latest) {
        (Some(first), Some(latest)) => latest.timestamp.0.saturating_sub(first.0),
        _ => 0,
    };
    segment.size_bytes() >= u64::from(options.segment_bytes) / 2
        || (segment.size_bytes() > 0 && age_ms > options.segment_ms / 2)
}
