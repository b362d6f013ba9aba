//! The quorum of one, from outside: Kafka's stock settings, the controller's listener, and directories that Kafka made.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use ringlog::wire::ErrorCode;
use ringlog::wire::messages::api_versions_request::ApiVersionsRequest;
use ringlog::wire::messages::describe_cluster_request::DescribeClusterRequest;
use ringlog::wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use ringlog::wire::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use ringlog::wire::messages::describe_quorum_response::DescribeQuorumResponse;
use ringlog::wire::messages::metadata_request::MetadataRequest;

use crate::client::{end_offset, number, partition, read_all, send, values};
use crate::fixtures::copy;
use crate::harness::{Broker, free_address};
use crate::raw::{Connection, create_topic};

const STOCK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/kafka-server.properties"
);
const KAFKAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-directory");
/// Of the directories in [`KAFKAS`].
const CLUSTER_ID: &str = "l3CAhd8WSF-FsLNLtsaS5Q";

/// Kafka's stock settings, but for the ports and the directory.
fn stock() -> (Broker, SocketAddr) {
    let controller = free_address();
    let mut broker = Broker::not_started(&[]);
    broker.take_config(Path::new(STOCK));
    broker.set(&[
        &format!(
            "listeners=PLAINTEXT://{},CONTROLLER://{controller}",
            broker.address
        ),
        &format!(
            "advertised.listeners=PLAINTEXT://{},CONTROLLER://{controller}",
            broker.address
        ),
        &format!("controller.quorum.bootstrap.servers={controller}"),
    ]);
    (broker, controller)
}

/// A running broker, and where its controller listens.
pub fn with_controller() -> (Broker, SocketAddr) {
    with_controller_and(&[])
}

/// The same with more settings.
pub fn with_controller_and(settings: &[&str]) -> (Broker, SocketAddr) {
    let (mut broker, controller) = stock();
    broker.set(settings);
    broker.start_again();
    (broker, controller)
}

pub fn describe_request() -> DescribeQuorumRequest<'static> {
    describe("__cluster_metadata", 0)
}

fn describe(topic: &'static str, partition_index: i32) -> DescribeQuorumRequest<'static> {
    let topic = TopicData {
        topic_name: topic.into(),
        partitions: vec![PartitionData { partition_index }].into(),
    };
    DescribeQuorumRequest {
        topics: vec![topic].into(),
    }
}

fn connect(address: SocketAddr) -> Connection {
    Connection::over(TcpStream::connect(address).unwrap())
}

fn standing(connection: &mut Connection) -> DescribeQuorumResponse<'static> {
    connection.call(2, &describe_request())
}

/// Leader epoch and high watermark.
fn epoch_and_end(answer: &DescribeQuorumResponse<'_>) -> (i32, i64) {
    let topic = answer.topics.iter().next().unwrap();
    let partition = topic.partitions.iter().next().unwrap();
    (partition.leader_epoch, partition.high_watermark)
}

fn all_topics() -> MetadataRequest<'static> {
    MetadataRequest {
        topics: None,
        ..Default::default()
    }
}

#[test]
fn kafkas_stock_settings_start_and_both_listeners_tell_of_the_quorum() {
    let (broker, controller) = with_controller();
    let mut told = Vec::new();
    for address in [broker.address, controller] {
        let answer = standing(&mut connect(address));
        let node = answer.nodes.iter().next().unwrap();
        let listener = node.listeners.iter().next().unwrap();
        assert_eq!(
            (node.node_id, &*listener.name, listener.port),
            (1, "CONTROLLER", controller.port())
        );
        told.push(epoch_and_end(&answer));
    }
    assert_eq!(told[0], told[1]);
    let stray = connect(controller).call(2, &describe("ticks", 0));
    let topic = stray.topics.iter().next().unwrap();
    let code = topic.partitions.iter().next().unwrap().error_code;
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
}

#[test]
fn what_the_controller_creates_the_broker_serves_and_records_stay_with_the_broker() {
    let (broker, controller) = with_controller();
    create_topic(&mut connect(controller), "by-the-controller", 1);
    let metadata = connect(broker.address).call(12, &all_topics());
    let names: Vec<_> = metadata
        .topics
        .iter()
        .map(|topic| topic.name.unwrap().to_string())
        .collect();
    assert_eq!(names, ["by-the-controller"]);
    let mut connection = connect(controller);
    connection.send(12, &all_topics());
    connection.expect_closed();
}

#[test]
fn each_listener_describes_its_own_kind_of_endpoints() {
    let (broker, controller) = with_controller();
    for (asked_at, own, other) in [(broker.address, 1, 2), (controller, 2, 1)] {
        let mut connection = connect(asked_at);
        for (endpoint_type, expected) in [
            (own, ErrorCode::NONE),
            (other, ErrorCode::MISMATCHED_ENDPOINT_TYPE),
            (3, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE),
        ] {
            let request = DescribeClusterRequest {
                endpoint_type,
                ..Default::default()
            };
            let answer = connection.call(2, &request);
            assert_eq!(answer.error_code, expected.0);
            let ports: Vec<_> = answer.brokers.iter().map(|broker| broker.port).collect();
            let named = if endpoint_type == own {
                vec![i32::from(asked_at.port())]
            } else {
                vec![]
            };
            assert_eq!(ports, named);
        }
    }
}

#[test]
fn each_start_is_a_new_epoch_and_kafkas_file_says_so() {
    let mut broker = Broker::start();
    for epoch in 1..4 {
        let answer = standing(&mut connect(broker.address));
        assert_eq!(epoch_and_end(&answer).0, epoch);
        let file = fs::read_to_string(broker.data().join("__cluster_metadata-0/quorum-state")).unwrap();
        assert!(file.contains(&format!("\"leaderEpoch\":{epoch},")), "{file}");
        if epoch == 1 {
            broker.kill_and_start_again();
        } else {
            assert!(broker.stop().success());
            broker.start_again();
        }
    }
}

