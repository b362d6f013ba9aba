//! In which directory replicas lie.

use std::collections::BTreeMap;

use super::*;
use crate::base::TopicPartition;
use crate::metadata::features::METADATA_VERSION;
use crate::metadata::image::{Partition, UNASSIGNED_DIRECTORY};
use crate::wire::messages::FeatureLevelRecord;

const A: TopicId = TopicId([0xa; 16]);
const B: TopicId = TopicId([0xb; 16]);
const C: TopicId = TopicId([0xc; 16]);
const UNASSIGNED: TopicId = UNASSIGNED_DIRECTORY;
const NODE: NodeId = NodeId(1);

/// One broker with these directories, of which those are cordoned.
fn with_dirs(dirs: &[TopicId], cordoned: &[TopicId]) -> Cluster {
    let mut cluster = Cluster::of_brokers(0);
    let registration = Registration {
        log_dirs: dirs.to_vec(),
        cordoned_log_dirs: cordoned.to_vec(),
        ..registration(1)
    };
    cluster.commit(&register_broker(&registration, cluster.image.next_offset()));
    cluster
}

impl Cluster {
    fn directories(&self) -> Vec<TopicId> {
        self.all()
            .flat_map(|partition| partition.directories.clone())
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Partition> {
        self.image.topics().flat_map(|topic| topic.partitions.values())
    }

    fn set_directory(&mut self, index: i32, directory: TopicId) {
        let change = PartitionChangeRecord {
            partition_id: index,
            topic_id: TopicId([1; 16]),
            directories: Some(vec![directory].into()),
            ..PartitionChangeRecord::default()
        };
        self.commit(&vec![change.into()]);
    }
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([1; 16]),
        partition: PartitionIndex(index),
    }
}

#[test]
fn a_new_partition_goes_to_the_directory_with_the_fewest() {
    let mut cluster = with_dirs(&[A, B, C], &[]);
    cluster.create(vec![topic("a", 2, 1)]);
    assert_eq!(cluster.directories(), [A, B]);
    cluster.create(vec![topic("b", 3, 1), topic("c", 1, 1)]);
    assert_eq!(cluster.directories(), [A, B, C, A, B, C]);
    let grown = to_partitions("c", 3);
    let decision = create_partitions(&cluster.image, &grown);
    cluster.commit(&decision.records);
    assert_eq!(cluster.directories()[5..], [C, A, B]);
}

fn to_partitions(name: &'static str, count: i32) -> crate::wire::messages::CreatePartitionsRequest<'static> {
    let topic = crate::wire::messages::create_partitions_request::CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: None,
    };
    crate::wire::messages::CreatePartitionsRequest {
        topics: vec![topic].into(),
        timeout_ms: 1,
        validate_only: false,
    }
}

#[test]
fn a_cordoned_directory_takes_no_new_partition() {
    let mut cluster = with_dirs(&[A, B], &[A]);
    cluster.create(vec![topic("a", 2, 1)]);
    assert_eq!(cluster.directories(), [B, B]);
    let records = cordon_log_dirs(&cluster.image, NODE, &[]);
    cluster.commit(&records);
    assert!(
        cordon_log_dirs(&cluster.image, NODE, &[]).is_empty(),
        "it is known"
    );
    cluster.create(vec![topic("b", 2, 1)]);
    assert_eq!(cluster.directories(), [B, B, A, A]);
}

#[test]
fn a_broker_whose_directories_are_all_cordoned_is_none_to_place_on() {
    let mut cluster = with_dirs(&[A, B], &[A, B]);
    let (code, message) = cluster.refusal(topic("a", 1, 1));
    assert_eq!(code, ErrorCode::INVALID_REPLICATION_FACTOR);
    let told = "All brokers are currently fenced, or have all their log directories cordoned.";
    assert!(message.ends_with(told), "{message}");
    // By hand it is, as in Kafka 4.3.1.
    cluster.create(vec![assigned("b", &[(0, &[1])])]);
    assert_eq!(cluster.directories(), [A]);
}

