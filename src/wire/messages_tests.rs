//! Messages against Kafka's own bytes, against themselves, and against noise.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::base::TopicId;
use crate::wire::allocations::counted;
use crate::wire::decoder::{DecodeError, Decoder, Fault};
use crate::wire::encoder::{EncodeError, Encoder};
use crate::wire::fixtures::fixture;
use crate::wire::message::{Decode, Encode, Message, Records};
use crate::wire::sample::{Sample, Source};

const ID: TopicId = TopicId([
    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00,
]);

fn encoded<'a, M: Message<'a>>(message: &M, version: i16) -> Vec<u8> {
    let mut e = Encoder::new();
    message
        .encode(&mut e, version)
        .unwrap_or_else(|e| panic!("{} v{version}: {e}", M::NAME));
    e.into_bytes().to_vec()
}

fn decoded<'a, M: Message<'a>>(bytes: &'a [u8], version: i16) -> M {
    let mut d = Decoder::new(bytes);
    let message = M::decode(&mut d, version).unwrap_or_else(|e| panic!("{} v{version}: {e}", M::NAME));
    assert!(d.is_empty(), "{} v{version} leaves bytes unread", M::NAME);
    message
}

/// `message` is what Kafka wrote as `name`: both ways.
fn assert_is_kafkas<'a, M: Message<'a> + PartialEq + Debug>(
    name: &str,
    version: i16,
    message: M,
    bytes: &'a mut Vec<u8>,
) {
    *bytes = fixture(&format!("{name} {version}"));
    assert_eq!(encoded(&message, version), *bytes, "{name} {version}");
    assert_eq!(decoded::<M>(bytes, version), message, "{name} {version}");
}

fn fetch_request() -> FetchRequest<'static> {
    use fetch_request::{FetchPartition, FetchTopic};
    let partition = FetchPartition {
        partition: 2,
        current_leader_epoch: 5,
        fetch_offset: 1_234_567_890_123,
        partition_max_bytes: 1_048_576,
        ..Default::default()
    };
    let topic = FetchTopic {
        topic: "orders".into(),
        topic_id: ID,
        partitions: vec![partition].into(),
    };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 52_428_800,
        isolation_level: 1,
        session_id: 7,
        session_epoch: 3,
        rack_id: "r1".into(),
        topics: vec![topic].into(),
        ..Default::default()
    }
}

