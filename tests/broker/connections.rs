//! What a connection promises: answers in the order of the requests, however the bytes come, and a wait that ends
//! with the append.

use std::time::Duration;

use ringlog::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_topics_request::CreateTopicsRequest;
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::fetch_response::FetchResponse;
use ringlog::wire::messages::metadata_request::MetadataRequest;
use ringlog::wire::messages::produce_request::ProduceRequest;
use ringlog::wire::{ErrorCode, Records};

use crate::harness::{Broker, PATIENCE};
use crate::raw::{
    Connection, create_topic, create_topic_request, expect_appended, list_offsets_request, produce_request,
};

pub const TOPIC: &str = "waits";
/// Enough that each of two cores owns some.
const PARTITIONS: i32 = 16;
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const METADATA: i16 = 12;
/// Far longer than a test runs: what is answered before was woken.
const LONG_MS: i32 = 600_000;

#[test]
fn a_request_in_pieces_of_one_byte_is_answered() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    for byte in connection.frame(METADATA, &MetadataRequest::default()) {
        connection.write(&[byte]);
    }
    connection.answer::<MetadataRequest>(METADATA, 1);
}

#[test]
fn hundreds_of_requests_in_one_write_are_answered_in_their_order() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let mut bytes = Vec::new();
    for _ in 0..500 {
        bytes.extend(connection.frame(METADATA, &MetadataRequest::default()));
    }
    connection.write(&bytes);
    for correlation_id in 1..=500 {
        connection.answer::<MetadataRequest>(METADATA, correlation_id);
    }
}

#[test]
fn a_parked_fetch_holds_back_the_answers_behind_it_and_an_append_frees_them() {
    let broker = Broker::start();
    let (mut consumer, mut producer) = (Connection::open(&broker), Connection::open(&broker));
    create(&mut producer);
    let fetch_id = consumer.send(FETCH, &fetch(&[3], LONG_MS, 1));
    let metadata_id = consumer.send(METADATA, &MetadataRequest::default());
    assert!(consumer.is_silent_for(Duration::from_millis(300)));
    produce(&mut producer, 3, 1);
    let answer = consumer.answer::<FetchRequest>(FETCH, fetch_id);
    assert_eq!(bytes_of(&answer), [(3, batch(1).len())]);
    consumer.answer::<MetadataRequest>(METADATA, metadata_id);
}

#[test]
fn an_append_on_either_core_wakes_a_fetch_over_the_partitions_of_both() {
    let broker = Broker::start();
    let mut producer = Connection::open(&broker);
    create(&mut producer);
    let all: Vec<i32> = (0..PARTITIONS).collect();
    // Several consumers, so that some are accepted by either core.
    for _ in 0..4 {
        let mut consumer = Connection::open(&broker);
        for partition in &all {
            let request = fetch_from(&all, &end_offsets(&mut producer), LONG_MS, 1);
            let id = consumer.send(FETCH, &request);
            assert!(consumer.is_silent_for(Duration::from_millis(5)));
            produce(&mut producer, *partition, 1);
            let answer = consumer.answer::<FetchRequest>(FETCH, id);
            assert_eq!(bytes_of(&answer), [(*partition, batch(1).len())]);
        }
    }
}

#[test]
fn min_bytes_waits_for_as_many_and_max_wait_ends_it() {
    let broker = Broker::start();
    let (mut consumer, mut producer) = (Connection::open(&broker), Connection::open(&broker));
    create(&mut producer);
    let three = batch(1).len() * 3;
    let id = consumer.send(FETCH, &fetch(&[0], LONG_MS, three as i32));
    for _ in 0..2 {
        produce(&mut producer, 0, 1);
        assert!(consumer.is_silent_for(Duration::from_millis(50)));
    }
    produce(&mut producer, 0, 1);
    let answer = consumer.answer::<FetchRequest>(FETCH, id);
    assert_eq!(bytes_of(&answer), [(0, three)]);
    // More than there is: what there is comes at the end of the wait.
    let answer = consumer.call(FETCH, &fetch(&[0], 50, three as i32 + 1));
    assert_eq!(bytes_of(&answer), [(0, three)]);
}

