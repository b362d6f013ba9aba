//! An image and its records are the same thing twice.

use super::*;
use crate::base::Timestamp;
use crate::metadata::batch::{leader_change_batch, record_batch};
use crate::metadata::{Voter, VoterEndpoint};
use crate::wire::batch::{BatchBuilder, BatchView};
use crate::wire::compression::Codec;
use crate::wire::messages::client_quota_record::EntityData;
use crate::wire::messages::{
    AccessControlEntryRecord, ClearElrRecord, ClientQuotaRecord, ConfigRecord, DelegationTokenRecord,
    FeatureLevelRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord,
    RemoveAccessControlEntryRecord, TopicRecord, UserScramCredentialRecord,
};
use crate::wire::records::MetadataRecord;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn apply(image: &mut Image, records: &[MetadataRecord<'static>]) {
    let batch = record_batch(records, image.next_offset(), LeaderEpoch(3), NOW).unwrap();
    image.apply_batch(&BatchView::first(&batch).unwrap()).unwrap();
}

fn quota(user: &'static str, value: f64, remove: bool) -> MetadataRecord<'static> {
    let entity = EntityData {
        entity_type: "user".into(),
        entity_name: Some(user.into()),
    };
    let record = ClientQuotaRecord {
        entity: vec![entity].into(),
        key: "consumer_byte_rate".into(),
        value,
        remove,
    };
    record.into()
}

fn acl(id: u8) -> MetadataRecord<'static> {
    let record = AccessControlEntryRecord {
        id: TopicId([id; 16]),
        resource_name: "t".into(),
        principal: "User:alice".into(),
        host: "*".into(),
        ..Default::default()
    };
    record.into()
}

/// Everything that an image can hold, and some of it taken back.
fn full() -> Image {
    let mut image = Image::empty();
    let voters = vec![Voter {
        node: NodeId(1),
        directory: TopicId([7; 16]),
        endpoints: vec![VoterEndpoint {
            listener: "CONTROLLER".to_owned(),
            host: "h".to_owned(),
            port: 9093,
        }],
        kraft_versions: (0, 1),
    }];
    let membership = Membership {
        kraft_version: 1,
        voters,
    };
    let first = leader_change_batch(NodeId(1), &membership, Offset(0), LeaderEpoch(3), NOW).unwrap();
    image.apply_batch(&BatchView::first(&first).unwrap()).unwrap();
    assert_eq!(image.membership(), &membership);
    let feature = |name: &'static str, feature_level| FeatureLevelRecord {
        name: name.into(),
        feature_level,
    };
    let config = |resource_type, name: &'static str| ConfigRecord {
        resource_type,
        resource_name: name.into(),
        name: "k".into(),
        value: Some("v".into()),
    };
    let partition = |partition_id| PartitionRecord {
        partition_id,
        topic_id: TopicId([1; 16]),
        replicas: vec![1, 2].into(),
        isr: vec![1].into(),
        leader: if partition_id == 0 { 1 } else { -1 },
        leader_recovery_state: 1,
        leader_epoch: 5,
        partition_epoch: 6,
        directories: vec![TopicId([7; 16]), TopicId([8; 16])].into(),
        eligible_leader_replicas: Some(vec![2].into()),
        ..Default::default()
    };
    let topic = TopicRecord {
        name: "a.b".into(),
        topic_id: TopicId([1; 16]),
    };
    let broker = RegisterBrokerRecord {
        broker_id: 1,
        incarnation_id: TopicId([9; 16]),
        broker_epoch: 4,
        rack: Some("r".into()),
        fenced: true,
        log_dirs: vec![TopicId([7; 16])].into(),
        cordoned_log_dirs: Some(vec![TopicId([7; 16])].into()),
        ..Default::default()
    };
    let scram = UserScramCredentialRecord {
        name: "alice".into(),
        mechanism: 1,
        iterations: 4096,
        ..Default::default()
    };
    let token = DelegationTokenRecord {
        token_id: "t1".into(),
        ..Default::default()
    };
    let controller = RegisterControllerRecord {
        controller_id: 1,
        ..Default::default()
    };
    let ids = ProducerIdsRecord {
        next_producer_id: 2000,
        ..Default::default()
    };
    let gone = RemoveAccessControlEntryRecord { id: TopicId([6; 16]) };
    apply(
        &mut image,
        &[
            feature("group.version", 1).into(),
            feature("metadata.version", 30).into(),
            topic.into(),
            partition(0).into(),
            partition(1).into(),
            broker.into(),
            config(2, "a.b").into(),
            config(4, "").into(),
            config(4, "1").into(),
            config(16, "m").into(),
            ids.into(),
            scram.into(),
            token.into(),
            controller.into(),
            quota("alice", 1.0, false),
            quota("alice", 2.0, false),
            quota("bob", 2.0, false),
            quota("bob", 2.0, true),
            acl(5),
            acl(6),
            gone.into(),
        ],
    );
    image
}

#[test]
fn the_records_of_an_image_make_the_same_image() {
    let image = full();
    let mut batch = BatchBuilder::new(Codec::None);
    for value in image.record_values() {
        batch.add(NOW, None, Some(&value.unwrap()), &[]);
    }
    let bytes = batch.build();
    let mut again = Image::empty();
    again.membership = image.membership.clone();
    again
        .apply_snapshot_batch(&BatchView::first(&bytes).unwrap())
        .unwrap();
    again.is_as_of(image.next_offset(), image.epoch(), image.last_timestamp());
    assert_eq!(again, image);
    assert_eq!(again.state.kept.values().count(), 5, "one of each kind");
}

#[test]
fn the_first_record_says_how_to_read_the_others() {
    let first = full().record_values().next().unwrap().unwrap();
    let (record, _) = crate::wire::records::decode_record(&first).unwrap();
    assert!(matches!(record, MetadataRecord::FeatureLevelRecord(r) if r.name == "metadata.version"));
}

#[test]
fn features_above_ours_are_told_as_ours() {
    let image = full();
    let told: Vec<_> = image.finalized_features().collect();
    assert_eq!(told, [("kraft.version", 1), ("metadata.version", 30)]);
    assert_eq!(image.feature_level("group.version"), 1, "and stays in the log");
}

#[test]
fn cleared_eligible_replicas_are_forgotten() {
    let mut image = full();
    let record = ClearElrRecord {
        topic_name: "a.b".into(),
    };
    apply(&mut image, &[record.into()]);
    let topic = image.topic_by_name("a.b").unwrap();
    assert!(
        topic
            .partitions
            .values()
            .all(|p| p.eligible_leader_replicas.is_empty())
    );
}
