//! Offsets by time and by leader epoch, asked with bare requests.

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::wire::ErrorCode;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ringlog::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use crate::harness::Broker;
use crate::raw::{Connection, create_topic, expect_appended, produce_request};

const TOPIC: &str = "offsets";
const NOTHING: (i64, i64, i32) = (-1, -1, -1);

#[test]
fn an_epoch_ends_where_the_next_begins_and_one_to_come_is_not_known() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    assert_eq!(
        epoch_end(&mut connection, -1, 0),
        (0, 0, 0),
        "before the first record"
    );
    produce(&mut connection, &[1, 2]);
    broker.kill_and_start_again();
    let mut connection = Connection::open(&broker);
    assert_eq!(
        epoch_end(&mut connection, -1, 1),
        (0, 1, 2),
        "before its first record"
    );
    produce(&mut connection, &[3]);
    assert_eq!(epoch_end(&mut connection, -1, 0), (0, 0, 2));
    assert_eq!(epoch_end(&mut connection, -1, 1), (0, 1, 3));
    assert_eq!(epoch_end(&mut connection, -1, 2), (0, -1, -1));
    assert_eq!(epoch_end(&mut connection, -1, -1), (0, -1, -1));
    // As in Kafka one before all others ends where they begin.
    assert_eq!(epoch_end(&mut connection, -1, -2), (0, -2, 0));
    // A clean stop brings no new epoch.
    assert!(broker.stop().success());
    broker.start_again();
    let mut connection = Connection::open(&broker);
    assert_eq!(epoch_end(&mut connection, 1, 1), (0, 1, 3));
}

#[test]
fn who_knows_another_leader_epoch_is_fenced_everywhere() {
    let mut broker = Broker::start();
    create_topic(&mut Connection::open(&broker), TOPIC, 2);
    broker.kill_and_start_again();
    let mut connection = Connection::open(&broker);
    produce(&mut connection, &[1]);
    let (fenced, unknown) = (
        ErrorCode::FENCED_LEADER_EPOCH.0,
        ErrorCode::UNKNOWN_LEADER_EPOCH.0,
    );
    for (epoch, code) in [(0, fenced), (1, 0), (2, unknown), (-1, 0)] {
        assert_eq!(epoch_end(&mut connection, epoch, 1).0, code);
        assert_eq!(fetched(&mut connection, epoch, -1).0, code);
        let request = list(&[(0, epoch, -1)], 0);
        assert_eq!(listed(&mut connection, 11, &request)[0].1, code);
    }
}

#[test]
fn a_reader_whose_last_epoch_ended_earlier_is_told_where_its_log_left_ours() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    produce(&mut connection, &[1, 2]);
    broker.kill_and_start_again();
    let mut connection = Connection::open(&broker);
    produce(&mut connection, &[3]);
    // At offset 3 with a record of epoch 0 there: it has more of that epoch than we do.
    assert_eq!(fetched(&mut connection, -1, 0), (0, Some((0, 2))));
    assert_eq!(fetched(&mut connection, -1, 1), (0, None));
}

#[test]
fn a_partition_or_topic_that_is_not_there_has_no_epochs() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    let partition = |partition| OffsetForLeaderPartition {
        partition,
        ..Default::default()
    };
    let topic = |name: &'static str, partitions: &[i32]| OffsetForLeaderTopic {
        topic: name.into(),
        partitions: partitions.iter().copied().map(partition).collect(),
    };
    let request = OffsetForLeaderEpochRequest {
        topics: [topic(TOPIC, &[0, 9]), topic("absent", &[0])]
            .into_iter()
            .collect(),
        ..Default::default()
    };
    let answer = connection.call(4, &request);
    let codes = answer
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>());
    let codes: Vec<i16> = codes.map(|partition| partition.error_code).collect();
    let absent = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    assert_eq!(codes, [0, absent, absent]);
}

#[test]
fn every_special_time_finds_what_it_names() {
    let mut broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    let at = |connection: &mut Connection, time: i64| {
        let request = list(&[(0, -1, time)], 0);
        let (_, code, found) = listed(connection, 11, &request)[0];
        assert_eq!(code, 0, "{time}");
        found
    };
    for time in [-1, -2, -4] {
        assert_eq!(at(&mut connection, time), (-1, 0, 0), "{time} of an empty log");
    }
    for time in [-3, -5, -6, 0] {
        assert_eq!(at(&mut connection, time), NOTHING, "{time} of an empty log");
    }
    produce(&mut connection, &[10, 30, 20]);
    broker.kill_and_start_again();
    let mut connection = Connection::open(&broker);
    produce(&mut connection, &[30, 25]);
    let table = [
        (-1, (-1, 5, 1)),
        (-2, (-1, 0, 0)),
        (-3, (30, 1, 0)),
        (-4, (-1, 0, 0)),
        (-5, NOTHING),
        (-6, NOTHING),
        (0, (10, 0, 0)),
        (11, (30, 1, 0)),
        (30, (30, 1, 0)),
        (31, NOTHING),
        (i64::MAX, NOTHING),
    ];
    for (time, expected) in table {
        assert_eq!(at(&mut connection, time), expected, "{time}");
    }
    produce(&mut connection, &[31]);
    assert_eq!(at(&mut connection, -3), (31, 5, 1));
    assert_eq!(at(&mut connection, 31), (31, 5, 1));
}

