//! The metadata log over real files: restarts, crashes, and a log that Apache Kafka wrote.

use super::*;
use crate::base::ProducerId;
use crate::config::Config;
use crate::io;
use crate::log::Opened;
use crate::metadata::controller::DeleteTarget;
use crate::metadata::controller::{
    ProducerIdBlock, Records, Registration, allocate_producer_ids, create_topics, delete_topics,
    elect_leaders, initial_records, register_broker,
};
use crate::metadata::{Image, RecordBatchError};
use crate::wire::batch::BatchView;
use crate::wire::messages::CreateTopicsRequest;
use crate::wire::messages::create_topics_request::CreatableTopic;
use proptest::prelude::*;
use std::path::Path;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn config(dir: &Path) -> Config {
    Config::parse(None, &[format!("log.dir={}", dir.display())])
        .unwrap()
        .0
}

const IDENTITY: Identity = Identity {
    node: NodeId(1),
    directory: TopicId([7; 16]),
};

async fn try_open(dir: &Path, opened: Opened) -> Result<(Quorum, Image), QuorumError> {
    Quorum::open(&config(dir), dir, IDENTITY, opened, NOW).await
}

async fn open(dir: &Path, opened: Opened) -> (Quorum, Image) {
    try_open(dir, opened).await.unwrap()
}

async fn open_as(dir: &Path, directory: &str) -> Result<(Quorum, Image), QuorumError> {
    let identity = Identity {
        directory: TopicId::parse(directory).unwrap(),
        ..IDENTITY
    };
    Quorum::open(&config(dir), dir, identity, Opened::AfterCleanStop, NOW).await
}

/// All of an image but where in the log it stands: each start adds a batch of its own.
fn content(image: &Image) -> Image {
    let mut image = image.clone();
    image.is_as_of(Offset(0), LeaderEpoch(0), NOW);
    image
}

fn registration() -> Registration {
    Registration {
        node: NodeId(1),
        incarnation: TopicId([9; 16]),
        endpoints: Vec::new(),
        rack: Some("r1".to_owned()),
        log_dirs: vec![TopicId([7; 16])],
        cordoned_log_dirs: Vec::new(),
    }
}

fn create(image: &Image, config: &Config, name: &str, id: u8) -> Records {
    let topic = CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: 2,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic].into(),
        ..CreateTopicsRequest::default()
    };
    create_topics(image, &request, config, || TopicId([id; 16])).records
}

async fn commit(log: &mut Quorum, image: &mut Image, records: &Records) {
    if !records.is_empty() {
        for batch in log.propose(records, NOW).await.unwrap() {
            image.apply_batch(&BatchView::first(&batch).unwrap()).unwrap();
        }
        assert_eq!(image.next_offset(), log.log.end_offset());
    }
}

async fn start(log: &mut Quorum, image: &mut Image) {
    commit(log, image, &initial_records(image)).await;
    commit(log, image, &register_broker(&registration(), image.next_offset())).await;
}

fn on_a_core<Fut: Future<Output = ()> + 'static>(test: impl Fn() -> Fut + Clone + Send + 'static) {
    io::run(io::Options::unpinned(1), move |_| test()).unwrap();
}

#[test]
fn a_restart_finds_the_same_image_with_the_same_topic_ids() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
        assert_eq!(image.next_offset(), Offset(1), "a leader change");
        start(&mut log, &mut image).await;
        let records = create(&image, &config, "t", 3);
        commit(&mut log, &mut image, &records).await;
        log.close().await.unwrap();

        for opened in [Opened::AfterCleanStop, Opened::AfterCrash] {
            let (_log, again) = open(dir.path(), opened).await;
            assert_eq!(content(&again), content(&image));
            assert_eq!(again.topic_by_name("t").unwrap().id, TopicId([3; 16]));
        }
    });
}

#[test]
fn a_torn_change_is_gone_as_a_whole_and_the_log_goes_on() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
        start(&mut log, &mut image).await;
        let before = image.clone();
        let records = create(&image, &config, "t", 3);
        commit(&mut log, &mut image, &records).await;
        drop(log);
        let file = dir.path().join("__cluster_metadata-0/00000000000000000000.log");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();

        let (mut log, mut again) = open(dir.path(), Opened::AfterCrash).await;
        assert_eq!(content(&again), content(&before));
        let records = create(&again, &config, "t", 4);
        commit(&mut log, &mut again, &records).await;
        assert_eq!(again.topic_by_name("t").unwrap().id, TopicId([4; 16]));
    });
}

