//! Opening what a crash left.

use super::upkeep::{keep_up, on_a_core};
use super::*;

fn log_path(dir: &Path) -> PathBuf {
    dir.join(names::offset_file(Offset(0), names::LOG))
}

/// Three batches of one producer and two epochs, and where the last begins.
fn three(dir: &Path) -> (Vec<u8>, usize) {
    let (mut log, _) = open(dir, LogOptions::default(), Opened::AfterCleanStop);
    for (n, epoch) in [(0, 1), (1, 1), (2, 4)] {
        let producer = Producer {
            id: 7,
            epoch: 1,
            sequence: n as i32,
        };
        log.append(&batch_of(n, epoch, producer, &[(10 * n, "value")]), NOW)
            .unwrap();
    }
    drop(log);
    let bytes = std::fs::read(log_path(dir)).unwrap();
    let last = batches(&bytes)[2].0;
    (bytes, last)
}

fn check_two_left(dir: &Path, opened: Opened, cut: u64) {
    let (mut log, recovery) = open(dir, LogOptions::default(), opened);
    assert_eq!((recovery.segments_scanned, recovery.bytes_cut), (1, cut));
    assert_eq!(log.end_offset(), Offset(2));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(1)));
    assert_eq!(batches(&read_all(&log)).len(), 2);
    let state = log.producers().get(ProducerId(7)).unwrap();
    assert_eq!(state.batches().last().unwrap().last_sequence, 1);
    // What was cut comes again, and the log goes on.
    let producer = Producer {
        id: 7,
        epoch: 1,
        sequence: 2,
    };
    log.append(&batch_of(2, 5, producer, &[(20, "again")]), NOW)
        .unwrap();
    assert_eq!(log.epoch_end_offset(LeaderEpoch(1)).unwrap().end, Offset(2));
    close(log);
    let (log, recovery) = open(dir, LogOptions::default(), Opened::AfterCleanStop);
    assert_eq!((recovery, log.end_offset()), (Recovery::default(), Offset(3)));
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_the_last_whole_batch() {
    let made = tempfile::tempdir().unwrap();
    let (bytes, last) = three(made.path());
    for end in last..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(made.path(), dir.path());
        std::fs::write(log_path(dir.path()), &bytes[..end]).unwrap();
        check_two_left(dir.path(), Opened::AfterCrash, (end - last) as u64);
    }
}

#[test]
fn a_changed_or_zeroed_tail_is_cut_even_after_a_stop_that_looked_clean() {
    let made = tempfile::tempdir().unwrap();
    let (bytes, last) = three(made.path());
    let size = (bytes.len() - last) as u64;
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut zeroed = bytes.clone();
    zeroed[last..].fill(0);
    for damaged in [changed, zeroed] {
        for opened in [Opened::AfterCrash, Opened::AfterCleanStop] {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(made.path(), dir.path());
            std::fs::write(log_path(dir.path()), &damaged).unwrap();
            check_two_left(dir.path(), opened, size);
        }
    }
}

#[test]
fn what_follows_a_bad_batch_goes_with_it_segments_included() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 160,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
    (0..6).for_each(|n| _ = log.append(&batch(n, &[(n, "x")]), NOW).unwrap());
    assert_eq!(log.segment_count(), 3);
    close(log);
    let path = dir.path().join(names::offset_file(Offset(2), names::LOG));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let one = (bytes.len() / 2) as u64;
    let (log, recovery) = open(dir.path(), options, Opened::AfterCrash);
    assert_eq!(log.end_offset(), Offset(3));
    let expected = Recovery {
        segments_scanned: 2,
        bytes_scanned: 3 * one,
        bytes_cut: 3 * one,
        segments_removed: 1,
    };
    assert_eq!(recovery, expected);
    let names: Vec<String> = offset_files(dir.path()).into_keys().collect();
    assert!(
        names.iter().all(|name| *name < names::offset_file(Offset(3), "")),
        "{names:?}"
    );
}

