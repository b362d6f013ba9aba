//! SIGKILL at any moment: nothing acknowledged is lost, nothing torn is served, no producer id comes twice.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringlog::base::Timestamp;
use ringlog::wire::ErrorCode;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::init_producer_id_request::InitProducerIdRequest;

use crate::client::{connect, create_topic, end_offset, number, partition, read_all, send, values};
use crate::harness::{Broker, PATIENCE, Running, repetitions};
use crate::raw::{Connection, expect_appended, list_offsets_request, produce_request};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_each_kill() {
    let mut broker = Broker::start();
    create_topic(&broker, "survives", 2).await;
    let mut sent = Vec::new();
    for round in 0..repetitions(8) {
        let values: Vec<Vec<u8>> = (0..50).map(|n| number(round * 50 + n)).collect();
        for index in 0..2 {
            let offsets = send(&partition(&broker, "survives", index).await, values.clone()).await;
            assert_eq!(offsets[0], sent.len() as i64, "goes on where it ended");
        }
        sent.extend(values);
        broker.kill_and_start_again();
    }
    for index in 0..2 {
        assert_eq!(values(&read_all(&broker, "survives", index).await), sent);
    }
}

#[tokio::test]
async fn topics_created_and_deleted_stay_so_after_a_kill() {
    let mut broker = Broker::start();
    for round in 0..repetitions(5) {
        create_topic(&broker, &format!("stays-{round}"), 1).await;
        create_topic(&broker, "goes", 1).await;
        let controller = crate::client::connect(&broker).await.controller_client().unwrap();
        controller.delete_topic("goes", 10_000).await.unwrap();
        broker.kill_and_start_again();
        let topics = crate::client::connect(&broker).await.list_topics().await.unwrap();
        let names: BTreeSet<String> = topics.into_iter().map(|t| t.name).collect();
        assert_eq!(names, (0..=round).map(|r| format!("stays-{r}")).collect());
    }
}

#[tokio::test]
async fn half_a_batch_at_the_tail_is_cut() {
    let tear = |log: &[u8], _: usize| [log, &log[..40]].concat();
    torn_tail_is_cut(tear, 10).await;
}

#[tokio::test]
async fn garbage_at_the_tail_is_cut() {
    let tear = |log: &[u8], _: usize| [log, &[0xa5; 4_096]].concat();
    torn_tail_is_cut(tear, 10).await;
}

#[tokio::test]
async fn zeros_at_the_tail_are_cut() {
    let tear = |log: &[u8], _: usize| [log, &[0; 4_096]].concat();
    torn_tail_is_cut(tear, 10).await;
}

#[tokio::test]
async fn a_last_batch_that_lost_its_end_is_cut() {
    let tear = |log: &[u8], _: usize| log[..log.len() - 3].to_vec();
    torn_tail_is_cut(tear, 9).await;
}

#[tokio::test]
async fn a_last_batch_with_a_wrong_crc_is_cut() {
    let tear = |log: &[u8], batch: usize| {
        let mut log = log.to_vec();
        let end = log.len();
        log[end - batch / 4] ^= 1;
        log
    };
    torn_tail_is_cut(tear, 9).await;
}

/// Ten batches of one size, a kill, the tear, a start: `left` records must be there, and the log goes on behind them.
async fn torn_tail_is_cut(tear: impl Fn(&[u8], usize) -> Vec<u8>, left: usize) {
    let mut broker = Broker::start();
    create_topic(&broker, "torn", 1).await;
    let sent: Vec<Vec<u8>> = (0..10).map(|n| vec![n; 500]).collect();
    send(&partition(&broker, "torn", 0).await, sent.clone()).await;
    broker.kill();

    let path = newest_segment(&broker, "torn-0");
    let log = fs::read(&path).unwrap();
    assert_eq!(
        log.len() % 10,
        0,
        "ten batches of one size and nothing behind them"
    );
    let torn = tear(&log, log.len() / 10);
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&path)
        .unwrap()
        .write_all(&torn)
        .unwrap();

    broker.start_again();
    assert_eq!(values(&read_all(&broker, "torn", 0).await), sent[..left]);
    let offsets = send(&partition(&broker, "torn", 0).await, [b"after".to_vec()]).await;
    assert_eq!(offsets, [left as i64]);

    // The cut itself must last: once more by kill, once by a clean stop.
    broker.kill_and_start_again();
    assert!(broker.stop().success());
    broker.start_again();
    let mut expected = sent[..left].to_vec();
    expected.push(b"after".to_vec());
    assert_eq!(values(&read_all(&broker, "torn", 0).await), expected);
}

