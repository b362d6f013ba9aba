//! A log that was truncated is one to which what was taken back had never been appended.

use super::upkeep::{keep_up, on_a_core};
use super::*;
use crate::log::producers::RememberedBatch;
use crate::log::testing::{end_of_transaction, transactional};

pub fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 700,
        index_interval_bytes: 100,
        ..LogOptions::default()
    }
}

/// Batches of several producers, epochs and times, with transactions that commit and abort: `(base offset, bytes)`.
pub fn script() -> Vec<(i64, Vec<u8>)> {
    let mut batches = Vec::new();
    let mut offset = 0;
    for n in 0..24 {
        let producer = |id, sequence| Producer {
            id,
            epoch: 0,
            sequence,
        };
        let at = Timestamp(1000 + 37 * n % 200);
        let (mut bytes, records) = match n % 6 {
            3 => (transactional(offset, producer(9, n as i32 / 6), &["in"], at), 1),
            5 => (end_of_transaction(offset, producer(9, -1), n % 12 == 5, at), 1),
            _ => {
                let records = [(at.0, "first"), (at.0 - 20, "second")];
                (
                    batch_of(offset, n as i32 / 8, producer(n % 3, n as i32), &records),
                    2,
                )
            }
        };
        // The leader's epoch, which is not under the CRC.
        bytes[12..16].copy_from_slice(&(n as i32 / 8).to_be_bytes());
        batches.push((offset, bytes));
        offset += records;
    }
    batches
}

pub fn appended(dir: &Path, batches: &[(i64, Vec<u8>)]) -> Log {
    let (mut log, _) = open(dir, options(), Opened::AfterCleanStop);
    batches
        .iter()
        .for_each(|(_, bytes)| _ = log.append(bytes, NOW).unwrap());
    log
}

async fn truncate(log: &mut Log, to: i64) {
    let begun = log.begin_truncation(Offset(to), NOW).unwrap();
    let truncated = begun.run().await.unwrap();
    log.end_truncation(truncated, NOW).unwrap().run().await;
    let flushed = log.flush_plan().unwrap().run().await.unwrap();
    log.flushed(flushed);
}

/// Everything that can be asked of a log.
pub fn told(log: &Log) -> String {
    let times = (990..1210).step_by(7).map(|time| {
        let plan = log.offset_for_timestamp(Timestamp(time)).unwrap();
        plan.run_now().unwrap().map(|found| found.offset.0)
    });
    let latest = log.offset_of_max_timestamp().unwrap().run_now().unwrap();
    let aborted = log.aborted_transactions(log.start_offset(), log.end_offset());
    let aborted = aborted.run_now(log.end_offset()).unwrap();
    let known = |batch: &RememberedBatch| (batch.last_sequence, batch.last_offset, batch.offset_delta);
    let producers = log.producers().iter().map(|(id, state)| {
        let batches: Vec<_> = state.batches().iter().map(known).collect();
        (id, state.epoch(), batches, state.transaction_start())
    });
    let epochs = (0..4).map(|epoch| log.epoch_end_offset(LeaderEpoch(epoch)));
    format!(
        "{:?}",
        (
            [log.start_offset(), log.end_offset(), log.stable_end()],
            read_all(log),
            producers.collect::<Vec<_>>(),
            times.collect::<Vec<_>>(),
            latest,
            aborted,
            epochs.collect::<Vec<_>>(),
        )
    )
}

#[test]
fn what_was_taken_back_might_never_have_been_there() {
    on_a_core(|root| async move {
        let batches = script();
        let end = batches.last().unwrap().0 + 1;
        for to in 1..=end + 1 {
            let kept = batches.partition_point(|(base, bytes)| {
                let header = BatchHeader::parse(bytes).unwrap();
                *base < to && header.last_offset.0 < to
            });
            let (dir, other) = (root.join(format!("a-{to}")), root.join(format!("b-{to}")));
            let mut log = appended(&dir, &batches);
            if to % 2 == 0 {
                keep_up(&mut log).await;
            }
            truncate(&mut log, to).await;
            let expected = appended(&other, &batches[..kept]);
            assert_eq!(told(&log), told(&expected), "truncated to {to}");
            for opened in [Opened::AfterCrash, Opened::AfterCleanStop] {
                match opened {
                    Opened::AfterCrash => drop(log),
                    Opened::AfterCleanStop => drop(log.close().await.unwrap()),
                }
                log = open(&dir, options(), opened).0;
                assert_eq!(
                    told(&log),
                    told(&expected),
                    "truncated to {to}, opened {opened:?}"
                );
            }
            let mut expected = expected;
            for (_, bytes) in &batches[kept..] {
                assert_eq!(log.append(bytes, NOW).unwrap().base_offset, expected.end_offset());
                expected.append(bytes, NOW).unwrap();
            }
            assert_eq!(told(&log), told(&expected), "truncated to {to}, and appended to");
        }
    });
}

