//! Several log directories: where partitions lie, what a missing directory takes with it, and what clients are told of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ringlog::base::{LeaderEpoch, Offset, Timestamp};
use ringlog::wire::ErrorCode;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::alter_configs_request::{
    AlterConfigsRequest, AlterConfigsResource, AlterableConfig,
};
use ringlog::wire::messages::describe_log_dirs_request::{DescribableLogDirTopic, DescribeLogDirsRequest};
use ringlog::wire::messages::describe_log_dirs_response::DescribeLogDirsResult;
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::metadata_request::MetadataRequest;

use crate::harness::{Broker, Running};
use crate::raw::{Connection, create_topic, create_topic_request, produce_request};

pub const TOPIC: &str = "spread";
/// Owned by both cores, in both directories.
const PARTITIONS: i32 = 8;
const STORAGE_ERROR: i16 = ErrorCode::KAFKA_STORAGE_ERROR.0;

/// A broker of two directories, and where they are.
pub fn two_directories(settings: &[&str]) -> (Broker, [PathBuf; 2]) {
    let mut broker = Broker::not_started(settings);
    let dirs = [broker.data(), broker.data().with_file_name("other")];
    broker.set(&[&format!("log.dirs={},{}", dirs[0].display(), dirs[1].display())]);
    (broker, dirs)
}

pub fn value_in(file: &Path, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{key}=")));
    value.unwrap_or_else(|| panic!("{key} in {text}")).to_owned()
}

/// The partitions of [`TOPIC`] whose files are in `dir`.
pub fn partitions_in(dir: &Path) -> Vec<i32> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let index = |name: std::ffi::OsString| name.to_str()?.strip_prefix("spread-")?.parse().ok();
    let mut found: Vec<i32> = names.filter_map(index).collect();
    found.sort_unstable();
    found
}

/// The code that a record to a partition is answered with.
pub fn produce(client: &mut Connection, partition: i32) -> i16 {
    let mut batch = BatchBuilder::new(Codec::None).at(Offset(0), LeaderEpoch::NONE);
    batch.add(Timestamp(1_703_462_400_000), None, Some(b"value"), &[]);
    let records = batch.build().to_vec();
    let answer = client.call(12, &produce_request(TOPIC, &[partition], &records));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    topic
        .partition_responses
        .iter()
        .next()
        .expect("the partition's")
        .error_code
}

/// The code and the bytes that a fetch from the start is answered with.
pub fn fetch(client: &mut Connection, partition: i32) -> (i16, usize) {
    let partition = FetchPartition {
        partition,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let request = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        }]
        .into(),
        ..Default::default()
    };
    let answer = client.call(12, &request);
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let partition = topic.partitions.iter().next().expect("the partition's");
    let bytes = match &partition.records {
        Some(ringlog::wire::Records::Wire(bytes)) => bytes.len(),
        _ => 0,
    };
    (partition.error_code, bytes)
}

/// Of each partition: the code, the leader, and how many of its replicas are offline.
fn metadata(client: &mut Connection) -> BTreeMap<i32, (i16, i32, usize)> {
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let answer = client.call(12, &all);
    let topics: Vec<_> = answer.topics.iter().collect();
    let topic = topics.iter().find(|topic| topic.name.as_deref() == Some(TOPIC));
    let partitions = topic.expect("the topic").partitions.iter();
    partitions
        .map(|p| {
            (
                p.partition_index,
                (p.error_code, p.leader_id, p.offline_replicas.len()),
            )
        })
        .collect()
}

pub fn describe_dirs(
    client: &mut Connection,
    version: i16,
    asked: Option<&[(&'static str, &[i32])]>,
) -> Vec<DescribeLogDirsResult<'static>> {
    let topic = |(topic, partitions): &(&'static str, &[i32])| DescribableLogDirTopic {
        topic: (*topic).into(),
        partitions: partitions.to_vec().into(),
    };
    let request = DescribeLogDirsRequest {
        topics: asked.map(|asked| asked.iter().map(topic).collect()),
    };
    let answer = client.call(version, &request);
    assert_eq!(answer.error_code, 0);
    answer.results.iter().collect()
}

/// What of [`TOPIC`] is told to lie in a directory: index and size.
fn sizes(result: &DescribeLogDirsResult<'_>) -> Vec<(i32, i64)> {
    let topics = result.topics.iter().filter(|topic| topic.name.as_ref() == TOPIC);
    let partitions = topics.flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>());
    let mut sizes: Vec<_> = partitions
        .inspect(|p| assert_eq!((p.offset_lag, p.is_future_key), (0, false)))
        .map(|p| (p.partition_index, p.partition_size))
        .collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn a_request_that_names_very_many_partitions_is_answered() {
    let broker = Broker::start();
    let mut client = Connection::open(&broker);
    create_topic(&mut client, "there", 1);
    let topic = DescribableLogDirTopic {
        topic: "there".into(),
        partitions: (0..6_000).collect::<Vec<i32>>().into(),
    };
    let request = DescribeLogDirsRequest {
        topics: Some(vec![topic].into()),
    };
    let answer = client.call(4, &request);
    let partitions = |result: DescribeLogDirsResult<'_>| {
        let topics = result.topics.iter();
        topics.map(|topic| topic.partitions.iter().count()).sum::<usize>()
    };
    assert_eq!(answer.results.iter().map(partitions).sum::<usize>(), 1);
}

