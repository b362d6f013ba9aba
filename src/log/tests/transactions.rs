//! Transactions: what Kafka's producers wrote, read as Kafka's consumer reads it; and random ones against a list of batches.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::log::testing::{end_of_transaction, transactional};
use crate::wire::batch::{BatchView, ControlType};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-transactions");

/// A record as it is shown: offset, key, value.
type Shown = (i64, String, String);

/// What Kafka's consumer shows of a log from `from` on, that fetches `bytes_max` at once (`CompletedFetch`).
fn consume(log: &Log, from: Offset, read_committed: bool, bytes_max: usize) -> Vec<Shown> {
    let upper = match read_committed {
        true => log.stable_end(),
        false => log.end_offset(),
    };
    let limits = ReadLimits {
        bytes_max,
        upper,
        at_least_one: true,
    };
    let mut position = from;
    let mut shown = Vec::new();
    while position < upper {
        let plan = log.read(position, limits).unwrap();
        let aborted = log.aborted_transactions(position, plan.end_max());
        let bytes = plan.run_now().unwrap();
        let Some((_, last)) = batches(&bytes).last().copied() else {
            break;
        };
        let aborted = aborted.run_now(last.next_offset()).unwrap();
        let aborted = if read_committed { aborted } else { Vec::new() };
        show(&bytes, position, aborted, &mut shown);
        position = last.next_offset();
    }
    shown
}

/// The records of one answer that a consumer doesn't skip.
fn show(bytes: &[u8], from: Offset, mut aborted: Vec<AbortedTransaction>, shown: &mut Vec<Shown>) {
    aborted.sort_by_key(|aborted| aborted.first_offset);
    let mut to_come = VecDeque::from(aborted);
    let mut aborting = BTreeSet::new();
    for (at, header) in batches(bytes) {
        let batch = &bytes[at..at + header.size_bytes];
        while let Some(begun) = to_come.pop_front_if(|aborted| aborted.first_offset <= header.last_offset) {
            aborting.insert(begun.producer_id);
        }
        if let Some(marker) = header::end_marker(&header, batch) {
            if marker.is_abort {
                aborting.remove(&marker.producer_id);
            }
            continue;
        }
        let is_transactional = header
            .produced()
            .is_some_and(|produced| produced.is_transactional);
        if is_transactional && aborting.contains(&header.producer_id) {
            continue;
        }
        let view = BatchView::first(batch).unwrap();
        let payload = view.payload(1 << 20).unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        for record in view.records(&payload).map(Result::unwrap) {
            if record.offset >= from {
                shown.push((record.offset.0, text(record.key), text(record.value)));
            }
        }
    }
}

mod kafkas {
    use super::*;

    /// What the topic was created with.
    fn options() -> LogOptions {
        LogOptions {
            segment_ms: 2000,
            index_interval_bytes: 256,
            retention_ms: -1,
            ..LogOptions::default()
        }
    }

    fn lines(file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(format!("{FIXTURE}/{file}")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// A consumer's records and its end offset.
    fn consumed(file: &str) -> (Vec<Shown>, i64) {
        let mut lines = lines(file);
        let end = lines.pop().unwrap();
        let record = |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            (
                words[0].parse().unwrap(),
                words[1].to_owned(),
                words[2].to_owned(),
            )
        };
        let records = lines.iter().map(record).collect();
        (records, end.strip_prefix("end ").unwrap().parse().unwrap())
    }

    fn copy() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("txn-0");
        copy_dir(format!("{FIXTURE}/data/txn-0"), &path);
        (dir, path)
    }

    fn of_kind(dir: &Path, kind: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = offset_files(dir);
        files.retain(|name, _| name.ends_with(&format!(".{kind}")));
        files
    }

    fn remove_kinds(dir: &Path, kinds: &[&str]) {
        for kind in kinds {
            for name in of_kind(dir, kind).keys() {
                std::fs::remove_file(dir.join(name)).unwrap();
            }
        }
    }

