//! Random appends, rolls, compactions, reopenings and crashes against a list of all records that were ever appended.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::TopicId;
use crate::log::clean_start::tests::open_both_ways;
use crate::log::write_topic_id_now;

const DELETE_RETENTION_MS: i64 = 1000;

#[derive(Clone, Debug)]
enum Step {
    /// Keys and the lengths of their values; a tombstone has none.
    Append {
        records: Vec<(u8, Option<usize>)>,
        codec: Codec,
        producer: Option<i64>,
    },
    /// Time passes.
    Wait {
        ms: i64,
    },
    /// With a table of so many keys.
    Compact {
        keys_max: u64,
    },
    /// Only what is older than this.
    CompactOld {
        lag_min_ms: i64,
    },
    Reopen {
        opened: Opened,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![1 => Just(None), 4 => (0usize..90).prop_map(Some)];
    let records = prop::collection::vec((0u8..12, value), 1..6);
    let codec = (0u8..5).prop_map(|id| Codec::from_id(id).expect("one of five"));
    let producer = prop::option::of(1i64..4);
    prop_oneof![
        20 => (records, codec, producer)
            .prop_map(|(records, codec, producer)| Step::Append { records, codec, producer }),
        4 => (0i64..800).prop_map(|ms| Step::Wait { ms }),
        3 => Just(Step::Compact { keys_max: u64::MAX }),
        1 => (1u64..6).prop_map(|keys_max| Step::Compact { keys_max }),
        1 => (0i64..900).prop_map(|lag_min_ms| Step::CompactOld { lag_min_ms }),
        1 => Just(Step::Reopen { opened: Opened::AfterCleanStop }),
        1 => Just(Step::Reopen { opened: Opened::AfterCrash }),
    ]
}

/// Everything that was ever appended, and when it was first in a compaction.
struct Model {
    records: Vec<Seen>,
    /// Of each offset: when a round first had it before its first uncleanable offset.
    first_rounds: BTreeMap<i64, i64>,
    /// Of each offset: when a round had first cleaned it, and when the last one that did any work.
    cleaned: BTreeMap<i64, [i64; 2]>,
    /// The last sequence of each producer.
    sequences: BTreeMap<i64, i32>,
    now: i64,
}

impl Model {
    fn append(
        &mut self,
        log: &mut Log,
        records: &[(u8, Option<usize>)],
        codec: Codec,
        producer: Option<i64>,
    ) {
        let mut builder = BatchBuilder::new(codec).at(log.end_offset(), LeaderEpoch(0));
        if let Some(id) = producer {
            let first = self.sequences.get(&id).map_or(0, |last| last + 1);
            builder = builder.producer(ProducerId(id), ProducerEpoch(0), first);
            self.sequences.insert(id, first + records.len() as i32 - 1);
        }
        for (key, len) in records {
            let (key, value) = (format!("key-{key}"), len.map(|len| "v".repeat(len)));
            let bytes = value.as_ref().map(|value| value.as_bytes());
            builder.add(Timestamp(self.now), Some(key.as_bytes()), bytes, &[]);
            self.records.push(Seen {
                offset: self.records.len() as i64,
                timestamp: self.now,
                key: Some(key),
                value,
            });
        }
        log.append(&builder.build(), Timestamp(self.now)).unwrap();
    }

    async fn compact(&mut self, log: &mut Log, lag_min_ms: i64, keys_max: u64) {
        let rules = CompactionRules {
            lag_min_ms,
            delete_retention_ms: DELETE_RETENTION_MS,
            ..RULES
        };
        let now = Timestamp(self.now);
        settle(log).await;
        let dirt = log.dirt(&rules, log.end_offset(), now);
        let mut round = log.begin_compaction(dirt, rules, now);
        let pace = Pace::unlimited();
        let mut keys = round.read_keys(LIMITS, &pace).await.unwrap();
        if keys.key_count() as u64 > keys_max {
            // The first so many keys, as a smaller table would have them.
            keys = self.first_keys(&dirt, keys_max);
        }
        let mut groups = round.groups(&keys);
        while let Some(compacted) = groups.compact_next(&pace).await.unwrap() {
            log.place_compacted_now(&compacted, now).unwrap().run().await;
        }
        let cleaned_to = groups.cleaned_to();
        log.end_compaction(Some(cleaned_to));
        for offset in 0..dirt.first_uncleanable.0 {
            self.first_rounds.entry(offset).or_insert(self.now);
        }
        if dirt.first_dirty < cleaned_to {
            for offset in 0..cleaned_to.0 {
                self.cleaned.entry(offset).or_insert([self.now; 2])[1] = self.now;
            }
        }
    }

