//! CreatePartitions.

use super::*;
use crate::wire::messages::CreatePartitionsRequest;
use crate::wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};

type Outcome = (String, Result<(), (ErrorCode, Option<String>)>);

impl Cluster {
    fn grow(&mut self, topics: Vec<CreatePartitionsTopic<'static>>) -> Vec<Outcome> {
        let request = CreatePartitionsRequest {
            topics: topics.into(),
            timeout_ms: 1,
            validate_only: false,
        };
        self.grow_as(&request)
    }

    fn grow_as(&mut self, request: &CreatePartitionsRequest<'_>) -> Vec<Outcome> {
        let decision = create_partitions(&self.image, request);
        self.commit(&decision.records);
        let told = |error: GrowError| (error.code(), error.message());
        let outcome = |(name, answer): (String, Result<(), GrowError>)| (name, answer.map_err(told));
        decision.answers.into_iter().map(outcome).collect()
    }

    fn partitions_of(&self, name: &str) -> usize {
        self.image.topic_by_name(name).unwrap().partitions.len()
    }
}

fn to(name: &str, count: i32) -> CreatePartitionsTopic<'static> {
    CreatePartitionsTopic {
        name: name.to_owned().into(),
        count,
        assignments: None,
    }
}

fn by_hand(name: &str, count: i32, assignments: &[&[i32]]) -> CreatePartitionsTopic<'static> {
    let assignment = |brokers: &&[i32]| CreatePartitionsAssignment {
        broker_ids: brokers.to_vec().into(),
    };
    CreatePartitionsTopic {
        assignments: Some(assignments.iter().map(assignment).collect()),
        ..to(name, count)
    }
}

#[test]
fn new_partitions_follow_the_old_ones_with_as_many_replicas() {
    let mut cluster = Cluster::of_brokers(3);
    cluster.create(vec![topic("t", 2, 2)]);
    assert_eq!(cluster.grow(vec![to("t", 6)]), [("t".to_owned(), Ok(()))]);
    let topic = cluster.image.topic_by_name("t").unwrap();
    let indexes: Vec<i32> = topic.partitions.keys().map(|index| index.0).collect();
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5]);
    let mut leaders = std::collections::BTreeMap::new();
    for partition in topic.partitions.values() {
        assert_eq!((partition.replicas.len(), partition.isr.len()), (2, 2));
        *leaders.entry(partition.leader).or_insert(0) += 1;
    }
    assert!(leaders.values().all(|&count| count == 2), "{leaders:?}");
}

#[test]
fn replicas_are_where_the_request_puts_them() {
    let mut cluster = Cluster::of_brokers(3);
    cluster.create(vec![topic("t", 1, 2)]);
    cluster.grow(vec![by_hand("t", 3, &[&[3, 1], &[2, 3]])]);
    let partitions = &cluster.image.topic_by_name("t").unwrap().partitions;
    assert_eq!(partitions[&PartitionIndex(1)].replicas, [NodeId(3), NodeId(1)]);
    assert_eq!(partitions[&PartitionIndex(2)].leader, Some(NodeId(2)));
}

#[test]
fn refusals_carry_kafkas_codes_and_words() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![topic("t", 5, 1)]);
    let table = [
        (to("nope", 3), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None),
        (to("", 3), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None),
        (
            to("t", 5),
            ErrorCode::INVALID_PARTITIONS,
            Some("Topic already has 5 partition(s)."),
        ),
        (
            to("t", 1),
            ErrorCode::INVALID_PARTITIONS,
            Some("The topic t currently has 5 partition(s); 1 would not be an increase."),
        ),
        (
            to("t", -1),
            ErrorCode::INVALID_PARTITIONS,
            Some("The topic t currently has 5 partition(s); -1 would not be an increase."),
        ),
        (
            by_hand("t", 7, &[]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            Some("Attempted to add 2 additional partition(s), but only 0 assignment(s) were specified."),
        ),
        (
            by_hand("t", 7, &[&[1], &[7]]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            Some("The manual partition assignment includes broker 7, but no such broker is registered."),
        ),
        (
            by_hand("t", 7, &[&[1], &[]]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            Some("The manual partition assignment includes an empty replica list."),
        ),
        (
            by_hand("t", 7, &[&[1], &[1, 1]]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            Some("The manual partition assignment includes the broker 1 more than once."),
        ),
        (
            to("t", 20_000),
            ErrorCode::POLICY_VIOLATION,
            Some("Excessively large number of partitions per request."),
        ),
    ];
    for (asked, code, message) in table {
        let shown = format!("{asked:?}");
        let (_, outcome) = cluster.grow(vec![asked]).remove(0);
        assert_eq!(outcome, Err((code, message.map(str::to_owned))), "{shown}");
    }
    assert_eq!(cluster.partitions_of("t"), 5);
}

#[test]
fn a_topic_named_twice_is_refused_and_the_others_grow() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![topic("d", 1, 1), topic("n", 1, 1)]);
    let outcomes = cluster.grow(vec![to("d", 2), to("n", 3), to("d", 4)]);
    let twice = (
        ErrorCode::INVALID_REQUEST,
        Some("Duplicate topic name.".to_owned()),
    );
    assert_eq!(outcomes, [("d".to_owned(), Err(twice)), ("n".to_owned(), Ok(()))]);
    assert_eq!((cluster.partitions_of("d"), cluster.partitions_of("n")), (1, 3));
}

#[test]
fn validate_only_and_a_time_that_is_up_change_nothing() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![topic("t", 1, 1)]);
    let request = |timeout_ms, validate_only| CreatePartitionsRequest {
        topics: vec![to("t", 2)].into(),
        timeout_ms,
        validate_only,
    };
    assert_eq!(cluster.grow_as(&request(1, true)), [("t".to_owned(), Ok(()))]);
    for timeout_ms in [0, -1] {
        assert_eq!(
            cluster.grow_as(&request(timeout_ms, false)),
            [("t".to_owned(), Err((ErrorCode::REQUEST_TIMED_OUT, None)))]
        );
    }
    assert_eq!(cluster.partitions_of("t"), 1);
}

/// Kafka applies what fitted; here a request is one batch, so a topic that doesn't fit leaves the rest as it was asked.
#[test]
fn topics_together_get_no_more_than_one_batch_takes() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![topic("a", 1, 1), topic("b", 1, 1)]);
    let outcomes = cluster.grow(vec![to("a", 6001), to("b", 6001)]);
    assert!(outcomes[0].1.is_ok());
    assert_eq!(outcomes[1].1.as_ref().unwrap_err().0, ErrorCode::POLICY_VIOLATION);
    assert_eq!(
        (cluster.partitions_of("a"), cluster.partitions_of("b")),
        (6001, 1)
    );
}
