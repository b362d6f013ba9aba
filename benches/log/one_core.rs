//! One core of a broker without its listeners, pinned, with one partition: appends go the way that a produce request's do, from the
//! shard on.

use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::BytesMut;
use ringlog::base::{PartitionIndex, TopicId, TopicPartition};
use ringlog::config::Config;
use ringlog::io::local::Receiver;
use ringlog::io::{self, Options, mesh, random_uuid, wall_now};
use ringlog::log::dir::{LogDir, MetaProperties};
use ringlog::metadata::Membership;
use ringlog::partition::Refusal;
use ringlog::quorum;
use ringlog::shard::{
    AppendedHere, ConnectionLimits, DataDir, DataDirs, FoundDir, MAILBOX_MESSAGES, MetadataDir, NewTopics,
    Node, Shard,
};
use ringlog::wire::batch::{Arrived, BatchBuilder};
use ringlog::wire::compression::Codec;

use crate::Plan;

const TOPIC: &str = "measured";

/// What is said of an append that waits.
pub type Committed = Receiver<Result<(), Refusal>>;

/// Runs `work` on the plan's core, alone, and returns what it comes to. What blocks there is a floor and no fault.
pub fn run<T, F, Fut>(plan: &Plan, work: F) -> T
where
    T: Send + 'static,
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let options = Options {
        cores: vec![plan.cpu],
        profile: plan.profile,
        stall_limit: Duration::from_secs(600),
        pin: true,
    };
    let main = move |_| {
        let (sender, work) = (sender.clone(), work.clone());
        async move {
            let outcome = work().await;
            sender.send(outcome).expect("somebody waits for it");
        }
    };
    io::run(options, main).expect("a core runs");
    receiver.recv().expect("the core came to its end")
}

/// See the module.
pub struct OneCore {
    shard: Rc<Shard>,
    partition: TopicPartition,
    _locked: LogDir,
}

impl OneCore {
    /// A new node in `dir`, with a topic of one partition.
    pub async fn start(dir: &Path, settings: &[&str]) -> OneCore {
        let log_dirs = format!("log.dirs={}", dir.display());
        let settings: Vec<String> = settings
            .iter()
            .map(|setting| setting.to_string())
            .chain([log_dirs])
            .collect();
        let (config, _) = Config::parse(None, &settings).expect("good settings");
        let (locked, node) = format(dir, config);
        let port = mesh::build(1, MAILBOX_MESSAGES).remove(0);
        let shard = Shard::start(Arc::new(node), port, Arc::default());
        shard.open().await.expect("opens");
        let created = shard.create_topics(NewTopics::Named(vec![TOPIC.into()])).await;
        created.expect("is decided").remove(0).1.expect("is created");
        let topic = shard.image().topic_by_name(TOPIC).expect("is there").id;
        OneCore {
            partition: TopicPartition {
                topic,
                partition: PartitionIndex(0),
            },
            shard,
            _locked: locked,
        }
    }

    /// Appends a batch as it came from a producer; what to wait for, if it doesn't count at once.
    pub fn append(&self, batch: BytesMut) -> Option<Committed> {
        match self.shard.append_here(self.partition, Arrived::from(batch)) {
            AppendedHere::Settled(outcome) => {
                outcome.expect("is appended");
                None
            }
            AppendedHere::Waiting(_, committed) => Some(committed),
        }
    }

    /// Appends a batch of a durable topic, and waits until it counts.
    pub async fn append_durably(&self, batch: BytesMut) {
        let committed = self.append(batch).expect("nothing counts before its flush");
        committed.await.expect("is answered").expect("is flushed");
    }

    /// Closes its files.
    pub async fn stop(self) {
        self.shard.stop_all().await.expect("closes");
    }
}

fn format(dir: &Path, config: Config) -> (LogDir, Node) {
    let mut locked = LogDir::open_now(dir).expect("is free");
    let properties = MetaProperties {
        cluster_id: TopicId(random_uuid()).to_string(),
        node_id: config.node_id(),
        directory_id: TopicId(random_uuid()),
    };
    let membership = Membership::of_one(properties.node_id, properties.directory_id, Vec::new());
    quorum::format_now(dir, &membership, wall_now()).expect("is formatted");
    locked.format_now(properties.clone()).expect("is formatted");
    let node = Node {
        connection_limits: ConnectionLimits::new(&config).expect("limits"),
        config,
        advertised: Vec::new(),
        controllers: Vec::new(),
        cores: 1,
        cluster_id: properties.cluster_id,
        metadata_dir: MetadataDir {
            path: dir.to_owned(),
            id: properties.directory_id,
            opened: locked.opened(),
        },
        dirs: DataDirs::new(vec![DataDir {
            path: dir.to_owned(),
            found: Some(FoundDir {
                id: properties.directory_id,
                opened: locked.opened(),
                offsets: locked.offsets().clone(),
            }),
        }]),
    };
    (locked, node)
}

/// A producer's batch of one record, of exactly so many bytes.
pub fn batch_of(bytes: usize) -> BytesMut {
    let with_value = |value_bytes: usize| {
        let mut batch = BatchBuilder::new(Codec::None);
        let value: Vec<u8> = (0..value_bytes).map(|n| (n * 131 + 7) as u8).collect();
        batch.add(wall_now(), None, Some(&value), &[]);
        batch.build_mut()
    };
    let built = (0..bytes)
        .rev()
        .map(with_value)
        .find(|batch| batch.len() <= bytes);
    let batch = built.expect("room for a header");
    assert_eq!(batch.len(), bytes, "no value makes a batch of this size");
    batch
}