/// Damage where no crash tears: on whichever core the partition is, the start after a kill looks at every batch.
#[tokio::test]
async fn a_bad_batch_in_the_middle_is_found_on_every_core() {
    const PARTITIONS: i32 = 8;
    let mut broker = Broker::start();
    create_topic(&broker, "damaged", PARTITIONS).await;
    for index in 0..PARTITIONS {
        send(&partition(&broker, "damaged", index).await, (0..9).map(number)).await;
    }
    broker.kill();
    for index in 0..PARTITIONS {
        flip_a_bit_in_the_middle(&newest_segment(&broker, &format!("damaged-{index}")));
    }
    broker.start_again();
    for index in 0..PARTITIONS {
        let end = end_offset(&broker, "damaged", index).await.unwrap();
        assert!((1..9).contains(&end), "partition {index} ends at {end}");
        let expected: Vec<Vec<u8>> = (0..end as usize).map(number).collect();
        assert_eq!(values(&read_all(&broker, "damaged", index).await), expected);
    }
}

/// Behind the recovery point nothing was in flight when the broker died: what is wrong there is damage, which is told and not cut.
#[tokio::test]
async fn damage_behind_the_recovery_point_takes_its_partition_out_of_service_alone() {
    let mut broker = Broker::start();
    for topic in ["damaged", "whole"] {
        create_topic(&broker, topic, 1).await;
        send(&partition(&broker, topic, 0).await, (0..9).map(number)).await;
    }
    assert!(broker.stop().success());
    let segment = newest_segment(&broker, "damaged-0");
    flip_a_bit_in_the_middle(&segment);
    let len = fs::read(&segment).unwrap().len();
    // Without an index every batch is looked at, though the stop was clean.
    fs::remove_file(segment.with_extension("index")).unwrap();
    broker.start_again();
    expect_damaged_alone(&broker);
    // Nor does a later start take it for a torn end.
    broker.kill_and_start_again();
    expect_damaged_alone(&broker);
    assert!(broker.stop().success());
    broker.start_again();
    expect_damaged_alone(&broker);
    assert_eq!(fs::read(segment).unwrap().len(), len, "nothing was cut");
}

/// Its records are those of some topic, and a new one in their place would hide them.
#[tokio::test]
async fn a_partition_whose_topic_cannot_be_told_is_out_of_service_and_not_begun_anew() {
    let mut broker = Broker::start();
    for topic in ["damaged", "whole"] {
        create_topic(&broker, topic, 1).await;
        send(&partition(&broker, topic, 0).await, (0..9).map(number)).await;
    }
    let named = broker.data().join("damaged-0/partition.metadata");
    let text = fs::read_to_string(&named).unwrap();
    for was_stopped in [false, true] {
        match was_stopped {
            true => assert!(broker.stop().success()),
            false => broker.kill(),
        }
        fs::write(&named, text.replace("topic_id", "topic id")).unwrap();
        let _ = fs::remove_file(broker.data().join("ringlog-clean-start"));
        broker.start_again();
        expect_damaged_alone(&broker);
        broker.kill();
        fs::write(&named, &text).unwrap();
        broker.start_again();
        let values = values(&read_all(&broker, "damaged", 0).await);
        assert_eq!(values, (0..9).map(number).collect::<Vec<_>>());
    }
}

fn expect_damaged_alone(broker: &Broker) {
    let mut client = Connection::open(broker);
    let mut latest = |topic: &str| {
        let answer = client.call(4, &list_offsets_request(topic, -1));
        let topic = answer.topics.iter().next().expect("the topic's answer");
        topic
            .partitions
            .iter()
            .next()
            .expect("the partition's")
            .error_code
    };
    assert_eq!(latest("whole"), 0);
    assert_eq!(latest("damaged"), ErrorCode::KAFKA_STORAGE_ERROR.0);
    let told = broker.stderr();
    assert!(
        told.contains("out of service") && told.contains("damaged-0"),
        "{told}"
    );
}

