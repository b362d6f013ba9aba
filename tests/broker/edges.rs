//! Requests that are unusual but not malformed: what Kafka makes of them is what clients have come to expect.

use ringlog::base::{LeaderEpoch, Offset, Timestamp, TopicId};
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ringlog::wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use ringlog::wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use ringlog::wire::messages::find_coordinator_request::FindCoordinatorRequest;
use ringlog::wire::messages::init_producer_id_request::InitProducerIdRequest;
use ringlog::wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use ringlog::wire::{ErrorCode, Request};

use crate::harness::Broker;
use crate::raw::{Connection, list_offsets_request, produce_request};

const TOPIC: &str = "edges";
const INVALID_REQUEST: i16 = ErrorCode::INVALID_REQUEST.0;
const UNKNOWN_TOPIC: i16 = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
const TIMED_OUT: i16 = ErrorCode::REQUEST_TIMED_OUT.0;

#[test]
fn of_two_batches_for_one_partition_in_a_request_the_last_is_appended_and_answered() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection, &[TOPIC], 1_000);
    let (one, two) = (batch(1), batch(2));
    let mut request = produce_request(TOPIC, &[0, 1], &one);
    let last = produce_request(TOPIC, &[0], &two);
    let (first, again) = (&request.topic_data, &last.topic_data);
    request.topic_data = first.iter().chain(again.iter()).collect();
    let answer = connection.call(12, &request);
    let answered: Vec<(i32, i16)> = answer
        .responses
        .iter()
        .flat_map(|topic| topic.partition_responses.iter().collect::<Vec<_>>())
        .map(|partition| (partition.index, partition.error_code))
        .collect();
    assert_eq!(answered, [(1, 0), (0, 0)]);
    let end = connection.call(11, &list_offsets_request(TOPIC, -1));
    let end = end.topics.iter().next().expect("the topic").partitions;
    assert_eq!(
        end.iter().next().expect("partition 0").offset,
        2,
        "the last one's records"
    );
    // The one that isn't appended is no reason to close the connection of who wants no answer.
    request.acks = 0;
    connection.send(12, &request);
    connection.call(11, &list_offsets_request(TOPIC, -1));
}

#[test]
fn the_brokers_own_topics_are_not_made_by_asking_nor_written_by_clients() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let names = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
    let asked = MetadataRequest {
        topics: Some(names.iter().map(|name| named(name)).collect()),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    let codes = |answer: &<MetadataRequest<'static> as Request>::Response<'static>| -> Vec<i16> {
        answer.topics.iter().map(|topic| topic.error_code).collect()
    };
    assert_eq!(codes(&connection.call(12, &asked)), [UNKNOWN_TOPIC; 3]);
    // Who administrates may make them, as in Kafka.
    assert_eq!(create(&mut connection, &names, 1_000), [0; 3]);
    for name in names {
        let answer = connection.call(12, &produce_request(name, &[0], &batch(1)));
        let topic = answer.responses.iter().next().expect("the topic");
        let partition = topic.partition_responses.iter().next().expect("the partition");
        assert_eq!(
            partition.error_code,
            ErrorCode::INVALID_TOPIC_EXCEPTION.0,
            "{name}"
        );
    }
}

fn named(name: &'static str) -> MetadataRequestTopic<'static> {
    MetadataRequestTopic {
        name: Some(name.into()),
        ..Default::default()
    }
}

#[test]
fn a_time_that_is_up_before_it_began_is_answered_for_each_topic() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    for timeout_ms in [0, -1] {
        let codes = create(&mut connection, &["a", "a/b", "d", "d"], timeout_ms);
        assert_eq!(codes, [TIMED_OUT, TIMED_OUT, INVALID_REQUEST]);
    }
    assert_eq!(create(&mut connection, &["a"], 1_000), [0]);
    let by_name = |name: &'static str| DeleteTopicState {
        name: Some(name.into()),
        ..Default::default()
    };
    assert_eq!(
        delete(&mut connection, &[by_name("a"), by_name("a")], 0),
        [TIMED_OUT; 2]
    );
    assert_eq!(delete(&mut connection, &[by_name("a")], 1_000), [0]);
}

#[test]
fn topics_are_deleted_by_name_or_by_id_but_not_by_both_or_neither() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection, &["a", "b"], 1_000);
    let id = metadata(&mut connection, 12, &[(Some("a"), TopicId::ZERO)])[0].2;
    let state = |name: Option<&'static str>, topic_id| DeleteTopicState {
        name: name.map(Into::into),
        topic_id,
    };
    let targets = [
        state(None, id),
        state(Some("b"), id),
        state(None, TopicId::ZERO),
        state(Some("absent"), TopicId::ZERO),
        state(None, TopicId([9; 16])),
    ];
    let unknown_id = ErrorCode::UNKNOWN_TOPIC_ID.0;
    assert_eq!(
        delete(&mut connection, &targets, 1_000),
        [0, INVALID_REQUEST, INVALID_REQUEST, UNKNOWN_TOPIC, unknown_id]
    );
}

