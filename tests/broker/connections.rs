//! What a connection promises: answers in the order of the requests, however the bytes come, and a wait that ends
//! with the append.

use std::time::Duration;

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::wire::Records;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::fetch_response::FetchResponse;
use ringlog::wire::messages::metadata_request::MetadataRequest;
use ringlog::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

use crate::harness::Broker;
use crate::raw::Connection;

const TOPIC: &str = "waits";
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
            bytes.extend(connection.frame(PRODUCE, &produce_request(&all, &records)));
        }
        connection.write(&bytes);
    }
    for connection in &mut connections {
        for id in 1..=50 {
            let answer = connection.answer::<ProduceRequest>(PRODUCE, id);
            for topic in answer.responses.iter() {
                assert!(
                    topic
                        .partition_responses
                        .iter()
                        .all(|answer| answer.error_code == 0)
                );
            }
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

fn create(connection: &mut Connection) {
    let request = CreateTopicsRequest {
        topics: [CreatableTopic {
            name: TOPIC.into(),
            num_partitions: PARTITIONS,
            replication_factor: 1,
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(7, &request);
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
}

/// A batch of so many records, as a producer sends it.
fn batch(records: usize) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
    for _ in 0..records {
        batch.add(Timestamp(1_703_462_400_000), None, Some(b"tick"), &[]);
    }
    batch.build().to_vec()
}

fn produce(connection: &mut Connection, partition: i32, records: usize) {
    let records = batch(records);
    let answer = connection.call(PRODUCE, &produce_request(&[partition], &records));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let codes: Vec<i16> = topic
        .partition_responses
        .iter()
        .map(|answer| answer.error_code)
        .collect();
    assert_eq!(codes, [0]);
}

fn produce_request<'a>(partitions: &[i32], records: &'a [u8]) -> ProduceRequest<'a> {
    let partition = |index: &i32| PartitionProduceData {
        index: *index,
        records: Some(Records::Wire(records)),
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: [TopicProduceData {
            name: TOPIC.into(),
            partition_data: partitions.iter().map(partition).collect(),
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    }
}

fn fetch(partitions: &[i32], max_wait_ms: i32, min_bytes: i32) -> FetchRequest<'static> {
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
