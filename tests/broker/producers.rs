//! Idempotent producers of other languages under a broker that is killed: each record once, in order.
//!
//! A command comes by the environment (`scripts/test` sets it); it is given `BOOTSTRAP TOPIC COUNT RATE`.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{create_topic, end_offset, number, read_all, values};
use crate::harness::{Broker, PATIENCE, Running, repetitions};

const RECORDS_PER_KILL: usize = 1_500;
const RECORDS_PER_SECOND: usize = 1_500;

#[tokio::test]
async fn java_producer_loses_and_repeats_nothing() {
    killed_under("RINGLOG_PRODUCER_JAVA").await;
}

#[tokio::test]
async fn librdkafka_producer_loses_and_repeats_nothing() {
    killed_under("RINGLOG_PRODUCER_PYTHON").await;
}

#[tokio::test]
async fn franz_go_producer_loses_and_repeats_nothing() {
    killed_under("RINGLOG_PRODUCER_GO").await;
}

#[tokio::test]
async fn kafka_python_producer_loses_and_repeats_nothing() {
    killed_under("RINGLOG_PRODUCER_KAFKA_PYTHON").await;
}

#[tokio::test]
async fn aiokafka_producer_loses_and_repeats_nothing() {
    killed_under("RINGLOG_PRODUCER_AIOKAFKA").await;
}

#[tokio::test]
async fn kafkajs_producer_loses_and_repeats_nothing() {
    killed_under("RINGLOG_PRODUCER_KAFKAJS").await;
}

async fn killed_under(variable: &str) {
    let Ok(command) = std::env::var(variable) else {
        eprintln!("left out: {variable} names no producer");
        return;
    };
    let kills = repetitions(3);
    let records = RECORDS_PER_KILL * (kills + 1);
    let mut broker = Broker::start();
    create_topic(&broker, "numbers", 1).await;
    let mut words = command.split_whitespace();
    let mut producer = Running::spawn(Command::new(words.next().expect("a program")).args(words).args([
        &broker.bootstrap(),
        "numbers",
        &records.to_string(),
        &RECORDS_PER_SECOND.to_string(),
    ]));
    for kill in 1..=kills {
        let enough = (RECORDS_PER_KILL * kill) as i64;
        wait_for_end_offset(&broker, "numbers", enough, &mut producer).await;
        broker.kill();
        // Long enough for the client to notice, lose its connection and try again.
        tokio::time::sleep(Duration::from_millis(200)).await;
        broker.start_again();
    }
    let ended = producer.wait();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    let expected: Vec<Vec<u8>> = (0..records).map(number).collect();
    assert_eq!(
        values(&read_all(&broker, "numbers", 0).await),
        expected,
        "each once, in order"
    );
}

/// Waits until the partition holds so many records while the producer still runs.
pub async fn wait_for_end_offset(broker: &Broker, topic: &str, enough: i64, producer: &mut Running) {
    let deadline = Instant::now() + PATIENCE;
    while end_offset(broker, topic, 0).await.is_none_or(|end| end < enough) {
        assert!(
            producer.is_running(),
            "the producer ended before {enough} records arrived"
        );
        assert!(Instant::now() < deadline, "fewer than {enough} records arrived");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(producer.is_running(), "the kill must meet a producer at work");
}