#[tokio::test]
async fn a_start_after_a_kill_tells_what_each_core_has_checked() {
    /// Owned by both cores.
    const PARTITIONS: i32 = 8;
    let mut broker = Broker::start();
    create_topic(&broker, "checked", PARTITIONS).await;
    for index in 0..PARTITIONS {
        send(&partition(&broker, "checked", index).await, (0..3).map(number)).await;
    }
    assert!(!broker.stderr().contains("checked"));
    broker.kill_and_start_again();
    let told = broker.stderr();
    for core in 0..2 {
        let of_core = |line: &&str| line.contains(&format!("core {core}: 1 of 1 topics opened"));
        let line = told.lines().find(of_core).unwrap_or_else(|| panic!("{told}"));
        assert!(
            line.contains("checked") && !line.contains("checked 0 segments"),
            "{line}"
        );
    }
}

/// The indexes of a killed broker are made again: looking up by time finds what it found before.
#[tokio::test]
async fn offsets_by_time_are_the_same_after_a_kill() {
    let mut broker = Broker::start_with(&["ringlog.cores=1"]);
    let mut connection = Connection::open(&broker);
    create_topic(&broker, "times", 1).await;
    let base = 1_703_462_400_000;
    // The newest first: what a look-up finds depends on the largest time of each stretch of the log.
    let times = [base + 1_000_000, base, base + 1, base + 2];
    for at in times {
        let mut batch = BatchBuilder::new(Codec::None);
        batch.add(Timestamp(at), None, Some(&[7; 5000]), &[]);
        let records = batch.build();
        expect_appended(&connection.call(12, &produce_request("times", &[0], &records)));
    }
    let look_up = |connection: &mut Connection, at: i64| {
        let answer = connection.call(7, &list_offsets_request("times", at));
        let topic = answer.topics.iter().next().unwrap();
        let partition = topic.partitions.iter().next().unwrap();
        (partition.error_code, partition.offset, partition.timestamp)
    };
    let asked = [base + 500_000, base + 1, -3, base + 2_000_000];
    let before: Vec<_> = asked.map(|at| look_up(&mut connection, at)).into();
    assert_eq!(before[0].1, 0);
    assert_eq!(before[2].1, 0, "the largest time");
    broker.kill_and_start_again();
    let mut connection = Connection::open(&broker);
    let after: Vec<_> = asked.map(|at| look_up(&mut connection, at)).into();
    assert_eq!(after, before);
}

/// Everything answered is in the metadata log, flushed: a bad batch with good ones behind it is no torn end.
#[tokio::test]
async fn damage_inside_the_metadata_log_refuses_to_start() {
    let mut broker = Broker::start();
    for n in 0..6 {
        create_topic(&broker, &format!("topic-{n}"), 1).await;
    }
    broker.kill();
    let segment = newest_segment(&broker, "__cluster_metadata-0");
    flip_a_bit_in_the_middle(&segment);
    let ended = Running::spawn(&mut broker.command()).wait();
    assert!(!ended.status.success());
    let named = segment.display().to_string();
    assert!(ended.stderr.contains(&named), "names {named}: {}", ended.stderr);
    for n in 0..6 {
        assert!(
            broker.data().join(format!("topic-{n}-0")).exists(),
            "nothing was touched"
        );
    }
}

#[tokio::test]
async fn partitions_without_their_metadata_log_refuse_to_start_and_stay_as_they_are() {
    let mut broker = Broker::start();
    create_topic(&broker, "kept", 1).await;
    send(&partition(&broker, "kept", 0).await, [number(1)]).await;
    assert!(broker.stop().success());
    let (log, elsewhere) = (
        broker.data().join("__cluster_metadata-0"),
        broker.data().join("aside"),
    );
    fs::rename(&log, &elsewhere).unwrap();
    for _ in 0..2 {
        let ended = Running::spawn(&mut broker.command()).wait();
        assert!(!ended.status.success());
        assert!(
            ended.stderr.contains("put __cluster_metadata-0 back"),
            "{}",
            ended.stderr
        );
        assert!(broker.data().join("kept-0").exists(), "nothing was touched");
    }
    fs::remove_dir_all(&log).unwrap();
    fs::rename(&elsewhere, &log).unwrap();
    broker.start_again();
    assert_eq!(end_offset(&broker, "kept", 0).await, Some(1));
}

