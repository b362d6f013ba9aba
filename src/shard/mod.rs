//! One per core: the partitions this core owns, and the way to those it doesn't.
//!
//! Everything here is plain data of one core, behind an `Rc`; no borrow is held across a wait. What belongs to another core is
//! asked for through [`link`]. The shard of core 0 also holds the controller. A shard ends with its core's `main`.

mod administration;
mod arrival;
mod asked;
mod checkpoints;
mod clients;
mod cold_reads;
mod compaction;
mod controller;
mod data_dirs;
mod deleting;
mod dir_failure;
mod fetch_session;
mod fetching;
mod flushing;
mod found;
mod found_moves;
mod join;
mod large_requests;
mod link;
mod log_sizes;
mod lookup;
mod message;
mod moving;
mod node;
mod open_files;
mod opening;
mod owned;
mod places;
mod producer_ids;
mod reading;
mod receive;
mod retention;
mod routing;
mod snapshots;
mod time_slice;
mod topic_configs;
mod topics;
mod unsent;
mod upkeep;

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::{CoreId, PartitionIndex, TopicId, TopicPartition};
use crate::config::Config;
use crate::io;
use crate::io::local::{Notify, Sender};
use crate::io::mesh::Port;
use crate::log::clean_start::CleanStart;
use crate::metadata::Image;
use crate::metadata::controller::ProducerIdBlock;
use crate::partition::{AppendError, Appended, Refusal, WatchGuard};
use crate::wire::ErrorCode;
use crate::wire::batch::Arrived;

use checkpoints::Checkpoints;
use cold_reads::ColdReads;
use compaction::Compacting;
use controller::Controller;
use data_dirs::OnlineDirs;
use dir_failure::Failures;
use fetch_session::FetchSessions;
use flushing::Flushing;
use link::Link;
use message::{Reply, Request};
use moving::Moving;
use owned::Owned;
use places::Places;
use topic_configs::TopicConfigs;

pub use administration::{Altered, Grown};
pub use asked::AskedFrame;
pub use checkpoints::{CoreOffsets, PartitionOffsets};
pub use clients::Clients;
pub use controller::{CONTROLLER_CORE, CleanStop, Created, Deleted, NewTopics};
pub use data_dirs::{DataDir, DataDirs, DirIndex, FoundDir};
pub use fetch_session::{
    FetchContext, FetchTopicName, Planned, SessionOpening, SessionPartition, SessionRequest,
};
pub use flushing::AppendedHere;
pub use join::{AT_ONCE, join_all};
pub use large_requests::{Admission, LargeRequests};
pub use link::MAILBOX_MESSAGES;
pub use log_sizes::{DirCondition, LogSize};
pub use lookup::{FindEpochEnd, FindOffset, FoundOffset, OffsetTarget};
pub use message::{Message, WatchId};
pub use node::{MetadataDir, Node};
pub use places::{AddressIsFull, ConnectionLimits, Entrance, Place, Visitor};
pub use reading::{Parked, ReadAnswer, ReadOutcome, ReadRound, Wanted};
pub use time_slice::TimeSlice;
pub use topics::ClosedLogs;
pub use unsent::{Sending, Unsent};
use upkeep::KeptUp;

/// What one core holds of the broker.
pub struct Shard {
    core: CoreId,
    node: Arc<Node>,
    image: RefCell<Image>,
    /// The node's settings with what the image sets on brokers over them.
    config: RefCell<Rc<Config>>,
    topic_configs: TopicConfigs,
    online_dirs: OnlineDirs,
    /// On core 0 only.
    failures: Failures,
    owned: RefCell<Owned>,
    link: Rc<Link>,
    cold_reads: Rc<ColdReads>,
    flushing: Flushing,
    kept_up: KeptUp,
    /// On core 0 only.
    checkpoints: Checkpoints,
    compacting: Compacting,
    moving: Moving,
    /// On core 0 only, from its start on.
    controller: RefCell<Option<Rc<Controller>>>,
    producer_ids: RefCell<ProducerIdBlock>,
    /// Watches on this core's partitions, by who registered them.
    watches: RefCell<BTreeMap<(CoreId, WatchId), WatchGuard>>,
    /// Reads of this core that wait for a watch, here or elsewhere.
    parked: RefCell<BTreeMap<WatchId, Sender<()>>>,
    fetch_sessions: RefCell<FetchSessions>,
    /// Of the node's connections; counted on core 0 only.
    places: RefCell<Places>,
    /// Once it serves any.
    clients: RefCell<Option<Rc<dyn Clients>>>,
    next_watch: Cell<u64>,
    large_requests: Rc<LargeRequests>,
    /// Who puts a large batch into another codec: one at a time, for zstd may need 150 MiB for it.
    recoding: Rc<LargeRequests>,
    unsent: Rc<Unsent>,
    /// What core 0 told this core to do.
    orders: Orders,
    /// What the last stop left, until every log is open.
    clean_start: RefCell<Arc<Vec<CleanStart>>>,
}

/// Told from core 0 to every core.
#[derive(Default)]
struct Orders {
    listen: Cell<bool>,
    stop: Cell<bool>,
    changed: Notify,
}