#[test]
fn a_proposal_given_up_half_way_leaves_the_log_in_doubt() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, image) = open(dir.path(), Opened::AfterCleanStop).await;
        let records = initial_records(&image);
        {
            let mut proposal = std::pin::pin!(log.propose(&records, NOW));
            let waker = std::task::Waker::noop();
            assert!(
                proposal
                    .as_mut()
                    .poll(&mut std::task::Context::from_waker(waker))
                    .is_pending()
            );
        }
        assert!(matches!(
            log.propose(&records, NOW).await,
            Err(QuorumError::InDoubt)
        ));
        assert!(log.close().await.is_err());
    });
}

#[test]
fn a_change_that_is_too_large_is_refused_and_the_next_one_is_made() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
        let name = "n".repeat(30_000);
        let record = crate::wire::messages::FeatureLevelRecord {
            name: name.into(),
            feature_level: 1,
        };
        let refused = log.propose(&vec![record.into(); 300], NOW).await;
        assert!(matches!(
            refused,
            Err(QuorumError::Batch(RecordBatchError::TooLarge { .. }))
        ));
        start(&mut log, &mut image).await;
    });
}

#[test]
fn a_log_that_kafka_wrote_is_replayed_and_gone_on_with() {
    const DIRECTORY: &str = "uqlgOtVNSuGztnIMfK_-Kg";
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let to = dir.path().join("__cluster_metadata-0");
        std::fs::create_dir(&to).unwrap();
        for file in [
            "00000000000000000000.log",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ] {
            let from = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-metadata/");
            std::fs::copy(Path::new(from).join(file), to.join(file)).unwrap();
        }
        let elsewhere = try_open(dir.path(), Opened::AfterCleanStop).await;
        assert!(matches!(elsewhere, Err(QuorumError::OtherDirectory)));
        let (mut log, mut image) = open_as(dir.path(), DIRECTORY).await.unwrap();
        let topics: Vec<_> = image
            .topics()
            .map(|t| (t.name.as_str(), t.id.to_string(), t.partitions.len()))
            .collect();
        let kafkas = [
            ("gone_topic", "kgz2buTKRtOihHEIcXcCjA".to_owned(), 1),
            ("orders", "roTCGPkISDmmlX4A_9_uhA".to_owned(), 3),
            ("quotes.eu", "1VmfC_8wTBqfMLFAojWW9w".to_owned(), 3),
        ];
        assert_eq!(topics, kafkas);
        assert_eq!(image.topic_configs("orders")["retention.ms"], "1234");
        assert!(!image.topic_configs("orders").contains_key("max.message.bytes"));
        assert!(image.topic_configs("gone.topic").is_empty());
        assert_eq!(image.colliding_topic("gone.topic"), Some("gone_topic"));
        assert_eq!(image.broker_configs(NodeId(1))["message.max.bytes"], "3000000");
        assert_eq!(image.cluster_configs()["min.insync.replicas"], "1");
        assert_eq!(image.next_producer_id(), ProducerId(1000));
        assert_eq!(image.feature_level("transaction.version"), 2);
        assert_eq!(
            image.finalized_features().collect::<Vec<_>>(),
            [("kraft.version", 1), ("metadata.version", 30)]
        );
        let broker = image.broker(NodeId(1)).unwrap();
        assert_eq!(
            (broker.epoch, broker.fenced, broker.endpoints[0].port),
            (47, true, 29292)
        );
        let partition = image
            .topic_by_name("orders")
            .unwrap()
            .partitions
            .values()
            .next()
            .unwrap();
        // Made at epoch 0, given up, taken, given up again.
        assert_eq!(
            (
                partition.leader,
                partition.leader_epoch,
                partition.partition_epoch
            ),
            (None, LeaderEpoch(3), 3)
        );
        assert_eq!(partition.eligible_leader_replicas, [NodeId(1)]);

        let ours = Registration {
            log_dirs: vec![TopicId::parse(DIRECTORY).unwrap()],
            ..registration()
        };
        let records = register_broker(&ours, image.next_offset());
        commit(&mut log, &mut image, &records).await;
        let records = elect_leaders(&image, NodeId(1));
        commit(&mut log, &mut image, &records).await;
        let all_led = |image: &Image| {
            image
                .topics()
                .flat_map(|t| t.partitions.values())
                .all(|p| p.leader == Some(NodeId(1)))
        };
        assert!(all_led(&image));
        let records = create(&image, &config, "ours", 5);
        commit(&mut log, &mut image, &records).await;
        log.close().await.unwrap();
        let again = open_as(dir.path(), DIRECTORY).await.unwrap().1;
        assert_eq!(content(&again), content(&image));
    });
}

