//! The decisions against tables taken from Kafka 4.3.1's answers.

mod configs;
mod directories;
mod partitions;

use super::*;
use crate::base::{LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, Timestamp, TopicId};
use crate::config::Config;
use crate::metadata::batch::record_batch;
use crate::metadata::image::{Endpoint, Image};
use crate::wire::ErrorCode;
use crate::wire::batch::BatchView;
use crate::wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use crate::wire::messages::{CreateTopicsRequest, PartitionChangeRecord};

/// An image with a controller's part of a cluster around it.
struct Cluster {
    image: Image,
    config: Config,
    ids: u8,
}

impl Cluster {
    fn of_brokers(count: i32) -> Cluster {
        let config = Config::parse(Some("num.partitions=3"), &[]).unwrap().0;
        let mut cluster = Cluster {
            image: Image::empty(),
            config,
            ids: 0,
        };
        cluster.commit(&initial_records(&cluster.image));
        for node in 1..=count {
            let registration = registration(node);
            cluster.commit(&register_broker(&registration, cluster.image.next_offset()));
        }
        cluster
    }

    fn commit(&mut self, records: &Records) {
        if records.is_empty() {
            return;
        }
        let batch = record_batch(records, self.image.next_offset(), LeaderEpoch(1), Timestamp(1)).unwrap();
        self.image
            .apply_batch(&BatchView::first(&batch).unwrap())
            .unwrap();
    }

    fn create(&mut self, topics: Vec<CreatableTopic<'static>>) -> CreateDecision {
        let request = CreateTopicsRequest {
            topics: topics.into(),
            ..CreateTopicsRequest::default()
        };
        let ids = &mut self.ids;
        let decision = create_topics(&self.image, &request, &self.config, || {
            *ids += 1;
            TopicId([*ids; 16])
        });
        self.commit(&decision.records);
        decision
    }

    /// The code and message for one topic.
    fn refusal(&mut self, topic: CreatableTopic<'static>) -> (ErrorCode, String) {
        let decision = self.create(vec![topic]);
        assert!(decision.records.is_empty());
        let error = decision.answers[0].1.as_ref().unwrap_err();
        (error.code(), error.to_string())
    }

    fn delete(&mut self, targets: &[DeleteTarget]) -> Vec<Result<DeletedTopic, DeleteError>> {
        let decision = delete_topics(&self.image, targets, true);
        self.commit(&decision.records);
        decision.answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

fn registration(node: i32) -> Registration {
    Registration {
        node: NodeId(node),
        incarnation: TopicId([9; 16]),
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        rack: None,
        log_dirs: vec![TopicId([7; 16])],
        cordoned_log_dirs: Vec::new(),
    }
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic<'static> {
    CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: partitions,
        replication_factor,
        ..CreatableTopic::default()
    }
}

fn with_configs(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic<'static> {
    let owned = |text: &str| text.to_owned().into();
    let config = |&(name, value): &(&str, Option<&str>)| CreatableTopicConfig {
        name: owned(name),
        value: value.map(owned),
    };
    CreatableTopic {
        configs: configs.iter().map(config).collect(),
        ..topic(name, 1, 1)
    }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic<'static> {
    let assignment = |&(partition_index, brokers): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index,
        broker_ids: brokers.to_vec().into(),
    };
    CreatableTopic {
        assignments: assignments.iter().map(assignment).collect(),
        ..topic(name, -1, -1)
    }
}

fn by_name(name: &str) -> DeleteTarget {
    DeleteTarget {
        name: Some(name.to_owned()),
        id: TopicId::ZERO,
    }
}

fn by_id(id: TopicId) -> DeleteTarget {
    DeleteTarget { name: None, id }
}

#[test]
fn a_created_topic_is_in_the_image_with_its_partitions_and_settings() {
    let mut cluster = Cluster::of_brokers(1);
    let mut wanted = with_configs(
        "t",
        &[("retention.ms", Some(" 1000 ")), ("preallocate", Some("TRUE"))],
    );
    wanted.num_partitions = 2;
    let decision = cluster.create(vec![wanted]);
    let created = decision.answers[0].1.as_ref().unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 1));
    let topic = cluster.image.topic_by_name("t").unwrap();
    assert_eq!(topic.id, created.id);
    assert_eq!(topic.partitions.len(), 2);
    let partition = &topic.partitions[&PartitionIndex(1)];
    assert_eq!(partition.leader, Some(NodeId(1)));
    assert_eq!(
        (partition.leader_epoch, partition.partition_epoch),
        (LeaderEpoch(0), 0)
    );
    assert_eq!(partition.directories, [TopicId([7; 16])]);
    let configs = cluster.image.topic_configs("t");
    assert_eq!(configs["retention.ms"], "1000");
    assert_eq!(configs["preallocate"], "true");
}

