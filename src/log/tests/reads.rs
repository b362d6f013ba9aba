//! Reading by offset.

use super::*;

fn log_of(sizes: &[usize]) -> (tempfile::TempDir, Log) {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        index_interval_bytes: 100,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    for (n, size) in sizes.iter().enumerate() {
        let value = "x".repeat(*size);
        log.append(&batch(2 * n as i64, &[(5, &value), (6, "y")]), NOW)
            .unwrap();
    }
    (dir, log)
}

fn bases(log: &Log, offset: i64, limits: ReadLimits) -> Vec<i64> {
    let read = log.read(Offset(offset), limits).unwrap().run_now().unwrap();
    batches(&read)
        .iter()
        .map(|(_, header)| header.base_offset.0)
        .collect()
}

#[test]
fn begin_with_the_batch_that_holds_the_offset_and_end_with_a_whole_one() {
    let (_dir, log) = log_of(&[10; 20]);
    let size = batch(0, &[(5, "xxxxxxxxxx"), (6, "y")]).len();
    let limits = |bytes_max| ReadLimits { bytes_max, ..ALL };
    for offset in 0..38 {
        let base = offset / 2 * 2;
        assert_eq!(bases(&log, offset, limits(2 * size)), [base, base + 2]);
        assert_eq!(bases(&log, offset, limits(2 * size - 1)), [base]);
        assert_eq!(bases(&log, offset, limits(0)), [base], "at least one");
        let none = ReadLimits {
            at_least_one: false,
            ..limits(size - 1)
        };
        assert_eq!(bases(&log, offset, none), [0; 0]);
    }
    assert_eq!(bases(&log, 40, ALL), [0; 0]);
    assert!(log.read(Offset(40), ALL).unwrap().is_empty());
    for offset in [-1, 41] {
        assert!(matches!(
            log.read(Offset(offset), ALL),
            Err(ReadError::OutOfRange { .. })
        ));
    }
}

#[test]
fn stop_before_the_upper_offset() {
    let (_dir, log) = log_of(&[10; 5]);
    let upto = |upper| ReadLimits {
        upper: Offset(upper),
        ..ALL
    };
    assert_eq!(bases(&log, 1, upto(6)), [0, 2, 4]);
    assert_eq!(bases(&log, 1, upto(5)), [0, 2]);
    assert_eq!(bases(&log, 1, upto(1)), [0; 0]);
    assert_eq!(bases(&log, 6, upto(6)), [0; 0]);
}

#[test]
fn find_batches_behind_ones_that_are_larger_than_any_buffer() {
    let (_dir, log) = log_of(&[200_000, 10, 100_000, 300_000, 10]);
    for offset in 0..10 {
        let limits = ReadLimits {
            bytes_max: 1000,
            ..ALL
        };
        assert_eq!(bases(&log, offset, limits)[0], offset / 2 * 2);
    }
}

#[test]
fn skip_what_compaction_took() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_ms: 10,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    for (base, timestamp) in [(3, 0), (9, 0), (20, 50), (31, 50)] {
        log.append(&batch(base, &[(timestamp, "x")]), NOW).unwrap();
    }
    assert_eq!(log.segment_count(), 2);
    for (offset, found) in [(0, 3), (3, 3), (4, 9), (10, 20), (15, 20), (21, 31)] {
        assert_eq!(bases(&log, offset, ALL)[0], found);
    }
}

#[test]
fn a_plan_reads_on_while_the_log_moves_on() {
    let (_dir, mut log) = log_of(&[10; 4]);
    let plan = log.read(Offset(2), ALL).unwrap();
    log.options_mut().retention_bytes = 0;
    log.append(&batch(8, &[(5, "z")]), NOW).unwrap();
    for _ in 0..2 {
        // The active one is sealed at first.
        log.settle_now();
        remove(log.delete_old_segments_now(NOW, Offset(9)).unwrap());
    }
    assert_eq!(log.segment_count(), 1);
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(9), Offset(9)));
    let read = plan.run_now().unwrap();
    let found: Vec<i64> = batches(&read)
        .iter()
        .map(|(_, header)| header.base_offset.0)
        .collect();
    assert_eq!(found, [2, 4, 6]);
}

#[test]
fn damage_is_an_error_that_says_where() {
    let (dir, log) = log_of(&[10; 4]);
    let path = dir.path().join(names::offset_file(Offset(0), names::LOG));
    let mut bytes = std::fs::read(&path).unwrap();
    let third = batches(&bytes)[2].0;
    bytes[third + 16] = 9;
    std::fs::write(&path, &bytes).unwrap();
    let error = log.read(Offset(0), ALL).unwrap().run_now().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: at byte {third}: a record batch of format 9; only 2 is supported",
            path.display()
        )
    );
    bytes[16] = 9;
    std::fs::write(&path, bytes).unwrap();
    let lookup = log.offset_for_timestamp(Timestamp(6)).unwrap();
    let error = lookup.run_now().unwrap_err().to_string();
    let place = format!("{}: at byte 0: ", path.display());
    assert!(error.starts_with(&place), "{error}");
}

/// Which no CRC covers.
#[test]
fn a_base_offset_that_cannot_be_is_an_error_and_no_end_to_wait_at() {
    let (dir, log) = log_of(&[10; 4]);
    let path = dir.path().join(names::offset_file(Offset(0), names::LOG));
    let mut bytes = std::fs::read(&path).unwrap();
    let third = batches(&bytes)[2].0;
    bytes[third + 5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for offset in [0, 4] {
        let error = log.read(Offset(offset), ALL).unwrap().run_now().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("{}: at byte {third}: ", path.display())),
            "{error}"
        );
    }
}

#[test]
fn an_index_that_leads_astray_hides_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        index_interval_bytes: 100,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
    for n in 0..12 {
        log.append(&batch(2 * n, &[(5, "x"), (5, "y")]), NOW).unwrap();
    }
    close(log);
    let path = dir.path().join(names::offset_file(Offset(0), names::INDEX));
    let whole = std::fs::read(&path).unwrap();
    assert!(whole.len() >= 4 * 8);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let (log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
        for offset in 0..24 {
            for bytes_max in [1, 300] {
                let limits = ReadLimits { bytes_max, ..ALL };
                let read = log.read(Offset(offset), limits).unwrap().run_now().unwrap();
                let first = batches(&read)[0].1.base_offset;
                assert_eq!(
                    first,
                    Offset(offset / 2 * 2),
                    "bit {bit} flipped, read at {offset}"
                );
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

/// Kafka looks among the deleted ones too.
#[test]
fn the_latest_record_is_sought_behind_the_logs_start() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 600,
        index_interval_bytes: 100,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    let mut times = Vec::new();
    for n in 0..30 {
        let (first, second) = (1000 + 37 * n % 200, 990 + 61 * n % 200);
        log.append(&batch(2 * n, &[(first, "x"), (second, "y")]), NOW)
            .unwrap();
        times.extend([first, second]);
    }
    assert!(log.segment_count() > 3);
    for start in 0..=times.len() {
        log.delete_records_before(Offset(start as i64));
        let found = log.offset_of_max_timestamp().unwrap().run_now().unwrap();
        let found = found.map(|found| (found.offset.0, found.timestamp.0));
        let left = times.iter().zip(0..).skip(start);
        let latest = left.max_by_key(|(time, offset)| (**time, -offset));
        assert_eq!(
            found,
            latest.map(|(time, offset)| (offset, *time)),
            "from {start}"
        );
    }
}