#[test]
fn partitions_are_spread_over_the_directories_and_stay_where_they_are() {
    let (mut broker, dirs) = two_directories(&[]);
    broker.start_again();
    let mut client = Connection::open(&broker);
    create_topic(&mut client, TOPIC, PARTITIONS);
    (0..PARTITIONS).for_each(|partition| assert_eq!(produce(&mut client, partition), 0));
    let there = dirs.each_ref().map(|dir| partitions_in(dir));
    assert_eq!(there.each_ref().map(Vec::len), [4, 4]);
    let properties = dirs.each_ref().map(|dir| dir.join("meta.properties"));
    let [one, other] = properties.each_ref().map(|file| value_in(file, "directory.id"));
    assert_ne!(one, other);
    let [one, other] = properties.each_ref().map(|file| value_in(file, "cluster.id"));
    assert_eq!(one, other);
    for clean in [true, false, true] {
        match clean {
            true => assert!(broker.stop().success()),
            false => broker.kill(),
        }
        let marked = dirs
            .each_ref()
            .map(|dir| dir.join(".kafka_cleanshutdown").exists());
        assert_eq!(marked, [clean; 2]);
        broker.start_again();
        assert_eq!(dirs.each_ref().map(|dir| partitions_in(dir)), there);
        let mut client = Connection::open(&broker);
        for partition in 0..PARTITIONS {
            assert!(matches!(fetch(&mut client, partition), (0, 1..)), "{partition}");
            assert_eq!(produce(&mut client, partition), 0);
        }
    }
    let mut checkpointed: Vec<String> = Vec::new();
    assert!(broker.stop().success());
    for dir in &dirs {
        let text = fs::read_to_string(dir.join("recovery-point-offset-checkpoint")).unwrap();
        checkpointed.extend(text.lines().skip(2).map(str::to_owned));
    }
    assert_eq!(
        checkpointed.len(),
        PARTITIONS as usize,
        "each in its own directory's: {checkpointed:?}"
    );
}

/// A broker with a record in each partition, stopped, and the partitions in its second directory.
fn stopped_with_records() -> (Broker, [PathBuf; 2], Vec<i32>) {
    let (mut broker, dirs) = two_directories(&[]);
    broker.start_again();
    let mut client = Connection::open(&broker);
    create_topic(&mut client, TOPIC, PARTITIONS);
    (0..PARTITIONS).for_each(|partition| assert_eq!(produce(&mut client, partition), 0));
    let there = partitions_in(&dirs[1]);
    assert!(broker.stop().success());
    (broker, dirs, there)
}

fn expect_only_those_offline(broker: &Broker, offline: &[i32]) {
    let mut client = Connection::open(broker);
    let told = metadata(&mut client);
    for partition in 0..PARTITIONS {
        match offline.contains(&partition) {
            true => {
                let leaderless = (ErrorCode::LEADER_NOT_AVAILABLE.0, -1, 1);
                assert_eq!(told[&partition], leaderless, "{partition}");
                assert_eq!(produce(&mut client, partition), STORAGE_ERROR);
                assert_eq!(fetch(&mut client, partition), (STORAGE_ERROR, 0));
            }
            false => {
                assert_eq!(told[&partition], (0, 1, 0), "{partition}");
                assert_eq!(produce(&mut client, partition), 0);
                assert!(matches!(fetch(&mut client, partition), (0, 1..)));
            }
        }
    }
}

