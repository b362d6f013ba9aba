//! AlterReplicaLogDirs: replicas that move between log directories while they are served.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ringlog::wire::ErrorCode;
use ringlog::wire::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use ringlog::wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};

use crate::harness::{Broker, PATIENCE};
use crate::log_dirs::{TOPIC, describe_dirs, fetch, partitions_in, produce, set, two_directories, value_in};
use crate::raw::{Connection, create_topic};

const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const NONE: i16 = ErrorCode::NONE.0;

/// The code that a move of one partition to a directory is answered with.
pub fn move_to(client: &mut Connection, version: i16, topic: &str, partition: i32, dir: &Path) -> i16 {
    let answer = client.call(version, &move_request(topic, partition, dir));
    let topic = answer.results.iter().next().expect("the topic's answer");
    let partition = topic.partitions.iter().next().expect("the partition's");
    partition.error_code
}

/// To move one partition to a directory.
pub fn move_request(topic: &str, partition: i32, dir: &Path) -> AlterReplicaLogDirsRequest<'static> {
    let topic = AlterReplicaLogDirTopic {
        name: topic.to_owned().into(),
        partitions: vec![partition].into(),
    };
    let dir = AlterReplicaLogDir {
        path: dir.display().to_string().into(),
        topics: vec![topic].into(),
    };
    AlterReplicaLogDirsRequest {
        dirs: vec![dir].into(),
    }
}

/// The partitions of a topic that are told to lie in a directory, and those that are to: with how far they are behind.
fn told(client: &mut Connection, topic: &'static str, dir: usize) -> (Vec<i32>, Vec<(i32, i64)>) {
    let described = describe_dirs(client, 4, None);
    let of_topic = described[dir]
        .topics
        .iter()
        .filter(|told| told.name.as_ref() == topic);
    let all: Vec<_> = of_topic
        .flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>())
        .collect();
    let (mut here, mut to_come) = (Vec::new(), Vec::new());
    for partition in all {
        match partition.is_future_key {
            true => to_come.push((partition.partition_index, partition.offset_lag)),
            false => here.push(partition.partition_index),
        }
    }
    here.sort_unstable();
    (here, to_come)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not yet: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What in a directory is on its way in or out.
fn marked(dir: &Path, mark: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_marked = |path: &PathBuf| path.to_str().is_some_and(|path| path.ends_with(mark));
    entries.filter(is_marked).collect()
}

/// A broker with a record in each of eight partitions, four in each directory.
fn with_records(settings: &[&str]) -> (Broker, [PathBuf; 2], Connection) {
    let (mut broker, dirs) = two_directories(settings);
    broker.start_again();
    let mut client = Connection::open(&broker);
    create_topic(&mut client, TOPIC, 8);
    (0..8).for_each(|partition| assert_eq!(produce(&mut client, partition), NONE));
    (broker, dirs, client)
}

#[test]
fn a_partition_moves_to_the_other_directory_and_back() {
    let (mut broker, dirs, mut client) = with_records(&[]);
    let was_in_first = partitions_in(&dirs[0]);
    for (round, to) in [(1, 1), (2, 0), (3, 1)] {
        let version = 1 + round % 2;
        for partition in 0..8 {
            assert_eq!(move_to(&mut client, version, TOPIC, partition, &dirs[to]), NONE);
        }
        until("all are in one directory", || {
            told(&mut client, TOPIC, to) == ((0..8).collect(), Vec::new())
        });
        assert_eq!(partitions_in(&dirs[to]).len(), 8);
        assert!(partitions_in(&dirs[1 - to]).is_empty());
        for partition in 0..8 {
            assert_eq!(produce(&mut client, partition), NONE);
            let (code, bytes) = fetch(&mut client, partition);
            assert_eq!((code, bytes > 0), (NONE, true));
        }
        let sizes: Vec<usize> = (0..8).map(|partition| fetch(&mut client, partition).1).collect();
        match round {
            1 => broker.kill_and_start_again(),
            _ => {
                assert!(broker.stop().success());
                broker.start_again();
            }
        }
        client = Connection::open(&broker);
        let after: Vec<usize> = (0..8).map(|partition| fetch(&mut client, partition).1).collect();
        assert_eq!(sizes, after);
        assert_eq!(partitions_in(&dirs[to]).len(), 8);
        assert!(dirs.iter().all(|dir| marked(dir, "-future").is_empty()));
    }
    assert!(!was_in_first.is_empty());
}