#[test]
fn what_a_failed_append_left_behind_a_segment_does_not_hide_the_next() {
    for refuse_damage in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            segment_bytes: 160,
            refuse_damage,
            ..LogOptions::default()
        };
        let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
        (0..6).for_each(|n| _ = log.append(&batch(n, &[(n, "x")]), NOW).unwrap());
        assert_eq!(log.segment_count(), 3);
        drop(log);
        // The append was torn, and the crash took back that it had been cut off; what followed went to the next segment.
        let mut bytes = std::fs::read(log_path(dir.path())).unwrap();
        let whole = bytes.len();
        bytes.extend(&batch(2, &[(2, "x")])[..30]);
        std::fs::write(log_path(dir.path()), &bytes).unwrap();
        let (log, recovery) = open(dir.path(), options.clone(), Opened::AfterCrash);
        assert_eq!((log.end_offset(), recovery.bytes_cut), (Offset(6), 30));
        assert_eq!(batches(&read_all(&log)).len(), 6);
        assert_eq!(std::fs::read(log_path(dir.path())).unwrap().len(), whole);
    }
}

#[test]
fn damage_before_the_recovery_point_is_reported_and_never_cut() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 160,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
    (0..6).for_each(|n| _ = log.append(&batch(n, &[(n, "x")]), NOW).unwrap());
    close(log);
    let path = dir.path().join(names::offset_file(Offset(0), names::LOG));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    std::fs::remove_file(path.with_extension(names::INDEX)).unwrap();
    let opened = Log::open_now(
        dir.path(),
        options,
        Opened::AfterCleanStop,
        Resume::default(),
        NOW,
    );
    let Err(LogError::BadBatch {
        path: named,
        position,
        problem,
    }) = opened
    else {
        panic!("{opened:?}")
    };
    assert_eq!(
        (named, position as usize, problem),
        (path.clone(), bytes.len() / 2, BatchProblem::Crc)
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_was_on_stable_storage_is_never_cut_off() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 2] = [|bytes| *bytes.last_mut().unwrap() ^= 1, |bytes| _ = bytes.pop()];
    for opened in [Opened::AfterCrash, Opened::AfterCleanStop] {
        for damage in damages {
            let dir = tempfile::tempdir().unwrap();
            let (mut bytes, last) = three(dir.path());
            damage(&mut bytes);
            std::fs::write(log_path(dir.path()), &bytes).unwrap();
            let open_from = |recovery_point| {
                let resume = Resume {
                    recovery_point: Offset(recovery_point),
                    ..Resume::default()
                };
                Log::open_now(dir.path(), LogOptions::default(), opened, resume, NOW)
            };
            let Err(LogError::BadBatch { position, .. }) = open_from(3) else {
                panic!("{opened:?}")
            };
            assert_eq!(position as usize, last);
            assert_eq!(std::fs::read(log_path(dir.path())).unwrap(), bytes);
            assert_eq!(open_from(2).unwrap().0.end_offset(), Offset(2));
        }
    }
}

#[test]
fn a_clean_stop_tells_where_a_log_must_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bytes, last) = three(dir.path());
    bytes.truncate(last);
    std::fs::write(log_path(dir.path()), &bytes).unwrap();
    let resume = Resume {
        recovery_point: Offset(3),
        ..Resume::default()
    };
    let open = |opened| Log::open_now(dir.path(), LogOptions::default(), opened, resume, NOW);
    let Err(LogError::LostEnd { end, known, .. }) = open(Opened::AfterCleanStop) else {
        panic!("a record is gone")
    };
    assert_eq!((end, known), (Offset(2), Offset(3)));
    // A crash may have come between a truncation and its checkpoint.
    assert_eq!(open(Opened::AfterCrash).unwrap().0.end_offset(), Offset(2));
}

#[test]
fn a_log_in_an_older_format_is_refused_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = batch(0, &[(5, "x")]);
    old[16] = 1;
    let mut crc = flate2::Crc::new();
    crc.update(&old[16..]);
    old[12..16].copy_from_slice(&crc.sum().to_be_bytes());
    std::fs::write(log_path(dir.path()), &old).unwrap();
    for opened in [Opened::AfterCrash, Opened::AfterCleanStop] {
        let refused = Log::open_now(dir.path(), LogOptions::default(), opened, Resume::default(), NOW);
        assert!(matches!(
            refused,
            Err(LogError::BadBatch {
                problem: BatchProblem::Magic(1),
                ..
            })
        ));
        assert_eq!(std::fs::read(log_path(dir.path())).unwrap(), old);
    }
}

