//! rskafka as the tests' own eyes: a client that shares no code with the broker.

use std::collections::BTreeMap;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};

use crate::harness::{Broker, PATIENCE};

const FETCH_BYTES_MAX: i32 = 4 << 20;

/// Connects; a broker that does not answer within [`PATIENCE`] is a failure.
pub async fn connect(broker: &Broker) -> Client {
    let patience = BackoffConfig {
        init_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(200),
        deadline: Some(PATIENCE),
        ..BackoffConfig::default()
    };
    ClientBuilder::new(vec![broker.bootstrap()])
        .backoff_config(patience)
        .build()
        .await
        .expect("connects")
}

pub async fn create_topic(broker: &Broker, topic: &str, partitions: i32) {
    let controller = connect(broker).await.controller_client().unwrap();
    controller
        .create_topic(topic, partitions, 1, 10_000)
        .await
        .expect("created");
}

pub async fn partition(broker: &Broker, topic: &str, partition: i32) -> PartitionClient {
    connect(broker)
        .await
        .partition_client(topic, partition, UnknownTopicHandling::Error)
        .await
        .expect("a partition")
}

/// The partition's end offset; None while the topic isn't there.
pub async fn end_offset(broker: &Broker, topic: &str, index: i32) -> Option<i64> {
    let client = connect(broker).await;
    let partition = client
        .partition_client(topic, index, UnknownTopicHandling::Error)
        .await
        .ok()?;
    partition.get_offset(OffsetAt::Latest).await.ok()
}

/// Everything the partition holds, from offset 0.
pub async fn read_all(broker: &Broker, topic: &str, index: i32) -> Vec<RecordAndOffset> {
    let partition = partition(broker, topic, index).await;
    let end = partition
        .get_offset(OffsetAt::Latest)
        .await
        .expect("the end offset");
    let mut records: Vec<RecordAndOffset> = Vec::new();
    while (records.len() as i64) < end {
        let from = records.last().map_or(0, |last| last.offset + 1);
        let (fetched, _) = partition
            .fetch_records(from, 1..FETCH_BYTES_MAX, 1_000)
            .await
            .expect("records");
        assert!(
            !fetched.is_empty(),
            "{topic}-{index}: no records at {from}, though the end is {end}"
        );
        records.extend(fetched);
    }
    for (position, record) in records.iter().enumerate() {
        assert_eq!(
            record.offset, position as i64,
            "{topic}-{index}: offsets without a gap"
        );
    }
    records
}

/// Sends the values one by one, each acknowledged before the next.
pub async fn send(partition: &PartitionClient, values: impl IntoIterator<Item = Vec<u8>>) -> Vec<i64> {
    let mut offsets = Vec::new();
    for value in values {
        offsets.extend(
            partition
                .produce(vec![record(value)], Compression::NoCompression)
                .await
                .expect("acknowledged"),
        );
    }
    offsets
}

pub fn record(value: Vec<u8>) -> Record {
    let timestamp = DateTime::<Utc>::from_timestamp_millis(1_703_462_400_000).unwrap();
    Record {
        key: None,
        value: Some(value),
        headers: BTreeMap::new(),
        timestamp,
    }
}

pub fn number(n: usize) -> Vec<u8> {
    n.to_string().into_bytes()
}

pub fn values(records: &[RecordAndOffset]) -> Vec<Vec<u8>> {
    records
        .iter()
        .map(|r| r.record.value.clone().expect("a value"))
        .collect()
}
