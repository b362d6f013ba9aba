//! rskafka against the broker: what the suites of `tests/clients` do in their languages, as far as it can.

use std::collections::{BTreeMap, BTreeSet};

use rskafka::chrono::{DateTime, Utc};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, UnknownTopicHandling};
use rskafka::record::Record;

use crate::client::{connect, create_topic, number, partition, read_all, record, send, values};
use crate::harness::Broker;

#[tokio::test]
async fn every_codec_is_read_back() {
    let broker = Broker::start();
    for (index, codec) in [
        Compression::NoCompression,
        Compression::Gzip,
        Compression::Lz4,
        Compression::Snappy,
        Compression::Zstd,
    ]
    .into_iter()
    .enumerate()
    {
        let topic = format!("codec-{index}");
        create_topic(&broker, &topic, 1).await;
        let sent: Vec<Vec<u8>> = (0..500).map(|n| format!("{n:0>500}").into_bytes()).collect();
        let batch = sent.iter().cloned().map(record).collect();
        let offsets = partition(&broker, &topic, 0)
            .await
            .produce(batch, codec)
            .await
            .unwrap();
        assert_eq!(offsets, (0..500).collect::<Vec<i64>>(), "{codec:?}");
        assert_eq!(values(&read_all(&broker, &topic, 0).await), sent, "{codec:?}");
    }
}

#[tokio::test]
async fn keys_values_headers_and_timestamps_are_kept() {
    let broker = Broker::start();
    create_topic(&broker, "whole", 1).await;
    let headers = BTreeMap::from([("empty".into(), vec![]), ("ключ".into(), vec![7; 1_000])]);
    let mut sent = Vec::new();
    for (key, value) in [
        (None, None),
        (None, Some(vec![])),
        (Some(vec![]), None),
        (Some(vec![1]), Some(vec![2])),
    ] {
        let timestamp =
            DateTime::<Utc>::from_timestamp_millis(1_703_462_400_000 + sent.len() as i64).unwrap();
        sent.push(Record {
            key,
            value,
            headers: headers.clone(),
            timestamp,
        });
    }
    partition(&broker, "whole", 0)
        .await
        .produce(sent.clone(), Compression::NoCompression)
        .await
        .unwrap();
    let got: Vec<Record> = read_all(&broker, "whole", 0)
        .await
        .into_iter()
        .map(|r| r.record)
        .collect();
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_record_of_900_kib_passes_whole() {
    let broker = Broker::start();
    create_topic(&broker, "large", 1).await;
    let large: Vec<u8> = (0..900 * 1024u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let partition = partition(&broker, "large", 0).await;
    send(&partition, [large.clone(), b"small".to_vec(), large.clone()]).await;
    assert_eq!(
        values(&read_all(&broker, "large", 0).await),
        [large.clone(), b"small".to_vec(), large]
    );
}

#[tokio::test]
async fn a_thousand_topics_each_hold_their_record() {
    let broker = Broker::start();
    let client = connect(&broker).await;
    let controller = client.controller_client().unwrap();
    let names: Vec<String> = (0..1_000).map(|n| format!("thousand-{n}")).collect();
    for name in &names {
        controller.create_topic(name, 1, 1, 10_000).await.unwrap();
    }
    let listed: BTreeSet<String> = client
        .list_topics()
        .await
        .unwrap()
        .into_iter()
        .map(|t| t.name)
        .collect();
    assert_eq!(listed, names.iter().cloned().collect());
    for (n, name) in names.iter().enumerate() {
        let partition = client
            .partition_client(name, 0, UnknownTopicHandling::Error)
            .await
            .unwrap();
        assert_eq!(send(&partition, [number(n)]).await, [0]);
        let (records, _) = partition.fetch_records(0, 1..1_000, 1_000).await.unwrap();
        assert_eq!(values(&records), [number(n)]);
    }
}

#[tokio::test]
async fn a_topic_created_again_starts_empty() {
    let broker = Broker::start();
    let controller = connect(&broker).await.controller_client().unwrap();
    for round in 0..20 {
        controller
            .create_topic("again", 2, 1, 10_000)
            .await
            .expect("the name is free again");
        let partition = partition(&broker, "again", 1).await;
        assert_eq!(partition.get_offset(OffsetAt::Latest).await.unwrap(), 0);
        assert_eq!(send(&partition, [number(round), number(round)]).await, [0, 1]);
        assert_eq!(
            values(&read_all(&broker, "again", 1).await),
            [number(round), number(round)]
        );
        controller.delete_topic("again", 10_000).await.unwrap();
    }
}

#[tokio::test]
async fn refusals_name_their_cause() {
    let broker = Broker::start();
    create_topic(&broker, "exists", 1).await;
    let client = connect(&broker).await;
    let controller = client.controller_client().unwrap();
    let refusal = controller.create_topic("exists", 1, 1, 10_000).await.unwrap_err();
    assert_eq!(cause(&refusal), ProtocolError::TopicAlreadyExists);
    let refusal = controller
        .create_topic("no spaces", 1, 1, 10_000)
        .await
        .unwrap_err();
    assert_eq!(cause(&refusal), ProtocolError::InvalidTopicException);
    let refusal = controller
        .delete_topic("never-created", 10_000)
        .await
        .unwrap_err();
    assert_eq!(cause(&refusal), ProtocolError::UnknownTopicOrPartition);
    let partition = partition(&broker, "exists", 0).await;
    let refusal = partition.fetch_records(1_000, 1..1_000, 100).await.unwrap_err();
    assert_eq!(cause(&refusal), ProtocolError::OffsetOutOfRange);
}

fn cause(error: &Error) -> ProtocolError {
    match error {
        Error::ServerError { protocol_error, .. } => *protocol_error,
        other => panic!("not an answer of the broker: {other}"),
    }
}