#[test]
fn a_directory_that_cannot_be_used_takes_its_own_partitions_out_and_no_others() {
    /// Puts something else in a directory's place, which was moved away.
    type Replace = fn(&Path);
    let file: Replace = |dir| fs::write(dir, "not a directory").unwrap();
    let malformed: Replace = |dir| {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("meta.properties"), "version=7\n").unwrap();
    };
    for replace in [file, malformed] {
        let (mut broker, dirs, there) = stopped_with_records();
        let aside = dirs[1].with_file_name("aside");
        fs::rename(&dirs[1], &aside).unwrap();
        replace(&dirs[1]);
        broker.start_again();
        let told = broker.stderr();
        let named = |line: &&str| line.contains(&dirs[1].display().to_string()) && line.contains("offline");
        assert_eq!(told.lines().filter(named).count(), 1, "{told}");
        expect_only_those_offline(&broker, &there);
        assert_eq!(
            partitions_in(&dirs[0]).len(),
            PARTITIONS as usize - there.len(),
            "none was made anew"
        );
        let mut client = Connection::open(&broker);
        let described = describe_dirs(&mut client, 5, None);
        assert_eq!(described[1].error_code, STORAGE_ERROR);
        assert_eq!((described[1].total_bytes, described[1].topics.len()), (-1, 0));
        assert_eq!(sizes(&described[0]).len(), PARTITIONS as usize - there.len());
        create_topic(&mut client, "new", 2);
        assert!(
            broker.stop().success(),
            "the other directory is all that there is to stop"
        );
        // The disk is back.
        if dirs[1].is_dir() {
            fs::remove_dir_all(&dirs[1]).unwrap();
        } else {
            fs::remove_file(&dirs[1]).unwrap();
        }
        fs::rename(&aside, &dirs[1]).unwrap();
        broker.start_again();
        expect_only_those_offline(&broker, &[]);
    }
}

#[test]
fn a_directory_whose_files_cannot_be_opened_is_offline_and_the_node_starts() {
    let (mut broker, dirs, there) = stopped_with_records();
    let refused = dirs[1]
        .join(format!("{TOPIC}-{}", there[0]))
        .join("leader-epoch-checkpoint");
    let aside = dirs[1].with_file_name("aside");
    fs::rename(&refused, &aside).unwrap();
    fs::create_dir(&refused).unwrap();
    // Without what the stop left, every file is asked for.
    fs::remove_file(dirs[1].join("ringlog-clean-start")).unwrap();
    broker.start_again();
    let told = broker.stderr();
    assert!(
        told.contains(&format!("{} has failed and is offline", dirs[1].display())),
        "{told}"
    );
    expect_only_those_offline(&broker, &there);
    assert!(broker.stop().success());
    fs::remove_dir(&refused).unwrap();
    fs::rename(&aside, &refused).unwrap();
    broker.start_again();
    expect_only_those_offline(&broker, &[]);
}

#[test]
fn a_directory_that_is_gone_is_made_anew_and_its_partitions_are_not() {
    let (mut broker, dirs, there) = stopped_with_records();
    let aside = dirs[1].with_file_name("aside");
    let id = value_in(&dirs[1].join("meta.properties"), "directory.id");
    fs::rename(&dirs[1], &aside).unwrap();
    broker.start_again();
    let told = broker.stderr();
    assert!(
        told.contains(&format!("{} partitions", there.len())) && told.contains(&id),
        "{told}"
    );
    expect_only_those_offline(&broker, &there);
    assert!(partitions_in(&dirs[1]).is_empty());
    assert!(broker.stop().success());
    fs::remove_dir_all(&dirs[1]).unwrap();
    fs::rename(&aside, &dirs[1]).unwrap();
    broker.start_again();
    expect_only_those_offline(&broker, &[]);
}

#[test]
fn a_partition_that_was_moved_by_hand_is_served_where_it_is() {
    let (mut broker, dirs, there) = stopped_with_records();
    let name = format!("{TOPIC}-{}", there[0]);
    fs::rename(dirs[1].join(&name), dirs[0].join(&name)).unwrap();
    broker.start_again();
    expect_only_those_offline(&broker, &[]);
    let mut client = Connection::open(&broker);
    let described = describe_dirs(&mut client, 4, None);
    assert!(sizes(&described[0]).iter().any(|(index, _)| *index == there[0]));
}

