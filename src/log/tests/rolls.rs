//! When a log begins a new segment.

use super::*;

fn bases(log: &Log) -> Vec<i64> {
    log.segments.iter().map(|segment| segment.base().0).collect()
}

#[test]
fn by_bytes_before_a_batch_would_make_a_segment_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let one = batch(0, &[(5, "x")]).len() as u32;
    let options = LogOptions {
        segment_bytes: 2 * one,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    let rolled: Vec<bool> = (0..5)
        .map(|n| log.append(&batch(n, &[(5, "x")]), NOW).unwrap().rolled)
        .collect();
    assert_eq!(rolled, [false, false, true, false, true]);
    assert_eq!(bases(&log), [0, 2, 4]);
    let too_large = log.append(&batch(5, &[(5, &"x".repeat(one as usize))]), NOW);
    assert!(matches!(too_large, Err(AppendError::LargerThanSegment { .. })));
    assert_eq!(log.end_offset(), Offset(5));
}

#[test]
fn by_the_records_time_or_by_the_clock_if_they_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_ms: 100,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    for (n, timestamp) in [1000, 1100, 900, 1101, 1300, -1].into_iter().enumerate() {
        log.append(&batch(n as i64, &[(timestamp, "x")]), NOW).unwrap();
    }
    assert_eq!(bases(&log), [0, 3, 4]);
    let later = |ms| Timestamp(NOW.0 + ms);
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_ms: 100,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    for (n, ms) in [50, 100, 101, 150].into_iter().enumerate() {
        log.append(&batch(n as i64, &[(-1, "x")]), later(ms)).unwrap();
    }
    assert_eq!(bases(&log), [0, 2]);
}

#[test]
fn when_an_index_is_full_or_an_offset_would_not_fit_one() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        index_interval_bytes: 0,
        index_bytes_max: 48,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    for n in 0..10 {
        log.append(&batch(n, &[(n, "x")]), NOW).unwrap();
    }
    // 48 bytes are four time entries, one of which is for sealing; the first batch has none.
    assert_eq!(bases(&log), [0, 4, 8]);
    let far = 8 + i64::from(i32::MAX);
    log.append(&batch(far, &[(20, "x")]), NOW).unwrap();
    log.append(&batch(far + 1, &[(20, "x")]), NOW).unwrap();
    assert_eq!(bases(&log), [0, 4, 8, far + 1]);
    close(log);
    let (log, recovery) = open(dir.path(), LogOptions::default(), Opened::AfterCrash);
    assert_eq!((recovery.bytes_cut, log.end_offset()), (0, Offset(far + 2)));
}

#[test]
fn earlier_by_chance_so_that_not_all_partitions_roll_at_once() {
    let mut ages = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            segment_ms: 100,
            segment_jitter_ms: 60,
            ..LogOptions::default()
        };
        let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
        let timestamps = (0..200).map(|n| (n, 1000 + n));
        for (n, timestamp) in timestamps {
            if log.append(&batch(n, &[(timestamp, "x")]), NOW).unwrap().rolled {
                ages.insert(n);
                break;
            }
        }
    }
    assert!(ages.iter().all(|age| (41..=101).contains(age)), "{ages:?}");
    assert!(ages.len() > 5, "{ages:?}");
}

#[test]
fn never_onto_a_name_that_is_taken() {
    for index_bytes_max in [4, 8, 12, 16, 23] {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            index_interval_bytes: 0,
            index_bytes_max,
            ..LogOptions::default()
        };
        let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
        for n in 0..6 {
            log.append(&batch(n, &[(n, "x")]), NOW).unwrap();
        }
        // There is room for sealing's entry alone, or not even for that.
        assert_eq!(bases(&log), [0, 1, 2, 3, 4, 5], "{index_bytes_max}");
        close(log);
        let (log, recovery) = open(dir.path(), options, Opened::AfterCrash);
        assert_eq!((recovery.bytes_cut, log.end_offset()), (0, Offset(6)));
    }
}
