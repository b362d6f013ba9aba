//! What one round does to a log.

use super::*;
use crate::wire::batch::ControlType;

/// 24 batches of two records over four keys, in several segments.
fn fill(log: &mut Log) {
    for n in 0..24 {
        let codec = [Codec::None, Codec::Zstd, Codec::Gzip][n as usize % 3];
        let (first, second) = (format!("k{}", n % 4), format!("v{n}"));
        let pad = "p".repeat(60);
        append(
            log,
            codec,
            1000 + 10 * n,
            &[(&first, Some(&second)), ("pad", Some(&pad))],
        );
    }
}

/// The segments' names, without those of spare files.
fn log_names(dir: &Path) -> Vec<String> {
    let names = file_names(dir).into_iter();
    names.filter(|name| name.ends_with(".log")).collect()
}

fn last_of_each_key(records: &[Seen]) -> Vec<Seen> {
    let is_last = |(n, record): &(usize, &Seen)| records[n + 1..].iter().all(|later| later.key != record.key);
    let lasts = records.iter().enumerate().filter(is_last);
    lasts.map(|(_, record)| record.clone()).collect()
}

#[test]
fn the_sealed_part_keeps_the_last_record_of_each_key_at_its_offset() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        fill(&mut log);
        let before = seen(&log);
        let active = log.segments.last().unwrap().base().0;
        let (sealed, kept) = before.split_at(active as usize);
        assert!(log.segment_count() > 3);
        compact(&mut log, NOW).await.unwrap();
        let expected = [&last_of_each_key(sealed), kept].concat();
        assert_eq!(seen(&log), expected);
        assert_eq!(log.cleaned_to(), Some(Offset(active)));
        assert_eq!((log.start_offset(), log.end_offset()), (Offset(0), Offset(48)));
        let again = log.dirt(&RULES, log.end_offset(), NOW);
        assert_eq!((again.cleanable_bytes, again.is_due(&RULES)), (0, false));
    });
}

#[test]
fn what_a_round_has_left_small_becomes_one_segment_in_the_next() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        fill(&mut log);
        let segments = log.segment_count();
        compact(&mut log, NOW).await.unwrap();
        assert_eq!(log.segment_count(), segments);
        fill(&mut log);
        let before = seen(&log);
        let active = log.segments.last().unwrap().base();
        compact(&mut log, NOW).await.unwrap();
        assert!(
            log.segments[1].base() > Offset(16),
            "at least three have become one"
        );
        let (sealed, kept) = before.split_at(before.iter().position(|r| r.offset == active.0).unwrap());
        assert_eq!(seen(&log), [&last_of_each_key(sealed), kept].concat());
    });
}

#[test]
fn a_reopened_log_is_as_it_was() {
    on_core(|| async {
        for opened in [Opened::AfterCleanStop, Opened::AfterCrash] {
            let dir = tempfile::tempdir().unwrap();
            let mut log = open(dir.path(), Opened::AfterCleanStop);
            fill(&mut log);
            compact(&mut log, NOW).await.unwrap();
            let (before, files) = (seen(&log), log_names(dir.path()));
            let end = log.end_offset();
            drop(log);
            let log = open(dir.path(), opened);
            assert_eq!((seen(&log), log.end_offset()), (before, end));
            assert_eq!(log_names(dir.path()), files);
        }
    });
}

#[test]
fn the_files_are_those_of_the_segments_and_the_indexes_find_every_offset_and_time() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        for n in 0..40 {
            let key = format!("key-{n}");
            append(&mut log, Codec::None, 1000 + 10 * n, &[(&key, Some("v"))]);
        }
        compact(&mut log, NOW).await.unwrap();
        for record in seen(&log) {
            let plan = log.offset_for_timestamp(Timestamp(record.timestamp)).unwrap();
            let found = plan.run().await.unwrap().unwrap();
            assert_eq!(
                (found.offset.0, found.timestamp.0),
                (record.offset, record.timestamp)
            );
        }
        let in_place = ["index", "log", "snapshot", "timeindex", names::SPARE];
        let kinds = |name: &String| in_place.contains(&names::parse_offset_file(name).unwrap().kind);
        assert!(
            file_names(dir.path()).iter().all(kinds),
            "{:?}",
            file_names(dir.path())
        );
        assert!(log.segment_count() > 3, "no segment has grown too large");
        assert!(
            log.segments
                .iter()
                .all(|segment| segment.size_bytes() <= options().segment_bytes.into())
        );
    });
}