/// The files of the metadata log that end so.
fn files(dir: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("__cluster_metadata-0")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

#[test]
fn a_new_directory_names_its_voter_before_its_log_begins_and_in_its_first_batch() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let membership = Membership::of_one(IDENTITY.node, IDENTITY.directory, Vec::new());
        crate::quorum::format_now(dir.path(), &membership, NOW).unwrap();
        assert_eq!(
            files(dir.path(), ".checkpoint"),
            ["00000000000000000000-0000000000.checkpoint"]
        );
        let (log, image) = open(dir.path(), Opened::AfterCleanStop).await;
        assert_eq!(image.membership(), &membership);
        assert_eq!(
            image.next_offset(),
            Offset(3),
            "LeaderChange, KRaftVersion, KRaftVoters"
        );
        assert_eq!(image.epoch(), LeaderEpoch(1));
        log.close().await.unwrap();

        std::fs::remove_file(
            dir.path()
                .join("__cluster_metadata-0/00000000000000000000-0000000000.checkpoint"),
        )
        .unwrap();
        let (_log, image) = open(dir.path(), Opened::AfterCrash).await;
        assert_eq!(image.membership(), &membership, "the log itself says it");
        assert_eq!((image.epoch(), image.next_offset()), (LeaderEpoch(2), Offset(4)));
    });
}

#[test]
fn another_voter_refuses_to_start() {
    on_a_core(async || {
        let voter = |node| Membership::of_one(NodeId(node), IDENTITY.directory, Vec::new()).voters[0].clone();
        for (nodes, told) in [(&[1, 2][..], "nodes 1, 2"), (&[9], "nodes 9")] {
            let dir = tempfile::tempdir().unwrap();
            let membership = Membership {
                kraft_version: 1,
                voters: nodes.iter().map(|&node| voter(node)).collect(),
            };
            crate::quorum::format_now(dir.path(), &membership, NOW).unwrap();
            let refused = try_open(dir.path(), Opened::AfterCleanStop).await.map(|_| ());
            assert!(refused.unwrap_err().to_string().contains(told));
        }
    });
}

#[test]
fn a_snapshot_takes_the_place_of_the_log_before_it() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
        start(&mut log, &mut image).await;
        log.limits.retention_bytes = 0;
        for round in 0..3 {
            let records = create(&image, &config, &format!("t{round}"), round);
            commit(&mut log, &mut image, &records).await;
            assert!(take_snapshot(&mut log, &image).await);
            assert!(!take_snapshot(&mut log, &image).await, "nothing has changed");
        }
        let newest = format!("{:020}-0000000001", image.next_offset().0);
        assert_eq!(files(dir.path(), ".checkpoint"), [format!("{newest}.checkpoint")]);
        assert_eq!(files(dir.path(), ".raft"), [format!("{newest}.raft")]);
        let index = log.machine().position_at(image.next_offset()).unwrap().index;
        drop(log);

        // With a log that still has everything, and with one that has only what came later.
        for without_log in [false, true] {
            if without_log {
                for name in files(dir.path(), ".log") {
                    std::fs::remove_file(dir.path().join("__cluster_metadata-0").join(name)).unwrap();
                }
            }
            let (mut log, again) = open(dir.path(), Opened::AfterCrash).await;
            assert_eq!(content(&again), content(&image));
            let position = log.machine().position_at(image.next_offset()).unwrap();
            assert_eq!(position.index, index, "an entry keeps its number");
        }
    });
}

#[test]
fn segments_go_with_the_snapshot_that_needed_them() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
        start(&mut log, &mut image).await;
        log.log.options_mut().segment_bytes = 2000;
        log.limits.retention_bytes = 4000;
        for round in 0..60 {
            let records = allocate_producer_ids(&image, NodeId(1), 1).unwrap().1;
            commit(&mut log, &mut image, &records).await;
            if round % 10 == 9 {
                take_snapshot(&mut log, &image).await;
            }
        }
        let snapshots = files(dir.path(), ".checkpoint");
        let segments = files(dir.path(), ".log");
        assert!(snapshots.len() > 1 && snapshots.len() < 6, "{snapshots:?}");
        assert!(segments[0][..20] > *"00000000000000000000", "{segments:?}");
        assert!(
            segments[0][..20] <= snapshots[0][..20],
            "{segments:?} {snapshots:?}"
        );
        drop(log);
        let (_log, again) = open(dir.path(), Opened::AfterCrash).await;
        assert_eq!(content(&again), content(&image));
    });
}