    /// What Kafka's broker and consumer said of the log, ours says too.
    fn check(log: &Log, how: &str) {
        for (file, read_committed) in [("committed.txt", true), ("uncommitted.txt", false)] {
            let (records, end) = consumed(file);
            let our_end = if read_committed {
                log.stable_end()
            } else {
                log.end_offset()
            };
            assert_eq!(our_end.0, end, "{how}: {file}");
            for bytes_max in [0, 300, 1 << 20] {
                let shown = consume(log, Offset(0), read_committed, bytes_max);
                assert_eq!(shown, records, "{how}: {file}, {bytes_max} bytes at once");
            }
        }
        for line in lines("fetches.txt") {
            let (asked, answer) = line.split_once(" -> ").unwrap();
            let from = Offset(asked.split(' ').next().unwrap().parse().unwrap());
            let words: Vec<&str> = answer.split(' ').collect();
            let end = Offset(words[3].parse().unwrap());
            // Kafka goes on to the next entry of its offset index, and names transactions that begin behind what it sent.
            let first_of = |word: &&str| word.split_once(':').unwrap().1.parse::<i64>().unwrap();
            let expected: Vec<&str> = words[4..]
                .iter()
                .copied()
                .filter(|word| first_of(word) < end.0)
                .collect();
            let plan = log.aborted_transactions(from, end);
            let ours: Vec<String> = plan
                .run_now(end)
                .unwrap()
                .iter()
                .map(|aborted| format!("{}:{}", aborted.producer_id, aborted.first_offset))
                .collect();
            assert_eq!(ours, expected, "{how}: {line}");
        }
    }

    type Damage<'d> = &'d dyn Fn(&Path);

    #[test]
    fn what_its_transactions_left_is_read_as_its_consumer_reads_it() {
        let cuts = |dir: &Path| {
            for (name, bytes) in of_kind(dir, names::TXN_INDEX) {
                std::fs::write(dir.join(name), &bytes[..bytes.len() - 1]).unwrap();
            }
        };
        let without = |kinds: &'static [&str]| move |dir: &Path| remove_kinds(dir, kinds);
        let (clean, crash) = (Opened::AfterCleanStop, Opened::AfterCrash);
        let ways: [(&str, Opened, Damage<'_>); 7] = [
            ("as it is", clean, &|_| {}),
            ("after a crash", crash, &|_| {}),
            (
                "a crash, without",
                crash,
                &without(&[names::TXN_INDEX, names::SNAPSHOT]),
            ),
            ("without snapshots", clean, &without(&[names::SNAPSHOT])),
            (
                "without indexes",
                clean,
                &without(&[names::INDEX, names::TXN_INDEX]),
            ),
            (
                "without anything",
                clean,
                &without(&[names::INDEX, names::TXN_INDEX, names::SNAPSHOT]),
            ),
            ("damaged", clean, &cuts),
        ];
        for (how, opened, damage) in ways {
            let (_keep, dir) = copy();
            let kafkas = of_kind(&dir, names::TXN_INDEX);
            damage(&dir);
            let (log, _) = open(&dir, options(), opened);
            check(&log, how);
            close(log);
            assert_eq!(of_kind(&dir, names::TXN_INDEX), kafkas, "{how}");
            let (log, recovery) = open(&dir, options(), Opened::AfterCleanStop);
            assert_eq!(recovery, Recovery::default(), "{how}");
            check(&log, how);
        }
    }

    #[test]
    fn the_same_batches_make_the_same_files_byte_for_byte() {
        let kafkas = offset_files(Path::new(&format!("{FIXTURE}/data/txn-0")));
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path(), options(), Opened::AfterCleanStop);
        for (_, bytes) in kafkas.iter().filter(|(name, _)| name.ends_with(".log")) {
            for (at, header) in batches(bytes) {
                log.append(&bytes[at..at + header.size_bytes], header.max_timestamp)
                    .unwrap();
            }
        }
        check(&log, "appended");
        close(log);
        let ours = offset_files(dir.path());
        assert_eq!(ours.keys().collect::<Vec<_>>(), kafkas.keys().collect::<Vec<_>>());
        for (name, bytes) in &kafkas {
            let ours = match name.ends_with(names::SNAPSHOT) {
                true => snapshot::newest_only(&ours[name]),
                false => ours[name].clone(),
            };
            assert_eq!(ours, *bytes, "{name}");
        }
    }

