//! The way to one broker: gathers what its partitions have ready into Produce requests, and settles the answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;

use super::outbox::{IN_FLIGHT_MAX, Place};
use super::{Acks, Delivery, Shared, State};
use crate::base::{BrokerId, Instant, Offset};
use crate::client::ClientError;
use crate::client::connection::{Answer, Pending};
use crate::client::error::is_retriable;
use crate::io;
use crate::io::local::Notify;
use crate::wire::Records;
use crate::wire::error::ErrorCode;
use crate::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};

/// How long the broker may wait for its replicas before it answers REQUEST_TIMED_OUT.
const REPLICAS_TIMEOUT_MS: i32 = 30_000;

/// One broker, and what of ours is going on with it.
pub struct Link {
    broker: BrokerId,
    /// Lanes that may have something to send.
    busy: RefCell<BTreeSet<usize>>,
    wake: Notify,
    requests: RefCell<VecDeque<(Pending, Vec<Sent>)>>,
    requests_in_flight: Cell<usize>,
    answers: Notify,
}

/// A batch in a request.
#[derive(Clone, Copy)]
struct Sent {
    lane: usize,
    place: Place,
}

/// What the broker's answer says about a batch.
enum Verdict {
    Appended(Offset),
    Again { leader_moved: bool },
    Failed(ClientError),
}

impl Link {
    /// Starts the link's two tasks.
    pub fn start(shared: Rc<Shared>, broker: BrokerId) -> Rc<Link> {
        let link = Rc::new(Link {
            broker,
            busy: RefCell::default(),
            wake: Notify::new(),
            requests: RefCell::default(),
            requests_in_flight: Cell::new(0),
            answers: Notify::new(),
        });
        io::spawn(send_loop(shared.clone(), link.clone()));
        io::spawn(answer_loop(shared, link.clone()));
        link
    }

    /// Says that a lane has something to send to this broker.
    pub fn mark_busy(&self, lane: usize) {
        self.busy.borrow_mut().insert(lane);
        self.wake();
    }

    /// Makes both tasks look again.
    pub fn wake(&self) {
        self.wake.notify();
        self.answers.notify();
    }
}

async fn send_loop(shared: Rc<Shared>, link: Rc<Link>) {
    while !shared.is_stopped() {
        let now = io::now();
        let ready_at = link.ready_at(&shared);
        let may_send = link.requests_in_flight.get() < IN_FLIGHT_MAX;
        match ready_at {
            Some(at) if at <= now && may_send => send_ready(&shared, &link).await,
            Some(at) if may_send => {
                // Woken earlier or not, the loop looks again.
                let _ = io::timeout(at.since(now), link.wake.notified()).await;
            }
            _ => link.wake.notified().await,
        }
    }
}

async fn send_ready(shared: &Rc<Shared>, link: &Rc<Link>) {
    let connection = match shared.cluster.broker(link.broker).await {
        Ok(connection) => connection,
        Err(error) if error.is_retriable() => {
            // The broker may be gone for good, or about to be back: both are told by Metadata.
            shared.want_leaders();
            io::sleep(shared.options.retry_backoff).await;
            return;
        }
        Err(error) => return shared.fail(error),
    };
    let now = io::now();
    let batches = link.take_ready(shared, now);
    if batches.is_empty() {
        return;
    }
    let sent: Vec<Sent> = batches.iter().map(|(sent, _)| *sent).collect();
    let request = build_request(shared, &batches);
    if shared.options.acks == Acks::None {
        match connection.send_unanswered(&request).await {
            Ok(()) => settle_unanswered(shared, &sent),
            Err(error) => take_back(shared, &sent, &error),
        }
        return;
    }
    drop(batches);
    match connection.send(&request).await {
        Ok(pending) => {
            link.requests_in_flight.set(link.requests_in_flight.get() + 1);
            link.requests.borrow_mut().push_back((pending, sent));
            link.answers.notify();
        }
        Err(error) => take_back(shared, &sent, &error),
    }
}