/// The rest of its header was not written, and what came behind it was.
#[test]
fn a_torn_first_batch_is_not_taken_for_an_older_format() {
    let dir = tempfile::tempdir().unwrap();
    let whole = batch(0, &[(5, "x")]);
    let mut torn = whole.clone();
    torn[14..].fill(0);
    torn.extend(batch(1, &[(6, "y")]));
    std::fs::write(log_path(dir.path()), &torn).unwrap();
    let (log, recovery) = open(dir.path(), LogOptions::default(), Opened::AfterCrash);
    assert_eq!(
        (log.end_offset(), recovery.bytes_cut),
        (Offset(0), torn.len() as u64)
    );
}

/// The start was deleted up to a segment that isn't the first to be checked.
#[test]
fn a_start_inside_a_later_segment_says_nothing_of_the_log_s_end() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 160,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
    (0..6).for_each(|n| _ = log.append(&batch(n, &[(n, "x")]), NOW).unwrap());
    drop(log);
    let resume = Resume {
        recovery_point: Offset(2),
        start_offset: Offset(5),
        ..Resume::default()
    };
    let opened = Log::open_now(dir.path(), options, Opened::AfterCrash, resume, NOW);
    let (log, _) = opened.unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(5), Offset(6)));
}

#[test]
fn files_on_their_way_out_go() {
    let dir = tempfile::tempdir().unwrap();
    close(open(dir.path(), LogOptions::default(), Opened::AfterCleanStop).0);
    let file = |offset, kind| dir.path().join(names::offset_file(Offset(offset), kind));
    for (offset, kind) in [
        (5, "log.deleted"),
        (5, "index.deleted"),
        (7, "log.cleaned"),
        (9, "index"),
    ] {
        std::fs::write(file(offset, kind), "x").unwrap();
    }
    std::fs::write(
        dir.path()
            .join("00000000000000000001-0000000001.checkpoint.deleted"),
        "x",
    )
    .unwrap();
    drop(open(dir.path(), LogOptions::default(), Opened::AfterCrash));
    let left: Vec<String> = offset_files(dir.path()).into_keys().collect();
    assert_eq!(
        left,
        ["index", "log", "timeindex"].map(|kind| names::offset_file(Offset(0), kind))
    );
}

#[test]
fn an_empty_segment_that_a_failed_roll_left_does_not_hide_records() {
    for opened in [Opened::AfterCrash, Opened::AfterCleanStop] {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        std::fs::write(dir.path().join(names::offset_file(Offset(1), names::LOG)), "").unwrap();
        let (log, _) = open(dir.path(), LogOptions::default(), opened);
        assert_eq!((log.segment_count(), log.end_offset()), (1, Offset(3)));
        assert_eq!(batches(&read_all(&log)).len(), 3);
    }
}

#[test]
fn epochs_come_back_without_their_file() {
    for damage in [None, Some("0\n1\n9 x\n"), Some("0\n2\n1 0\n4 1")] {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        close(open(dir.path(), LogOptions::default(), Opened::AfterCrash).0);
        let path = dir.path().join(names::LEADER_EPOCHS);
        let written = std::fs::read(&path).unwrap();
        match damage {
            None => std::fs::remove_file(&path).unwrap(),
            Some(text) => std::fs::write(&path, text).unwrap(),
        }
        let (log, _) = open(dir.path(), LogOptions::default(), Opened::AfterCleanStop);
        assert_eq!(log.epoch_end_offset(LeaderEpoch(1)).unwrap().end, Offset(2));
        assert_eq!(std::fs::read(&path).unwrap(), written);
    }
}

/// The file was replaced, and a crash left none of its bytes; or it knew of a start that the crash took back.
#[test]
fn epochs_of_segments_that_are_trusted_come_back_too() {
    for left in ["", "0\n1\n4 3\n"] {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            segment_bytes: 160,
            ..LogOptions::default()
        };
        let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
        let producer = Producer {
            id: -1,
            epoch: -1,
            sequence: -1,
        };
        for (n, epoch) in [(0, 1), (1, 4), (2, 4), (3, 4)] {
            log.append(&batch_of(n, epoch, producer, &[(n, "x")]), NOW)
                .unwrap();
        }
        assert_eq!(log.segment_count(), 2);
        drop(log);
        std::fs::write(dir.path().join(names::LEADER_EPOCHS), left).unwrap();
        let resume = Resume {
            recovery_point: Offset(2),
            ..Resume::default()
        };
        let (log, _) = Log::open_now(dir.path(), options, Opened::AfterCrash, resume, NOW).unwrap();
        let epochs = [0, 1, 3].map(|offset| log.epoch_of(Offset(offset)));
        assert_eq!(
            epochs,
            [1, 4, 4].map(|epoch| Some(LeaderEpoch(epoch))),
            "{left:?}"
        );
    }
}

