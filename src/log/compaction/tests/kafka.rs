//! The same rounds by Kafka's own cleaner. `RINGLOG_JARS` names the directory of Kafka's jars; `scripts/test` fetches them.

use std::process::Command;

use super::*;
use crate::wire::batch::ControlType;

const SEGMENT_BYTES: u32 = 1200;
const INDEX_INTERVAL_BYTES: u32 = 300;

/// Batches of all codecs, with tombstones, a producer whose records are all superseded, and a transaction.
fn fill(log: &mut Log) {
    log.options_mut().segment_bytes = SEGMENT_BYTES;
    log.options_mut().index_interval_bytes = INDEX_INTERVAL_BYTES;
    let codecs = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
        Codec::None,
    ];
    let mut sequence = 0;
    for n in 0..90i64 {
        let key = |k: i64| format!("key-{}", (n * 7 + k * 5) % 23);
        let value = format!("value-{n}-{}", "x".repeat((n * 31 % 60) as usize));
        let tombstone = (n % 4 != 0).then_some(value.as_str());
        let (a, b, c) = (key(0), key(1), key(2));
        let records = [
            (a.as_str(), Some(value.as_str())),
            (&b, tombstone),
            (&c, Some("")),
        ];
        let mut builder = BatchBuilder::new(codecs[n as usize % codecs.len()]);
        if n % 9 == 0 && n < 40 {
            builder = builder.producer(ProducerId(5), ProducerEpoch(0), sequence);
            sequence += 3;
        }
        append_as(log, builder, 1000 + 100 * n, &records);
        if n == 30 {
            commit(log);
        }
    }
}

/// A transaction of one record, and its marker.
fn commit(log: &mut Log) {
    let data = BatchBuilder::new(Codec::None).producer(ProducerId(6), ProducerEpoch(0), 0);
    append_as(log, data.transactional(), 4000, &[("key-1", Some("t"))]);
    let mut marker = BatchBuilder::new(Codec::None)
        .producer(ProducerId(6), ProducerEpoch(0), -1)
        .transactional()
        .control()
        .at(log.end_offset(), LeaderEpoch(0));
    marker.add_control(Timestamp(4000), ControlType::Commit, &[0; 6]);
    log.append(&marker.build(), NOW).unwrap();
}

/// Kafka's round over the files in `dir`; up to where the log is clean then.
fn clean_by_kafka(dir: &Path, dirt: &Dirt, now: Timestamp) -> i64 {
    let jars = std::env::var("RINGLOG_JARS").expect("RINGLOG_JARS names the directory of Kafka's jars");
    let arguments = [
        dirt.first_dirty.0,
        dirt.first_uncleanable.0,
        now.0,
        SEGMENT_BYTES.into(),
        INDEX_INTERVAL_BYTES.into(),
        RULES.delete_retention_ms,
    ];
    let output = Command::new("java")
        .args(["-cp", &format!("{jars}/*")])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/Clean.java"))
        .arg(dir)
        .args(arguments.map(|argument| argument.to_string()))
        .output()
        .expect("java starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().and_then(|line| line.parse().ok());
    last.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in file_names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

/// Every batch that the segments' files hold: its bytes, or where it is compressed its header's fields and records.
fn batches_of(dir: &Path) -> Vec<String> {
    let mut shown = Vec::new();
    for name in file_names(dir).iter().filter(|name| name.ends_with(".log")) {
        let bytes = std::fs::read(dir.join(name)).unwrap();
        for batch in batches(&bytes).map(Result::unwrap) {
            assert!(batch.crc_is_valid());
            let payload = batch.payload(1 << 20).unwrap();
            let (header, records) = batch.bytes().split_at(61);
            // Length and checksum differ with the compressor.
            let fields = [&header[..8], &header[12..17], &header[21..]].concat();
            let exact = (!batch.is_compressed()).then_some((header, records));
            shown.push(format!(
                "{} {fields:?} {exact:?} {payload:?}",
                batch.base_offset().0
            ));
        }
    }
    shown
}

/// The batches that only keep a segment's last offset, which Kafka does for a round alone.
fn is_empty_one(shown: &str) -> bool {
    shown.ends_with(" []")
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn what_stays_is_what_kafkas_cleaner_leaves() {
    on_core(|| async {
        let root = tempfile::tempdir().unwrap();
        let (ours, theirs) = (root.path().join("ours-0"), root.path().join("theirs-0"));
        let mut log = open(&ours, Opened::AfterCleanStop);
        fill(&mut log);
        for (round, now) in [NOW, Timestamp(NOW.0 + 999), Timestamp(NOW.0 + 2000)]
            .into_iter()
            .enumerate()
        {
            // Something new, so that there is a dirty part.
            for n in 0..8 {
                let key = format!("key-{n}");
                let value = format!("round {round} {}", "y".repeat(150));
                append(&mut log, Codec::None, 20_000, &[(&key, Some(&value))]);
            }
            let _ = std::fs::remove_dir_all(&theirs);
            log.release_files();
            let closed = log.closing_plan().unwrap();
            let flushed = closed.run().await.unwrap();
            log.flushed(flushed);
            copy(&ours, &theirs);
            settle(&mut log).await;
            let dirt = log.dirt(&RULES, log.end_offset(), now);
            let cleaned = clean_by_kafka(&theirs, &dirt, now);
            compact(&mut log, now).await.unwrap();
            assert_eq!(log.cleaned_to().unwrap().0, cleaned);
            let theirs = batches_of(&theirs);
            let ours = batches_of(&ours);
            let extra = ours.iter().filter(|batch| !theirs.contains(batch));
            assert!(
                extra.clone().all(|batch| is_empty_one(batch)),
                "{:?}",
                extra.collect::<Vec<_>>()
            );
            let missing: Vec<_> = theirs.iter().filter(|batch| !ours.contains(batch)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    });
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn kafkas_dump_finds_no_fault_in_a_compacted_segment() {
    on_core(|| async {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("dumped-0");
        let mut log = open(&dir, Opened::AfterCleanStop);
        fill(&mut log);
        compact(&mut log, NOW).await.unwrap();
        log.close().await.unwrap();
        let jars = std::env::var("RINGLOG_JARS").expect("RINGLOG_JARS names the directory of Kafka's jars");
        let files: Vec<String> = file_names(&dir)
            .iter()
            .map(|name| dir.join(name).to_string_lossy().into_owned())
            .collect();
        let output = Command::new("java")
            .args([
                "-cp",
                &format!("{jars}/*"),
                "org.apache.kafka.tools.DumpLogSegments",
            ])
            .args([
                "--deep-iteration",
                "--print-data-log",
                "--files",
                &files.join(","),
            ])
            .output()
            .expect("java starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        for fault in [
            "Mismatches",
            "Non-consecutive",
            "Found timestamp",
            "isvalid: false",
        ] {
            assert!(!text.contains(fault), "{text}");
        }
        assert!(text.contains("deleteHorizonMs: OptionalLong["), "{text}");
    });
}
