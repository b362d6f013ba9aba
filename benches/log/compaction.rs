//! Compaction of a log that lies in the page cache, through the files and the ring as a broker does it.
//!
//! Of the records half are superseded. A log is filled once and copied for each round, since a compaction uses it up. In the last
//! case it was compacted before and got a quarter again: most of it is clean.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::log::compaction::{CompactionRules, KeyMapLimits, Pace};
use ringlog::log::{Log, LogOptions, Opened, Resume};
use ringlog::wire::batch::{self, BatchBuilder, DECOMPRESSED_BYTES_MAX};
use ringlog::wire::compression::Codec;
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

const FLOOR: &str = "read, walk, write";
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

/// A log to be compacted, and which of its records stay.
struct Template {
    dir: TempDir,
    cleaned: Option<Offset>,
    bytes: u64,
    /// By offset.
    stays: Vec<bool>,
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
        let variants = [FLOOR, OURS, "read, walk, write again"];
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
    log.close().await.expect("closes");
    let stays = stays(dir.path());
    Template {
        dir,
        cleaned,
        bytes,
        stays,
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
        None => read_walk_write(&template, dir.path()),
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

/// The floor: the keys are known, and nothing is compressed, indexed or flushed.
fn read_walk_write(template: &Template, dir: &Path) {
    let (file, mut at, mut kept) = (disk::new_file(dir), 0, Vec::with_capacity(2 * WRITE_BYTES));
    for segment in sealed(template.dir.path()) {
        walk(&segment, |offset, key, value| {
            if template.stays[offset.0 as usize] {
                kept.extend_from_slice(key);
                kept.extend_from_slice(value);
            }
            if kept.len() >= WRITE_BYTES {
                file.write_all_at(&kept, at).expect("writes");
                at += kept.len() as u64;
                kept.clear();
            }
        });
    }
    file.write_all_at(&kept, at).expect("writes");
}

/// Which records no other of their key supersedes, of those that are compacted.
fn stays(dir: &Path) -> Vec<bool> {
    let (mut newest, mut end) = (BTreeMap::new(), 0);
    for segment in sealed(dir) {
        walk(&segment, |offset, key, _| {
            newest.insert(key.to_vec(), offset);
            end = offset.0 as usize + 1;
        });
    }
    let mut stays = vec![false; end];
    newest.values().for_each(|offset| stays[offset.0 as usize] = true);
    stays
}

/// The active segment is never compacted.
fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut segments = disk::segments(dir);
    segments.pop();
    segments
}

/// Goes over the records of a file, all of which have a key and a value.
fn walk(segment: &Path, mut each: impl FnMut(Offset, &[u8], &[u8])) {
    let bytes = fs::read(segment).expect("a segment");
    for batch in batch::batches(&bytes) {
        let batch = batch.expect("a whole batch");
        let payload = batch.payload(DECOMPRESSED_BYTES_MAX).expect("records");
        for record in batch.records(&payload) {
            let record = record.expect("a record");
            each(
                record.offset,
                record.key.expect("a key"),
                record.value.expect("a value"),
            );
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the log") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        fs::copy(&path, to.join(name)).expect("copies");
    }
}