async fn answer_loop(shared: Rc<Shared>, link: Rc<Link>) {
    while !shared.is_stopped() {
        let next = link.requests.borrow_mut().pop_front();
        let Some((pending, sent)) = next else {
            link.answers.notified().await;
            continue;
        };
        let result = pending.answer().await;
        link.requests_in_flight.set(link.requests_in_flight.get() - 1);
        match result.and_then(|answer| settle(&shared, &sent, &answer)) {
            Ok(()) => {}
            Err(error) => take_back(&shared, &sent, &error),
        }
        link.wake.notify();
    }
}

impl Link {
    /// When something can be sent: at once, at a time, or not before an event.
    fn ready_at(&self, shared: &Shared) -> Option<Instant> {
        let state = shared.state.borrow();
        let mut busy = self.busy.borrow_mut();
        busy.retain(|index| {
            let lane = &state.lanes[*index];
            lane.leader == Some(self.broker) && lane.has_unsent()
        });
        let eager = state.is_eager(shared);
        let ready = busy
            .iter()
            .filter_map(|index| state.lanes[*index].ready_at(eager, &shared.options));
        ready.min()
    }

    /// At most one batch of each lane, as many as a request may hold.
    fn take_ready(&self, shared: &Shared, now: Instant) -> Vec<(Sent, Bytes)> {
        let mut state = shared.state.borrow_mut();
        let eager = state.is_eager(shared);
        let mut batches = Vec::new();
        let mut bytes_left = shared.options.request_bytes_max;
        for lane in self.busy.borrow().iter().copied() {
            let Some((place, bytes)) = state.lanes[lane].send_next(now, eager, &shared.options) else {
                continue;
            };
            bytes_left = bytes_left.saturating_sub(bytes.len());
            batches.push((Sent { lane, place }, bytes));
            // The next lane's batch could be as large as a batch may be.
            if bytes_left < shared.options.batch_bytes_max {
                break;
            }
        }
        batches
    }
}

impl State {
    /// Whether open batches leave without lingering: someone waits for all of them.
    fn is_eager(&self, shared: &Shared) -> bool {
        self.flushing > 0 || self.buffered_bytes >= shared.options.buffer_bytes_max
    }
}

fn build_request(shared: &Shared, batches: &[(Sent, Bytes)]) -> ProduceRequest<'static> {
    let state = shared.state.borrow();
    let mut by_topic: BTreeMap<usize, Vec<PartitionProduceData<'static>>> = BTreeMap::new();
    for (sent, bytes) in batches {
        let lane = &state.lanes[sent.lane];
        by_topic
            .entry(lane.topic)
            .or_default()
            .push(PartitionProduceData {
                index: lane.partition.0,
                records: Some(Records::Segments(vec![bytes.clone()])),
            });
    }
    let topics = by_topic.into_iter().map(|(topic, partitions)| {
        let name = &state.topics[topic];
        TopicProduceData {
            name: name.to_string().into(),
            topic_id: shared
                .cluster
                .topic(name)
                .map(|topic| topic.id)
                .unwrap_or_default(),
            partition_data: partitions.into(),
        }
    });
    ProduceRequest {
        transactional_id: None,
        acks: shared.options.acks.wire(),
        timeout_ms: REPLICAS_TIMEOUT_MS,
        topic_data: topics.collect(),
    }
}

/// Settles every batch of an answered request. An answer that doesn't cover them all is an error, and then none is
/// settled.
fn settle(shared: &Shared, sent: &[Sent], answer: &Answer) -> Result<(), ClientError> {
    let response: ProduceResponse<'_> = answer.decode()?;
    let verdicts = match_verdicts(shared, sent, &response)?;
    let at = io::now();
    for (sent, verdict) in sent.iter().zip(verdicts) {
        match verdict {
            Verdict::Appended(offset) => acknowledge(shared, *sent, offset, at),
            Verdict::Again { leader_moved } => {
                take_back_one(shared, *sent);
                if leader_moved {
                    shared.want_leaders();
                }
            }
            Verdict::Failed(error) => shared.fail(error),
        }
    }
    shared.settled.notify();
    Ok(())
}

