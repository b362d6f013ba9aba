//! The client against a broker of a few lines that fails on command.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::base::{Offset, PartitionIndex, Timestamp, TopicId};
use crate::io;
use crate::io::net::{Listener, Reader, Writer};
use crate::wire::batch::{BatchView, set_base_offset};
use crate::wire::compression::Codec;
use crate::wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use crate::wire::messages::fetch_request::FetchRequest;
use crate::wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use crate::wire::messages::init_producer_id_response::InitProducerIdResponse;
use crate::wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::produce_request::ProduceRequest;
use crate::wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use crate::wire::{ApiKey, Decode, Decoder, Encode, ErrorCode, Records, frame};

const TOPIC: &str = "ticks";
const TOPIC_ID: TopicId = TopicId([7; 16]);

/// What the broker does with one Produce or Fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing unusual.
    None,
    /// Closes the connection, the request undone.
    CloseBefore,
    /// Does it, and closes the connection instead of answering.
    CloseAfter,
    /// Answers with this error, the request undone.
    Refuse(ErrorCode),
    /// Never answers.
    Silence,
    /// Answers another request than the one asked.
    WrongCorrelation,
}

/// A broker with one topic of one partition.
#[derive(Default)]
struct Broker {
    port: u16,
    /// Batches with their offsets.
    log: Vec<(i64, Bytes)>,
    end: i64,
    next_sequence: i32,
    faults: Vec<Fault>,
    produce_requests: usize,
    connections_open: usize,
}

type Shared = Rc<RefCell<Broker>>;

impl Broker {
    /// Starts one that treats its first Produce and Fetch requests as `faults` say.
    fn start(faults: &[Fault]) -> (Shared, HostPort) {
        let bound = io::net::bind("127.0.0.1:0".parse().unwrap(), 1)
            .unwrap()
            .remove(0);
        let port = bound.local_addr().port();
        let faults = faults.iter().rev().copied().collect();
        let broker = Rc::new(RefCell::new(Broker {
            port,
            faults,
            ..Broker::default()
        }));
        let mut listener = Listener::new(bound).unwrap();
        let shared = broker.clone();
        io::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.borrow_mut().connections_open += 1;
                let (reader, writer) = stream.split();
                let shared = shared.clone();
                io::spawn(async move {
                    serve(&shared, reader, writer).await;
                    shared.borrow_mut().connections_open -= 1;
                });
            }
        });
        (
            broker,
            HostPort {
                host: "127.0.0.1".into(),
                port,
            },
        )
    }

    fn append(&mut self, batch: &[u8]) -> ErrorCode {
        let view = BatchView::first(batch).unwrap();
        let (sequence, count) = (view.base_sequence(), view.records_count());
        if view.has_producer_id() && sequence < self.next_sequence {
            return ErrorCode::NONE;
        }
        if view.has_producer_id() && sequence > self.next_sequence {
            return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        }
        self.next_sequence += count;
        let mut stored = BytesMut::from(batch);
        set_base_offset(&mut stored, Offset(self.end));
        self.log.push((self.end, stored.freeze()));
        self.end += i64::from(count);
        ErrorCode::NONE
    }

    /// The numbers that the records' values hold, in order.
    fn numbers(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (_, batch) in &self.log {
            let view = BatchView::first(batch).unwrap();
            let payload = view.payload(1 << 20).unwrap();
            for record in view.records(&payload) {
                let value = record.unwrap().value.unwrap();
                numbers.push(u64::from_be_bytes(value.try_into().unwrap()));
            }
        }
        numbers
    }

    fn metadata(&self) -> MetadataResponse<'static> {
        let partition = MetadataResponsePartition {
            leader_id: 1,
            leader_epoch: 3,
            ..Default::default()
        };
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 1,
                host: "127.0.0.1".into(),
                port: self.port.into(),
                ..Default::default()
            }]
            .into(),
            topics: vec![MetadataResponseTopic {
                name: Some(TOPIC.into()),
                topic_id: TOPIC_ID,
                partitions: vec![partition].into(),
                ..Default::default()
            }]
            .into(),
            ..Default::default()
        }
    }
}

/// What became of a request.
enum Outcome {
    Answer(Vec<Bytes>),
    Nothing,
    Close,
}

async fn serve(broker: &Shared, mut reader: Reader, mut writer: Writer) {
    let mut received = BytesMut::new();
    loop {
        while let Some(size) = received
            .first_chunk::<4>()
            .map(|size| u32::from_be_bytes(*size) as usize)
        {
            if received.len() < 4 + size {
                break;
            }
            let request = received.split_to(4 + size).freeze().slice(4..);
            match answer(broker, &request) {
                Outcome::Answer(segments) => writer.send(segments).await.unwrap_or_default(),
                Outcome::Nothing => {}
                Outcome::Close => return writer.shutdown(),
            }
        }
        match reader.recv().await {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            _ => return,
        }
    }
}

