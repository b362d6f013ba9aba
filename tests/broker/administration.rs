//! What an administrator changes while the broker runs, asked with bare requests.

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use ringlog::wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use ringlog::wire::messages::describe_topic_partitions_request::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use ringlog::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ringlog::wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use ringlog::wire::{ErrorCode, Str};

use crate::harness::Broker;
use crate::raw::{Connection, create_topic, expect_appended, produce_request};

const TOPIC: &str = "administered";
const PRODUCE: i16 = 12;
/// Kafka's `ConfigResource.Type`.
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
/// Kafka's `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;

#[test]
fn partitions_that_were_added_take_records_on_every_core_and_survive_a_kill() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
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
    create_topic(&mut connection, TOPIC, 2);
    assert_eq!(grow(&mut connection, TOPIC, 1), ErrorCode::INVALID_PARTITIONS.0);
    assert_eq!(grow(&mut connection, TOPIC, 2), ErrorCode::INVALID_PARTITIONS.0);
    let absent = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    assert_eq!(grow(&mut connection, "absent", 2), absent);
    assert_eq!(partitions(&mut connection, TOPIC), 2);
}

#[test]
fn a_topics_settings_count_at_once_on_every_core_and_after_a_restart() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 16);
    alter(
        &mut connection,
        TOPIC_RESOURCE,
        TOPIC,
        &[("max.message.bytes", SET, Some("10"))],
    );
    for _ in 0..4 {
        let mut connection = Connection::open(&broker);
        let codes = produced(&mut connection, TOPIC, 16);
        assert!(
            codes.iter().all(|code| *code == ErrorCode::MESSAGE_TOO_LARGE.0),
            "{codes:?}"
        );
        assert_eq!(
            described(&mut connection, TOPIC_RESOURCE, TOPIC, "max.message.bytes"),
            ("10".into(), 1)
        );
    }
    broker.kill_and_start_again();
    let mut connection = Connection::open(&broker);
    let codes = produced(&mut connection, TOPIC, 16);
    assert!(
        codes.iter().all(|code| *code == ErrorCode::MESSAGE_TOO_LARGE.0),
        "{codes:?}"
    );
    alter(
        &mut connection,
        TOPIC_RESOURCE,
        TOPIC,
        &[("max.message.bytes", DELETE, None)],
    );
    assert_eq!(produced(&mut connection, TOPIC, 16), [0; 16]);
    let told = described(&mut connection, TOPIC_RESOURCE, TOPIC, "max.message.bytes");
    assert_eq!(told, ("1048588".into(), 5));
}

#[test]
fn what_brokers_are_set_to_counts_for_topics_that_set_nothing_and_survives_a_restart() {
    let mut broker = Broker::start_with(&["message.max.bytes=2000000"]);
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 16);
    let told =
        |connection: &mut Connection| described(connection, TOPIC_RESOURCE, TOPIC, "max.message.bytes");
    assert_eq!(told(&mut connection), ("2000000".into(), 4));
    alter(
        &mut connection,
        BROKER_RESOURCE,
        "",
        &[("message.max.bytes", SET, Some("3000000"))],
    );
    assert_eq!(told(&mut connection), ("3000000".into(), 3));
    alter(
        &mut connection,
        BROKER_RESOURCE,
        "1",
        &[("message.max.bytes", SET, Some("10"))],
    );
    for _ in 0..4 {
        let mut connection = Connection::open(&broker);
        assert_eq!(told(&mut connection), ("10".into(), 2));
        let codes = produced(&mut connection, TOPIC, 16);
        assert!(
            codes.iter().all(|code| *code == ErrorCode::MESSAGE_TOO_LARGE.0),
            "{codes:?}"
        );
    }
    assert!(broker.stop().success());
    broker.start_again();
    let mut connection = Connection::open(&broker);
    assert_eq!(told(&mut connection), ("10".into(), 2));
    assert_eq!(
        described(&mut connection, BROKER_RESOURCE, "1", "message.max.bytes"),
        ("10".into(), 2)
    );
    assert_eq!(
        described(&mut connection, BROKER_RESOURCE, "", "message.max.bytes"),
        ("3000000".into(), 3)
    );
    alter(
        &mut connection,
        BROKER_RESOURCE,
        "1",
        &[("message.max.bytes", DELETE, None)],
    );
    assert_eq!(told(&mut connection), ("3000000".into(), 3));
    assert_eq!(produced(&mut connection, TOPIC, 16), [0; 16]);
}

