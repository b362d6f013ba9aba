//! What a broker has to do while somebody else measures it: a topic that is written and compacted all the time, and a consumer that
//! reads the measured topic's old segments from disk, again and again.
//!
//! It runs with the lowest priority there is, so that it can share a CPU with who measures.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringlog::base::Timestamp;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use serde_json::json;

use super::Args;
use super::broker;
use super::host;
use super::run::{PATIENCE, prepare_topic, wall_ms};
use super::socket::Socket;

const COMPACTED: &str = "perf-load-compacted";
/// Segments as small as Kafka lets them be, compacted as soon as two of them are sealed.
const COMPACTED_SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("min.cleanable.dirty.ratio", "0.01"),
];
const KEYS: u64 = 1_000;
const RECORDS_PER_BATCH: u64 = 16;
const VALUE_BYTES: usize = 1 << 10;
/// The newest segments are still in the core's memory, or on their way to the disk.
const SEGMENTS_LEFT_ALONE: usize = 2;
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// What was done, and what it brought the broker to do.
#[derive(Default)]
pub struct Done {
    compacted_bytes: u64,
    backfill_bytes: u64,
    /// Base offsets of all segments of the measured topic that were ever seen, and of those that were there last.
    seen: BTreeSet<i64>,
    there: BTreeSet<i64>,
    cleaned_to: i64,
}

impl Done {
    /// As one line of JSON.
    pub fn json_line(&self) -> String {
        json!({
            "compacted_bytes": self.compacted_bytes,
            "backfill_bytes": self.backfill_bytes,
            "rolls": self.seen.len().saturating_sub(1),
            "segments_deleted": self.seen.len() - self.there.len(),
            "cleaned_to": self.cleaned_to,
        })
        .to_string()
    }
}

/// Works for as long as the arguments say; `data` is the broker's log directory.
pub fn run(args: &Args, data: &Path) -> Result<Done, String> {
    if let Some(cpu) = args.cpu {
        host::pin(cpu)?;
    }
    host::stand_back()?;
    let mut beside = Beside::new(args, data)?;
    let end = Instant::now() + args.warmup() + args.measured();
    let (mut write_at, mut read_at, mut look_at) = (Instant::now(), Instant::now(), Instant::now());
    while Instant::now() < end {
        let now = Instant::now();
        if write_at <= now {
            write_at += per_second(beside.write()?, args.compacted_kib);
        }
        if read_at <= now {
            // Behind schedule it goes on as it can: there is no reading to be caught up with.
            read_at = now + per_second(beside.read_old()?, args.backfill_kib);
        }
        if look_at <= now {
            look_at = now + LOOK_INTERVAL;
            beside.look()?;
        }
        let next = write_at.min(read_at).min(look_at);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    beside.look()?;
    Ok(beside.done)
}

/// How long so many bytes may take.
fn per_second(bytes: u64, kib: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / (kib * 1024) as f64)
}

struct Beside<'a> {
    args: &'a Args,
    data: &'a Path,
    writer: Socket,
    reader: Socket,
    written: u64,
    /// Where the reader is, and where it begins again.
    next_offset: i64,
    lap_end: i64,
    done: Done,
}

