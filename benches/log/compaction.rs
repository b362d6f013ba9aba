//! Compaction of a log that lies in the page cache, through the files and the ring as a broker does it.
//!
//! Of the records half are superseded. A log is filled once and copied for each round, since a compaction uses it up. In the last
//! case it was compacted before and got a quarter again: most of it is clean.
//!
//! # The floor
//! The least that has the same outcome, as a program would do it that has the core and all memory for itself, and after a crash nothing to find
//! again:
//! - of the dirty segments: read, CRC, decompress, walk, and note each key's last offset in a table;
//! - of all segments: the same until each record's key is looked up, copy those that stay, compress them, CRC, write, one flush for each
//!   segment. A batch of which all stays is copied as it is.
//!
//! It walks, decompresses, compresses and computes CRCs by the broker's own functions; that these are slow it can't show. The table
//! is std's, of keys that are all of eight bytes: no hash that nobody can find a collision of, no limit to its size. Left out besides: turns for others,
//! transactions, producers, tombstones, indexes, names of files and what makes them durable.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ringlog::base::{LeaderEpoch, Offset, Timestamp, crc32c};
use ringlog::log::compaction::{CompactionRules, KeyMapLimits, Pace};
use ringlog::log::{Log, LogOptions, Opened, Resume};
use ringlog::wire::batch::{self, BatchBuilder, BatchView, DECOMPRESSED_BYTES_MAX, layout};
use ringlog::wire::compression::{self, Codec};
use tempfile::TempDir;

use crate::figure::{Figure, Pass};
use crate::host::Ticks;
use crate::{Plan, disk, one_core};

const RULES: CompactionRules = CompactionRules {
    dirty_ratio_min: 0.0,
    lag_min_ms: 0,
    lag_max_ms: i64::MAX,
    delete_retention_ms: 86_400_000,
};

const LIMITS: KeyMapLimits = KeyMapLimits {
    bytes_max: 128 << 20,
    load_factor: 0.9,
};

/// Bytes of a batch before compression: what a producer sends at once by default.
const BATCH_BYTES: usize = 16 << 10;
/// So that a small log too has more than the active segment, which is never compacted.
const SEGMENT_BYTES: u32 = 16 << 20;
const WRITE_BYTES: usize = 1 << 20;

const FLOOR: &str = "the same, bare";
const OURS: &str = "compaction";

const CASES: [Case; 7] = [
    Case::new(Codec::None, 100),
    Case::new(Codec::None, 1_000),
    Case::new(Codec::Lz4, 100),
    Case::new(Codec::Lz4, 1_000),
    Case::new(Codec::Zstd, 100),
    Case::new(Codec::Zstd, 1_000),
    Case {
        is_mostly_clean: true,
        ..Case::new(Codec::None, 1_000)
    },
];

#[derive(Clone, Copy)]
struct Case {
    codec: Codec,
    value_bytes: usize,
    is_mostly_clean: bool,
}

/// A log to be compacted.
struct Template {
    dir: TempDir,
    cleaned: Option<Offset>,
    end: Offset,
    bytes: u64,
}

impl Case {
    const fn new(codec: Codec, value_bytes: usize) -> Case {
        Case {
            codec,
            value_bytes,
            is_mostly_clean: false,
        }
    }
}

pub fn measure(plan: &Plan) {
    for case in CASES {
        let log_bytes = plan.compaction_bytes;
        let template = Arc::new(one_core::run(plan, move || fill(case, log_bytes)));
        let title = format!(
            "compaction of {} MiB{}, {}, values of {} B, in the page cache",
            template.bytes >> 20,
            if case.is_mostly_clean {
                " most of which is clean"
            } else {
                ""
            },
            case.codec.name(),
            case.value_bytes
        );
        let variants = [FLOOR, OURS, "the same, bare, again"];
        let figure = Figure::take(title, "GB/s", &variants, plan.rounds, |variant| {
            let template = template.clone();
            one_core::run(plan, move || pass(variant, template.clone()))
        });
        figure.print(None);
    }
}