#[test]
fn tombstones_go_once_they_have_stood_and_never_bring_back_what_they_deleted() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        let pad = "p".repeat(300);
        append(&mut log, Codec::None, 1, &[("a", Some("1")), ("pad", Some(&pad))]);
        append(&mut log, Codec::None, 2, &[("a", None), ("pad", Some(&pad))]);
        append(&mut log, Codec::None, 3, &[("b", Some("2")), ("pad", Some(&pad))]);
        append(&mut log, Codec::None, 4, &[("c", Some("3")), ("pad", Some(&pad))]);
        compact(&mut log, NOW).await.unwrap();
        let with = |tail: [&str; 4]| tail.map(str::to_owned).to_vec();
        let pads = [format!("5 pad={pad}"), format!("7 pad={pad}")];
        let both = with(["2 a=-", "4 b=2", &pads[0], "6 c=3"]);
        assert_eq!(shown(&log)[..4], both[..]);
        // It is looked at again only with what comes new.
        append(&mut log, Codec::None, 5, &[("d", Some("4")), ("pad", Some(&pad))]);
        compact(&mut log, Timestamp(NOW.0 + 999)).await.unwrap();
        assert_eq!(shown(&log)[0], "2 a=-");
        append(&mut log, Codec::None, 6, &[("e", Some("5")), ("pad", Some(&pad))]);
        compact(&mut log, Timestamp(NOW.0 + 1000)).await.unwrap();
        assert_eq!(shown(&log)[0], "4 b=2");
    });
}

#[test]
fn a_table_that_is_full_leaves_the_rest_to_the_next_round() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        let keys = 3 * (1 << 20) / 24;
        let records: Vec<String> = (0..keys).map(|n| n.to_string()).collect();
        log.options_mut().segment_bytes = 1 << 19;
        for _ in 0..2 {
            for some in records.chunks(2000) {
                let some: Vec<_> = some.iter().map(|key| (key.as_str(), Some("v"))).collect();
                append(&mut log, Codec::None, 1, &some);
            }
        }
        let active = log.segments.last().unwrap().base();
        let mut cleaned = Offset(0);
        let mut rounds = 0;
        settle(&mut log).await;
        while log.dirt(&RULES, log.end_offset(), NOW).cleanable_bytes > 0 {
            compact(&mut log, NOW).await.unwrap();
            assert!(log.cleaned_to().unwrap() > cleaned);
            cleaned = log.cleaned_to().unwrap();
            rounds += 1;
        }
        assert!(rounds > 3, "{rounds}");
        assert_eq!(cleaned, active);
        let all = seen(&log);
        let (sealed, behind): (Vec<_>, Vec<_>) = all.iter().partition(|record| record.offset < active.0);
        assert_eq!((sealed.len(), behind.len()), (keys, 2 * keys - active.0 as usize));
        let distinct: std::collections::BTreeSet<_> = sealed.iter().map(|record| &record.key).collect();
        assert_eq!(distinct.len(), keys);
    });
}

#[test]
fn producers_go_on_where_they_were_though_all_their_records_went() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        let pad = "p".repeat(300);
        for sequence in [0, 2] {
            let builder =
                BatchBuilder::new(Codec::Snappy).producer(ProducerId(7), ProducerEpoch(1), sequence);
            append_as(&mut log, builder, 1, &[("a", Some("1")), ("b", Some("2"))]);
        }
        for n in 0..4 {
            let value = n.to_string();
            append(
                &mut log,
                Codec::None,
                9,
                &[("a", Some(&value)), ("b", Some(&pad))],
            );
        }
        compact(&mut log, NOW).await.unwrap();
        assert_eq!(shown(&log)[0].split(' ').nth(1), Some("a=2"));
        drop(log);
        for name in file_names(dir.path())
            .iter()
            .filter(|name| name.ends_with("snapshot"))
        {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
        let log = open(dir.path(), Opened::AfterCrash);
        let state = log.producers().get(ProducerId(7)).unwrap();
        assert_eq!(state.batches().last().unwrap().last_sequence, 3);
    });
}