fn answer(broker: &Shared, request: &[u8]) -> Outcome {
    let start = frame::read_request_start(request).unwrap();
    let body = &request[start.body_at..];
    let mut broker = broker.borrow_mut();
    let key = ApiKey(start.key);
    let moves_records = key == ApiKey::PRODUCE || key == ApiKey::FETCH;
    let fault = if moves_records {
        broker.faults.pop().unwrap_or(Fault::None)
    } else {
        Fault::None
    };
    let refused = match fault {
        Fault::CloseBefore => return Outcome::Close,
        Fault::Silence => return Outcome::Nothing,
        Fault::Refuse(code) => Some(code),
        _ => None,
    };
    let correlation = start.correlation_id + i32::from(fault == Fault::WrongCorrelation);
    let encode = |body: &dyn ErasedEncode| Outcome::Answer(body.frame(start.key, start.version, correlation));
    let outcome = match key {
        ApiKey::API_VERSIONS => encode(&api_versions()),
        ApiKey::METADATA => encode(&broker.metadata()),
        ApiKey::INIT_PRODUCER_ID => encode(&InitProducerIdResponse {
            producer_id: 1000,
            ..Default::default()
        }),
        ApiKey::PRODUCE => {
            let request = ProduceRequest::decode(&mut Decoder::new(body), start.version).unwrap();
            broker.produce_requests += 1;
            match broker.produce(&request, refused) {
                Some(response) => encode(&response),
                None => Outcome::Nothing,
            }
        }
        ApiKey::FETCH => {
            let request = FetchRequest::decode(&mut Decoder::new(body), start.version).unwrap();
            encode(&broker.fetch(&request, refused))
        }
        other => panic!("not expected: {other}"),
    };
    if fault == Fault::CloseAfter {
        Outcome::Close
    } else {
        outcome
    }
}

/// `Encode` without its type, so that one line answers all.
trait ErasedEncode {
    fn frame(&self, key: i16, version: i16, correlation: i32) -> Vec<Bytes>;
}

impl<T: Encode> ErasedEncode for T {
    fn frame(&self, key: i16, version: i16, correlation: i32) -> Vec<Bytes> {
        frame::encode_response(key, version, correlation, self).unwrap()
    }
}

fn api_versions() -> ApiVersionsResponse<'static> {
    let versions = [
        (ApiKey::PRODUCE, 3, 13),
        (ApiKey::FETCH, 4, 18),
        (ApiKey::METADATA, 0, 13),
    ];
    let versions = versions
        .into_iter()
        .chain([(ApiKey::INIT_PRODUCER_ID, 0, 5), (ApiKey::API_VERSIONS, 0, 4)]);
    ApiVersionsResponse {
        api_keys: versions
            .map(|(key, min_version, max_version)| ApiVersion {
                api_key: key.0,
                min_version,
                max_version,
            })
            .collect(),
        ..Default::default()
    }
}

impl Broker {
    fn produce(
        &mut self,
        request: &ProduceRequest<'_>,
        refused: Option<ErrorCode>,
    ) -> Option<ProduceResponse<'static>> {
        let topic = request.topic_data.iter().next().unwrap();
        let partition = topic.partition_data.iter().next().unwrap();
        let Some(Records::Wire(batch)) = partition.records else {
            panic!("no records")
        };
        let base_offset = self.end;
        let code = refused.unwrap_or_else(|| self.append(batch));
        let partition = PartitionProduceResponse {
            error_code: code.0,
            base_offset,
            ..Default::default()
        };
        let topic = TopicProduceResponse {
            topic_id: topic.topic_id,
            partition_responses: vec![partition].into(),
            ..Default::default()
        };
        let response = ProduceResponse {
            responses: vec![topic].into(),
            ..Default::default()
        };
        (request.acks != 0).then_some(response)
    }

    fn fetch(&self, request: &FetchRequest<'_>, refused: Option<ErrorCode>) -> FetchResponse<'static> {
        let from = request
            .topics
            .iter()
            .next()
            .unwrap()
            .partitions
            .iter()
            .next()
            .unwrap()
            .fetch_offset;
        // One batch an answer, so that there are many answers.
        let batch = self.log.iter().rev().find(|(offset, _)| *offset <= from);
        let batch = batch.filter(|_| from < self.end && refused.is_none());
        let partition = PartitionData {
            error_code: refused.unwrap_or(ErrorCode::NONE).0,
            high_watermark: self.end,
            records: Some(Records::Segments(
                batch.map(|(_, bytes)| bytes.clone()).into_iter().collect(),
            )),
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic_id: TOPIC_ID,
            partitions: vec![partition].into(),
            ..Default::default()
        };
        FetchResponse {
            responses: vec![topic].into(),
            ..Default::default()
        }
    }
}

