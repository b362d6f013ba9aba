//! A partition over a real log: what is written in place, what is refused, what a reader finds where.

use bytes::BytesMut;
use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::base::{ProducerEpoch, ProducerId};
use crate::config::Config;
use crate::log::testing::{Producer, end_of_transaction, transactional};
use crate::log::{Opened, Resume};
use crate::wire::ErrorCode;
use crate::wire::batch::{BatchBuilder, BatchView, Breach};
use crate::wire::compression::Codec;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const NOW: Timestamp = Timestamp(1_703_462_400_000);
const EPOCH: LeaderEpoch = LeaderEpoch(4);
const ALL: Isolation = Isolation::ReadUncommitted;

struct Fixture {
    partition: Partition,
    dir: TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with(&[])
    }

    fn with(configs: &[(&str, &str)]) -> Fixture {
        let overrides: BTreeMap<String, String> = configs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let broker = Config::parse(None, &[]).unwrap().0;
        let config = Rc::new(TopicConfig::new(&broker, &overrides));
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = Log::open_now(
            dir.path(),
            LogOptions::default(),
            Opened::AfterCleanStop,
            Resume::default(),
            NOW,
        )
        .unwrap();
        Fixture {
            partition: Partition::new(log, EPOCH, config, NOW),
            dir,
        }
    }

    fn flushed(&mut self, plan: FlushPlan) {
        self.partition.flushed(plan.without_running(), NOW);
    }

    fn append(&mut self, batch: BytesMut) -> Result<Appended, Refusal> {
        self.partition.append(batch.into(), NOW).map_err(Refusal::from)
    }

    /// The whole batches found from `offset` on, wherever they were.
    fn read(&self, offset: i64) -> Result<Vec<u8>, ReadError> {
        match self.partition.read(&range(offset), ALL)? {
            Found::Here(segments, _) => Ok(segments.concat()),
            Found::OnDisk(plan, _) => Ok(plan.run_now().unwrap().to_vec()),
            Found::Diverging(..) => panic!("no follower asked"),
        }
    }
}

fn range(offset: i64) -> ReadRange {
    ReadRange {
        offset: Offset(offset),
        bytes_max: 1 << 20,
        at_least_one: true,
        current_epoch: LeaderEpoch::NONE,
        last_fetched_epoch: LeaderEpoch::NONE,
    }
}

/// A batch of these records, a key and a time each.
fn batch_of(records: &[(Option<&str>, i64)]) -> BytesMut {
    batch_in(Codec::None, records)
}

fn batch_in(codec: Codec, records: &[(Option<&str>, i64)]) -> BytesMut {
    let mut batch = BatchBuilder::new(codec);
    for (key, at) in records {
        batch.add(Timestamp(*at), key.map(str::as_bytes), Some(b"tick"), &[]);
    }
    batch.build_mut()
}

fn batch(records: usize) -> BytesMut {
    batch_of(&vec![(None, NOW.0); records])
}

fn produced(sequence: i32, epoch: i16) -> BytesMut {
    let mut batch = BatchBuilder::new(Codec::None).producer(ProducerId(7), ProducerEpoch(epoch), sequence);
    batch.add(NOW, None, Some(b"tick"), &[]);
    batch.build_mut()
}

#[test]
fn offset_and_epoch_are_written_in_place_and_the_batch_stays_valid() {
    let mut fixture = Fixture::new();
    fixture.append(batch(3)).unwrap();
    let appended = fixture.append(batch(2)).unwrap();
    assert_eq!(
        (appended.base_offset, appended.append_time),
        (Offset(3), Timestamp::NONE)
    );
    let bytes = fixture.read(4).unwrap();
    let view = BatchView::first(&bytes).unwrap();
    assert_eq!((view.base_offset(), view.leader_epoch()), (Offset(3), EPOCH));
    assert_eq!(fixture.partition.marks().high_watermark, Offset(5));
}

