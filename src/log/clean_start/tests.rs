//! What a clean stop left against what the files say, and against whatever may have happened to either.

use std::fs::{self as files, FileTimes};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::base::{Offset, Timestamp};
use crate::log::testing::{Producer, batch, batch_of, end_of_transaction, transactional};
use crate::log::{Log, LogOptions, Opened, Recovery, Resume, names, write_topic_id_now};

const NOW: Timestamp = Timestamp(1_700_000_100_000);
const TOKEN: Token = Token([9; 16]);

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 700,
        index_interval_bytes: 150,
        retention_ms: -1,
        ..LogOptions::default()
    }
}

fn partition(n: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([n as u8 / 3; 16]),
        partition: PartitionIndex(n % 3),
    }
}

fn open(dir: &Path, resume: Resume) -> Log {
    let (log, recovery) = Log::open_now(dir, options(), Opened::AfterCleanStop, resume, NOW).unwrap();
    assert_eq!(recovery, Recovery::default());
    log
}

/// An empty log with all that a partition's directory has.
fn new_log(dir: &Path) -> Log {
    files::create_dir_all(dir).unwrap();
    write_topic_id_now(dir, TopicId([1; 16])).unwrap();
    open(dir, Resume::default())
}

/// Closes it as [`Log::close`], without a core, and takes the outcome through the file.
fn close(mut log: Log) -> Option<LogLeft> {
    log.closing_plan().unwrap();
    log.release_files();
    let left = log.left_now()?;
    let file = encode(TOKEN, vec![Entry::new(partition(1), &left)?]);
    let read = CleanStart::decode(&file, TOKEN).unwrap().log(partition(1));
    assert_eq!(read.as_ref(), Some(&left));
    read
}

/// Opens a log in both ways, which must come to the same.
pub fn open_both_ways(
    dir: &Path,
    options: LogOptions,
    left: &LogLeft,
    resume: Resume,
    now: Timestamp,
) -> Log {
    let epochs_path = dir.join(names::LEADER_EPOCHS);
    let epochs = files::read(&epochs_path).unwrap();
    let reopened = Log::reopen_now(dir.into(), options.clone(), left, resume, now).expect("it is as it was");
    let shown = format!("{reopened:?}");
    drop(reopened);
    // Either writes these where an epoch has no record left; each is to find them as they were.
    files::write(&epochs_path, epochs).unwrap();
    let (opened, recovery) =
        Log::open_now(dir, options.clone(), Opened::AfterCleanStop, resume, now).unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!(shown, format!("{opened:?}"));
    opened
}

/// A closed log of three segments, with a producer and an aborted transaction.
struct Closed {
    _root: tempfile::TempDir,
    dir: PathBuf,
    left: LogLeft,
}

fn closed() -> Closed {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    let mut log = new_log(&dir);
    let producer = |sequence| Producer {
        id: 7,
        epoch: 0,
        sequence,
    };
    for n in 0..24 {
        let bytes = batch_of(n, 3, producer(n as i32), &[(10 * n, "some value of a record")]);
        log.append(&bytes, NOW).unwrap();
    }
    let other = Producer { id: 8, ..producer(0) };
    let begun = transactional(24, other, &["taken back"], Timestamp(500));
    log.append(&begun, NOW).unwrap();
    log.append(&end_of_transaction(25, other, true, Timestamp(500)), NOW)
        .unwrap();
    assert!(log.segment_count() > 2);
    let left = close(log).unwrap();
    Closed {
        _root: root,
        dir,
        left,
    }
}

impl Closed {
    fn reopen(&self) -> Option<Log> {
        Log::reopen_now(
            self.dir.as_path().into(),
            options(),
            &self.left,
            Resume::default(),
            NOW,
        )
    }

    fn active(&self) -> PathBuf {
        let base = Offset(self.left.segments.last().unwrap().base);
        self.dir.join(names::offset_file(base, names::LOG))
    }
}

/// Every file is overwritten and looks as it did from outside: whoever reads one would notice.
#[test]
fn no_file_is_read() {
    let closed = closed();
    let before = format!("{:?}", open(&closed.dir, Resume::default()));
    for entry in files::read_dir(&closed.dir).unwrap() {
        let path = entry.unwrap().path();
        let status = files::metadata(&path).unwrap();
        let file = files::File::options().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut &file, &vec![0xa5; status.len() as usize]).unwrap();
        let times = FileTimes::new().set_modified(status.modified().unwrap());
        file.set_times(times).unwrap();
    }
    let reopened = closed.reopen().expect("nothing is to be seen from outside");
    assert_eq!(format!("{reopened:?}"), before);
    assert_eq!(reopened.producers().len(), 2);
}

