//! The clients of a run: each notes in the model what it sent, what was acknowledged and what it was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ringlog::base::{Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};
use ringlog::client::admin::{self, NewTopic};
use ringlog::client::{
    Acks, ClientError, Cluster, Delivery, FetchOptions, Fetched, Fetcher, HostPort, Pending, Producer,
    ProducerOptions, Record,
};
use ringlog::io::{self, wall_now};
use ringlog::wire::batch::{self, BatchBuilder};
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::fetch_response::FetchResponse;
use ringlog::wire::messages::init_producer_id_request::InitProducerIdRequest;
use ringlog::wire::messages::init_producer_id_response::InitProducerIdResponse;
use ringlog::wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ringlog::wire::messages::list_offsets_response::ListOffsetsResponse;
use ringlog::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog::wire::messages::produce_response::ProduceResponse;
use ringlog::wire::{ErrorCode, Records};

use crate::kit::{again, connect, connect_with};
use crate::model::{Model, Read, Value};
use crate::session::Session;

pub const TOPIC: &str = "model";
pub const PARTITIONS: usize = 4;
/// Long enough that a client never gives up.
const FOREVER: Duration = Duration::from_secs(3_600);

pub async fn create(bootstrap: HostPort) {
    let cluster = connect(bootstrap).await;
    let topic = NewTopic {
        name: TOPIC.into(),
        partitions: Some(PARTITIONS as i32),
        replication_factor: None,
        configs: Vec::new(),
    };
    while let Err(error) = admin::create_topic(&cluster, &topic).await {
        if admin::already_exists(&error) {
            return;
        }
        again(error).await;
    }
}

/// Our own idempotent producer, several batches in flight, until every record is acknowledged.
pub async fn produce_pipelined(bootstrap: HostPort, client: u32, records: u32, model: Model) {
    let cluster = connect(bootstrap).await;
    let on_delivery = {
        let model = model.clone();
        let mut next = Numbers::default();
        Box::new(move |delivery: Delivery<'_>| {
            let partition = delivery.partition.0;
            let values: Vec<_> = delivery
                .due
                .iter()
                .map(|_| next.take(client, partition))
                .collect();
            let offset = delivery.base_offset.0;
            model.acknowledged(partition, values, (offset >= 0).then_some(offset));
        })
    };
    let options = ProducerOptions {
        acks: Acks::All,
        batch_bytes_max: 200,
        delivery_timeout: FOREVER,
        retry_backoff: Duration::from_millis(20),
        ..ProducerOptions::default()
    };
    let producer = Producer::start(cluster, options, on_delivery)
        .await
        .expect("an id");
    let topic = loop {
        match producer.topic(TOPIC).await {
            Ok(topic) => break topic,
            // Two cuts of the network in a row may outlast it.
            Err(ClientError::GaveUp { .. }) => {}
            Err(error) => panic!("the topic: {error}"),
        }
    };
    let mut next = Numbers::default();
    for _ in 0..records {
        let partition = any_partition();
        let value = next.take(client, partition);
        model.sent(partition, value);
        let record = Record {
            timestamp: wall_now(),
            key: None,
            value: Some(&value.to_bytes()),
            headers: &[],
        };
        let sent = producer
            .send(topic, PartitionIndex(partition), record, io::now())
            .await;
        sent.expect("a record small enough");
        pause().await;
    }
    producer.flush().await.expect("acknowledged");
}

/// An idempotent producer of the simplest kind: one batch at a time, sent again until it is acknowledged.
pub async fn produce_stubbornly(bootstrap: HostPort, client: u32, batches: u32, model: Model) {
    let cluster = connect(bootstrap).await;
    let topic = topic_id(&cluster).await;
    let (id, epoch) = producer_id(&cluster).await;
    let mut next = Numbers::default();
    for _ in 0..batches {
        let partition = any_partition();
        let count = 1 + io::random_u64() % 3;
        let values: Vec<_> = (0..count).map(|_| next.take(client, partition)).collect();
        values.iter().for_each(|value| model.sent(partition, *value));
        let sequence = values[0].number as i32;
        let batch = filled(
            BatchBuilder::new(Codec::None).producer(id, epoch, sequence),
            &values,
        );
        let mut written_at_most = i64::MIN;
        let offset = loop {
            match produce(&cluster, topic, partition, -1, batch.clone()).await {
                Ok(offset) => break offset,
                Err(error) => again(error).await,
            }
            written_at_most = model.newest_offset(partition);
        };
        if offset <= written_at_most {
            model.notes().retries_after_lost_acks += 1;
        }
        model.acknowledged(partition, values, Some(offset));
        pause().await;
    }
}

