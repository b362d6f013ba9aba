//! A disk fails, or is full, while a partition moves to it or away from it, at any instant of the move. What was acknowledged is there, once
//! and in order; the failed disk takes out what lies on it and no more, and nothing waits for a move.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlog::client::HostPort;
use ringlog::io;
use ringlog::io::sim::{Breakage, Faults};
use ringlog::wire::ErrorCode;

use crate::clients::{self, PARTITIONS};
use crate::kit::{Setup, ask, connect};
use crate::log_dirs::{broken, coded, dir_codes, read_from};
use crate::model::Value;
use crate::moves;
use crate::seeds;

const DIRS: [&str; 2] = ["/data", "/second"];
/// The one that fails.
const SECOND: usize = 1;
/// Of a new topic these lie in the first directory, and those in the second.
const IN_FIRST: i32 = 0;
const IN_SECOND: i32 = 1;
const BEFORE: u32 = 40;
/// In this time a failure is met, and all who are told have been.
const SETTLED: Duration = Duration::from_secs(3);
/// Each way in which a disk fails, with the directory it is of.
const WAYS: [Breakage; 4] = [
    Breakage::Full,
    Breakage::All,
    Breakage::Flushes,
    Breakage::Changes,
];

/// How the broker ends, in whatever state the failure has left it.
#[derive(Clone, Copy, Debug)]
enum End {
    Stop,
    Kill,
    Crash,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    what: Breakage,
    /// Whether the partition moves to the disk that fails, or away from it.
    moves_there: bool,
    is_durable: bool,
    is_slow: bool,
    end: End,
    /// The disk fails so long after the move was asked for.
    after: Duration,
    /// The broker ends so long after that.
    lasts: Duration,
}

/// What was acknowledged of each partition.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<[Vec<u32>; PARTITIONS]>>);

impl Acknowledged {
    fn counts(&self) -> [usize; PARTITIONS] {
        self.0.lock().unwrap().each_ref().map(Vec::len)
    }
}

impl Case {
    fn of(seed: u64) -> Case {
        let what = WAYS[seed as usize % 4];
        let is_durable = !seed.is_multiple_of(3);
        let is_slow = (seed / 8).is_multiple_of(2);
        let at = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Case {
            what,
            moves_there: (seed / 4).is_multiple_of(2),
            is_durable,
            is_slow,
            end: match seed / 16 % 3 {
                0 => End::Stop,
                1 if is_durable => End::Crash,
                _ => End::Kill,
            },
            after: Duration::from_micros(at % if is_slow { 300_000 } else { 30_000 }),
            lasts: match seed / 48 % 2 {
                0 => 2 * SETTLED,
                _ => Duration::from_micros(at / 7 % 20_000),
            },
        }
    }

    fn moved(&self) -> i32 {
        if self.moves_there { IN_FIRST } else { IN_SECOND }
    }

    fn settings(&self) -> Vec<&'static str> {
        let mut settings = vec![
            "log.dirs=/data,/second",
            "log.roll.ms=40",
            "log.index.interval.bytes=256",
        ];
        if self.is_durable {
            settings.push("ringlog.ack=durable");
        }
        if self.is_slow {
            settings.push("replica.alter.log.dirs.io.max.bytes.per.second=65536");
        }
        settings
    }
}

#[test]
fn a_disk_that_fails_or_is_full_while_a_partition_moves_costs_nothing_else() {
    let met = [const { AtomicUsize::new(0) }; 2];
    let name = "a_disk_that_fails_or_is_full_while_a_partition_moves_costs_nothing_else";
    let seeds = seeds::each(name, |seed| {
        let has_moved = live_through(seed, Case::of(seed));
        met[usize::from(has_moved)].fetch_add(1, Ordering::Relaxed);
    });
    let [stayed, moved] = met.map(AtomicUsize::into_inner);
    println!("{stayed} stayed, {moved} have moved");
    assert!(
        seeds < 20 || (stayed > 0 && moved > 0),
        "{stayed} stayed, {moved} have moved"
    );
}

