//! Fetch sessions (KIP-227) on bare sockets: what a client that names only changes is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use ringlog::base::{Offset, TopicId};
use ringlog::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ringlog::wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use ringlog::wire::messages::fetch_response::FetchResponse;
use ringlog::wire::{ErrorCode, Records};

use crate::connections::{batch, produce_to};
use crate::harness::Broker;
use crate::raw::Connection;

const TOPIC: &str = "sessions";
/// Enough that each of two cores owns some.
const PARTITIONS: i32 = 16;
const BY_NAME: i16 = 12;
const BY_ID: i16 = 17;
/// Far longer than a test runs: what is answered before was woken.
const LONG_MS: i32 = 600_000;

#[test]
fn an_idle_session_waits_and_the_append_on_either_core_is_all_it_is_told() {
    let broker = Broker::start();
    let mut producer = Connection::open(&broker);
    let id = create(&mut producer, TOPIC);
    // Several consumers, so that some are accepted by either core.
    for version in [BY_NAME, BY_ID, BY_NAME, BY_ID] {
        let mut consumer = Consumer::new(&broker, version, TOPIC, id);
        let all: Vec<i32> = (0..PARTITIONS).collect();
        let ends: Vec<(i32, i64)> = all
            .iter()
            .zip(end_offsets(&broker))
            .map(|(p, end)| (*p, end))
            .collect();
        consumer.start(&ends);
        for partition in all {
            let sent = consumer.send(&[], LONG_MS);
            assert!(consumer.connection.is_silent_for(Duration::from_millis(3)));
            produce_to(&mut producer, TOPIC, partition);
            let end = ends[partition as usize].1;
            assert_eq!(consumer.answer(sent), [(partition, Ok(batch(1).len()))]);
            // Taken by the client: there is nothing more.
            assert_eq!(
                consumer.fetch(&[(partition, end + 1)], 0),
                [],
                "version {version}"
            );
        }
    }
}

#[test]
fn min_bytes_of_a_session_count_over_its_partitions() {
    let broker = Broker::start();
    let mut producer = Connection::open(&broker);
    let id = create(&mut producer, TOPIC);
    let mut consumer = Consumer::new(&broker, BY_ID, TOPIC, id);
    consumer.start(
        &(0..PARTITIONS)
            .map(|partition| (partition, 0))
            .collect::<Vec<_>>(),
    );
    consumer.min_bytes = 3 * batch(1).len() as i32;
    let sent = consumer.send(&[], LONG_MS);
    for partition in [0, 9] {
        produce_to(&mut producer, TOPIC, partition);
        assert!(consumer.connection.is_silent_for(Duration::from_millis(50)));
    }
    produce_to(&mut producer, TOPIC, 4);
    let mut answer = consumer.answer(sent);
    answer.sort_unstable();
    assert_eq!(answer, [0, 4, 9].map(|partition| (partition, Ok(batch(1).len()))));
}

#[test]
fn forgotten_partitions_are_forgotten_and_added_ones_answered() {
    let broker = Broker::start();
    let mut producer = Connection::open(&broker);
    let id = create(&mut producer, TOPIC);
    let mut consumer = Consumer::new(&broker, BY_ID, TOPIC, id);
    consumer.start(&[(0, 0), (1, 0)]);
    consumer.forgotten = vec![0];
    assert_eq!(consumer.fetch(&[(2, 0)], 0), [(2, Ok(0))]);
    consumer.forgotten = vec![];
    for partition in 0..3 {
        produce_to(&mut producer, TOPIC, partition);
    }
    let bytes = Ok(batch(1).len());
    let mut answer = consumer.fetch(&[], LONG_MS);
    answer.extend(consumer.fetch(&[(answer[0].0, 1)], 100));
    answer.sort_unstable();
    answer.dedup();
    assert_eq!(answer, [(1, bytes), (2, bytes)]);
}