#[test]
fn a_directory_that_changed_since_is_opened_from_its_files() {
    type Change = fn(&Closed);
    let changes: [(&str, Change); 8] = [
        ("a file more", |closed| {
            files::write(closed.dir.join("note"), "").unwrap();
        }),
        ("an index is gone", |closed| {
            files::remove_file(closed.dir.join(names::offset_file(Offset(0), names::INDEX))).unwrap();
        }),
        ("a file was restored over another", |closed| {
            let from = closed.dir.join(names::offset_file(Offset(0), names::LOG));
            let copy = closed.dir.with_extension("copy");
            files::copy(&from, &copy).unwrap();
            files::rename(&copy, &from).unwrap();
        }),
        ("something was appended", |closed| {
            let mut log = open(&closed.dir, Resume::default());
            log.append(&batch(26, &[(900, "more")]), NOW).unwrap();
        }),
        ("the end was written again", |closed| {
            let bytes = files::read(closed.active()).unwrap();
            let file = files::File::options().write(true).open(closed.active()).unwrap();
            std::io::Write::write_all(&mut &file, &bytes).unwrap();
        }),
        ("the end was cut off", |closed| {
            let file = files::File::options().write(true).open(closed.active()).unwrap();
            let times = FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
            file.set_len(10).unwrap();
            file.set_times(times).unwrap();
        }),
        ("another directory has its name", |closed| {
            let other = closed.dir.with_extension("other");
            files::create_dir(&other).unwrap();
            for entry in files::read_dir(&closed.dir).unwrap() {
                let entry = entry.unwrap();
                files::copy(entry.path(), other.join(entry.file_name())).unwrap();
            }
            files::remove_dir_all(&closed.dir).unwrap();
            files::rename(&other, &closed.dir).unwrap();
        }),
        ("it is gone", |closed| {
            files::remove_dir_all(&closed.dir).unwrap();
        }),
    ];
    for (what, change) in changes {
        let closed = closed();
        assert!(closed.reopen().is_some());
        // The clock of a file system may have ticks of several milliseconds.
        std::thread::sleep(Duration::from_millis(20));
        change(&closed);
        assert!(closed.reopen().is_none(), "{what}");
    }
}

#[test]
fn a_log_that_the_next_start_has_to_tidy_up_is_not_left() {
    for stray in [
        "00000000000000000000.log.deleted",
        "00000000000000000000.log.cleaned",
        "00000000000000000099.index",
        "partition.tmp",
        "note",
    ] {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("topic-0");
        let mut log = new_log(&dir);
        log.append(&batch(0, &[(1, "value")]), NOW).unwrap();
        files::write(dir.join(stray), "").unwrap();
        assert_eq!(close(log), None, "{stray}");
    }
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    let log = new_log(&dir);
    files::remove_file(dir.join(names::PARTITION_METADATA)).unwrap();
    assert_eq!(close(log), None, "whose it is must be known");
}

#[test]
fn a_snapshot_that_nobody_needs_goes_with_the_stop() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    let mut log = new_log(&dir);
    for n in 0..4 {
        log.append(&batch(n, &[(n, "value")]), NOW).unwrap();
        let left = close(log).unwrap();
        log = Log::reopen_now(dir.as_path().into(), options(), &left, Resume::default(), NOW).unwrap();
    }
    let names = files::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let snapshots = names.filter(|name| name.to_str().unwrap().ends_with(names::SNAPSHOT));
    assert_eq!(snapshots.count(), 1);
}

#[test]
fn many_producers_are_read_from_their_own_snapshot() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    let mut log = new_log(&dir);
    for n in 0..2000 {
        let producer = Producer {
            id: n,
            epoch: 0,
            sequence: 0,
        };
        log.append(&batch_of(n, 0, producer, &[(NOW.0, "v")]), NOW)
            .unwrap();
    }
    let left = close(log).unwrap();
    assert_eq!(left.producers, ProducersLeft::InSnapshot);
    let log = open_both_ways(&dir, options(), &left, Resume::default(), NOW);
    assert_eq!(log.producers().len(), 2000);
    let snapshot = dir.join(names::offset_file(Offset(2000), names::SNAPSHOT));
    files::write(snapshot, "torn").unwrap();
    assert!(Log::reopen_now(dir.as_path().into(), options(), &left, Resume::default(), NOW).is_none());
}

