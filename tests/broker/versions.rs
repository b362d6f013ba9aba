//! Every API answers in every version that the broker advertises, to the last byte.

use std::net::TcpStream;
use std::path::Path;

use ringlog::base::{LeaderEpoch, Offset, Timestamp, TopicId};
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::alter_configs_request::{self, AlterConfigsRequest};
use ringlog::wire::messages::api_versions_request::ApiVersionsRequest;
use ringlog::wire::messages::api_versions_response::ApiVersionsResponse;
use ringlog::wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use ringlog::wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ringlog::wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ringlog::wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use ringlog::wire::messages::describe_cluster_request::DescribeClusterRequest;
use ringlog::wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use ringlog::wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use ringlog::wire::messages::describe_topic_partitions_request::{
    DescribeTopicPartitionsRequest, TopicRequest,
};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::find_coordinator_request::FindCoordinatorRequest;
use ringlog::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ringlog::wire::messages::init_producer_id_request::InitProducerIdRequest;
use ringlog::wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use ringlog::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ringlog::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog::wire::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use ringlog::wire::messages::sasl_handshake_request::SaslHandshakeRequest;
use ringlog::wire::{ApiKey, ErrorCode, Records, Str};

use crate::harness::Broker;
use crate::move_dirs::move_to;
use crate::quorum;
use crate::raw::{Connection, list_offsets_request};

const TOPIC: &str = "versions";
const COORDINATOR_NOT_AVAILABLE: i16 = 15;

/// Who asks, and what it knows.
struct Client {
    connection: Connection,
    topic_id: TopicId,
    records: Vec<u8>,
    /// Of the listener that it is connected to, as DescribeCluster counts them.
    endpoint_type: i8,
}

#[test]
fn every_api_answers_in_every_version_it_advertises() {
    let broker = Broker::start();
    let produced = ask_everything(&mut Client::new(&broker), &broker);
    assert_eq!(produced, 2 * 11, "Produce 3 to 13 were tried");
}

#[test]
fn every_api_of_a_controller_answers_in_every_version_it_advertises() {
    let (broker, controller) = quorum::with_controller();
    let mut client = Client::new(&broker);
    client.connection = Connection::over(TcpStream::connect(controller).unwrap());
    client.endpoint_type = 2;
    let advertised = client.advertised();
    let keys: Vec<i16> = advertised.api_keys.iter().map(|api| api.api_key).collect();
    for (served, of) in [(false, &[0, 1, 3][..]), (true, &[18, 19, 20, 32, 55])] {
        assert!(of.iter().all(|key| keys.contains(key) == served), "{keys:?}");
    }
    ask_everything(&mut client, &broker);
}

/// Asks everything that the client's connection is told of; returns how many records were produced.
fn ask_everything(client: &mut Client, broker: &Broker) -> i64 {
    let advertised = client.advertised();
    let mut produced = 0;
    for api in &advertised.api_keys {
        for version in api.min_version..=api.max_version {
            let name = format!("{} version {version}", ApiKey(api.api_key));
            match api.api_key {
                // Listed for old librdkafka, refused as Kafka does: the connection closes.
                0 if version < 3 => {
                    let mut old = Connection::open(broker);
                    let mut frame = old.frame(3, &ProduceRequest::default());
                    frame[6..8].copy_from_slice(&version.to_be_bytes());
                    old.write(&frame);
                    old.expect_closed();
                }
                0 => {
                    assert_eq!(client.produce(version), produced, "{name}");
                    produced += 2;
                }
                1 => assert_eq!(client.fetch(version), client.records.len(), "{name}"),
                2 => assert_eq!(client.end_offset(version), produced, "{name}"),
                3 => client.metadata(version),
                10 => client.find_coordinator(version),
                17 => client.sasl_handshake(version),
                18 => client.api_versions(version),
                19 => client.create(version, &format!("created-by-{version}")),
                20 => {
                    let doomed = format!("doomed-by-{version}");
                    client.create(7, &doomed);
                    client.delete(version, &doomed);
                }
                21 => client.delete_records(version),
                22 => client.init_producer_id(version),
                23 => client.offset_for_leader_epoch(version, produced),
                32 => client.describe_configs(version),
                33 => client.alter_configs(version),
                34 => client.alter_replica_log_dirs(version),
                35 => client.describe_log_dirs(version),
                36 => client.sasl_authenticate(version),
                37 => client.create_partitions(version),
                44 => client.incremental_alter_configs(version),
                55 => client.describe_quorum(version),
                60 => client.describe_cluster(version),
                75 => client.describe_topic_partitions(version),
                key => panic!("{name}: API {key} is advertised and not tried here"),
            }
        }
    }
    produced
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let mut frame = connection.frame(3, &request_api_versions());
    frame[6..8].copy_from_slice(&99i16.to_be_bytes());
    connection.write(&frame);
    let answer = connection.answer::<ApiVersionsRequest>(0, 1);
    assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION.0);
    let named: Vec<(i16, i16)> = answer
        .api_keys
        .iter()
        .filter(|api| api.api_key == 18)
        .map(|api| (api.min_version, api.max_version))
        .collect();
    assert_eq!(named, [(0, 4)], "the client learns what it may ask");
}