#[test]
fn minus_one_takes_the_brokers_defaults() {
    let mut cluster = Cluster::of_brokers(1);
    let decision = cluster.create(vec![topic("t", -1, -1)]);
    assert_eq!(decision.answers[0].1.as_ref().unwrap().partitions, 3);
}

#[test]
fn validate_only_answers_and_changes_nothing() {
    let cluster = Cluster::of_brokers(1);
    let request = CreateTopicsRequest {
        topics: vec![topic("t", 2, 1)].into(),
        validate_only: true,
        ..CreateTopicsRequest::default()
    };
    let decision = create_topics(&cluster.image, &request, &cluster.config, || TopicId([1; 16]));
    assert!(decision.answers[0].1.is_ok());
    assert!(decision.records.is_empty());
}

#[test]
fn a_request_whose_time_was_up_creates_nothing_and_says_only_so() {
    let cluster = Cluster::of_brokers(1);
    let request = CreateTopicsRequest {
        topics: ["t", "d", "d"].map(|name| topic(name, 2, 1)).to_vec().into(),
        timeout_ms: 0,
        ..CreateTopicsRequest::default()
    };
    let decision = create_topics(&cluster.image, &request, &cluster.config, || TopicId([1; 16]));
    let told: Vec<_> = decision
        .answers
        .iter()
        .map(|(name, answer)| (name.as_str(), answer.as_ref().unwrap_err().message()))
        .collect();
    assert_eq!(
        told,
        [("t", None), ("d", Some("Duplicate topic name.".to_owned()))]
    );
    assert!(decision.records.is_empty());
}

