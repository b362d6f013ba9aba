//! Many clients produce and fetch through crashes: what was acknowledged is there, once, in order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlog::base::{Offset, PartitionIndex};
use ringlog::client::admin::{self, NewTopic};
use ringlog::client::{
    Acks, Cluster, FetchOptions, Fetched, Fetcher, HostPort, Producer, ProducerOptions, Record,
};
use ringlog::io::sim::Faults;
use ringlog::io::{self, wall_now};
use ringlog::wire::batch;

use crate::kit::{Setup, again, connect};
use crate::model::{Known, Value};
use crate::seeds;

const TOPIC: &str = "model";
const PARTITIONS: usize = 4;
const PRODUCERS: u32 = 6;
const RECORDS: u32 = 700;
const CONSUMERS: u32 = 2;
const CRASHES: u64 = 3;

/// By partition; shared by all clients of a run, which are on one thread.
type Model = Arc<Mutex<Vec<Known>>>;

/// What is promised, and which crashes put it to the proof.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Survives the death of the process.
    Written,
    /// Survives the loss of power too.
    Durable,
}

#[test]
fn one_seed_is_one_run() {
    let traces = [1, 1, 2].map(|seed| run(seed, 100, Promise::Durable).0);
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], traces[2]);
}

#[test]
fn acknowledged_records_survive_kills_once_and_in_order() {
    seeds::each("acknowledged_records_survive_kills_once_and_in_order", |seed| {
        run(seed, RECORDS, Promise::Written);
    });
}

#[test]
fn durable_records_survive_crashes_of_the_host_once_and_in_order() {
    seeds::each(
        "durable_records_survive_crashes_of_the_host_once_and_in_order",
        |seed| {
            run(seed, RECORDS, Promise::Durable);
        },
    );
}

/// One run; its fingerprint and how many client operations it had.
fn run(seed: u64, records: u32, promise: Promise) -> (u64, usize) {
    let settings: &[&str] = match promise {
        Promise::Written => &[],
        Promise::Durable => &["ringlog.ack=durable"],
    };
    let mut setup = Setup::new(seed, Faults::rough(), settings);
    setup.start();
    let model: Model = Arc::new(Mutex::new((0..PARTITIONS).map(|_| Known::default()).collect()));
    let sim = setup.sim.clone();
    let clients = sim.add_host(1);
    let bootstrap = setup.bootstrap();
    let created = sim.run(clients, {
        let bootstrap = bootstrap.clone();
        move || create(bootstrap)
    });
    assert!(
        sim.pass_until(Duration::from_secs(60), || created.has_ended()),
        "no topic"
    );
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|client| {
            let (bootstrap, model) = (bootstrap.clone(), model.clone());
            sim.run(clients, move || produce(bootstrap, client, records, model))
        })
        .collect();
    let operations = Arc::new(Mutex::new(0));
    for _ in 0..CONSUMERS {
        let (bootstrap, model, operations) = (bootstrap.clone(), model.clone(), operations.clone());
        sim.run(clients, move || consume(bootstrap, model, operations));
    }
    let has_ended = || producers.iter().all(|producer| producer.has_ended());
    for crash in 0..CRASHES {
        // At a third, a half, … of the work, so that every crash meets clients at it.
        let enough = (records * PRODUCERS) as usize * (crash as usize + 1) / (CRASHES as usize + 2);
        let acknowledged = || {
            model
                .lock()
                .unwrap()
                .iter()
                .map(Known::acknowledged_count)
                .sum::<usize>()
        };
        let came = sim.pass_until(Duration::from_secs(600), || acknowledged() >= enough);
        assert!(
            came,
            "crash {crash}: {} of {enough} were acknowledged; {}",
            acknowledged(),
            sim.seen()
        );
        setup.expect_running();
        sim.pass(Duration::from_micros(sim.chance(0..2_000)));
        match promise {
            Promise::Written => setup.kill(),
            Promise::Durable => setup.crash(),
        }
        sim.pass(Duration::from_millis(sim.chance(1..300)));
        setup.start();
    }
    assert!(
        sim.pass_until(Duration::from_secs(600), has_ended),
        "the producers do not end"
    );
    setup.expect_running();
    // Again without faults: what the log holds, from its first record on.
    sim.set_faults(Faults::none());
    let logs = sim.run(clients, move || read_all(bootstrap));
    assert!(
        sim.pass_until(Duration::from_secs(60), || logs.has_ended()),
        "the logs cannot be read"
    );
    let logs = logs.take().expect("it ended");
    let model = model.lock().unwrap();
    for (known, log) in model.iter().zip(&logs) {
        known.check(log);
    }
    let operations = *operations.lock().unwrap() + model.iter().map(Known::acknowledged_count).sum::<usize>();
    drop(model);
    setup.stop();
    if std::env::var_os("RINGLOG_SHOW").is_some() {
        eprintln!(
            "seed {seed}: {operations} operations, virtual {:?}, {}",
            sim.now(),
            sim.seen()
        );
    }
    (sim.trace(), operations)
}

