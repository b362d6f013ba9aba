//! Appends that fail, and flushes.

use super::*;

#[test]
fn a_full_disk_refuses_the_append_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    close(open(dir.path(), LogOptions::default(), Opened::AfterCleanStop).0);
    let path = dir.path().join(names::offset_file(Offset(0), names::LOG));
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let (mut log, _) = open(dir.path(), LogOptions::default(), Opened::AfterCleanStop);
    let producer = Producer {
        id: 7,
        epoch: 1,
        sequence: 0,
    };
    let first = batch_of(0, 3, producer, &[(5, "x")]);
    for _ in 0..2 {
        let refused = log.append(&first, NOW);
        assert!(matches!(refused, Err(AppendError::Disk(_))), "{refused:?}");
        assert_eq!(
            (log.end_offset(), log.size_bytes(), log.latest_epoch()),
            (Offset(0), 0, None)
        );
        assert!(log.producers().is_empty());
    }
    // Space returns.
    log.release_files();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "what a short write left").unwrap();
    log.append(&first, NOW).unwrap();
    close(log);
    assert_eq!(std::fs::read(&path).unwrap(), first);
}

#[test]
fn a_roll_that_fails_leaves_the_log_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 100,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    log.append(&batch(0, &[(5, "x")]), NOW).unwrap();
    // A directory in the place of the next segment.
    let blocker = dir.path().join(names::offset_file(Offset(1), names::NEXT));
    std::fs::create_dir(&blocker).unwrap();
    assert!(matches!(
        log.append(&batch(1, &[(6, "y")]), NOW),
        Err(AppendError::Disk(_))
    ));
    assert_eq!((log.end_offset(), log.segment_count()), (Offset(1), 1));
    std::fs::remove_dir(&blocker).unwrap();
    assert!(log.append(&batch(1, &[(6, "y")]), NOW).unwrap().rolled);
    assert_eq!(batches(&read_all(&log)).len(), 2);
}

#[test]
fn what_is_not_one_batch_or_not_the_next_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), LogOptions::default(), Opened::AfterCleanStop);
    let first = batch(0, &[(5, "x"), (6, "y")]);
    log.append(&first, NOW).unwrap();
    for bytes in [
        &first[..first.len() - 1],
        &[&first[..], &first].concat(),
        &[],
        &first[..HEADER_BYTES],
    ] {
        assert!(matches!(log.append(bytes, NOW), Err(AppendError::Malformed(_))));
    }
    let again = log.append(&batch(1, &[(5, "x")]), NOW);
    assert!(matches!(
        again,
        Err(AppendError::OffsetInPast {
            base: Offset(1),
            end: Offset(2)
        })
    ));
}

#[test]
fn cover_what_was_appended_since_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), LogOptions::default(), Opened::AfterCleanStop);
    let names = log.flush_plan().unwrap();
    assert!(!names.is_empty(), "a new log's names");
    log.flushed(names.without_running());
    assert!(log.flush_plan().unwrap().is_empty());
    log.append(&batch(0, &[(5, "x")]), NOW).unwrap();
    let plan = log.flush_plan().unwrap();
    log.append(&batch(1, &[(5, "x")]), NOW).unwrap();
    log.flushed(plan.without_running());
    assert_eq!(log.recovery_point(), Offset(1));
    let plan = log.flush_plan().unwrap();
    assert!(!plan.is_empty());
    log.flushed(plan.without_running());
    assert_eq!(log.recovery_point(), Offset(2));
    assert!(log.flush_plan().unwrap().is_empty());
}

#[test]
fn a_log_that_rests_is_closed_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), LogOptions::default(), Opened::AfterCleanStop);
    log.append(&batch(0, &[(5, "x")]), NOW).unwrap();
    close(log);
    let (mut log, _) = open(dir.path(), LogOptions::default(), Opened::AfterCleanStop);
    assert!(log.closing_plan().unwrap().is_empty());
}
