//! What partitions cost that nobody uses: memory, open files, a start.

use std::fs::{File, FileTimes};
use std::io::Write;
use std::time::{Duration, Instant};

use ringlog::wire::Records;
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use crate::connections::batch;
use crate::harness::{Broker, PATIENCE};
use crate::raw::{Connection, create_topic, expect_appended, produce_request};

const PRODUCE: i16 = 9;
const LIST_OFFSETS: i16 = 5;
const FETCH: i16 = 11;
const LATEST: i64 = -1;

/// Files of the broker that are no log's: rings, sockets, the directory's lock.
const OTHER_FILES_MAX: usize = 64;

fn topic_name(n: usize) -> String {
    format!("idle-{n}")
}

/// Makes topics and appends a batch of two records to each of their partitions.
fn fill(broker: &Broker, topics: usize, partitions: i32) {
    let mut connection = Connection::open(broker);
    let records = batch(2);
    let all: Vec<i32> = (0..partitions).collect();
    for name in (0..topics).map(topic_name) {
        create_topic(&mut connection, &name, partitions);
        expect_appended(&connection.call(PRODUCE, &produce_request(&name, &all, &records)));
    }
}

/// Where each partition of a topic ends.
fn ends(connection: &mut Connection, topic: &str, partitions: i32) -> Vec<i64> {
    let partition = |partition_index| ListOffsetsPartition {
        partition_index,
        timestamp: LATEST,
        ..Default::default()
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: [ListOffsetsTopic {
            name: topic.into(),
            partitions: (0..partitions).map(partition).collect(),
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(LIST_OFFSETS, &request);
    let topic = answer.topics.iter().next().expect("its answer");
    let mut ends = vec![-1; partitions as usize];
    for partition in topic.partitions.iter() {
        assert_eq!(partition.error_code, 0, "partition {}", partition.partition_index);
        ends[partition.partition_index as usize] = partition.offset;
    }
    ends
}

fn expect_all(broker: &Broker, topics: usize, partitions: i32) {
    let mut connection = Connection::open(broker);
    for name in (0..topics).map(topic_name) {
        assert_eq!(
            ends(&mut connection, &name, partitions),
            vec![2; partitions as usize]
        );
    }
}

/// Bytes of records that fetches of every partition of a topic bring, of each at most one batch. A fetch holds the files of all that it
/// reads at once, so each asks for a few.
fn fetched(connection: &mut Connection, topic: &str, partitions: i32) -> Vec<usize> {
    const ASKED_AT_ONCE: usize = 20;
    let all: Vec<i32> = (0..partitions).collect();
    let some = all.chunks(ASKED_AT_ONCE);
    some.flat_map(|some| fetched_at_once(connection, topic, some))
        .collect()
}

fn fetched_at_once(connection: &mut Connection, topic: &str, partitions: &[i32]) -> Vec<usize> {
    let partition = |partition: &i32| FetchPartition {
        partition: *partition,
        current_leader_epoch: -1,
        partition_max_bytes: 100,
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: 0,
        max_bytes: 8 << 20,
        session_epoch: -1,
        topics: [FetchTopic {
            topic: topic.into(),
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(FETCH, &request);
    let topic = answer.responses.iter().next().expect("its answer");
    let partitions = topic.partitions.iter();
    let bytes = partitions.map(|partition| {
        assert_eq!(partition.error_code, 0, "partition {}", partition.partition_index);
        partition.records.as_ref().map_or(0, size_of_records)
    });
    bytes.collect()
}

fn size_of_records(records: &Records<'_>) -> usize {
    match records {
        Records::Wire(bytes) => bytes.len(),
        _ => panic!("an answer comes over the wire"),
    }
}

/// Whatever is in the partitions' files is overwritten between stop and start, so that they look the same from outside: nobody who read
/// one of them would come to the same answer.
#[test]
fn a_clean_start_reads_no_file_of_a_partition() {
    const PARTITIONS: i32 = 20;
    let mut broker = Broker::start();
    fill(&broker, 1, PARTITIONS);
    for _ in 0..2 {
        assert!(broker.stop().success());
        spoil(&broker);
        broker.start_again();
        expect_all(&broker, 1, PARTITIONS);
    }
    // What is there is read first after a crash, and then it is found not to be what was stopped with.
    broker.kill_and_start_again();
    let told = broker.stderr();
    let out_of_service = told.lines().filter(|line| line.contains("out of service"));
    assert_eq!(out_of_service.count(), PARTITIONS as usize, "{told}");
}

fn spoil(broker: &Broker) {
    for n in 0..20 {
        let dir = broker.data().join(format!("{}-{n}", topic_name(0)));
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("partition.metadata") {
                // After a crash this one is needed.
                continue;
            }
            let status = path.metadata().unwrap();
            let mut file = File::options().write(true).open(&path).unwrap();
            file.write_all(&vec![0xa5; status.len() as usize]).unwrap();
            let times = FileTimes::new().set_modified(status.modified().unwrap());
            file.set_times(times).unwrap();
        }
    }
}

#[test]
fn a_damaged_clean_start_is_told_and_the_logs_are_opened_from_their_files() {
    let mut broker = Broker::start();
    fill(&broker, 1, 5);
    assert!(broker.stop().success());
    let path = broker.data().join("ringlog-clean-start");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    broker.start_again();
    expect_all(&broker, 1, 5);
    let lines = broker.stdout() + &broker.stderr();
    let told = lines.lines().filter(|line| line.contains("ringlog-clean-start"));
    assert_eq!(told.count(), 1, "{lines}");
    assert!(!path.exists());
}

#[test]
fn more_partitions_than_files_may_be_open_are_written_and_read() {
    const PARTITIONS: i32 = 300;
    const FILES_MAX: usize = 40;
    let broker = Broker::start_with(&[
        &format!("ringlog.open.files.max={FILES_MAX}"),
        "ringlog.tail.cache.bytes=0",
    ]);
    fill(&broker, 1, PARTITIONS);
    let mut connection = Connection::open(&broker);
    for round in 2..5 {
        let bytes = fetched(&mut connection, &topic_name(0), PARTITIONS);
        assert_eq!(bytes.len(), PARTITIONS as usize);
        assert!(bytes.iter().all(|bytes| *bytes > 0), "{bytes:?}");
        assert!(
            broker.open_files() <= FILES_MAX + OTHER_FILES_MAX,
            "{}",
            broker.open_files()
        );
        let all: Vec<i32> = (0..PARTITIONS).collect();
        let records = batch(2);
        let request = produce_request("idle-0", &all, &records);
        expect_appended(&connection.call(PRODUCE, &request));
        let expected = vec![2 * round; PARTITIONS as usize];
        assert_eq!(ends(&mut connection, &topic_name(0), PARTITIONS), expected);
        assert!(
            broker.open_files() <= FILES_MAX + OTHER_FILES_MAX,
            "{}",
            broker.open_files()
        );
    }
}

/// The logs may hold more files than the process may have: what they don't use makes room for what is used. On one core, for what another
/// core holds is not its to close.
#[test]
fn a_process_that_has_no_descriptors_left_serves_its_partitions() {
    const PARTITIONS: i32 = 300;
    let mut broker = Broker::not_started(&[
        "ringlog.cores=1",
        "ringlog.open.files.max=10000",
        "ringlog.tail.cache.bytes=0",
    ]);
    broker.limit_descriptors(100);
    broker.start_again();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, &topic_name(0), PARTITIONS);
    let (all, records): (Vec<i32>, _) = ((0..PARTITIONS).collect(), batch(2));
    for round in 1..4 {
        let request = produce_request("idle-0", &all, &records);
        expect_appended(&connection.call(PRODUCE, &request));
        let expected = vec![2 * round; PARTITIONS as usize];
        assert_eq!(ends(&mut connection, &topic_name(0), PARTITIONS), expected);
        let bytes = fetched(&mut connection, &topic_name(0), PARTITIONS);
        assert!(bytes.iter().all(|bytes| *bytes > 0), "{bytes:?}");
    }
    // A few are closed at once.
    assert!(broker.open_files() > 75, "{} are open", broker.open_files());
    broker.kill_and_start_again();
    let ends = ends(&mut Connection::open(&broker), &topic_name(0), PARTITIONS);
    assert_eq!(ends, vec![6; PARTITIONS as usize]);
}

/// In a release build, the one that [`crate::harness::binary`] names, all of them; an unoptimised one takes too long to make them.
#[test]
fn ten_thousand_idle_partitions_cost_less_than_160_mib() {
    const FILES_MAX: usize = 2_000;
    const PARTITIONS: i32 = 1_000;
    let topics = match std::env::var_os("RINGLOG_BIN") {
        Some(_) => 10,
        None => 1,
    };
    let mut broker = Broker::start_with(&[&format!("ringlog.open.files.max={FILES_MAX}")]);
    let show = |when: &str, broker: &Broker, since: Instant| {
        let (resident_kib, open_files) = (broker.resident_kib(), broker.open_files());
        eprintln!(
            "{topics}000 partitions, {when} after {:?}: {resident_kib} KiB resident, {open_files} open files",
            since.elapsed()
        );
        assert!(resident_kib <= 160 << 10, "{when}");
        assert!(open_files <= FILES_MAX + OTHER_FILES_MAX, "{when}");
    };
    let begun = Instant::now();
    fill(&broker, topics, PARTITIONS);
    show("with a batch each", &broker, begun);
    let deadline = Instant::now() + PATIENCE;
    while broker.open_files() > OTHER_FILES_MAX {
        assert!(
            Instant::now() < deadline,
            "{} files stay open",
            broker.open_files()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    show("idle", &broker, begun);
    for (when, is_clean) in [("after a clean stop", true), ("after a kill", false)] {
        match is_clean {
            true => assert!(broker.stop().success()),
            false => broker.kill(),
        }
        let begun = Instant::now();
        broker.start_again();
        show(when, &broker, begun);
        expect_all(&broker, topics, PARTITIONS);
        show("once they were asked for their ends", &broker, begun);
    }
}
