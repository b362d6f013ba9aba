//! A log that is compacted again and again on a host that loses its power, or its process, at any instant: what was flushed is there, the
//! last record of each key among it, and nothing that was superseded comes back for good.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::io;
use ringlog::io::sim::{Faults, Simulation};
use ringlog::log::compaction::{CompactionRules, KeyMapLimits, Pace};
use ringlog::log::{Log, LogOptions, Opened, ReadLimits, Resume};
use ringlog::wire::batch::{BatchBuilder, batches};
use ringlog::wire::compression::Codec;

use crate::seeds;

const DIR: &str = "/kept-0";
const KEYS: u64 = 6;
const LIVES: u64 = 12;
/// Virtual nanoseconds that a life lasts: some hundred operations of the disk.
const LIFE_NANOS: std::ops::Range<u64> = 1_000_000..400_000_000;

const RULES: CompactionRules = CompactionRules {
    dirty_ratio_min: 0.0,
    lag_min_ms: 0,
    lag_max_ms: i64::MAX,
    delete_retention_ms: 0,
};

const LIMITS: KeyMapLimits = KeyMapLimits {
    bytes_max: 1 << 20,
    load_factor: 0.9,
};

/// What is known of the log from outside.
#[derive(Default)]
struct Story {
    /// The key of each offset; its value is the offset.
    keys: Vec<u64>,
    /// Everything before it was flushed.
    flushed: i64,
    recovery_point: Offset,
    cleaned: Option<Offset>,
    is_compacting: bool,
    rounds: u64,
}

type Shared = Arc<Mutex<Story>>;

fn of(story: &Shared) -> MutexGuard<'_, Story> {
    story.lock().unwrap()
}

#[test]
fn a_compacted_log_keeps_what_was_flushed_through_every_crash() {
    let (rounds, crashes) = (Mutex::new(0), Mutex::new(0));
    let name = "a_compacted_log_keeps_what_was_flushed_through_every_crash";
    let seeds = seeds::each(name, |seed| {
        let sim = Simulation::new(
            seed,
            Faults {
                short_read: 0.05,
                slow_disk: 0.01,
                ..Faults::none()
            },
        );
        let host = sim.add_host(1);
        let story = Shared::default();
        for life in 0..LIVES {
            let shared = story.clone();
            let running = sim.run(host, move || live(shared, life));
            sim.pass(Duration::from_nanos(sim.chance(LIFE_NANOS)));
            assert!(!running.has_ended());
            *crashes.lock().unwrap() += u64::from(of(&story).is_compacting);
            match sim.chance(0..3) {
                0 => sim.kill(host),
                _ => {
                    sim.crash(host);
                    sim.power_on(host);
                }
            }
        }
        *rounds.lock().unwrap() += of(&story).rounds;
    });
    let (rounds, crashes) = (rounds.into_inner().unwrap(), crashes.into_inner().unwrap());
    println!("{rounds} rounds, {crashes} crashes in one");
    assert!(
        rounds >= seeds && crashes >= seeds,
        "{rounds} rounds, {crashes} crashes"
    );
}

/// Opens what the last life has left, and goes on for ever.
async fn live(story: Shared, life: u64) {
    let mut log = open(&story, life);
    check(&log, &mut of(&story));
    loop {
        append(&mut log, &story);
        let flushed = log.flush_plan().expect("begins").run().await.expect("flushes");
        of(&story).flushed = flushed.upto().0;
        log.flushed(flushed);
        settle(&mut log).await;
        of(&story).recovery_point = log.recovery_point();
        if io::random_u64().is_multiple_of(8) {
            of(&story).is_compacting = true;
            compact(&mut log).await;
            check(&log, &mut of(&story));
            let mut story = of(&story);
            story.is_compacting = false;
            story.cleaned = log.cleaned_to();
            story.rounds += 1;
        }
    }
}

