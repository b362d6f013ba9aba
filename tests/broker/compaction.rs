//! Compacted topics of the real binary: they shrink while they are read, and are whole after a crash.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rskafka::client::partition::{Compression, OffsetAt, PartitionClient};
use rskafka::record::Record;

use crate::client::{create_topic, partition, record};
use crate::harness::{Broker, PATIENCE};

const KEYS: u8 = 16;
const ROUNDS: u32 = 30;
const VALUE_BYTES: usize = 20_000;
/// What isn't compacted is what lies in the active segment, and in the one before until it is settled.
const FEW: usize = 4 * (1 << 20) / VALUE_BYTES;

/// Segments as small as Kafka lets them be, a look at them ten times a second, and reads that come from the files.
const SETTINGS: &[&str] = &[
    "log.cleanup.policy=compact",
    "log.segment.bytes=1048576",
    "log.cleaner.backoff.ms=100",
    "log.cleaner.min.cleanable.ratio=0.01",
    "log.flush.offset.checkpoint.interval.ms=100",
    "ringlog.tail.cache.bytes=1048576",
];

fn keyed(key: u8, round: u32) -> Record {
    let mut value = format!("{key} {round} ").into_bytes();
    value.resize(VALUE_BYTES, b'.');
    Record {
        key: Some(vec![key]),
        ..record(value)
    }
}

async fn produce_rounds(partition: &PartitionClient, rounds: std::ops::Range<u32>) {
    for round in rounds {
        let records = (0..KEYS).map(|key| keyed(key, round)).collect();
        let codec = match round % 2 {
            0 => Compression::NoCompression,
            _ => Compression::Lz4,
        };
        partition.produce(records, codec).await.expect("acknowledged");
    }
}

/// Every record from offset 0 on, and where the partition ends.
async fn read(partition: &PartitionClient) -> (Vec<(i64, Record)>, i64) {
    let end = partition
        .get_offset(OffsetAt::Latest)
        .await
        .expect("the end offset");
    let mut records = Vec::new();
    let mut from = 0;
    while from < end {
        let (fetched, _) = partition
            .fetch_records(from, 1..4 << 20, 1_000)
            .await
            .expect("records");
        // A batch that stays for its offsets alone has none.
        from = fetched.last().map_or(from, |last| last.offset) + 1;
        records.extend(fetched.into_iter().map(|found| (found.offset, found.record)));
    }
    (records, end)
}

/// Whatever was compacted, the last record of each key is there, at its offset.
async fn check(partition: &PartitionClient, rounds: u32) -> usize {
    let (records, end) = read(partition).await;
    assert_eq!(end, i64::from(rounds) * i64::from(KEYS));
    assert!(records.is_sorted_by_key(|(offset, _)| *offset));
    for (offset, found) in &records {
        let (round, key) = (offset / i64::from(KEYS), offset % i64::from(KEYS));
        assert_eq!(*found, keyed(key as u8, round as u32), "offset {offset}");
    }
    let last: BTreeMap<_, _> = records
        .iter()
        .map(|(offset, record)| (record.key.clone(), *offset))
        .collect();
    let expected = (0..KEYS).map(|key| (Some(vec![key]), end - i64::from(KEYS) + i64::from(key)));
    assert_eq!(last, expected.collect());
    records.len()
}

/// Waits until a topic of so many rounds has become small.
async fn until_compacted(broker: &Broker, client: &PartitionClient, rounds: u32, patience: Duration) {
    let deadline = Instant::now() + patience;
    while check(client, rounds).await > FEW {
        assert!(
            Instant::now() < deadline,
            "nothing was compacted: {}",
            broker.stderr()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `file.delete.delay.ms` is for files, and no time that the next round waits.
#[tokio::test]
async fn one_round_follows_another() {
    let broker = Broker::start_with(SETTINGS);
    create_topic(&broker, "rounds", 1).await;
    let client = partition(&broker, "rounds", 0).await;
    for again in 0..3 {
        produce_rounds(&client, again * ROUNDS..(again + 1) * ROUNDS).await;
        until_compacted(&broker, &client, (again + 1) * ROUNDS, PATIENCE / 2).await;
    }
}

#[tokio::test]
async fn a_compacted_topic_keeps_the_last_record_of_each_key_through_a_crash() {
    let mut broker = Broker::start_with(SETTINGS);
    create_topic(&broker, "kept", 1).await;
    let client = partition(&broker, "kept", 0).await;
    produce_rounds(&client, 0..ROUNDS).await;
    until_compacted(&broker, &client, ROUNDS, PATIENCE).await;
    broker.kill_and_start_again();
    let client = partition(&broker, "kept", 0).await;
    assert!(check(&client, ROUNDS).await <= FEW);
    produce_rounds(&client, ROUNDS..2 * ROUNDS).await;
    check(&client, 2 * ROUNDS).await;
    drop(client);
    assert!(broker.stop().success());
    let checkpoint = std::fs::read_to_string(broker.data().join("cleaner-offset-checkpoint")).unwrap();
    assert!(checkpoint.starts_with("0\n1\nkept 0 "), "{checkpoint}");
    broker.start_again();
    let client = partition(&broker, "kept", 0).await;
    check(&client, 2 * ROUNDS).await;
}
