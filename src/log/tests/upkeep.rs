//! What a log's files get beside appends, and what a start makes of it when a crash came between.

use std::sync::{Arc, Mutex};

use super::*;

const SEGMENT_BYTES: u32 = 300;

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        index_interval_bytes: 0,
        ..LogOptions::default()
    }
}

/// Runs `test` on a core, where what waits can be waited for.
pub fn on_a_core<Fut: Future<Output = ()> + 'static>(test: impl FnOnce(PathBuf) -> Fut + Send + 'static) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let test = Arc::new(Mutex::new(Some(test)));
    let main = move |_| {
        let test = test.lock().unwrap().take().expect("one core runs it");
        test(path.clone())
    };
    crate::io::run(crate::io::Options::unpinned(1), main).unwrap();
}

/// Does all that is to be done.
pub async fn keep_up(log: &mut Log) {
    while let Some(upkeep) = log.begin_upkeep().unwrap() {
        let upkept = upkeep.run().await.unwrap();
        log.end_upkeep(upkept);
    }
}

fn append(log: &mut Log, offsets: std::ops::Range<i64>) {
    for n in offsets {
        let producer = Producer {
            id: 7,
            epoch: 1,
            sequence: n as i32,
        };
        log.append(&batch_of(n, 0, producer, &[(10 * n, "value")]), NOW)
            .unwrap();
    }
}

fn file_names(dir: &Path) -> Vec<String> {
    offset_files(dir).into_keys().collect()
}

fn spares(dir: &Path) -> Vec<String> {
    let mut names = file_names(dir);
    names.retain(|name| name.ends_with(names::SPARE));
    names
}

fn batch_bytes() -> i64 {
    let producer = Producer {
        id: 7,
        epoch: 1,
        sequence: 0,
    };
    batch_of(0, 0, producer, &[(0, "value")]).len() as i64
}

/// A log whose next append goes to the spare; the offset of that.
async fn before_a_roll(dir: &Path) -> (Log, i64) {
    let (mut log, _) = open(dir, options(), Opened::AfterCleanStop);
    let fits = i64::from(SEGMENT_BYTES) / batch_bytes();
    append(&mut log, 0..fits);
    keep_up(&mut log).await;
    assert_eq!(spares(dir).len(), 1, "made when the segment was half full");
    (log, fits)
}

fn expect_whole(dir: &Path, end: i64) -> Log {
    let (log, recovery) = open(dir, options(), Opened::AfterCrash);
    assert_eq!((log.end_offset(), recovery.bytes_cut), (Offset(end), 0));
    assert_eq!(batches(&read_all(&log)).len() as i64, end);
    assert!(spares(dir).is_empty());
    let state = log.producers().get(ProducerId(7)).unwrap();
    assert_eq!(i64::from(state.batches().last().unwrap().last_sequence), end - 1);
    log
}

#[test]
fn a_roll_goes_on_in_the_spare_file_which_gets_its_name_later() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        let own_name = names::offset_file(Offset(next), names::LOG);
        append(&mut log, next..next + 1);
        assert_eq!(log.segment_count(), 2);
        assert!(
            !file_names(&dir).contains(&own_name),
            "the roll itself renames nothing"
        );
        assert_eq!(batches(&read_all(&log)).len() as i64, next + 1);
        keep_up(&mut log).await;
        assert!(file_names(&dir).contains(&own_name));
        assert!(spares(&dir).is_empty());
        // What was sealed is whole: its indexes, and the producers as of its end.
        for kind in [names::INDEX, names::TIME_INDEX] {
            let bytes = std::fs::read(dir.join(names::offset_file(Offset(0), kind))).unwrap();
            assert!(!bytes.is_empty(), "{kind}");
        }
        assert!(
            dir.join(names::offset_file(Offset(next), names::SNAPSHOT))
                .exists()
        );
    });
}

/// What a file takes of the disk.
fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    512 * std::fs::metadata(path).unwrap().blocks()
}