fn on_a_core<Fut: Future<Output = ()> + 'static>(test: impl Fn() -> Fut + Clone + Send + 'static) {
    io::run(io::Options::unpinned(1), move |_| {
        let test = test.clone();
        async move {
            io::timeout(Duration::from_secs(60), test())
                .await
                .expect("the test ends by itself")
        }
    })
    .unwrap();
}

/// Small batches and short pauses, so that a test has many of the one and few of the other.
fn options() -> ProducerOptions {
    ProducerOptions {
        batch_bytes_max: 400,
        retry_backoff: Duration::from_millis(5),
        delivery_timeout: Duration::from_secs(10),
        ..ProducerOptions::default()
    }
}

async fn connect(address: &HostPort) -> Cluster {
    let options = ConnectOptions {
        request_timeout: Duration::from_millis(300),
        ..ConnectOptions::default()
    };
    Cluster::connect(address.clone(), options).await.unwrap()
}

/// Sends `count` numbered records and waits for them; gives how many were acknowledged, by first offset.
async fn produce(address: &HostPort, options: ProducerOptions, count: u64) -> (Result<(), ClientError>, u64) {
    let acknowledged = Rc::new(RefCell::new(0));
    let counter = acknowledged.clone();
    let on_delivery =
        Box::new(move |delivery: Delivery<'_>| *counter.borrow_mut() += delivery.due.len() as u64);
    let producer = Producer::start(connect(address).await, options, on_delivery)
        .await
        .unwrap();
    let topic = producer.topic(TOPIC).await.unwrap();
    let mut result = Ok(());
    for n in 0..count {
        let value = n.to_be_bytes();
        let record = Record {
            timestamp: Timestamp(1),
            key: None,
            value: Some(&value),
            headers: &[],
        };
        result = producer.send(topic, PartitionIndex(0), record, io::now()).await;
        if result.is_err() {
            break;
        }
    }
    let result = match result {
        Ok(()) => producer.flush().await,
        failed => failed,
    };
    let acknowledged = *acknowledged.borrow();
    (result, acknowledged)
}

#[test]
fn records_arrive_once_and_in_order_through_all_that_may_pass() {
    use Fault::*;
    const MOVED: Fault = Fault::Refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    const SHORT: Fault = Fault::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS);
    const SCRIPTS: &[&[Fault]] = &[
        &[],
        &[CloseBefore],
        &[CloseAfter],
        &[MOVED, None, MOVED],
        &[
            None,
            CloseAfter,
            CloseBefore,
            MOVED,
            None,
            None,
            CloseAfter,
            None,
            CloseAfter,
        ],
        &[None, None, None, CloseBefore, None, None, SHORT, None, MOVED],
        &[None, Silence, None, None, CloseAfter],
        &[None, WrongCorrelation, None, WrongCorrelation],
    ];
    for script in SCRIPTS {
        on_a_core(move || async move {
            let (broker, address) = Broker::start(script);
            let (result, acknowledged) = produce(&address, options(), 1000).await;
            assert_eq!((result, acknowledged), (Ok(()), 1000), "{script:?}");
            assert_eq!(
                broker.borrow().numbers(),
                (0..1000).collect::<Vec<u64>>(),
                "{script:?}"
            );
            assert!(broker.borrow().produce_requests > 40, "{script:?}");
        });
    }
}

#[test]
fn every_codec_reads_back() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        on_a_core(move || async move {
            let (broker, address) = Broker::start(&[]);
            let (result, _) = produce(&address, ProducerOptions { codec, ..options() }, 100).await;
            assert_eq!(result, Ok(()));
            assert_eq!(broker.borrow().numbers(), (0..100).collect::<Vec<u64>>());
        });
    }
}

#[test]
fn a_refusal_that_cannot_pass_ends_the_producer() {
    on_a_core(|| async {
        let (_, address) = Broker::start(&[Fault::Refuse(ErrorCode::MESSAGE_TOO_LARGE)]);
        let (result, acknowledged) = produce(&address, options(), 1000).await;
        let text = result.unwrap_err().to_string();
        assert!(
            text.starts_with("partition 0 of ticks: MESSAGE_TOO_LARGE"),
            "{text}"
        );
        assert_eq!(acknowledged, 0);
    });
}

#[test]
fn lost_records_on_the_broker_are_not_passed_over() {
    on_a_core(|| async {
        let (broker, address) = Broker::start(&[]);
        // As if it had had the first 50 and lost them: nothing older of ours is on its way.
        broker.borrow_mut().next_sequence = -50;
        let (result, _) = produce(&address, options(), 10).await;
        let text = result.unwrap_err().to_string();
        assert!(text.contains("OUT_OF_ORDER_SEQUENCE_NUMBER"), "{text}");
    });
}

