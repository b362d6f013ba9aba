//! Our files against those that Kafka 4.3.1 made of the same batches.

use super::*;

#[test]
fn the_same_batches_make_the_same_files_byte_for_byte() {
    let stamped = LogOptions {
        index_interval_bytes: 0,
        ..LogOptions::default()
    };
    for (topic, options) in [("kept-0", keeping()), ("stamped-0", stamped)] {
        let kafkas = offset_files(Path::new(&format!("{KAFKA}/{topic}")));
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
        for (_, bytes) in kafkas.iter().filter(|(name, _)| name.ends_with(".log")) {
            for (at, header) in batches(bytes) {
                // At the batch's own time, so that the snapshots agree on when the producer wrote.
                log.append(&bytes[at..at + header.size_bytes], header.max_timestamp)
                    .unwrap();
            }
        }
        close(log);
        let mut ours = offset_files(dir.path());
        let snapshots = ours
            .iter_mut()
            .filter(|(name, _)| name.ends_with(names::SNAPSHOT));
        snapshots.for_each(|(_, bytes)| *bytes = snapshot::newest_only(bytes));
        assert!(ours == kafkas, "{topic}: a file differs");
        let epochs = std::fs::read(dir.path().join(names::LEADER_EPOCHS)).unwrap();
        assert_eq!(
            epochs,
            std::fs::read(format!("{KAFKA}/{topic}/{}", names::LEADER_EPOCHS)).unwrap()
        );
    }
}

#[test]
fn its_lookups_by_timestamp_answer_the_same() {
    let text = std::fs::read_to_string(format!("{KAFKA}/lookups.txt")).unwrap();
    for opened in [Opened::AfterCleanStop, Opened::AfterCrash] {
        for line in text.lines() {
            let (asked, answer) = line.split_once(" -> ").unwrap();
            let (topic, what) = asked.split_once(' ').unwrap();
            let (_keep, dir) = kafkas(&format!("{topic}-0"));
            let (log, _) = open(&dir, LogOptions::default(), opened);
            let found = match what {
                "earliest" => format!("{} -1 0", log.start_offset()),
                "latest" => format!("{} -1 {}", log.end_offset(), log.latest_epoch().unwrap()),
                _ => {
                    let plan = match what {
                        "max" => log.offset_of_max_timestamp(),
                        timestamp => log.offset_for_timestamp(Timestamp(timestamp.parse().unwrap())),
                    };
                    plan.unwrap()
                        .run_now()
                        .unwrap()
                        .map_or("-1 -1 -".to_owned(), |found| {
                            format!("{} {} {}", found.offset, found.timestamp.0, found.leader_epoch)
                        })
                }
            };
            assert_eq!(found, answer, "{asked}");
        }
    }
}

#[test]
fn its_logs_open_and_stay_as_they_are() {
    for topic in ["kept-0", "stamped-0"] {
        let (_keep, dir) = kafkas(topic);
        let before = offset_files(&dir);
        let (log, recovery) = open(&dir, keeping(), Opened::AfterCleanStop);
        assert_eq!(recovery, Recovery::default());
        let logs: Vec<u8> = before
            .iter()
            .filter(|(n, _)| n.ends_with(".log"))
            .flat_map(|(_, b)| b.clone())
            .collect();
        assert_eq!(read_all(&log), logs);
        close(log);
        assert_eq!(offset_files(&dir), before);
        assert!(read_topic_id_now(&dir, Opened::AfterCleanStop).unwrap().is_some());
    }
}

#[test]
fn its_indexes_are_rebuilt_as_they_were() {
    let (_keep, dir) = kafkas("kept-0");
    let before = offset_files(&dir);
    for name in before.keys().filter(|name| name.ends_with("index")) {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    let (log, recovery) = open(&dir, keeping(), Opened::AfterCleanStop);
    assert_eq!((recovery.segments_scanned, recovery.bytes_cut), (3, 0));
    close(log);
    assert_eq!(offset_files(&dir), before);
}

#[test]
fn its_producers_are_known_again_with_and_without_the_snapshots() {
    let kafkas_snapshot = std::fs::read(format!("{KAFKA}/kept-0/{:020}.snapshot", 33)).unwrap();
    let kafkas_states = snapshot::decode(&kafkas_snapshot).unwrap();
    for (opened, keep) in [
        (Opened::AfterCleanStop, true),
        (Opened::AfterCleanStop, false),
        (Opened::AfterCrash, false),
    ] {
        let (_keep, dir) = kafkas("kept-0");
        if !keep {
            for name in offset_files(&dir)
                .keys()
                .filter(|name| name.ends_with("snapshot"))
            {
                std::fs::remove_file(dir.join(name)).unwrap();
            }
        }
        let (log, _) = open(&dir, keeping(), opened);
        let last = |states: &ProducerStates| -> Vec<_> {
            states
                .iter()
                .map(|(id, state)| (id, state.epoch(), *state.batches().last().unwrap()))
                .collect()
        };
        assert_eq!(last(log.producers()), last(&kafkas_states));
    }
}