impl<'a> Beside<'a> {
    fn new(args: &'a Args, data: &'a Path) -> Result<Beside<'a>, String> {
        let mut writer = Socket::connect(args.bootstrap)?;
        let mut reader = Socket::connect(args.bootstrap)?;
        prepare_topic(&mut writer, COMPACTED, COMPACTED_SETTINGS)?;
        prepare_topic(&mut reader, &args.topic, &[])?;
        Ok(Beside {
            args,
            data,
            writer,
            reader,
            written: 0,
            next_offset: 0,
            lap_end: 0,
            done: Done::default(),
        })
    }

    /// Writes a batch to the compacted topic; its bytes.
    fn write(&mut self) -> Result<u64, String> {
        let now = Timestamp(wall_ms());
        let mut batch = BatchBuilder::new(Codec::None);
        for _ in 0..RECORDS_PER_BATCH {
            // Not in order, so that a segment supersedes parts of all before it.
            let key = (self.written.wrapping_mul(0x9e37_79b9) % KEYS).to_be_bytes();
            let value: Vec<u8> = (0..VALUE_BYTES)
                .map(|n| (n as u64 * 131 + self.written) as u8)
                .collect();
            batch.add(now, Some(&key), Some(&value), &[]);
            self.written += 1;
        }
        let batch = batch.build();
        let (request, _) = broker::produce(COMPACTED, -1, &batch);
        let answer = broker::read_produce(&self.writer.ask(&request, PATIENCE)?)?;
        answer.map_err(|error| format!("Produce to {COMPACTED}: error {error}"))?;
        self.done.compacted_bytes += batch.len() as u64;
        Ok(batch.len() as u64)
    }

    /// Reads the next piece of the old segments; its bytes, or what one would have where there is none.
    fn read_old(&mut self) -> Result<u64, String> {
        const NOTHING_BYTES: u64 = 1 << 20;
        if self.next_offset >= self.lap_end && !self.begin_lap()? {
            return Ok(NOTHING_BYTES);
        }
        let answer = self
            .reader
            .ask(&broker::fetch(&self.args.topic, self.next_offset), PATIENCE)?;
        let before = self.next_offset;
        let read = broker::read_fetch(&answer, |offset, _| {
            self.next_offset = self.next_offset.max(offset + 1)
        })?;
        match read {
            // Retention was faster.
            Err(OFFSET_OUT_OF_RANGE) => self.next_offset = self.lap_end,
            Err(error) => return Err(format!("Fetch: error {error}")),
            Ok(()) if self.next_offset == before => return Err("an old segment has no records".into()),
            Ok(()) => self.done.backfill_bytes += answer.len() as u64,
        }
        Ok(answer.len() as u64)
    }

    /// Begins at the first offset again, with nothing of the old segments in the page cache; whether there are any.
    fn begin_lap(&mut self) -> Result<bool, String> {
        let segments = self.segments()?;
        let Some(old) = segments
            .len()
            .checked_sub(SEGMENTS_LEFT_ALONE)
            .filter(|old| *old > 0)
        else {
            return Ok(false);
        };
        for (_, path) in &segments[..old] {
            drop_from_cache(path);
        }
        let answer = self
            .reader
            .ask(&broker::start_offset(&self.args.topic), PATIENCE)?;
        let start = broker::read_offset(&answer)?;
        self.next_offset = start.map_err(|error| format!("ListOffsets: error {error}"))?;
        self.lap_end = segments[old].0;
        Ok(self.next_offset < self.lap_end)
    }

    /// Takes note of what the broker has done meanwhile.
    fn look(&mut self) -> Result<(), String> {
        self.done.there = self.segments()?.into_iter().map(|(base, _)| base).collect();
        self.done.seen.extend(&self.done.there);
        let checkpoint = fs::read_to_string(self.data.join("cleaner-offset-checkpoint")).unwrap_or_default();
        let line = checkpoint.lines().find_map(|line| line.strip_prefix(COMPACTED));
        if let Some(offset) = line.and_then(|line| line.split(' ').nth(2)?.parse().ok()) {
            self.done.cleaned_to = offset;
        }
        Ok(())
    }

    /// The measured topic's segments, by rising base offset.
    fn segments(&self) -> Result<Vec<(i64, PathBuf)>, String> {
        let dir = self.data.join(format!("{}-0", self.args.topic));
        let entries = fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let segment = |path: PathBuf| {
            let base = path.file_name()?.to_str()?.strip_suffix(".log")?.parse().ok()?;
            Some((base, path))
        };
        let mut segments: Vec<_> = entries
            .flatten()
            .filter_map(|entry| segment(entry.path()))
            .collect();
        segments.sort();
        Ok(segments)
    }
}

/// What is written already leaves the page cache; a file that is gone has left it.
fn drop_from_cache(path: &Path) {
    if let Ok(file) = File::open(path) {
        // SAFETY: plain numbers, and an open descriptor.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
}
