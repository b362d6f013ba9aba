//! Disks of a node that fail one by one: each takes its own partitions out and no others, until a restart; the metadata log's, or the last,
//! ends the node.

use std::time::Duration;

use ringlog::client::admin;
use ringlog::client::{ClientError, Cluster};
use ringlog::io::sim::{Breakage, Broken, Faults};
use ringlog::wire::ErrorCode;
use ringlog::wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use ringlog::wire::messages::describe_log_dirs_response::DescribeLogDirsResponse;
use ringlog::wire::messages::metadata_request::MetadataRequest;
use ringlog::wire::messages::metadata_response::MetadataResponse;

use crate::clients::{self, PARTITIONS};
use crate::kit::{Setup, ask, connect};
use crate::model::{Read, Value};

const FIRST: &str = "/data";
const SECOND: &str = "/second";
/// Of a new topic every other partition.
const IN_FIRST: [i32; 2] = [0, 2];
const IN_SECOND: [i32; 2] = [1, 3];

fn two_disks(seed: u64, settings: &[&str]) -> Setup {
    let mut all = vec!["log.dirs=/data,/second"];
    all.extend(settings);
    Setup::new(seed, Faults::none(), &all)
}

pub fn broken(below: &str, what: Breakage) -> Faults {
    Faults {
        broken: vec![Broken {
            below: below.into(),
            what,
        }],
        ..Faults::none()
    }
}

/// What each partition answers a record with.
fn produce_to_all(setup: &Setup, number: u32) -> Vec<Result<i64, ErrorCode>> {
    ask(setup, move |bootstrap| async move {
        clients::create(bootstrap.clone()).await;
        let mut outcomes = Vec::new();
        for partition in 0..PARTITIONS as i32 {
            let value = Value { client: 0, number };
            outcomes.push(coded(
                clients::produce_to(bootstrap.clone(), partition, value).await,
            ));
        }
        outcomes
    })
}

pub fn coded<T>(outcome: Result<T, ClientError>) -> Result<T, ErrorCode> {
    match outcome {
        Ok(value) => Ok(value),
        Err(ClientError::Refused { code, .. }) => Err(code),
        Err(error) => panic!("{error}"),
    }
}

pub fn read_from(setup: &Setup, partition: i32) -> Result<Vec<Read>, ErrorCode> {
    ask(setup, move |bootstrap| async move {
        coded(clients::read_partition(bootstrap, partition).await)
    })
}

/// The leader of each partition, −1 for none.
fn leaders(setup: &Setup) -> Vec<i32> {
    ask(setup, |bootstrap| async move {
        let cluster = connect(bootstrap).await;
        let all = MetadataRequest {
            topics: None,
            ..Default::default()
        };
        let answer = call(&cluster, &all).await;
        let response: MetadataResponse<'_> = answer.decode().expect("an answer");
        let topic = response.topics.iter().next().expect("the topic");
        topic
            .partitions
            .iter()
            .map(|partition| partition.leader_id)
            .collect()
    })
}

/// The code of each directory in DescribeLogDirs.
pub fn dir_codes(setup: &Setup) -> Vec<i16> {
    ask(setup, |bootstrap| async move {
        let cluster = connect(bootstrap).await;
        let answer = call(&cluster, &DescribeLogDirsRequest::default()).await;
        let response: DescribeLogDirsResponse<'_> = answer.decode().expect("an answer");
        response.results.iter().map(|dir| dir.error_code).collect()
    })
}

pub async fn call<R: ringlog::wire::Request>(cluster: &Cluster, request: &R) -> ringlog::client::Answer {
    let connection = cluster.any().await.expect("it is there");
    connection.call(request).await.expect("answered")
}

fn expect_second_offline(setup: &mut Setup, number: u32, why: &str) {
    let offline = Err(ErrorCode::KAFKA_STORAGE_ERROR);
    let outcomes = produce_to_all(setup, number);
    for partition in IN_FIRST {
        assert!(outcomes[partition as usize].is_ok(), "{why}: {outcomes:?}");
        assert!(read_from(setup, partition).is_ok(), "{why}");
    }
    for partition in IN_SECOND {
        assert_eq!(outcomes[partition as usize], offline, "{why}");
        assert_eq!(
            read_from(setup, partition).map(drop),
            Err(ErrorCode::KAFKA_STORAGE_ERROR),
            "{why}"
        );
    }
    assert_eq!(leaders(setup), [1, -1, 1, -1], "{why}");
    assert_eq!(dir_codes(setup), [0, ErrorCode::KAFKA_STORAGE_ERROR.0], "{why}");
    setup.expect_running();
}