/// A producer without an id that never sends anything twice: what isn't acknowledged may be there or not.
pub async fn produce_plainly(bootstrap: HostPort, client: u32, records: u32, model: Model) {
    model.notes().careless.insert(client);
    let cluster = connect(bootstrap).await;
    let topic = topic_id(&cluster).await;
    let mut next = Numbers::default();
    for _ in 0..records {
        let partition = any_partition();
        let value = next.take(client, partition);
        model.sent(partition, value);
        let batch = filled(BatchBuilder::new(Codec::None), &[value]);
        let acks = [-1, 1, 0][io::random_u64() as usize % 3];
        match produce(&cluster, topic, partition, acks, batch).await {
            Ok(offset) if acks != 0 => model.acknowledged(partition, [value], Some(offset)),
            Ok(_) => model.operated(),
            Err(error) => again(error).await,
        }
        pause().await;
    }
}

/// Reads every partition again and again from its start, as long as the run lasts.
pub async fn consume(bootstrap: HostPort, wait_max: Duration, model: Model) {
    let cluster = connect(bootstrap).await;
    loop {
        let start = io::now();
        let from = vec![0; PARTITIONS];
        let mut fetcher = fetcher(&cluster, &from, wait_max, FOREVER).await;
        while io::now().since(start) < Duration::from_secs(2) {
            let fetched = fetcher.next().await.expect("an answer in the end");
            model.operated();
            for fetched in fetched {
                for read in records(&fetched) {
                    model.read(fetched.partition.0, read);
                }
            }
        }
    }
}

/// As [`consume`], in fetch sessions.
pub async fn consume_in_sessions(bootstrap: HostPort, wait_max: Duration, model: Model) {
    let cluster = connect(bootstrap).await;
    let topic = topic_id(&cluster).await;
    loop {
        let start = io::now();
        let mut session = Session::new(cluster.clone(), topic, &[0; PARTITIONS], wait_max);
        while io::now().since(start) < Duration::from_secs(2) {
            match session.next().await {
                Err(error) => begin_again(error).await,
                Ok(read) => {
                    model.operated();
                    for (partition, records) in read {
                        records.into_iter().for_each(|read| model.read(partition, read));
                    }
                }
            }
        }
    }
}

/// As [`await_one_each`], in a fetch session.
pub async fn await_one_each_in_session(bootstrap: HostPort, from: Vec<i64>) {
    let cluster = connect_with(bootstrap, FOREVER).await;
    let topic = topic_id(&cluster).await;
    let mut session = Session::new(cluster, topic, &from, FOREVER);
    let mut missing: BTreeSet<i32> = (0..PARTITIONS as i32).collect();
    while !missing.is_empty() {
        for (partition, records) in session.next().await.expect("an honest world") {
            if !records.is_empty() {
                missing.remove(&partition);
            }
        }
    }
}

/// Waits a little after a failure that may pass, or that only asks for a new session.
async fn begin_again(error: ClientError) {
    match error {
        ClientError::Refused {
            code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND | ErrorCode::INVALID_FETCH_SESSION_EPOCH,
            ..
        } => {}
        error => again(error).await,
    }
}

/// Waits at these offsets until something has come to each partition.
pub async fn await_one_each(bootstrap: HostPort, from: Vec<i64>) {
    let cluster = connect_with(bootstrap, FOREVER).await;
    let mut fetcher = fetcher(&cluster, &from, FOREVER, FOREVER).await;
    while !fetcher.positions().is_empty() {
        for fetched in fetcher.next().await.expect("an honest world") {
            if !records(&fetched).is_empty() {
                fetcher.leave(fetched.partition);
            }
        }
    }
}

/// Adds a record to each partition.
pub async fn produce_one_each(bootstrap: HostPort, client: u32, model: Model) {
    let cluster = connect(bootstrap).await;
    let topic = topic_id(&cluster).await;
    for partition in 0..PARTITIONS as i32 {
        let value = Value { client, number: 0 };
        model.sent(partition, value);
        let batch = filled(BatchBuilder::new(Codec::None), &[value]);
        let offset = produce(&cluster, topic, partition, 1, batch)
            .await
            .expect("an honest world");
        model.acknowledged(partition, [value], Some(offset));
    }
}

/// Waits for more than the one record that partition 0 has, and says how the wait ended.
pub async fn await_more(bootstrap: HostPort) -> Result<(), ClientError> {
    let cluster = connect_with(bootstrap, FOREVER).await;
    let topic = topic_id(&cluster).await;
    let mut from = [0; PARTITIONS];
    from[0] = 1;
    let mut session = Session::new(cluster, topic, &from, FOREVER);
    session.next().await.map(|_| ())
}