impl Shard {
    /// The shard of the calling core, empty until it is told to open, and its task that answers the other cores. Logs are opened as
    /// `clean_start` has them.
    pub fn start(node: Arc<Node>, port: Port<Message>, clean_start: Arc<Vec<CleanStart>>) -> Rc<Shard> {
        let core = io::core();
        let fetch_sessions = FetchSessions::new(core, node.cores, node.config.fetch_sessions_max());
        let shard = Rc::new(Shard {
            core,
            owned: RefCell::new(Owned::new(&node.config, node.cores)),
            image: RefCell::new(Image::empty()),
            config: RefCell::new(Rc::new(node.config.clone())),
            topic_configs: TopicConfigs::default(),
            online_dirs: OnlineDirs::new(&node.dirs),
            failures: Failures::default(),
            link: Link::new(port, node.cores),
            cold_reads: ColdReads::start(),
            flushing: Flushing::default(),
            kept_up: KeptUp::default(),
            checkpoints: Checkpoints::default(),
            compacting: Compacting::default(),
            moving: Moving::default(),
            controller: RefCell::default(),
            producer_ids: RefCell::new(ProducerIdBlock::empty()),
            watches: RefCell::default(),
            parked: RefCell::default(),
            fetch_sessions: RefCell::new(fetch_sessions),
            places: RefCell::new(Places::new(node.connection_limits.clone())),
            clients: RefCell::default(),
            next_watch: Cell::new(0),
            large_requests: Rc::default(),
            recoding: Rc::default(),
            unsent: Rc::default(),
            orders: Orders::default(),
            clean_start: RefCell::new(clean_start),
            node,
        });
        io::spawn(shard.clone().receive());
        shard
    }

    /// Who may be answered of those that name very much.
    pub fn large_requests(&self) -> &Rc<LargeRequests> {
        &self.large_requests
    }

    /// What this core's connections wait to send.
    pub fn unsent(&self) -> &Rc<Unsent> {
        &self.unsent
    }

    /// This core.
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// The node that this core is part of.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The broker's settings as of now; others may be set while the broker runs, so they are not to be kept.
    pub fn config(&self) -> Rc<Config> {
        self.config.borrow().clone()
    }

    /// The epoch under which this node is registered; −1 before it is.
    pub fn broker_epoch(&self) -> i64 {
        self.image
            .borrow()
            .broker(self.node.id())
            .map_or(-1, |broker| broker.epoch)
    }

    /// This core's copy of the cluster's metadata. Not to be held across a wait.
    pub fn image(&self) -> Ref<'_, Image> {
        self.image.borrow()
    }

    /// Which core owns `partition`.
    pub fn owner(&self, partition: TopicPartition) -> CoreId {
        routing::owner(partition, self.node.cores)
    }

    /// Whether this core owns `partition`.
    pub fn owns(&self, partition: TopicPartition) -> bool {
        self.owner(partition) == self.core
    }

    /// The partition of that index, if its topic has it.
    pub fn existing_partition(
        &self,
        topic: TopicId,
        index: PartitionIndex,
    ) -> Result<TopicPartition, ErrorCode> {
        let image = self.image.borrow();
        let known = image.partition(topic, index).is_some();
        if known {
            Ok(TopicPartition {
                topic,
                partition: index,
            })
        } else {
            Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        }
    }

    /// Appends to a partition that this core [owns](Self::owns).
    pub fn append_here(self: &Rc<Self>, partition: TopicPartition, batch: Arrived) -> AppendedHere {
        self.try_closed(partition);
        match self.append_now(partition, batch) {
            Ok(appended) if let Some(after) = appended.after => {
                AppendedHere::Waiting(appended, self.wait_until_committed(partition, after))
            }
            settled => AppendedHere::Settled(settled),
        }
    }

    fn append_now(self: &Rc<Self>, partition: TopicPartition, batch: Arrived) -> Result<Appended, Refusal> {
        let appended = self.owned.borrow_mut().append(partition, batch, io::wall_now());
        if let Some(error) = appended.as_ref().err().and_then(AppendError::disk_failure) {
            self.write_failed(partition, "an append", error);
        }
        let appended = appended.map_err(|error| self.refusal_here(partition, error))?;
        if appended.needs_upkeep {
            self.keep_up(partition);
        }
        Ok(appended)
    }

    /// Appends to a partition of another core. Appends of one connection to one partition stay in order.
    pub fn append_elsewhere(
        self: &Rc<Self>,
        partition: TopicPartition,
        batch: Arrived,
    ) -> impl Future<Output = Result<Appended, Refusal>> + use<> {
        let shard = self.clone();
        async move {
            let owner = shard.owner(partition);
            match shard.link.ask(owner, Request::Append { partition, batch }).await {
                Reply::Appended(outcome) => outcome,
                _ => unreachable!("an append is answered with its outcome"),
            }
        }
    }

    /// Asks every other core, whether or not the answers are waited for yet; these come in the order of the cores.
    fn ask_peers(self: &Rc<Self>, request: impl Fn() -> Request) -> io::Task<Vec<Reply>> {
        let asked = self.link.peers().map(|peer| {
            let (shard, request) = (self.clone(), request());
            async move { shard.link.ask(peer, request).await }
        });
        io::spawn(join_all(asked.collect::<Vec<_>>()))
    }

    fn next_watch_id(&self) -> WatchId {
        let id = self.next_watch.get();
        self.next_watch.set(id + 1);
        WatchId(id)
    }

    /// Waits until core 0 says to accept connections; false when it says to stop instead.
    pub async fn told_to_listen(&self) -> bool {
        while !self.orders.listen.get() && !self.orders.stop.get() {
            self.orders.changed.notified().await;
        }
        !self.orders.stop.get()
    }

    /// Waits until core 0 says to stop.
    pub async fn told_to_stop(&self) {
        while !self.orders.stop.get() {
            self.orders.changed.notified().await;
        }
    }

    fn order_listen(&self) {
        self.orders.listen.set(true);
        self.orders.changed.notify();
    }

    fn order_stop(&self) {
        self.orders.stop.set(true);
        self.orders.changed.notify();
    }
}
