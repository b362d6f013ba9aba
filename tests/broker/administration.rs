//! What an administrator changes while the broker runs, asked with bare requests.

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::wire::ErrorCode;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use ringlog::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ringlog::wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

use crate::harness::Broker;
use crate::raw::{Connection, expect_appended, produce_request};

const TOPIC: &str = "administered";
const PRODUCE: i16 = 12;

#[test]
fn partitions_that_were_added_take_records_on_every_core_and_survive_a_kill() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection, TOPIC, 2);
    assert_eq!(grow(&mut connection, TOPIC, 16), 0);
    let all: Vec<i32> = (0..16).collect();
    // Several connections, so that some are accepted by either core.
    for _ in 0..4 {
        let mut connection = Connection::open(&broker);
        assert_eq!(partitions(&mut connection, TOPIC), 16);
        expect_appended(&connection.call(PRODUCE, &produce_request(TOPIC, &all, &batch())));
    }
    broker.kill_and_start_again();
    let mut connection = Connection::open(&broker);
    assert_eq!(partitions(&mut connection, TOPIC), 16);
    expect_appended(&connection.call(PRODUCE, &produce_request(TOPIC, &all, &batch())));
}

#[test]
fn a_topic_does_not_shrink_and_one_that_is_not_there_does_not_grow() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection, TOPIC, 2);
    assert_eq!(grow(&mut connection, TOPIC, 1), ErrorCode::INVALID_PARTITIONS.0);
    assert_eq!(grow(&mut connection, TOPIC, 2), ErrorCode::INVALID_PARTITIONS.0);
    let absent = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    assert_eq!(grow(&mut connection, "absent", 2), absent);
    assert_eq!(partitions(&mut connection, TOPIC), 2);
}

/// A file stands where the partition's directory should be: as good as a lack of descriptors, and easier to end.
#[test]
fn a_partition_that_could_not_be_opened_is_opened_when_it_is_asked_for_again() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let obstacle = broker.data().join(format!("{TOPIC}-1"));
    std::fs::write(&obstacle, "").unwrap();
    create(&mut connection, TOPIC, 3);
    assert_eq!(refused(&mut connection, TOPIC, 3), [1]);
    std::fs::remove_file(&obstacle).unwrap();
    let mut closed = vec![1];
    for _ in 0..100 {
        if closed.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        closed = refused(&mut connection, TOPIC, 3);
    }
    assert!(closed.is_empty(), "still closed: {}", broker.stderr());
    assert!(broker.stop().success(), "a clean stop");
}

/// Produces to each partition; those that refused, which must all say that nobody leads them here.
fn refused(connection: &mut Connection, topic: &str, partitions: i32) -> Vec<i32> {
    let all: Vec<i32> = (0..partitions).collect();
    let records = batch();
    let answer = connection.call(PRODUCE, &produce_request(topic, &all, &records));
    let mut refused = Vec::new();
    for topic in answer.responses.iter() {
        for partition in topic.partition_responses.iter() {
            if partition.error_code != 0 {
                assert_eq!(partition.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
                refused.push(partition.index);
            }
        }
    }
    refused
}

fn create(connection: &mut Connection, name: &str, partitions: i32) {
    let request = CreateTopicsRequest {
        topics: [CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(7, &request);
    assert_eq!(answer.topics.iter().next().expect("its answer").error_code, 0);
}

/// The code that a request for so many partitions is answered with.
fn grow(connection: &mut Connection, name: &str, count: i32) -> i16 {
    let request = CreatePartitionsRequest {
        topics: [CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: None,
        }]
        .into_iter()
        .collect(),
        timeout_ms: 30_000,
        validate_only: false,
    };
    let answer = connection.call(3, &request);
    answer.results.iter().next().expect("its answer").error_code
}

fn partitions(connection: &mut Connection, name: &str) -> usize {
    let request = MetadataRequest {
        topics: Some(
            [MetadataRequestTopic {
                name: Some(name.into()),
                ..Default::default()
            }]
            .into_iter()
            .collect(),
        ),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let answer = connection.call(12, &request);
    answer.topics.iter().next().expect("the topic").partitions.len()
}

/// One record as a producer sends it.
fn batch() -> Vec<u8> {
    let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
    batch.add(Timestamp(1_703_462_400_000), None, Some(b"value"), &[]);
    batch.build().to_vec()
}