/// No snapshot is left where recovery begins, so that it goes over the headers of a segment in the middle of an epoch.
#[test]
fn epochs_that_are_known_are_not_learnt_again_from_their_middle() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 160,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
    for (n, epoch) in [(0, 1), (1, 1), (2, 1), (3, 1), (4, 5), (5, 5)] {
        let producer = Producer {
            id: 7,
            epoch: 1,
            sequence: n as i32,
        };
        log.append(&batch_of(n, epoch, producer, &[(n, "x")]), NOW)
            .unwrap();
    }
    assert_eq!(log.segment_count(), 3);
    close(log);
    std::fs::remove_file(dir.path().join(names::offset_file(Offset(4), names::SNAPSHOT))).unwrap();
    let resume = Resume {
        recovery_point: Offset(4),
        ..Resume::default()
    };
    let (log, _) = Log::open_now(dir.path(), options, Opened::AfterCrash, resume, NOW).unwrap();
    let epochs = [0, 3, 4].map(|offset| log.epoch_of(Offset(offset)));
    assert_eq!(epochs, [1, 1, 5].map(|epoch| Some(LeaderEpoch(epoch))));
}

/// A batch of each of these producers, one after the other.
fn append_of(log: &mut Log, producers: &[i64]) {
    for (n, id) in (0..).zip(producers) {
        let producer = Producer {
            id: *id,
            epoch: 1,
            sequence: n,
        };
        log.append(&batch_of(n.into(), 0, producer, &[(0, "x")]), NOW)
            .unwrap();
    }
}

/// Its snapshot had not come to its file when retention took the segment.
#[test]
fn what_a_deleted_segment_told_of_its_producers_is_known_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 160,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options.clone(), Opened::AfterCleanStop);
    append_of(&mut log, &[7, 7, 8]);
    assert_eq!(log.segment_count(), 2);
    log.settle_now();
    remove(log.delete_segments_before_now(Offset(2)).unwrap());
    drop(log);
    let (log, _) = open(dir.path(), options, Opened::AfterCrash);
    assert_eq!(log.start_offset(), Offset(2));
    let state = log.producers().get(ProducerId(7)).unwrap();
    assert_eq!(state.batches().last().unwrap().last_sequence, 1);
}

/// The process dies before any upkeep, and again when retention has taken what the first recovery had read.
#[test]
fn a_recovery_leaves_to_each_segment_what_was_known_of_producers_before_it() {
    on_a_core(|dir| async move {
        let options = LogOptions {
            segment_bytes: 160,
            ..LogOptions::default()
        };
        let (mut log, _) = open(&dir, options.clone(), Opened::AfterCleanStop);
        append_of(&mut log, &[7, 7, 8, 8, 8]);
        assert_eq!(log.segment_count(), 3);
        drop(log);
        let (mut log, _) = open(&dir, options.clone(), Opened::AfterCrash);
        keep_up(&mut log).await;
        remove(log.delete_segments_before_now(Offset(4)).unwrap());
        drop(log);
        let (log, _) = open(&dir, options, Opened::AfterCrash);
        assert_eq!(log.start_offset(), Offset(4));
        assert!(log.producers().get(ProducerId(7)).is_some());
    });
}

#[test]
fn a_log_that_ends_before_its_start_begins_there() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    let resume = Resume {
        start_offset: Offset(10),
        ..Resume::default()
    };
    let opened = Log::open_now(dir.path(), LogOptions::default(), Opened::AfterCrash, resume, NOW);
    let (mut log, _) = opened.unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(10), Offset(10)));
    assert_eq!(log.latest_epoch(), None);
    log.append(&batch(10, &[(5, "x")]), NOW).unwrap();
    assert_eq!(batches(&read_all(&log)).len(), 1);
}