#[test]
fn a_log_that_is_truncated_before_its_start_or_as_a_whole_begins_anew() {
    on_a_core(|root| async move {
        for (to, is_full) in [(3, false), (12, false), (3, true), (100, true)] {
            let dir = root.join(format!("{to}-{is_full}"));
            let mut log = appended(&dir, &script());
            log.delete_records_before(Offset(12));
            let begun = match is_full {
                true => log.begin_full_truncation(Offset(to), NOW).unwrap(),
                false => log.begin_truncation(Offset(to), NOW).unwrap(),
            };
            let truncated = begun.run().await.unwrap();
            log.end_truncation(truncated, NOW).unwrap().run().await;
            let ends = (log.start_offset(), log.end_offset(), log.recovery_point());
            assert_eq!(ends, (Offset(to), Offset(to), Offset(to)));
            assert!(log.producers().is_empty() && log.latest_epoch().is_none());
            let left: Vec<String> = offset_files(&dir).into_keys().collect();
            assert_eq!(left, [names::offset_file(Offset(to), names::LOG)]);
            log.append(&batch(to, &[(5, "x")]), NOW).unwrap();
            drop(log);
            let (log, _) = open(&dir, options(), Opened::AfterCrash);
            assert_eq!((log.start_offset().0, log.end_offset().0), (to, to + 1));
        }
    });
}

#[test]
fn a_log_that_ends_there_already_forgets_only_epochs_without_records() {
    on_a_core(|dir| async move {
        let mut log = appended(&dir, &script());
        let before = told(&log);
        log.begin_epoch(LeaderEpoch(9));
        let behind = log.end_offset().0 + 5;
        truncate(&mut log, behind).await;
        assert_eq!((told(&log), log.latest_epoch()), (before, Some(LeaderEpoch(2))));
    });
}

#[test]
fn a_segment_that_is_taken_back_before_it_has_its_name_never_gets_it() {
    on_a_core(|dir| async move {
        let mut log = appended(&dir, &script());
        assert!(log.segment_count() > 2);
        let begun = log.begin_truncation(Offset(1), NOW).unwrap();
        let names: Vec<String> = offset_files(&dir).into_keys().collect();
        let taken = names.iter().filter(|name| name.ends_with(names::DELETED));
        let own_name = format!("{}.{}", names::LOG, names::DELETED);
        let (own, spare): (Vec<&String>, Vec<&String>) =
            taken.partition(|name| name.ends_with(&own_name) && name.len() == 20 + 1 + own_name.len());
        assert!(
            own.is_empty(),
            "a crash between two renames would leave it: {own:?}"
        );
        assert!(!spare.is_empty());
        drop(begun.run().await.unwrap());
        let left: Vec<String> = offset_files(&dir).into_keys().collect();
        assert!(
            !left.iter().any(|name| name.ends_with(names::DELETED)),
            "{left:?}"
        );
    });
}

#[test]
fn aborted_transactions_that_are_all_taken_back_leave_no_file_that_a_crash_could_bring_back() {
    on_a_core(|dir| async move {
        let mut log = appended(&dir, &script());
        keep_up(&mut log).await;
        let has_aborted = |dir: &Path| {
            let mut names = offset_files(dir).into_keys();
            names.any(|name| name.ends_with(names::TXN_INDEX))
        };
        assert!(has_aborted(&dir));
        truncate(&mut log, 1).await;
        assert!(!has_aborted(&dir));
    });
}