#[test]
fn append_time_and_durability_change_on_open_partitions() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    let append_time = |connection: &mut Connection| {
        let records = batch();
        let answer = connection.call(PRODUCE, &produce_request(TOPIC, &[0, 1], &records));
        let topic = answer.responses.iter().next().expect("the topic's answer");
        let times = topic
            .partition_responses
            .iter()
            .map(|partition| partition.log_append_time_ms);
        times.collect::<Vec<i64>>()
    };
    assert_eq!(append_time(&mut connection), [-1, -1]);
    let changes = [
        ("message.timestamp.type", SET, Some("LogAppendTime")),
        ("ringlog.ack", SET, Some("durable")),
    ];
    alter(&mut connection, TOPIC_RESOURCE, TOPIC, &changes);
    assert!(append_time(&mut connection).iter().all(|time| *time > 0));
}

/// What a page has of a topic: its name, its code, its partitions.
type Listed = (String, i16, Vec<i32>);
/// A topic and one of its partitions.
type At = Option<(&'static str, i32)>;
/// The topics asked for, the limit, where to begin; what is answered, and where the next page begins.
type Page = (&'static [&'static str], i32, At, Vec<Listed>, At);

#[test]
fn topics_are_described_page_by_page_in_the_order_of_their_names() {
    let broker = Broker::start_with(&["max.request.partition.size.limit=5"]);
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, "zz", 3);
    create_topic(&mut connection, "aa", 4);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    let invalid = ErrorCode::INVALID_TOPIC_EXCEPTION.0;
    let refused = ErrorCode::INVALID_REQUEST.0;
    let topic = |name: &str, partitions: std::ops::Range<i32>| (name.to_owned(), 0, partitions.collect());
    let absent = |name: &str, code: i16| (name.to_owned(), code, Vec::new());
    let table: Vec<Page> = vec![
        (
            &[],
            2000,
            None,
            vec![topic("aa", 0..4), topic("zz", 0..1)],
            Some(("zz", 1)),
        ),
        (&[], 2000, Some(("zz", 1)), vec![topic("zz", 1..3)], None),
        (&[], 2000, Some(("b", 7)), vec![topic("zz", 0..3)], None),
        (&[], 4, None, vec![topic("aa", 0..4)], Some(("zz", 0))),
        (&[], 0, None, vec![topic("aa", 0..1)], Some(("aa", 1))),
        (
            &["zz", "nope", "aa", "zz", "a/b"],
            2000,
            None,
            vec![
                absent("a/b", invalid),
                topic("aa", 0..4),
                absent("nope", unknown),
                topic("zz", 0..1),
            ],
            Some(("zz", 1)),
        ),
        (
            &["zz", "nope", "aa"],
            4,
            None,
            vec![topic("aa", 0..4)],
            Some(("nope", 0)),
        ),
        (
            &["zz", "nope", "aa"],
            2,
            Some(("nope", 0)),
            vec![absent("nope", unknown), topic("zz", 0..2)],
            Some(("zz", 2)),
        ),
        (&["zz", "aa"], 2, Some(("zz", 7)), vec![topic("zz", 0..0)], None),
        (
            &["zz", "aa"],
            2,
            Some(("zz", -1)),
            vec![absent("zz", refused), absent("aa", refused)],
            None,
        ),
        (
            &["zz", "aa"],
            2,
            Some(("m", 0)),
            vec![absent("zz", refused), absent("aa", refused)],
            None,
        ),
    ];
    for (names, limit, cursor, topics, next) in table {
        let (found, found_next) = described_page(&mut connection, names, limit, cursor);
        assert_eq!(found, topics, "{names:?} {limit} {cursor:?}");
        let next = next.map(|(name, partition)| (name.to_owned(), partition));
        assert_eq!(found_next, next, "{names:?} {limit} {cursor:?}");
    }
}