fn open(dir: &Path, cleaned: Option<Offset>) -> Log {
    let options = LogOptions {
        segment_bytes: SEGMENT_BYTES,
        ..LogOptions::default()
    };
    let resume = Resume {
        cleaned,
        ..Resume::default()
    };
    let opened = Log::open_now(dir, options, Opened::AfterCleanStop, resume, Timestamp(0));
    opened.expect("opens").0
}

async fn fill(case: Case, log_bytes: u64) -> Template {
    let dir = disk::dir();
    let mut log = open(dir.path(), None);
    let (mut next_key, mut cleaned) = (0, None);
    append(&mut log, case, log_bytes, &mut next_key).await;
    if case.is_mostly_clean {
        cleaned = Some(compact(&mut log).await);
        append(&mut log, case, log_bytes / 4, &mut next_key).await;
    }
    let dirt = log.dirt(&RULES, log.end_offset(), Timestamp(2));
    let bytes = dirt.clean_bytes + dirt.cleanable_bytes;
    let end = log.end_offset();
    log.close().await.expect("closes");
    Template {
        dir,
        cleaned,
        end,
        bytes,
    }
}

/// Every second record has a key of its own; the others come again with the next of them.
async fn append(log: &mut Log, case: Case, bytes: u64, next_key: &mut u64) {
    let end = log.size_bytes() + bytes;
    let mut value = vec![b'v'; case.value_bytes];
    while log.size_bytes() < end {
        let mut batch = BatchBuilder::new(case.codec).at(log.end_offset(), LeaderEpoch(0));
        while batch.size_bytes() < BATCH_BYTES {
            *next_key += 1;
            let key = scattered(*next_key / 2).to_be_bytes();
            // What no codec makes smaller; the other half they do away with.
            for (at, piece) in (0..).zip(value[..case.value_bytes / 2].chunks_mut(8)) {
                piece.copy_from_slice(&scattered(*next_key << 16 | at).to_be_bytes()[..piece.len()]);
            }
            batch.add(Timestamp(1), Some(&key), Some(&value), &[]);
        }
        log.append(&batch.build(), Timestamp(1)).expect("appends");
        settle(log).await;
    }
}

/// Another number for each, without an order (SplitMix64).
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// Brings what was sealed to stable storage, as a shard does.
async fn settle(log: &mut Log) {
    while let Some(upkeep) = log.begin_upkeep().expect("begins") {
        let upkept = upkeep.run().await.expect("is kept up");
        log.end_upkeep(upkept);
    }
}

async fn pass(variant: &'static str, template: Arc<Template>) -> Pass {
    let dir = disk::dir();
    let mut log = None;
    if variant == OURS {
        copy(template.dir.path(), dir.path());
        log = Some(open(dir.path(), template.cleaned));
    }
    disk::settle();
    let (before, begun) = (Ticks::now(), Instant::now());
    match &mut log {
        Some(log) => _ = compact(log).await,
        None => compact_bare(&template, dir.path()),
    }
    Pass {
        value: template.bytes as f64 / begun.elapsed().as_secs_f64() / 1e9,
        latencies: None,
        ticks: Ticks::now().since(&before),
    }
}

/// Up to where the log is clean then.
async fn compact(log: &mut Log) -> Offset {
    let now = Timestamp(2);
    let dirt = log.dirt(&RULES, log.end_offset(), now);
    let mut round = log.begin_compaction(dirt, RULES, now);
    let pace = Pace::new(f64::MAX);
    let keys = round.read_keys(LIMITS, &pace).await.expect("reads");
    let mut groups = round.groups(&keys);
    while let Some(compacted) = groups.compact_next(&pace).await.expect("compacts") {
        let removal = log.place_compacted_now(&compacted, now).expect("is placed");
        removal.run().await;
    }
    let cleaned_to = groups.cleaned_to();
    log.end_compaction(Some(cleaned_to));
    cleaned_to
}

