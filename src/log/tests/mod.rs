//! A log as a whole, over real files: against Kafka's own, against crashes, and against a model of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::base::ProducerId;
use crate::io;
use crate::log::header::HEADER_BYTES;
use crate::log::testing::{Producer, batch, batch_of};
use proptest::prelude::*;

mod crashes;
mod failures;
mod kafka;
mod model;
mod moved;
mod reads;
mod rolls;
mod transactions;
mod truncation;
mod upkeep;

const KAFKA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-log");
const NOW: Timestamp = Timestamp(1_700_000_100_000);
const ALL: ReadLimits = ReadLimits {
    bytes_max: 1 << 20,
    upper: Offset(i64::MAX),
    at_least_one: true,
};

/// What Kafka's topic `kept` was created with.
fn keeping() -> LogOptions {
    LogOptions {
        index_interval_bytes: 256,
        segment_ms: 1000,
        retention_ms: -1,
        ..LogOptions::default()
    }
}

fn open(dir: &Path, options: LogOptions, opened: Opened) -> (Log, Recovery) {
    Log::open_now(dir, options, opened, Resume::default(), NOW).unwrap()
}

fn close(log: Log) {
    // Flushing is the ring's; writing is what tests look at.
    let mut log = log;
    log.closing_plan().unwrap();
}

fn remove(removal: Removal) {
    removal.remove_all_now();
}

fn read_all(log: &Log) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut offset = log.start_offset();
    loop {
        let read = log.read(offset, ALL).unwrap().run_now().unwrap();
        if read.is_empty() {
            return bytes;
        }
        let last = batches(&read).last().unwrap().1;
        offset = last.next_offset();
        bytes.extend(read);
    }
}

/// Where each batch begins, and its header.
fn batches(bytes: &[u8]) -> Vec<(usize, BatchHeader)> {
    let mut at = 0;
    let mut found = Vec::new();
    while at < bytes.len() {
        let header = BatchHeader::parse(&bytes[at..]).unwrap();
        found.push((at, header));
        at += header.size_bytes;
    }
    found
}

fn copy_dir(from: impl AsRef<Path>, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn kafkas(topic: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(topic);
    copy_dir(format!("{KAFKA}/{topic}"), &path);
    (dir, path)
}

/// The files of a directory by name, but for those that `partition.metadata` and the like are.
fn offset_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if names::parse_offset_file(&name).is_some() {
            files.insert(name.clone(), std::fs::read(dir.join(&name)).unwrap());
        }
    }
    files
}

#[test]
fn a_deleted_partition_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    close(open(&dir, LogOptions::default(), Opened::AfterCleanStop).0);
    write_topic_id_now(&dir, TopicId([7; 16])).unwrap();
    assert_eq!(
        read_topic_id_now(&dir, Opened::AfterCleanStop).unwrap(),
        Some(TopicId([7; 16]))
    );
    remove(delete_now(&dir, [1; 16]).unwrap());
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn files_that_were_made_beforehand_are_an_empty_log_whose_names_are_not_flushed() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    let made = dir.clone();
    let make = move |_| {
        let dir = made.clone();
        async move {
            assert!(make_files(&dir).await);
            assert!(!make_files(&dir).await, "it is there");
        }
    };
    io::run(io::Options::unpinned(1), make).unwrap();
    let (mut log, _) = open(&dir, LogOptions::default(), Opened::AfterCrash);
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(0), Offset(0)));
    assert!(!log.flush_plan().unwrap().is_empty());
    write_topic_id_now(&dir, TopicId([7; 16])).unwrap();
    let names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.ends_with("tmp")), "{names:?}");
}

#[test]
fn a_torn_topic_id_is_none_after_a_crash_and_damage_after_a_clean_stop() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    close(open(&dir, LogOptions::default(), Opened::AfterCleanStop).0);
    for torn in ["", "version: 0\ntopic_id: BwcH"] {
        std::fs::write(dir.join(names::PARTITION_METADATA), torn).unwrap();
        assert_eq!(read_topic_id_now(&dir, Opened::AfterCrash).unwrap(), None);
        assert!(read_topic_id_now(&dir, Opened::AfterCleanStop).is_err());
    }
    assert!(!has_batches_now(&dir).unwrap());
    let (mut log, _) = open(&dir, LogOptions::default(), Opened::AfterCleanStop);
    log.append(&batch(0, &[(0, "value")]), NOW).unwrap();
    assert!(has_batches_now(&dir).unwrap());
}

/// Everything else here reads with blocking calls; this is what a broker does.
#[test]
fn plans_run_on_a_cores_ring() {
    use std::sync::{Arc, Mutex};
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let main = move |_| {
        let (dir, steps) = (dir.clone(), steps.clone());
        async move {
            let options = LogOptions {
                segment_bytes: 300,
                ..LogOptions::default()
            };
            let (mut log, _) = open(&dir, options.clone(), Opened::AfterCleanStop);
            for n in 0..9 {
                log.append(&batch(n, &[(10 * n, "value")]), NOW).unwrap();
            }
            let read = log.read(Offset(4), ALL).unwrap().run().await.unwrap();
            let found = log
                .offset_for_timestamp(Timestamp(55))
                .unwrap()
                .run()
                .await
                .unwrap();
            let flushed = log.flush_plan().unwrap().run().await.unwrap();
            log.flushed(flushed);
            assert_eq!(log.recovery_point(), Offset(0), "the indexes are not there yet");
            upkeep::keep_up(&mut log).await;
            let flushed = log.recovery_point();
            log.append(&batch(9, &[(100, "value")]), NOW).unwrap();
            log.close().await.unwrap();
            let (log, recovery) = open(&dir, options, Opened::AfterCleanStop);
            assert_eq!(recovery, Recovery::default());
            let first = batches(&read)[0].1.base_offset;
            *steps.lock().unwrap() = vec![first.0, found.unwrap().offset.0, flushed.0, log.end_offset().0];
        }
    };
    crate::io::run(crate::io::Options::unpinned(1), main).unwrap();
    assert_eq!(*seen.lock().unwrap(), [4, 6, 9, 10]);
}
