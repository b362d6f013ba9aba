//! A log that moved to another directory is the log that it was.

use super::truncation::{appended, options, script, told};
use super::upkeep::{keep_up, on_a_core};
use super::*;
use crate::log::moved;

const TOPIC: TopicId = TopicId([7; 16]);
const UNIQUE: [u8; 16] = [0xab; 16];

/// Appends to `copy` what it lacks of `source`, as much as `batches_max`.
fn copy_on(copy: &mut Log, source: &Log, batches_max: usize) {
    for _ in 0..batches_max {
        let from = copy.end_offset().max(source.start_offset());
        let read = source.read(from, ALL).unwrap().run_now().unwrap();
        let Ok(first) = BatchHeader::parse(&read) else {
            return;
        };
        copy.append(&read[..first.size_bytes], NOW).unwrap();
    }
}

fn begin_copy(source: &Log, dir: &Path) -> Log {
    let read = source
        .read(source.start_offset(), ALL)
        .unwrap()
        .run_now()
        .unwrap();
    let base = BatchHeader::parse(&read).map_or(source.start_offset, |first| {
        first.base_offset.min(source.start_offset)
    });
    std::fs::create_dir_all(dir).unwrap();
    let copy = source.begin_copy_now(dir, TOPIC, base, NOW).unwrap();
    if let Some((path, producers)) = copy.begun_with() {
        std::fs::write(path, producers).unwrap();
    }
    copy
}

async fn flush(log: &mut Log) {
    let flushed = log.flush_plan().unwrap().run().await.unwrap();
    log.flushed(flushed);
}

/// What a start after a crash is told by the checkpoints of a log.
fn resume(log: &Log) -> Resume {
    Resume {
        recovery_point: log.recovery_point(),
        start_offset: log.start_to_checkpoint().unwrap_or_default(),
        cleaned: log.cleaned_to(),
    }
}

/// What each producer wrote last.
fn next_sequences(log: &Log) -> Vec<(ProducerId, i32)> {
    let last = |(id, state): (ProducerId, &crate::log::producers::ProducerState)| {
        (id, state.batches().last().map_or(-1, |batch| batch.last_sequence))
    };
    log.producers().iter().map(last).collect()
}

/// What no crash may change: of a producer's batches that were deleted only the last is known then.
fn after_a_crash(log: &Log) -> impl PartialEq + std::fmt::Debug {
    let epochs: Vec<_> = (0..4)
        .map(|epoch| log.epoch_end_offset(LeaderEpoch(epoch)))
        .collect();
    let ends = [log.start_offset(), log.end_offset(), log.stable_end()];
    (ends, read_all(log), next_sequences(log), epochs)
}

#[test]
fn a_moved_log_is_what_it_was_wherever_it_began_and_however_far_its_files_were() {
    on_a_core(|root| async move {
        let batches = script();
        for (n, start) in [0, 1, 2, 11, 21, 31].into_iter().enumerate() {
            let (here, there) = (
                root.join(format!("here-{n}/t-0")),
                root.join(format!("there-{n}")),
            );
            let copied = there.join(format!("t-0.{}-future", "ab".repeat(16)));
            let mut source = open(&here, options(), Opened::AfterCleanStop).0;
            let (before, after) = batches.split_at(batches.len() - 3);
            before
                .iter()
                .for_each(|(_, bytes)| _ = source.append(bytes, NOW).unwrap());
            source.delete_records_before(Offset(start));
            flush(&mut source).await;
            keep_up(&mut source).await;
            let mut copy = begin_copy(&source, &copied);
            copy_on(&mut copy, &source, 9);
            if n % 2 == 0 {
                keep_up(&mut copy).await;
            }
            copy_on(&mut copy, &source, usize::MAX);
            flush(&mut copy).await;
            let place = there.join("t-0");
            let removal = copy.take_place_of_now(&source, &place, UNIQUE).unwrap().unwrap();
            assert!(!here.exists() && !copied.exists() && place.is_dir());
            assert_eq!(copy.dir(), place);
            after
                .iter()
                .for_each(|(_, bytes)| _ = copy.append(bytes, NOW).unwrap());
            assert_eq!(
                read_topic_id_now(&place, Opened::AfterCrash).unwrap(),
                Some(TOPIC)
            );

            let mut expected = open(
                &root.join(format!("expected-{n}")),
                options(),
                Opened::AfterCleanStop,
            )
            .0;
            before
                .iter()
                .for_each(|(_, bytes)| _ = expected.append(bytes, NOW).unwrap());
            expected.delete_records_before(Offset(start));
            after
                .iter()
                .for_each(|(_, bytes)| _ = expected.append(bytes, NOW).unwrap());
            assert_eq!(told(&copy), told(&expected), "from {start}");
            // Files that were closed are found under the new name, and so is what upkeep is to rename.
            copy.release_files();
            keep_up(&mut copy).await;
            flush(&mut copy).await;
            assert_eq!(told(&copy), told(&expected), "from {start}, kept up");
            removal.run().await;
            assert_eq!(std::fs::read_dir(here.parent().unwrap()).unwrap().count(), 0);
            let known = resume(&copy);
            drop(copy);
            let (copy, _) = Log::open_now(&place, options(), Opened::AfterCrash, known, NOW).unwrap();
            assert_eq!(after_a_crash(&copy), after_a_crash(&expected), "from {start}");
            let left = copy.close().await.unwrap();
            assert!(left.is_some());
            let (copy, _) = Log::open_now(&place, options(), Opened::AfterCleanStop, known, NOW).unwrap();
            assert_eq!(after_a_crash(&copy), after_a_crash(&expected), "from {start}");
        }
    });
}

