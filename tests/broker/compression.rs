//! What a topic's settings make of a produced batch, seen from the socket: its codec, its size, which of its records are refused.

use bytes::BytesMut;
use ringlog::base::{ProducerEpoch, ProducerId, Timestamp};
use ringlog::wire::batch::{self, BatchBuilder, BatchView, Depth, Rules};
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_topics_request::{CreatableTopicConfig, CreateTopicsRequest};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::produce_request::ProduceRequest;
use ringlog::wire::messages::produce_response::PartitionProduceResponse;
use ringlog::wire::{ErrorCode, Records};

use crate::administration::alter;
use crate::harness::Broker;
use crate::raw::{Connection, create_topic_request, expect_appended, produce_request};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const AT: i64 = 1_703_462_400_000;

/// Before topic ids.
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;

/// Of IncrementalAlterConfigs.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;

fn create(connection: &mut Connection, name: &str, configs: &[(&str, &str)]) {
    let mut request = create_topic_request(name, 1);
    let mut topic = request.topics.iter().next().expect("it names one");
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: name.to_string().into(),
        value: Some(value.to_string().into()),
    };
    topic.configs = configs.iter().map(config).collect();
    request = CreateTopicsRequest {
        topics: vec![topic].into(),
        ..request
    };
    let answer = connection.call(7, &request);
    assert_eq!(answer.topics.iter().next().expect("its answer").error_code, 0);
}

fn produce(connection: &mut Connection, topic: &str, records: &[u8]) -> PartitionProduceResponse<'static> {
    let answer = connection.call(PRODUCE, &produce_request(topic, &[0], records));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    topic.partition_responses.iter().next().expect("the partition's")
}

/// The batch that is stored at `offset`.
fn stored(connection: &mut Connection, topic: &str, offset: i64) -> BytesMut {
    let partition = FetchPartition {
        fetch_offset: offset,
        partition_max_bytes: 1,
        ..Default::default()
    };
    let topic = FetchTopic {
        topic: topic.to_owned().into(),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: 10_000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic].into(),
        ..Default::default()
    };
    let answer = connection.call(FETCH, &request);
    let topic = answer.responses.iter().next().expect("the topic");
    let partition = topic.partitions.iter().next().expect("the partition");
    match partition.records {
        Some(Records::Wire(records)) => BytesMut::from(records),
        other => panic!("records over the wire, not {other:?}"),
    }
}

/// Three records of an idempotent producer.
fn produced(codec: Codec, sequence: i32) -> Vec<u8> {
    let mut batch = BatchBuilder::new(codec).producer(ProducerId(9_000), ProducerEpoch(0), sequence);
    for n in 0..3 {
        let headers: [(&str, Option<&[u8]>); 2] = [("n", Some(&[n])), ("none", None)];
        batch.add(
            Timestamp(AT + i64::from(n)),
            Some(&[n]),
            Some(&[n; 500]),
            &headers,
        );
    }
    batch.build().to_vec()
}

/// The records of a batch, not compressed.
fn payload(batch: &[u8]) -> Vec<u8> {
    let batch = BatchView::first(batch).expect("a batch");
    batch.payload(16 << 20).expect("unpacks").into_owned()
}

#[test]
fn every_batch_is_stored_in_the_codec_of_its_topic() {
    // Two cores, so that some topics belong to the core of the connection and some don't.
    let broker = Broker::start_with(&["ringlog.cores=2"]);
    let mut connection = Connection::open(&broker);
    let asked = [
        ("producer", None),
        ("uncompressed", Some(Codec::None)),
        ("gzip", Some(Codec::Gzip)),
        ("snappy", Some(Codec::Snappy)),
        ("lz4", Some(Codec::Lz4)),
        ("zstd", Some(Codec::Zstd)),
    ];
    for (topic, asked) in asked {
        create(&mut connection, topic, &[("compression.type", topic)]);
        for (n, codec) in (0..).zip(CODECS) {
            let sent = produced(codec, n * 3);
            for _ in ["first", "again"] {
                let answer = produce(&mut connection, topic, &sent);
                let told = (answer.error_code, answer.base_offset);
                assert_eq!(told, (0, i64::from(n) * 3), "{codec} to {topic}");
            }
            let found = stored(&mut connection, topic, i64::from(n) * 3);
            let batch = BatchView::first(&found).expect("one batch");
            assert_eq!(batch.codec(), Ok(asked.unwrap_or(codec)), "{codec} to {topic}");
            assert_eq!(payload(&found), payload(&sent), "{codec} to {topic}");
            assert!(batch.crc_is_valid());
            assert_eq!(
                (batch.producer_id(), batch.base_sequence()),
                (ProducerId(9_000), n * 3)
            );
            assert_eq!(batch.max_timestamp(), Timestamp(AT + 2));
        }
    }
}

