//! Random lives of a group's offsets against what the log itself says: of each partition the newest record counts that is not a
//! transaction's, or is one of a transaction that committed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::group::record;

const TOPICS: [&str; 3] = ["a", "b", "c"];
const PARTITIONS: i32 = 3;
const RETENTION_MS: i64 = 40;
/// The topic to which the group is subscribed.
const SUBSCRIBED: &str = "c";

type Key = (&'static str, i32);

/// What happens to the group.
#[derive(Clone, Debug)]
enum Step {
    Commit {
        keys: Vec<Key>,
        producer: i64,
        retention_ms: i64,
        too_long: bool,
    },
    Marker {
        producer: i64,
        commits: bool,
    },
    Delete {
        keys: Vec<Key>,
    },
    DeleteAll,
    DeleteTopic {
        topic: usize,
        id: u8,
    },
    Expire {
        wait_ms: i64,
        emptied: Option<i64>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = (0..TOPICS.len(), 0..PARTITIONS).prop_map(|(topic, partition)| (TOPICS[topic], partition));
    let keys = || proptest::collection::vec(key.clone(), 1..4);
    let producer = -1..3i64;
    let retention = prop_oneof![5 => Just(-1), 1 => 0..60i64];
    let commit = (keys(), producer, retention, proptest::bool::weighted(0.1)).prop_map(
        |(keys, producer, retention_ms, too_long)| Step::Commit {
            keys,
            producer,
            retention_ms,
            too_long,
        },
    );
    let step = prop_oneof![
        8 => commit,
        4 => (0..3i64, any::<bool>()).prop_map(|(producer, commits)| Step::Marker { producer, commits }),
        2 => keys().prop_map(|keys| Step::Delete { keys }),
        1 => Just(Step::DeleteAll),
        1 => (0..TOPICS.len(), 1..3u8).prop_map(|(topic, id)| Step::DeleteTopic { topic, id }),
        2 => (0..30i64, proptest::option::of(0..100i64))
            .prop_map(|(wait_ms, emptied)| Step::Expire { wait_ms, emptied }),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What stands in the log.
#[derive(Clone, Debug)]
enum Entry {
    Record {
        producer: ProducerId,
        bytes: record::Encoded,
    },
    Marker {
        producer: ProducerId,
        commits: bool,
    },
}

/// The machine, and the log from which it can be made anew.
struct Life {
    offsets: Offsets,
    log: Vec<Entry>,
    now: i64,
    /// The next offset to be committed, so that no two are the same.
    next: i64,
}

fn replay(offsets: &mut Offsets, at: usize, entry: &Entry) {
    match entry {
        Entry::Record { producer, bytes } => {
            let read = record::decode(Some(&bytes.key), bytes.value.as_deref());
            let GroupRecord::OffsetCommit(key, value) = read.expect("what was written") else {
                panic!("not an offset");
            };
            offsets.replay(Offset(at as i64), *producer, &key, value.as_ref());
        }
        &Entry::Marker {
            producer,
            commits: true,
        } => offsets.replay_commit_marker(producer),
        &Entry::Marker {
            producer,
            commits: false,
        } => offsets.replay_abort_marker(producer),
    }
}

impl Life {
    fn new() -> Self {
        Life {
            offsets: Offsets::of_group("g"),
            log: Vec::new(),
            now: 1_000,
            next: 0,
        }
    }

    fn append(&mut self, entry: Entry) {
        replay(&mut self.offsets, self.log.len(), &entry);
        self.log.push(entry);
    }

    fn append_records(&mut self, producer: ProducerId, records: Vec<GroupRecord<'static>>) {
        for record in records {
            let bytes = record::encode(&record).expect("encodes");
            self.append(Entry::Record { producer, bytes });
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit {
                keys,
                producer,
                retention_ms,
                too_long,
            } => {
                self.commit(keys, ProducerId(*producer), *retention_ms, *too_long);
            }
            &Step::Marker { producer, commits } => {
                self.append(Entry::Marker {
                    producer: ProducerId(producer),
                    commits,
                });
            }
            Step::Delete { keys } => self.delete(keys),
            Step::DeleteAll => {
                self.append_records(ProducerId::NONE, self.offsets.delete_all());
                assert!(self.offsets.is_empty());
            }
            &Step::DeleteTopic { topic, id } => {
                let records = self.offsets.delete_topic(TOPICS[topic], topic_id(id));
                self.append_records(ProducerId::NONE, records);
            }
            &Step::Expire { wait_ms, emptied } => self.expire(wait_ms, emptied),
        }
        self.now += 1;
    }

    fn commit(&mut self, keys: &[Key], producer: ProducerId, retention_ms: i64, too_long: bool) {
        let kind = match producer {
            ProducerId::NONE => CommitKind::Plain { retention_ms },
            _ => CommitKind::Transactional,
        };
        let rules = CommitRules {
            now: Timestamp(self.now),
            kind,
            metadata_length_max: 3,
        };
        let first = self.next;
        self.next += keys.len() as i64;
        let commits = keys
            .iter()
            .zip(first..)
            .map(|(&(topic, partition), offset)| Commit {
                topic,
                // Some commits have no id, and a topic may have been made anew.
                topic_id: topic_id((offset % 3) as u8),
                partition: PartitionIndex(partition),
                offset: Offset(offset),
                leader_epoch: LeaderEpoch(offset as i32 - 1),
                metadata: Some(if too_long && offset == first { "long" } else { "m" }),
            });
        let decision = self
            .offsets
            .commit(commits, &rules, |_| Ok::<(), ()>(()))
            .expect("allowed");
        let refused = decision.answer.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(
            (decision.answer.len(), refused),
            (keys.len(), usize::from(too_long))
        );
        self.append_records(producer, decision.records);
    }

    fn delete(&mut self, keys: &[Key]) {
        let asked = keys
            .iter()
            .map(|&(topic, partition)| (topic, PartitionIndex(partition)));
        let decision = self.offsets.delete(asked, |topic| topic == SUBSCRIBED);
        let refused = |&(topic, _): &Key| (topic == SUBSCRIBED).then_some(DeleteError::Subscribed);
        let answers: Vec<_> = keys.iter().map(|key| refused(key).map_or(Ok(()), Err)).collect();
        assert_eq!(decision.answer, answers);
        self.append_records(ProducerId::NONE, decision.records);
        for &(topic, partition) in keys.iter().filter(|(topic, _)| *topic != SUBSCRIBED) {
            let fetched = self
                .offsets
                .fetch(topic, TopicId::ZERO, PartitionIndex(partition), true);
            assert_eq!(fetched, Fetched::Nothing);
        }
    }

    fn expire(&mut self, wait_ms: i64, emptied: Option<i64>) {
        self.now += wait_ms;
        let since = emptied.map(|ago| Timestamp(self.now - ago));
        let holder = Holder::Empty { since };
        let view = View::of(&self.log);
        let counts_from =
            |value: &OffsetCommitValue<'_>| since.map_or(value.commit_timestamp, |since| since.0);
        let is_old = |value: &OffsetCommitValue<'_>| match value.expire_timestamp {
            -1 => self.now - counts_from(value) >= RETENTION_MS,
            expires => self.now >= expires,
        };
        let stays = |(key, (_, value)): (&(String, i32), &(usize, OffsetCommitValue<'_>))| {
            key.0 == SUBSCRIBED || view.pending.contains(key) || !is_old(value)
        };
        let kept = view
            .committed
            .iter()
            .filter(|&(key, value)| stays((key, value)))
            .count();
        let expired = self
            .offsets
            .expire(Timestamp(self.now), RETENTION_MS, holder, |topic| {
                topic == SUBSCRIBED
            });
        assert_eq!(expired.records.len(), view.committed.len() - kept);
        assert_eq!(expired.nothing_left, kept == 0 && view.pending.is_empty());
        self.append_records(ProducerId::NONE, expired.records);
    }

    /// What is fetched is what the log says.
    fn check(&self) {
        let view = View::of(&self.log);
        for topic in TOPICS {
            for partition in 0..PARTITIONS {
                let key = (topic.to_owned(), partition);
                let fetch = |stable| {
                    self.offsets
                        .fetch(topic, TopicId::ZERO, PartitionIndex(partition), stable)
                };
                let expected = view.committed.get(&key);
                match (fetch(false), expected) {
                    (Fetched::Committed(ours), Some((at, value))) => {
                        assert_eq!(*ours, CommittedOffset::recorded(Offset(*at as i64), value));
                    }
                    (Fetched::Nothing, None) => {}
                    (ours, _) => panic!("{key:?}: {ours:?} for {expected:?}"),
                }
                assert_eq!(
                    fetch(true) == Fetched::Unstable,
                    view.pending.contains(&key),
                    "{key:?}"
                );
            }
        }
        assert_eq!(self.offsets.fetch_all(false).count(), view.committed.len());
    }
}

fn topic_id(id: u8) -> TopicId {
    TopicId([id; 16])
}

/// What a log says, found by looking back from its end.
struct View {
    /// The newest committed value of each partition, and where it stands.
    committed: BTreeMap<(String, i32), (usize, OffsetCommitValue<'static>)>,
    /// What has a value of an open transaction.
    pending: BTreeSet<(String, i32)>,
}

impl View {
    fn of(log: &[Entry]) -> View {
        let mut view = View {
            committed: BTreeMap::new(),
            pending: BTreeSet::new(),
        };
        let mut settled = BTreeSet::new();
        let mut ended: BTreeMap<ProducerId, bool> = BTreeMap::new();
        for (at, entry) in log.iter().enumerate().rev() {
            let (producer, bytes) = match entry {
                Entry::Marker { producer, commits } => {
                    ended.insert(*producer, *commits);
                    continue;
                }
                Entry::Record { producer, bytes } => (*producer, bytes),
            };
            let (key, value) = key_and_value(bytes);
            let commits = match (producer, &value) {
                (ProducerId::NONE, _) | (_, None) => Some(true),
                _ => ended.get(&producer).copied(),
            };
            match commits {
                Some(true) if settled.insert(key.clone()) => {
                    view.committed.extend(value.map(|value| (key, (at, value))));
                }
                None if !is_deleted(log, at, &key) => {
                    view.pending.insert(key);
                }
                _ => {}
            }
        }
        view
    }
}

/// Whether a tombstone of the partition stands behind `at`.
fn is_deleted(log: &[Entry], at: usize, key: &(String, i32)) -> bool {
    log[at..].iter().any(|entry| match entry {
        Entry::Record { bytes, .. } => bytes.value.is_none() && key_and_value(bytes).0 == *key,
        Entry::Marker { .. } => false,
    })
}

fn key_and_value(bytes: &record::Encoded) -> ((String, i32), Option<OffsetCommitValue<'static>>) {
    let read = record::decode(Some(&bytes.key), bytes.value.as_deref());
    let Ok(GroupRecord::OffsetCommit(key, value)) = read else {
        panic!("not an offset");
    };
    let value = value.map(|value| OffsetCommitValue {
        metadata: value.metadata.into_owned().into(),
        ..value
    });
    ((key.topic.into_owned(), key.partition), value)
}

/// What compaction leaves of a log whose transactions have all ended: the newest record of each partition of those that committed.
fn compacted(log: &[Entry]) -> Vec<(usize, Entry)> {
    let committed = View::of(log).committed;
    let kept: BTreeSet<usize> = committed.values().map(|(at, _)| *at).collect();
    let entries = log
        .iter()
        .cloned()
        .enumerate()
        .filter(|(at, _)| kept.contains(at));
    let mut entries: Vec<(usize, Entry)> = entries.collect();
    for (at, entry) in &mut entries {
        // Its transaction's marker may have gone before it: then it stands there as committed by nobody.
        if let Entry::Record { producer, .. } = entry
            && at.is_multiple_of(2)
        {
            *producer = ProducerId::NONE;
        }
    }
    let committed = (0..3).map(|producer| Entry::Marker {
        producer: ProducerId(producer),
        commits: true,
    });
    entries.extend(committed.map(|marker| (log.len(), marker)));
    entries
}

proptest! {
    #[test]
    fn what_counts_is_what_the_log_says_and_a_start_finds_the_same(steps in steps()) {
        let mut life = Life::new();
        for step in &steps {
            life.step(step);
            life.check();
        }
        let mut anew = Offsets::of_group("g");
        life.log.iter().enumerate().for_each(|(at, entry)| replay(&mut anew, at, entry));
        prop_assert_eq!(&anew, &life.offsets);
    }

    #[test]
    fn a_compacted_log_says_the_same(steps in steps(), commits: [bool; 3]) {
        let mut life = Life::new();
        steps.iter().for_each(|step| life.step(step));
        for (producer, commits) in (0..3).zip(commits) {
            life.step(&Step::Marker { producer, commits });
        }
        let mut anew = Offsets::of_group("g");
        for (at, entry) in compacted(&life.log) {
            replay(&mut anew, at, &entry);
        }
        prop_assert_eq!(&anew, &life.offsets);
    }
}