/// As compaction leaves it.
#[test]
fn a_log_whose_first_batch_is_behind_its_start_begins_where_it_did() {
    on_a_core(|root| async move {
        let here = root.join("here/t-0");
        let mut source = open(&here, options(), Opened::AfterCleanStop).0;
        source.append(&batch(5, &[(1000, "first")]), NOW).unwrap();
        flush(&mut source).await;
        keep_up(&mut source).await;
        let mut copy = begin_copy(&source, &root.join("there/t-0.future"));
        copy_on(&mut copy, &source, 1);
        flush(&mut copy).await;
        let place = root.join("there/t-0");
        drop(copy.take_place_of_now(&source, &place, UNIQUE).unwrap().unwrap());
        drop(copy);
        let (copy, _) = open(&place, options(), Opened::AfterCrash);
        assert_eq!((copy.start_offset(), copy.end_offset()), (Offset(0), Offset(6)));
    });
}

#[test]
fn producers_whose_records_are_gone_are_known_where_a_log_has_moved() {
    on_a_core(|root| async move {
        let here = root.join("here/t-0");
        let mut source = appended(&here, &script());
        source.delete_records_before(source.end_offset());
        flush(&mut source).await;
        keep_up(&mut source).await;
        let known = next_sequences(&source);
        assert_eq!(known.len(), 4);
        let mut copy = begin_copy(&source, &root.join("there/t-0.future"));
        assert_eq!((copy.start_offset(), copy.size_bytes()), (source.end_offset(), 0));
        flush(&mut copy).await;
        let place = root.join("there/t-0");
        drop(copy.take_place_of_now(&source, &place, UNIQUE).unwrap().unwrap());
        assert_eq!(next_sequences(&copy), known);
        for opened in [Opened::AfterCrash, Opened::AfterCleanStop] {
            match opened {
                Opened::AfterCrash => drop(copy),
                Opened::AfterCleanStop => drop(copy.close().await.unwrap()),
            }
            let resume = Resume {
                start_offset: source.start_offset(),
                ..Resume::default()
            };
            copy = Log::open_now(&place, options(), opened, resume, NOW).unwrap().0;
            assert_eq!(next_sequences(&copy), known, "{opened:?}");
        }
    });
}

#[test]
fn a_log_that_cannot_get_its_name_leaves_the_old_one_where_it_is() {
    on_a_core(|root| async move {
        let here = root.join("here/t-0");
        let mut source = appended(&here, &script());
        flush(&mut source).await;
        keep_up(&mut source).await;
        let copied = root.join("there/t-0.future");
        let mut copy = begin_copy(&source, &copied);
        copy_on(&mut copy, &source, usize::MAX);
        flush(&mut copy).await;
        let before = told(&source);
        let nowhere = root.join("nowhere/t-0");
        assert!(copy.take_place_of_now(&source, &nowhere, UNIQUE).is_err());
        assert_eq!(told(&source), before);
        assert!(here.is_dir() && copied.is_dir());
    });
}

#[test]
fn where_a_copy_comes_from_is_said_until_it_is_taken_back() {
    on_a_core(|root| async move {
        assert_eq!(moved::marked_source_now(&root).unwrap(), None);
        moved::mark_copy(&root, TOPIC).await.unwrap();
        assert_eq!(moved::marked_source_now(&root).unwrap(), Some(TOPIC));
        for _ in 0..2 {
            moved::unmark_copy(&root).await.unwrap();
            assert_eq!(moved::marked_source_now(&root).unwrap(), None);
        }
        std::fs::write(root.join(names::MOVED_FROM), "somewhere\n").unwrap();
        assert!(moved::marked_source_now(&root).is_err());
    });
}