#[test]
fn consumers_that_go_while_they_wait_leave_nothing_behind() {
    let broker = Broker::start();
    let mut producer = Connection::open(&broker);
    create(&mut producer);
    let all: Vec<i32> = (0..PARTITIONS).collect();
    for _ in 0..200 {
        let mut consumer = Connection::open(&broker);
        consumer.send(FETCH, &fetch(&all, LONG_MS, 1));
    }
    for partition in all {
        produce(&mut producer, partition, 1);
    }
    // One that waits still gets its answer.
    let mut consumer = Connection::open(&broker);
    let id = consumer.send(FETCH, &fetch_from(&[1], &[1], LONG_MS, 1));
    produce(&mut producer, 1, 1);
    consumer.answer::<FetchRequest>(FETCH, id);
}

#[test]
fn more_requests_than_the_other_core_takes_at_once_all_arrive() {
    let broker = Broker::start();
    let mut producer = Connection::open(&broker);
    create(&mut producer);
    // Many connections with many requests each, each request for partitions of both cores.
    let mut connections: Vec<Connection> = (0..20).map(|_| Connection::open(&broker)).collect();
    let records = batch(1);
    let all: Vec<i32> = (0..PARTITIONS).collect();
    for connection in &mut connections {
        let mut bytes = Vec::new();
        for _ in 0..50 {
            bytes.extend(connection.frame(PRODUCE, &produce_request(TOPIC, &all, &records)));
        }
        connection.write(&bytes);
    }
    for connection in &mut connections {
        for id in 1..=50 {
            let answer = connection.answer::<ProduceRequest>(PRODUCE, id);
            expect_appended(&answer);
        }
    }
    assert_eq!(end_offsets(&mut producer), vec![20 * 50; PARTITIONS as usize]);
}

#[test]
fn frames_that_cannot_be_close_their_connection_and_no_other() {
    let broker = Broker::start_with(&["socket.request.max.bytes=100000"]);
    let mut bystander = Connection::open(&broker);
    for size in [-1, i32::MIN, i32::MAX, 100_001] {
        let mut connection = Connection::open(&broker);
        connection.write(&i32::to_be_bytes(size));
        connection.expect_closed();
    }
    // Too short for a header; a header of an API that is not; a body that ends too early.
    let metadata = bystander.frame(METADATA, &MetadataRequest::default());
    let cut = [&6u32.to_be_bytes()[..], &metadata[4..10]].concat();
    let mut unknown_api = metadata.clone();
    unknown_api[4..6].copy_from_slice(&9_999i16.to_be_bytes());
    let mut lying = metadata.clone();
    *lying.last_mut().unwrap() = 200;
    for frame in [cut, unknown_api, lying, 0u32.to_be_bytes().to_vec()] {
        let mut connection = Connection::open(&broker);
        connection.write(&frame);
        connection.expect_closed();
    }
    bystander.call(METADATA, &MetadataRequest::default());
}

#[test]
fn what_is_wrong_with_a_connection_stands_in_the_log() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    connection.write(&i32::to_be_bytes(-1));
    connection.expect_closed();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !broker.stderr().contains("closing the connection of 127.0.0.1") {
        assert!(std::time::Instant::now() < deadline, "{}", broker.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        broker.stderr().contains("a frame of -1 bytes"),
        "{}",
        broker.stderr()
    );
}

#[test]
fn connections_that_are_reset_at_once_keep_nobody_out() {
    let broker = Broker::start();
    for _ in 0..3_000 {
        let mut connection = Connection::open(&broker);
        connection.write(b"GET / H");
        connection.reset();
    }
    Connection::open(&broker).call(METADATA, &MetadataRequest::default());
}