fn match_verdicts(
    shared: &Shared,
    sent: &[Sent],
    response: &ProduceResponse<'_>,
) -> Result<Vec<Verdict>, ClientError> {
    let state = shared.state.borrow();
    let mut answered = BTreeMap::new();
    for topic in response.responses.iter() {
        // Topics stand by name up to version 12, by id from 13 on.
        let index = state.topics.iter().position(|name| match topic.name.is_empty() {
            true => shared
                .cluster
                .topic(name)
                .is_some_and(|known| known.id == topic.topic_id),
            false => **name == *topic.name,
        });
        for partition in topic.partition_responses.iter() {
            answered.insert((index, partition.index), partition);
        }
    }
    let verdict = |sent: &Sent| {
        let lane = &state.lanes[sent.lane];
        let partition = answered
            .get(&(Some(lane.topic), lane.partition.0))
            .ok_or_else(|| {
                let about = format!("partition {} of {}", lane.partition, state.topics[lane.topic]);
                ClientError::refused(
                    about,
                    ErrorCode::NETWORK_EXCEPTION,
                    Some("the answer leaves it out"),
                )
            })?;
        Ok(judge(&state, *sent, partition))
    };
    sent.iter().map(verdict).collect()
}

fn judge(state: &State, sent: Sent, partition: &PartitionProduceResponse<'_>) -> Verdict {
    let lane = &state.lanes[sent.lane];
    match ErrorCode(partition.error_code) {
        ErrorCode::NONE => Verdict::Appended(Offset(partition.base_offset)),
        // The broker has it, and more than four newer ones: it no longer knows where.
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Verdict::Appended(Offset::UNKNOWN),
        // An older batch didn't get there, and both go again. With none older, the broker lost acknowledged records.
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if lane.outbox.has_older_than(sent.place) => {
            Verdict::Again { leader_moved: false }
        }
        code if is_retriable(code) => {
            let replicas_slow = matches!(
                code,
                ErrorCode::NOT_ENOUGH_REPLICAS
                    | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
                    | ErrorCode::REQUEST_TIMED_OUT
                    | ErrorCode::CORRUPT_MESSAGE
            );
            Verdict::Again {
                leader_moved: !replicas_slow,
            }
        }
        code => {
            let about = format!("partition {} of {}", lane.partition, state.topics[lane.topic]);
            Verdict::Failed(ClientError::refused(
                about,
                code,
                partition.error_message.as_deref(),
            ))
        }
    }
}

fn acknowledge(shared: &Shared, sent: Sent, base_offset: Offset, at: Instant) {
    let mut state = shared.state.borrow_mut();
    let lane = &mut state.lanes[sent.lane];
    let batch = lane.outbox.acknowledge(sent.place);
    let (topic, partition) = (lane.topic, lane.partition);
    state.buffered_bytes -= batch.buffered_bytes;
    state.unsettled_records -= batch.due.len();
    let topic = state.topics[topic].clone();
    drop(state);
    let delivery = Delivery {
        topic: &topic,
        partition,
        base_offset,
        due: &batch.due,
        at,
    };
    (shared.on_delivery.borrow_mut())(delivery);
}

fn settle_unanswered(shared: &Shared, sent: &[Sent]) {
    let at = io::now();
    sent.iter()
        .for_each(|sent| acknowledge(shared, *sent, Offset::UNKNOWN, at));
    shared.settled.notify();
}

/// The request failed as a whole: its batches go again if that can help, else the producer ends.
fn take_back(shared: &Shared, sent: &[Sent], error: &ClientError) {
    if !error.is_retriable() {
        shared.fail(error.clone());
        return;
    }
    sent.iter().for_each(|sent| take_back_one(shared, *sent));
    shared.want_leaders();
}

fn take_back_one(shared: &Shared, sent: Sent) {
    let not_before = io::now() + shared.options.retry_backoff;
    shared.state.borrow_mut().lanes[sent.lane]
        .outbox
        .take_back(sent.place, not_before);
    shared.mark_busy(sent.lane);
}