    #[test]
    fn an_index_goes_with_its_segment() {
        let (_keep, dir) = copy();
        let (mut log, _) = open(&dir, options(), Opened::AfterCleanStop);
        log.settle_now();
        remove(log.delete_segments_before_now(Offset(129)).unwrap());
        let left: Vec<String> = of_kind(&dir, names::TXN_INDEX).into_keys().collect();
        let bases = [129, 201, 267, 346];
        assert_eq!(
            left,
            bases.map(|base| names::offset_file(Offset(base), names::TXN_INDEX))
        );
        let records = consumed("committed.txt").0;
        let expected: Vec<Shown> = records.into_iter().filter(|record| record.0 >= 129).collect();
        assert_eq!(consume(&log, Offset(129), true, 1 << 20), expected);
    }
}

/// A transaction that begins before the start of its log has its first records deleted, and holds back what is left.
#[test]
fn the_stable_end_is_never_before_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 200,
        ..LogOptions::default()
    };
    let (mut log, _) = open(dir.path(), options, Opened::AfterCleanStop);
    for n in 0..4 {
        let batch = transactional(n, producer(1, n as i32), &["value"], NOW);
        log.append(&batch, NOW).unwrap();
    }
    assert_eq!(log.stable_end(), Offset(0));
    log.settle_now();
    remove(log.delete_segments_before_now(Offset(2)).unwrap());
    assert_eq!((log.start_offset(), log.stable_end()), (Offset(2), Offset(2)));
    log.append(&end_of_transaction(4, producer(1, -1), true, NOW), NOW)
        .unwrap();
    assert_eq!(log.stable_end(), Offset(5));
    assert_eq!(consume(&log, Offset(2), true, 1 << 20), []);
}

/// More of them than wait in memory, over several segments.
#[test]
fn the_upkeep_brings_the_aborted_to_their_files() {
    super::upkeep::on_a_core(|dir| async move {
        let options = LogOptions {
            segment_bytes: 20_000,
            ..LogOptions::default()
        };
        let (mut log, _) = open(&dir, options.clone(), Opened::AfterCleanStop);
        let mut expected = Vec::new();
        for n in 0..300 {
            let first = 2 * n;
            log.append(&transactional(first, producer(1, 0), &["value"], NOW), NOW)
                .unwrap();
            log.append(&end_of_transaction(first + 1, producer(1, -1), true, NOW), NOW)
                .unwrap();
            expected.push(first);
            if n % 50 == 20 {
                // Between the two the new ones are read from memory.
                let upkeep = log.begin_upkeep().unwrap();
                check_aborted(&log, &expected);
                if let Some(upkeep) = upkeep {
                    let upkept = upkeep.run().await.unwrap();
                    log.end_upkeep(upkept);
                }
                check_aborted(&log, &expected);
            }
        }
        super::upkeep::keep_up(&mut log).await;
        check_aborted(&log, &expected);
        assert!(log.segment_count() > 2);
        let base = log.segments[1].base();
        let files = offset_files(&dir);
        let sealed = &files[&names::offset_file(Offset(0), names::TXN_INDEX)];
        assert_eq!(sealed.len() as i64, base.0 / 2 * 34);
        let resume = Resume {
            recovery_point: log.recovery_point(),
            ..Resume::default()
        };
        drop(log);
        let opened = Log::open_now(&dir, options, Opened::AfterCrash, resume, NOW);
        let (log, recovery) = opened.unwrap();
        assert_eq!(recovery.segments_scanned, 1, "the sealed ones are trusted");
        check_aborted(&log, &expected);
        assert_eq!(
            offset_files(&dir)[&names::offset_file(Offset(0), names::TXN_INDEX)],
            *sealed
        );
    });
}

