//! A log beside what is known of it.

use std::collections::BTreeMap;

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::log::producers::{Sequence, SequenceError};
use ringlog::log::{Log, ReadLimits, TimestampedOffset};
use ringlog::wire::batch;

use super::story::{Aborted, Batch, Record, Story};

/// A record as it was read, and what its batch says of it.
#[derive(Clone, Debug)]
pub struct Found {
    pub offset: i64,
    pub record: Record,
    pub leader_epoch: i32,
    pub producer: i64,
    pub is_transactional: bool,
    pub is_control: bool,
}

/// The records of whole batches, and the offset behind the last of these.
pub fn records_in(bytes: &[u8]) -> (Vec<Found>, Option<i64>) {
    let mut found = Vec::new();
    let mut next = None;
    for view in batch::batches(bytes).map(|view| view.expect("a whole batch")) {
        assert!(view.crc_is_valid());
        let payload = view.payload(1 << 20).expect("decompresses");
        for record in view.records(&payload).map(|record| record.expect("reads")) {
            found.push(Found {
                offset: record.offset.0,
                record: Record {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp.0,
                },
                leader_epoch: view.leader_epoch().0,
                producer: view.producer_id().0,
                is_transactional: view.is_transactional(),
                is_control: view.is_control(),
            });
        }
        next = Some(view.next_offset().0);
    }
    (found, next)
}

/// Everything that can be read.
fn read_all(log: &Log) -> Vec<Found> {
    let limits = ReadLimits {
        bytes_max: 1 << 20,
        upper: Offset(i64::MAX),
        at_least_one: true,
    };
    let mut all = Vec::new();
    let mut from = log.start_offset();
    loop {
        let plan = log.read(from, limits).expect("in range");
        let (found, next) = records_in(&plan.run_now().expect("reads"));
        all.extend(found);
        match next {
            Some(next) => from = Offset(next),
            None => break,
        }
    }
    all.retain(|found| found.offset >= log.start_offset().0);
    all
}

/// Everything is as the story has it.
pub fn check(log: &Log, story: &Story) {
    let range = (log.start_offset().0, log.end_offset().0);
    assert_eq!(range, (story.start, story.end), "where it starts and ends");
    assert!(log.flushed_end() <= log.end_offset());
    let found = read_all(log);
    check_records(log, &found, story);
    check_compacted(log, &found, story);
    check_epochs(log, &found, story);
    check_producers(log, story);
    assert_eq!(log.stable_end().0, story.stable_end(), "the last stable offset");
    check_committed(log, &found, story);
    check_times(log, &found, story);
}

/// What was read was appended there; and what wasn't read was superseded.
fn check_records(log: &Log, found: &[Found], story: &Story) {
    assert!(found.is_sorted_by(|a, b| a.offset < b.offset));
    for found in found {
        expect_appended(found, story);
    }
    let there: BTreeMap<i64, &Found> = found.iter().map(|found| (found.offset, found)).collect();
    let aborted = story.aborted();
    for batch in story.live() {
        for offset in batch.base.max(story.start)..batch.next() {
            let is_there = there.contains_key(&offset);
            let may_be_missing = story.is_compacted && may_go(batch, offset, story, &aborted);
            assert!(
                is_there || may_be_missing,
                "offset {offset} is missing of {batch:?}; the log ends at {}, compacted up to {:?}",
                story.end,
                log.cleaned_to()
            );
        }
    }
}

/// That this record was appended, at this offset, by this batch.
pub fn expect_appended(found: &Found, story: &Story) {
    let offset = found.offset;
    let batch = story
        .holder(offset)
        .unwrap_or_else(|| panic!("{found:?} was never appended"));
    assert_eq!(story.record(offset), Some(&found.record), "offset {offset}");
    assert_eq!(batch.leader_epoch, found.leader_epoch, "offset {offset}");
    let producer = batch.producer.map_or(-1, |(id, _, _)| id);
    assert_eq!(producer, found.producer, "offset {offset}");
}

/// Where the log says that it is compacted, nothing stands that something else there supersedes.
fn check_compacted(log: &Log, found: &[Found], story: &Story) {
    let cleaned = log.cleaned_to().map_or(0, |cleaned| cleaned.0);
    let aborted = story.aborted();
    for found in found
        .iter()
        .filter(|found| found.offset < cleaned && !found.is_control)
    {
        let later = newest_of(&found.record.key, story, &aborted, cleaned);
        let is_superseded = later.is_some_and(|later| later > found.offset);
        assert!(
            !is_superseded,
            "offset {} of a log that is compacted up to {cleaned}, and {later:?} has its key",
            found.offset
        );
    }
}

/// The last record of `key` before `end` that counts.
fn newest_of(key: &Option<Vec<u8>>, story: &Story, aborted: &[Aborted], end: i64) -> Option<i64> {
    let counts = |batch: &&Batch| batch.is_abort.is_none() && !is_void(batch, aborted);
    let batches = story.live().iter().rev().filter(counts);
    let last_in = |batch: &Batch| {
        let records = (batch.base..).zip(&batch.records);
        let of_key = records.filter(|(offset, record)| *offset < end && record.key == *key);
        of_key.last().map(|(offset, _)| offset)
    };
    batches.filter_map(last_in).next()
}

/// Whether it is of a transaction that was aborted.
fn is_void(batch: &Batch, aborted: &[Aborted]) -> bool {
    let is_of = |aborted: &Aborted| {
        batch.producer.is_some_and(|(id, _, _)| id == aborted.producer)
            && (aborted.first..aborted.marker).contains(&batch.base)
    };
    batch.is_transactional && aborted.iter().any(is_of)
}