    fn first_keys(&self, dirt: &Dirt, keys_max: u64) -> KeyMap {
        let mut keys = KeyMap::new(LIMITS, keys_max, KeySecret([1, 2]));
        for record in &self.records[dirt.first_dirty.0 as usize..] {
            let key = record.key.as_ref().unwrap().as_bytes();
            if !keys.put(keys.hash(key), Offset(record.offset)) {
                break;
            }
        }
        keys
    }

    fn check(&self, log: &Log) {
        assert_eq!(
            (log.start_offset().0, log.end_offset().0),
            (0, self.records.len() as i64)
        );
        let seen = seen(log);
        let by_offset: BTreeMap<i64, &Seen> = seen.iter().map(|record| (record.offset, record)).collect();
        assert_eq!(by_offset.len(), seen.len(), "no offset twice");
        for (offset, record) in &by_offset {
            assert_eq!(*record, &self.records[*offset as usize]);
        }
        let cleaned = log.cleaned_to().unwrap_or_default().0;
        let mut last_of_key = BTreeMap::new();
        for record in &self.records[..cleaned as usize] {
            last_of_key.insert(record.key.clone(), record.offset);
        }
        for record in &self.records {
            let is_there = by_offset.contains_key(&record.offset);
            let is_last = record.offset >= cleaned || last_of_key[&record.key] == record.offset;
            match (is_last, record.value.is_some()) {
                (false, _) => assert!(!is_there, "{record:?} is superseded"),
                (true, true) => assert!(is_there, "{record:?} is the last of its key"),
                (true, false) => self.check_tombstone(record, is_there),
            }
        }
        self.check_producers(log);
    }

    /// A tombstone stays for its time from the first round that had it, and goes with the first one behind that.
    fn check_tombstone(&self, record: &Seen, is_there: bool) {
        let Some([marked, last]) = self.cleaned.get(&record.offset) else {
            return assert!(is_there, "{record:?} went without a round");
        };
        let first = self.first_rounds[&record.offset];
        assert!(
            is_there || last - first >= DELETE_RETENTION_MS,
            "{record:?} went too early"
        );
        assert!(
            !is_there || last - marked < DELETE_RETENTION_MS,
            "{record:?} stays for too long"
        );
    }

    fn check_producers(&self, log: &Log) {
        let known: BTreeMap<i64, i32> = log
            .producers()
            .iter()
            .map(|(id, state)| (id.0, state.batches().last().unwrap().last_sequence))
            .collect();
        assert_eq!(known, self.sequences);
    }
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model {
        records: Vec::new(),
        first_rounds: BTreeMap::new(),
        cleaned: BTreeMap::new(),
        sequences: BTreeMap::new(),
        now: NOW.0,
    };
    write_topic_id_now(dir.path(), TopicId([1; 16])).unwrap();
    let mut log = open(dir.path(), Opened::AfterCleanStop);
    for step in steps {
        match step {
            Step::Append {
                records,
                codec,
                producer,
            } => {
                model.append(&mut log, &records, codec, producer);
                settle(&mut log).await;
                continue;
            }
            Step::Wait { ms } => {
                model.now += ms;
                continue;
            }
            Step::Compact { keys_max } => model.compact(&mut log, 0, keys_max).await,
            Step::CompactOld { lag_min_ms } => model.compact(&mut log, lag_min_ms, u64::MAX).await,
            Step::Reopen { opened } => {
                let resume = Resume {
                    cleaned: log.cleaned_to(),
                    ..Resume::default()
                };
                match opened {
                    Opened::AfterCleanStop => {
                        let left = log.close().await.unwrap().expect("nothing to tidy up");
                        open_both_ways(dir.path(), options(), &left, resume, NOW);
                    }
                    Opened::AfterCrash => drop(log),
                }
                log = Log::open_now(dir.path(), options(), opened, resume, NOW)
                    .unwrap()
                    .0;
            }
        }
        model.check(&log);
    }
    model.check(&log);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_compacted_log_shows_the_last_record_of_each_key(steps in prop::collection::vec(step(), 1..70)) {
        on_core(|| run(steps));
    }
}
