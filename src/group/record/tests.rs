use proptest::prelude::*;

use super::*;
use crate::base::TopicId;
use crate::wire::allocations::peak_bytes;
use crate::wire::corpus::{Input, changed, run_all};
use crate::wire::decoder::Fault;
use crate::wire::messages::{
    ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, GroupMetadataKey, GroupMetadataValue,
    LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitKey,
};
use crate::wire::sample::Source;

const TOPIC_ID: TopicId = TopicId([7; 16]);

fn offset_key() -> OffsetCommitKey<'static> {
    OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 3,
    }
}

fn offset_value() -> OffsetCommitValue<'static> {
    OffsetCommitValue {
        offset: 42,
        leader_epoch: 5,
        metadata: "m".into(),
        commit_timestamp: 1_000,
        topic_id: TOPIC_ID,
        ..Default::default()
    }
}

#[test]
fn an_offset_is_framed_as_in_kafka() {
    let encoded = encode(&GroupRecord::OffsetCommit(offset_key(), Some(offset_value()))).expect("fits");
    assert_eq!(
        encoded.key[..],
        [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 3],
        "the kind, then strings behind 16-bit lengths"
    );
    let value = [
        &[0, 4][..],
        &42i64.to_be_bytes(),
        &5i32.to_be_bytes(),
        &[2, b'm'],
        &1_000i64.to_be_bytes(),
        &[1, 0, 16],
        &TOPIC_ID.0,
    ]
    .concat();
    assert_eq!(encoded.value.as_deref(), Some(&value[..]));
}

#[test]
fn values_are_written_in_the_versions_that_kafka_writes() {
    let group_key = || GroupMetadataKey { group: "g".into() };
    let expiring = OffsetCommitValue {
        expire_timestamp: 2_000,
        ..offset_value()
    };
    let consumer_key = ConsumerGroupMetadataKey { group_id: "g".into() };
    let legacy = GroupRecord::LegacyOffsetCommit(
        LegacyOffsetCommitKey::default(),
        Some(LegacyOffsetCommitValue::default()),
    );
    for (record, version) in [
        (GroupRecord::OffsetCommit(offset_key(), Some(offset_value())), 4),
        (GroupRecord::OffsetCommit(offset_key(), Some(expiring)), 1),
        (
            GroupRecord::GroupMetadata(group_key(), Some(GroupMetadataValue::default())),
            3,
        ),
        (
            GroupRecord::ConsumerGroupMetadata(consumer_key, Some(ConsumerGroupMetadataValue::default())),
            0,
        ),
        (legacy, 0),
    ] {
        let written = encode(&record).expect("fits").value.expect("a value");
        assert_eq!(written[..2], [0, version], "{record:?}");
    }
}

#[test]
fn an_offset_that_expires_loses_what_its_version_has_no_field_for() {
    let expiring = OffsetCommitValue {
        expire_timestamp: 2_000,
        ..offset_value()
    };
    let encoded = encode(&GroupRecord::OffsetCommit(offset_key(), Some(expiring.clone()))).expect("fits");
    let kept = OffsetCommitValue {
        leader_epoch: -1,
        topic_id: TopicId::ZERO,
        ..expiring
    };
    assert_eq!(
        decode(Some(&encoded.key), encoded.value.as_deref()),
        Ok(GroupRecord::OffsetCommit(offset_key(), Some(kept)))
    );
}

#[test]
fn every_kind_and_version_reads_back() {
    // Kafka has had records 9 and 18, and has none of these numbers any more.
    let ids: Vec<i16> = (0..=23).filter(|id| ![9, 18].contains(id)).collect();
    assert_eq!(GroupRecord::IDS, ids);
    for &id in GroupRecord::IDS {
        for version in GroupRecord::value_versions(id).expect("a kind") {
            let record = GroupRecord::sample(id, &mut Source(id as u64), version);
            assert_eq!(record.id(), id);
            let encoded = encode_as(&record, version).expect("samples encode");
            assert_eq!(decode(Some(&encoded.key), encoded.value.as_deref()), Ok(record));
            let tombstone = decode(Some(&encoded.key), None).expect("a tombstone");
            assert!(tombstone.is_tombstone());
            let again = encode(&tombstone).expect("encodes");
            assert_eq!((again.key, again.value), (encoded.key, None));
        }
    }
}