impl Client {
    fn new(broker: &Broker) -> Client {
        let mut client = Client {
            connection: Connection::open(broker),
            topic_id: TopicId::default(),
            records: two_records(),
            endpoint_type: 1,
        };
        client.create(7, TOPIC);
        let metadata = client.connection.call(13, &metadata_request(TOPIC, 13));
        client.topic_id = metadata.topics.iter().next().expect("the topic").topic_id;
        // What Fetch and ListOffsets find, and Produce adds to.
        client
    }

    /// No listener authenticates.
    fn sasl_handshake(&mut self, version: i16) {
        let answer = self.connection.call(version, &SaslHandshakeRequest::default());
        assert_eq!(answer.error_code, ErrorCode::ILLEGAL_SASL_STATE.0);
    }

    fn sasl_authenticate(&mut self, version: i16) {
        let answer = self.connection.call(version, &SaslAuthenticateRequest::default());
        assert_eq!(answer.error_code, ErrorCode::ILLEGAL_SASL_STATE.0);
    }

    /// Told by `move_dirs` in more detail: it is there already.
    fn alter_replica_log_dirs(&mut self, version: i16) {
        let all = DescribeLogDirsRequest { topics: None };
        let answer = self.connection.call(4, &all);
        let dir = answer
            .results
            .iter()
            .next()
            .expect("the data directory")
            .log_dir
            .to_string();
        assert_eq!(
            move_to(&mut self.connection, version, TOPIC, 0, Path::new(&dir)),
            0
        );
    }

    /// Told by `log_dirs` in more detail.
    fn describe_log_dirs(&mut self, version: i16) {
        let all = DescribeLogDirsRequest { topics: None };
        let answer = self.connection.call(version, &all);
        let dir = answer.results.iter().next().expect("the data directory");
        let is_there = dir.topics.iter().any(|topic| topic.name.as_ref() == TOPIC);
        assert!(is_there && dir.error_code == 0);
    }