fn described_page(
    connection: &mut Connection,
    names: &[&str],
    limit: i32,
    cursor: Option<(&str, i32)>,
) -> (Vec<Listed>, Option<(String, i32)>) {
    let topic = |name: &&str| TopicRequest {
        name: name.to_string().into(),
    };
    let request = DescribeTopicPartitionsRequest {
        topics: names.iter().map(topic).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(name, partition_index)| Cursor {
            topic_name: name.into(),
            partition_index,
        }),
    };
    let answer = connection.call(0, &request);
    let listed = answer.topics.iter().map(|topic| {
        let name = topic.name.expect("a name").into_owned();
        let partitions = topic.partitions.iter().map(|partition| {
            assert_eq!((partition.error_code, partition.leader_id), (0, 1));
            partition.partition_index
        });
        (name, topic.error_code, partitions.collect())
    });
    let next = answer.next_cursor.as_ref();
    (
        listed.collect(),
        next.map(|next| (next.topic_name.to_string(), next.partition_index)),
    )
}

/// A file stands where the partition's directory should be: as good as a lack of descriptors, and easier to end.
#[test]
fn a_partition_that_could_not_be_opened_is_opened_when_it_is_asked_for_again() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let obstacle = broker.data().join(format!("{TOPIC}-1"));
    std::fs::write(&obstacle, "").unwrap();
    create_topic(&mut connection, TOPIC, 3);
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
    let codes = produced(connection, topic, partitions);
    let refused = (0..).zip(codes).filter(|(_, code)| *code != 0);
    refused
        .map(|(index, code)| {
            assert_eq!(code, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
            index
        })
        .collect()
}

/// Produces to each partition; the codes that it is answered with.
fn produced(connection: &mut Connection, topic: &str, partitions: i32) -> Vec<i16> {
    let all: Vec<i32> = (0..partitions).collect();
    let records = batch();
    let answer = connection.call(PRODUCE, &produce_request(topic, &all, &records));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let codes = topic
        .partition_responses
        .iter()
        .map(|partition| partition.error_code);
    codes.collect()
}

#[test]
fn a_change_that_fits_into_no_batch_is_refused_for_good() {
    const POLICY_VIOLATION: i16 = 44;
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let value: &str = "x".repeat(32_000).leak();
    let names: Vec<&'static str> = (0..300).map(|n| &*format!("unheard.of.{n}").leak()).collect();
    let changes: Vec<_> = names.iter().map(|name| (*name, 0, Some(value))).collect();
    assert_eq!(
        alter_code(&mut connection, BROKER_RESOURCE, "1", &changes),
        POLICY_VIOLATION
    );
    assert_eq!(
        alter_code(&mut connection, BROKER_RESOURCE, "1", &changes[..9]),
        0,
        "the log goes on"
    );
}

/// Changes single settings, which must succeed.
pub fn alter(
    connection: &mut Connection,
    kind: i8,
    name: &str,
    changes: &[(&'static str, i8, Option<&'static str>)],
) {
    let (code, message) = altered(connection, kind, name, changes);
    assert_eq!(code, 0, "{message:?}");
}

/// Changes single settings; the error.
pub fn alter_code(
    connection: &mut Connection,
    kind: i8,
    name: &str,
    changes: &[(&'static str, i8, Option<&'static str>)],
) -> i16 {
    altered(connection, kind, name, changes).0
}

/// Changes single settings; the error and what is said of it.
fn altered(
    connection: &mut Connection,
    kind: i8,
    name: &str,
    changes: &[(&'static str, i8, Option<&'static str>)],
) -> (i16, Option<Str<'static>>) {
    let change = |(name, operation, value): &(&'static str, i8, Option<&'static str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
    };
    let request = IncrementalAlterConfigsRequest {
        resources: [AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: changes.iter().map(change).collect(),
        }]
        .into_iter()
        .collect(),
        validate_only: false,
    };
    let answer = connection.call(1, &request);
    let response = answer.responses.iter().next().expect("its answer");
    (response.error_code, response.error_message)
}

/// A setting's value and source.
fn described(connection: &mut Connection, kind: i8, name: &str, setting: &str) -> (String, i8) {
    let request = DescribeConfigsRequest {
        resources: [DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: Some([Str::from(setting)].into_iter().collect()),
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(4, &request);
    let result = answer.results.iter().next().expect("its answer");
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    let config = result.configs.iter().next().expect("the setting");
    let value = config.value.expect("a value");
    (value.to_string(), config.config_source)
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