#[test]
fn a_move_that_cannot_be_is_refused_as_kafka_does() {
    let (mut broker, dirs, mut client) = with_records(&[]);
    let here = partitions_in(&dirs[0])[0];
    let code = |client: &mut Connection, topic: &str, partition, dir: &Path| {
        move_to(client, 2, topic, partition, dir)
    };
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    assert_eq!(code(&mut client, TOPIC, here, &dirs[0]), NONE, "it is there");
    assert_eq!(code(&mut client, TOPIC, 8, &dirs[1]), unknown);
    assert_eq!(code(&mut client, "unheard-of", 0, &dirs[1]), unknown);
    assert_eq!(code(&mut client, "__cluster_metadata", 0, &dirs[1]), unknown);
    let long = "t".repeat(230);
    assert_eq!(
        code(&mut client, &long, 0, &dirs[1]),
        ErrorCode::INVALID_TOPIC_EXCEPTION.0
    );
    let nowhere = dirs[1].join("deeper");
    assert_eq!(
        code(&mut client, TOPIC, here, &nowhere),
        ErrorCode::LOG_DIR_NOT_FOUND.0
    );
    let cordoned = dirs[1].display().to_string();
    assert_eq!(set(&mut client, "cordoned.log.dirs", Some(&cordoned)).0, NONE);
    assert_eq!(
        code(&mut client, TOPIC, here, &dirs[1]),
        ErrorCode::INVALID_REPLICA_ASSIGNMENT.0
    );
    assert_eq!(set(&mut client, "cordoned.log.dirs", None).0, NONE);

    let there = partitions_in(&dirs[1])[0];
    assert!(broker.stop().success());
    let aside = dirs[1].with_file_name("aside");
    fs::rename(&dirs[1], &aside).unwrap();
    fs::write(&dirs[1], "not a directory").unwrap();
    broker.start_again();
    let mut client = Connection::open(&broker);
    let offline = ErrorCode::KAFKA_STORAGE_ERROR.0;
    assert_eq!(code(&mut client, TOPIC, here, &dirs[1]), offline);
    assert_eq!(code(&mut client, TOPIC, there, &dirs[0]), offline);
    assert_eq!(code(&mut client, TOPIC, here, &dirs[0]), NONE);
}

/// Adds so many records to a partition that a move of it takes a while at the rate of [`slowly`].
fn fill(client: &mut Connection, partition: i32) {
    (0..2_000).for_each(|_| assert_eq!(produce(client, partition), NONE));
}

/// Lets moves copy a kilobyte a second.
fn slowly(client: &mut Connection) {
    assert_eq!(set(client, RATE, Some("2048")).0, NONE);
}

#[test]
fn a_move_under_way_is_told_and_ends_with_another_that_names_where_it_is() {
    let (mut broker, dirs, mut client) = with_records(&[]);
    let partition = partitions_in(&dirs[0])[0];
    fill(&mut client, partition);
    slowly(&mut client);
    assert_eq!(move_to(&mut client, 2, TOPIC, partition, &dirs[1]), NONE);
    until("a copy is there", || marked(&dirs[1], "-future").len() == 1);
    let (here, to_come) = told(&mut client, TOPIC, 1);
    assert!(!here.contains(&partition), "it is to come: {here:?}");
    assert!(
        matches!(to_come[..], [(index, lag)] if index == partition && lag > 1_000),
        "{to_come:?}"
    );
    assert!(told(&mut client, TOPIC, 0).0.contains(&partition));
    assert_eq!(produce(&mut client, partition), NONE);

    assert_eq!(move_to(&mut client, 2, TOPIC, partition, &dirs[0]), NONE);
    until("the copy is gone", || marked(&dirs[1], "-future").is_empty());
    assert_eq!(told(&mut client, TOPIC, 1).1, []);

    // A stop leaves no copy, and a start none either.
    assert_eq!(move_to(&mut client, 2, TOPIC, partition, &dirs[1]), NONE);
    until("a copy is there", || marked(&dirs[1], "-future").len() == 1);
    assert!(broker.stop().success());
    assert_eq!(marked(&dirs[1], "-future"), [] as [PathBuf; 0]);
    broker.start_again();
    let mut client = Connection::open(&broker);
    assert_eq!(told(&mut client, TOPIC, 1).1, []);
    assert_eq!(move_to(&mut client, 2, TOPIC, partition, &dirs[1]), NONE);
    until("a copy is there", || marked(&dirs[1], "-future").len() == 1);
    broker.kill_and_start_again();
    let mut client = Connection::open(&broker);
    assert_eq!(marked(&dirs[1], "-future"), [] as [PathBuf; 0]);
    assert!(told(&mut client, TOPIC, 0).0.contains(&partition));

    // Once it may, it goes on.
    assert_eq!(move_to(&mut client, 2, TOPIC, partition, &dirs[1]), NONE);
    assert_eq!(set(&mut client, RATE, None).0, NONE);
    until("it has moved", || {
        told(&mut client, TOPIC, 1).0.contains(&partition)
    });
}

