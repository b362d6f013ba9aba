//! Everything at once, for long: bursts, durable topics, readers at the tail and far behind, topics that come and go, connections
//! that come, talk nonsense and break off, retention. No core may sleep over work, nor be stuck, in any profile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ringlog::base::Timestamp;
use ringlog::wire::batch::{self, BatchBuilder};
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ringlog::wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::list_offsets_request::ListOffsetsRequest;
use ringlog::wire::messages::metadata_request::MetadataRequest;
use ringlog::wire::messages::produce_request::ProduceRequest;
use ringlog::wire::{ErrorCode, Message, Records, Request, frame};

use crate::chance::Chance;
use crate::harness::{Broker, repetitions};
use crate::raw::{Connection, list_offsets_request, produce_request};

const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
const LIST_OFFSETS: i16 = 7;
const CREATE: i16 = 5;
const DELETE: i16 = 5;
const METADATA: i16 = 9;
/// One producer and one reader at the tail for each.
const TOPICS: [&str; 4] = ["mixed-a", "mixed-b", "mixed-c", "mixed-durable"];
/// Seconds of each profile; the long mode's ten times as many are ten minutes.
const SECONDS: usize = 60;
const SECONDS_QUICK: u64 = 4;

#[test]
fn mixed_load_on_parking_cores_is_never_slept_over() {
    mixed_load("park");
}

#[test]
fn mixed_load_on_adaptive_cores_is_never_slept_over() {
    mixed_load("adaptive");
}

#[test]
fn mixed_load_on_busy_cores_is_never_slept_over() {
    mixed_load("busy");
}

fn mixed_load(profile: &str) {
    let seconds = seconds();
    let mut broker = Broker::start_with(&[
        &format!("ringlog.profile={profile}"),
        "log.segment.bytes=4194304",
        "log.retention.bytes=16777216",
        "log.retention.check.interval.ms=2000",
    ]);
    create_topics(&broker);
    let load = Load::default();
    thread::scope(|scope| {
        for topic in TOPICS {
            scope.spawn(|| load.produce(&broker, topic));
            scope.spawn(|| load.follow(&broker, topic));
        }
        scope.spawn(|| load.read_from_the_start(&broker, TOPICS[0]));
        scope.spawn(|| load.administrate(&broker));
        scope.spawn(|| load.disturb(&broker));
        thread::sleep(Duration::from_secs(seconds));
        load.is_over.store(true, Ordering::Relaxed);
    });
    let ended = broker.stop_and_tell();
    assert!(ended.status.success(), "a clean stop");
    let counters: Vec<&str> = ended
        .stderr
        .lines()
        .chain(ended.stdout.lines())
        .filter(|line| line.contains("broken_sleeps="))
        .collect();
    println!("{profile}, {seconds} s: {load:?}\n{}", counters.join("\n"));
    let long_passes = ended.stderr.lines().filter(|line| line.contains("a pass took"));
    long_passes.for_each(|line| println!("{line}"));
    assert!(!counters.is_empty(), "the stop tells the counters");
    for core in counters {
        assert!(core.contains("broken_sleeps=0 "), "{core}");
        assert!(core.contains("watchdog_alarms=0 "), "{core}");
    }
    assert!(load.appended.load(Ordering::Relaxed) > 0);
    assert!(load.followed.load(Ordering::Relaxed) > 0);
}

/// How long each profile is loaded; `RINGLOG_MIXED_SECONDS` says otherwise.
fn seconds() -> u64 {
    let asked = std::env::var("RINGLOG_MIXED_SECONDS").ok();
    match (asked, repetitions(SECONDS)) {
        (Some(asked), _) => asked.parse().expect("RINGLOG_MIXED_SECONDS: a number of seconds"),
        (None, SECONDS) => SECONDS_QUICK,
        (None, long) => long as u64,
    }
}

