//! DeleteRecords: the start of a log moves, and stays where it was told to be.

use ringlog::base::{self, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use ringlog::wire::ErrorCode;
use ringlog::wire::batch::{BatchBuilder, layout};
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_topics_request::CreatableTopicConfig;
use ringlog::wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};

use crate::harness::Broker;
use crate::raw::{
    Connection, create_topic, create_topic_request, expect_appended, list_offsets_request, produce_request,
};

pub const TOPIC: &str = "shortened";
/// The owners of so many are on both cores.
pub const PARTITIONS: i32 = 8;
const NO_LOW_WATERMARK: i64 = -1;

#[test]
fn the_start_moves_up_and_never_back() {
    let broker = Broker::start();
    let mut client = with_records(&broker, 5);
    for partition in 0..PARTITIONS {
        let mut delete = |before| delete(&mut client, TOPIC, &[(partition, before)])[0];
        assert_eq!(delete(2), (partition, 0, 2));
        assert_eq!(delete(1), (partition, 0, 2));
        assert_eq!(delete(4), (partition, 0, 4));
        assert_eq!(earliest(&mut client, partition), 4);
        let out_of_range = ErrorCode::OFFSET_OUT_OF_RANGE.0;
        assert_eq!(fetched_from(&mut client, partition, 3), out_of_range);
        assert_eq!(fetched_from(&mut client, partition, 4), 0);
    }
    // All there is.
    assert_eq!(delete(&mut client, TOPIC, &[(0, -1)]), [(0, 0, 5)]);
    assert_eq!(earliest(&mut client, 0), 5);
    produce(&mut client, 0);
    assert_eq!(fetched_from(&mut client, 0, 5), 0);
}

/// As Kafka does, but where it takes the refusal for an ordinary one.
#[test]
fn a_refused_batch_is_answered_with_where_the_log_starts() {
    let broker = Broker::start();
    let mut client = with_records(&broker, 5);
    let (corrupt, unknown_codec) = (ErrorCode::CORRUPT_MESSAGE.0, ErrorCode::UNKNOWN_SERVER_ERROR.0);
    let (invalid, out_of_order) = (
        ErrorCode::INVALID_RECORD.0,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0,
    );
    for partition in 0..PARTITIONS {
        delete(&mut client, TOPIC, &[(partition, 4)]);
        let mut produce = |batch: Vec<u8>| {
            let answer = client.call(12, &produce_request(TOPIC, &[partition], &batch));
            let topic = answer.responses.iter().next().expect("the topic's answer");
            let partition = topic.partition_responses.iter().next().expect("the partition's");
            (partition.error_code, partition.log_start_offset)
        };
        let of_producer = |sequence| {
            let builder = BatchBuilder::new(Codec::None);
            with_a_record(builder.producer(ProducerId(7), ProducerEpoch(0), sequence))
        };
        assert_eq!(produce(of_producer(0)), (0, 4));
        assert_eq!(produce(of_producer(5)), (out_of_order, 4));
        let offset = with_a_record(BatchBuilder::new(Codec::None).at(Offset(3), LeaderEpoch::NONE));
        assert_eq!(produce(offset), (invalid, 4));
        let control = with_a_record(BatchBuilder::new(Codec::None).control());
        assert_eq!(produce(control), (invalid, 4));
        assert_eq!(produce(claiming_gzip()), (unknown_codec, 4));
        assert_eq!(produce(Vec::new()), (invalid, -1));
        let mut torn = of_producer(1);
        *torn.last_mut().expect("a record") ^= 1;
        assert_eq!(produce(torn), (corrupt, -1));
    }
}

fn with_a_record(mut batch: BatchBuilder) -> Vec<u8> {
    batch.add(Timestamp(1_703_462_400_000), None, Some(b"value"), &[]);
    batch.build().to_vec()
}

