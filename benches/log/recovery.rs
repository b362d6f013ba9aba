//! Opening a log after a crash, nothing of which is known to be on stable storage: every batch of every segment is checked.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use ringlog::base::{LeaderEpoch, Timestamp, crc32c};
use ringlog::log::{Log, LogOptions, Opened, Resume};
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;

use crate::figure::{Figure, Pass};
use crate::host::Ticks;
use crate::{Plan, disk, one_core};

const RECORD_BYTES: usize = 1_000;
const RECORDS_PER_BATCH: [usize; 2] = [1, 16];
const SEGMENT_BYTES: u32 = 64 << 20;
const READ_BYTES: usize = 1 << 20;

const FLOOR: &str = "read, CRC-32C";
const OURS: &str = "recovery";

pub fn measure(plan: &Plan) {
    for records in RECORDS_PER_BATCH {
        let dir = disk::dir();
        let (path, bytes) = (dir.path().to_path_buf(), plan.recovery_bytes);
        one_core::run(plan, {
            let path = path.clone();
            move || fill(path.clone(), bytes, records)
        });
        // The first start names what a crash has left unnamed; from then on each does the same.
        one_core::run(plan, {
            let path = path.clone();
            move || {
                let path = path.clone();
                async move { recover(&path) }
            }
        });
        let segments = disk::segments(&path).len();
        let title = format!(
            "recovery of {} MiB in {segments} segments, batches of {records} records of {RECORD_BYTES} B, in the page cache",
            bytes >> 20
        );
        let variants = [FLOOR, OURS, "read, CRC-32C again"];
        let figure = Figure::take(title, "GB/s", &variants, plan.rounds, |variant| {
            disk::settle();
            let path = path.clone();
            one_core::run(plan, move || pass(variant, path.clone()))
        });
        figure.print(None);
    }
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        ..LogOptions::default()
    }
}

/// Fills a log and leaves it as a crash would.
async fn fill(path: PathBuf, bytes: u64, records: usize) {
    let now = Timestamp(1);
    let opened = Log::open_now(&path, options(), Opened::AfterCleanStop, Resume::default(), now);
    let (mut log, _) = opened.expect("opens");
    while log.size_bytes() < bytes {
        log.append(&batch(&log, records), now).expect("appends");
    }
}

fn batch(log: &Log, records: usize) -> Bytes {
    let mut batch = BatchBuilder::new(Codec::None).at(log.end_offset(), LeaderEpoch(0));
    let value: Vec<u8> = (0..RECORD_BYTES).map(|n| (n * 131 + 7) as u8).collect();
    for _ in 0..records {
        batch.add(Timestamp(1), None, Some(&value), &[]);
    }
    batch.build()
}

async fn pass(variant: &'static str, path: PathBuf) -> Pass {
    let (before, begun) = (Ticks::now(), Instant::now());
    let bytes = match variant {
        OURS => recover(&path),
        _ => read_and_check(&path),
    };
    Pass {
        value: bytes as f64 / begun.elapsed().as_secs_f64() / 1e9,
        latencies: None,
        ticks: Ticks::now().since(&before),
    }
}

/// The bytes that were checked.
fn recover(path: &Path) -> u64 {
    let resume = Resume::default();
    let opened = Log::open_now(path, options(), Opened::AfterCrash, resume, Timestamp(1));
    let (_, recovery) = opened.expect("opens");
    assert_eq!(recovery.bytes_cut, 0);
    recovery.bytes_scanned
}

fn read_and_check(path: &Path) -> u64 {
    let mut buffer = vec![0; READ_BYTES];
    let (mut bytes, mut checksums) = (0, 0_u32);
    for segment in disk::segments(path) {
        let mut file = std::fs::File::open(segment).expect("a segment");
        loop {
            let read = file.read(&mut buffer).expect("reads");
            if read == 0 {
                break;
            }
            bytes += read as u64;
            checksums ^= crc32c(&buffer[..read]);
        }
    }
    std::hint::black_box(checksums);
    bytes
}