#[test]
fn a_damaged_snapshot_refuses_to_start_by_name_and_place_and_a_half_written_one_is_nothing() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
        start(&mut log, &mut image).await;
        take_snapshot(&mut log, &image).await;
        drop(log);
        let name = files(dir.path(), ".checkpoint").pop().unwrap();
        let path = dir.path().join("__cluster_metadata-0").join(&name);
        let whole = std::fs::read(&path).unwrap();
        let part = path.with_extension("checkpoint.part");
        std::fs::write(&part, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(
            content(&open(dir.path(), Opened::AfterCrash).await.1),
            content(&image)
        );
        assert!(!part.exists());

        for at in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..at]).unwrap();
            let told = try_open(dir.path(), Opened::AfterCrash)
                .await
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(
                told.contains(&name) && told.contains(": at byte "),
                "cut at {at}: {told}"
            );
            // Base offset, length, epoch: what the CRC doesn't cover shows in other ways or not at all.
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            std::fs::write(&path, &changed).unwrap();
            let opened = try_open(dir.path(), Opened::AfterCrash).await.map(|_| ());
            let covered = crate::wire::batch::batches(&whole)
                .map(Result::unwrap)
                .any(|batch| {
                    let from = batch.bytes().as_ptr() as usize - whole.as_ptr() as usize;
                    (from + 16..from + batch.size_bytes()).contains(&at)
                });
            assert!(opened.is_err() || !covered, "byte {at}");
        }
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(
            try_open(dir.path(), Opened::AfterCrash).await.is_err(),
            "a byte behind the footer"
        );
    });
}

#[test]
fn a_snapshot_of_a_directory_that_kafka_ran_in_loses_nothing() {
    const RAN: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/kafka-directory/ran/__cluster_metadata-0"
    );
    const DIRECTORY: &str = "gtM_1XMuRr-qdwnc0XUf7Q";
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("__cluster_metadata-0");
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(RAN).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        let (mut log, image) = open_as(dir.path(), DIRECTORY).await.unwrap();
        assert_eq!(image.epoch(), LeaderEpoch(2), "Kafka's first, and ours");
        log.limits.retention_bytes = 0;
        assert!(take_snapshot(&mut log, &image).await);
        drop(log);
        for name in files(dir.path(), ".log") {
            std::fs::remove_file(to.join(name)).unwrap();
        }
        let [only] = &files(dir.path(), ".checkpoint")[..] else {
            panic!("Kafka's snapshots are replaced")
        };
        let bytes = std::fs::read(to.join(only)).unwrap();
        let alices = bytes.windows(5).filter(|window| window == b"alice").count();
        assert_eq!(alices, 2, "her quota and her credential");
        let (_log, again) = open_as(dir.path(), DIRECTORY).await.unwrap();
        assert_eq!(content(&again), content(&image));
    });
}

#[test]
fn an_epoch_that_cant_follow_refuses_to_start() {
    on_a_core(async || {
        for epoch in [0, -1, i32::MAX] {
            let dir = tempfile::tempdir().unwrap();
            let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
            start(&mut log, &mut image).await;
            log.close().await.unwrap();
            let file = dir.path().join("__cluster_metadata-0/00000000000000000000.log");
            let mut bytes = std::fs::read(&file).unwrap();
            let second = BatchView::first(&bytes).unwrap().size_bytes();
            crate::wire::batch::set_leader_epoch(&mut bytes[second..], LeaderEpoch(epoch));
            std::fs::write(&file, &bytes).unwrap();
            let refused = try_open(dir.path(), Opened::AfterCrash).await.map(|_| ());
            assert!(
                matches!(
                    &refused,
                    Err(QuorumError::Epoch {
                        offset: Offset(1),
                        ..
                    })
                ),
                "{epoch}: {refused:?}"
            );
        }
    });
}