fn append_large(log: &mut Log, records: i64) {
    let value = "v".repeat(1 << 20);
    for n in log.end_offset().0..log.end_offset().0 + records {
        log.append(&batch(n, &[(10 * n, &value)]), NOW).unwrap();
    }
}

/// A log whose active segment has 8 MiB reserved and one record; its file.
async fn with_room_reserved(dir: &Path) -> (Log, PathBuf) {
    let preallocating = LogOptions {
        segment_bytes: 8 << 20,
        preallocate: true,
        ..options()
    };
    let (mut log, _) = open(dir, preallocating, Opened::AfterCleanStop);
    append_large(&mut log, 5);
    keep_up(&mut log).await;
    assert!(allocated(&dir.join(&spares(dir)[0])) >= 8 << 20);
    append_large(&mut log, 3);
    keep_up(&mut log).await;
    let active = dir.join(names::offset_file(Offset(7), names::LOG));
    assert!(allocated(&active) >= 8 << 20);
    (log, active)
}

#[test]
fn room_that_was_reserved_for_a_segment_is_given_back_when_it_is_sealed() {
    on_a_core(|dir| async move {
        let (mut log, active) = with_room_reserved(&dir).await;
        log.options_mut().segment_bytes = 2 << 20;
        append_large(&mut log, 1);
        keep_up(&mut log).await;
        assert_eq!(log.segment_count(), 3);
        assert!(allocated(&active) <= 2 << 20);
        assert_eq!(batches(&read_all(&log)).len(), 9);
    });
}

#[test]
fn room_that_was_reserved_for_a_segment_is_given_back_by_a_clean_stop() {
    on_a_core(|dir| async move {
        let (log, active) = with_room_reserved(&dir).await;
        log.close().await.unwrap();
        assert!(allocated(&active) <= 2 << 20);
    });
}

#[test]
fn what_is_read_while_a_sealed_file_gets_its_name_is_found() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        append(&mut log, next..2 * next + 1);
        assert_eq!(log.segment_count(), 3);
        let of_the_first = log.begin_upkeep().unwrap().unwrap().run().await.unwrap();
        log.end_upkeep(of_the_first);
        assert_eq!(spares(&dir), [names::offset_file(Offset(next), names::SPARE)]);
        let of_the_second = log.begin_upkeep().unwrap().unwrap().run().await.unwrap();
        assert!(spares(&dir).is_empty(), "the log doesn't know that yet");
        // Reading the first segment closes the second, which is sealed too.
        assert_eq!(batches(&read_all(&log)).len() as i64, 2 * next + 1);
        log.end_upkeep(of_the_second);
        assert_eq!(batches(&read_all(&log)).len() as i64, 2 * next + 1);
    });
}

#[test]
fn a_crash_at_any_instant_around_a_roll_loses_nothing() {
    on_a_core(|dir| async move {
        let copies = tempfile::tempdir().unwrap();
        let copied = |n: u32| {
            let copy = copies.path().join(n.to_string());
            copy_dir(&dir, &copy);
            copy
        };
        let (mut log, next) = before_a_roll(&dir).await;
        let before = copied(0);
        append(&mut log, next..next + 1);
        let on_spare = copied(1);
        let upkeep = log.begin_upkeep().unwrap().expect("the sealed segment");
        let upkept = upkeep.run().await.unwrap();
        let sealed = copied(2);
        log.end_upkeep(upkept);
        let upkeep = log.begin_upkeep().unwrap().expect("the new segment's name");
        upkeep.run().await.unwrap();
        let named = copied(3);
        drop(expect_whole(&before, next));
        for crashed in [on_spare, sealed, named] {
            let mut log = expect_whole(&crashed, next + 1);
            append(&mut log, next + 1..next + 2);
            close(log);
            let (log, recovery) = open(&crashed, options(), Opened::AfterCleanStop);
            assert_eq!(
                (recovery, log.end_offset()),
                (Recovery::default(), Offset(next + 2))
            );
        }
    });
}