#[test]
fn a_topic_that_is_deleted_takes_its_moves_along() {
    let (broker, dirs, mut client) = with_records(&["file.delete.delay.ms=0"]);
    let in_first = partitions_in(&dirs[0]);
    in_first
        .iter()
        .for_each(|partition| fill(&mut client, *partition));
    slowly(&mut client);
    for partition in &in_first {
        assert_eq!(move_to(&mut client, 2, TOPIC, *partition, &dirs[1]), NONE);
    }
    until("copies are there", || !marked(&dirs[1], "-future").is_empty());
    assert_eq!(told(&mut client, TOPIC, 1).1.len(), in_first.len(), "some wait");
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some(TOPIC.into()),
            ..Default::default()
        }]
        .into(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    assert_eq!(
        client
            .call(6, &request)
            .responses
            .iter()
            .next()
            .unwrap()
            .error_code,
        NONE
    );
    until("nothing of it is left", || {
        dirs.iter()
            .all(|dir| partitions_in(dir).is_empty() && marked(dir, "-future").is_empty())
    });
    create_topic(&mut client, TOPIC, 8);
    (0..8).for_each(|partition| assert_eq!(produce(&mut client, partition), NONE));
    assert_eq!(broker.stderr().matches("ERROR").count(), 0, "{}", broker.stderr());
}

/// What a crash may leave of two renames on two disks: each state, with what must come of it.
#[test]
fn a_start_knows_what_counts_whatever_a_crash_left_of_a_move() {
    for (old_has_name, new_has_name, counts) in [
        (true, false, 0),
        (true, true, 1),
        (false, false, 1),
        (false, true, 1),
    ] {
        let (mut broker, dirs, _) = with_records(&[]);
        let partition = partitions_in(&dirs[0])[0];
        broker.kill();
        let name = format!("{TOPIC}-{partition}");
        let unique = "0f".repeat(16);
        let old = dirs[0].join(&name);
        let new = match new_has_name {
            true => dirs[1].join(&name),
            false => dirs[1].join(format!("{name}.{unique}-future")),
        };
        fs::create_dir(&new).unwrap();
        for file in fs::read_dir(&old).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), new.join(file.file_name())).unwrap();
        }
        let source = value_in(&dirs[0].join("meta.properties"), "directory.id");
        fs::write(new.join("ringlog-moved-from"), format!("{source}\n")).unwrap();
        if !old_has_name {
            fs::rename(&old, dirs[0].join(format!("{name}.{unique}-delete"))).unwrap();
        }
        broker.start_again();
        let mut client = Connection::open(&broker);
        let why = format!("{old_has_name} {new_has_name}");
        assert!(told(&mut client, TOPIC, counts).0.contains(&partition), "{why}");
        assert!(dirs[counts].join(&name).is_dir() && !dirs[1 - counts].join(&name).exists());
        assert!(matches!(fetch(&mut client, partition), (NONE, 1..)), "{why}");
        assert_eq!(produce(&mut client, partition), NONE, "{why}");
        // It moves on from there as any other.
        let (from, to) = (&dirs[counts], &dirs[1 - counts]);
        assert_eq!(move_to(&mut client, 2, TOPIC, partition, to), NONE);
        until("it has moved", || {
            told(&mut client, TOPIC, 1 - counts).0.contains(&partition)
        });
        assert!(!from.join(&name).exists(), "{why}");
        until("nothing tells of it", || {
            !to.join(&name).join("ringlog-moved-from").exists()
        });
    }
}