#[test]
fn an_unfinished_copy_of_a_partition_goes_unless_it_may_be_all_that_is_left() {
    let (mut broker, dirs, there) = stopped_with_records();
    let copy = |partition: i32| dirs[0].join(format!("{TOPIC}-{partition}.{}-future", "0f".repeat(16)));
    fs::create_dir(copy(there[0])).unwrap();
    fs::write(copy(there[0]).join("00000000000000000000.log"), "").unwrap();
    let aside = dirs[1].with_file_name("aside");
    fs::rename(&dirs[1], &aside).unwrap();
    broker.start_again();
    assert!(copy(there[0]).exists());
    assert!(broker.stop().success());
    fs::remove_dir_all(&dirs[1]).unwrap();
    fs::rename(&aside, &dirs[1]).unwrap();
    broker.start_again();
    assert!(!copy(there[0]).exists());
    expect_only_those_offline(&broker, &[]);
}

#[test]
fn directories_that_do_not_belong_together_are_refused_by_name() {
    let refused = |broker: &Broker, parts: &[&str]| {
        let ended = Running::spawn(&mut broker.command()).wait();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        for part in parts {
            assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
        }
    };
    let (broker, dirs, there) = stopped_with_records();
    let shown = dirs.each_ref().map(|dir| dir.display().to_string());
    let properties = dirs[1].join("meta.properties");
    let good = fs::read_to_string(&properties).unwrap();
    let (cluster, directory) = (
        value_in(&properties, "cluster.id"),
        value_in(&properties, "directory.id"),
    );
    let files = dirs
        .each_ref()
        .map(|dir| dir.join("meta.properties").display().to_string());

    fs::write(&properties, good.replace(&cluster, "AAAAAAAAQACAAAAAAAAAAQ")).unwrap();
    refused(&broker, &[&files[0], &files[1], "cluster.id", &cluster]);
    let first = value_in(&dirs[0].join("meta.properties"), "directory.id");
    fs::write(&properties, good.replace(&directory, &first)).unwrap();
    refused(&broker, &[&files[0], &files[1], "directory.id", &first]);
    fs::write(&properties, good.replace("node.id=1", "node.id=4")).unwrap();
    refused(&broker, &[&shown[1], "node.id 4"]);
    fs::write(&properties, &good).unwrap();

    let name = format!("{TOPIC}-{}", there[0]);
    fs::create_dir(dirs[0].join(&name)).unwrap();
    for file in fs::read_dir(dirs[1].join(&name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dirs[0].join(&name).join(file.file_name())).unwrap();
    }
    let twice = dirs.each_ref().map(|dir| dir.join(&name).display().to_string());
    refused(&broker, &[&twice[0], &twice[1]]);
    fs::remove_dir_all(dirs[0].join(&name)).unwrap();

    let mut elsewhere = broker;
    elsewhere.set(&[&format!("metadata.log.dir={}", shown[1])]);
    refused(&elsewhere, &["metadata.log.dir", "__cluster_metadata-0"]);
    elsewhere.set(&[&format!("metadata.log.dir={}", shown[0])]);
    elsewhere.start_again();
    expect_only_those_offline(&elsewhere, &[]);
}

#[test]
fn the_metadata_log_may_have_a_directory_of_its_own() {
    let (mut broker, dirs) = two_directories(&[]);
    let metadata = broker.data().with_file_name("metadata");
    broker.set(&[&format!("metadata.log.dir={}", metadata.display())]);
    broker.start_again();
    create_topic(&mut Connection::open(&broker), TOPIC, PARTITIONS);
    assert!(metadata.join("__cluster_metadata-0").is_dir());
    assert!(!dirs[0].join("__cluster_metadata-0").exists());
    assert_eq!(dirs.each_ref().map(|dir| partitions_in(dir).len()), [4, 4]);
    assert_eq!(describe_dirs(&mut Connection::open(&broker), 5, None).len(), 2);
    assert!(broker.stop().success());
    broker.start_again();
    expect_only_those_offline(&broker, &[]);
    assert!(broker.stop().success());
    // Without it nothing is begun beside what is there.
    fs::remove_dir_all(&metadata).unwrap();
    let ended = Running::spawn(&mut broker.command()).wait();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("metadata.log.dir"), "{}", ended.stderr);
}