#[test]
fn metadata_names_topics_as_they_were_asked_for() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection, &[TOPIC], 1_000);
    let id = metadata(&mut connection, 13, &[(Some(TOPIC), TopicId::ZERO)])[0].2;
    let unknown_id = ErrorCode::UNKNOWN_TOPIC_ID.0;
    let invalid_name = ErrorCode::INVALID_TOPIC_EXCEPTION.0;
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(metadata(&mut connection, 13, &[]), []);
    assert_eq!(
        metadata(
            &mut connection,
            13,
            &[
                (Some("absent"), TopicId::ZERO),
                (Some("a/b"), TopicId::ZERO),
                (Some(""), TopicId::ZERO)
            ]
        ),
        [
            (UNKNOWN_TOPIC, name("absent"), TopicId::ZERO),
            (invalid_name, name("a/b"), TopicId::ZERO),
            (invalid_name, name(""), TopicId::ZERO),
        ]
    );
    // Where one is asked for by its id, names count for nothing.
    let absent = TopicId([3; 16]);
    assert_eq!(
        metadata(
            &mut connection,
            13,
            &[(Some("x"), id), (None, absent), (Some(TOPIC), TopicId::ZERO)]
        ),
        [(0, name(TOPIC), id), (unknown_id, None, absent)]
    );
    // The versions that had the field before it meant anything.
    for version in [10, 11] {
        assert_eq!(
            metadata(
                &mut connection,
                version,
                &[(None, absent), (Some(TOPIC), TopicId::ZERO)]
            ),
            [
                (INVALID_REQUEST, name(""), absent),
                (INVALID_REQUEST, name(TOPIC), TopicId::ZERO)
            ]
        );
    }
}

#[test]
fn an_empty_list_of_topics_means_all_only_in_the_oldest_version() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut connection, &[TOPIC], 1_000);
    let count = |connection: &mut Connection, version, topics: Option<Vec<MetadataRequestTopic<'static>>>| {
        let request = MetadataRequest {
            topics: topics.map(Into::into),
            ..Default::default()
        };
        connection.call(version, &request).topics.len()
    };
    assert_eq!(count(&mut connection, 0, Some(Vec::new())), 1);
    assert_eq!(count(&mut connection, 1, Some(Vec::new())), 0);
    for version in 1..=13 {
        assert_eq!(count(&mut connection, version, None), 1);
    }
}

#[test]
fn producer_ids_coordinators_and_settings_that_make_no_sense_are_refused() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let half = InitProducerIdRequest {
        producer_id: 5,
        producer_epoch: -1,
        ..Default::default()
    };
    assert_eq!(connection.call(5, &half).error_code, INVALID_REQUEST);
    let endless = InitProducerIdRequest {
        transactional_id: Some("t".into()),
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let answer = connection.call(5, &endless);
    assert_eq!(answer.error_code, ErrorCode::INVALID_TRANSACTION_TIMEOUT.0);
    let coordinator = FindCoordinatorRequest {
        key_type: 9,
        coordinator_keys: ["g".into()].into_iter().collect(),
        ..Default::default()
    };
    let answer = connection.call(6, &coordinator);
    let coordinator = answer.coordinators.iter().next().expect("its answer");
    assert_eq!(coordinator.error_code, INVALID_REQUEST);
    let resource = |resource_type, name: &'static str| DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest {
        resources: [
            resource(99, "x"),
            resource(4, "7"),
            resource(4, "x"),
            resource(4, ""),
        ]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(4, &request);
    let codes: Vec<i16> = answer.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [INVALID_REQUEST, INVALID_REQUEST, INVALID_REQUEST, 0]);
}

/// The code of each name.
fn create(connection: &mut Connection, names: &[&str], timeout_ms: i32) -> Vec<i16> {
    let topic = |name: &&str| CreatableTopic {
        name: name.to_string().into(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: names.iter().map(topic).collect(),
        timeout_ms,
        ..Default::default()
    };
    let answer = connection.call(7, &request);
    answer.topics.iter().map(|topic| topic.error_code).collect()
}

/// The code of each target.
fn delete(connection: &mut Connection, targets: &[DeleteTopicState<'static>], timeout_ms: i32) -> Vec<i16> {
    let request = DeleteTopicsRequest {
        topics: targets.iter().cloned().collect(),
        timeout_ms,
        ..Default::default()
    };
    let answer = connection.call(6, &request);
    answer.responses.iter().map(|target| target.error_code).collect()
}

/// Code, name and id of each topic; none is created.
fn metadata(
    connection: &mut Connection,
    version: i16,
    topics: &[(Option<&'static str>, TopicId)],
) -> Vec<(i16, Option<String>, TopicId)> {
    let topic = |&(name, topic_id): &(Option<&'static str>, TopicId)| MetadataRequestTopic {
        topic_id,
        name: name.map(Into::into),
    };
    let request = MetadataRequest {
        topics: Some(topics.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let answer = connection.call(version, &request);
    let told = answer.topics.iter().map(|topic| {
        let name = topic.name.map(|name| name.into_owned());
        (topic.error_code, name, topic.topic_id)
    });
    told.collect()
}

/// So many records as a producer sends them.
fn batch(records: usize) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
    for _ in 0..records {
        batch.add(Timestamp(1_703_462_400_000), None, Some(b"value"), &[]);
    }
    batch.build().to_vec()
}