/// Every way in which a disk can fail, met by an append, a flush or a read: the directory is offline from then on, though the disk behaves
/// again; a restart takes it back with all that was acknowledged.
#[test]
fn a_disk_that_fails_takes_its_own_partitions_out_until_a_restart() {
    let ways = [
        ("durable", Breakage::All),
        ("durable", Breakage::Flushes),
        ("durable", Breakage::Changes),
        ("written", Breakage::All),
        ("written", Breakage::Changes),
    ];
    for (seed, (ack, what)) in ways.into_iter().enumerate() {
        let why = format!("{what:?}, {ack}");
        let ack = format!("ringlog.ack={ack}");
        let mut setup = two_disks(seed as u64, &[&ack]);
        setup.start();
        assert_eq!(produce_to_all(&setup, 1), [Ok(0); PARTITIONS], "{why}");
        setup.sim.set_faults(broken(SECOND, what));
        let met = produce_to_all(&setup, 2);
        for partition in IN_SECOND {
            assert!(met[partition as usize].is_err(), "{why}: {met:?}");
        }
        setup.sim.pass(Duration::from_secs(1));
        expect_second_offline(&mut setup, 3, &why);
        setup.sim.set_faults(Faults::none());
        setup.sim.pass(Duration::from_secs(600));
        expect_second_offline(&mut setup, 4, &why);
        match ack.ends_with("durable") {
            true => setup.crash(),
            false => setup.kill(),
        }
        setup.start();
        assert!(produce_to_all(&setup, 5).iter().all(Result::is_ok), "{why}");
        for partition in 0..PARTITIONS as i32 {
            let read = read_from(&setup, partition).unwrap();
            let numbers: Vec<u32> = read.iter().map(|read| read.value.number).collect();
            assert_eq!(
                (numbers[0], numbers[numbers.len() - 1]),
                (1, 5),
                "{why}: {numbers:?}"
            );
            assert_eq!(
                numbers.contains(&4),
                IN_FIRST.contains(&partition),
                "{why}: {numbers:?}"
            );
        }
        assert_eq!(leaders(&setup), [1; PARTITIONS], "{why}");
        setup.stop();
    }
}

/// A read that misses the memory meets a disk that can't be read.
#[test]
fn a_read_that_fails_takes_the_directory_offline() {
    let mut setup = two_disks(11, &["ringlog.tail.cache.bytes=0"]);
    setup.start();
    assert_eq!(produce_to_all(&setup, 1), [Ok(0); PARTITIONS]);
    setup.sim.set_faults(broken(SECOND, Breakage::Reads));
    assert_eq!(
        read_from(&setup, 1).map(drop),
        Err(ErrorCode::KAFKA_STORAGE_ERROR)
    );
    setup.sim.set_faults(Faults::none());
    setup.sim.pass(Duration::from_secs(1));
    expect_second_offline(&mut setup, 2, "a read");
    setup.stop();
    setup.start();
    assert_eq!(read_from(&setup, 1).unwrap().len(), 1);
    setup.stop();
}

/// After a clean stop with a directory offline, that one counts as crashed and the other does not.
#[test]
fn a_stop_is_clean_for_the_directories_that_are_online() {
    let mut setup = two_disks(12, &["ringlog.ack=durable"]);
    setup.start();
    assert_eq!(produce_to_all(&setup, 1), [Ok(0); PARTITIONS]);
    setup.sim.set_faults(broken(SECOND, Breakage::Flushes));
    assert!(produce_to_all(&setup, 2)[1].is_err());
    setup.sim.set_faults(Faults::none());
    setup.stop();
    let exists = |path: &'static str| {
        setup
            .sim
            .on(setup.host, || ringlog::io::fs::exists_now(path).unwrap())
    };
    assert!(exists("/data/.kafka_cleanshutdown"));
    assert!(!exists("/second/.kafka_cleanshutdown"));
    setup.start();
    assert!(produce_to_all(&setup, 3).iter().all(Result::is_ok));
    setup.stop();
}