#[test]
fn refusals_carry_kafkas_codes_and_words() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![topic("ok", 1, 1), topic("e.f.g", 1, 1)]);
    let table = [
        (
            topic("ok", 1, 1),
            ErrorCode::TOPIC_ALREADY_EXISTS,
            "Topic 'ok' already exists.",
        ),
        (
            topic("a", 1, 2),
            ErrorCode::INVALID_REPLICATION_FACTOR,
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached \
             because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (
            topic("a", 1, 0),
            ErrorCode::INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic("a", 0, 0),
            ErrorCode::INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic("a", -2, 1),
            ErrorCode::INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            topic("a", 10_001, 1),
            ErrorCode::POLICY_VIOLATION,
            "Excessively large number of partitions per request.",
        ),
        (
            topic("a", 10_000, 1),
            ErrorCode::POLICY_VIOLATION,
            "Unable to perform excessively large batch operation.",
        ),
        (
            topic("a b", 1, 1),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'",
        ),
        (
            topic("e_f.g", 1, 1),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "Topic 'e_f.g' collides with existing topic: e.f.g",
        ),
        (
            topic("__cluster_metadata", 1, 1),
            ErrorCode::INVALID_REQUEST,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            with_configs("a", &[("nope", Some("1"))]),
            ErrorCode::INVALID_CONFIG,
            "Unknown topic config name: nope",
        ),
        (
            with_configs(
                "a",
                &[("retention.ms", None), ("nope", Some("x")), ("segment.ms", None)],
            ),
            ErrorCode::INVALID_CONFIG,
            "Null value not supported for topic configs: retention.ms,segment.ms",
        ),
        (
            with_configs("a", &[("retention.ms", Some("abc"))]),
            ErrorCode::INVALID_CONFIG,
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            with_configs(
                "a",
                &[
                    ("max.compaction.lag.ms", Some("5")),
                    ("min.compaction.lag.ms", Some("10")),
                ],
            ),
            ErrorCode::INVALID_CONFIG,
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            CreatableTopic {
                replication_factor: 1,
                ..assigned("a", &[(0, &[1])])
            },
            ErrorCode::INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (
            CreatableTopic {
                num_partitions: 1,
                ..assigned("a", &[(0, &[1])])
            },
            ErrorCode::INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            assigned("a", &[(0, &[1]), (2, &[1])]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("a", &[(-1, &[1])]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("a", &[(0, &[7])]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            assigned("a", &[(0, &[1, 1])]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            assigned("a", &[(0, &[1]), (1, &[])]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            assigned("a", &[(0, &[1]), (0, &[1])]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "Found multiple manual partition assignments for partition 0",
        ),
    ];
    for (asked, code, message) in table {
        let shown = format!("{asked:?}");
        assert_eq!(cluster.refusal(asked), (code, message.to_owned()), "{shown}");
    }
}

#[test]
fn a_name_asked_for_twice_is_refused_and_the_others_are_created() {
    let mut cluster = Cluster::of_brokers(1);
    let decision = cluster.create(vec![topic("d", 1, 1), topic("d", 2, 1), topic("n", 1, 1)]);
    let outcomes: Vec<_> = decision
        .answers
        .iter()
        .map(|(name, a)| (name.as_str(), a.is_ok()))
        .collect();
    assert_eq!(outcomes, [("d", false), ("n", true)]);
    assert_eq!(decision.answers[0].1, Err(CreateError::DuplicateName));
}

#[test]
fn too_many_partitions_refuse_every_topic_of_the_request() {
    let mut cluster = Cluster::of_brokers(1);
    let decision = cluster.create(vec![topic("a", 6000, 1), topic("b", 6000, 1)]);
    assert!(
        decision
            .answers
            .iter()
            .all(|(_, a)| *a == Err(CreateError::TooManyPartitions))
    );
}

/// Whatever each asks for, it has to be looked at, in one step of a core that serves.
#[test]
fn a_topic_without_partitions_counts_as_one() {
    let mut cluster = Cluster::of_brokers(1);
    let topics = (0..10_001).map(|n| topic(&format!("t{n}"), 0, 1));
    let decision = cluster.create(topics.collect());
    assert_eq!(decision.answers.len(), 10_001);
    assert_eq!(decision.answers[0].1, Err(CreateError::TooManyPartitions));
}

#[test]
fn replicas_are_spread_over_brokers_and_never_doubled() {
    let mut cluster = Cluster::of_brokers(3);
    cluster.create(vec![topic("t", 6, 2)]);
    let topic = cluster.image.topic_by_name("t").unwrap();
    let mut leaders = std::collections::BTreeMap::new();
    for partition in topic.partitions.values() {
        assert_eq!(partition.replicas.len(), 2);
        assert_ne!(partition.replicas[0], partition.replicas[1]);
        assert_eq!(partition.leader, Some(partition.replicas[0]));
        *leaders.entry(partition.replicas[0]).or_insert(0) += 1;
    }
    assert!(leaders.values().all(|&count| count == 2), "{leaders:?}");
}

#[test]
fn deletes_by_name_and_by_id_with_kafkas_answers() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(["a", "b", "c", "d"].map(|name| topic(name, 1, 1)).to_vec());
    let id = |cluster: &Cluster, name: &str| cluster.image.topic_by_name(name).unwrap().id;
    let (a, b, c) = (id(&cluster, "a"), id(&cluster, "b"), id(&cluster, "c"));

    assert_eq!(
        cluster.delete(&[by_name("a"), by_id(b), by_name("nope"), by_id(TopicId([99; 16]))]),
        [
            Ok(DeletedTopic {
                name: "a".to_owned(),
                id: a
            }),
            Ok(DeletedTopic {
                name: "b".to_owned(),
                id: b
            }),
            Err(DeleteError::UnknownName),
            Err(DeleteError::UnknownId),
        ]
    );
    assert!(cluster.image.topic(a).is_none() && cluster.image.topic_by_name("b").is_none());
    assert_eq!(
        cluster.delete(&[
            DeleteTarget {
                name: Some("c".to_owned()),
                id: c
            },
            by_id(TopicId::ZERO)
        ]),
        [Err(DeleteError::NameAndId), Err(DeleteError::NeitherNameNorId)]
    );
    assert_eq!(
        cluster.delete(&[by_name("c"), by_name("c")]),
        [Err(DeleteError::DuplicateName)]
    );
    assert_eq!(
        cluster.delete(&[by_id(c), by_id(c)]),
        [Err(DeleteError::DuplicateId)]
    );
    let refused_and_done = cluster.delete(&[by_id(c), by_name("c")]);
    assert!(refused_and_done[0].is_ok());
    assert_eq!(refused_and_done[1], Err(DeleteError::NameOfSuppliedId));
}

#[test]
fn nothing_is_deleted_where_deleting_is_off() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![topic("a", 1, 1)]);
    let decision = delete_topics(&cluster.image, &[by_name("a"), by_name("b")], false);
    assert!(decision.records.is_empty());
    assert!(
        decision
            .answers
            .iter()
            .all(|(_, a)| *a == Err(DeleteError::Disabled))
    );
}

#[test]
fn a_topic_created_again_has_another_id_and_none_of_the_old_settings() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![with_configs("a.b", &[("retention.ms", Some("5"))])]);
    let first = cluster.image.topic_by_name("a.b").unwrap().id;
    cluster.delete(&[by_name("a.b")]);
    assert_eq!(cluster.image.colliding_topic("a_b"), None);
    cluster.create(vec![topic("a.b", 1, 1)]);
    assert_ne!(cluster.image.topic_by_name("a.b").unwrap().id, first);
    assert!(cluster.image.topic_configs("a.b").is_empty());
}

#[test]
fn an_unclean_stop_bumps_the_epochs_of_what_the_node_leads() {
    let mut cluster = Cluster::of_brokers(2);
    cluster.create(vec![topic("t", 2, 1)]);
    let records = bump_epochs_after_unclean_stop(&cluster.image, NodeId(1));
    cluster.commit(&records);
    let partitions = &cluster.image.topic_by_name("t").unwrap().partitions;
    for partition in partitions.values() {
        let bumped = partition.leader == Some(NodeId(1));
        assert_eq!(partition.leader_epoch, LeaderEpoch(bumped.into()));
        assert_eq!(partition.partition_epoch, i32::from(bumped));
    }
    assert_eq!(partitions[&PartitionIndex(0)].leader, Some(NodeId(1)));
}

#[test]
fn partitions_without_a_leader_are_led_again_by_who_was_in_sync() {
    let mut cluster = Cluster::of_brokers(2);
    cluster.create(vec![topic("t", 2, 1), topic("u", 2, 1)]);
    // As Kafka leaves them at a clean stop (KIP-966): no leader, nobody in sync, the last one eligible.
    let mut stopped = Records::new();
    for (name, eligible) in [("t", true), ("u", false)] {
        let topic = cluster.image.topic_by_name(name).unwrap();
        for (partition, state) in &topic.partitions {
            let last: Vec<i32> = state.replicas.iter().map(|n| n.0).collect();
            let change = PartitionChangeRecord {
                partition_id: partition.0,
                topic_id: topic.id,
                isr: Some(if eligible {
                    vec![].into()
                } else {
                    last.clone().into()
                }),
                leader: -1,
                eligible_leader_replicas: eligible.then(|| last.clone().into()),
                ..PartitionChangeRecord::default()
            };
            stopped.push(change.into());
        }
    }
    cluster.commit(&stopped);
    let records = elect_leaders(&cluster.image, NodeId(1));
    cluster.commit(&records);
    for topic in cluster.image.topics() {
        let first = &topic.partitions[&PartitionIndex(0)];
        assert_eq!((first.leader, &first.isr), (Some(NodeId(1)), &vec![NodeId(1)]));
        assert!(first.eligible_leader_replicas.is_empty());
        assert_eq!(first.leader_epoch, LeaderEpoch(2));
        assert_eq!(
            topic.partitions[&PartitionIndex(1)].leader,
            None,
            "node 2 isn't there"
        );
    }
    assert!(elect_leaders(&cluster.image, NodeId(1)).is_empty());
}

#[test]
fn a_brokers_epoch_is_the_offset_of_its_registration() {
    let cluster = Cluster::of_brokers(2);
    let epochs: Vec<_> = cluster.image.brokers().map(|b| b.epoch).collect();
    assert_eq!(epochs, [1, 2]);
    assert_eq!(cluster.image.next_offset(), Offset(3));
}

#[test]
fn producer_ids_come_from_blocks_that_follow_each_other() {
    let mut cluster = Cluster::of_brokers(1);
    for first in [0, 1000] {
        let (mut block, records) = allocate_producer_ids(&cluster.image, NodeId(1), 1).unwrap();
        cluster.commit(&records);
        assert_eq!(block.take(), Some(ProducerId(first)));
        assert_eq!(block.left(), PRODUCER_IDS_PER_BLOCK - 1);
    }
    let mut block = ProducerIdBlock::empty();
    assert_eq!(block.take(), None);
}
