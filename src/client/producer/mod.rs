//! Sending records: gathered in batches, pipelined to each partition's leader, sent again in order until they are
//! acknowledged or their time is up.
//!
//! Tasks, all on the caller's core: one for each broker in use sends (`link`), one for each takes answers, and one
//! looks after metadata and deadlines (`keeper`). They share [`Shared`] and end when the producer is dropped or
//! fails. The order of a partition's batches is the machine in `outbox`.
//!
//! With idempotence (KIP-98) a batch keeps its producer id, epoch and sequence number through every try, so the
//! broker drops what it already has: a connection that breaks, or a broker that is killed and started again,
//! neither loses nor doubles a record.

mod keeper;
mod lane;
mod link;
mod outbox;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use self::lane::{Identity, Lane};
use self::link::Link;
use super::{ClientError, Cluster};
use crate::base::{BrokerId, Instant, Offset, PartitionIndex, Timestamp};
use crate::io;
use crate::io::local::Notify;
use crate::wire::compression::Codec;

/// Whose word an acknowledgement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nobody's: a record counts as sent when it is handed to the system.
    None,
    /// The leader's.
    Leader,
    /// Every in-sync replica's.
    All,
}

impl Acks {
    /// As Produce requests say it.
    fn wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// How a producer gathers, sends and tries again.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Whose acknowledgement to wait for.
    pub acks: Acks,
    /// Whether each batch carries producer id and sequence number. Needs [`Acks::All`].
    pub idempotent: bool,
    /// How batches are packed.
    pub codec: Codec,
    /// How long a batch may wait for more records. Zero: it leaves as soon as its partition may send.
    pub linger: Duration,
    /// A batch is closed at this size, before packing; a record that is larger alone gets its own.
    pub batch_bytes_max: usize,
    /// The largest request; a batch that is larger alone gets its own. Kafka's `max.request.size`.
    pub request_bytes_max: usize,
    /// Records not yet acknowledged, before packing; [`Producer::send`] waits beyond it. Kafka's `buffer.memory`.
    pub buffer_bytes_max: usize,
    /// How long a batch may be tried. Kafka's `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// The pause before a batch is tried again.
    pub retry_backoff: Duration,
}

impl Default for ProducerOptions {
    fn default() -> ProducerOptions {
        ProducerOptions {
            acks: Acks::All,
            idempotent: true,
            codec: Codec::None,
            linger: Duration::ZERO,
            batch_bytes_max: 64 * 1024,
            request_bytes_max: 1 << 20,
            buffer_bytes_max: 32 << 20,
            delivery_timeout: Duration::from_secs(120),
            retry_backoff: Duration::from_millis(100),
        }
    }
}

/// A record to send, borrowed until it is in its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl Record<'_> {
    /// No less than the record takes in a batch: the bytes, and a generous 5 for each length and 20 for the rest.
    fn bytes_bound(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| 10 + name.len() + value.map_or(0, <[u8]>::len));
        30 + self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers.sum::<usize>()
    }
}

/// A topic that a producer sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicHandle {
    index: usize,
    /// How many partitions it has.
    pub partitions: usize,
}

/// One acknowledged batch.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition.
    pub partition: PartitionIndex,
    /// The first record's offset; unknown without acknowledgement, and for a repeated batch that the broker
    /// recognised but no longer knew the place of.
    pub base_offset: Offset,
    /// For each record in order, the time it was due, as given to [`Producer::send`].
    pub due: &'a [Instant],
    /// When the acknowledgement came.
    pub at: Instant,
}