#[test]
fn sessions_that_are_not_there_and_epochs_that_are_wrong_are_told() {
    let broker = Broker::start();
    let mut producer = Connection::open(&broker);
    let id = create(&mut producer, TOPIC);
    let mut consumer = Consumer::new(&broker, BY_ID, TOPIC, id);
    consumer.start(&[(0, 0)]);
    let (session, epoch) = (consumer.session, consumer.epoch);
    let cases = [
        (session + 1, epoch, BY_ID, ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
        (0, epoch, BY_ID, ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
        (-7, epoch, BY_ID, ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
        (session, epoch + 1, BY_ID, ErrorCode::INVALID_FETCH_SESSION_EPOCH),
        (session, -2, BY_ID, ErrorCode::INVALID_FETCH_SESSION_EPOCH),
        (session, epoch, BY_NAME, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR),
    ];
    for (session, epoch, version, code) in cases {
        (consumer.session, consumer.epoch, consumer.version) = (session, epoch, version);
        let answer = consumer.call(&[], LONG_MS);
        assert_eq!(ErrorCode(answer.error_code), code);
        assert_eq!((answer.session_id, answer.responses.len()), (0, 0));
    }
    (consumer.session, consumer.epoch, consumer.version) = (session, epoch, BY_ID);
    assert_eq!(consumer.fetch(&[], 0), [], "none of these counted");
    // The last word: everything once more, and the session is gone.
    consumer.epoch = -1;
    let answer = consumer.call(&[(0, 0)], 0);
    assert_eq!(
        (answer.error_code, answer.session_id, shown(&answer).len()),
        (0, 0, 1)
    );
    (consumer.session, consumer.epoch) = (session, epoch + 1);
    let answer = consumer.call(&[], LONG_MS);
    assert_eq!(
        ErrorCode(answer.error_code),
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    );
}

#[test]
fn without_slots_every_fetch_is_full() {
    let broker = Broker::start_with(&["max.incremental.fetch.session.cache.slots=0"]);
    let id = create(&mut Connection::open(&broker), TOPIC);
    let mut consumer = Consumer::new(&broker, BY_ID, TOPIC, id);
    consumer.epoch = 0;
    let answer = consumer.call(&[(0, 0)], 0);
    assert_eq!(
        (answer.error_code, answer.session_id, shown(&answer).len()),
        (0, 0, 1)
    );
}

#[test]
fn a_topic_that_goes_and_comes_back_is_told_apart_by_its_id_and_followed_by_its_name() {
    let broker = Broker::start();
    let mut admin = Connection::open(&broker);
    let id = create(&mut admin, TOPIC);
    let unknown = TopicId([0x5a; 16]);
    let mut by_id = Consumer::new(&broker, BY_ID, TOPIC, id);
    let mut by_name = Consumer::new(&broker, BY_NAME, TOPIC, id);
    let mut by_unknown_id = Consumer::new(&broker, BY_ID, TOPIC, unknown);
    for consumer in [&mut by_id, &mut by_name] {
        consumer.start(&[(0, 0)]);
    }
    by_unknown_id.begin(&[(0, 0)]);
    assert_eq!(
        by_unknown_id.fetch(&[], 0),
        [(0, Err(ErrorCode::UNKNOWN_TOPIC_ID))]
    );
    let waiting = by_id.send(&[], LONG_MS);
    delete(&mut admin, TOPIC);
    let gone = Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(
        by_id.answer_until_settled(waiting),
        [(0, gone)],
        "the wait ends with the topic"
    );
    assert_eq!(by_name.fetch_until_settled(), [(0, gone)]);
    assert_eq!(by_name.fetch(&[], 0), [(0, gone)], "every time");
    assert_ne!(create(&mut admin, TOPIC), id);
    assert_eq!(by_id.fetch(&[], 0), [(0, Err(ErrorCode::INCONSISTENT_TOPIC_ID))]);
    assert_eq!(by_name.fetch(&[], 0), [(0, Ok(0))]);
    assert_eq!(
        by_unknown_id.fetch(&[], 0),
        [(0, Err(ErrorCode::UNKNOWN_TOPIC_ID))]
    );
}

/// One client with one session over one topic.
struct Consumer {
    connection: Connection,
    version: i16,
    topic: &'static str,
    id: TopicId,
    session: i32,
    epoch: i32,
    min_bytes: i32,
    forgotten: Vec<i32>,
}

/// Partitions of an answer in its order: the bytes of their records, or the error.
type Shown = Vec<(i32, Result<usize, ErrorCode>)>;

impl Consumer {
    fn new(broker: &Broker, version: i16, topic: &'static str, id: TopicId) -> Consumer {
        Consumer {
            connection: Connection::open(broker),
            version,
            topic,
            id,
            session: 0,
            epoch: 0,
            min_bytes: 1,
            forgotten: Vec::new(),
        }
    }

    /// The full fetch that makes the session.
    fn begin(&mut self, partitions: &[(i32, i64)]) -> Shown {
        let answer = self.call(partitions, 0);
        assert_eq!(answer.error_code, 0);
        assert!(answer.session_id > 0, "a session");
        self.session = answer.session_id;
        self.epoch = 1;
        shown(&answer)
    }

    /// The same of partitions that exist, and a request that finds nothing new.
    fn start(&mut self, partitions: &[(i32, i64)]) {
        let all: Shown = partitions
            .iter()
            .map(|(partition, _)| (*partition, Ok(0)))
            .collect();
        assert_eq!(self.begin(partitions), all);
        assert_eq!(self.fetch(&[], 0), []);
    }

    fn fetch(&mut self, partitions: &[(i32, i64)], max_wait_ms: i32) -> Shown {
        let sent = self.send(partitions, max_wait_ms);
        self.answer(sent)
    }

    fn send(&mut self, partitions: &[(i32, i64)], max_wait_ms: i32) -> i32 {
        let request = self.request(partitions, max_wait_ms);
        self.epoch += 1;
        self.connection.send(self.version, &request)
    }

    fn answer(&mut self, sent: i32) -> Shown {
        let answer = self.connection.answer::<FetchRequest>(self.version, sent);
        assert_eq!((answer.error_code, answer.session_id), (0, self.session));
        shown(&answer)
    }

    /// While a topic's deletion goes from core to core, its owner may be faster than the one that is asked.
    fn answer_until_settled(&mut self, sent: i32) -> Shown {
        let mut answer = self.answer(sent);
        while answer
            .iter()
            .any(|(_, said)| *said == Err(ErrorCode::NOT_LEADER_OR_FOLLOWER))
        {
            answer = self.fetch(&[], 0);
        }
        answer
    }

    fn fetch_until_settled(&mut self) -> Shown {
        let sent = self.send(&[], 0);
        self.answer_until_settled(sent)
    }

    /// A request whose answer may be an error; the epoch stays.
    fn call(&mut self, partitions: &[(i32, i64)], max_wait_ms: i32) -> FetchResponse<'static> {
        let request = self.request(partitions, max_wait_ms);
        self.connection.call(self.version, &request)
    }

    fn request(&self, partitions: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest<'static> {
        let by_name = self.version < 13;
        let topic = if by_name { self.topic } else { "" };
        let topic_id = if by_name { TopicId::ZERO } else { self.id };
        let partition = |(partition, offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let mut request = FetchRequest {
            replica_id: -1,
            max_wait_ms,
            min_bytes: self.min_bytes,
            max_bytes: 50 << 20,
            session_id: self.session,
            session_epoch: self.epoch,
            ..Default::default()
        };
        if !partitions.is_empty() {
            request.topics = vec![FetchTopic {
                topic: topic.into(),
                topic_id,
                partitions: partitions.iter().map(partition).collect(),
            }]
            .into();
        }
        if !self.forgotten.is_empty() {
            request.forgotten_topics_data = vec![ForgottenTopic {
                topic: topic.into(),
                topic_id,
                partitions: self.forgotten.clone().into(),
            }]
            .into();
        }
        request
    }
}

fn shown(answer: &FetchResponse<'_>) -> Shown {
    let mut shown = Vec::new();
    for topic in answer.responses.iter() {
        for partition in topic.partitions.iter() {
            let bytes = partition.records.as_ref().map_or(0, Records::size_bytes);
            let said = match ErrorCode(partition.error_code) {
                ErrorCode::NONE => Ok(bytes),
                code => Err(code),
            };
            shown.push((partition.partition_index, said));
        }
    }
    shown
}

fn end_offsets(broker: &Broker) -> Vec<i64> {
    let mut connection = Connection::open(broker);
    let mut consumer = Consumer::new(broker, BY_NAME, TOPIC, TopicId::ZERO);
    consumer.epoch = -1;
    let all: Vec<(i32, i64)> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    let answer = connection.call(BY_NAME, &consumer.request(&all, 0));
    let topic = answer.responses.iter().next().expect("the topic");
    let ends: BTreeMap<i32, Offset> = topic
        .partitions
        .iter()
        .map(|partition| (partition.partition_index, Offset(partition.high_watermark)))
        .collect();
    ends.into_values().map(|end| end.0).collect()
}

fn create(connection: &mut Connection, name: &'static str) -> TopicId {
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: PARTITIONS,
            replication_factor: 1,
            ..Default::default()
        }]
        .into(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    let answer = connection.call(7, &request);
    let topic = answer.topics.iter().next().expect("the topic");
    assert_eq!(topic.error_code, 0);
    topic.topic_id
}

fn delete(connection: &mut Connection, name: &'static str) {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some(name.into()),
            ..Default::default()
        }]
        .into(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    let answer = connection.call(6, &request);
    assert!(answer.responses.iter().all(|topic| topic.error_code == 0));
}