#[test]
fn the_append_time_takes_the_producers_place() {
    let mut fixture = Fixture::with(&[("message.timestamp.type", "LogAppendTime")]);
    for (offset, codec) in (0..).zip(CODECS) {
        // Years off: a time that the broker replaces is not judged.
        let appended = fixture.append(batch_in(codec, &[(None, 5)])).unwrap();
        assert_eq!(appended.append_time, NOW);
        let bytes = fixture.read(offset).unwrap();
        let stored = BatchView::first(&bytes).unwrap();
        assert_eq!(stored.timestamp_type(), batch::TimestampType::LogAppendTime);
        assert_eq!(stored.max_timestamp(), NOW, "{codec}");
        assert!(stored.crc_is_valid(), "{codec}");
    }
}

#[test]
fn a_batch_that_claims_the_brokers_time_is_the_producers_where_that_is_kept() {
    for codec in CODECS {
        let mut fixture = Fixture::new();
        let mut claims = batch_in(codec, &[(None, NOW.0)]);
        batch::set_log_append_time(&mut claims, NOW);
        fixture.append(claims).unwrap();
        let bytes = fixture.read(0).unwrap();
        let stored = BatchView::first(&bytes).unwrap();
        assert_eq!(
            stored.timestamp_type(),
            batch::TimestampType::CreateTime,
            "{codec}"
        );
        assert!(stored.crc_is_valid(), "{codec}");
    }
}

#[test]
fn a_refusal_names_the_records_that_broke_a_rule() {
    let late = Breach::Time {
        timestamp: Timestamp(NOW.0 + 1001),
        earliest: Timestamp(NOW.0.saturating_sub(i64::MAX)),
        latest: Timestamp(NOW.0 + 1000),
    };
    let records = [(Some("k"), NOW.0), (None, NOW.0), (Some("k"), NOW.0 + 1001)];
    let compacted = ("cleanup.policy", "compact,delete");
    let ahead = ("message.timestamp.after.max.ms", "1000");
    let keyless = Breach::Keyless;
    for (configs, code, named) in [
        (&[compacted][..], ErrorCode::INVALID_RECORD, &[(1, keyless)][..]),
        (&[ahead], ErrorCode::INVALID_TIMESTAMP, &[(2, late)]),
        (
            &[compacted, ahead],
            ErrorCode::INVALID_TIMESTAMP,
            &[(1, keyless), (2, late)],
        ),
    ] {
        for codec in CODECS {
            let refusal = Fixture::with(configs)
                .append(batch_in(codec, &records))
                .unwrap_err();
            assert_eq!(refusal.code, code, "{codec}");
            assert_eq!(refusal.breaches.expect("records").named, named, "{codec}");
        }
    }
}

#[test]
fn refusals_name_kafkas_codes_and_leave_the_log_as_it_was() {
    let compacted: &[(&str, &str)] = &[("cleanup.policy", "compact")];
    let small: &[(&str, &str)] = &[("max.message.bytes", "80")];
    let ahead: &[(&str, &str)] = &[("message.timestamp.after.max.ms", "1000")];
    let behind: &[(&str, &str)] = &[("message.timestamp.before.max.ms", "1000")];
    let corrupt = {
        let mut batch = batch(1);
        *batch.last_mut().unwrap() ^= 1;
        batch
    };
    let two_batches = {
        let mut both = batch(1);
        both.extend_from_slice(&batch(1));
        both
    };
    for (configs, records, code) in [
        (&[][..], corrupt, ErrorCode::CORRUPT_MESSAGE),
        (&[], two_batches, ErrorCode::INVALID_RECORD),
        (&[], BytesMut::new(), ErrorCode::INVALID_RECORD),
        (small, batch(2), ErrorCode::MESSAGE_TOO_LARGE),
        (compacted, batch(1), ErrorCode::INVALID_RECORD),
        (
            ahead,
            batch_of(&[(None, NOW.0 + 1001)]),
            ErrorCode::INVALID_TIMESTAMP,
        ),
        (
            behind,
            batch_of(&[(None, NOW.0 - 1001)]),
            ErrorCode::INVALID_TIMESTAMP,
        ),
    ] {
        let mut fixture = Fixture::with(configs);
        let refusal = fixture.append(records).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
        assert_eq!(fixture.partition.marks().high_watermark, Offset(0), "{code:?}");
    }
}