fn check_aborted(log: &Log, expected: &[i64]) {
    for from in [0, expected.len() / 2, expected.len() - 1] {
        let plan = log.aborted_transactions(Offset(expected[from]), log.end_offset());
        let found = plan.run_now(log.end_offset()).unwrap();
        let firsts: Vec<i64> = found.iter().map(|found| found.first_offset.0).collect();
        assert_eq!(firsts, expected[from..]);
    }
}

fn producer(id: i64, sequence: i32) -> Producer {
    Producer {
        id,
        epoch: 0,
        sequence,
    }
}

mod model {
    use super::*;

    /// Their batches are parts of transactions; the others' are not.
    const TRANSACTIONAL: i64 = 4;

    #[derive(Clone, Debug)]
    enum Step {
        Append {
            producer: i64,
            records: usize,
        },
        End {
            producer: i64,
            is_abort: bool,
        },
        CloseAndOpen,
        /// The process dies; of the last segment's file so much is left, of 1000.
        Crash {
            kept: usize,
        },
        LoseIndexes,
        DamageAborted,
        Expire,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (0..TRANSACTIONAL + 1, 1usize..4).prop_map(|(producer, records)| Step::Append { producer, records }),
            10 => (0..TRANSACTIONAL, any::<bool>()).prop_map(|(producer, is_abort)| Step::End { producer, is_abort }),
            1 => Just(Step::CloseAndOpen),
            2 => (0usize..=1000).prop_map(|kept| Step::Crash { kept }),
            1 => Just(Step::LoseIndexes),
            1 => Just(Step::DamageAborted),
            1 => Just(Step::Expire),
        ]
    }

    #[derive(Clone, Copy)]
    struct Batch {
        base: i64,
        last: i64,
        producer: i64,
        marker: Option<ControlType>,
    }

    /// A log as the list of all its batches, deleted ones included.
    #[derive(Default)]
    struct Model {
        batches: Vec<Batch>,
    }

    /// What its transactions came to.
    #[derive(Default)]
    struct Told {
        committed: BTreeSet<i64>,
        /// In the order of their markers: producer, first offset, marker.
        aborted: Vec<(i64, i64, i64)>,
        stable_end: i64,
    }

    impl Model {
        fn tell(&self, end: i64) -> Told {
            let mut told = Told::default();
            let mut open: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            for batch in &self.batches {
                match batch.marker {
                    None if batch.producer == TRANSACTIONAL => told.committed.extend(batch.base..=batch.last),
                    None => open
                        .entry(batch.producer)
                        .or_default()
                        .extend(batch.base..=batch.last),
                    Some(marker) => {
                        let Some(records) = open.remove(&batch.producer) else {
                            continue;
                        };
                        match marker {
                            ControlType::Abort => told.aborted.push((batch.producer, records[0], batch.base)),
                            _ => told.committed.extend(records),
                        }
                    }
                }
            }
            told.stable_end = open.values().map(|records| records[0]).min().unwrap_or(end);
            told
        }

        fn check(&self, log: &Log, bytes_max: usize) {
            let (start, end) = (log.start_offset().0, log.end_offset().0);
            let told = self.tell(end);
            let stable_end = told.stable_end.max(start);
            assert_eq!(log.stable_end().0, stable_end);
            let visible: Vec<i64> = told.committed.range(start..stable_end).copied().collect();
            let offsets = |shown: Vec<Shown>| shown.iter().map(|shown| shown.0).collect::<Vec<_>>();
            assert_eq!(offsets(consume(log, Offset(start), true, bytes_max)), visible);
            let records = self.batches.iter().filter(|batch| batch.marker.is_none());
            let all = records
                .flat_map(|batch| batch.base..=batch.last)
                .filter(|offset| *offset >= start);
            assert_eq!(
                offsets(consume(log, Offset(start), false, bytes_max)),
                all.collect::<Vec<_>>()
            );
            for from in start..=end {
                for upper in [from, from + 1, from + 9, end] {
                    let upper = upper.min(end);
                    let reaches =
                        |aborted: &&(i64, i64, i64)| aborted.2 >= from && aborted.1 < upper && from < upper;
                    let expected: Vec<_> = told.aborted.iter().filter(reaches).copied().collect();
                    let plan = log.aborted_transactions(Offset(from), Offset(upper));
                    let found = plan.run_now(Offset(upper)).unwrap().into_iter();
                    let found =
                        found.map(|found| (found.producer_id.0, found.first_offset.0, found.last_offset.0));
                    assert_eq!(found.collect::<Vec<_>>(), expected, "{from} to {upper}");
                }
            }
        }
    }

    fn options() -> LogOptions {
        LogOptions {
            segment_bytes: 700,
            index_interval_bytes: 100,
            ..LogOptions::default()
        }
    }

    fn append(log: &mut Log, model: &mut Model, producer_id: i64, records: usize) {
        let base = log.end_offset().0;
        let values = vec!["value"; records];
        let bytes = match producer_id {
            TRANSACTIONAL => batch(base, &vec![(NOW.0, "value"); records]),
            _ => transactional(base, producer(producer_id, 0), &values, NOW),
        };
        log.append(&bytes, NOW).unwrap();
        model.batches.push(Batch {
            base,
            last: base + records as i64 - 1,
            producer: producer_id,
            marker: None,
        });
    }

    fn end(log: &mut Log, model: &mut Model, producer_id: i64, is_abort: bool) {
        let base = log.end_offset().0;
        let bytes = end_of_transaction(base, producer(producer_id, -1), is_abort, NOW);
        log.append(&bytes, NOW).unwrap();
        model.batches.push(Batch {
            base,
            last: base,
            producer: producer_id,
            marker: Some(if is_abort {
                ControlType::Abort
            } else {
                ControlType::Commit
            }),
        });
    }

    fn crash(dir: &Path, log: Log, model: &mut Model, kept: usize) -> Log {
        let path = log.active().path(names::LOG);
        drop(log);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len * kept as u64 / 1000).unwrap();
        let (log, _) = open(dir, options(), Opened::AfterCrash);
        model.batches.retain(|batch| batch.last < log.end_offset().0);
        log
    }

    fn close_and_open(dir: &Path, log: Log, between: impl Fn(&Path)) -> Log {
        close(log);
        between(dir);
        open(dir, options(), Opened::AfterCleanStop).0
    }

    fn expire(log: &mut Log) {
        log.options_mut().retention_bytes = 1500;
        let end = log.end_offset();
        log.settle_now();
        remove(log.delete_old_segments_now(NOW, end).unwrap());
        log.options_mut().retention_bytes = -1;
    }

    fn on_files_that_end_with(dir: &Path, end: &str, change: impl Fn(PathBuf, Vec<u8>)) {
        let files = offset_files(dir).into_iter();
        files
            .filter(|(name, _)| name.ends_with(end))
            .for_each(|(name, bytes)| change(dir.join(name), bytes));
    }

    fn run(steps: &[Step], bytes_max: usize) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut model = Model::default();
        let (mut log, _) = open(dir, options(), Opened::AfterCleanStop);
        for step in steps {
            match *step {
                Step::Append { producer, records } => append(&mut log, &mut model, producer, records),
                Step::End { producer, is_abort } => end(&mut log, &mut model, producer, is_abort),
                Step::CloseAndOpen => log = close_and_open(dir, log, |_| {}),
                Step::Crash { kept } => log = crash(dir, log, &mut model, kept),
                Step::LoseIndexes => {
                    let lose = |path: PathBuf, _| std::fs::remove_file(path).unwrap();
                    log = close_and_open(dir, log, |dir| on_files_that_end_with(dir, "index", lose));
                }
                Step::DamageAborted => {
                    let damage = |path: PathBuf, bytes: Vec<u8>| std::fs::write(path, &bytes[1..]).unwrap();
                    log = close_and_open(dir, log, |dir| on_files_that_end_with(dir, "txnindex", damage));
                }
                Step::Expire => expire(&mut log),
            }
            model.check(&log, bytes_max);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn transactions_are_what_a_list_of_batches_says(
            steps in prop::collection::vec(step(), 1..80),
            bytes_max in prop::sample::select(vec![0usize, 400, 1 << 20]),
        ) {
            run(&steps, bytes_max);
        }
    }
}