#[test]
fn a_log_that_lost_what_came_before_it_refuses_to_start() {
    on_a_core(async || {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, mut image) = open(dir.path(), Opened::AfterCleanStop).await;
        start(&mut log, &mut image).await;
        log.log.options_mut().segment_bytes = 200;
        for _ in 0..4 {
            let records = allocate_producer_ids(&image, NodeId(1), 1).unwrap().1;
            commit(&mut log, &mut image, &records).await;
        }
        drop(log);
        let first = dir.path().join("__cluster_metadata-0/00000000000000000000.log");
        std::fs::remove_file(first).unwrap();
        let refused = try_open(dir.path(), Opened::AfterCrash).await.map(|_| ());
        assert!(matches!(refused, Err(QuorumError::Gap { .. })), "{refused:?}");
    });
}

/// What a node may do between two starts.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Delete(u8),
    TakeIds(u16),
    /// Dies with so many bytes of its last, unanswered change written.
    Crash(u16),
    Stop,
    Snapshot,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..8).prop_map(Step::Create),
        2 => (0u8..8).prop_map(Step::Delete),
        3 => (1u16..1500).prop_map(Step::TakeIds),
        1 => (0u16..300).prop_map(Step::Crash),
        1 => Just(Step::Stop),
        2 => Just(Step::Snapshot),
    ];
    proptest::collection::vec(step, 1..30)
}

async fn live(dir: &Path, steps: Vec<Step>) {
    let config = config(dir);
    let mut opened = Opened::AfterCleanStop;
    let mut taken = std::collections::BTreeSet::new();
    let mut next_topic_id = 0u8;
    let (mut log, mut image) = open(dir, opened).await;
    start(&mut log, &mut image).await;
    let mut block = ProducerIdBlock::empty();
    for step in steps {
        match step {
            Step::Create(n) => {
                next_topic_id = next_topic_id.wrapping_add(1);
                let records = create(&image, &config, &format!("t{n}"), next_topic_id);
                commit(&mut log, &mut image, &records).await;
            }
            Step::Delete(n) => {
                let target = DeleteTarget {
                    name: Some(format!("t{n}")),
                    id: TopicId::ZERO,
                };
                let records = delete_topics(&image, &[target], true).records;
                commit(&mut log, &mut image, &records).await;
            }
            Step::TakeIds(count) => {
                for _ in 0..count {
                    if block.left() == 0 {
                        let (fresh, records) = allocate_producer_ids(&image, NodeId(1), 1).unwrap();
                        commit(&mut log, &mut image, &records).await;
                        block = fresh;
                    }
                    let id = block.take().unwrap();
                    assert!(taken.insert(id.0), "producer id {id} twice");
                }
            }
            Step::Snapshot => {
                take_snapshot(&mut log, &image).await;
            }
            Step::Crash(_) | Step::Stop => {
                opened = match step {
                    Step::Crash(written) => {
                        let records = allocate_producer_ids(&image, NodeId(1), 1).unwrap().1;
                        let torn =
                            record_batch(&records, log.log.end_offset(), log.ballot.epoch, NOW).unwrap();
                        drop(log);
                        write_torn(dir, &torn[..torn.len().min(written.into())]);
                        Opened::AfterCrash
                    }
                    _ => {
                        log.close().await.unwrap();
                        Opened::AfterCleanStop
                    }
                };
                let before = image;
                (log, image) = open(dir, opened).await;
                assert!(image.topics().eq(before.topics()));
                assert!(image.next_producer_id() >= before.next_producer_id());
                start(&mut log, &mut image).await;
                block = ProducerIdBlock::empty();
            }
        }
    }
    drop(log);
    let again = open(dir, Opened::AfterCrash).await.1;
    assert_eq!(content(&again), content(&image), "replaying gives the same image");
}

/// Writes a snapshot; false when there was nothing new for one.
async fn take_snapshot(log: &mut Quorum, image: &Image) -> bool {
    let Some(job) = log.begin_snapshot(image, NOW) else {
        return false;
    };
    let written = job.run().await;
    log.end_snapshot(written, NOW).unwrap().run().await;
    true
}

fn write_torn(dir: &Path, bytes: &[u8]) {
    use std::io::Write;
    let path = dir.join("__cluster_metadata-0/00000000000000000000.log");
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_happens_the_image_comes_back_and_no_producer_id_comes_twice(steps in steps()) {
        on_a_core(move || {
            let steps = steps.clone();
            async move {
                let dir = tempfile::tempdir().unwrap();
                live(dir.path(), steps).await;
            }
        });
    }
}
