//! Dumps of whole files: those that Kafka made beside what Kafka's `DumpLogSegments` says of them (`scripts/make-dump-fixture`), damaged
//! ones, and any bytes.

use std::collections::BTreeSet;
use std::fs;

use clap::ValueEnum;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::log::testing;
use crate::wire::allocations::peak_bytes;
use crate::wire::corpus::{Input, changed, run_all};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn args(files: Vec<PathBuf>) -> DumpArgs {
    DumpArgs {
        files,
        records: true,
        cluster_metadata: false,
        json: true,
        kind: None,
    }
}

/// What is printed, and how the command ends.
fn run(args: &DumpArgs) -> (String, Result<(), Failure>) {
    let mut sink = Vec::new();
    let ended = dump(args, &mut sink);
    (String::from_utf8(sink).expect("text"), ended)
}

/// The lines of one file.
fn lines_of(args: &DumpArgs) -> Vec<Value> {
    let (printed, _) = run(args);
    printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Each file that Kafka's tool was asked about, with what it said.
fn kafkas_dumps(name: &str) -> Vec<(PathBuf, Vec<String>)> {
    let text = fs::read_to_string(format!("{FIXTURES}/kafka-dump/{name}.txt")).unwrap();
    let mut dumps: Vec<(PathBuf, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("Dumping ") {
            dumps.push((Path::new(env!("CARGO_MANIFEST_DIR")).join(path), Vec::new()));
        } else if !["Log starting offset", "KRaft bootstrap", "Snapshot end offset"]
            .iter()
            .any(|head| line.starts_with(head))
            && !line.ends_with(" is empty.")
        {
            dumps.last_mut().unwrap().1.push(line.to_owned());
        }
    }
    dumps
}

#[test]
fn kafkas_files_are_shown_as_by_its_own_tool() {
    for (name, cluster_metadata) in [("data", false), ("metadata", true)] {
        let dumps = kafkas_dumps(name);
        assert!(dumps.len() >= 9, "{name}");
        for (path, kafkas) in dumps {
            let args = DumpArgs {
                cluster_metadata,
                ..args(vec![path.clone()])
            };
            let mut lines = lines_of(&args);
            assert_eq!(lines.remove(0)["what"], "file");
            assert_eq!(lines.len(), kafkas.len(), "{}", path.display());
            let mut timestamp_type = String::new();
            for (ours, kafkas) in lines.iter().zip(&kafkas) {
                if let Some(of_batch) = ours["timestampType"].as_str() {
                    timestamp_type = of_batch.to_owned();
                }
                let (kafkas, json) = split_json(kafkas);
                assert_eq!(
                    in_kafkas_words(ours, &timestamp_type),
                    kafkas,
                    "{}",
                    path.display()
                );
                assert_eq!(
                    json.as_ref(),
                    ours.get("data").filter(|_| json.is_some()),
                    "{kafkas}"
                );
            }
        }
    }
}

/// A line of Kafka's up to the JSON in it, and that.
fn split_json(line: &str) -> (&str, Option<Value>) {
    match line.find('{').map(|at| line.split_at(at)) {
        Some((before, json)) => (before, Some(serde_json::from_str(json).unwrap())),
        None => (line, None),
    }
}

/// A line of ours as Kafka's tool prints the same, up to the JSON.
fn in_kafkas_words(line: &Value, timestamp_type: &str) -> String {
    let words = |names: &[&str]| -> String {
        let each = names
            .iter()
            .map(|name| format!("{name}: {}", shown(&line[*name])));
        each.collect::<Vec<_>>().join(" ")
    };
    let optional = |name: &str| match &line[name] {
        Value::Null => format!("{name}: OptionalLong.empty"),
        number => format!("{name}: OptionalLong[{number}]"),
    };
    match line["what"].as_str().unwrap() {
        "batch" => {
            let head = [
                "baseOffset",
                "lastOffset",
                "count",
                "baseSequence",
                "lastSequence",
                "producerId",
            ];
            let tail = [
                "producerEpoch",
                "partitionLeaderEpoch",
                "isTransactional",
                "isControl",
            ];
            format!(
                "{} {} {} position: {} {timestamp_type}: {} size: {} magic: 2 compresscodec: {} crc: {} isvalid: {}",
                words(&head),
                words(&tail),
                optional("deleteHorizonMs"),
                line["position"],
                line["maxTimestamp"],
                line["size"],
                shown(&line["codec"]),
                line["crc"],
                line["isValid"],
            )
        }
        "record" => format!(
            "| offset: {} {timestamp_type}: {} {} headerKeys: [{}] {}",
            line["offset"],
            line["timestamp"],
            words(&["keySize", "valueSize", "sequence"]),
            header_names(line),
            in_kafkas_words_inside(line),
        ),
        "producer" => {
            let last = line["lastSequence"].as_i64().unwrap();
            let first = if last < 0 {
                -1
            } else {
                last - line["offsetDelta"].as_i64().unwrap()
            };
            format!(
                "{} {} lastTimestamp: {} firstSequence: {first} {}",
                words(&["producerId", "producerEpoch", "coordinatorEpoch"]),
                optional("currentTxnFirstOffset"),
                line["timestamp"],
                words(&["lastSequence", "lastOffset", "offsetDelta", "timestamp"]),
            )
        }
        "aborted" => {
            let rest = words(&["producerId", "firstOffset", "lastOffset", "lastStableOffset"]);
            format!("version: 0 {rest}")
        }
        "entry" if line.get("timestamp").is_some() => words(&["timestamp", "offset"]),
        "entry" => words(&["offset", "position"]),
        other => panic!("nothing that Kafka shows: {other}: {line}"),
    }
}

/// What a record holds, in Kafka's words.
fn in_kafkas_words_inside(line: &Value) -> String {
    match line.get("control").and_then(Value::as_str) {
        Some(marker @ ("COMMIT" | "ABORT")) => {
            let coordinator = &line["data"]["coordinatorEpoch"];
            format!("endTxnMarker: {marker} coordinatorEpoch: {coordinator}")
        }
        Some("LEADER_CHANGE") => "LeaderChange: ".to_owned(),
        Some("SNAPSHOT_HEADER") => "SnapshotHeader ".to_owned(),
        Some("SNAPSHOT_FOOTER") => "SnapshotFooter ".to_owned(),
        Some("KRAFT_VERSION") => "KRaftVersion ".to_owned(),
        Some("KRAFT_VOTERS") => "KRaftVoters ".to_owned(),
        Some(other) => panic!("{other}"),
        None if line.get("data").is_some() => "payload: ".to_owned(),
        // Kafka's tool names a key or a value only where there is one.
        None => {
            let there = [("key", "key"), ("payload", "value")].map(|(kafkas, ours)| match &line[ours] {
                Value::Null => String::new(),
                value => format!("{kafkas}: {}", shown(value)),
            });
            there.join(" ").trim().to_owned()
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn header_names(line: &Value) -> String {
    let headers = line["headers"].as_array().unwrap();
    let names: Vec<&str> = headers
        .iter()
        .map(|header| header["name"].as_str().unwrap())
        .collect();
    names.join(",")
}

/// Every file under `folder`.
fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => files_under(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn every_file_of_every_kept_directory_reads_without_a_problem() {
    let mut files = Vec::new();
    for folder in ["kafka-log", "kafka-metadata", "kafka-directory", "data"] {
        files_under(&Path::new(FIXTURES).join(folder), &mut files);
    }
    files.retain(|path| Kind::of(&name_of(path)).is_some());
    let kinds: BTreeSet<Kind> = files.iter().filter_map(|path| Kind::of(&name_of(path))).collect();
    assert_eq!(
        kinds.len(),
        Kind::value_variants().len(),
        "one of each kind: {kinds:?}"
    );
    let as_json = args(files);
    let (printed, ended) = run(&as_json);
    assert!(ended.is_ok(), "{ended:?}: {printed}");
    for kind in kinds {
        let of_it = printed
            .lines()
            .filter(|line| line.contains(&format!("\"kind\":\"{}\"", kind.name())));
        assert!(of_it.count() > 0, "{kind:?}");
    }
    let as_text = DumpArgs {
        json: false,
        ..as_json
    };
    let (text, ended) = run(&as_text);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(text.lines().count(), printed.lines().count());
}

/// A copy of Kafka's `kept-0`, to be damaged.
fn kept() -> (tempfile::TempDir, PathBuf) {
    copy_of("kafka-log/kept-0")
}

fn copy_of(folder: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(format!("{FIXTURES}/{folder}")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = dir.path().to_owned();
    (dir, path)
}

fn change(path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    with(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The place and the text of each problem.
fn problems(lines: &[Value]) -> Vec<(Value, String)> {
    let problems = lines.iter().filter(|line| line["what"] == "problem");
    problems
        .map(|line| {
            let place = line.get("position").or(line.get("line")).unwrap_or(&Value::Null);
            (place.clone(), line["text"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn count(lines: &[Value], what: &str) -> usize {
    lines.iter().filter(|line| line["what"] == what).count()
}

const LOG: &str = "00000000000000000000.log";
const INDEX: &str = "00000000000000000000.index";
const TIME_INDEX: &str = "00000000000000000000.timeindex";

/// A file, what is done to it, where the problem is then and what it is called, and how many of what are still shown.
type Damage = (
    &'static str,
    fn(&mut Vec<u8>),
    Value,
    &'static str,
    (&'static str, usize),
);

#[test]
fn damage_is_named_with_its_place_and_the_rest_is_shown() {
    let at = |position: u64| Value::from(position);
    let table: Vec<Damage> = vec![
        (LOG, |b| b[300] ^= 1, at(271), "CRC", ("batch", 11)),
        (LOG, |b| b[271 + 16] = 1, at(271), "format 1", ("batch", 10)),
        (
            LOG,
            |b| b[271 + 7] = 0,
            at(271),
            "begins at offset 0, 3 is the least",
            ("batch", 11),
        ),
        (LOG, |b| b.truncate(1600), at(1527), "ends inside", ("batch", 10)),
        (
            LOG,
            |b| b.extend([0; 100]),
            at(1618),
            "not a record batch",
            ("batch", 11),
        ),
        (
            LOG,
            |b| b[271 + 8] = 0xff,
            at(271),
            "not a record batch",
            ("batch", 1),
        ),
        (INDEX, |b| b.truncate(30), at(24), "6 bytes behind", ("entry", 3)),
        (INDEX, |b| b[8 + 3] = 3, at(8), "not above", ("entry", 4)),
        (
            INDEX,
            |b| b[8 + 7] ^= 1,
            at(8),
            "no batch begins at byte",
            ("entry", 4),
        ),
        (
            INDEX,
            |b| b[8 + 3] = 5,
            at(8),
            "holds offsets 6 to 7",
            ("entry", 4),
        ),
        (
            TIME_INDEX,
            |b| b[12 + 7] += 1,
            at(12),
            "largest timestamp is 1700000000020",
            ("entry", 5),
        ),
        (
            TIME_INDEX,
            |b| b[12 + 11] = 99,
            at(12),
            "no batch of the log holds offset 99",
            ("entry", 5),
        ),
        (TIME_INDEX, |b| b[12 + 7] = 0, at(12), "not above", ("entry", 5)),
        (
            "00000000000000000033.snapshot",
            |b| b[20] ^= 1,
            Value::Null,
            "CRC",
            ("producer", 6),
        ),
        (
            "00000000000000000033.snapshot",
            |b| b.truncate(99),
            at(56),
            "43 bytes",
            ("producer", 1),
        ),
        (
            "00000000000000000033.snapshot",
            |b| b[1] = 2,
            at(0),
            "unknown version 2",
            ("producer", 0),
        ),
        (
            "00000000000000000033.snapshot",
            |b| b[10 + 21] = 33,
            at(10),
            "behind the snapshot",
            ("producer", 6),
        ),
        (
            "leader-epoch-checkpoint",
            |b| b[2] = b'2',
            at(4),
            "as many entries",
            ("line", 3),
        ),
        (
            "partition.metadata",
            |b| b[9] = b'7',
            at(1),
            "version: 0",
            ("line", 2),
        ),
        ("partition.metadata", |b| b[9] = 0xff, at(9), "UTF-8", ("line", 0)),
    ];
    for (name, damage, place, text, (what, shown)) in table {
        let (_keep, dir) = kept();
        let path = dir.join(name);
        change(&path, damage);
        let asked = args(vec![path]);
        let lines = lines_of(&asked);
        let found = problems(&lines);
        let first = found
            .first()
            .unwrap_or_else(|| panic!("{name}, {text}: no problem"));
        assert!(
            first.0 == place && first.1.contains(text),
            "{name}, {text}: {first:?}"
        );
        assert_eq!(count(&lines, what), shown, "{name}, {text}");
        let (_, ended) = run(&asked);
        assert!(
            matches!(ended, Err(Failure::Failed(_))),
            "{name}, {text}: {ended:?}"
        );
    }
}

#[test]
fn aborted_transactions_are_held_against_the_markers() {
    type Change = fn(&mut Vec<u8>);
    let damages: [(Change, u64, &str); 4] = [
        (|b| b[34 + 9] = 7, 34, "no marker of producer 7"),
        (|b| b[34 + 25] = 8, 34, "no marker of producer 0"),
        (|b| b[34 + 17] = 11, 34, "before it begins"),
        (|b| b[34 + 1] = 1, 34, "unknown version 1"),
    ];
    for (damage, place, text) in damages {
        let (_keep, dir) = copy_of("kafka-log/transacted-0");
        let path = dir.join("00000000000000000004.txnindex");
        change(&path, damage);
        let found = problems(&lines_of(&args(vec![path])));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == place && found[0].1.contains(text), "{found:?}");
    }
}

#[test]
fn a_record_that_does_not_read_leaves_the_other_batches_shown() {
    let (_keep, dir) = kept();
    let path = dir.join(LOG);
    // The first record says that it is longer than the batch; the CRC covers the lie.
    change(&path, |bytes| {
        bytes[61] = 0xfe;
        let crc = crate::base::crc32c(&bytes[21..271]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    });
    let lines = lines_of(&args(vec![path]));
    let found = problems(&lines);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == 0 && found[0].1.contains("record 0"), "{found:?}");
    assert_eq!((count(&lines, "batch"), count(&lines, "record")), (11, 20));
}

#[test]
fn a_snapshot_of_the_metadata_needs_its_ends() {
    let folder = "kafka-directory/ran/__cluster_metadata-0";
    let name = "00000000000000000062-0000000001.checkpoint";
    let whole = fs::read(format!("{FIXTURES}/{folder}/{name}")).unwrap();
    let header_bytes = 12 + u32::from_be_bytes(whole[8..12].try_into().unwrap()) as usize;
    let without_footer = whole[..header_bytes].to_vec();
    let without_header = whole[header_bytes..].to_vec();
    for (bytes, text) in [
        (without_footer, "without its footer"),
        (without_header, "without its header"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let found = problems(&lines_of(&args(vec![path])));
        assert!(
            found.iter().any(|(_, what)| what.contains(text)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn an_index_that_kafka_was_killed_over_ends_in_empty_entries() {
    for (name, entries) in [(INDEX, 4), (TIME_INDEX, 5)] {
        let (_keep, dir) = kept();
        let path = dir.join(name);
        change(&path, |bytes| bytes.resize(bytes.len() + 120 * 1000, 0));
        let lines = lines_of(&args(vec![path.clone()]));
        assert_eq!((problems(&lines).len(), count(&lines, "entry")), (0, entries));
        assert_eq!(count(&lines, "note"), 1);
        fs::write(&path, vec![0; 120 * 1000]).unwrap();
        let lines = lines_of(&args(vec![path.clone()]));
        assert_eq!((problems(&lines).len(), count(&lines, "entry")), (0, 0));
        change(&path, |bytes| *bytes.last_mut().unwrap() = 1);
        assert!(!problems(&lines_of(&args(vec![path]))).is_empty());
    }
}

#[test]
fn an_index_alone_is_shown_and_that_it_is_alone() {
    let (_keep, dir) = kept();
    fs::remove_file(dir.join(LOG)).unwrap();
    let lines = lines_of(&args(vec![dir.join(INDEX)]));
    assert_eq!((count(&lines, "entry"), problems(&lines).len()), (4, 0));
    assert!(
        lines
            .iter()
            .any(|line| line["text"].as_str().is_some_and(|text| text.contains("no .log")))
    );
}

#[test]
fn a_damaged_log_beside_an_index_is_told_once() {
    let (_keep, dir) = kept();
    change(&dir.join(LOG), |bytes| bytes[603 + 16] = 9);
    let lines = lines_of(&args(vec![dir.join(INDEX)]));
    let found = problems(&lines);
    assert!(
        found.len() == 1 && found[0].1.contains("damaged at byte 603"),
        "{found:?}"
    );
    assert_eq!(count(&lines, "entry"), 4);
}

#[test]
fn a_file_that_comes_or_goes_is_compared_with_its_like() {
    let (_keep, dir) = kept();
    for name in [LOG, INDEX] {
        fs::rename(dir.join(name), dir.join(format!("{name}.deleted"))).unwrap();
    }
    let lines = lines_of(&args(vec![dir.join(format!("{INDEX}.deleted"))]));
    assert_eq!((count(&lines, "entry"), lines.len()), (4, 5), "{lines:?}");
}

#[test]
fn a_segment_in_a_spare_file_is_known_by_its_first_batch() {
    let (_keep, dir) = kept();
    let spare = dir.join("00000000000000000021.log.spare");
    fs::rename(dir.join("00000000000000000023.log"), &spare).unwrap();
    let indexes = ["00000000000000000023.index", "00000000000000000023.timeindex"];
    let asked = args(
        indexes
            .iter()
            .map(|name| dir.join(name))
            .chain([spare.clone()])
            .collect(),
    );
    let lines = lines_of(&asked);
    assert_eq!(
        (count(&lines, "entry"), count(&lines, "note")),
        (3, 0),
        "{lines:?}"
    );
    assert_eq!(problems(&lines), []);
    change(&spare, |bytes| bytes[332 + 7] = 27);
    assert!(!problems(&lines_of(&asked)).is_empty());
}

#[test]
fn an_unknown_name_is_misuse_and_as_tells_what_it_is() {
    let (_keep, dir) = kept();
    let copy = dir.join("copy");
    fs::rename(dir.join(LOG), &copy).unwrap();
    let unknown = args(vec![copy.clone(), dir.join("partition.metadata")]);
    let (printed, ended) = run(&unknown);
    assert!(printed.contains("topicId"), "the other is shown: {printed}");
    let Err(Failure::Usage(text)) = ended else {
        panic!("{ended:?}")
    };
    assert!(
        text.contains("copy: not known") && text.contains("<offset>.timeindex"),
        "{text}"
    );
    let told = DumpArgs {
        kind: Some(Kind::Log),
        ..args(vec![copy])
    };
    assert_eq!(count(&lines_of(&told), "batch"), 11);
}

#[test]
fn a_file_that_is_not_there_is_a_problem_and_the_next_is_shown() {
    let (_keep, dir) = kept();
    let asked = args(vec![dir.join("00000000000000000099.log"), dir.join(LOG)]);
    let lines = lines_of(&asked);
    assert_eq!((problems(&lines).len(), count(&lines, "batch")), (1, 11));
    let (_, ended) = run(&asked);
    assert!(
        matches!(&ended, Err(Failure::Failed(text)) if text == "1 problem in 2 files"),
        "{ended:?}"
    );
}

#[test]
fn a_long_value_is_shown_whole_and_held_once() {
    let value = "é\u{1}".repeat(1 << 20);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG);
    fs::write(&path, testing::batch(0, &[(1, &value)])).unwrap();
    let asked = args(vec![path]);
    let lines = lines_of(&asked);
    assert_eq!(lines[2]["value"], *value);
    let (ended, held) = peak_bytes(|| dump(&asked, &mut std::io::sink()));
    assert!(ended.is_ok());
    assert!(held < value.len() + (2 << 20), "{held}");
}

/// What no file, however long, may take: a piece of it and the lines under way.
const HELD_BYTES_MAX: usize = 3 << 20;

#[test]
fn a_long_file_is_read_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        (LOG, 1u64 << 40),
        ("00000000000000000000.index", 20 << 20),
        ("00000000000000000000.txnindex", 2 << 20),
        ("00000000000000000000.snapshot", 1 << 40),
        ("leader-epoch-checkpoint", 1 << 40),
        ("00000000000000000001-0000000001.raft", 1 << 40),
    ] {
        let path = dir.path().join(name);
        fs::File::create(&path).unwrap().set_len(bytes).unwrap();
        let asked = args(vec![path]);
        let limit = match Kind::of(name) {
            // A text grows by doubling.
            Some(Kind::LeaderEpochs) => 3 * text::TEXT_BYTES_MAX + HELD_BYTES_MAX,
            _ => HELD_BYTES_MAX,
        };
        let (_, held) = peak_bytes(|| dump(&asked, &mut std::io::sink()));
        assert!(held < limit, "{name}: {held}");
    }
}

#[test]
fn kept_files_are_shown_or_refused() {
    run_all("dumps", &made_dumps(), fuzz::dumps);
}

/// A file of each kind, behind the number of its kind.
fn made_dumps() -> Vec<Input> {
    let of = |kind: Kind, name: &str| {
        let bytes = fs::read(format!("{FIXTURES}/{name}")).unwrap();
        let number = Kind::value_variants().iter().position(|known| *known == kind);
        let input = [vec![number.unwrap() as u8], bytes].concat();
        (kind.name(), input)
    };
    vec![
        of(Kind::Log, "kafka-log/transacted-0/00000000000000000004.log"),
        of(Kind::Index, "kafka-log/kept-0/00000000000000000000.index"),
        of(Kind::Timeindex, "kafka-log/kept-0/00000000000000000000.timeindex"),
        of(
            Kind::Txnindex,
            "kafka-log/transacted-0/00000000000000000004.txnindex",
        ),
        of(
            Kind::Snapshot,
            "kafka-log/transacted-0/00000000000000000004.snapshot",
        ),
        of(Kind::LeaderEpochs, "kafka-metadata/leader-epoch-checkpoint"),
        of(Kind::PartitionMetadata, "kafka-metadata/partition.metadata"),
        of(Kind::MetaProperties, "kafka-log/meta.properties"),
        of(Kind::Offsets, "kafka-log/recovery-point-offset-checkpoint"),
        of(Kind::CleanStop, "kafka-log/.kafka_cleanshutdown"),
        of(
            Kind::QuorumState,
            "kafka-directory/ran/__cluster_metadata-0/quorum-state",
        ),
        of(
            Kind::Checkpoint,
            "kafka-directory/ran/__cluster_metadata-0/00000000000000000062-0000000001.checkpoint",
        ),
        of(
            Kind::Raft,
            "data/ground/clean/data/__cluster_metadata-0/00000000000000000015-0000000001.raft",
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_shown_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for kind in 0..Kind::value_variants().len() {
            fuzz::dumps(&[&[kind as u8], &bytes[..]].concat());
        }
    }

    #[test]
    fn changed_files_are_shown_or_refused(seed: u64) {
        fuzz::dumps(&changed("dumps", seed));
    }
}