#[test]
fn a_producer_gives_up_when_its_time_is_over() {
    on_a_core(|| async {
        let (_, address) = Broker::start(&[Fault::Silence; 100]);
        let patient = ProducerOptions {
            delivery_timeout: Duration::from_millis(900),
            ..options()
        };
        let (result, acknowledged) = produce(&address, patient, 10).await;
        let text = result.unwrap_err().to_string();
        assert!(
            text.starts_with("gave up after 900ms: partition 0 of ticks: "),
            "{text}"
        );
        assert_eq!(acknowledged, 0);
    });
}

#[test]
fn without_acknowledgements_nothing_is_waited_for() {
    on_a_core(|| async {
        let (broker, address) = Broker::start(&[]);
        let careless = ProducerOptions {
            acks: Acks::None,
            idempotent: false,
            ..options()
        };
        let (result, acknowledged) = produce(&address, careless, 1000).await;
        assert_eq!((result, acknowledged), (Ok(()), 1000));
        while broker.borrow().end < 1000 {
            io::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(broker.borrow().numbers(), (0..1000).collect::<Vec<u64>>());
    });
}

#[test]
fn a_full_buffer_holds_the_sender_back() {
    on_a_core(|| async {
        let (broker, address) = Broker::start(&[]);
        let small = ProducerOptions {
            buffer_bytes_max: 1000,
            ..options()
        };
        let producer = Producer::start(connect(&address).await, small, Box::new(|_| {}))
            .await
            .unwrap();
        let topic = producer.topic(TOPIC).await.unwrap();
        for n in 0..500u64 {
            let value = n.to_be_bytes();
            let record = Record {
                timestamp: Timestamp(1),
                key: None,
                value: Some(&value),
                headers: &[],
            };
            producer
                .send(topic, PartitionIndex(0), record, io::now())
                .await
                .unwrap();
            assert!(
                producer.unsettled_records() <= 40,
                "{}",
                producer.unsettled_records()
            );
        }
        producer.flush().await.unwrap();
        assert_eq!(broker.borrow().numbers(), (0..500).collect::<Vec<u64>>());
    });
}

#[test]
fn a_reader_goes_on_where_it_was_through_all_that_may_pass() {
    use Fault::*;
    let faults = [
        None,
        CloseBefore,
        None,
        CloseAfter,
        Refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        None,
        Silence,
    ];
    on_a_core(move || async move {
        let (broker, address) = Broker::start(&[]);
        produce(&address, options(), 300).await.0.unwrap();
        broker.borrow_mut().faults = faults.to_vec();
        let cluster = connect(&address).await;
        cluster.refresh(&[TOPIC], false).await.unwrap();
        let positions = BTreeMap::from([(PartitionIndex(0), Offset(17))]);
        let patience = FetchOptions {
            retry_backoff: Duration::from_millis(5),
            ..FetchOptions::default()
        };
        let mut fetcher = Fetcher::new(cluster, TOPIC, positions, patience);
        let mut offsets = Vec::new();
        while fetcher.positions()[&PartitionIndex(0)] < Offset(300) {
            for fetched in fetcher.next().await.unwrap() {
                let view = BatchView::first(&fetched.batches).unwrap();
                let payload = view.payload(1 << 20).unwrap();
                let read = view.records(&payload).map(|record| record.unwrap().offset);
                offsets.extend(read.filter(|offset| *offset >= fetched.from));
            }
        }
        assert_eq!(offsets, (17..300).map(Offset).collect::<Vec<Offset>>());
    });
}

#[test]
fn an_offset_out_of_range_is_told() {
    on_a_core(|| async {
        let (_, address) = Broker::start(&[Fault::Refuse(ErrorCode::OFFSET_OUT_OF_RANGE)]);
        let cluster = connect(&address).await;
        cluster.refresh(&[TOPIC], false).await.unwrap();
        let positions = BTreeMap::from([(PartitionIndex(0), Offset(99))]);
        let error = Fetcher::new(cluster, TOPIC, positions, FetchOptions::default())
            .next()
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("partition 0 of ticks: OFFSET_OUT_OF_RANGE"),
            "{error}"
        );
    });
}

#[test]
fn a_request_unknown_to_the_broker_is_named() {
    on_a_core(|| async {
        let (_, address) = Broker::start(&[]);
        let error = admin::delete_topic(&connect(&address).await, TOPIC)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("serves no version of DeleteTopics"),
            "{error}"
        );
    });
}

#[test]
fn a_dropped_client_leaves_no_connection_behind() {
    on_a_core(|| async {
        let (broker, address) = Broker::start(&[]);
        for _ in 0..20 {
            produce(&address, options(), 1).await.0.unwrap();
        }
        while broker.borrow().connections_open > 0 {
            io::sleep(Duration::from_millis(1)).await;
        }
    });
}