fn open(story: &Shared, life: u64) -> Log {
    let options = LogOptions {
        segment_bytes: 500,
        index_interval_bytes: 100,
        ..LogOptions::default()
    };
    let opened = match life {
        0 => Opened::AfterCleanStop,
        _ => Opened::AfterCrash,
    };
    let resume = {
        let mut story = of(story);
        story.is_compacting = false;
        Resume {
            recovery_point: story.recovery_point,
            cleaned: story.cleaned,
            ..Resume::default()
        }
    };
    let opened = Log::open_now(Path::new(DIR), options, opened, resume, Timestamp(1));
    opened.expect("opens").0
}

fn append(log: &mut Log, story: &Shared) {
    let codec = [Codec::None, Codec::Lz4, Codec::Zstd][(io::random_u64() % 3) as usize];
    let mut batch = BatchBuilder::new(codec).at(log.end_offset(), LeaderEpoch(0));
    for _ in 0..1 + io::random_u64() % 3 {
        let key = io::random_u64() % KEYS;
        let mut story = of(story);
        let value = story.keys.len() as u64;
        batch.add(
            Timestamp(1),
            Some(&key.to_be_bytes()),
            Some(&value.to_be_bytes()),
            &[],
        );
        story.keys.push(key);
    }
    log.append(&batch.build(), Timestamp(1)).expect("appends");
}

async fn settle(log: &mut Log) {
    while let Some(upkeep) = log.begin_upkeep().expect("begins") {
        let upkept = upkeep.run().await.expect("is kept up");
        log.end_upkeep(upkept);
    }
}

async fn compact(log: &mut Log) {
    let now = Timestamp(1);
    let dirt = log.dirt(&RULES, log.end_offset(), now);
    let mut round = log.begin_compaction(dirt, RULES, now);
    let pace = Pace::new(f64::MAX);
    let keys = round.read_keys(LIMITS, &pace).await.expect("reads");
    let mut groups = round.groups(&keys);
    while let Some(compacted) = groups.compact_next(&pace).await.expect("compacts") {
        log.place_compacted_now(&compacted, now)
            .expect("is placed")
            .run()
            .await;
    }
    let cleaned_to = groups.cleaned_to();
    log.end_compaction(Some(cleaned_to));
}

/// What is there is what was written there; the last record of each key is there, and up to where the log is clean none that one there
/// supersedes.
fn check(log: &Log, story: &mut Story) {
    let end = log.end_offset().0;
    assert_eq!(log.start_offset(), Offset(0));
    assert!(
        end >= story.flushed,
        "the log ends at {end}, and {} was flushed",
        story.flushed
    );
    story.keys.truncate(end as usize);
    let found = offsets(log);
    assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
    let cleaned = log.cleaned_to().unwrap_or_default().0;
    for (offset, key) in (0..).zip(&story.keys) {
        let is_there = found.binary_search(&offset).is_ok();
        let has_later = |end: usize| {
            story.keys[..end]
                .iter()
                .skip(offset as usize + 1)
                .any(|later| later == key)
        };
        // A round that a crash has ended may have superseded more than it says.
        let is_right = match is_there {
            true => offset >= cleaned || !has_later(cleaned as usize),
            false => has_later(story.keys.len()),
        };
        assert!(
            is_right,
            "offset {offset} of {end}, clean up to {cleaned}: {found:?}"
        );
    }

    fn offsets(log: &Log) -> Vec<i64> {
        let limits = ReadLimits {
            bytes_max: 1 << 20,
            upper: Offset(i64::MAX),
            at_least_one: true,
        };
        let mut offsets = Vec::new();
        let mut from = Offset(0);
        loop {
            let bytes = log
                .read(from, limits)
                .expect("in range")
                .run_now()
                .expect("reads");
            if bytes.is_empty() {
                return offsets;
            }
            for batch in batches(&bytes).map(|batch| batch.expect("whole")) {
                let payload = batch.payload(1 << 20).expect("decompresses");
                for record in batch.records(&payload).map(|record| record.expect("reads")) {
                    let value = record.value.and_then(|value| value.try_into().ok());
                    assert_eq!(value.map(i64::from_be_bytes), Some(record.offset.0));
                    offsets.push(record.offset.0);
                }
                from = batch.next_offset();
            }
        }
    }
}