    fn advertised(&mut self) -> ApiVersionsResponse<'static> {
        self.connection.call(4, &request_api_versions())
    }

    /// Appends two records; returns the first one's offset.
    fn produce(&mut self, version: i16) -> i64 {
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 1_000,
            topic_data: [TopicProduceData {
                // Each version takes the one that it names topics by.
                name: TOPIC.into(),
                topic_id: self.topic_id,
                partition_data: [PartitionProduceData {
                    index: 0,
                    records: Some(Records::Wire(&self.records)),
                }]
                .into_iter()
                .collect(),
            }]
            .into_iter()
            .collect(),
            ..Default::default()
        };
        let answer = self.connection.call(version, &request);
        let topic = answer.responses.iter().next().expect("the topic's answer");
        let partition = topic.partition_responses.iter().next().expect("the partition's");
        assert_eq!(partition.error_code, 0);
        partition.base_offset
    }

    /// Fetches from the start of the last batch; returns the bytes of records that came.
    fn fetch(&mut self, version: i16) -> usize {
        let end = self.end_offset(11);
        let request = FetchRequest {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: [FetchTopic {
                // Each version takes the one that it names topics by.
                topic: TOPIC.into(),
                topic_id: self.topic_id,
                partitions: [FetchPartition {
                    partition: 0,
                    fetch_offset: end - 1,
                    partition_max_bytes: 1 << 20,
                    ..Default::default()
                }]
                .into_iter()
                .collect(),
            }]
            .into_iter()
            .collect(),
            ..Default::default()
        };
        let answer = self.connection.call(version, &request);
        assert_eq!((answer.error_code, answer.session_id), (0, 0));
        let topic = answer.responses.iter().next().expect("the topic's answer");
        let partition = topic.partitions.iter().next().expect("the partition's");
        assert_eq!((partition.error_code, partition.high_watermark), (0, end));
        partition.records.as_ref().expect("records").size_bytes()
    }

    fn end_offset(&mut self, version: i16) -> i64 {
        let request = list_offsets_request(TOPIC, -1);
        let answer = self.connection.call(version, &request);
        let topic = answer.topics.iter().next().expect("the topic's answer");
        let partition = topic.partitions.iter().next().expect("the partition's");
        assert_eq!(partition.error_code, 0);
        partition.offset
    }

    fn metadata(&mut self, version: i16) {
        for request in [TOPIC, "absent"].map(|name| metadata_request(name, version)) {
            let known = request.topics.as_ref().and_then(|topics| topics.iter().next());
            let is_known = known.is_some_and(|topic| topic.name.as_deref() == Some(TOPIC));
            let answer = self.connection.call(version, &request);
            assert_eq!(answer.brokers.len(), 1);
            let topic = answer.topics.iter().next().expect("the topic");
            // A version without the choice creates what it asks for, and is told in the same answer or the next.
            let expected: &[i16] = match (is_known, version) {
                (true, _) => &[0],
                (false, 4..) => &[ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0],
                (false, _) => &[0, ErrorCode::LEADER_NOT_AVAILABLE.0],
            };
            assert!(expected.contains(&topic.error_code), "{}", topic.error_code);
        }
        self.delete(6, "absent");
    }

    fn find_coordinator(&mut self, version: i16) {
        let request = match version {
            ..4 => FindCoordinatorRequest {
                key: "group".into(),
                ..Default::default()
            },
            _ => FindCoordinatorRequest {
                coordinator_keys: [Str::from("group")].into_iter().collect(),
                ..Default::default()
            },
        };
        let answer = self.connection.call(version, &request);
        let code = match answer.coordinators.iter().next() {
            Some(coordinator) => coordinator.error_code,
            None => answer.error_code,
        };
        assert_eq!(code, COORDINATOR_NOT_AVAILABLE);
    }

    fn api_versions(&mut self, version: i16) {
        let request = match version {
            ..3 => ApiVersionsRequest::default(),
            _ => request_api_versions(),
        };
        let answer = self.connection.call(version, &request);
        assert_eq!((answer.error_code, answer.api_keys.is_empty()), (0, false));
    }

    fn create(&mut self, version: i16, name: &str) {
        let request = CreateTopicsRequest {
            topics: [CreatableTopic {
                name: name.into(),
                num_partitions: 1,
                replication_factor: 1,
                configs: [CreatableTopicConfig {
                    name: "retention.ms".into(),
                    value: Some("-1".into()),
                }]
                .into_iter()
                .collect(),
                ..Default::default()
            }]
            .into_iter()
            .collect(),
            ..Default::default()
        };
        let answer = self.connection.call(version, &request);
        assert_eq!(answer.topics.iter().next().expect("its answer").error_code, 0);
    }

    fn delete(&mut self, version: i16, name: &str) {
        let request = match version {
            ..6 => DeleteTopicsRequest {
                topic_names: [Str::from(name)].into_iter().collect(),
                timeout_ms: 1_000,
                ..Default::default()
            },
            _ => DeleteTopicsRequest {
                topics: [DeleteTopicState {
                    name: Some(name.into()),
                    ..Default::default()
                }]
                .into_iter()
                .collect(),
                timeout_ms: 1_000,
                ..Default::default()
            },
        };
        let answer = self.connection.call(version, &request);
        let code = answer.responses.iter().next().expect("its answer").error_code;
        let absent = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
        assert!(code == 0 || (name == "absent" && code == absent), "{code}");
    }

    /// None: offset 0 is where the log begins.
    fn delete_records(&mut self, version: i16) {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: TOPIC.into(),
                partitions: vec![DeleteRecordsPartition::default()].into(),
            }]
            .into(),
            timeout_ms: 1_000,
        };
        let answer = self.connection.call(version, &request);
        let topic = answer.topics.iter().next().expect("the topic's answer");
        let partition = topic.partitions.iter().next().expect("the partition's");
        assert_eq!((partition.error_code, partition.low_watermark), (0, 0));
    }

    fn init_producer_id(&mut self, version: i16) {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 1_000,
            ..Default::default()
        };
        let answer = self.connection.call(version, &request);
        assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
    }

    fn describe_configs(&mut self, version: i16) {
        for (kind, name) in [(2, TOPIC), (4, "1"), (2, "absent")] {
            let request = DescribeConfigsRequest {
                resources: [DescribeConfigsResource {
                    resource_type: kind,
                    resource_name: name.into(),
                    configuration_keys: None,
                }]
                .into_iter()
                .collect(),
                include_synonyms: true,
                include_documentation: version >= 3,
            };
            let answer = self.connection.call(version, &request);
            let result = answer.results.iter().next().expect("its answer");
            let expected = if name == "absent" {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0
            } else {
                0
            };
            assert_eq!(result.error_code, expected, "{name}");
        }
    }

    fn alter_configs(&mut self, version: i16) {
        let request = AlterConfigsRequest {
            resources: [alter_configs_request::AlterConfigsResource {
                resource_type: 2,
                resource_name: TOPIC.into(),
                configs: [alter_configs_request::AlterableConfig {
                    name: "segment.ms".into(),
                    value: Some("3600000".into()),
                }]
                .into_iter()
                .collect(),
            }]
            .into_iter()
            .collect(),
            validate_only: false,
        };
        let answer = self.connection.call(version, &request);
        assert_eq!(answer.responses.iter().next().expect("its answer").error_code, 0);
    }

    fn incremental_alter_configs(&mut self, version: i16) {
        let request = IncrementalAlterConfigsRequest {
            resources: [AlterConfigsResource {
                resource_type: 4,
                resource_name: "1".into(),
                configs: [AlterableConfig {
                    name: "log.segment.bytes".into(),
                    config_operation: 1,
                    value: None,
                }]
                .into_iter()
                .collect(),
            }]
            .into_iter()
            .collect(),
            validate_only: false,
        };
        let answer = self.connection.call(version, &request);
        assert_eq!(answer.responses.iter().next().expect("its answer").error_code, 0);
    }

    /// One more than there are.
    fn create_partitions(&mut self, version: i16) {
        let request = CreatePartitionsRequest {
            topics: [CreatePartitionsTopic {
                name: TOPIC.into(),
                count: i32::from(version) + 2,
                assignments: None,
            }]
            .into_iter()
            .collect(),
            timeout_ms: 1_000,
            validate_only: false,
        };
        let answer = self.connection.call(version, &request);
        assert_eq!(answer.results.iter().next().expect("its answer").error_code, 0);
    }

    fn describe_topic_partitions(&mut self, version: i16) {
        let request = DescribeTopicPartitionsRequest {
            topics: [TopicRequest { name: TOPIC.into() }].into_iter().collect(),
            ..Default::default()
        };
        let answer = self.connection.call(version, &request);
        let topic = answer.topics.iter().next().expect("the topic");
        assert_eq!((topic.error_code, topic.topic_id), (0, self.topic_id));
    }

    fn offset_for_leader_epoch(&mut self, version: i16, end: i64) {
        let request = OffsetForLeaderEpochRequest {
            topics: [OffsetForLeaderTopic {
                topic: TOPIC.into(),
                partitions: [OffsetForLeaderPartition::default()].into_iter().collect(),
            }]
            .into_iter()
            .collect(),
            ..Default::default()
        };
        let answer = self.connection.call(version, &request);
        let topic = answer.topics.iter().next().expect("the topic's answer");
        let partition = topic.partitions.iter().next().expect("the partition's");
        assert_eq!((partition.error_code, partition.end_offset), (0, end));
    }

    fn describe_cluster(&mut self, version: i16) {
        let request = DescribeClusterRequest {
            endpoint_type: if version == 0 { 1 } else { self.endpoint_type },
            ..Default::default()
        };
        let answer = self.connection.call(version, &request);
        // Version 0 asks for brokers, wherever it asks.
        let expected = match self.endpoint_type == request.endpoint_type {
            true => (0, 1),
            false => (ErrorCode::MISMATCHED_ENDPOINT_TYPE.0, 0),
        };
        assert_eq!((answer.error_code, answer.brokers.len()), expected);
    }

    fn describe_quorum(&mut self, version: i16) {
        let answer = self.connection.call(version, &quorum::describe_request());
        let topic = answer.topics.iter().next().expect("the log");
        let partition = topic.partitions.iter().next().expect("its partition");
        let voters = partition.current_voters.len();
        assert_eq!((partition.error_code, partition.leader_id, voters), (0, 1, 1));
    }
}

/// One batch as a producer sends it.
fn two_records() -> Vec<u8> {
    let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
    for value in [b"one", b"two"] {
        batch.add(Timestamp(1_703_462_400_000), None, Some(value), &[]);
    }
    batch.build().to_vec()
}

fn request_api_versions() -> ApiVersionsRequest<'static> {
    ApiVersionsRequest {
        client_software_name: "raw".into(),
        client_software_version: "1".into(),
    }
}

/// Creates nothing, where the version can say so.
fn metadata_request(name: &str, version: i16) -> MetadataRequest<'_> {
    MetadataRequest {
        topics: Some(
            [MetadataRequestTopic {
                name: Some(name.into()),
                ..Default::default()
            }]
            .into_iter()
            .collect(),
        ),
        allow_auto_topic_creation: version < 4,
        ..Default::default()
    }
}
