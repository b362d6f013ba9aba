//! Transactions that Kafka's producers wrote, read from this broker at either isolation level: on a bare socket, and by real
//! clients, whose command the variables `RINGLOG_READER_…` name.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringlog::base::Offset;
use ringlog::wire::Records;
use ringlog::wire::batch::{self, ControlType};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::fetch_response::{FetchResponse, PartitionData};
use ringlog::wire::messages::list_offsets_request::ListOffsetsRequest;

use crate::harness::Broker;
use crate::quorum::over;
use crate::raw::{Connection, list_offsets_request};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-transactions");
const TOPIC: &str = "txn";
/// The last version that names topics by name.
const BY_NAME: i16 = 12;
const LEVELS: [(&str, i8, &str); 2] = [
    ("read_uncommitted", 0, "uncommitted.txt"),
    ("read_committed", 1, "committed.txt"),
];

#[test]
fn either_isolation_level_shows_what_kafkas_consumer_saw() {
    let mut broker = over(&Path::new(FIXTURE).join("data"));
    broker.start_again();
    check(&broker);
    assert!(broker.stop().success());
    broker.start_again();
    check(&broker);
}

#[test]
fn after_a_crash_the_aborted_are_found_again() {
    let mut broker = over(&Path::new(FIXTURE).join("data"));
    // Nothing says that any of it was durable.
    for name in [".kafka_cleanshutdown", "recovery-point-offset-checkpoint"] {
        fs::remove_file(broker.data().join(name)).unwrap();
    }
    for entry in fs::read_dir(broker.data().join("txn-0")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|kind| kind == "txnindex" || kind == "snapshot")
        {
            fs::remove_file(path).unwrap();
        }
    }
    broker.start_again();
    check(&broker);
    broker.kill_and_start_again();
    check(&broker);
}

/// What lies behind it is readable for others: that mustn't count as something to answer with.
#[test]
fn a_fetch_at_the_last_stable_offset_waits() {
    let mut broker = over(&Path::new(FIXTURE).join("data"));
    broker.start_again();
    let mut connection = Connection::open(&broker);
    let end = end_offset(&mut connection, 1);
    for (level, waits) in [(1, true), (0, false)] {
        let request = FetchRequest {
            max_wait_ms: 600_000,
            min_bytes: 1,
            ..fetch(end, level, 1 << 20)
        };
        let mut connection = Connection::open(&broker);
        let sent = connection.send(BY_NAME, &request);
        if waits {
            assert!(connection.is_silent_for(Duration::from_millis(200)));
        } else {
            connection.answer::<FetchRequest<'_>>(BY_NAME, sent);
        }
    }
}

#[test]
fn java_consumer_sees_what_it_saw_of_kafka() {
    read_by("RINGLOG_READER_JAVA");
}

#[test]
fn librdkafka_consumer_sees_what_kafkas_saw() {
    read_by("RINGLOG_READER_PYTHON");
}

fn read_by(variable: &str) {
    let Ok(command) = std::env::var(variable) else {
        eprintln!("left out: {variable} names no reader");
        return;
    };
    let mut broker = over(&Path::new(FIXTURE).join("data"));
    broker.start_again();
    for (name, _, file) in LEVELS {
        let mut words = command.split_whitespace();
        let output = Command::new(words.next().expect("a program"))
            .args(words)
            .args([&broker.bootstrap(), TOPIC, name])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines, expected(file), "{name}");
    }
}

fn expected(file: &str) -> String {
    fs::read_to_string(Path::new(FIXTURE).join(file)).unwrap()
}

fn check(broker: &Broker) {
    let mut connection = Connection::open(broker);
    for (name, level, file) in LEVELS {
        let end = end_offset(&mut connection, level);
        for bytes_max in [1, 1500, 1 << 20] {
            let mut lines = consume(&mut connection, level, bytes_max, end);
            lines.push(format!("end {end}\n"));
            assert_eq!(
                lines.concat(),
                expected(file),
                "{name}, {bytes_max} bytes at once"
            );
        }
    }
}

fn end_offset(connection: &mut Connection, level: i8) -> i64 {
    let request = ListOffsetsRequest {
        isolation_level: level,
        ..list_offsets_request(TOPIC, -1)
    };
    let answer = connection.call(5, &request);
    let topic = answer.topics.iter().next().unwrap();
    let partition = topic.partitions.iter().next().unwrap();
    assert_eq!(partition.error_code, 0);
    partition.offset
}

/// What Kafka's consumer would show (`CompletedFetch`), a line a record.
fn consume(connection: &mut Connection, level: i8, bytes_max: i32, end: i64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut offset = 0;
    while offset < end {
        let answer: FetchResponse<'static> = connection.call(BY_NAME, &fetch(offset, level, bytes_max));
        let topic = answer.responses.into_iter().next().unwrap();
        let partition = topic.partitions.into_iter().next().unwrap();
        let committed = end_of_committed(&partition);
        assert!(level == 0 || committed == end, "{committed}");
        let next = show(&partition, offset, &mut lines);
        assert!(next > offset, "no records at {offset}");
        offset = next;
    }
    lines
}

fn end_of_committed(partition: &PartitionData<'_>) -> i64 {
    assert_eq!(partition.error_code, 0);
    partition.last_stable_offset
}

/// Adds the records of one answer that a consumer doesn't skip; the offset behind them.
fn show(partition: &PartitionData<'_>, from: i64, lines: &mut Vec<String>) -> i64 {
    let Some(Records::Wire(bytes)) = &partition.records else {
        panic!("no records")
    };
    let aborted = partition
        .aborted_transactions
        .iter()
        .flat_map(|aborted| aborted.iter());
    let mut to_come: Vec<_> = aborted
        .map(|aborted| (aborted.first_offset, aborted.producer_id))
        .collect();
    to_come.sort_unstable();
    let mut to_come = VecDeque::from(to_come);
    let mut aborting = BTreeSet::new();
    let mut next = from;
    for batch in batch::batches(bytes) {
        let batch = batch.unwrap();
        next = batch.next_offset().0;
        while let Some((_, producer)) = to_come.pop_front_if(|(first, _)| *first < next) {
            aborting.insert(producer);
        }
        let producer = batch.producer_id().0;
        let payload = batch.payload(1 << 20).unwrap();
        for record in batch.records(&payload).map(Result::unwrap) {
            let key = record.key.unwrap();
            if batch.is_control() {
                if ControlType::from_key(key) == Some(ControlType::Abort) {
                    aborting.remove(&producer);
                }
                continue;
            }
            let is_aborted = batch.is_transactional() && aborting.contains(&producer);
            if record.offset >= Offset(from) && !is_aborted {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                lines.push(format!(
                    "{} {} {}\n",
                    record.offset,
                    text(key),
                    text(record.value.unwrap())
                ));
            }
        }
    }
    next
}

fn fetch(offset: i64, level: i8, bytes_max: i32) -> FetchRequest<'static> {
    FetchRequest {
        max_bytes: 1 << 20,
        isolation_level: level,
        session_epoch: -1,
        topics: [FetchTopic {
            topic: TOPIC.into(),
            partitions: [FetchPartition {
                fetch_offset: offset,
                partition_max_bytes: bytes_max,
                ..Default::default()
            }]
            .into_iter()
            .collect(),
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    }
}