#[test]
fn a_log_whose_batches_are_damaged_stays_as_it_is() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        fill(&mut log);
        settle(&mut log).await;
        let path = log.segments[1].path(names::LOG);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let last = bytes.len() - batches(&bytes).last().unwrap().unwrap().size_bytes();
        let files = file_names(dir.path());
        let refused = compact(&mut log, NOW).await;
        let problem = BatchProblem::Crc;
        let error = refused.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{}: at byte {last}: {problem}", path.display())
        );
        assert_eq!((file_names(dir.path()), log.cleaned_to()), (files, None));
        assert!(!log.compaction.is_under_way());
    });
}

#[test]
fn a_round_that_is_stopped_leaves_the_log_as_it_was() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        fill(&mut log);
        settle(&mut log).await;
        let dirt = log.dirt(&RULES, log.end_offset(), NOW);
        let mut round = log.begin_compaction(dirt, RULES, NOW);
        let pace = Pace::unlimited();
        let keys = round.read_keys(LIMITS, &pace).await.unwrap();
        pace.stop();
        let mut groups = round.groups(&keys);
        let stopped = groups.compact_next(&pace).await;
        assert!(matches!(stopped, Err(CompactionError::Stopped)), "{stopped:?}");
        groups.remove_leftovers().await;
        log.end_compaction(None);
        let is_left = |name: &String| name.ends_with(names::CLEANED);
        assert!(!file_names(dir.path()).iter().any(is_left));
    });
}

#[test]
fn no_segment_goes_while_a_round_needs_it_and_reads_under_way_keep_theirs() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        fill(&mut log);
        let limits = ReadLimits {
            bytes_max: 1,
            upper: Offset(i64::MAX),
            at_least_one: true,
        };
        let under_way = log.read(Offset(0), limits).unwrap();
        let expected = log.read(Offset(0), limits).unwrap().run().await.unwrap();
        settle(&mut log).await;
        let dirt = log.dirt(&RULES, log.end_offset(), NOW);
        let mut round = log.begin_compaction(dirt, RULES, NOW);
        log.options_mut().retention_bytes = 0;
        let segments = log.segment_count();
        let removal = log.delete_old_segments_now(NOW, log.end_offset()).unwrap();
        assert!(removal.files.is_empty());
        assert_eq!(log.segment_count(), segments);
        let pace = Pace::unlimited();
        let keys = round.read_keys(LIMITS, &pace).await.unwrap();
        let mut groups = round.groups(&keys);
        while let Some(compacted) = groups.compact_next(&pace).await.unwrap() {
            log.place_compacted_now(&compacted, NOW).unwrap().run().await;
        }
        log.end_compaction(Some(groups.cleaned_to()));
        assert_eq!(under_way.run().await.unwrap(), expected);
        for _ in 0..2 {
            // The active one is sealed at first.
            let removal = log.delete_old_segments_now(NOW, log.end_offset()).unwrap();
            removal.run().await;
            settle(&mut log).await;
        }
        assert_eq!(log.start_offset(), log.end_offset());
    });
}