/// The floor: see the module.
fn compact_bare(template: &Template, dir: &Path) {
    let segments = sealed(template.dir.path());
    let cleaned = template.cleaned.unwrap_or_default();
    let dirty = segments.partition_point(|segment| base_of(segment) < cleaned);
    let mut buffer = Vec::new();
    let mut last_offsets = HashMap::with_capacity((template.end.0 - cleaned.0) as usize);
    for segment in &segments[dirty..] {
        for_each_batch(segment, &mut buffer, |batch| {
            let note = |key, offset, _: &[u8]| _ = last_offsets.insert(key, offset);
            for_each_record(batch, note);
        });
    }
    let mut output = BareOutput::new(dir);
    for segment in &segments {
        for_each_batch(segment, &mut buffer, |batch| output.keep(batch, &last_offsets));
        output.flush();
    }
}

type Key = [u8; 8];

/// What the floor writes: one file, as if it were many.
struct BareOutput {
    file: File,
    written: u64,
    pending: Vec<u8>,
    /// What stays of a batch.
    records: Vec<u8>,
}

impl BareOutput {
    fn new(dir: &Path) -> BareOutput {
        BareOutput {
            file: disk::new_file(dir),
            written: 0,
            pending: Vec::with_capacity(2 * WRITE_BYTES),
            records: Vec::new(),
        }
    }

    fn keep(&mut self, batch: BatchView<'_>, last_offsets: &HashMap<Key, Offset>) {
        self.records.clear();
        let mut is_whole = true;
        for_each_record(batch, |key, offset, value| {
            let stays = last_offsets.get(&key).is_none_or(|last| offset >= *last);
            is_whole &= stays;
            if stays {
                self.records.extend_from_slice(&key);
                self.records.extend_from_slice(value);
            }
        });
        match is_whole {
            true => self.pending.extend_from_slice(batch.bytes()),
            false => self.build(batch),
        }
        if self.pending.len() >= WRITE_BYTES {
            self.write();
        }
    }

    fn build(&mut self, batch: BatchView<'_>) {
        let from = self.pending.len();
        self.pending.extend_from_slice(&batch.bytes()[..layout::RECORDS]);
        match batch.codec().expect("a codec") {
            Codec::None => self.pending.extend_from_slice(&self.records),
            codec => self
                .pending
                .extend_from_slice(&compression::compress(codec, &self.records)),
        }
        let crc = crc32c(&self.pending[from + layout::ATTRIBUTES..]);
        self.pending[from + layout::CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    }

    fn write(&mut self) {
        self.file
            .write_all_at(&self.pending, self.written)
            .expect("writes");
        self.written += self.pending.len() as u64;
        self.pending.clear();
    }

    fn flush(&mut self) {
        self.write();
        self.file.sync_data().expect("flushes");
    }
}

/// The active segment is never compacted.
fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut segments = disk::segments(dir);
    segments.pop();
    segments
}

fn base_of(segment: &Path) -> Offset {
    let name = segment.file_stem().and_then(|stem| stem.to_str());
    Offset(name.expect("a name").parse().expect("an offset"))
}

fn for_each_batch(segment: &Path, buffer: &mut Vec<u8>, mut each: impl FnMut(BatchView<'_>)) {
    buffer.clear();
    let mut file = File::open(segment).expect("a segment");
    file.read_to_end(buffer).expect("reads");
    for batch in batch::batches(buffer) {
        let batch = batch.expect("a whole batch");
        assert!(batch.crc_is_valid());
        each(batch);
    }
}

/// Goes over records all of which have a value and a key of one length.
fn for_each_record(batch: BatchView<'_>, mut each: impl FnMut(Key, Offset, &[u8])) {
    let payload = batch.payload(DECOMPRESSED_BYTES_MAX).expect("records");
    for record in batch.records(&payload) {
        let record = record.expect("a record");
        let key = record.key.and_then(|key| key.try_into().ok());
        each(key.expect("a key"), record.offset, record.value.expect("a value"));
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the log") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        fs::copy(&path, to.join(name)).expect("copies");
    }
}