#[test]
fn a_special_time_that_the_version_does_not_know_is_refused() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    let first_versions = [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11), (-7, 99)];
    for (time, first) in first_versions {
        for version in 1..=11 {
            let expected = match version < first {
                true => ErrorCode::UNSUPPORTED_VERSION.0,
                false => 0,
            };
            let found = listed(&mut connection, version, &list(&[(0, -1, time)], 0));
            assert_eq!(found[0].1, expected, "{time} in version {version}");
        }
    }
}

#[test]
fn what_is_asked_twice_or_with_an_unknown_isolation_level_is_refused() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    let codes = |connection: &mut Connection, request: &ListOffsetsRequest<'_>| {
        let listed = listed(connection, 11, request).into_iter();
        listed.map(|(index, code, _)| (index, code)).collect::<Vec<_>>()
    };
    let twice = list(&[(0, -1, -1), (1, -1, -1), (0, -1, -2)], 0);
    let invalid = ErrorCode::INVALID_REQUEST.0;
    assert_eq!(codes(&mut connection, &twice), [(0, invalid), (1, 0)]);
    let level = |level| list(&[(0, -1, -1)], level);
    assert_eq!(codes(&mut connection, &level(1)), [(0, 0)]);
    let unknown = ErrorCode::UNKNOWN_SERVER_ERROR.0;
    for isolation_level in [2, -1] {
        assert_eq!(codes(&mut connection, &level(isolation_level)), [(0, unknown)]);
    }
    assert_eq!(
        codes(&mut connection, &list(&[(9, -1, -1)], 0)),
        [(9, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0)]
    );
}

/// The order in which Kafka looks: isolation level, what is named twice, the time, the partition.
#[test]
fn of_several_errors_of_an_offset_asked_for_the_first_is_told() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 2);
    let mut expect = |asked: &[(i32, i32, i64)], level, code: ErrorCode| {
        let listed = listed(&mut connection, 11, &list(asked, level));
        let codes: Vec<_> = listed.into_iter().map(|(index, code, _)| (index, code)).collect();
        assert_eq!(codes, [(9, code.0)]);
    };
    let absent = (9, -1, -1);
    let bad_time = (9, -1, -7);
    expect(&[absent], 0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    expect(&[bad_time], 0, ErrorCode::UNSUPPORTED_VERSION);
    expect(&[bad_time, absent], 0, ErrorCode::INVALID_REQUEST);
    expect(&[bad_time, absent], 2, ErrorCode::UNKNOWN_SERVER_ERROR);
}

/// One batch for each timestamp.
fn produce(connection: &mut Connection, timestamps: &[i64]) {
    for timestamp in timestamps {
        let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
        batch.add(Timestamp(*timestamp), None, Some(b"value"), &[]);
        let records = batch.build().to_vec();
        expect_appended(&connection.call(12, &produce_request(TOPIC, &[0], &records)));
    }
}

/// Code, epoch and end offset.
fn epoch_end(connection: &mut Connection, current_leader_epoch: i32, leader_epoch: i32) -> (i16, i32, i64) {
    let request = OffsetForLeaderEpochRequest {
        topics: [OffsetForLeaderTopic {
            topic: TOPIC.into(),
            partitions: [OffsetForLeaderPartition {
                partition: 0,
                current_leader_epoch,
                leader_epoch,
            }]
            .into_iter()
            .collect(),
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(4, &request);
    let topic = answer.topics.iter().next().expect("the topic's answer");
    let partition = topic.partitions.iter().next().expect("the partition's");
    (partition.error_code, partition.leader_epoch, partition.end_offset)
}

/// Fetches at offset 3 of partition 0 (or at 0 without a last epoch): the code, and where our log was left.
fn fetched(
    connection: &mut Connection,
    current_leader_epoch: i32,
    last_fetched_epoch: i32,
) -> (i16, Option<(i32, i64)>) {
    let request = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: [FetchTopic {
            topic: TOPIC.into(),
            partitions: [FetchPartition {
                fetch_offset: if last_fetched_epoch < 0 { 0 } else { 3 },
                current_leader_epoch,
                last_fetched_epoch,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }]
            .into_iter()
            .collect(),
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    };
    let answer = connection.call(12, &request);
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let partition = topic.partitions.iter().next().expect("the partition's");
    let diverging = &partition.diverging_epoch;
    let left = (diverging.epoch >= 0).then_some((diverging.epoch, diverging.end_offset));
    (partition.error_code, left)
}

/// Partition, known leader epoch and time.
fn list(asked: &[(i32, i32, i64)], isolation_level: i8) -> ListOffsetsRequest<'static> {
    let partition =
        |&(partition_index, current_leader_epoch, timestamp): &(i32, i32, i64)| ListOffsetsPartition {
            partition_index,
            current_leader_epoch,
            timestamp,
        };
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: [ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: asked.iter().map(partition).collect(),
        }]
        .into_iter()
        .collect(),
        timeout_ms: 1_000,
    }
}

/// Of each partition: its index, the code, and timestamp, offset and epoch.
fn listed(
    connection: &mut Connection,
    version: i16,
    request: &ListOffsetsRequest<'_>,
) -> Vec<(i32, i16, (i64, i64, i32))> {
    let mut request = request.clone();
    if version < 2 {
        request.isolation_level = 0;
    }
    let answer = connection.call(version, &request);
    let topic = answer.topics.iter().next().expect("the topic's answer");
    let partitions = topic.partitions.iter().map(|partition| {
        let found = (partition.timestamp, partition.offset, partition.leader_epoch);
        (partition.partition_index, partition.error_code, found)
    });
    partitions.collect()
}