#[test]
fn what_is_no_record_is_named() {
    let key = [0, 2, 0, 1, b'g'];
    let truncated = |needed, left| DecodeError {
        field: "",
        fault: Fault::Truncated { needed, left },
    };
    let in_value = |error| RecordError::Value {
        kind: "GROUP_METADATA",
        error,
    };
    assert_eq!(decode(None, Some(&[])), Err(RecordError::NoKey));
    assert_eq!(decode(Some(&[0]), None), Err(RecordError::Key(truncated(2, 1))));
    assert_eq!(
        decode(Some(&[0, 2, 0, 9, b'g']), None),
        Err(RecordError::Key(DecodeError {
            field: "GroupMetadataKey.group",
            ..truncated(9, 1)
        }))
    );
    assert_eq!(decode(Some(&key), Some(&[])), Err(in_value(truncated(2, 0))));
    for version in [5i16, -1] {
        let unknown = RecordError::UnknownVersion {
            kind: "GROUP_METADATA",
            version,
        };
        assert_eq!(decode(Some(&key), Some(&version.to_be_bytes())), Err(unknown));
        assert!(!unknown.may_be_skipped());
    }
}

#[test]
fn a_kind_that_nobody_knows_may_be_skipped_whatever_follows() {
    for id in [9i16, 18, 24, -1, i16::MAX] {
        let error = decode(Some(&id.to_be_bytes()), Some(&[])).expect_err("unknown");
        assert_eq!(error, RecordError::UnknownKind { id });
        assert!(error.may_be_skipped());
    }
}

#[test]
fn bytes_behind_a_key_and_a_value_are_passed_over() {
    let record = GroupRecord::OffsetCommit(offset_key(), Some(offset_value()));
    let encoded = encode(&record).expect("fits");
    let longer = |bytes: &[u8]| [bytes, &[0xff; 3]].concat();
    let (key, value) = (longer(&encoded.key), longer(&encoded.value.expect("a value")));
    assert_eq!(decode(Some(&key), Some(&value)), Ok(record));
}

/// A record of every kind, as the fuzz target takes it.
fn made_records() -> Vec<Input> {
    let mut made: Vec<Input> = Vec::new();
    for &id in GroupRecord::IDS {
        let versions = GroupRecord::value_versions(id).expect("a kind");
        let record = GroupRecord::sample(id, &mut Source(100 + id as u64), *versions.end());
        let Encoded { key, value } = encode_as(&record, *versions.end()).expect("samples encode");
        let name = record.kind_name().to_lowercase().replace('_', "-");
        made.push((name, as_input(&key, &value.expect("a value"))));
    }
    let key = [0, 2, 0, 1, b'g'];
    let two_billion_members = [&[0, 3][..], &[0; 8], &[0xff; 4], &[0x7f, 0xff, 0xff, 0xff]].concat();
    made.extend([
        ("nothing".to_owned(), Vec::new()),
        ("tombstone".to_owned(), as_input(&key, &[])),
        ("unknown-kind".to_owned(), as_input(&[0x7f, 0xff], &[0, 0])),
        ("unknown-version".to_owned(), as_input(&key, &[0, 9])),
        (
            "two-billion-members".to_owned(),
            as_input(&key, &two_billion_members),
        ),
    ]);
    made
}

fn as_input(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&(key.len() as u16).to_be_bytes()[..], key, value].concat()
}

#[test]
fn kept_records_are_read_or_refused() {
    run_all("group_records", &made_records(), fuzz::group_records);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn changed_records_are_read_or_refused(seed: u64) {
        fuzz::group_records(&changed("group_records", seed));
    }

    #[test]
    fn reading_any_bytes_takes_no_memory(
        id in 0..25i16,
        version in -1..5i16,
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let key = [&id.to_be_bytes()[..], &[0, 1, b'g', 0, 1, b't', 0, 0, 0, 0]].concat();
        let value = [&version.to_be_bytes()[..], &noise].concat();
        let (_, peak) = peak_bytes(|| decode(Some(&key), Some(&value)).is_ok());
        prop_assert_eq!(peak, 0);
    }
}
