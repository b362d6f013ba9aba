//! The broker under load, killed twenty times over one directory: each acknowledged record is there, once, at its place and in order,
//! and each other at most once.
//!
//! Chance says how much is acknowledged before each kill, and the machine at which instruction it comes. A failure names the seed;
//! `RINGLOG_KILL_SEED` plays its choices again. `RINGLOG_LONG` takes ten directories. With `--nocapture` each round tells how long the
//! start after it took.

mod mover;
mod producer;
mod reading;
mod verdict;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringlog::wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use crate::chance::Chance;
use crate::harness::{Broker, PATIENCE, repetitions};
use crate::raw::Connection;

use mover::Mover;
use producer::{KEYS, Load, Producer};
use reading::read_partition;
use verdict::{Verdict, judge};

const ROUNDS: u64 = 20;
const ROUNDS_OF_MOVES: u64 = 6;
/// What a round lasts at least in which partitions move.
const TIME_TO_MOVE: Duration = Duration::from_millis(200);
/// Each round may write so much more than the one before it, so that there is more and more to be checked by a start.
const ROUND_BYTES: u64 = 4 << 20;
const PRODUCERS_PER_TOPIC: u64 = 2;
const CREATE: i16 = 7;

/// Segments as small as Kafka lets them be, compacted as soon as they can be, and nothing that goes by its age.
const SETTINGS: &[&str] = &[
    "log.segment.bytes=1048576",
    "log.retention.ms=-1",
    "log.cleaner.backoff.ms=100",
    "log.cleaner.min.cleanable.ratio=0.01",
];

const TOPICS: [Topic; 3] = [
    Topic {
        name: "written",
        partitions: 8,
        config: &[],
    },
    Topic {
        name: "durable",
        partitions: 4,
        config: &[("ringlog.ack", "durable"), ("preallocate", "true")],
    },
    Topic {
        name: "compacted",
        partitions: 4,
        config: &[("cleanup.policy", "compact")],
    },
];

pub struct Topic {
    pub name: &'static str,
    pub partitions: i32,
    config: &'static [(&'static str, &'static str)],
}

impl Topic {
    pub fn is_compacted(&self) -> bool {
        self.config.contains(&("cleanup.policy", "compact"))
    }

    /// The key of a producer's record, if the topic's records have keys.
    pub fn key(&self, producer: u64, number: u64) -> Option<Vec<u8>> {
        let key = (producer * KEYS + number % KEYS).to_be_bytes();
        self.is_compacted().then(|| key.to_vec())
    }
}

#[test]
fn kill_rounds_lose_repeat_and_reorder_nothing() {
    live_through(ROUNDS, false);
}

/// The same with two directories, between which partitions move all the time.
#[test]
fn kill_rounds_while_partitions_move_lose_repeat_and_reorder_nothing() {
    live_through(ROUNDS_OF_MOVES, true);
}

fn live_through(rounds: u64, moves: bool) {
    let named = std::env::var("RINGLOG_KILL_SEED").ok();
    let seeds = match named {
        Some(seed) => vec![seed.parse().expect("RINGLOG_KILL_SEED: a number")],
        None => (0..repetitions(1) as u64).map(|n| seed_of_now() + n).collect(),
    };
    let mut starts = Vec::new();
    for seed in &seeds {
        let _replay = Replay(*seed);
        starts.extend(Life::begin(*seed, moves).live(rounds));
    }
    starts.sort();
    println!(
        "{} starts after a kill: min {:?}, median {:?}, max {:?}",
        starts.len(),
        starts[0],
        starts[starts.len() / 2],
        starts[starts.len() - 1]
    );
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    since.as_secs()
}

/// Says how a failure is played again.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            let seed = self.0;
            eprintln!(
                "replay: RINGLOG_KILL_SEED={seed} cargo test --test broker kill_rounds:: -- --nocapture"
            );
        }
    }
}

/// The rounds over one directory.
struct Life {
    broker: Broker,
    producers: Vec<Producer>,
    chance: Chance,
    /// Who moves partitions about, if anybody does.
    mover: Option<Mover>,
}

/// What a kill left on the disk.
#[derive(Default)]
struct Left {
    bytes: u64,
    /// Files for a segment to come, or with one that has no name of its own yet.
    spares: usize,
    /// Files of a compaction that was under way.
    halfway: usize,
}

impl Life {
    fn begin(seed: u64, moves: bool) -> Life {
        println!("seed {seed}");
        let cores = thread::available_parallelism().map_or(1, usize::from).min(2);
        let mut broker = Broker::not_started(SETTINGS);
        broker.set(&[&format!("ringlog.cores={cores}")]);
        let mover = moves.then(|| Mover::over_two_directories(&mut broker, seed));
        broker.start_again();
        create_topics(&broker);
        let with_topics = TOPICS
            .iter()
            .flat_map(|topic| [topic; PRODUCERS_PER_TOPIC as usize]);
        let producers = (0..).zip(with_topics);
        let producers = producers.map(|(index, topic)| Producer::new(&broker, topic, index, seed));
        Life {
            producers: producers.collect(),
            broker,
            chance: Chance(seed),
            mover,
        }
    }