#[test]
fn records_of_compressed_batches_are_held_to_the_topics_rules() {
    let compacted = ("cleanup.policy", "compact");
    let ahead = ("message.timestamp.after.max.ms", "1000");
    let late: &[(Option<&str>, i64)] = &[(Some("k"), NOW.0), (Some("k"), NOW.0 + 1001), (Some("k"), NOW.0)];
    let keyless: &[(Option<&str>, i64)] = &[(Some("k"), NOW.0), (None, NOW.0)];
    for (config, records, code) in [
        (compacted, keyless, ErrorCode::INVALID_RECORD),
        (ahead, late, ErrorCode::INVALID_TIMESTAMP),
    ] {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let refusal = Fixture::with(&[config])
                .append(batch_in(codec, records))
                .unwrap_err();
            assert_eq!(refusal.code, code, "{codec}: {refusal:?}");
        }
    }
    let trusting = &[compacted, ("ringlog.validate", "header")];
    assert!(
        Fixture::with(trusting)
            .append(batch_in(Codec::Lz4, keyless))
            .is_ok()
    );
}

#[test]
fn a_compressed_batch_gets_the_latest_time_of_its_records() {
    let mut fixture = Fixture::new();
    let mut batch = batch_in(Codec::Zstd, &[(None, NOW.0), (None, NOW.0 - 5)]);
    let at = crate::wire::batch::layout::MAX_TIMESTAMP;
    batch[at..at + 8].copy_from_slice(&[0; 8]);
    let crc = crate::base::crc32c(&batch[crate::wire::batch::layout::ATTRIBUTES..]).to_be_bytes();
    batch[crate::wire::batch::layout::CRC..][..4].copy_from_slice(&crc);
    fixture.append(batch).unwrap();
    let bytes = fixture.read(0).unwrap();
    let view = BatchView::first(&bytes).unwrap();
    assert_eq!(view.max_timestamp(), NOW);
    assert!(view.crc_is_valid());
}