#[test]
fn a_crash_after_several_rolls_without_upkeep_loses_nothing() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        // The first goes to the spare, the others to files that are made at once.
        append(&mut log, next..4 * next);
        assert!(log.segment_count() > 3);
        assert_eq!(spares(&dir).len(), 1);
        drop(log);
        let log = expect_whole(&dir, 4 * next);
        assert_eq!(log.segment_count(), 4);
    });
}

#[test]
fn what_is_behind_a_segment_that_was_lost_goes() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        append(&mut log, next..4 * next);
        drop(log);
        // As the loss of power may leave it: the later file is there, the one before it is empty.
        let lost = dir.join(names::offset_file(Offset(2 * next), names::NEXT));
        std::fs::write(lost, "").unwrap();
        let (log, recovery) = open(&dir, options(), Opened::AfterCrash);
        assert_eq!(
            (log.end_offset(), recovery.segments_removed),
            (Offset(2 * next), 1)
        );
        assert_eq!(log.segment_count(), 2);
    });
}

#[test]
fn a_spare_that_the_log_cannot_go_on_in_goes() {
    on_a_core(|dir| async move {
        let (log, next) = before_a_roll(&dir).await;
        drop(log);
        let spare = dir.join(&spares(&dir)[0]);
        let torn = &batch(next, &[(5, "x")])[..HEADER_BYTES - 1];
        let gap = batch(next + 1, &[(5, "x")]);
        let past = batch(0, &[(5, "x")]);
        for bytes in [&[][..], &[0; 500], torn, &gap, &past] {
            std::fs::write(&spare, bytes).unwrap();
            let (log, _) = open(&dir, options(), Opened::AfterCrash);
            assert_eq!((log.end_offset(), log.segment_count()), (Offset(next), 1));
            assert!(spares(&dir).is_empty());
        }
    });
}

#[test]
fn a_torn_batch_at_the_end_of_a_spare_is_cut() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        append(&mut log, next..next + 2);
        drop(log);
        let spare = dir.join(&spares(&dir)[0]);
        let mut bytes = std::fs::read(&spare).unwrap();
        bytes.pop();
        std::fs::write(&spare, bytes).unwrap();
        let (log, recovery) = open(&dir, options(), Opened::AfterCrash);
        assert_eq!(log.end_offset(), Offset(next + 1));
        assert_eq!(recovery.bytes_cut as i64, batch_bytes() - 1);
    });
}

#[test]
fn a_sealed_segment_is_not_checked_again_once_it_is_settled() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        append(&mut log, next..next + 1);
        assert_eq!(log.recovery_point(), Offset(0));
        keep_up(&mut log).await;
        assert_eq!(log.recovery_point(), Offset(next));
        drop(log);
        let resume = Resume {
            recovery_point: Offset(next),
            ..Resume::default()
        };
        let (log, recovery) = Log::open_now(&dir, options(), Opened::AfterCrash, resume, NOW).unwrap();
        assert_eq!(recovery.segments_scanned, 1);
        let state = log.producers().get(ProducerId(7)).unwrap();
        assert_eq!(i64::from(state.batches().last().unwrap().last_sequence), next);
    });
}

#[test]
fn producers_of_a_segment_that_was_to_be_deleted_are_known_where_the_next_begins() {
    on_a_core(|dir| async move {
        let (mut log, _) = open(&dir, options(), Opened::AfterCleanStop);
        let end = i64::from(SEGMENT_BYTES) / batch_bytes();
        append(&mut log, 0..end);
        let flushed = log.flush_plan().unwrap().run().await.unwrap();
        log.flushed(flushed);
        let resume = Resume {
            recovery_point: log.recovery_point(),
            ..Resume::default()
        };
        let expiring = LogOptions {
            retention_bytes: 0,
            ..options()
        };
        let reopen = || {
            Log::open_now(&dir, expiring.clone(), Opened::AfterCrash, resume, NOW)
                .unwrap()
                .0
        };
        // It dies when the segment is sealed, and again when it is gone.
        remove(log.delete_old_segments_now(NOW, log.end_offset()).unwrap());
        drop(log);
        let mut log = reopen();
        while log.start_offset() < Offset(end) {
            remove(log.delete_old_segments_now(NOW, log.end_offset()).unwrap());
            keep_up(&mut log).await;
        }
        drop(log);
        let state = reopen().producers().get(ProducerId(7)).cloned();
        let last = state.and_then(|state| state.batches().last().copied());
        assert_eq!(last.map(|batch| batch.last_offset), Some(Offset(end - 1)));
    });
}

