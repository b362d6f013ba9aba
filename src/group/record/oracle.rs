//! Every record against Kafka's own `GroupCoordinatorRecordSerde`: what it reads, what it writes again, and what it refuses.
//!
//! `scripts/test` runs it; `RINGLOG_JARS` names the directory of Kafka's jars.

use super::*;
use crate::wire::decoder::Fault;
use crate::wire::messages::OffsetCommitKey;
use crate::wire::oracle::kafka::{Kafka, hex, unhex};
use crate::wire::sample::Source;

/// Records of each kind and version.
const RECORDS: u64 = 40;
/// Records of each kind and version with some bytes changed.
const CHANGED_RECORDS: u64 = 200;

/// How Kafka takes a record.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It writes this again.
    Read(Encoded),
    UnknownKind,
    UnknownVersion,
    Unreadable,
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn kafka_reads_every_record_and_writes_the_same_bytes() {
    let mut kafka = Kafka::start();
    for (id, version, seed) in cases(RECORDS) {
        let record = GroupRecord::sample(id, &mut Source(seed), version);
        let with_value = encode_as(&record, version).expect("samples encode");
        let tombstone = Encoded {
            value: None,
            ..with_value.clone()
        };
        for encoded in [with_value, tombstone] {
            let verdict = ask(&mut kafka, &encoded);
            assert_eq!(
                verdict,
                Verdict::Read(encoded),
                "kind {id} version {version} seed {seed}"
            );
        }
    }
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn what_kafka_refuses_is_refused_and_what_it_skips_is_skipped() {
    let mut kafka = Kafka::start();
    let (mut seen, mut tags_that_lie) = ([0; 4], 0);
    for (id, version, seed) in cases(CHANGED_RECORDS) {
        let mut source = Source(seed);
        let record = GroupRecord::sample(id, &mut source, version);
        let mut changed = encode_as(&record, version).expect("samples encode");
        change(&mut changed, &mut source);
        let theirs = ask(&mut kafka, &changed);
        let ours = decode(Some(&changed.key), changed.value.as_deref());
        match (&theirs, &ours) {
            (Verdict::Read(_), Ok(_)) => seen[0] += 1,
            (Verdict::UnknownKind, Err(RecordError::UnknownKind { .. })) => seen[1] += 1,
            (Verdict::UnknownVersion, Err(RecordError::UnknownVersion { .. })) => seen[2] += 1,
            (Verdict::Unreadable, Err(RecordError::Key(_) | RecordError::Value { .. })) => seen[3] += 1,
            (Verdict::Read(_), Err(error)) if fault(error) == Some(Fault::NotUtf8) => {}
            (Verdict::Read(_), Err(error)) if ends_too_early(error) => tags_that_lie += 1,
            _ => panic!("kind {id} version {version} seed {seed}: {theirs:?} there, {ours:?} here"),
        }
    }
    assert!(seen.iter().all(|&times| times > 100), "{seen:?}");
    assert!(tags_that_lie * 20 < seen[0], "{tags_that_lie} beside {seen:?}");
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn offsets_are_written_as_kafkas_helpers_write_them() {
    let mut kafka = Kafka::start();
    for expires in [None, Some(77)] {
        let key = OffsetCommitKey {
            group: "g".into(),
            topic: "t".into(),
            partition: 3,
        };
        let value = OffsetCommitValue {
            offset: 42,
            leader_epoch: 5,
            metadata: "m".into(),
            commit_timestamp: 1_000,
            expire_timestamp: expires.unwrap_or(-1),
            topic_id: crate::base::TopicId([7; 16]),
        };
        let ours = encode(&GroupRecord::OffsetCommit(key, Some(value))).expect("encodes");
        let question = format!(
            "offset g t 3 42 5 m 1000 {} {}",
            expires.unwrap_or(-1),
            hex(&[7; 16])
        );
        let theirs = kafka.ask(&question).expect("an answer");
        assert_eq!(theirs, [hex(&ours.key), hex(&ours.value.expect("a value"))]);
    }
}

/// Kinds, versions and seeds.
fn cases(seeds: u64) -> impl Iterator<Item = (i16, i16, u64)> {
    let versions = |&id: &i16| {
        let versions = GroupRecord::value_versions(id).expect("a kind");
        versions.map(move |version| (id, version))
    };
    let kinds = GroupRecord::IDS.iter().flat_map(versions);
    kinds.flat_map(move |(id, version)| (0..seeds).map(move |seed| (id, version, seed)))
}

fn ask(kafka: &mut Kafka, record: &Encoded) -> Verdict {
    let value = record
        .value
        .as_deref()
        .map_or("-".to_owned(), |value| format!("+{}", hex(value)));
    match kafka.ask(&format!("record +{} {value}", hex(&record.key))) {
        Ok(answer) => Verdict::Read(Encoded {
            key: unhex(&answer[0]).into(),
            value: answer[1].strip_prefix('+').map(|value| unhex(value).into()),
        }),
        Err(why) if why.contains("UnknownRecordTypeException") => Verdict::UnknownKind,
        Err(why) if why.contains("UnknownRecordVersionException") => Verdict::UnknownVersion,
        Err(_) => Verdict::Unreadable,
    }
}

/// A few bytes of the key or the value, mostly of the value, become others or go.
fn change(record: &mut Encoded, source: &mut Source) {
    let part = match (&mut record.value, source.below(4)) {
        (Some(value), 1..) => value,
        _ => &mut record.key,
    };
    let mut bytes = part.to_vec();
    for _ in 0..=source.below(2) {
        let at = source.below(bytes.len() as u64 + 1) as usize;
        match (bytes.get_mut(at), source.below(4)) {
            (_, 0) => bytes.truncate(at),
            (Some(byte), _) => *byte = [0, 0x7f, 0x80, 0xff, source.u64() as u8][source.below(5) as usize],
            (None, _) => {}
        }
    }
    *part = bytes.into();
}

fn fault(error: &RecordError) -> Option<Fault> {
    match error {
        RecordError::Key(error) | RecordError::Value { error, .. } => Some(error.fault),
        _ => None,
    }
}

/// Whether something ends before it should: in a tagged field with a wrong size Kafka reads on behind it.
fn ends_too_early(error: &RecordError) -> bool {
    matches!(
        fault(error),
        Some(Fault::TagSize { .. } | Fault::Truncated { .. } | Fault::CountTooLarge { .. })
    )
}