/// Called for each acknowledged batch.
pub type OnDelivery = Box<dyn FnMut(Delivery<'_>)>;

/// Sends records. Dropping it ends its tasks; what wasn't flushed may be lost.
pub struct Producer(Rc<Shared>);

struct Shared {
    cluster: Cluster,
    options: ProducerOptions,
    state: RefCell<State>,
    on_delivery: RefCell<OnDelivery>,
    /// The keeper has something to do: leaders to find, or the end.
    keep: Notify,
    /// Records were acknowledged, or the producer failed.
    settled: Notify,
}

struct State {
    identity: Identity,
    topics: Vec<Rc<str>>,
    lanes: Vec<Lane>,
    /// First lane of each topic in `topics`; its partitions follow.
    lane_from: Vec<usize>,
    links: BTreeMap<BrokerId, Rc<Link>>,
    buffered_bytes: usize,
    unsettled_records: usize,
    /// Callers waiting in [`Producer::flush`]: batches leave without lingering.
    flushing: usize,
    leaders_wanted: bool,
    stopped: bool,
    failure: Option<ClientError>,
}

impl Producer {
    /// A producer on `cluster`. With idempotence it asks for its id first.
    pub async fn start(
        cluster: Cluster,
        options: ProducerOptions,
        on_delivery: OnDelivery,
    ) -> Result<Producer, ClientError> {
        assert!(
            !options.idempotent || options.acks == Acks::All,
            "idempotence needs every replica's word"
        );
        let identity = match options.idempotent {
            true => keeper::init_producer_id(&cluster, &options).await?,
            false => Identity::NONE,
        };
        let state = State {
            identity,
            topics: Vec::new(),
            lanes: Vec::new(),
            lane_from: Vec::new(),
            links: BTreeMap::new(),
            buffered_bytes: 0,
            unsettled_records: 0,
            flushing: 0,
            leaders_wanted: false,
            stopped: false,
            failure: None,
        };
        let shared = Rc::new(Shared {
            cluster,
            options,
            state: RefCell::new(state),
            on_delivery: RefCell::new(on_delivery),
            keep: Notify::new(),
            settled: Notify::new(),
        });
        io::spawn(keeper::keep(shared.clone()));
        Ok(Producer(shared))
    }

    /// Makes a topic known to the producer, creating it if the broker does that by itself.
    pub async fn topic(&self, name: &str) -> Result<TopicHandle, ClientError> {
        if let Some(index) = self
            .0
            .state
            .borrow()
            .topics
            .iter()
            .position(|topic| **topic == *name)
        {
            return Ok(self.handle(index));
        }
        let partitions = keeper::find_topic(&self.0, name).await?;
        let mut state = self.0.state.borrow_mut();
        let index = state.topics.len();
        let lane_from = state.lanes.len();
        state.topics.push(name.into());
        state.lane_from.push(lane_from);
        state
            .lanes
            .extend((0..partitions).map(|p| Lane::new(index, PartitionIndex(p as i32))));
        drop(state);
        self.0.assign_leaders();
        Ok(self.handle(index))
    }

    fn handle(&self, index: usize) -> TopicHandle {
        let state = self.0.state.borrow();
        let end = state
            .lane_from
            .get(index + 1)
            .copied()
            .unwrap_or(state.lanes.len());
        TopicHandle {
            index,
            partitions: end - state.lane_from[index],
        }
    }

    /// Puts a record into its partition's batch; `due` comes back with its delivery. Waits while the buffer is full,
    /// and lets the sending tasks run after each full batch. Errors once the producer has failed, and for a partition the topic doesn't have.
    pub async fn send(
        &self,
        topic: TopicHandle,
        partition: PartitionIndex,
        record: Record<'_>,
        due: Instant,
    ) -> Result<(), ClientError> {
        loop {
            self.0.check()?;
            let buffered = self.0.state.borrow().buffered_bytes;
            if buffered < self.0.options.buffer_bytes_max {
                if self.0.push(topic, partition, record, due)? {
                    io::yield_now().await;
                }
                return Ok(());
            }
            self.0.settled.notified().await;
        }
    }

    /// Records sent and not acknowledged yet.
    pub fn unsettled_records(&self) -> usize {
        self.0.state.borrow().unsettled_records
    }

    /// Waits until every record is acknowledged, or the producer has failed.
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.0.state.borrow_mut().flushing += 1;
        self.0.wake_links();
        let result = loop {
            if let Err(e) = self.0.check() {
                break Err(e);
            }
            if self.0.state.borrow().unsettled_records == 0 {
                break Ok(());
            }
            self.0.settled.notified().await;
        };
        self.0.state.borrow_mut().flushing -= 1;
        result
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.0.state.borrow_mut().stopped = true;
        self.0.wake_links();
        self.0.keep.notify();
    }
}

impl Shared {
    fn check(&self) -> Result<(), ClientError> {
        match &self.state.borrow().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// Whether the record closed a batch.
    fn push(
        &self,
        topic: TopicHandle,
        partition: PartitionIndex,
        record: Record<'_>,
        due: Instant,
    ) -> Result<bool, ClientError> {
        let index = usize::try_from(partition.0)
            .ok()
            .filter(|index| *index < topic.partitions);
        let mut state = self.state.borrow_mut();
        let State {
            topics,
            lanes,
            lane_from,
            identity,
            ..
        } = &mut *state;
        let Some(index) = index else {
            let name = &topics[topic.index];
            let what = format!(
                "topic {name:?} has {} partitions, from 0: no partition {partition}",
                topic.partitions
            );
            return Err(ClientError::TooLarge { what });
        };
        let lane_index = lane_from[topic.index] + index;
        let (bytes, closed) = lanes[lane_index].push(record, due, io::now(), *identity, &self.options)?;
        state.buffered_bytes += bytes;
        state.unsettled_records += 1;
        drop(state);
        self.mark_busy(lane_index);
        Ok(closed)
    }

    /// Tells the lane's leader's link that there is something to send, or has the leader found first.
    fn mark_busy(&self, lane: usize) {
        let state = self.state.borrow();
        let link = state.lanes[lane]
            .leader
            .and_then(|leader| state.links.get(&leader).cloned());
        drop(state);
        match link {
            Some(link) => link.mark_busy(lane),
            None => self.want_leaders(),
        }
    }

    /// Gives each lane the leader that Metadata last told, and each leader a link.
    fn assign_leaders(self: &Rc<Shared>) {
        let mut state = self.state.borrow_mut();
        let State {
            topics, lanes, links, ..
        } = &mut *state;
        let mut marked = Vec::new();
        for (index, lane) in lanes.iter_mut().enumerate() {
            lane.leader = self.cluster.leader(&topics[lane.topic], lane.partition);
            let Some(leader) = lane.leader else { continue };
            let link = links
                .entry(leader)
                .or_insert_with(|| Link::start(self.clone(), leader));
            if lane.has_unsent() {
                marked.push((link.clone(), index));
            }
        }
        drop(state);
        for (link, index) in marked {
            link.mark_busy(index);
        }
    }

    fn wake_links(&self) {
        let links: Vec<Rc<Link>> = self.state.borrow().links.values().cloned().collect();
        links.iter().for_each(|link| link.wake());
    }

    /// Asks the keeper for fresh metadata.
    fn want_leaders(&self) {
        self.state.borrow_mut().leaders_wanted = true;
        self.keep.notify();
    }

    /// Ends the producer: every caller gets `failure`, nothing more is sent.
    fn fail(&self, failure: ClientError) {
        let mut state = self.state.borrow_mut();
        state.failure.get_or_insert(failure);
        state.stopped = true;
        drop(state);
        self.wake_links();
        self.keep.notify();
        self.settled.notify();
    }

    fn is_stopped(&self) -> bool {
        self.state.borrow().stopped
    }
}