#[test]
fn a_flush_covers_batches_in_a_spare_and_in_the_segment_before() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        append(&mut log, next..next + 1);
        let flushed = log.flush_plan().unwrap().run().await.unwrap();
        log.flushed(flushed);
        assert_eq!(
            (log.flushed_end(), log.recovery_point()),
            (Offset(next + 1), Offset(0))
        );
        drop(expect_whole(&dir, next + 1));
    });
}

#[test]
fn a_clean_stop_leaves_only_names_that_kafka_knows() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        append(&mut log, next..next + 1);
        log.close().await.unwrap();
        let kinds = ["index", "log", "timeindex"];
        let mut expected: Vec<String> = [0, next]
            .iter()
            .flat_map(|base| kinds.map(|kind| names::offset_file(Offset(*base), kind)))
            .collect();
        expected.push(names::offset_file(Offset(next), names::SNAPSHOT));
        expected.push(names::offset_file(Offset(next + 1), names::SNAPSHOT));
        expected.sort();
        assert_eq!(file_names(&dir), expected);

        let idle = dir.join("idle");
        let (log, _) = before_a_roll(&idle).await;
        log.close().await.unwrap();
        assert!(spares(&idle).is_empty());
    });
}

#[test]
fn segments_go_by_retention_only_when_nothing_is_on_its_way_to_them() {
    on_a_core(|dir| async move {
        let (mut log, next) = before_a_roll(&dir).await;
        append(&mut log, next..next + 1);
        log.options_mut().retention_bytes = 0;
        let upkeep = log.begin_upkeep().unwrap().expect("the sealed segment");
        remove(log.delete_old_segments_now(NOW, log.end_offset()).unwrap());
        assert_eq!(log.start_offset(), Offset(0));
        let upkept = upkeep.run().await.unwrap();
        log.end_upkeep(upkept);
        remove(log.delete_old_segments_now(NOW, log.end_offset()).unwrap());
        assert_eq!(log.start_offset(), Offset(0), "the next one's name is on its way");
        keep_up(&mut log).await;
        remove(log.delete_old_segments_now(NOW, log.end_offset()).unwrap());
        assert_eq!(log.start_offset(), Offset(next + 1));
        assert_eq!(batches(&read_all(&log)).len(), 0);
        append(&mut log, next + 1..next + 2);
        keep_up(&mut log).await;
        log.close().await.unwrap();
        let (log, recovery) = open(&dir, options(), Opened::AfterCleanStop);
        assert_eq!(
            (recovery, log.end_offset()),
            (Recovery::default(), Offset(next + 2))
        );
    });
}

#[test]
fn a_spare_that_cannot_be_made_is_done_without() {
    on_a_core(|dir| async move {
        let (mut log, _) = open(&dir, options(), Opened::AfterCleanStop);
        let fits = i64::from(SEGMENT_BYTES) / batch_bytes();
        append(&mut log, 0..fits);
        let blocked = dir.join(names::offset_file(Offset(fits), names::SPARE));
        std::fs::create_dir(&blocked).unwrap();
        keep_up(&mut log).await;
        append(&mut log, fits..fits + 1);
        assert_eq!(log.segment_count(), 2);
        assert!(dir.join(names::offset_file(Offset(fits), names::NEXT)).exists());
        std::fs::remove_dir(&blocked).unwrap();
        drop(expect_whole(&dir, fits + 1));
    });
}
