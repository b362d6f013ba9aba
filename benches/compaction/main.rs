//! How fast a core compacts a log that lies in the page cache: GB of log a second, through the files and the ring as a broker does it.
//!
//! `cargo bench --bench compaction` fills a log of each case, compacts it, and tells for each step what of the log it went over in a
//! second: reading the keys, and writing what stays. Of the records half are superseded. Then as much comes again: most of that log is clean.
//!
//! Options: `--mib N`, the size of each log.
#![allow(
    clippy::disallowed_methods,
    reason = "stands outside the broker: it takes the time itself"
)]

use std::path::Path;
use std::time::Instant;

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::io;
use ringlog::log::compaction::{CompactionRules, KeyMapLimits, Pace};
use ringlog::log::{Log, LogOptions, Opened, Resume};
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;

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

#[derive(Clone, Copy)]
struct Case {
    codec: Codec,
    value_bytes: usize,
    log_bytes: u64,
}

/// What a round took.
struct Took {
    bytes: u64,
    bytes_after: u64,
    keys_seconds: f64,
    seconds: f64,
}

fn main() {
    let log_bytes = log_bytes(std::env::args().skip(1));
    println!("codec   value  round   log MiB  left MiB  keys GB/s  all GB/s");
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        for value_bytes in [100, 1000] {
            let case = Case {
                codec,
                value_bytes,
                log_bytes,
            };
            io::run(io::Options::unpinned(1), move |_| measure(case)).expect("a core runs");
        }
    }
}

fn log_bytes(mut arguments: impl Iterator<Item = String>) -> u64 {
    let mut mib = 256;
    while let Some(argument) = arguments.next() {
        if argument == "--mib" {
            let value = arguments.next().and_then(|value| value.parse().ok());
            mib = value.expect("--mib takes a number");
        }
    }
    mib << 20
}

async fn measure(case: Case) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(dir.path());
    let mut next_key = 0;
    for round in ["first", "second"] {
        fill(&mut log, case, &mut next_key).await;
        let took = compact(&mut log).await;
        let rate = |seconds: f64| took.bytes as f64 / seconds / 1e9;
        println!(
            "{:6} {:6}  {round:6} {:8}  {:8}  {:9.2}  {:8.2}",
            case.codec.name(),
            case.value_bytes,
            took.bytes >> 20,
            took.bytes_after >> 20,
            rate(took.keys_seconds),
            rate(took.seconds),
        );
    }
}

fn open(dir: &Path) -> Log {
    let options = LogOptions {
        segment_bytes: 64 << 20,
        ..LogOptions::default()
    };
    let opened = Log::open_now(
        dir,
        options,
        Opened::AfterCleanStop,
        Resume::default(),
        Timestamp(0),
    );
    opened.expect("opens").0
}

/// Every second record has a key of its own; the others come again with the next of them.
async fn fill(log: &mut Log, case: Case, next_key: &mut u64) {
    let end = log.size_bytes() + case.log_bytes;
    let value = vec![b'v'; case.value_bytes];
    while log.size_bytes() < end {
        let mut batch = BatchBuilder::new(case.codec).at(log.end_offset(), LeaderEpoch(0));
        while batch.size_bytes() < BATCH_BYTES {
            *next_key += 1;
            let key = (*next_key / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            batch.add(Timestamp(1), Some(&key), Some(&value), &[]);
        }
        log.append(&batch.build(), Timestamp(1)).expect("appends");
        settle(log).await;
    }
}

/// Brings what was sealed to stable storage, as a shard does.
async fn settle(log: &mut Log) {
    while let Some(upkeep) = log.begin_upkeep().expect("begins") {
        let upkept = upkeep.run().await.expect("is kept up");
        log.end_upkeep(upkept);
    }
}

async fn compact(log: &mut Log) -> Took {
    let now = Timestamp(2);
    let dirt = log.dirt(&RULES, log.end_offset(), now);
    let bytes = dirt.clean_bytes + dirt.cleanable_bytes;
    let mut round = log.begin_compaction(dirt, RULES, now);
    let pace = Pace::new(f64::MAX);
    let begun = Instant::now();
    let keys = round.read_keys(LIMITS, &pace).await.expect("reads");
    let keys_seconds = begun.elapsed().as_secs_f64();
    let mut groups = round.groups(&keys);
    let mut bytes_after = 0;
    while let Some(compacted) = groups.compact_next(&pace).await.expect("compacts") {
        bytes_after += compacted.bytes_after;
        let removal = log.place_compacted_now(&compacted, now).expect("is placed");
        removal.run().await;
    }
    let cleaned_to: Offset = groups.cleaned_to();
    log.end_compaction(Some(cleaned_to));
    Took {
        bytes,
        bytes_after,
        keys_seconds,
        seconds: begun.elapsed().as_secs_f64(),
    }
}