fn create_topics(broker: &Broker) {
    let mut connection = Connection::open(broker);
    let topic = |name: &&'static str| CreatableTopic {
        name: (*name).into(),
        num_partitions: 1,
        replication_factor: 1,
        configs: match name.ends_with("durable") {
            false => Vec::new().into(),
            true => vec![CreatableTopicConfig {
                name: "ringlog.ack".into(),
                value: Some("durable".into()),
            }]
            .into(),
        },
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: TOPICS.iter().map(topic).collect(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    let answer = connection.call(CREATE, &request);
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
}

/// What the clients of a run did, and when to stop.
#[derive(Debug, Default)]
struct Load {
    is_over: AtomicBool,
    appended: AtomicU64,
    followed: AtomicU64,
    read_again: AtomicU64,
    topics_made: AtomicU64,
    disturbances: AtomicU64,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// A few batches at a time, and now and then ten times as many.
    fn produce(&self, broker: &Broker, topic: &str) {
        let mut connection = Connection::open(broker);
        let mut chance = Chance(topic.len() as u64);
        while self.goes_on() {
            let batches = if chance.below(20) == 0 {
                40
            } else {
                1 + chance.below(4)
            };
            let mut sent = 0;
            for _ in 0..batches {
                let records = 1 + chance.below(20);
                let batch = filled(records, 50 + chance.below(950) as usize);
                connection.send(PRODUCE, &produce_request(topic, &[0], &batch));
                sent += records;
            }
            for _ in 0..batches {
                let answer = connection.read_frame();
                let answer = decoded::<ProduceRequest>(PRODUCE, &answer);
                for topic in answer.responses.iter() {
                    let appended = topic
                        .partition_responses
                        .iter()
                        .all(|partition| partition.error_code == 0);
                    assert!(appended, "{topic:?}");
                }
            }
            self.appended.fetch_add(sent, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1 + chance.below(8)));
        }
    }

    /// Waits at the end of the topic; what comes has no gap.
    fn follow(&self, broker: &Broker, topic: &str) {
        let mut connection = Connection::open(broker);
        let mut next = offset(&mut connection, topic, -1);
        while self.goes_on() {
            let (code, read) = fetch(&mut connection, topic, next, 500);
            assert_eq!(code, ErrorCode::NONE);
            for (first, end) in read {
                assert!(first <= next && next < end, "{topic}: {first}..{end} at {next}");
                next = end;
            }
            self.followed.fetch_max(next as u64, Ordering::Relaxed);
        }
    }

    /// Reads all that retention leaves, again and again.
    fn read_from_the_start(&self, broker: &Broker, topic: &str) {
        let mut connection = Connection::open(broker);
        while self.goes_on() {
            let mut next = offset(&mut connection, topic, -2);
            let end = offset(&mut connection, topic, -1);
            while next < end && self.goes_on() {
                let (code, read) = fetch(&mut connection, topic, next, 0);
                match (code, read.last()) {
                    (ErrorCode::NONE, Some((_, end))) => next = *end,
                    // Retention was faster.
                    (ErrorCode::OFFSET_OUT_OF_RANGE, _) => break,
                    _ => panic!("{topic}: {code:?} at {next}, which ends at {end}"),
                }
                self.read_again.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes and deletes topics, and asks for all that is known.
    fn administrate(&self, broker: &Broker) {
        let mut connection = Connection::open(broker);
        while self.goes_on() {
            let name = format!("passing-{}", self.topics_made.fetch_add(1, Ordering::Relaxed));
            let topic = CreatableTopic {
                name: name.as_str().into(),
                num_partitions: 4,
                replication_factor: 1,
                ..Default::default()
            };
            let create = CreateTopicsRequest {
                topics: vec![topic].into(),
                timeout_ms: 10_000,
                ..Default::default()
            };
            ask(&mut connection, CREATE, &create);
            ask(&mut connection, METADATA, &MetadataRequest::default());
            let delete = DeleteTopicsRequest {
                topics: Vec::<DeleteTopicState<'_>>::new().into(),
                topic_names: vec![name.as_str().into()].into(),
                timeout_ms: 10_000,
            };
            ask(&mut connection, DELETE, &delete);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Connections that leave in every way.
    fn disturb(&self, broker: &Broker) {
        let mut chance = Chance(7);
        while self.goes_on() {
            let mut connection = Connection::open(broker);
            match chance.below(4) {
                0 => {}
                1 => connection.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                2 => {
                    let frame = connection.frame(METADATA, &MetadataRequest::default());
                    connection.write(&frame[..frame.len() / 2]);
                }
                _ => {
                    connection.send(METADATA, &MetadataRequest::default());
                    connection.reset();
                }
            }
            self.disturbances.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn filled(records: u64, bytes: usize) -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = Timestamp(now.unwrap_or_default().as_millis() as i64);
    let mut batch = BatchBuilder::new(Codec::None);
    for _ in 0..records {
        batch.add(now, None, Some(&vec![b'.'; bytes]), &[]);
    }
    batch.build().to_vec()
}

/// The error, and where each batch that came begins and ends.
fn fetch(connection: &mut Connection, topic: &str, from: i64, wait_ms: i32) -> (ErrorCode, Vec<(i64, i64)>) {
    let partition = FetchPartition {
        fetch_offset: from,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = FetchTopic {
        topic: topic.into(),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic].into(),
        ..Default::default()
    };
    let answer = ask(connection, FETCH, &request);
    let answer = decoded::<FetchRequest>(FETCH, &answer);
    let topic = answer.responses.iter().next().expect("the topic");
    let partition = topic.partitions.iter().next().expect("its partition");
    let records = match &partition.records {
        Some(Records::Wire(bytes)) => *bytes,
        _ => &[],
    };
    let whole = batch::batches(records).map_while(Result::ok);
    let batches = whole.map(|batch| (batch.base_offset().0, batch.next_offset().0));
    (ErrorCode(partition.error_code), batches.collect())
}

fn offset(connection: &mut Connection, topic: &str, at: i64) -> i64 {
    let answer = ask(connection, LIST_OFFSETS, &list_offsets_request(topic, at));
    let answer = decoded::<ListOffsetsRequest>(LIST_OFFSETS, &answer);
    let topic = answer.topics.iter().next().expect("the topic");
    topic.partitions.iter().next().expect("its partition").offset
}

/// The answer's frame: kept by the caller for as long as it is read, not for good.
fn ask<R: Request>(connection: &mut Connection, version: i16, request: &R) -> Vec<u8> {
    connection.send(version, request);
    connection.read_frame()
}

fn decoded<'a, R: Request>(version: i16, answer: &'a [u8]) -> R::Response<'a>
where
    R::Response<'a>: Message<'a>,
{
    let (_, body) = frame::decode_response(R::KEY, version, answer).expect("an answer");
    body
}