#[test]
fn another_codec_counts_from_the_batch_after_the_change() {
    let broker = Broker::start_with(&["compression.type=gzip"]);
    let mut connection = Connection::open(&broker);
    create(&mut connection, "ticks", &[]);
    for (n, (kind, resource, set), codec) in [
        (0, (BROKER, "", "gzip"), Codec::Gzip),
        (1, (BROKER, "", "zstd"), Codec::Zstd),
        (2, (TOPIC, "ticks", "lz4"), Codec::Lz4),
        (3, (BROKER, "", "gzip"), Codec::Lz4),
        (4, (TOPIC, "ticks", "uncompressed"), Codec::None),
        (5, (TOPIC, "ticks", "producer"), Codec::Snappy),
    ] {
        let change = [("compression.type", SET, Some(set))];
        alter(&mut connection, kind, resource, &change);
        let answer = produce(&mut connection, "ticks", &produced(Codec::Snappy, n * 3));
        assert_eq!(answer.error_code, 0);
        let found = stored(&mut connection, "ticks", i64::from(n) * 3);
        assert_eq!(BatchView::first(&found).expect("one batch").codec(), Ok(codec));
    }
}

#[test]
fn a_batch_has_to_fit_as_it_is_sent_and_as_it_is_stored() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let packed = |len| {
        let mut batch = BatchBuilder::new(Codec::Zstd);
        batch.add(Timestamp(AT), None, Some(&vec![0; len]), &[]);
        batch.build().to_vec()
    };
    let plain = |len| {
        let mut batch = BatchBuilder::new(Codec::None);
        batch.add(Timestamp(AT), None, Some(&vec![0; len]), &[]);
        batch.build().to_vec()
    };
    let limits = ("max.message.bytes", "10000");
    create(
        &mut connection,
        "plain",
        &[limits, ("compression.type", "uncompressed")],
    );
    create(&mut connection, "packed", &[limits, ("compression.type", "zstd")]);
    let segment = ("segment.bytes", "1048576");
    create(
        &mut connection,
        "segment",
        &[segment, ("max.message.bytes", "3000000")],
    );
    for (topic, batch, code) in [
        ("plain", packed(9_000), ErrorCode::NONE),
        ("plain", packed(10_000), ErrorCode::MESSAGE_TOO_LARGE),
        ("packed", plain(9_000), ErrorCode::NONE),
        // It would be small in the topic's codec, and is too large to be looked at.
        ("packed", plain(10_000), ErrorCode::MESSAGE_TOO_LARGE),
        ("segment", plain(1_000_000), ErrorCode::NONE),
        ("segment", plain(1_048_576), ErrorCode::RECORD_LIST_TOO_LARGE),
        ("segment", plain(3_000_000), ErrorCode::MESSAGE_TOO_LARGE),
    ] {
        let answer = produce(&mut connection, topic, &batch);
        assert_eq!(
            ErrorCode(answer.error_code),
            code,
            "{} bytes to {topic}",
            batch.len()
        );
    }
}

#[test]
fn records_that_a_topic_does_not_take_are_named() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection, "keyed", &[("cleanup.policy", "compact")]);
    for codec in CODECS {
        let mut batch = BatchBuilder::new(codec);
        for key in [Some(&b"k"[..]), None, Some(b"k"), None] {
            batch.add(Timestamp(AT), key, Some(b"v"), &[]);
        }
        let answer = produce(&mut connection, "keyed", &batch.build());
        assert_eq!(ErrorCode(answer.error_code), ErrorCode::INVALID_RECORD, "{codec}");
        let named: Vec<(i32, String)> = answer
            .record_errors
            .iter()
            .map(|error| {
                (
                    error.batch_index,
                    error.batch_index_error_message.unwrap().into_owned(),
                )
            })
            .collect();
        let told = "Compacted topic cannot accept message without key in topic partition keyed-0";
        assert_eq!(named, [(1, told.to_owned()), (3, told.to_owned())], "{codec}");
        let whole = answer.error_message.expect("what is wrong with the batch");
        assert!(whole.contains("due to 2 record errors in total"), "{whole:?}");
    }
}

#[test]
fn a_large_batch_is_put_into_the_topics_codec_beside_other_requests() {
    let broker = Broker::start_with(&["ringlog.cores=1", "message.max.bytes=10000000"]);
    let mut connection = Connection::open(&broker);
    create(
        &mut connection,
        "gzip",
        &[("compression.type", "gzip"), ("compression.gzip.level", "9")],
    );
    let mut other = Connection::open(&broker);
    create(&mut other, "plain", &[]);
    let noise: Vec<u8> = (0..8_000_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut batch = BatchBuilder::new(Codec::Lz4);
    batch.add(Timestamp(AT), None, Some(&noise), &[]);
    let sent = batch.build();
    let answers = [(); 2].map(|()| {
        let mut connection = Connection::open(&broker);
        let sent = connection.send(PRODUCE, &produce_request("gzip", &[0], &sent));
        (connection, sent)
    });
    for n in 0..20 {
        assert_eq!(
            produce(&mut other, "plain", &produced(Codec::None, n * 3)).error_code,
            0
        );
    }
    for (mut connection, sent) in answers {
        let answer = connection.answer::<ProduceRequest>(PRODUCE, sent);
        expect_appended(&answer);
    }
    for offset in 0..2 {
        let found = stored(&mut connection, "gzip", offset);
        let stored = BatchView::first(&found).expect("one batch");
        assert_eq!(stored.codec(), Ok(Codec::Gzip));
        assert!(payload(&found) == payload(&sent));
        let mut as_sent = found.clone();
        batch::set_base_offset(&mut as_sent, ringlog::base::Offset(0));
        let rules = Rules::of_any_topic(Depth::Records);
        assert!(batch::validate(&as_sent, &rules).is_ok());
    }
}