#[test]
fn a_repeated_batch_is_answered_as_the_first_was_and_written_once() {
    let mut fixture = Fixture::new();
    let first = fixture.append(produced(0, 0)).unwrap();
    fixture.append(produced(1, 0)).unwrap();
    let again = fixture.append(produced(0, 0)).unwrap();
    assert_eq!((again.base_offset, again.tail_bytes), (first.base_offset, 0));
    assert_eq!(fixture.partition.marks().high_watermark, Offset(2));
    let gap = fixture.append(produced(3, 0)).unwrap_err();
    assert_eq!(gap.code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    fixture.append(produced(0, 1)).unwrap();
    let old = fixture.append(produced(2, 0)).unwrap_err();
    assert_eq!(old.code, ErrorCode::INVALID_PRODUCER_EPOCH);
}

#[test]
fn the_tail_and_the_disk_give_the_same_bytes() {
    let mut fixture = Fixture::new();
    for records in [1, 2, 3] {
        fixture.append(batch(records)).unwrap();
    }
    let from_tail = fixture.read(1).unwrap();
    assert!(matches!(
        fixture.partition.read(&range(1), ALL),
        Ok(Found::Here(..))
    ));
    while fixture.partition.shrink_tail().is_some() {}
    assert!(matches!(
        fixture.partition.read(&range(1), ALL),
        Ok(Found::OnDisk(..))
    ));
    assert_eq!(fixture.read(1).unwrap(), from_tail);
}

#[test]
fn readers_outside_the_log_or_with_another_epoch_are_told() {
    let mut fixture = Fixture::new();
    fixture.append(batch(2)).unwrap();
    assert_eq!(fixture.read(2), Ok(Vec::new()), "the end is inside");
    for offset in [-1, 3] {
        assert_eq!(fixture.read(offset), Err(ReadError::OffsetOutOfRange), "{offset}");
    }
    for (epoch, expected) in [
        (3, Err(ReadError::FencedLeaderEpoch)),
        (4, Ok(())),
        (5, Err(ReadError::UnknownLeaderEpoch)),
        (-1, Ok(())),
        (-2, Ok(())),
    ] {
        let range = ReadRange {
            current_epoch: LeaderEpoch(epoch),
            ..range(0)
        };
        let read = fixture.partition.read(&range, ALL);
        assert_eq!(read.map(|_| ()), expected, "epoch {epoch}");
    }
}

#[test]
fn a_reader_of_a_log_that_parted_from_ours_is_told_where() {
    let mut fixture = Fixture::new();
    fixture.append(batch(2)).unwrap();
    let range = ReadRange {
        last_fetched_epoch: LeaderEpoch(3),
        ..range(1)
    };
    let read = fixture.partition.read(&range, ALL);
    match read {
        // Nothing of epoch 3 is in this log: its end there is where epoch 4 begins.
        Ok(Found::Diverging(_, end)) => assert_eq!(end, Offset(0)),
        Ok(_) => panic!("read as if nothing had parted"),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn every_so_many_records_an_append_waits_for_a_flush_and_those_behind_it_too() {
    let mut fixture = Fixture::with(&[("flush.messages", "3")]);
    let mut after = |n| fixture.append(produced(n, 0)).unwrap().after;
    assert_eq!((after(0), after(1)), (None, None));
    assert_eq!((after(2), after(3)), (Some(Offset(3)), Some(Offset(4))));
    assert_eq!(fixture.partition.committed(), Offset(2));
    let plan = fixture.partition.flush_plan().unwrap();
    fixture.append(produced(4, 0)).unwrap();
    fixture.flushed(plan);
    // Of the five the last is not flushed, which is one: it needn't be.
    assert_eq!(fixture.partition.committed(), Offset(5));
    assert_eq!(fixture.append(produced(5, 0)).unwrap().after, None);
    assert_eq!(fixture.append(produced(6, 0)).unwrap().after, Some(Offset(7)));
    let plan = fixture.partition.flush_plan().unwrap();
    (7..10).for_each(|n| _ = fixture.append(produced(n, 0)).unwrap());
    fixture.flushed(plan);
    assert_eq!(
        fixture.partition.committed(),
        Offset(7),
        "three more came, and wait for the next flush"
    );
}

#[test]
fn records_that_were_not_flushed_for_long_are_overdue() {
    let mut fixture = Fixture::with(&[("flush.ms", "1000")]);
    let at = |ms| Timestamp(NOW.0 + ms);
    assert_eq!(
        fixture.partition.overdue_flush(at(5000)),
        None,
        "there is nothing"
    );
    fixture.append(produced(0, 0)).unwrap();
    assert_eq!(fixture.partition.overdue_flush(at(999)), None);
    assert_eq!(fixture.partition.overdue_flush(at(1000)), Some(Offset(1)));
    let plan = fixture.partition.flush_plan().unwrap();
    fixture.partition.flushed(plan.without_running(), at(1000));
    assert_eq!(fixture.partition.overdue_flush(at(9000)), None);
    fixture.append(produced(1, 0)).unwrap();
    assert_eq!(fixture.partition.overdue_flush(at(1999)), None);
    assert_eq!(fixture.partition.overdue_flush(at(2000)), Some(Offset(2)));
}

#[test]
fn files_that_wait_for_room_or_descriptors_do_not_end_a_partition_and_other_errors_do() {
    for (code, ends) in [(libc::ENOSPC, false), (libc::EMFILE, false), (libc::EIO, true)] {
        let mut fixture = Fixture::new();
        let upkeep = fixture.partition.begin_upkeep().unwrap();
        assert!(upkeep.is_some(), "a new log's names");
        let failed = Err(std::io::Error::from_raw_os_error(code));
        assert!(fixture.partition.end_upkeep(failed).is_err());
        assert_eq!(fixture.append(produced(0, 0)).is_err(), ends, "{code}");
        assert_eq!(
            fixture.partition.begin_upkeep().unwrap().is_none(),
            ends,
            "{code}"
        );
    }
}

#[test]
fn durable_records_count_once_they_are_flushed() {
    let mut fixture = Fixture::with(&[("ringlog.ack", "durable")]);
    let fired = Rc::new(std::cell::Cell::new(false));
    let seen = fired.clone();
    let (watch, _guard) = Watch::new(1, move || seen.set(true));
    fixture.partition.watch(watch);
    let first = fixture.append(produced(0, 0)).unwrap();
    let second = fixture.append(produced(1, 0)).unwrap();
    assert_eq!((first.after, second.after), (Some(Offset(1)), Some(Offset(2))));
    assert_eq!(fixture.partition.marks().high_watermark, Offset(0));
    assert_eq!(fixture.read(0), Ok(Vec::new()), "no reader sees it yet");
    assert!(!fired.get());
    let again = fixture.append(produced(0, 0)).unwrap();
    assert_eq!(
        again.after,
        Some(Offset(1)),
        "a repeated batch waits for the first"
    );
    // What was appended after the flush began is not covered by it.
    let plan = fixture.partition.flush_plan().unwrap();
    fixture.append(produced(2, 0)).unwrap();
    fixture.flushed(plan);
    assert_eq!(fixture.partition.marks().high_watermark, Offset(2));
    assert!(fired.get());
    assert_eq!(batch::batches(&fixture.read(0).unwrap()).count(), 2);
    assert_eq!(fixture.append(produced(0, 0)).unwrap().after, None);
    fixture.partition.go_offline();
    let refusal = fixture.append(produced(3, 0)).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(batch::batches(&fixture.read(0).unwrap()).count(), 2, "still read");
}

#[test]
fn an_append_fires_the_watch_it_satisfies() {
    let mut fixture = Fixture::new();
    let size_bytes = batch(1).len() as u64;
    let fired = Rc::new(std::cell::Cell::new(false));
    let seen = fired.clone();
    let (watch, _guard) = Watch::new(size_bytes + 1, move || seen.set(true));
    fixture.partition.watch(watch);
    fixture.append(batch(1)).unwrap();
    assert!(!fired.get(), "one byte is missing");
    fixture.append(batch(1)).unwrap();
    assert!(fired.get());
}

#[test]
fn whoever_found_nothing_hears_of_every_change_once() {
    let mut fixture = Fixture::new();
    let told = Rc::new(std::cell::Cell::new(0));
    let interest = Interest {
        session: crate::base::FetchSessionId(1),
        place: 0,
    };
    let count = told.clone();
    let tell: Rc<dyn Fn(Interest)> = Rc::new(move |_| count.set(count.get() + 1));
    let config = fixture.partition.config.clone();
    let changes: [&dyn Fn(&mut Fixture); 3] = [
        &|fixture| {
            fixture.append(batch_of(&[(None, NOW.0)])).unwrap();
            fixture.append(batch_of(&[(None, NOW.0)])).unwrap();
        },
        &|fixture| {
            let options = LogOptions::default();
            fixture
                .partition
                .update(LeaderEpoch(EPOCH.0 + 1), config.clone(), options);
        },
        &|fixture| fixture.partition.go_offline(),
    ];
    for (changed, change) in changes.iter().enumerate() {
        fixture.partition.interests_mut().add(interest, || tell.clone());
        change(&mut fixture);
        assert_eq!(told.get(), changed + 1);
    }
    fixture.partition.interests_mut().add(interest, || tell.clone());
    fixture.partition.abandon();
    assert_eq!(told.get(), 4);
}

const PRODUCER: Producer = Producer {
    id: 1,
    epoch: 0,
    sequence: 0,
};

impl Fixture {
    /// Puts a batch of a transaction, or its end, behind the others, as a replica or a coordinator would.
    fn write(&mut self, batch: Vec<u8>) {
        self.partition.write(batch.into(), NOW).unwrap();
    }

    fn write_inside(&mut self) {
        let base = self.partition.log.end_offset().0;
        self.write(transactional(base, PRODUCER, &["inside"], NOW));
    }

    fn write_end(&mut self, is_abort: bool) {
        let base = self.partition.log.end_offset().0;
        self.write(end_of_transaction(base, PRODUCER, is_abort, NOW));
    }

    /// High watermark and last stable offset.
    fn ends(&self) -> (i64, i64) {
        let marks = self.partition.marks();
        (marks.high_watermark.0, marks.last_stable_offset.0)
    }

    /// The end of what a `read_committed` reader gets from `offset` on, and the transactions that it is told of: where
    /// each begins.
    fn read_committed(&self, offset: i64) -> (i64, Vec<i64>) {
        let found = self.partition.read(&range(offset), Isolation::ReadCommitted);
        let (segments, aborted) = match found.unwrap() {
            Found::Here(segments, aborted) => (segments, aborted),
            Found::OnDisk(plan, aborted) => (vec![plan.run_now().unwrap()], aborted),
            Found::Diverging(..) => panic!("no follower asked"),
        };
        let end = end_of(&segments).unwrap_or(Offset(offset));
        let aborted = aborted.run_now(end).unwrap();
        (
            end.0,
            aborted.iter().map(|aborted| aborted.first_offset.0).collect(),
        )
    }

    fn flush(&mut self) {
        let flushed = self.partition.flush_plan().unwrap().without_running();
        self.partition.flushed(flushed, NOW);
    }
}

#[test]
fn an_open_transaction_holds_read_committed_back_and_its_end_wakes_who_waits() {
    for is_abort in [false, true] {
        let mut fixture = Fixture::new();
        fixture.append(batch(1)).unwrap();
        fixture.write_inside();
        fixture.append(batch(1)).unwrap();
        assert_eq!(fixture.ends(), (3, 1));
        assert_eq!(fixture.read_committed(0), (1, vec![]));
        assert_eq!(fixture.read_committed(1), (1, vec![]));
        assert_eq!(
            fixture.read_committed(3),
            (3, vec![]),
            "behind the last stable offset"
        );
        let fired = Rc::new(std::cell::Cell::new(false));
        let seen = fired.clone();
        // More than the marker has: what it sets free was appended before.
        let (watch, _guard) = Watch::new(1 << 20, move || seen.set(true));
        fixture.partition.watch(watch);
        fixture.append(batch(1)).unwrap();
        assert!(!fired.get());
        fixture.write_end(is_abort);
        assert!(fired.get());
        assert_eq!(fixture.ends(), (5, 5));
        let aborted = if is_abort { vec![1] } else { vec![] };
        assert_eq!(fixture.read_committed(0), (5, aborted.clone()));
        while fixture.partition.shrink_tail().is_some() {}
        assert_eq!(fixture.read_committed(0), (5, aborted), "from disk");
    }
}

#[test]
fn the_end_of_a_transaction_counts_once_it_is_durable_itself() {
    let mut fixture = Fixture::with(&[("ringlog.ack", "durable")]);
    fixture.write_inside();
    fixture.flush();
    assert_eq!(fixture.ends(), (1, 0));
    fixture.append(batch(1)).unwrap();
    let flushed = fixture.partition.flush_plan().unwrap().without_running();
    fixture.write_end(false);
    fixture.partition.flushed(flushed, NOW);
    assert_eq!(fixture.ends(), (2, 0), "a crash may take the marker back");
    fixture.flush();
    assert_eq!(fixture.ends(), (3, 3));
}

#[test]
fn after_a_crash_nothing_is_stable_before_the_first_flush() {
    let mut fixture = Fixture::with(&[("ringlog.ack", "durable")]);
    fixture.append(batch(1)).unwrap();
    fixture.write_inside();
    fixture.flush();
    let resume = Resume {
        recovery_point: Offset(2),
        ..Resume::default()
    };
    let (options, config) = (LogOptions::default(), fixture.partition.config.clone());
    let opened = Log::open_now(fixture.dir.path(), options, Opened::AfterCrash, resume, NOW);
    fixture.partition = Partition::new(opened.unwrap().0, EPOCH, config, NOW);
    assert_eq!(fixture.ends().1, 0);
    fixture.flush();
    assert_eq!(fixture.ends(), (2, 1));
}

/// The system tells of a failure once, and gives up what was to be flushed.
#[test]
fn a_flush_that_succeeds_behind_one_that_failed_counts_for_nothing() {
    let mut fixture = Fixture::with(&[("ringlog.ack", "durable")]);
    fixture.append(batch(1)).unwrap();
    let plan = fixture.partition.flush_plan().unwrap();
    fixture.partition.go_offline();
    fixture.flushed(plan);
    assert_eq!(fixture.partition.marks().high_watermark, Offset(0));
    assert_eq!(fixture.partition.log().recovery_point(), Offset(0));
}