#[test]
fn what_the_log_has_no_room_for_is_not_told() {
    let mut cluster = with_dirs(&[A, B], &[]);
    let level = FeatureLevelRecord {
        name: METADATA_VERSION.into(),
        feature_level: 29,
    };
    cluster.commit(&vec![level.into()]);
    assert!(cordon_log_dirs(&cluster.image, NODE, &[A]).is_empty());
}

#[test]
fn a_replica_lies_where_its_files_were_found() {
    let mut cluster = with_dirs(&[A, B], &[]);
    cluster.create(vec![topic("t", 5, 1)]);
    // Moved by hand; as before; in a directory that is not there; nobody knew; nowhere yet.
    for (index, directory) in [(0, A), (1, B), (2, C), (3, TopicId::ZERO), (4, UNASSIGNED)] {
        cluster.set_directory(index, directory);
    }
    let found = BTreeMap::from([(partition(0), B), (partition(1), B), (partition(3), A)]);
    let offline = assign_directories(&cluster.image, NODE, &found, false);
    assert_eq!(
        offline.len(),
        2,
        "what has no files may lie in the one that is offline"
    );
    cluster.commit(&assign_directories(&cluster.image, NODE, &found, true));
    assert_eq!(cluster.directories(), [B, B, C, A, A]);
    assert!(assign_directories(&cluster.image, NODE, &found, true).is_empty());
}

#[test]
fn nobody_leads_what_lies_in_a_directory_that_went_offline_until_it_is_back() {
    let mut cluster = with_dirs(&[A, B], &[]);
    cluster.create(vec![topic("t", 4, 1)]);
    assert!(
        keep_log_dirs(&cluster.image, NODE, &[A, B]).is_empty(),
        "both are known"
    );
    assert!(leave_offline_directories(&cluster.image, NODE).is_empty());
    cluster.commit(&keep_log_dirs(&cluster.image, NODE, &[A]));
    cluster.commit(&leave_offline_directories(&cluster.image, NODE));
    let leaders = |cluster: &Cluster| cluster.all().map(|p| p.leader).collect::<Vec<_>>();
    assert_eq!(leaders(&cluster), [Some(NODE), None, Some(NODE), None]);
    assert!(cluster.all().all(|partition| partition.isr == [NODE]));
    let offline: Vec<usize> = cluster
        .all()
        .map(|p| cluster.image.offline_replicas(p).count())
        .collect();
    assert_eq!(offline, [0, 1, 0, 1]);
    assert!(elect_leaders(&cluster.image, NODE).is_empty());
    let again = Registration {
        log_dirs: vec![A, B],
        ..registration(1)
    };
    cluster.commit(&register_broker(&again, cluster.image.next_offset()));
    cluster.commit(&elect_leaders(&cluster.image, NODE));
    assert_eq!(leaders(&cluster), [Some(NODE); 4]);
    let epochs: Vec<i32> = cluster.all().map(|partition| partition.leader_epoch.0).collect();
    assert_eq!(epochs, [0, 2, 0, 2]);
}

#[test]
fn a_replica_that_has_moved_is_where_it_is_and_led_again_if_it_was_not() {
    let mut cluster = with_dirs(&[A, B], &[]);
    cluster.create(vec![topic("a", 2, 1)]);
    let there = cluster.directories();
    let other = |named: TopicId| if named == A { B } else { A };
    let records =
        |cluster: &Cluster, index: i32, to| assign_replica(&cluster.image, NODE, partition(index), to);
    assert!(records(&cluster, 0, there[0]).is_empty(), "known");
    assert!(records(&cluster, 2, A).is_empty(), "there is none");
    assert!(assign_replica(&cluster.image, NodeId(9), partition(0), A).is_empty());
    cluster.commit(&records(&cluster, 0, other(there[0])));
    assert_eq!(cluster.directories(), [other(there[0]), there[1]]);

    cluster.commit(&keep_log_dirs(&cluster.image, NODE, &[other(there[1])]));
    cluster.commit(&leave_offline_directories(&cluster.image, NODE));
    assert_eq!(cluster.all().nth(1).unwrap().leader, None);
    cluster.commit(&records(&cluster, 1, other(there[1])));
    assert_eq!(cluster.all().nth(1).unwrap().leader, Some(NODE));
}