/// A start passes over a disk that is broken, and takes it back when it is not.
#[test]
fn a_start_passes_over_a_broken_disk() {
    for what in [Breakage::All, Breakage::Changes] {
        let mut setup = two_disks(13, &[]);
        setup.start();
        assert_eq!(produce_to_all(&setup, 1), [Ok(0); PARTITIONS]);
        setup.stop();
        setup.sim.set_faults(broken(SECOND, what));
        setup.start();
        expect_second_offline(&mut setup, 2, &format!("{what:?}"));
        setup.stop();
        setup.sim.set_faults(Faults::none());
        setup.start();
        assert_eq!(produce_to_all(&setup, 3), [Ok(2), Ok(1), Ok(2), Ok(1)]);
        setup.stop();
    }
}

/// What a start can't read of one partition is the disk's fault, and the disk is passed over.
#[test]
fn a_disk_that_fails_while_a_start_reads_it_is_passed_over() {
    // Looked for, opened by one core, opened by the other.
    for below in [
        "/second/model-1",
        "/second/model-1/00000000000000000000.log",
        "/second/model-3/00000000000000000000.log",
    ] {
        let mut setup = two_disks(14, &[]);
        setup.start();
        assert_eq!(produce_to_all(&setup, 1), [Ok(0); PARTITIONS]);
        setup.kill();
        setup.sim.set_faults(broken(below, Breakage::All));
        setup.start();
        expect_second_offline(&mut setup, 2, below);
        setup.kill();
        setup.sim.set_faults(Faults::none());
        setup.start();
        assert_eq!(produce_to_all(&setup, 3), [Ok(2), Ok(1), Ok(2), Ok(1)], "{below}");
        setup.stop();
    }
}

/// While a directory is offline its topic is deleted and made again. When the directory is back, what is in it is nobody's: it is set aside,
/// and the new topic has its own records only.
#[test]
fn what_comes_back_of_a_topic_that_was_deleted_meanwhile_is_set_aside() {
    let mut setup = two_disks(15, &[]);
    setup.start();
    assert_eq!(produce_to_all(&setup, 1), [Ok(0); PARTITIONS]);
    setup.sim.set_faults(broken(SECOND, Breakage::All));
    assert!(produce_to_all(&setup, 2)[1].is_err());
    ask(&setup, |bootstrap| async move {
        let cluster = connect(bootstrap).await;
        admin::delete_topic(&cluster, clients::TOPIC)
            .await
            .expect("deleted");
    });
    assert_eq!(
        produce_to_all(&setup, 3),
        [Ok(0); PARTITIONS],
        "all in the first directory"
    );
    setup.kill();
    setup.sim.set_faults(Faults::none());
    setup.start();
    assert_eq!(produce_to_all(&setup, 4), [Ok(1); PARTITIONS]);
    let names = setup
        .sim
        .on(setup.host, || ringlog::io::fs::read_dir_now(SECOND).unwrap());
    let strays = names
        .iter()
        .filter(|entry| entry.name.to_str().is_some_and(|name| name.ends_with("-stray")));
    assert_eq!(strays.count(), IN_SECOND.len());
    setup.stop();
}

/// Nothing is decided without the metadata log, and nothing is served without any directory.
#[test]
fn without_the_metadata_logs_disk_or_any_other_the_node_ends() {
    let metadata: (&[&str], &[&str], &str) = (&[], &[FIRST], "the metadata log");
    let last: (&[&str], &[&str], &str) = (
        &["metadata.log.dir=/metadata"],
        &[FIRST, SECOND],
        "no other is left",
    );
    for (seed, (settings, failing, told)) in [metadata, last].into_iter().enumerate() {
        let mut setup = two_disks(seed as u64, settings);
        setup.start();
        assert_eq!(produce_to_all(&setup, 1), [Ok(0); PARTITIONS]);
        let below = |dir: &&str| Broken {
            below: dir.into(),
            what: Breakage::All,
        };
        setup.sim.set_faults(Faults {
            broken: failing.iter().map(below).collect(),
            ..Faults::none()
        });
        let client = setup.sim.add_host(1);
        let bootstrap = setup.bootstrap();
        setup.sim.run(client, move || async move {
            for partition in 0..PARTITIONS as i32 {
                let value = Value { client: 0, number: 2 };
                let _ = clients::produce_to(bootstrap.clone(), partition, value).await;
            }
        });
        let reason = setup.expect_ended();
        assert!(
            reason.contains(told) && reason.contains(failing[failing.len() - 1]),
            "{reason}"
        );
        setup.sim.set_faults(Faults::none());
        setup.start();
        assert!(produce_to_all(&setup, 3).iter().all(Result::is_ok));
        setup.stop();
    }
}