#[test]
fn what_can_not_be_is_opened_from_the_files() {
    let closed = closed();
    type Change = fn(&mut LogLeft);
    let changes: [Change; 12] = [
        |left| left.segments.clear(),
        |left| left.segments.swap(0, 1),
        |left| left.segments[0].base = -1,
        |left| left.end_offset = left.segments.last().unwrap().base - 1,
        |left| left.snapshot_offset = left.end_offset + 1,
        |left| left.snapshot_offset = -1,
        |left| left.producers = ProducersLeft::Here(vec![0, 1, 2]),
        |left| left.epochs = vec![(3, 4), (3, 5)],
        |left| left.segments[0].offsets.as_mut().unwrap().position = i32::MAX,
        |left| left.segments[0].times.as_mut().unwrap().timestamp = -5,
        |left| left.segments[1].size_bytes = 0,
        |left| {
            let aborted = left
                .segments
                .iter_mut()
                .find_map(|segment| segment.aborted.as_mut());
            aborted.unwrap().last_offset = -1;
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut left = closed.left.clone();
        change(&mut left);
        let reopened = Log::reopen_now(
            closed.dir.as_path().into(),
            options(),
            &left,
            Resume::default(),
            NOW,
        );
        assert!(reopened.is_none(), "change {n}");
    }
    let behind = Resume {
        start_offset: Offset(99),
        ..Resume::default()
    };
    assert!(Log::reopen_now(closed.dir.as_path().into(), options(), &closed.left, behind, NOW).is_none());
}

fn left_of(n: i32) -> LogLeft {
    let segment = SegmentLeft {
        base: 0,
        size_bytes: 100,
        offsets: None,
        times: None,
        aborted: None,
    };
    LogLeft {
        dir_changed: i64::from(n),
        active_changed: 2,
        end_offset: 3,
        snapshot_offset: 3,
        producers: ProducersLeft::Here(vec![n as u8; n as usize]),
        epochs: vec![(0, 0); n as usize % 3],
        segments: vec![segment; 1 + n as usize],
    }
}

/// So many logs.
pub fn entries(count: i32) -> Vec<Entry> {
    let entry = |n| Entry::new(partition(n), &left_of(n)).unwrap();
    (0..count).rev().map(entry).collect()
}

/// A file of so many logs.
pub fn file(count: i32) -> Vec<u8> {
    encode(TOKEN, entries(count))
}

/// A file of a log with producers, segments and an aborted transaction; the same each time.
pub fn file_of_a_real_log() -> Vec<u8> {
    let left = LogLeft {
        dir_changed: 1,
        active_changed: 2,
        ..closed().left
    };
    encode(TOKEN, vec![Entry::new(partition(0), &left).unwrap()])
}

#[test]
fn every_log_of_the_file_is_found() {
    let read = CleanStart::decode(&file(9), TOKEN).unwrap();
    assert_eq!(read.len(), 9);
    for n in 0..9 {
        assert_eq!(read.log(partition(n)), Some(left_of(n)));
    }
    assert_eq!(read.log(partition(9)), None);
    assert!(CleanStart::decode(&file(0), TOKEN).unwrap().is_empty());
}

#[test]
fn a_file_with_any_bit_changed_or_any_byte_missing_is_refused() {
    let whole = file(3);
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(CleanStart::decode(&changed, TOKEN).is_err(), "bit {bit}");
    }
    for len in 0..whole.len() {
        assert!(CleanStart::decode(&whole[..len], TOKEN).is_err(), "{len} bytes");
    }
    assert_eq!(
        CleanStart::decode(&whole, Token([8; 16])).unwrap_err(),
        Doubt::Token
    );
}

#[test]
fn logs_for_which_there_is_no_room_are_left_out() {
    let large = |n: i32| LogLeft {
        producers: ProducersLeft::Here(vec![0; BYTES_MAX / 2 - 1000]),
        ..left_of(n)
    };
    let entries = [large(0), large(1), large(2), left_of(3)];
    let entries = (0..)
        .zip(&entries)
        .map(|(n, left)| Entry::new(partition(n), left).unwrap());
    let bytes = encode(TOKEN, entries.collect());
    assert!(bytes.len() <= BYTES_MAX);
    let read = CleanStart::decode(&bytes, TOKEN).unwrap();
    let known = (0..4).filter(|n| read.log(partition(*n)).is_some());
    assert_eq!(known.collect::<Vec<_>>(), [0, 1, 3]);
}