/// The disk fails in the instant in which a partition has its name there, before the metadata knows.
#[test]
fn a_partition_that_has_moved_to_a_disk_that_fails_at_once_is_not_begun_anew_where_it_was() {
    let name = "a_partition_that_has_moved_to_a_disk_that_fails_at_once_is_not_begun_anew_where_it_was";
    seeds::each(name, |seed| {
        let mut setup = Setup::new(seed, Faults::none(), &["log.dirs=/data,/second"]);
        setup.start();
        let produce = |number: u32| {
            ask(&setup, move |bootstrap| async move {
                clients::create(bootstrap.clone()).await;
                let value = Value { client: 0, number };
                coded(clients::produce_to(bootstrap, IN_FIRST, value).await)
            })
        };
        assert_eq!(produce(0), Ok(0));
        let moved = format!("{}-{IN_FIRST}", clients::TOPIC);
        let begun = ask(&setup, |bootstrap| async move {
            let cluster = connect(bootstrap).await;
            moves::begin(&cluster, IN_FIRST, SECOND).await.expect("an answer")
        });
        assert_eq!(begun, ErrorCode::NONE);
        let has_moved = || names_in(&setup, SECOND).contains(&moved);
        assert!(setup.sim.pass_until(SETTLED, has_moved), "it moves");
        setup
            .sim
            .pass(Duration::from_micros(seed.wrapping_mul(37) % 2_000));
        setup.sim.set_faults(broken(DIRS[SECOND], Breakage::All));
        setup.sim.pass(SETTLED);
        assert_eq!(produce(1), Err(ErrorCode::KAFKA_STORAGE_ERROR));
        assert!(!names_in(&setup, 0).contains(&moved), "it is not there any more");
        setup.kill();
        setup.sim.set_faults(Faults::none());
        setup.start();
        setup.sim.pass(SETTLED);
        let read = read_from(&setup, IN_FIRST).expect("it is in the other");
        let numbers: Vec<u32> = read.iter().map(|read| read.value.number).collect();
        assert_eq!(numbers, [0]);
        setup.stop();
    });
}

/// Whether the partition had moved before the disk failed.
fn live_through(seed: u64, case: Case) -> bool {
    let mut setup = Setup::new(seed, Faults::none(), &case.settings());
    setup.start();
    let acknowledged = Acknowledged::default();
    ask(
        &setup,
        |bootstrap| async move { clients::create(bootstrap).await },
    );
    let enough = Arc::new(AtomicBool::new(false));
    let client = setup.sim.add_host(1);
    for partition in 0..PARTITIONS as i32 {
        let (bootstrap, acknowledged, enough) = (setup.bootstrap(), acknowledged.clone(), enough.clone());
        setup.sim.run(client, move || {
            produce_all_the_time(bootstrap, partition, acknowledged, enough)
        });
    }
    let is_filled = || {
        acknowledged
            .counts()
            .iter()
            .all(|count| *count >= BEFORE as usize)
    };
    assert!(setup.sim.pass_until(SETTLED * 10, is_filled), "{case:?}");
    let to = usize::from(case.moves_there);
    let moved = case.moved();
    let begun = ask(&setup, move |bootstrap| async move {
        let cluster = connect(bootstrap).await;
        moves::begin(&cluster, moved, to).await.expect("an answer")
    });
    assert_eq!(begun, ErrorCode::NONE, "{case:?}");
    setup.sim.pass(case.after);
    setup.sim.set_faults(broken(DIRS[SECOND], case.what));
    setup.sim.pass(case.lasts);
    let has_moved = is_at(&setup, moved, to);
    if case.lasts >= SETTLED {
        expect_the_rest_is_served(&mut setup, case, has_moved, &acknowledged);
    }
    match case.end {
        End::Stop => {
            enough.store(true, Ordering::Relaxed);
            setup.sim.pass(SETTLED);
            setup.order_stop();
            // What can't be written ends in an error, in the end: it is no clean stop.
            assert!(
                setup.sim.pass_until(SETTLED * 20, || setup.has_ended()),
                "{case:?}"
            );
            setup.kill();
        }
        End::Kill => setup.kill(),
        End::Crash => setup.crash(),
    }
    enough.store(true, Ordering::Relaxed);
    setup.sim.set_faults(Faults::none());
    setup.start();
    // What was not known to be durable is flushed before anyone reads it.
    setup.sim.pass(SETTLED);
    expect_all_is_there(&setup, case, &acknowledged);
    setup.stop();
    has_moved
}