    /// How long each start after a kill took.
    fn live(mut self, rounds: u64) -> Vec<Duration> {
        let (mut starts, mut spares) = (Vec::new(), 0);
        for round in 1..=rounds {
            let written = self.load_and_kill(round);
            let left = look(&self.broker.data());
            spares += left.spares;
            self.choose_settings(round);
            let begun = Instant::now();
            self.broker.start_again();
            let took = begun.elapsed();
            starts.push(took);
            tell(
                round,
                written,
                &left,
                took,
                ready_ms(&self.broker.stdout()),
                self.check(),
            );
        }
        let written = self.drain();
        let verdict = self.check();
        println!("in the end: {:.1} MiB more, {verdict:?}", mib(written));
        assert!(self.broker.stop().success());
        self.broker.start_again();
        assert_eq!(
            self.check().judged(),
            verdict.judged(),
            "a clean stop changes nothing"
        );
        assert!(
            spares > 0 && (self.mover.is_some() || verdict.superseded > 0),
            "the kills met rolls, and compactions came to something"
        );
        if let Some(mover) = &self.mover {
            // Beside a flood few copies catch up; `tests/sim/moves` sees to it that many do.
            println!("{} moves seen", mover.moved);
        }
        starts
    }

    /// The bytes that were acknowledged before the kill.
    fn load_and_kill(&mut self, round: u64) -> u64 {
        let most = round * ROUND_BYTES;
        let enough = most / 2 + self.chance.below(most / 2);
        let then = Duration::from_micros(self.chance.below(5_000));
        let load = Load::default();
        let least = match self.mover {
            Some(_) => TIME_TO_MOVE,
            None => Duration::ZERO,
        };
        let Life {
            broker,
            producers,
            mover,
            ..
        } = self;
        let address = broker.address;
        thread::scope(|scope| {
            let load = &load;
            let running: Vec<_> = producers
                .iter_mut()
                .map(|producer| scope.spawn(move || producer.run(address, load)))
                .collect();
            if let Some(mover) = mover {
                scope.spawn(move || mover.run(address, load));
            }
            let begun = Instant::now();
            let is_enough = || load.acknowledged_bytes() >= enough && begun.elapsed() >= least;
            while !is_enough() && begun.elapsed() < PATIENCE {
                if running.iter().any(|producer| producer.is_finished()) {
                    // It tells why itself.
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(then);
            load.may_break();
            broker.kill();
        });
        assert!(
            load.acknowledged_bytes() >= enough,
            "producers come to {enough} bytes"
        );
        load.acknowledged_bytes()
    }

    /// Two starts of four find checkpoints as old as the start before, and so much more to check; and two of four begin a round whose
    /// compactions take so long that the kill may meet one.
    fn choose_settings(&mut self, round: u64) {
        let interval_ms = if round.is_multiple_of(2) { 60_000 } else { 200 };
        let compacted_per_second = if round % 4 < 2 { "1e300" } else { "16777216" };
        self.broker.set(&[
            &format!("log.flush.offset.checkpoint.interval.ms={interval_ms}"),
            &format!("log.cleaner.io.max.bytes.per.second={compacted_per_second}"),
        ]);
    }

    /// Has everything acknowledged that was ever sent.
    fn drain(&mut self) -> u64 {
        let (load, address) = (Load::draining(), self.broker.address);
        thread::scope(|scope| {
            for producer in &mut self.producers {
                scope.spawn(|| producer.run(address, &load));
            }
        });
        load.acknowledged_bytes()
    }

    /// Reads everything back.
    fn check(&self) -> Verdict {
        let mut connection = Connection::open(&self.broker);
        let mut all = Verdict::default();
        for topic in &TOPICS {
            let of_topic = |producer: &&Producer| producer.topic.name == topic.name;
            let producers: Vec<&Producer> = self.producers.iter().filter(of_topic).collect();
            for partition in 0..topic.partitions {
                let found = read_partition(&mut connection, topic, partition, &producers);
                for (producer, found) in producers.iter().zip(found) {
                    let verdict = judge(&found, &producer.expected(partition));
                    let (name, index) = (topic.name, producer.index);
                    assert!(
                        verdict.is_good(),
                        "{name}-{partition}, producer {index}: {verdict:?}"
                    );
                    all += verdict;
                }
            }
        }
        all
    }
}

fn create_topics(broker: &Broker) {
    let config = |(name, value): &(&'static str, &'static str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    let topic = |topic: &Topic| CreatableTopic {
        name: topic.name.into(),
        num_partitions: topic.partitions,
        replication_factor: 1,
        configs: topic.config.iter().map(config).collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: TOPICS.iter().map(topic).collect(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    let answer = Connection::open(broker).call(CREATE, &request);
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
}

fn look(data: &Path) -> Left {
    let mut left = Left::default();
    for dir in fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()) {
        if dir.is_dir() {
            fs::read_dir(&dir)
                .unwrap()
                .for_each(|entry| left.add(&entry.unwrap()));
        }
    }
    left
}

impl Left {
    fn add(&mut self, entry: &fs::DirEntry) {
        let name = entry.file_name().into_string().unwrap();
        let ends_in = |kinds: [&str; 2]| kinds.iter().any(|kind| name.ends_with(kind));
        self.bytes += entry.metadata().unwrap().len();
        self.spares += usize::from(ends_in([".spare", ".next"]));
        self.halfway += usize::from(ends_in([".cleaned", ".swap"]));
    }
}

fn tell(round: u64, written: u64, left: &Left, took: Duration, own_ms: u64, verdict: Verdict) {
    println!(
        "round {round:2}: {:5.1} MiB acknowledged, {:6.1} MiB on disk, {:2} spares, {} files of compactions; \
         started in {:5.1} ms, by its own clock {own_ms} ms; {} records, {} superseded",
        mib(written),
        mib(left.bytes),
        left.spares,
        left.halfway,
        took.as_secs_f64() * 1e3,
        verdict.found,
        verdict.superseded,
    );
}

/// What the broker says itself that its start took.
fn ready_ms(stdout: &str) -> u64 {
    let ready = stdout.lines().find(|line| line.contains("is ready on"));
    let ms = ready.and_then(|line| line.split(", after ").nth(1)?.split(' ').next()?.parse().ok());
    ms.unwrap_or_else(|| panic!("a ready line with a time: {stdout}"))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