#[test]
fn directories_are_described_in_every_version() {
    let (mut broker, dirs) = two_directories(&[]);
    broker.start_again();
    let mut client = Connection::open(&broker);
    create_topic(&mut client, TOPIC, PARTITIONS);
    create_topic(&mut client, "another", 1);
    (0..PARTITIONS).for_each(|partition| assert_eq!(produce(&mut client, partition), 0));
    for version in 1..=5 {
        let described = describe_dirs(&mut client, version, None);
        let paths: Vec<String> = described.iter().map(|dir| dir.log_dir.to_string()).collect();
        assert_eq!(paths, dirs.each_ref().map(|dir| dir.display().to_string()));
        for (result, dir) in described.iter().zip(&dirs) {
            let sizes = sizes(result);
            let indexes: Vec<i32> = sizes.iter().map(|(index, _)| *index).collect();
            assert_eq!(
                (result.error_code, indexes),
                (0, partitions_in(dir)),
                "version {version}"
            );
            for (index, size) in sizes {
                let log = dir.join(format!("{TOPIC}-{index}/00000000000000000000.log.spare"));
                let log = if log.exists() {
                    log
                } else {
                    dir.join(format!("{TOPIC}-{index}/00000000000000000000.log"))
                };
                assert_eq!(size as u64, fs::metadata(log).unwrap().len());
            }
            let has_space = result.total_bytes > 0 && (0..=result.total_bytes).contains(&result.usable_bytes);
            assert_eq!(has_space, version >= 4, "version {version}");
            assert!(!result.is_cordoned);
        }
        let asked: &[(&str, &[i32])] = &[(TOPIC, &[0, 3, 3, 99, -1]), ("unheard-of", &[0])];
        let described = describe_dirs(&mut client, version, Some(asked));
        let mut found: Vec<i32> = described.iter().flat_map(sizes).map(|(index, _)| index).collect();
        found.sort_unstable();
        assert_eq!(found, [0, 3], "version {version}");
        let none = describe_dirs(&mut client, version, Some(&[]));
        assert!(
            none.iter()
                .all(|dir| dir.topics.is_empty() && dir.error_code == 0)
        );
    }
}

/// Sets, or with none takes back, a setting of the broker; the code and what is told beside it.
pub fn set(client: &mut Connection, name: &'static str, value: Option<&str>) -> (i16, String) {
    let config = value.map(|value| AlterableConfig {
        name: name.into(),
        value: Some(value.to_owned().into()),
    });
    let request = AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 4,
            resource_name: "1".into(),
            configs: config.into_iter().collect(),
        }]
        .into(),
        validate_only: false,
    };
    let answer = client.call(2, &request);
    let result = answer.responses.iter().next().expect("the broker's answer");
    (
        result.error_code,
        result.error_message.unwrap_or_default().to_string(),
    )
}

#[test]
fn a_cordoned_directory_takes_no_new_partition_until_it_is_uncordoned() {
    let (mut broker, dirs) = two_directories(&[]);
    let shown = dirs.each_ref().map(|dir| dir.display().to_string());
    broker.set(&[&format!("cordoned.log.dirs={}", shown[0])]);
    broker.start_again();
    let mut client = Connection::open(&broker);
    let cordoned = |client: &mut Connection| {
        let described = describe_dirs(client, 5, None);
        described.iter().map(|dir| dir.is_cordoned).collect::<Vec<_>>()
    };
    assert_eq!(cordoned(&mut client), [true, false]);
    create_topic(&mut client, TOPIC, 2);
    assert_eq!(dirs.each_ref().map(|dir| partitions_in(dir).len()), [0, 2]);

    assert_eq!(set(&mut client, "cordoned.log.dirs", Some("*")).0, 0);
    assert_eq!(cordoned(&mut client), [true, true]);
    let answer = client.call(7, &create_topic_request("refused", 1));
    let refused = answer.topics.iter().next().expect("its answer");
    assert_eq!(refused.error_code, ErrorCode::INVALID_REPLICATION_FACTOR.0);
    assert_eq!(produce(&mut client, 0), 0, "what is there is served");

    let (code, message) = set(&mut client, "cordoned.log.dirs", Some("/elsewhere"));
    assert_eq!(code, ErrorCode::INVALID_REQUEST.0);
    assert!(message.ends_with("Missing entries : /elsewhere"), "{message}");
    assert_eq!(set(&mut client, "cordoned.log.dirs", Some("")).0, 0);
    assert_eq!(cordoned(&mut client), [false, false]);
    create_topic(&mut client, "elsewhere", 2);
    assert!(dirs[0].join("elsewhere-0").is_dir() && dirs[0].join("elsewhere-1").is_dir());

    assert_eq!(set(&mut client, "cordoned.log.dirs", Some(&shown[1])).0, 0);
    broker.kill_and_start_again();
    let mut client = Connection::open(&broker);
    assert_eq!(
        cordoned(&mut client),
        [false, true],
        "what was set goes before the file"
    );
    assert_eq!(set(&mut client, "cordoned.log.dirs", None).0, 0);
    assert_eq!(cordoned(&mut client), [true, false], "the file's again");
}