#[tokio::test]
async fn a_directory_without_its_properties_is_not_taken_for_a_new_one() {
    let mut broker = Broker::start();
    create_topic(&broker, "kept", 1).await;
    send(&partition(&broker, "kept", 0).await, [number(1)]).await;
    assert!(broker.stop().success());
    let properties = broker.data().join("meta.properties");
    let before = fs::read(&properties).unwrap();
    fs::remove_file(&properties).unwrap();
    for _ in 0..2 {
        let ended = Running::spawn(&mut broker.command()).wait();
        assert!(!ended.status.success());
        let told = "no meta.properties, which says whose they are";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        assert!(!properties.exists(), "nothing was touched");
    }
    fs::write(&properties, before).unwrap();
    broker.start_again();
    assert_eq!(end_offset(&broker, "kept", 0).await, Some(1));
}

fn flip_a_bit_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// As if the process had died between the commit of a deletion and the removal of the files.
#[tokio::test]
async fn a_directory_that_outlived_its_topic_is_set_aside() {
    let mut broker = Broker::start();
    create_topic(&broker, "doomed", 1).await;
    send(&partition(&broker, "doomed", 0).await, [number(1)]).await;
    let (dir, kept) = (broker.data().join("doomed-0"), broker.data().join("kept"));
    assert!(broker.stop().success());
    fs::create_dir(&kept).unwrap();
    for entry in fs::read_dir(&dir).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), kept.join(entry.file_name())).unwrap();
    }
    broker.start_again();
    connect(&broker)
        .await
        .controller_client()
        .unwrap()
        .delete_topic("doomed", 10_000)
        .await
        .expect("deleted");
    broker.kill();
    assert!(!dir.exists());
    fs::rename(&kept, &dir).unwrap();
    broker.start_again();
    assert!(!dir.exists(), "set aside");
    let strays = fs::read_dir(broker.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strays: Vec<String> = strays.filter(|name| name.ends_with("-stray")).collect();
    assert_eq!(strays.len(), 1, "{strays:?}");
    create_topic(&broker, "doomed", 1).await;
    assert_eq!(end_offset(&broker, "doomed", 0).await, Some(0));
}

fn newest_segment(broker: &Broker, partition: &str) -> PathBuf {
    let folder = broker.data().join(partition);
    let mut segments: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    segments.sort();
    segments.pop().expect("a segment")
}

#[test]
fn what_a_deletion_has_left_is_removed_while_the_broker_serves() {
    let mut broker = Broker::start();
    assert!(broker.stop().success());
    let left = broker
        .data()
        .join("gone-0.0123456789abcdef0123456789abcdef-delete");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("00000000000000000000.log"), [7; 100]).unwrap();
    broker.start_again();
    let deadline = Instant::now() + PATIENCE;
    while left.exists() {
        assert!(Instant::now() < deadline, "it stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn producer_ids_never_come_twice() {
    let mut broker = Broker::start();
    let mut seen = BTreeSet::new();
    for round in 0..repetitions(20) {
        // Several connections may meet several cores, each with a block of its own.
        for _ in 0..4 {
            let mut connection = Connection::open(&broker);
            for _ in 0..(1 + round % 20 * 20) {
                let request = InitProducerIdRequest {
                    transactional_id: None,
                    transaction_timeout_ms: 60_000,
                    ..Default::default()
                };
                let answer = connection.call(0, &request);
                let (code, id) = (answer.error_code, answer.producer_id);
                assert!(code == 0 && id >= 0, "error {code}, id {id}");
                assert!(seen.insert(id), "producer id {id} came twice, round {round}");
            }
        }
        if round % 5 == 4 {
            assert!(broker.stop().success());
            broker.start_again();
        } else {
            broker.kill_and_start_again();
        }
    }
}