#[test]
fn what_is_damaged_or_of_another_stop_is_told_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read_now(dir.path(), TOKEN).is_empty());
    let entries = vec![Entry::new(partition(0), &left_of(0)).unwrap()];
    write_now(dir.path(), TOKEN, entries).unwrap();
    assert_eq!(read_now(dir.path(), TOKEN).len(), 1);
    assert!(read_now(dir.path(), Token([0; 16])).is_empty());
    files::write(dir.path().join(FILE), "RLCLEAN\n").unwrap();
    assert!(read_now(dir.path(), TOKEN).is_empty());
    remove_now(dir.path());
    remove_now(dir.path());
    assert_eq!(files::read_dir(dir.path()).unwrap().count(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Append {
        values: Vec<usize>,
        producer: Option<i64>,
        new_epoch: bool,
    },
    Transact {
        producer: i64,
        len: usize,
    },
    End {
        producer: i64,
        is_abort: bool,
    },
    /// Records go up to so much of what there is, of 1000.
    DeleteRecords {
        upto: i64,
    },
    Expire {
        retention_bytes: i64,
    },
    CloseAndOpen,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        prop::collection::vec(0usize..120, 1..4),
        prop::option::of(1i64..4),
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        12 => append.prop_map(|(values, producer, new_epoch)| Step::Append { values, producer, new_epoch }),
        4 => (4i64..7, 0usize..120).prop_map(|(producer, len)| Step::Transact { producer, len }),
        3 => (4i64..7, any::<bool>()).prop_map(|(producer, is_abort)| Step::End { producer, is_abort }),
        1 => (0i64..=1000).prop_map(|upto| Step::DeleteRecords { upto }),
        1 => (0i64..3000).prop_map(|retention_bytes| Step::Expire { retention_bytes }),
        2 => Just(Step::CloseAndOpen),
    ]
}

/// Whoever appends, and what comes next of them.
#[derive(Default)]
struct Writer {
    sequences: std::collections::BTreeMap<i64, i32>,
    epoch: i32,
    clock: i64,
}

impl Writer {
    fn producer(&mut self, id: i64, records: usize) -> Producer {
        let next = self.sequences.entry(id).or_default();
        let sequence = *next;
        *next += records as i32;
        Producer {
            id,
            epoch: 0,
            sequence,
        }
    }

    fn batch(&mut self, step: &Step, at: i64) -> Option<Vec<u8>> {
        self.clock += 7;
        let clock = self.clock;
        match step {
            Step::Append {
                values,
                producer,
                new_epoch,
            } => {
                self.epoch += i32::from(*new_epoch);
                let none = Producer {
                    id: -1,
                    epoch: -1,
                    sequence: -1,
                };
                let producer = producer.map_or(none, |id| self.producer(id, values.len()));
                let values: Vec<String> = values.iter().map(|len| "v".repeat(*len)).collect();
                let records: Vec<(i64, &str)> = values.iter().map(|value| (clock, value.as_str())).collect();
                Some(batch_of(at, self.epoch, producer, &records))
            }
            Step::Transact { producer, len } => {
                let producer = self.producer(*producer, 1);
                Some(transactional(
                    at,
                    producer,
                    &["t".repeat(*len).as_str()],
                    Timestamp(clock),
                ))
            }
            Step::End { producer, is_abort } => {
                let producer = self.producer(*producer, 0);
                Some(end_of_transaction(at, producer, *is_abort, Timestamp(clock)))
            }
            _ => None,
        }
    }
}

/// Closes and opens it in both ways.
fn reopen(dir: &Path, log: Log) -> Log {
    let resume = Resume {
        start_offset: log.start_to_checkpoint().unwrap_or_default(),
        ..Resume::default()
    };
    let left = close(log).expect("nothing to tidy up");
    open_both_ways(dir, options(), &left, resume, NOW)
}

fn run(steps: &[Step]) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("topic-0");
    let mut log = new_log(&dir);
    let mut writer = Writer::default();
    for step in steps {
        if let Some(bytes) = writer.batch(step, log.end_offset().0) {
            log.append(&bytes, NOW).unwrap();
            continue;
        }
        match step {
            Step::DeleteRecords { upto } => {
                let (start, end) = (log.start_offset().0, log.end_offset().0);
                log.delete_records_before(Offset(start + (end - start) * upto / 1000));
            }
            Step::Expire { retention_bytes } => {
                log.options_mut().retention_bytes = *retention_bytes;
                log.settle_now();
                let removal = log.delete_old_segments_now(NOW, log.end_offset()).unwrap();
                log.options_mut().retention_bytes = -1;
                removal.remove_all_now();
            }
            _ => log = reopen(&dir, log),
        }
    }
    reopen(&dir, log);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_the_same_whether_it_is_opened_from_this_or_from_its_files(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        run(&steps);
    }

    #[test]
    fn any_bytes_with_a_good_crc_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        known in 0..4i32,
    ) {
        let mut whole = file(known);
        whole.extend(bytes);
        let crc = crc32c(&whole[TOKEN_AT..]);
        whole[CRC_AT..TOKEN_AT].copy_from_slice(&crc.to_le_bytes());
        if let Ok(read) = CleanStart::decode(&whole, TOKEN) {
            for (partition, _) in &read.places {
                read.log(*partition);
            }
        }
    }
}

#[test]
fn times_are_told_to_the_nanosecond() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = files::File::create(&path).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    file.set_times(FileTimes::new().set_modified(at)).unwrap();
    let status = fs::status_now(&path).unwrap();
    assert_eq!((status.len, status.changed), (0, 1_700_000_000_123_456_789));
}