fn with_forgotten_topic(request: FetchRequest<'static>) -> FetchRequest<'static> {
    use fetch_request::ForgottenTopic;
    let forgotten = ForgottenTopic {
        topic: "old".into(),
        topic_id: ID,
        partitions: vec![0, 9].into(),
    };
    FetchRequest {
        forgotten_topics_data: vec![forgotten].into(),
        ..request
    }
}

#[test]
fn fetch_requests_are_kafkas() {
    use fetch_request::{FetchPartition, FetchTopic, ReplicaState};
    let bytes = fixture("fetch_request 4");
    let v4 = FetchRequest {
        session_id: 0,
        session_epoch: -1,
        rack_id: "".into(),
        ..fetch_request()
    };
    assert_eq!(encoded(&v4, 4), bytes);
    let read: FetchRequest<'_> = decoded(&bytes, 4);
    let topic = read.topics.iter().next().expect("a topic");
    assert_eq!((topic.topic.as_ref(), topic.topic_id), ("orders", TopicId::ZERO));
    assert_eq!(
        topic
            .partitions
            .iter()
            .next()
            .expect("a partition")
            .current_leader_epoch,
        -1
    );

    let bytes = fixture("fetch_request 11");
    assert_eq!(encoded(&with_forgotten_topic(fetch_request()), 11), bytes);

    let request = with_forgotten_topic(fetch_request());
    let partition = FetchPartition {
        high_watermark: 77,
        last_fetched_epoch: 4,
        replica_directory_id: ID,
        ..request
            .topics
            .iter()
            .next()
            .expect("a topic")
            .partitions
            .iter()
            .next()
            .expect("a partition")
    };
    let topic = FetchTopic {
        topic: "orders".into(),
        topic_id: ID,
        partitions: vec![partition].into(),
    };
    let v18 = FetchRequest {
        cluster_id: Some("c-1".into()),
        replica_state: ReplicaState {
            replica_id: 4,
            replica_epoch: 9,
        },
        topics: vec![topic].into(),
        ..request
    };
    let bytes = fixture("fetch_request 18");
    assert_eq!(encoded(&v18, 18), bytes);
    assert_eq!(encoded(&decoded::<FetchRequest<'_>>(&bytes, 18), 18), bytes);
}

#[test]
fn fetch_responses_are_kafkas() {
    use fetch_response::*;
    let partition = PartitionData {
        partition_index: 2,
        error_code: 6,
        high_watermark: 10,
        last_stable_offset: 9,
        log_start_offset: 1,
        diverging_epoch: EpochEndOffset {
            epoch: 1,
            end_offset: 2,
        },
        current_leader: LeaderIdAndEpoch {
            leader_id: 3,
            leader_epoch: 8,
        },
        aborted_transactions: Some(
            vec![AbortedTransaction {
                producer_id: 5,
                first_offset: 3,
            }]
            .into(),
        ),
        records: Some(Records::Wire(&[1, 2, 3])),
        ..Default::default()
    };
    let topic = FetchableTopicResponse {
        topic_id: ID,
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let endpoint = NodeEndpoint {
        node_id: 3,
        host: "h".into(),
        port: 9092,
        rack: None,
    };
    let response = FetchResponse {
        throttle_time_ms: 1,
        session_id: 7,
        responses: vec![topic].into(),
        node_endpoints: vec![endpoint].into(),
        ..Default::default()
    };
    assert_is_kafkas("fetch_response", 18, response, &mut Vec::new());
}

#[test]
fn produce_requests_are_kafkas() {
    use produce_request::{PartitionProduceData, TopicProduceData};
    for version in [3, 9] {
        let data = PartitionProduceData {
            index: 1,
            records: Some(Records::Wire(&[9, 8, 7])),
        };
        let topic = TopicProduceData {
            name: "orders".into(),
            partition_data: vec![data].into(),
            ..Default::default()
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic].into(),
        };
        assert_is_kafkas("produce_request", version, request, &mut Vec::new());
    }
}

#[test]
fn metadata_is_kafkas() {
    use metadata_response::*;
    let partition = MetadataResponsePartition {
        leader_id: 1,
        leader_epoch: 2,
        replica_nodes: vec![1].into(),
        isr_nodes: vec![1].into(),
        ..Default::default()
    };
    let topic = MetadataResponseTopic {
        name: Some("orders".into()),
        topic_id: ID,
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let broker = MetadataResponseBroker {
        node_id: 1,
        host: "localhost".into(),
        port: 9092,
        rack: Some("a".into()),
    };
    let response = MetadataResponse {
        brokers: vec![broker].into(),
        cluster_id: Some("abc".into()),
        controller_id: 1,
        topics: vec![topic].into(),
        ..Default::default()
    };
    for version in [0, 8, 13] {
        assert_eq!(
            encoded(&response, version),
            fixture(&format!("metadata_response {version}"))
        );
    }
    assert_is_kafkas("metadata_response", 13, response, &mut Vec::new());
    for version in [1, 12] {
        let everything = MetadataRequest {
            topics: None,
            ..Default::default()
        };
        assert_is_kafkas("metadata_request", version, everything, &mut Vec::new());
    }
}

#[test]
fn tagged_features_are_kafkas() {
    use api_versions_response::*;
    let response = ApiVersionsResponse {
        api_keys: vec![ApiVersion {
            api_key: 18,
            min_version: 0,
            max_version: 4,
        }]
        .into(),
        supported_features: vec![SupportedFeatureKey {
            name: "metadata.version".into(),
            min_version: 7,
            max_version: 30,
        }]
        .into(),
        finalized_features_epoch: 12,
        finalized_features: vec![FinalizedFeatureKey {
            name: "metadata.version".into(),
            max_version_level: 30,
            min_version_level: 30,
        }]
        .into(),
        ..Default::default()
    };
    assert_eq!(encoded(&response, 0), fixture("api_versions_response 0"));
    assert_is_kafkas("api_versions_response", 4, response, &mut Vec::new());
}

#[test]
fn created_topics_are_kafkas() {
    use create_topics_response::*;
    let topic = CreatableTopicResult {
        name: "t".into(),
        topic_id: ID,
        error_message: None,
        topic_config_error_code: 29,
        num_partitions: 3,
        replication_factor: 1,
        configs: None,
        ..Default::default()
    };
    let response = CreateTopicsResponse {
        topics: vec![topic].into(),
        ..Default::default()
    };
    assert_is_kafkas("create_topics_response", 7, response, &mut Vec::new());
}

#[test]
fn a_tagged_struct_that_is_null_is_kafkas() {
    use consumer_group_member_metadata_value::*;
    let classic = ClassicMemberMetadata {
        session_timeout_ms: 9,
        ..Default::default()
    };
    for (name, classic_member_metadata) in [("null", None), ("some", Some(classic))] {
        let member = ConsumerGroupMemberMetadataValue {
            instance_id: None,
            rack_id: None,
            client_id: "c".into(),
            client_host: "h".into(),
            subscribed_topic_names: vec!["t".into()].into(),
            subscribed_topic_regex: None,
            server_assignor: None,
            rebalance_timeout_ms: 5,
            classic_member_metadata,
        };
        assert_is_kafkas(&format!("member_metadata_{name}"), 0, member, &mut Vec::new());
    }
}

#[test]
fn a_value_that_a_version_cannot_carry_is_refused_unless_it_may_be_dropped() {
    let request = fetch_request();
    assert!(
        request.encode(&mut Encoder::new(), 4).is_ok(),
        "the session is ignorable"
    );
    let request = with_forgotten_topic(request);
    assert_eq!(
        request.encode(&mut Encoder::new(), 4),
        Err(EncodeError::NotInVersion {
            field: "FetchRequest.forgotten_topics_data",
            version: 4
        })
    );
    let tagged = FetchRequest {
        replica_state: fetch_request::ReplicaState {
            replica_id: 1,
            replica_epoch: -1,
        },
        ..fetch_request()
    };
    assert_eq!(
        tagged.encode(&mut Encoder::new(), 12),
        Err(EncodeError::NotInVersion {
            field: "FetchRequest.replica_state",
            version: 12
        })
    );
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    let everything = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    assert_eq!(
        everything.encode(&mut Encoder::new(), 0),
        Err(EncodeError::Null {
            field: "MetadataRequest.topics",
            version: 0
        })
    );
    let error = MetadataRequest::decode(&mut Decoder::new(&[0xff; 4]), 0).expect_err("null");
    assert_eq!(
        error,
        DecodeError {
            field: "MetadataRequest.topics",
            fault: Fault::Null
        }
    );
    assert!(MetadataRequest::decode(&mut Decoder::new(&[0xff; 4]), 1).is_ok());
}

#[test]
fn unknown_tags_are_skipped_and_tags_of_other_versions_refused() {
    let mut bytes = fixture("metadata_request 12");
    bytes.pop();
    bytes.extend([1, 99, 3, 7, 7, 7]);
    let request: MetadataRequest<'_> = decoded(&bytes, 12);
    assert!(request.topics.is_none());

    // Tag 0 of the topics in a produce response exists from 10 on, tag 0 of a fetch request from 12: so look at 1.
    let request = FetchRequest::default();
    let mut bytes = encoded(&request, 14);
    bytes.pop();
    bytes.extend([1, 1, 13, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 0]);
    let error = FetchRequest::decode(&mut Decoder::new(&bytes), 14).expect_err("tag 1 is of version 15");
    assert_eq!(error.fault, Fault::TagNotValid { tag: 1 });
}

#[test]
fn a_tagged_field_must_fill_its_size() {
    let mut bytes = encoded(&FetchRequest::default(), 15);
    bytes.pop();
    bytes.extend([1, 0, 3, 2, b'c', b'!']);
    let error = FetchRequest::decode(&mut Decoder::new(&bytes), 15).expect_err("a byte too many");
    assert_eq!(error.fault, Fault::TagSize { tag: 0, left: 1 });
}

#[test]
fn versions_that_do_not_exist_are_refused() {
    let error = FetchRequest::decode(&mut Decoder::new(&[]), 19).expect_err("19 is not one");
    assert_eq!(error.fault, Fault::UnsupportedVersion { version: 19 });
    let error = FetchRequest::default().encode(&mut Encoder::new(), 3);
    assert_eq!(error, Err(EncodeError::UnsupportedVersion { version: 3 }));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let mut bytes = fixture("produce_request 3");
    let at = bytes
        .windows(6)
        .position(|w| w == b"orders")
        .expect("the topic's name");
    bytes[at] = 0xff;
    let error = ProduceRequest::decode(&mut Decoder::new(&bytes), 3).expect_err("not UTF-8");
    assert_eq!(
        error,
        DecodeError {
            field: "TopicProduceData.name",
            fault: Fault::NotUtf8
        }
    );
}

#[test]
fn a_count_beyond_the_bytes_that_are_left_is_refused_at_once() {
    let mut bytes = vec![0xff, 0xff, 0, 1, 0, 0, 0, 0];
    bytes.extend(i32::MAX.to_be_bytes());
    let error = ProduceRequest::decode(&mut Decoder::new(&bytes), 3).expect_err("too many");
    assert_eq!(
        error.fault,
        Fault::CountTooLarge {
            count: i32::MAX as usize,
            left: 0
        }
    );
}

/// What was made up reads back as itself without allocating, and encodes again to the same bytes.
fn check_round_trip<'a, M: Message<'a> + Sample + PartialEq + Debug>(seed: u64, bytes: &'a mut Vec<u8>) {
    let mut source = Source(seed);
    let version = version_of::<M>(&mut source);
    let made_up = M::sample(&mut source, version);
    *bytes = encoded(&made_up, version);
    let (read, allocations) = counted(|| decoded::<M>(bytes, version));
    assert_eq!(allocations, 0, "{} v{version} allocates to decode", M::NAME);
    assert_eq!(read, made_up, "{} v{version}", M::NAME);
    assert_eq!(encoded(&read, version), *bytes, "{} v{version}", M::NAME);
}

/// Damaged bytes decode or don't; they never panic nor allocate, and what was decoded can be walked and sent again.
fn check_damage<'a, M: Message<'a> + Sample + Debug>(seed: u64, bytes: &'a mut Vec<u8>) {
    let mut source = Source(seed);
    let version = version_of::<M>(&mut source);
    *bytes = encoded(&M::sample(&mut source, version), version);
    for _ in 0..=source.below(3) {
        if let Some(at) = source.u64().checked_rem(bytes.len() as u64) {
            bytes[at as usize] = source.u64() as u8;
        }
    }
    bytes.truncate(bytes.len() - source.below(2) as usize * source.below(bytes.len() as u64 + 1) as usize);
    let (message, allocations) = counted(|| M::decode(&mut Decoder::new(bytes), version));
    assert_eq!(allocations, 0, "{} v{version} allocates to decode", M::NAME);
    if let Ok(message) = message {
        encoded(&message, version);
        assert!(!format!("{message:?}").is_empty());
    }
}

/// Noise decodes or doesn't; it never panics, nor does it make us allocate.
fn check_noise<'a, M: Message<'a> + Debug>(seed: u64, noise: &'a [u8]) {
    let version = version_of::<M>(&mut Source(seed));
    let (message, allocations) = counted(|| M::decode(&mut Decoder::new(noise), version));
    assert_eq!(allocations, 0, "{} v{version} allocates to decode", M::NAME);
    if let Ok(message) = message {
        assert!(!format!("{message:?}").is_empty());
    }
}

fn version_of<'a, M: Message<'a>>(source: &mut Source) -> i16 {
    let versions = M::VERSIONS;
    versions.start() + source.below(versions.clone().count() as u64) as i16
}

macro_rules! check_all {
    ($($module:ident::$name:ident;)*) => {
        fn check_round_trips(seed: u64) {
            $(check_round_trip::<$module::$name>(seed, &mut Vec::new());)*
        }

        fn check_damages(seed: u64) {
            $(check_damage::<$module::$name>(seed, &mut Vec::new());)*
        }

        fn check_noises(seed: u64, noise: &[u8]) {
            $(check_noise::<$module::$name>(seed, noise);)*
        }
    };
}

for_each_message!(check_all);

proptest! {
    // Each case goes through all messages.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_message_reads_back_in_every_version(seed: u64) {
        check_round_trips(seed);
    }

    #[test]
    fn damaged_messages_never_panic(seed: u64) {
        check_damages(seed);
    }

    #[test]
    fn noise_never_panics(seed: u64, noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        check_noises(seed, &noise);
    }
}