/// Adds a record to partition 0, trying once.
pub async fn produce_one(bootstrap: HostPort) -> Result<i64, ClientError> {
    let value = Value { client: 0, number: 0 };
    produce_to(bootstrap, 0, value).await
}

/// Adds a record to a partition, trying once; where it is.
pub async fn produce_to(bootstrap: HostPort, partition: i32, value: Value) -> Result<i64, ClientError> {
    produce_by(&connect(bootstrap).await, partition, value).await
}

/// As [`produce_to`], by a way that is there.
pub async fn produce_by(cluster: &Cluster, partition: i32, value: Value) -> Result<i64, ClientError> {
    let topic = topic_id(cluster).await;
    let batch = filled(BatchBuilder::new(Codec::None), &[value]);
    produce(cluster, topic, partition, -1, batch).await
}

/// What a partition holds, trying once: up to a megabyte.
pub async fn read_partition(bootstrap: HostPort, partition: i32) -> Result<Vec<Read>, ClientError> {
    let cluster = connect(bootstrap).await;
    let asked = FetchPartition {
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
            topic_id: topic_id(&cluster).await,
            partitions: vec![asked].into(),
            ..Default::default()
        }]
        .into(),
        ..Default::default()
    };
    let answer = cluster.any().await?.call(&request).await?;
    let response: FetchResponse<'_> = answer.decode()?;
    let topic = response.responses.iter().next().expect("the topic asked for");
    let partition = topic.partitions.iter().next().expect("the partition asked for");
    match (ErrorCode(partition.error_code), &partition.records) {
        (ErrorCode::NONE, Some(Records::Wire(bytes))) => Ok(records_in(bytes, 0)),
        (ErrorCode::NONE, _) => Ok(Vec::new()),
        (code, _) => Err(ClientError::refused("a read", code, None)),
    }
}

/// Sends requests of several kinds without waiting for answers, all on one connection; each must be answered.
pub async fn ask_much(bootstrap: HostPort, client: u32, model: Model) {
    const ASKED: usize = 48;
    let cluster = connect_with(bootstrap, FOREVER).await;
    let topic = topic_id(&cluster).await;
    let connection = cluster.any().await.expect("an honest world");
    let mut next = Numbers::default();
    let mut asked: Vec<(Pending, Option<(i32, Value)>)> = Vec::new();
    for _ in 0..ASKED {
        let partition = any_partition();
        if io::random_u64().is_multiple_of(3) {
            let pending = connection.send(&list_offsets(partition)).await;
            asked.push((pending.expect("an honest world"), None));
            continue;
        }
        let value = next.take(client, partition);
        model.sent(partition, value);
        let batch = filled(BatchBuilder::new(Codec::None), &[value]);
        let request = produce_request(topic, partition, -1, batch);
        let pending = connection.send(&request).await;
        asked.push((pending.expect("an honest world"), Some((partition, value))));
    }
    for (pending, produced) in asked {
        let answer = pending.answer().await.expect("every request is answered");
        match produced {
            None => {
                let response: ListOffsetsResponse<'_> = answer.decode().expect("an answer");
                assert_eq!(response.topics.iter().count(), 1);
                model.operated();
            }
            Some((partition, value)) => {
                let response: ProduceResponse<'_> = answer.decode().expect("an answer");
                let offset = outcome(&response).expect("an honest world");
                model.acknowledged(partition, [value], Some(offset));
            }
        }
    }
}

/// Everything in every partition.
pub async fn read_all(bootstrap: HostPort) -> Vec<Vec<Read>> {
    let cluster = connect(bootstrap).await;
    let from = vec![0; PARTITIONS];
    let mut fetcher = fetcher(&cluster, &from, Duration::from_millis(500), FOREVER).await;
    let mut logs = vec![Vec::new(); PARTITIONS];
    while !fetcher.positions().is_empty() {
        for fetched in fetcher.next().await.expect("the log") {
            logs[fetched.partition.0 as usize].extend(records(&fetched));
            if fetched.next == fetched.high_watermark {
                fetcher.leave(fetched.partition);
            }
        }
    }
    logs
}

/// The next number of each partition.
#[derive(Default)]
struct Numbers(BTreeMap<i32, u32>);

impl Numbers {
    fn take(&mut self, client: u32, partition: i32) -> Value {
        let next = self.0.entry(partition).or_default();
        *next += 1;
        Value {
            client,
            number: *next - 1,
        }
    }
}