async fn create(bootstrap: HostPort) {
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

/// Sends numbered records to partitions by turns, a few at once, until each is acknowledged.
async fn produce(bootstrap: HostPort, client: u32, records: u32, model: Model) {
    let cluster = connect(bootstrap).await;
    let sent: Rc<RefCell<BTreeMap<i32, u32>>> = Rc::default();
    let next: Rc<RefCell<BTreeMap<i32, u32>>> = Rc::default();
    let on_delivery = {
        let model = model.clone();
        Box::new(move |delivery: ringlog::client::Delivery<'_>| {
            let mut model = model.lock().unwrap();
            let partition = delivery.partition.0;
            let mut next = next.borrow_mut();
            let number = next.entry(partition).or_default();
            for at in 0..delivery.due.len() as i64 {
                let offset = (delivery.base_offset.0 >= 0).then_some(delivery.base_offset.0 + at);
                let value = Value {
                    client,
                    number: *number,
                };
                model[partition as usize].acknowledged(value, offset);
                *number += 1;
            }
        })
    };
    let options = ProducerOptions {
        acks: Acks::All,
        batch_bytes_max: 200,
        delivery_timeout: Duration::from_secs(3_600),
        retry_backoff: Duration::from_millis(20),
        ..ProducerOptions::default()
    };
    let producer = Producer::start(cluster, options, on_delivery)
        .await
        .expect("an id");
    let topic = producer.topic(TOPIC).await.expect("the topic");
    let done = Cell::new(0);
    while done.get() < records {
        let partition = (io::random_u64() % PARTITIONS as u64) as i32;
        let number = {
            let mut sent = sent.borrow_mut();
            let number = sent.entry(partition).or_default();
            *number += 1;
            *number - 1
        };
        let value = Value { client, number };
        model.lock().unwrap()[partition as usize].sent(value);
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
        done.set(done.get() + 1);
        if io::random_u64().is_multiple_of(4) {
            io::sleep(Duration::from_micros(io::random_u64() % 3_000)).await;
        }
    }
    producer.flush().await.expect("acknowledged");
}

/// Reads every partition again and again from its start, as long as the run lasts.
async fn consume(bootstrap: HostPort, model: Model, operations: Arc<Mutex<usize>>) {
    let cluster = connect(bootstrap).await;
    loop {
        let start = io::now();
        let mut fetcher = fetcher(&cluster, Duration::from_secs(3_600)).await;
        while io::now().since(start) < Duration::from_secs(2) {
            let fetched = fetcher.next().await.expect("an answer in the end");
            *operations.lock().unwrap() += 1;
            let mut model = model.lock().unwrap();
            for fetched in fetched {
                for (offset, value) in values(&fetched) {
                    model[fetched.partition.0 as usize].read(offset, value);
                }
            }
        }
    }
}

/// Everything in every partition.
async fn read_all(bootstrap: HostPort) -> Vec<Vec<(i64, Value)>> {
    let cluster = connect(bootstrap).await;
    let mut fetcher = fetcher(&cluster, Duration::from_secs(30)).await;
    let mut logs = vec![Vec::new(); PARTITIONS];
    while !fetcher.positions().is_empty() {
        for fetched in fetcher.next().await.expect("the log") {
            logs[fetched.partition.0 as usize].extend(values(&fetched));
            if fetched.next == fetched.high_watermark {
                fetcher.leave(fetched.partition);
            }
        }
    }
    logs
}

async fn fetcher(cluster: &Cluster, patience: Duration) -> Fetcher {
    while let Err(error) = cluster.refresh(&[TOPIC], false).await {
        again(error).await;
    }
    let positions = (0..PARTITIONS).map(|index| (PartitionIndex(index as i32), Offset(0)));
    let options = FetchOptions {
        patience,
        ..FetchOptions::default()
    };
    Fetcher::new(cluster.clone(), TOPIC, positions.collect(), options)
}

/// The records of an answer from the offset asked for on.
fn values(fetched: &Fetched) -> Vec<(i64, Value)> {
    let mut values = Vec::new();
    for view in batch::batches(&fetched.batches) {
        let Ok(view) = view else { break };
        let payload = view.payload(1 << 20).expect("a small batch");
        for record in view.records(&payload) {
            let record = record.expect("a whole record");
            if record.offset >= fetched.from {
                values.push((record.offset.0, Value::from_bytes(record.value.expect("a value"))));
            }
        }
    }
    values
}