/// Whether a compaction may take the record at `offset` of `batch`.
fn may_go(batch: &Batch, offset: i64, story: &Story, aborted: &[Aborted]) -> bool {
    let record = &batch.records[(offset - batch.base) as usize];
    batch.is_abort.is_some()
        || record.value.is_none()
        || is_void(batch, aborted)
        || newest_of(&record.key, story, aborted, story.compacted_to).is_some_and(|newest| newest > offset)
}

fn check_epochs(log: &Log, found: &[Found], story: &Story) {
    for found in found {
        let epoch = log.epoch_of(Offset(found.offset));
        assert_eq!(
            epoch,
            Some(LeaderEpoch(found.leader_epoch)),
            "offset {}",
            found.offset
        );
    }
    if story.is_compacted {
        return;
    }
    let live = story.live();
    for (n, batch) in live.iter().enumerate() {
        let next = live[n..]
            .iter()
            .find(|next| next.leader_epoch > batch.leader_epoch);
        let end = log.epoch_end_offset(batch.epoch()).map(|end| end.end.0);
        let expected = next.map_or(story.end, |next| next.base);
        assert_eq!(end, Some(expected), "the end of epoch {}", batch.leader_epoch);
    }
}

/// As the next append would be met: the last batches are known, and nothing but the next sequence is taken.
fn check_producers(log: &Log, story: &Story) {
    for (id, producer) in &story.producers {
        // Of older ones a compaction may have taken what a start learns them from.
        let known = producer.batches.len();
        let sure = if story.is_compacted { known.min(1) } else { known };
        for batch in producer.batches.iter().skip(known - sure) {
            let Ok(Sequence::Duplicate(earlier)) = log.check_producer(batch) else {
                panic!("{batch:?} of producer {id}: {:?}", log.check_producer(batch));
            };
            let places = (earlier.base_offset, earlier.last_offset);
            assert_eq!(places, (batch.base_offset, batch.last_offset), "producer {id}");
        }
        let Some(newest) = producer.batches.back() else {
            continue;
        };
        let mut wrong = *newest;
        wrong.first_sequence = producer.next_sequence() + 1;
        let expected = producer.next_sequence();
        assert_eq!(
            log.check_producer(&wrong),
            Err(SequenceError::OutOfOrder { expected }),
            "producer {id}"
        );
        let state = log.producers().get(newest.producer_id).expect("it has written");
        let open_since = state.transaction_start().map(|start| start.0);
        assert_eq!(
            open_since, producer.open_since,
            "the transaction of producer {id}"
        );
    }
}

/// What a `read_committed` reader is told of aborted transactions.
fn check_committed(log: &Log, found: &[Found], story: &Story) {
    let (from, upper) = (story.start, story.stable_end());
    let told = aborted_in(log, from, upper);
    let all = story.aborted();
    let in_range = |aborted: &&Aborted| from < upper && aborted.marker >= from && aborted.first < upper;
    if !story.is_compacted {
        let expected: Vec<Aborted> = all.iter().filter(in_range).copied().collect();
        assert_eq!(told, expected, "aborted in {from}..{upper}");
    }
    // A reader goes by what it is told; the records that it then shows are those that stand.
    for found in found.iter().filter(|found| found.offset < upper) {
        let is_shown = |list: &[Aborted]| {
            let of = |aborted: &Aborted| {
                aborted.producer == found.producer && (aborted.first..=aborted.marker).contains(&found.offset)
            };
            !(found.is_transactional && list.iter().any(of))
        };
        let stands = found.is_control || is_shown(&all);
        assert_eq!(found.is_control || is_shown(&told), stands, "{found:?}");
    }
}

pub fn aborted_in(log: &Log, from: i64, upper: i64) -> Vec<Aborted> {
    let plan = log.aborted_transactions(Offset(from), Offset(upper));
    let told = plan.run_now(Offset(upper)).expect("reads");
    let told = told.into_iter().map(|told| Aborted {
        producer: told.producer_id.0,
        first: told.first_offset.0,
        marker: told.last_offset.0,
    });
    told.collect()
}

fn check_times(log: &Log, found: &[Found], story: &Story) {
    let at = |found: TimestampedOffset| (found.offset.0, found.timestamp.0);
    let times: Vec<i64> = found.iter().map(|found| found.record.timestamp).collect();
    for target in times.iter().step_by(1 + times.len() / 12) {
        let plan = log.offset_for_timestamp(Timestamp(*target)).expect("reads");
        let told = plan.run_now().expect("reads").map(at);
        let first = found.iter().find(|found| found.record.timestamp >= *target);
        let expected = first.map(|found| (found.offset, found.record.timestamp));
        // A compaction leaves the times of what it has taken on the batches, as in Kafka.
        let is_none = story.is_compacted && told.is_none();
        assert!(
            is_none || told == expected,
            "the first record from {target} on: {told:?}, not {expected:?}"
        );
    }
    let latest = times.iter().max();
    let first = found.iter().find(|found| Some(&found.record.timestamp) == latest);
    let plan = log.offset_of_max_timestamp().expect("reads");
    let told = plan.run_now().expect("reads").map(at);
    // The index of the first segment knows of records before the start too.
    let is_before =
        |batch: &Batch| batch.base < story.start && Some(batch.max_timestamp()) >= latest.copied();
    if !story.is_compacted && !story.batches.iter().any(is_before) {
        assert_eq!(
            told,
            first.map(|found| (found.offset, found.record.timestamp)),
            "the latest"
        );
    }
}