/// The directory that failed is offline, a full one is not; what lies in the other is written and read as ever.
fn expect_the_rest_is_served(setup: &mut Setup, case: Case, has_moved: bool, acknowledged: &Acknowledged) {
    setup.expect_running();
    let code = match case.what {
        Breakage::Full => ErrorCode::NONE,
        _ => ErrorCode::KAFKA_STORAGE_ERROR,
    };
    assert_eq!(dir_codes(setup), [0, code.0], "{case:?}");
    let before = acknowledged.counts();
    setup.sim.pass(SETTLED);
    let after = acknowledged.counts();
    for partition in 0..PARTITIONS as i32 {
        let is_in_second = match partition == case.moved() {
            true => case.moves_there == has_moved,
            false => partition % 2 == IN_SECOND,
        };
        let grew = after[partition as usize] > before[partition as usize];
        assert_eq!(
            grew, !is_in_second,
            "{partition}: {case:?}, has moved: {has_moved}"
        );
        let is_read = read_from(setup, partition).is_ok();
        assert_eq!(
            is_read,
            !is_in_second || code == ErrorCode::NONE,
            "{partition}: {case:?}"
        );
    }
    let is_full = case.what == Breakage::Full;
    assert!(
        has_moved || case.moves_there || !is_full,
        "{case:?}: nothing keeps it from leaving a full disk"
    );
    let left = [0, 1].map(|dir| is_to_come(setup, dir));
    assert_eq!(
        left,
        [false, left[1] && !is_full],
        "{case:?}: a move that can't go on is over"
    );
}

/// Every record that was acknowledged, once and in order, in one place.
fn expect_all_is_there(setup: &Setup, case: Case, acknowledged: &Acknowledged) {
    let all = acknowledged.0.lock().unwrap().clone();
    let logs = ask(setup, clients::read_all);
    for (partition, (numbers, read)) in (0..).zip(all.into_iter().zip(logs)) {
        let offsets = read.iter().zip(0..).all(|(read, offset)| read.offset == offset);
        let read: Vec<u32> = read.iter().map(|read| read.value.number).collect();
        assert!(
            offsets && read.is_sorted_by(|a, b| a < b),
            "{partition}: {read:?}, {case:?}"
        );
        let read: BTreeSet<u32> = read.into_iter().collect();
        let lost: Vec<_> = numbers.iter().filter(|number| !read.contains(number)).collect();
        assert!(
            lost.is_empty(),
            "{partition} has lost {lost:?} of {}: {case:?}",
            numbers.len()
        );
        let places = [0, 1].map(|dir| is_at(setup, partition, dir));
        assert_ne!(places[0], places[1], "{partition}: {case:?}");
        let name = format!("{}-{partition}", clients::TOPIC);
        let on_disk = [0, 1].map(|dir| names_in(setup, dir).contains(&name));
        assert_eq!(on_disk, places, "{partition}: {case:?}");
    }
    assert_eq!([0, 1].map(|dir| is_to_come(setup, dir)), [false; 2], "{case:?}");
}

fn names_in(setup: &Setup, dir: usize) -> Vec<String> {
    let entries = || ringlog::io::fs::read_dir_now(DIRS[dir]).unwrap_or_default();
    let entries = setup.sim.on(setup.host, entries);
    let names = entries.iter().filter_map(|entry| entry.name.to_str());
    names.map(str::to_owned).collect()
}

fn is_at(setup: &Setup, partition: i32, dir: usize) -> bool {
    let name = format!("{}-{partition}", clients::TOPIC);
    setup.sim.on(setup.host, || {
        let is_there = |dir: usize| ringlog::io::fs::exists_now(format!("{}/{name}", DIRS[dir])).unwrap();
        // Where the old directory could not be renamed, the new one counts.
        let to_second = partition == IN_FIRST;
        match (is_there(0), is_there(1)) {
            (true, true) => usize::from(to_second) == dir,
            here => [here.0, here.1][dir],
        }
    })
}

/// Whether a copy is in a directory.
fn is_to_come(setup: &Setup, dir: usize) -> bool {
    names_in(setup, dir).iter().any(|name| name.ends_with("-future"))
}

/// A record after the other, each sent once, until it is `enough`.
async fn produce_all_the_time(
    bootstrap: HostPort,
    partition: i32,
    acknowledged: Acknowledged,
    enough: Arc<AtomicBool>,
) {
    let mut number = 0;
    let cluster = connect(bootstrap).await;
    while !enough.load(Ordering::Relaxed) {
        let value = Value {
            client: partition as u32,
            number,
        };
        if clients::produce_by(&cluster, partition, value).await.is_ok() {
            acknowledged.0.lock().unwrap()[partition as usize].push(number);
        }
        number += 1;
        let is_enough_to_move = number > 2 * BEFORE;
        io::sleep(Duration::from_millis(if is_enough_to_move { 50 } else { 4 })).await;
    }
}