#[test]
fn the_oldest_record_that_is_not_compacted_is_looked_up_without_keeping_files_open() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        fill(&mut log);
        log.close().await.unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        let rules = |lag_max_ms| CompactionRules {
            dirty_ratio_min: 1.0,
            lag_max_ms,
            ..RULES
        };
        let is_due = |log: &Log, lag_max_ms| {
            let rules = rules(lag_max_ms);
            log.dirt(&rules, log.end_offset(), Timestamp(2000)).is_due(&rules)
        };
        let open_files = || {
            let links = std::fs::read_dir("/proc/self/fd").unwrap();
            let paths = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
            paths.filter(|path| path.starts_with(dir.path())).count()
        };
        let before = open_files();
        // The first batch's later record is of 1,001.
        assert!(!is_due(&log, 999));
        assert!(is_due(&log, 998));
        assert_eq!(open_files(), before);
        compact_by(&mut log, &rules(998), LIMITS, NOW).await.unwrap();
        assert!(!is_due(&log, 998));
    });
}

#[test]
fn a_producer_whose_transaction_was_aborted_supersedes_records_with_the_next_one() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        let data = |sequence| {
            let producer = BatchBuilder::new(Codec::None).producer(ProducerId(6), ProducerEpoch(0), sequence);
            producer.transactional()
        };
        let pad = "p".repeat(300);
        let fill = |log: &mut Log| {
            for key in ["x", "y", "z"] {
                append(log, Codec::None, 1, &[(key, Some(&pad))]);
            }
        };
        append_as(&mut log, data(0), 1, &[("a", Some("aborted"))]);
        append_marker(&mut log, ProducerId(6), ControlType::Abort);
        fill(&mut log);
        compact(&mut log, NOW).await.unwrap();
        append(&mut log, Codec::None, 1, &[("a", Some("before"))]);
        fill(&mut log);
        append_as(&mut log, data(1), 1, &[("a", Some("committed"))]);
        append_marker(&mut log, ProducerId(6), ControlType::Commit);
        fill(&mut log);
        compact(&mut log, NOW).await.unwrap();
        let of_a: Vec<String> = shown(&log).into_iter().filter(|it| it.contains(" a=")).collect();
        assert!(of_a.len() == 1 && of_a[0].ends_with("a=committed"), "{of_a:?}");
    });
}

fn append_marker(log: &mut Log, producer: ProducerId, control_type: ControlType) {
    let mut marker = BatchBuilder::new(Codec::None)
        .producer(producer, ProducerEpoch(0), -1)
        .transactional()
        .control()
        .at(log.end_offset(), LeaderEpoch(0));
    marker.add_control(Timestamp(1), control_type, &[0; 6]);
    log.append(&marker.build(), NOW).unwrap();
}

#[test]
fn records_of_an_aborted_transaction_go_and_readers_still_know_of_it() {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        append(&mut log, Codec::None, 1, &[("a", Some("before"))]);
        let data = BatchBuilder::new(Codec::Lz4).producer(ProducerId(6), ProducerEpoch(0), 0);
        append_as(&mut log, data.transactional(), 1, &[("a", Some("aborted"))]);
        append_marker(&mut log, ProducerId(6), ControlType::Abort);
        // Its producer goes on, so that no header has to stay for its sequence.
        let next = BatchBuilder::new(Codec::None).producer(ProducerId(6), ProducerEpoch(0), 1);
        append_as(&mut log, next, 1, &[("b", Some("after"))]);
        let pad = "p".repeat(300);
        let fill = |log: &mut Log| {
            for key in ["x", "y", "z"] {
                append(log, Codec::None, 1, &[(key, Some(&pad))]);
            }
        };
        let aborted = |log: &Log| {
            let plan = log.aborted_transactions(Offset(0), log.end_offset());
            plan.run_now(log.end_offset()).unwrap()
        };
        fill(&mut log);
        let known = aborted(&log);
        assert_eq!(known.len(), 1);
        compact(&mut log, NOW).await.unwrap();
        assert_eq!(shown(&log)[0], "0 a=before", "the aborted one supersedes nothing");
        assert_eq!(aborted(&log), known);
        log.close().await.unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        assert_eq!(aborted(&log), known);
        // Its records are gone: the marker gets its horizon, and nobody has to know any more.
        fill(&mut log);
        compact(&mut log, NOW).await.unwrap();
        assert_eq!(
            (shown(&log)[0].as_str(), aborted(&log)),
            ("0 a=before", Vec::new())
        );
    });
}