#[test]
fn readers_that_do_not_read_cost_little_memory() {
    const BATCH_BYTES: usize = 1 << 20;
    let broker = Broker::start_with(&[
        "ringlog.tail.cache.bytes=0",
        "message.max.bytes=2000000",
        "socket.request.max.bytes=104857600",
    ]);
    let mut producer = Connection::open(&broker);
    create(&mut producer);
    let mut batch = BatchBuilder::new(Codec::None);
    batch.add(
        Timestamp(1_703_462_400_000),
        None,
        Some(&vec![7; BATCH_BYTES]),
        &[],
    );
    let records = batch.build();
    for _ in 0..8 {
        let all: Vec<i32> = (0..PARTITIONS).collect();
        let answer = producer.call(PRODUCE, &produce_request(TOPIC, &all, &records));
        expect_appended(&answer);
    }
    let before_kib = broker.resident_kib();
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let mut readers: Vec<Connection> = (0..40).map(|_| Connection::open(&broker)).collect();
    for reader in &mut readers {
        for _ in 0..20 {
            reader.send(FETCH, &fetch(&all, 0, 1));
        }
    }
    // Each of them asked for 2.5 GB; what they hold must be there by the time others were served for a while.
    let mut bystander = Connection::open(&broker);
    for _ in 0..200 {
        bystander.call(METADATA, &MetadataRequest::default());
        std::thread::sleep(Duration::from_millis(5));
    }
    let held_kib = broker.resident_kib().saturating_sub(before_kib);
    assert!(held_kib < 200 * 1024, "{held_kib} KiB are held");
    // And whoever reads gets everything that was asked for, in order.
    let mut reader = readers.pop().unwrap();
    for correlation_id in 1..=20 {
        let answer = reader.answer::<FetchRequest>(FETCH, correlation_id);
        assert!(!bytes_of(&answer).is_empty());
    }
}

#[test]
fn readers_of_the_tail_that_do_not_read_cost_little_memory() {
    let broker = Broker::start_with(&["ringlog.tail.cache.bytes=4194304"]);
    let mut producer = Connection::open(&broker);
    create(&mut producer);
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let mut batch = BatchBuilder::new(Codec::None);
    batch.add(Timestamp(1_703_462_400_000), None, Some(&vec![7; 100_000]), &[]);
    let records = batch.build();
    let mut append = || {
        let answer = producer.call(PRODUCE, &produce_request(TOPIC, &all, &records));
        expect_appended(&answer);
    };
    append();
    let before_kib = broker.resident_kib();
    // Each of them asks for the newest megabytes, which are soon nobody else's.
    let mut readers = Vec::new();
    for round in 1..=60 {
        for _ in 0..5 {
            append();
        }
        let newest = vec![round * 5 - 3; all.len()];
        let mut reader = Connection::open(&broker);
        reader.send(FETCH, &fetch_from(&all, &newest, 0, 1));
        readers.push(reader);
    }
    let held_kib = broker.resident_kib().saturating_sub(before_kib);
    assert!(held_kib < 150 * 1024, "{held_kib} KiB are held");
    for mut reader in readers {
        assert!(!bytes_of(&reader.answer::<FetchRequest>(FETCH, 1)).is_empty());
    }
}

#[test]
fn a_frame_that_arrives_slowly_may_be_large() {
    let broker = Broker::start_with(&["message.max.bytes=10000000"]);
    let mut producer = Connection::open(&broker);
    create(&mut producer);
    let mut batch = BatchBuilder::new(Codec::None);
    let value: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    batch.add(Timestamp(1_703_462_400_000), None, Some(&value), &[]);
    let records = batch.build();
    let frame = producer.frame(PRODUCE, &produce_request(TOPIC, &[0], &records));
    for (piece, bytes) in frame.chunks(700_001).enumerate() {
        if piece > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        producer.write(bytes);
    }
    expect_appended(&producer.answer::<ProduceRequest>(PRODUCE, 2));
    let answer = producer.call(FETCH, &fetch(&[0], 0, 1));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let partition = topic.partitions.iter().next().expect("the partition's");
    match partition.records.as_ref().expect("records") {
        // All but the base offset and the leader epoch, which the broker wrote.
        Records::Wire(read) => assert_eq!(read[16..], records[16..]),
        Records::Segments(_) => unreachable!("it came over the wire"),
    }
}

#[test]
fn a_request_sees_what_those_before_it_on_its_connection_did() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let records = batch(1);
    let mut bytes = connection.frame(7, &create_topic_request(TOPIC, PARTITIONS));
    bytes.extend(connection.frame(PRODUCE, &produce_request(TOPIC, &[0], &records)));
    bytes.extend(connection.frame(FETCH, &fetch(&[0], 0, 1)));
    connection.write(&bytes);
    let created = connection.answer::<CreateTopicsRequest>(7, 1);
    assert!(created.topics.iter().all(|topic| topic.error_code == 0));
    let produced = connection.answer::<ProduceRequest>(PRODUCE, 2);
    expect_appended(&produced);
    let fetched = connection.answer::<FetchRequest>(FETCH, 3);
    assert_eq!(bytes_of(&fetched), [(0, records.len())]);
}

