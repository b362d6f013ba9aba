//! Compactions of real files, on a core's ring.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::base::{LeaderEpoch, ProducerEpoch, ProducerId};
use crate::log::{LogOptions, Opened, ReadLimits, Resume, names};
use crate::wire::batch::{BatchBuilder, BatchView, batches};
use crate::wire::compression::Codec;

mod crashes;
mod kafka;
mod model;
mod rounds;

const NOW: Timestamp = Timestamp(1_700_000_100_000);

const RULES: CompactionRules = CompactionRules {
    dirty_ratio_min: 0.0,
    lag_min_ms: 0,
    lag_max_ms: i64::MAX,
    delete_retention_ms: 1000,
};

const LIMITS: KeyMapLimits = KeyMapLimits {
    bytes_max: 1 << 20,
    load_factor: 0.9,
};

/// Small segments, so that a few batches fill one.
fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 600,
        index_interval_bytes: 100,
        retention_ms: -1,
        ..LogOptions::default()
    }
}

/// A record as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
}

fn on_core<T: Send + 'static, Fut: Future<Output = T> + 'static>(
    main: impl FnOnce() -> Fut + Send + 'static,
) -> T {
    let main = Arc::new(Mutex::new(Some(main)));
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    let main = move |_| {
        let main = main.lock().unwrap().take().expect("one core");
        let place = place.clone();
        async move {
            let value = main().await;
            *place.lock().unwrap() = Some(value);
        }
    };
    crate::io::run(crate::io::Options::unpinned(1), main).unwrap();
    let value = result.lock().unwrap().take();
    value.expect("main has run to its end")
}

fn open(dir: &Path, opened: Opened) -> Log {
    Log::open_now(dir, options(), opened, Resume::default(), NOW)
        .unwrap()
        .0
}

/// Appends one batch of records without headers, at `timestamp` and each a millisecond later.
fn append(log: &mut Log, codec: Codec, timestamp: i64, records: &[(&str, Option<&str>)]) {
    append_as(log, BatchBuilder::new(codec), timestamp, records);
}

fn append_as(log: &mut Log, builder: BatchBuilder, timestamp: i64, records: &[(&str, Option<&str>)]) {
    let mut builder = builder.at(log.end_offset(), LeaderEpoch(0));
    for (n, (key, value)) in (0..).zip(records) {
        let value = value.map(str::as_bytes);
        builder.add(Timestamp(timestamp + n), Some(key.as_bytes()), value, &[]);
    }
    log.append(&builder.build(), NOW).unwrap();
}

/// A whole round, as a shard has it done.
async fn compact(log: &mut Log, now: Timestamp) -> Result<(), CompactionError> {
    compact_by(log, &RULES, LIMITS, now).await
}

async fn compact_by(
    log: &mut Log,
    rules: &CompactionRules,
    limits: KeyMapLimits,
    now: Timestamp,
) -> Result<(), CompactionError> {
    settle(log).await;
    let dirt = log.dirt(rules, log.end_offset(), now);
    let mut round = log.begin_compaction(dirt, *rules, now);
    let pace = Pace::unlimited();
    let outcome = async {
        let keys = round.read_keys(limits, &pace).await?;
        let mut groups = round.groups(&keys);
        while let Some(compacted) = groups.compact_next(&pace).await? {
            log.place_compacted_now(&compacted, now)?.run().await;
        }
        Ok(groups.cleaned_to())
    }
    .await;
    log.end_compaction(outcome.as_ref().ok().copied());
    outcome.map(drop)
}

/// Brings the sealed segments to stable storage, as a shard does beside everything else.
async fn settle(log: &mut Log) {
    while let Some(upkeep) = log.begin_upkeep().unwrap() {
        let upkept = upkeep.run().await.unwrap();
        log.end_upkeep(upkept);
    }
}

/// Every record, read batch by batch as a consumer does.
fn seen(log: &Log) -> Vec<Seen> {
    let limits = ReadLimits {
        bytes_max: 700,
        upper: Offset(i64::MAX),
        at_least_one: true,
    };
    let mut seen = Vec::new();
    let mut offset = log.start_offset();
    loop {
        let read = log.read(offset, limits).unwrap().run_now().unwrap();
        if read.is_empty() {
            return seen;
        }
        for batch in batches(&read).map(Result::unwrap) {
            assert!(batch.crc_is_valid());
            assert!(batch.base_offset() >= offset || offset <= batch.last_offset());
            seen.extend(records_of(&batch));
            offset = batch.next_offset();
        }
    }
}

fn records_of(batch: &BatchView<'_>) -> Vec<Seen> {
    let payload = batch.payload(1 << 20).unwrap();
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let record = |record: crate::wire::batch::Record<'_>| Seen {
        offset: record.offset.0,
        timestamp: record.timestamp.0,
        key: text(record.key),
        value: text(record.value),
    };
    let records = batch.records(&payload).map(Result::unwrap);
    records.filter(|_| !batch.is_control()).map(record).collect()
}

/// `key=value` of every record, with its offset.
fn shown(log: &Log) -> Vec<String> {
    let show = |seen: Seen| {
        let value = seen.value.unwrap_or("-".to_owned());
        format!("{} {}={value}", seen.offset, seen.key.unwrap_or_default())
    };
    seen(log).into_iter().map(show).collect()
}

/// The names of the segments' files, sorted; of each kind without the offsets.
fn file_names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| names::parse_offset_file(name).is_some())
        .collect();
    names.sort();
    names
}