#[test]
fn topics_survive_snapshots_and_kills() {
    let mut broker = Broker::start_with(&[
        "metadata.log.max.record.bytes.between.snapshots=1",
        "metadata.max.retention.bytes=0",
    ]);
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    for (n, name) in NAMES.into_iter().enumerate() {
        create_topic(&mut connect(broker.address), name, 1);
        if n % 2 == 1 {
            broker.kill_and_start_again();
        }
        let metadata = connect(broker.address).call(12, &all_topics());
        let names: Vec<_> = metadata
            .topics
            .iter()
            .map(|topic| topic.name.unwrap().to_string())
            .collect();
        assert_eq!(names, NAMES[..=n]);
    }
    let dir = broker.data().join("__cluster_metadata-0");
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let snapshots: Vec<_> = files.filter(|name| name.ends_with(".checkpoint")).collect();
    assert!(
        !snapshots.is_empty()
            && snapshots
                .iter()
                .all(|name| !name.starts_with("00000000000000000000-")),
        "{snapshots:?}"
    );
}

/// A broker over a copy of a directory that Kafka made, not started yet.
pub fn over(directory: &Path) -> Broker {
    let (broker, _) = stock();
    copy(directory, &broker.data());
    broker
}

fn kafkas(directory: &str) -> std::path::PathBuf {
    Path::new(KAFKAS).join(directory)
}

fn features(broker: &Broker) -> Vec<(String, i16)> {
    let request = ApiVersionsRequest {
        client_software_name: "t".into(),
        client_software_version: "1".into(),
    };
    let answer = connect(broker.address).call(4, &request);
    let told = answer.finalized_features.iter();
    told.map(|feature| (feature.name.to_string(), feature.max_version_level))
        .collect()
}

fn cluster_id(broker: &Broker) -> String {
    let answer = connect(broker.address).call(
        2,
        &DescribeClusterRequest {
            endpoint_type: 1,
            ..Default::default()
        },
    );
    answer.cluster_id.to_string()
}

#[test]
fn a_directory_that_kafka_formatted_is_taken_over() {
    let mut broker = over(&kafkas("formatted"));
    let before = fs::read(broker.data().join("meta.properties")).unwrap();
    for epoch in [1, 2] {
        broker.start_again();
        assert_eq!(cluster_id(&broker), CLUSTER_ID);
        let answer = standing(&mut connect(broker.address));
        assert_eq!(epoch_and_end(&answer).0, epoch);
        let topic = answer.topics.iter().next().unwrap();
        let partition = topic.partitions.iter().next().unwrap();
        let directory = partition
            .current_voters
            .iter()
            .next()
            .unwrap()
            .replica_directory_id;
        assert!(String::from_utf8_lossy(&before).contains(&format!("directory.id={directory}")));
        // Kafka's levels of the others stay in the log: ours are 0.
        let expected = [
            ("kraft.version".to_owned(), 1),
            ("metadata.version".to_owned(), 30),
        ];
        assert_eq!(features(&broker), expected);
        assert!(broker.stop().success());
    }
    assert_eq!(fs::read(broker.data().join("meta.properties")).unwrap(), before);
    let log = fs::read(
        broker
            .data()
            .join("__cluster_metadata-0/00000000000000000000.log"),
    )
    .unwrap();
    let holds = |name: &str| log.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(holds("group.version") && holds("eligible.leader.replicas.version"));
}

#[test]
fn another_node_is_refused_by_name() {
    let mut broker = over(&kafkas("formatted"));
    broker.set(&["node.id=2"]);
    let output = broker.command().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("belongs to node.id 1, and node.id is 2"), "{told}");

    let broker = over(&kafkas("formatted"));
    let properties = broker.data().join("meta.properties");
    let text = fs::read_to_string(&properties).unwrap();
    let other = text.replace("directory.id=gtM_1XMuRr", "directory.id=gtM_1XMuRs");
    assert_ne!(text, other);
    fs::write(&properties, other).unwrap();
    let output = broker.command().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("another directory.id as this node's voter"),
        "{told}"
    );
}

#[tokio::test]
async fn a_directory_that_kafka_ran_in_goes_on_with_its_topics_and_settings() {
    let mut broker = over(&kafkas("ran"));
    for round in 0..3 {
        broker.start_again();
        assert_eq!(cluster_id(&broker), CLUSTER_ID);
        let mut records = values(&read_all(&broker, "orders", 1).await);
        assert_eq!(records.len(), 5 + round);
        records.truncate(5);
        assert_eq!(
            records,
            ["1", "2", "3", "4", "5"].map(|value| value.as_bytes().to_vec())
        );
        assert_eq!(end_offset(&broker, "orders", 0).await, Some(0));
        let offsets = send(&partition(&broker, "orders", 1).await, [number(round)]).await;
        assert_eq!(offsets, [5 + round as i64]);
        assert_eq!(config_of(&broker, "orders", "retention.ms"), "86400000");
        if round == 0 {
            broker.kill();
        } else {
            assert!(broker.stop().success());
        }
    }
}

fn config_of(broker: &Broker, topic: &'static str, key: &'static str) -> String {
    const TOPIC: i8 = 2;
    let resource = DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.into(),
        configuration_keys: Some(vec![key.into()].into()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource].into(),
        ..Default::default()
    };
    let answer = connect(broker.address).call(4, &request);
    let result = answer.results.iter().next().unwrap();
    let config = result.configs.iter().next().expect("the setting");
    config.value.unwrap_or_default().into_owned()
}