#[test]
fn partitions_asked_for_twice_are_answered_as_kafka_does() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection);
    produce(&mut connection, 5, 1);
    let answer = connection.call(FETCH, &fetch(&[5; 1000], 0, 1));
    assert_eq!(bytes_of(&answer), [(5, batch(1).len())], "once");
    let mut request = list_offsets_request(TOPIC, -1);
    let twice = request.topics.iter().chain(request.topics.iter());
    request.topics = twice.collect::<Vec<_>>().into();
    let answer = connection.call(7, &request);
    for topic in answer.topics.iter() {
        assert!(topic.partitions.len() <= 1, "once");
        for partition in topic.partitions.iter() {
            assert_eq!(partition.error_code, ErrorCode::INVALID_REQUEST.0);
        }
    }
}

#[test]
fn the_first_batch_comes_whatever_the_limits_and_the_others_keep_to_them() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection);
    let all: Vec<i32> = (0..PARTITIONS).collect();
    for partition in &all {
        produce(&mut connection, *partition, 1);
        produce(&mut connection, *partition, 1);
    }
    let one = batch(1).len();
    // The request's limit, the partitions' limit, and how many partitions come with how many bytes.
    let cases = [
        (0, 1 << 20, vec![(0, one)]),
        (one - 1, 1 << 20, vec![(0, one)]),
        (1 << 20, 0, vec![(0, one)]),
        (1 << 20, one - 1, vec![(0, one)]),
        (
            1 << 20,
            one,
            all.iter().map(|partition| (*partition, one)).collect(),
        ),
        (3 * one, one, (0..3).map(|partition| (partition, one)).collect()),
        (
            4 * one,
            2 * one,
            (0..2).map(|partition| (partition, 2 * one)).collect(),
        ),
    ];
    for (bytes_max, partition_bytes_max, expected) in cases {
        let mut request = fetch(&all, 0, 1);
        request.max_bytes = bytes_max as i32;
        let bounded = request.topics.iter().map(|mut topic| {
            let partitions = topic.partitions.iter().map(|mut partition| {
                partition.partition_max_bytes = partition_bytes_max as i32;
                partition
            });
            topic.partitions = partitions.collect();
            topic
        });
        request.topics = bounded.collect();
        let answer = connection.call(FETCH, &request);
        let found = bytes_of(&answer);
        assert_eq!(found[0], expected[0], "{bytes_max} {partition_bytes_max}");
        assert!(found.iter().all(|(_, bytes)| *bytes <= expected[0].1));
        let total = |found: &[(i32, usize)]| found.iter().map(|(_, bytes)| bytes).sum::<usize>();
        assert!(total(&found) <= bytes_max.max(one), "{bytes_max}: {found:?}");
        if expected.len() < 2 || expected.len() == all.len() {
            assert_eq!(found, expected, "{bytes_max} {partition_bytes_max}");
        }
    }
}

#[test]
fn fetch_max_bytes_bounds_every_answer() {
    let one = batch(1).len();
    let broker = Broker::start_with(&["fetch.max.bytes=1024"]);
    let mut connection = Connection::open(&broker);
    create(&mut connection);
    for _ in 0..30 {
        produce(&mut connection, 3, 1);
    }
    let answer = connection.call(FETCH, &fetch(&[3], 0, 1));
    assert_eq!(bytes_of(&answer), [(3, 1024 / one * one)]);
    // More than that is never waited for.
    let answer = connection.call(FETCH, &fetch(&[3], LONG_MS, 1 << 20));
    assert_eq!(bytes_of(&answer), [(3, 1024 / one * one)]);
}

#[test]
fn a_partition_that_is_not_does_not_end_the_wait_for_the_others() {
    let broker = Broker::start();
    let (mut consumer, mut producer) = (Connection::open(&broker), Connection::open(&broker));
    create(&mut producer);
    let id = consumer.send(FETCH, &fetch(&[3, PARTITIONS], LONG_MS, 1));
    assert!(consumer.is_silent_for(Duration::from_millis(100)));
    produce(&mut producer, 3, 1);
    let answer = consumer.answer::<FetchRequest>(FETCH, id);
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let codes: Vec<i16> = topic
        .partitions
        .iter()
        .map(|partition| partition.error_code)
        .collect();
    assert_eq!(codes, [0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0]);
    // With nothing else to wait for it is told at once.
    consumer.call(FETCH, &fetch(&[PARTITIONS], LONG_MS, 1));
}