/// A batch whose header names a codec that its records are not in.
fn claiming_gzip() -> Vec<u8> {
    let mut batch = with_a_record(BatchBuilder::new(Codec::None));
    batch[layout::ATTRIBUTES + 1] |= Codec::Gzip.id();
    let crc = base::crc32c(&batch[layout::ATTRIBUTES..]);
    batch[layout::CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[test]
fn a_start_that_was_moved_stays_over_a_kill_and_a_stop() {
    let mut broker = Broker::start();
    let mut client = with_records(&broker, 5);
    let all: Vec<(i32, i64)> = (0..PARTITIONS).map(|partition| (partition, 3)).collect();
    delete(&mut client, TOPIC, &all);
    broker.kill_and_start_again();
    let expect_starts = |broker: &Broker| {
        let mut client = Connection::open(broker);
        for partition in 0..PARTITIONS {
            assert_eq!(earliest(&mut client, partition), 3);
            assert_eq!(fetched_from(&mut client, partition, 3), 0);
        }
    };
    expect_starts(&broker);
    assert!(broker.stop().success());
    broker.start_again();
    expect_starts(&broker);
}

#[test]
fn a_topic_made_again_does_not_begin_where_the_old_one_did() {
    let mut broker = Broker::start();
    let mut client = with_records(&broker, 5);
    delete(&mut client, TOPIC, &[(0, 4), (1, 4), (2, 4)]);
    let request = ringlog::wire::messages::delete_topics_request::DeleteTopicsRequest {
        topic_names: vec![TOPIC.into()].into(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    client.call(5, &request);
    create_topic(&mut client, TOPIC, PARTITIONS);
    produce(&mut client, 0);
    broker.kill_and_start_again();
    let mut client = Connection::open(&broker);
    assert_eq!(earliest(&mut client, 0), 0);
    assert_eq!(fetched_from(&mut client, 0, 0), 0);
}

#[test]
fn what_cannot_be_deleted_is_told_for_each_partition() {
    let broker = Broker::start();
    let mut client = with_records(&broker, 2);
    let out_of_range = ErrorCode::OFFSET_OUT_OF_RANGE.0;
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    let asked = [(0, 3), (1, -2), (2, 2), (PARTITIONS, 0), (3, 9), (3, 1)];
    assert_eq!(
        delete(&mut client, TOPIC, &asked),
        [
            (0, out_of_range, NO_LOW_WATERMARK),
            (1, out_of_range, NO_LOW_WATERMARK),
            (2, 0, 2),
            // Named twice, it counts as it was named last.
            (3, 0, 1),
            (PARTITIONS, unknown, NO_LOW_WATERMARK),
        ]
    );
    assert_eq!(
        delete(&mut client, "absent", &[(0, 0)]),
        [(0, unknown, NO_LOW_WATERMARK)]
    );
    let mut request = create_topic_request("compacted", 1);
    let mut topic = request.topics.iter().next().expect("the topic");
    topic.configs = vec![CreatableTopicConfig {
        name: "cleanup.policy".into(),
        value: Some("compact".into()),
    }]
    .into();
    request.topics = vec![topic].into();
    client.call(7, &request);
    let refused = ErrorCode::POLICY_VIOLATION.0;
    assert_eq!(
        delete(&mut client, "compacted", &[(0, 0)]),
        [(0, refused, NO_LOW_WATERMARK)]
    );
}

/// A client of a topic with so many records in each partition.
pub fn with_records(broker: &Broker, records: usize) -> Connection {
    let mut client = Connection::open(broker);
    create_topic(&mut client, TOPIC, PARTITIONS);
    for partition in 0..PARTITIONS {
        (0..records).for_each(|_| produce(&mut client, partition));
    }
    client
}

pub fn produce(client: &mut Connection, partition: i32) {
    let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
    batch.add(Timestamp(1_703_462_400_000), None, Some(b"value"), &[]);
    let records = batch.build().to_vec();
    expect_appended(&client.call(12, &produce_request(TOPIC, &[partition], &records)));
}

/// Of each partition: its index, the code, and where it starts.
fn delete(client: &mut Connection, topic: &str, asked: &[(i32, i64)]) -> Vec<(i32, i16, i64)> {
    let partition = |&(partition_index, offset): &(i32, i64)| DeleteRecordsPartition {
        partition_index,
        offset,
    };
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.to_owned().into(),
            partitions: asked.iter().map(partition).collect(),
        }]
        .into(),
        timeout_ms: 1_000,
    };
    let answer = client.call(2, &request);
    let topic = answer.topics.iter().next().expect("the topic's answer");
    let partitions = topic.partitions.iter();
    partitions
        .map(|partition| {
            (
                partition.partition_index,
                partition.error_code,
                partition.low_watermark,
            )
        })
        .collect()
}

pub fn earliest(client: &mut Connection, partition: i32) -> i64 {
    let mut request = list_offsets_request(TOPIC, -2);
    let mut topic = request.topics.iter().next().expect("the topic");
    let mut asked = topic.partitions.iter().next().expect("the partition");
    asked.partition_index = partition;
    topic.partitions = vec![asked].into();
    request.topics = vec![topic].into();
    let answer = client.call(4, &request);
    let topic = answer.topics.iter().next().expect("the topic's answer");
    let partition = topic.partitions.iter().next().expect("the partition's");
    assert_eq!(partition.error_code, 0);
    partition.offset
}

/// The code of a fetch from that offset on.
fn fetched_from(client: &mut Connection, partition: i32, offset: i64) -> i16 {
    let request = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }]
            .into(),
            ..Default::default()
        }]
        .into(),
        ..Default::default()
    };
    let answer = client.call(12, &request);
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let partition = topic.partitions.iter().next().expect("the partition's");
    partition.error_code
}