fn any_partition() -> i32 {
    (io::random_u64() % PARTITIONS as u64) as i32
}

/// Now and then a moment's rest.
async fn pause() {
    if io::random_u64().is_multiple_of(4) {
        io::sleep(Duration::from_micros(io::random_u64() % 3_000)).await;
    }
}

async fn topic_id(cluster: &Cluster) -> TopicId {
    loop {
        match cluster.refresh(&[TOPIC], false).await {
            Ok(()) => return cluster.topic(TOPIC).expect("just told").id,
            Err(error) => again(error).await,
        }
    }
}

async fn producer_id(cluster: &Cluster) -> (ProducerId, ProducerEpoch) {
    loop {
        match ask_for_producer_id(cluster).await {
            Ok(identity) => return identity,
            Err(error) => again(error).await,
        }
    }
}

async fn ask_for_producer_id(cluster: &Cluster) -> Result<(ProducerId, ProducerEpoch), ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let answer = cluster.any().await?.call(&request).await?;
    let response: InitProducerIdResponse = answer.decode()?;
    match ErrorCode(response.error_code) {
        ErrorCode::NONE => Ok((
            ProducerId(response.producer_id),
            ProducerEpoch(response.producer_epoch),
        )),
        code => Err(ClientError::refused("a producer id", code, None)),
    }
}

fn filled(mut batch: BatchBuilder, values: &[Value]) -> Bytes {
    for value in values {
        batch.add(wall_now(), None, Some(&value.to_bytes()), &[]);
    }
    batch.build()
}

/// Sends one batch once; where it was appended, −1 where no answer was asked for.
async fn produce(
    cluster: &Cluster,
    topic: TopicId,
    partition: i32,
    acks: i16,
    batch: Bytes,
) -> Result<i64, ClientError> {
    let connection = cluster.any().await?;
    let request = produce_request(topic, partition, acks, batch);
    if acks == 0 {
        connection.send_unanswered(&request).await?;
        return Ok(-1);
    }
    let answer = connection.call(&request).await?;
    outcome(&answer.decode()?)
}

fn produce_request(topic: TopicId, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest<'static> {
    let data = PartitionProduceData {
        index: partition,
        records: Some(Records::Segments(vec![batch])),
    };
    let topic = TopicProduceData {
        name: TOPIC.into(),
        topic_id: topic,
        partition_data: vec![data].into(),
    };
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: vec![topic].into(),
    }
}

fn outcome(response: &ProduceResponse<'_>) -> Result<i64, ClientError> {
    let topic = response.responses.iter().next().expect("the topic asked for");
    let partition = topic.partition_responses.iter().next();
    let partition = partition.expect("the partition asked for");
    match ErrorCode(partition.error_code) {
        ErrorCode::NONE => Ok(partition.base_offset),
        code => Err(ClientError::refused("a batch", code, None)),
    }
}

fn list_offsets(partition: i32) -> ListOffsetsRequest<'static> {
    let partition = ListOffsetsPartition {
        partition_index: partition,
        timestamp: -1,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: TOPIC.into(),
        partitions: vec![partition].into(),
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![topic].into(),
        ..Default::default()
    }
}

async fn fetcher(cluster: &Cluster, from: &[i64], wait_max: Duration, patience: Duration) -> Fetcher {
    while let Err(error) = cluster.refresh(&[TOPIC], false).await {
        again(error).await;
    }
    let positions = from.iter().zip(0..);
    let positions = positions.map(|(offset, index)| (PartitionIndex(index), Offset(*offset)));
    let options = FetchOptions {
        patience,
        wait_max,
        ..FetchOptions::default()
    };
    Fetcher::new(cluster.clone(), TOPIC, positions.collect(), options)
}

/// The records of an answer from the offset asked for on.
fn records(fetched: &Fetched) -> Vec<Read> {
    records_in(&fetched.batches, fetched.from.0)
}

/// The records of whole batches from `from` on.
pub fn records_in(batches: &[u8], from: i64) -> Vec<Read> {
    let mut records = Vec::new();
    for view in batch::batches(batches) {
        let Ok(view) = view else { break };
        let payload = view.payload(1 << 20).expect("a small batch");
        for record in view.records(&payload) {
            let record = record.expect("a whole record");
            if record.offset.0 >= from {
                records.push(Read {
                    offset: record.offset.0,
                    value: Value::from_bytes(record.value.expect("a value")),
                    leader_epoch: view.leader_epoch().0,
                });
            }
        }
    }
    records
}