#[test]
fn an_isolation_level_that_is_not_fails_every_partition() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection);
    for level in [-1, 2, 100] {
        let mut request = fetch(&[0, 1], LONG_MS, 1);
        request.isolation_level = level;
        let answer = connection.call(FETCH, &request);
        assert_eq!(answer.error_code, ErrorCode::UNKNOWN_SERVER_ERROR.0);
        let topic = answer.responses.iter().next().expect("the topic's answer");
        assert!(
            topic
                .partitions
                .iter()
                .all(|partition| partition.error_code == -1)
        );
        assert_eq!(topic.partitions.len(), 2);
        let mut request = list_offsets_request(TOPIC, -1);
        request.isolation_level = level;
        let answer = connection.call(7, &request);
        let topic = answer.topics.iter().next().expect("the topic's answer");
        assert!(
            topic
                .partitions
                .iter()
                .all(|partition| partition.error_code == -1)
        );
    }
}

#[test]
fn transactional_records_need_a_transactional_id() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection);
    let mut batch = BatchBuilder::new(Codec::None)
        .producer(ProducerId(5), ProducerEpoch(0), 0)
        .transactional();
    batch.add(Timestamp(1_703_462_400_000), None, Some(b"tick"), &[]);
    let records = batch.build();
    let answer = connection.call(PRODUCE, &produce_request(TOPIC, &[0, 1], &records));
    for topic in answer.responses.iter() {
        for partition in topic.partition_responses.iter() {
            let expected = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.0;
            assert_eq!(partition.error_code, expected);
        }
    }
    assert_eq!(end_offsets(&mut connection)[..2], [0, 0], "nothing was written");
}

pub fn create(connection: &mut Connection) {
    create_topic(connection, TOPIC, PARTITIONS);
}

/// A batch of so many records, as a producer sends it.
pub fn batch(records: usize) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
    for _ in 0..records {
        batch.add(Timestamp(1_703_462_400_000), None, Some(b"tick"), &[]);
    }
    batch.build().to_vec()
}

fn produce(connection: &mut Connection, partition: i32, records: usize) {
    append(connection, TOPIC, partition, records);
}

/// Appends a batch of one record.
pub fn produce_to(connection: &mut Connection, topic: &str, partition: i32) {
    append(connection, topic, partition, 1);
}

fn append(connection: &mut Connection, topic: &str, partition: i32, records: usize) {
    let records = batch(records);
    let answer = connection.call(PRODUCE, &produce_request(topic, &[partition], &records));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let codes: Vec<i16> = topic
        .partition_responses
        .iter()
        .map(|answer| answer.error_code)
        .collect();
    assert_eq!(codes, [0]);
}

pub fn fetch(partitions: &[i32], max_wait_ms: i32, min_bytes: i32) -> FetchRequest<'static> {
    fetch_from(partitions, &vec![0; partitions.len()], max_wait_ms, min_bytes)
}

fn fetch_from(
    partitions: &[i32],
    offsets: &[i64],
    max_wait_ms: i32,
    min_bytes: i32,
) -> FetchRequest<'static> {
    let partition = |(partition, offset): (&i32, &i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    FetchRequest {
        replica_id: -1,
        max_wait_ms,
        min_bytes,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: [FetchTopic {
            topic: TOPIC.into(),
            partitions: partitions.iter().zip(offsets).map(partition).collect(),
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    }
}

/// Where every partition ends, by a fetch that finds nothing.
fn end_offsets(connection: &mut Connection) -> Vec<i64> {
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let answer = connection.call(FETCH, &fetch(&all, 0, 0));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    topic
        .partitions
        .iter()
        .map(|partition| partition.high_watermark)
        .collect()
}

/// The bytes that came for each partition that any came for.
fn bytes_of(answer: &FetchResponse<'_>) -> Vec<(i32, usize)> {
    assert_eq!(answer.error_code, 0);
    let mut found = Vec::new();
    for topic in answer.responses.iter() {
        for partition in topic.partitions.iter() {
            assert_eq!(partition.error_code, 0);
            let bytes = partition.records.as_ref().map_or(0, Records::size_bytes);
            if bytes > 0 {
                found.push((partition.partition_index, bytes));
            }
        }
    }
    found
}
